package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A safetensors file by itself, small enough to be taken whole, such as an adapter. The layout is
/// told at [SafetensorsHeader].
public final class SafetensorsFile {
    private static final JsonMapper JSON = new JsonMapper();

    private SafetensorsFile() {}

    /// The tensors of `file` by name, copies that `into` owns.
    ///
    /// @throws LitheException where it is no such file
    public static Map<String, Value> read(Path file, TensorScope into) {
        Map<String, Value> tensors = new LinkedHashMap<>();
        var entries = SafetensorsHeader.read(file);
        try (TensorFile mapped = TensorFile.open(file)) {
            entries.forEach(entry -> tensors.put(entry.name(), mapped.copy(entry, into)));
        }
        return tensors;
    }

    /// Shapes of the tensors of `file` by name, from its header.
    public static Map<String, List<Long>> shapes(Path file) {
        Map<String, List<Long>> shapes = new LinkedHashMap<>();
        SafetensorsHeader.read(file).forEach(entry -> shapes.put(entry.name(), entry.shape()));
        return shapes;
    }

    /// Writes `tensors`, all of one type, to `file`.
    public static void write(Path file, Map<String, Value> tensors) {
        ObjectNode header = JSON.createObjectNode();
        header.putObject("__metadata__").put("format", "pt");
        long offset = 0;
        for (Map.Entry<String, Value> each : tensors.entrySet()) {
            Value tensor = each.getValue();
            ObjectNode node = header.putObject(each.getKey()).put("dtype", tensor.dtype().name());
            for (long size : tensor.shape()) {
                node.withArray("shape").add(size);
            }
            node.putArray("data_offsets").add(offset).add(offset + tensor.bytes());
            offset += tensor.bytes();
        }
        String json = header.toString();
        json += " ".repeat((8 - json.getBytes(StandardCharsets.UTF_8).length % 8) % 8);
        byte[] text = json.getBytes(StandardCharsets.UTF_8);
        try (FileChannel out =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            ByteBuffer start = ByteBuffer.allocate(Long.BYTES + text.length);
            start.order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).put(text).flip();
            while (start.hasRemaining()) {
                int _ = out.write(start);
            }
            for (Value tensor : tensors.values()) {
                tensor.writeTo(out);
            }
        } catch (IOException e) {
            throw LitheException.of(
                            Fault.INTERNAL,
                            "writing %s failed: %s; is the disk full?",
                            file,
                            e.getMessage())
                    .causedBy(e);
        }
    }
}
