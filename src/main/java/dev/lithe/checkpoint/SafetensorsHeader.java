package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// Reads the header of a safetensors file.
///
/// | bytes | content |
/// |---|---|
/// | 8 | header length n, unsigned, little endian |
/// | n | JSON: `{"name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, "__metadata__": {...}}` |
/// | rest | the tensors' bytes; offsets count from here, ascending, without gap or overlap |
///
/// Source: the format's README in huggingface/safetensors. Everything is checked before it is
/// believed.
final class SafetensorsHeader {
    /// The format's own limit.
    static final long MAX_HEADER_BYTES = 100_000_000;

    private static final JsonMapper JSON =
            JsonMapper.builder()
                    .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .build();

    private SafetensorsHeader() {}

    /// The tensors of `file`, in the order of their bytes.
    static List<TensorEntry> read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput("%s: is no file; download it again", file);
        }
        try (var channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long fileBytes = channel.size();
            long headerBytes = headerLength(file, channel, fileBytes);
            JsonNode header = parse(file, bytes(file, channel, 8, (int) headerBytes));
            List<TensorEntry> entries = new ArrayList<>();
            for (var field : header.properties()) {
                if (!field.getKey().equals("__metadata__")) {
                    entries.add(
                            entry(
                                    file,
                                    field.getKey(),
                                    field.getValue(),
                                    8 + headerBytes,
                                    fileBytes));
                }
            }
            entries.sort(
                    Comparator.comparingLong(TensorEntry::offset)
                            .thenComparing(TensorEntry::bytes));
            checkLayout(file, entries, 8 + headerBytes, fileBytes);
            return entries;
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    private static long headerLength(Path file, FileChannel channel, long fileBytes)
            throws IOException {
        if (fileBytes < 8) {
            throw LitheException.badInput(
                    "%s: %d bytes long, a safetensors file has at least 8; download it again",
                    file, fileBytes);
        }
        long length = bytes(file, channel, 0, 8).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 2 || length > fileBytes - 8 || length > MAX_HEADER_BYTES) {
            throw LitheException.badInput(
                    "%s: header length %s, but the file has %d bytes after it (limit %d);"
                            + " truncated or not a safetensors file",
                    file, Long.toUnsignedString(length), fileBytes - 8, MAX_HEADER_BYTES);
        }
        return length;
    }

    private static ByteBuffer bytes(Path file, FileChannel channel, long from, int length)
            throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, from + buffer.position()) < 0) {
                throw LitheException.badInput(
                        "%s: ends inside its header; download it again", file);
            }
        }
        return buffer.flip();
    }

    private static JsonNode parse(Path file, ByteBuffer header) throws IOException {
        try {
            var text = new ByteArrayInputStream(header.array(), 0, header.limit());
            JsonNode node = JSON.readTree(new InputStreamReader(text, StandardCharsets.UTF_8));
            if (node == null || !node.isObject()) {
                throw LitheException.badInput("%s: its header is no JSON object", file);
            }
            return node;
        } catch (JsonProcessingException e) {
            throw LitheException.badInput(
                            "%s: its header is no valid JSON: %s", file, e.getOriginalMessage())
                    .causedBy(e);
        }
    }

    private static TensorEntry entry(
            Path file, String name, JsonNode node, long dataStart, long fileBytes) {
        String where = file + ": tensor '" + name + "'";
        DType dtype = DType.parse(node.path("dtype").asText(), where);
        List<Long> shape = new ArrayList<>();
        long bytes = dtype.bytes();
        if (!node.path("shape").isArray()) {
            throw LitheException.badInput("%s: has no shape", where);
        }
        for (JsonNode size : node.path("shape")) {
            if (!size.isIntegralNumber() || !size.canConvertToLong() || size.asLong() < 0) {
                throw LitheException.badInput(
                        "%s: shape %s is not made of counts", where, node.path("shape"));
            }
            shape.add(size.asLong());
            try {
                bytes = Math.multiplyExact(bytes, size.asLong());
            } catch (ArithmeticException e) {
                throw LitheException.badInput(
                                "%s: shape %s is too large", where, node.path("shape"))
                        .causedBy(e);
            }
        }
        JsonNode offsets = node.path("data_offsets");
        if (offsets.size() != 2
                || !offsets.get(0).canConvertToLong()
                || !offsets.get(1).canConvertToLong()
                || !offsets.get(0).isIntegralNumber()
                || !offsets.get(1).isIntegralNumber()) {
            throw LitheException.badInput(
                    "%s: data_offsets %s are not two positions", where, offsets);
        }
        long begin = offsets.get(0).asLong();
        long end = offsets.get(1).asLong();
        if (begin < 0 || end < begin || end > fileBytes - dataStart) {
            throw LitheException.badInput(
                    "%s: bytes %d to %d, but the file holds %d; truncated?",
                    where, begin, end, fileBytes - dataStart);
        }
        if (end - begin != bytes) {
            throw LitheException.badInput(
                    "%s: %s of shape %s takes %d bytes, the file gives %d",
                    where, dtype, shape, bytes, end - begin);
        }
        return new TensorEntry(name, dtype, shape, file, dataStart + begin, bytes);
    }

    private static void checkLayout(
            Path file, List<TensorEntry> entries, long dataStart, long fileBytes) {
        long position = dataStart;
        for (TensorEntry entry : entries) {
            if (entry.offset() != position) {
                throw LitheException.badInput(
                        "%s: tensor '%s' starts at byte %d, the one before it ends at %d; tensors may neither overlap"
                                + " nor leave a gap",
                        file, entry.name(), entry.offset() - dataStart, position - dataStart);
            }
            position += entry.bytes();
        }
        if (position != fileBytes) {
            throw LitheException.badInput(
                    "%s: %d bytes after its last tensor belong to nothing",
                    file, fileBytes - position);
        }
    }
}
