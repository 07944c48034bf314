package dev.lithe;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/// A safetensors file as header and data, so that tests can write broken ones byte by byte.
public record RawSafetensors(byte[] header, byte[] data) {
    private static final JsonMapper JSON = new JsonMapper();

    /// A well-formed file that holds `tensors` in their order.
    public static RawSafetensors of(Map<String, RawTensor> tensors) {
        ObjectNode header = JSON.createObjectNode();
        int length = tensors.values().stream().mapToInt(tensor -> tensor.bytes().length).sum();
        ByteBuffer data = ByteBuffer.allocate(length);
        tensors.forEach((name, tensor) -> {
            ObjectNode node = header.putObject(name).put("dtype", tensor.dtype());
            tensor.shape().forEach(node.putArray("shape")::add);
            node.putArray("data_offsets")
                    .add(data.position())
                    .add(data.position() + tensor.bytes().length);
            data.put(tensor.bytes());
        });
        return new RawSafetensors(utf8(header.toString()), data.array());
    }

    /// Reads a well-formed file.
    public static RawSafetensors read(Path file) throws IOException {
        byte[] all = Files.readAllBytes(file);
        int length = Math.toIntExact(ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).getLong());
        return new RawSafetensors(
                Arrays.copyOfRange(all, 8, 8 + length),
                Arrays.copyOfRange(all, 8 + length, all.length));
    }

    /// The header as JSON.
    public ObjectNode json() throws IOException {
        return (ObjectNode) JSON.readTree(header);
    }

    /// The same data under another header.
    public RawSafetensors withHeader(String text) {
        return new RawSafetensors(utf8(text), data);
    }

    /// The same header over other data.
    public RawSafetensors withData(byte[] other) {
        return new RawSafetensors(header, other);
    }

    /// Writes it with its true header length.
    public void write(Path file) throws IOException {
        write(file, header.length);
    }

    /// Writes it with the header length that is asked for, true or not.
    public void write(Path file, long headerLength) throws IOException {
        ByteBuffer all = ByteBuffer.allocate(8 + header.length + data.length);
        all.order(ByteOrder.LITTLE_ENDIAN).putLong(headerLength).put(header).put(data);
        Files.write(file, all.array());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
