package dev.lithe.checkpoint;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/// Writes a GGUF file, version 3.
///
/// | content | |
/// |---|---|
/// | `GGUF`, version, numbers of tensors and of values | 4, 4, 8, 8 bytes |
/// | values | name, type, value |
/// | tensors | name, number of dimensions, dimensions (fastest first), type, offset |
/// | their data | from a multiple of 32 bytes on, as each tensor |
///
/// A string is its length (8 bytes) and UTF-8; an array its elements' type, their number (8 bytes)
/// and they. Source: `docs/gguf.md` of ggml-org/ggml.
public final class GgufWriter {
    static final int MAGIC = 0x46554747;
    static final int VERSION = 3;
    static final int ALIGNMENT = 32;
    static final int U32 = 4;
    static final int I32 = 5;
    static final int F32 = 6;
    static final int BOOL = 7;
    static final int STRING = 8;
    static final int ARRAY = 9;

    private final Bytes values = new Bytes();
    private long count;
    private final List<Tensor> tensors = new ArrayList<>();

    /// Writes the data of a tensor.
    @FunctionalInterface
    public interface Data {
        /// Writes all of it.
        void writeTo(WritableByteChannel channel) throws IOException;
    }

    private record Tensor(String name, GgufType type, long[] shape, Data data) {
        long bytes() {
            long numbers = 1;
            for (long size : shape) {
                numbers = Math.multiplyExact(numbers, size);
            }
            return type.bytes(numbers);
        }
    }

    private static final class Bytes {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Bytes ints(int value) {
            out.writeBytes(buffer(Integer.BYTES).putInt(value).array());
            return this;
        }

        Bytes longs(long value) {
            out.writeBytes(buffer(Long.BYTES).putLong(value).array());
            return this;
        }

        Bytes text(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            longs(bytes.length);
            out.writeBytes(bytes);
            return this;
        }

        Bytes one(int value) {
            out.write(value);
            return this;
        }
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private Bytes value(String key, int type) {
        count++;
        return values.text(key).ints(type);
    }

    /// Adds a text.
    public void text(String key, String text) {
        value(key, STRING).text(text);
    }

    /// Adds a number from 0.
    public void count(String key, long number) {
        value(key, U32).ints(Math.toIntExact(number));
    }

    /// Adds a number with a fraction.
    public void number(String key, double number) {
        value(key, F32).ints(Float.floatToIntBits((float) number));
    }

    /// Adds a truth.
    public void flag(String key, boolean flag) {
        value(key, BOOL).one(flag ? 1 : 0);
    }

    /// Adds a list of texts.
    public void texts(String key, List<String> texts) {
        value(key, ARRAY).ints(STRING).longs(texts.size());
        texts.forEach(values::text);
    }

    /// Adds a list of whole numbers.
    public void integers(String key, List<Integer> numbers) {
        value(key, ARRAY).ints(I32).longs(numbers.size());
        numbers.forEach(values::ints);
    }

    /// Adds a list of numbers.
    public void numbers(String key, List<Float> numbers) {
        value(key, ARRAY).ints(F32).longs(numbers.size());
        numbers.forEach(number -> values.ints(Float.floatToIntBits(number)));
    }

    /// Adds a tensor, whose data is asked for when the file is written.
    ///
    /// @param shape slowest first
    public void tensor(String name, GgufType type, long[] shape, Data data) {
        tensors.add(new Tensor(name, type, shape.clone(), data));
    }

    /// Bytes of all tensors.
    public long tensorBytes() {
        return tensors.stream().mapToLong(Tensor::bytes).sum();
    }

    /// Writes the file, which appears only when it is complete.
    ///
    /// @throws LitheException where it cannot be written; nothing of it is left then
    public void write(Path file) {
        Path partial = file.resolveSibling(file.getFileName() + ".partial");
        try {
            try (var channel =
                    FileChannel.open(
                            partial,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.TRUNCATE_EXISTING,
                            StandardOpenOption.WRITE)) {
                put(channel, header());
                for (Tensor tensor : tensors) {
                    long start = channel.position();
                    tensor.data().writeTo(channel);
                    if (channel.position() - start != tensor.bytes()) {
                        throw LitheException.of(
                                Fault.INTERNAL,
                                "%s is not as long as its type says",
                                tensor.name());
                    }
                    pad(channel);
                }
                channel.force(true);
            }
            Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be written (%s)", file, e.getMessage())
                    .causedBy(e);
        } finally {
            delete(partial);
        }
    }

    private static void delete(Path partial) {
        try {
            Files.deleteIfExists(partial);
        } catch (IOException _) {
            // what kept the file from being written is what to tell
        }
    }

    private byte[] header() {
        var bytes = new Bytes().ints(MAGIC).ints(VERSION).longs(tensors.size()).longs(count);
        bytes.out.writeBytes(values.out.toByteArray());
        long offset = 0;
        for (Tensor tensor : tensors) {
            bytes.text(tensor.name()).ints(tensor.shape().length);
            for (int i = tensor.shape().length - 1; i >= 0; i--) {
                bytes.longs(tensor.shape()[i]);
            }
            bytes.ints(tensor.type().code()).longs(offset);
            offset += Math.ceilDiv(tensor.bytes(), ALIGNMENT) * ALIGNMENT;
        }
        while (bytes.out.size() % ALIGNMENT != 0) {
            bytes.one(0);
        }
        return bytes.out.toByteArray();
    }

    private static void pad(FileChannel channel) throws IOException {
        int missing = (int) (-channel.position() & ALIGNMENT - 1);
        put(channel, new byte[missing]);
    }

    private static void put(WritableByteChannel channel, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            int _ = channel.write(buffer);
        }
    }
}
