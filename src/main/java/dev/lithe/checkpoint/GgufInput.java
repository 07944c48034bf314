package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/// The head of a GGUF file, read from start to end. Every length is held against what the file
/// still has, so that a forged one takes no memory.
final class GgufInput implements AutoCloseable {
    private static final int U8 = 0;
    private static final int I8 = 1;
    private static final int U16 = 2;
    private static final int I16 = 3;
    private static final int U64 = 10;
    private static final int I64 = 11;
    private static final int F64 = 12;

    private static final int BUFFER_BYTES = 1 << 16;

    /// Chat templates are the longest texts of real files, and take some tens of kilobytes.
    private static final int MAX_TEXT = 16 << 20;

    /// Vocabularies are the longest lists.
    private static final int MAX_LIST = 1 << 22;

    /// The longest heads of real files take some tens of megabytes.
    private static final long MAX_HEAD = 256L << 20;

    private final Path file;
    private final FileChannel channel;
    private final long size;
    private final ByteBuffer buffer =
            ByteBuffer.allocate(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN).limit(0);
    private long read;

    private GgufInput(Path file, FileChannel channel, long size) {
        this.file = file;
        this.channel = channel;
        this.size = size;
    }

    static GgufInput open(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput("%s: is no file", file);
        }
        var channel = FileChannel.open(file, StandardOpenOption.READ);
        return new GgufInput(file, channel, channel.size());
    }

    /// Bytes of the file.
    long size() {
        return size;
    }

    /// Bytes read so far.
    long position() {
        return read;
    }

    /// Bytes of the head that may be left.
    long remaining() {
        return Math.min(size, MAX_HEAD) - read;
    }

    private ByteBuffer next(int bytes) throws IOException {
        if (bytes > remaining()) {
            throw size > MAX_HEAD
                    ? LitheException.badInput(
                            "%s: its head is longer than %d bytes, the limit", file, MAX_HEAD)
                    : LitheException.badInput("%s: ends inside its head; truncated?", file);
        }
        if (buffer.remaining() < bytes) {
            buffer.compact();
            while (buffer.position() < bytes && channel.read(buffer) >= 0) {
                // until there is enough
            }
            buffer.flip();
            if (buffer.remaining() < bytes) {
                throw LitheException.badInput("%s: became shorter while it was read", file);
            }
        }
        read += bytes;
        return buffer;
    }

    int int32() throws IOException {
        return next(Integer.BYTES).getInt();
    }

    long int64() throws IOException {
        return next(Long.BYTES).getLong();
    }

    /// A number of things, of which each takes at least `least` bytes of what is left.
    int count(String what, int limit, int least) throws IOException {
        long count = int64();
        if (count < 0 || count > limit || count > remaining() / least) {
            throw LitheException.badInput(
                    "%s: says that it has %s %s; the limit is %d, and %d bytes are left",
                    file, Long.toUnsignedString(count), what, limit, remaining());
        }
        return (int) count;
    }

    String text(String what) throws IOException {
        int length = count("bytes in " + what, MAX_TEXT, 1);
        byte[] bytes = new byte[length];
        for (int done = 0; done < length; ) {
            int part = Math.min(length - done, BUFFER_BYTES);
            next(part).get(bytes, done, part);
            done += part;
        }
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw LitheException.badInput("%s: %s is no UTF-8 text", file, what).causedBy(e);
        }
    }

    Object value(String key) throws IOException {
        int type = int32();
        if (type != GgufWriter.ARRAY) {
            return scalar(key, type);
        }
        int each = int32();
        if (each == GgufWriter.ARRAY) {
            throw LitheException.badInput("%s: %s is a list of lists", file, key);
        }
        int count = count("members of " + key, MAX_LIST, bytes(each, key));
        List<Object> list = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            list.add(scalar(key, each));
        }
        return list;
    }

    /// The least bytes of a value.
    private int bytes(int type, String key) {
        return switch (type) {
            case U8, I8, GgufWriter.BOOL -> Byte.BYTES;
            case U16, I16 -> Short.BYTES;
            case GgufWriter.U32, GgufWriter.I32, GgufWriter.F32 -> Integer.BYTES;
            case GgufWriter.STRING, U64, I64, F64 -> Long.BYTES;
            default -> throw unknown(type, key);
        };
    }

    private LitheException unknown(int type, String key) {
        return LitheException.badInput(
                "%s: %s is a value of type %d, which GGUF does not have",
                file, key, Integer.toUnsignedLong(type));
    }

    private Object scalar(String key, int type) throws IOException {
        return switch (type) {
            case U8 -> (long) Byte.toUnsignedInt(next(Byte.BYTES).get());
            case I8 -> (long) next(Byte.BYTES).get();
            case U16 -> (long) Short.toUnsignedInt(next(Short.BYTES).getShort());
            case I16 -> (long) next(Short.BYTES).getShort();
            case GgufWriter.U32 -> Integer.toUnsignedLong(int32());
            case GgufWriter.I32 -> (long) int32();
            case U64, I64 -> int64();
            case GgufWriter.F32 -> (double) Float.intBitsToFloat(int32());
            case F64 -> Double.longBitsToDouble(int64());
            case GgufWriter.BOOL -> next(Byte.BYTES).get() != 0;
            case GgufWriter.STRING -> text(key);
            default -> throw unknown(type, key);
        };
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
