package dev.lithe.export;

import dev.lithe.checkpoint.GgufWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A GGUF file, read without the code under test.
///
/// @param values by key; numbers, texts, truths, and lists of them
record RawGguf(Map<String, Object> values, Map<String, Tensor> tensors) {
    /// @param type ggml's number
    /// @param shape slowest first
    /// @param bytes as they are stored
    record Tensor(int type, List<Long> shape, float[] numbers, byte[] bytes) {}

    static RawGguf read(Path file) throws IOException {
        var in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        if (in.getInt() != 0x46554747 || in.getInt() != 3) {
            throw new AssertionError("no GGUF of version 3");
        }
        long tensorCount = in.getLong();
        long valueCount = in.getLong();
        Map<String, Object> values = new LinkedHashMap<>();
        for (long i = 0; i < valueCount; i++) {
            values.put(text(in), value(in, in.getInt()));
        }
        record Place(String name, int type, List<Long> shape, long offset) {}
        List<Place> places = new ArrayList<>();
        for (long i = 0; i < tensorCount; i++) {
            String name = text(in);
            List<Long> shape = new ArrayList<>();
            int dimensions = in.getInt();
            for (int d = 0; d < dimensions; d++) {
                shape.addFirst(in.getLong());
            }
            places.add(new Place(name, in.getInt(), shape, in.getLong()));
        }
        int data = (in.position() + 31) / 32 * 32;
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Place place : places) {
            if (place.offset() % 32 != 0) {
                throw new AssertionError(place.name() + " is not aligned");
            }
            long count = place.shape().stream().reduce(1L, (a, b) -> a * b);
            in.position((int) (data + place.offset()));
            float[] numbers = numbers(in, place.type(), (int) count);
            byte[] bytes = new byte[in.position() - (int) (data + place.offset())];
            in.get((int) (data + place.offset()), bytes);
            tensors.put(place.name(), new Tensor(place.type(), place.shape(), numbers, bytes));
        }
        return new RawGguf(values, tensors);
    }

    /// Adds a value of such a file.
    static void put(GgufWriter writer, String key, Object value) {
        switch (value) {
            case Integer number -> writer.count(key, number);
            case Float number -> writer.number(key, number);
            case Boolean flag -> writer.flag(key, flag);
            case String text -> writer.text(key, text);
            case List<?> list when list.isEmpty() || list.getFirst() instanceof String ->
                    writer.texts(key, list.stream().map(Object::toString).toList());
            case List<?> list ->
                    writer.integers(key, list.stream().map(Integer.class::cast).toList());
            default -> throw new AssertionError(key);
        }
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[(int) in.getLong()];
        in.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static Object value(ByteBuffer in, int type) {
        return switch (type) {
            case 4, 5 -> in.getInt();
            case 6 -> in.getFloat();
            case 7 -> in.get() != 0;
            case 8 -> text(in);
            case 9 -> {
                int each = in.getInt();
                long count = in.getLong();
                List<Object> list = new ArrayList<>();
                for (long i = 0; i < count; i++) {
                    list.add(value(in, each));
                }
                yield list;
            }
            default -> throw new AssertionError("value of type " + type);
        };
    }

    /// The next `count` numbers of ggml's `type`.
    static float[] numbers(ByteBuffer in, int type, int count) {
        float[] numbers = new float[count];
        if (type == 0 || type == 1 || type == 30) {
            for (int i = 0; i < count; i++) {
                numbers[i] =
                        type == 0
                                ? in.getFloat()
                                : type == 1
                                        ? Float.float16ToFloat(in.getShort())
                                        : Float.intBitsToFloat(in.getShort() << 16);
            }
            return numbers;
        }
        if (type >= 12 && type <= 14) {
            for (int first = 0; first < count; first += 256) {
                if (type == 14) {
                    sixBits(in, numbers, first);
                } else {
                    twoLevels(in, type == 13, numbers, first);
                }
            }
            return numbers;
        }
        for (int first = 0; first < count; first += 32) {
            float d = Float.float16ToFloat(in.getShort());
            float m = type == 3 || type == 7 ? Float.float16ToFloat(in.getShort()) : 0;
            if (type == 8) {
                for (int i = 0; i < 32; i++) {
                    numbers[first + i] = in.get() * d;
                }
                continue;
            }
            int high = type == 6 || type == 7 ? in.getInt() : 0;
            int centre = type == 2 ? 8 : type == 6 ? 16 : 0;
            for (int i = 0; i < 16; i++) {
                int both = in.get() & 0xff;
                int low = both % 16 + (high >>> i & 1) * 16;
                int upper = both / 16 + (high >>> i + 16 & 1) * 16;
                numbers[first + i] = (low - centre) * d + m;
                numbers[first + i + 16] = (upper - centre) * d + m;
            }
        }
        return numbers;
    }

    /// Q4_K and, with fifth bits, Q5_K.
    private static void twoLevels(ByteBuffer in, boolean fifth, float[] numbers, int first) {
        float d = Float.float16ToFloat(in.getShort());
        float least = Float.float16ToFloat(in.getShort());
        byte[] scales = new byte[12];
        byte[] high = new byte[32];
        byte[] codes = new byte[128];
        in.get(scales);
        if (fifth) {
            in.get(high);
        }
        in.get(codes);
        for (int i = 0; i < 256; i++) {
            int group = i / 32;
            int pair = codes[group / 2 * 32 + i % 32] & 0xff;
            int q = group % 2 == 0 ? pair % 16 : pair / 16;
            q += (high[i % 32] >> group & 1) * 16;
            int scale;
            int minimum;
            if (group < 4) {
                scale = scales[group] & 63;
                minimum = scales[group + 4] & 63;
            } else {
                int both = scales[group + 4] & 0xff;
                scale = both % 16 + ((scales[group - 4] & 0xff) >> 6) * 16;
                minimum = both / 16 + ((scales[group] & 0xff) >> 6) * 16;
            }
            numbers[first + i] = d * scale * q - least * minimum;
        }
    }

    /// Q6_K.
    private static void sixBits(ByteBuffer in, float[] numbers, int first) {
        byte[] low = new byte[128];
        byte[] high = new byte[64];
        byte[] scales = new byte[16];
        in.get(low);
        in.get(high);
        in.get(scales);
        float d = Float.float16ToFloat(in.getShort());
        for (int i = 0; i < 256; i++) {
            int half = i / 128;
            int at = i % 128;
            int both = low[half * 64 + at % 64] & 0xff;
            int q = at < 64 ? both % 16 : both / 16;
            q += ((high[half * 32 + at % 32] & 0xff) >> at / 32 * 2 & 3) * 16;
            numbers[first + i] = d * scales[i / 16] * (q - 32);
        }
    }
}
