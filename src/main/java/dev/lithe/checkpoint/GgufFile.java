package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A GGUF file of version 2 or 3: its values, and where its tensors lie. The layout is told at
/// [GgufWriter]. Everything is checked before it is believed; no tensor is read.
///
/// @param values by key: `Long`, `Double`, `Boolean`, `String`, or a list of one of them
/// @param tensors by name, in the order of their bytes
record GgufFile(Path file, Map<String, Object> values, Map<String, GgufFile.Tensor> tensors) {
    /// Far above any real file.
    private static final int MAX_VALUES = 1 << 16;

    private static final int MAX_TENSORS = 1 << 20;
    private static final int MAX_DIMENSIONS = 4;
    private static final int MAX_ALIGNMENT = 1 << 16;

    /// The shortest value is an empty key, a type and a byte; the shortest tensor an empty name, a
    /// number of dimensions, a type and an offset.
    private static final int LEAST_VALUE = 13;

    private static final int LEAST_TENSOR = 24;

    /// The code of a tensor whose type Lithe does not know is told in the message.
    ///
    /// @param shape sizes, slowest dimension first
    /// @param offset of its first byte from the start of the file
    /// @param bytes its length
    record Tensor(String name, GgufType type, List<Long> shape, long offset, long bytes) {}

    /// Reads the head of `file`.
    ///
    /// @throws LitheException where it is no such file, or does not hold what it says
    static GgufFile read(Path file) {
        try (var in = GgufInput.open(file)) {
            if (in.remaining() < 24 || in.int32() != GgufWriter.MAGIC) {
                throw LitheException.badInput("%s: is no GGUF file, or truncated", file);
            }
            int version = in.int32();
            if (version != 2 && version != GgufWriter.VERSION) {
                throw LitheException.badInput(
                        "%s: GGUF version %d; Lithe reads 2 and 3, little-endian",
                        file, Integer.toUnsignedLong(version));
            }
            int tensorCount = in.count("tensors", MAX_TENSORS, LEAST_TENSOR);
            int valueCount = in.count("values", MAX_VALUES, LEAST_VALUE);
            Map<String, Object> values = new LinkedHashMap<>();
            for (int i = 0; i < valueCount; i++) {
                String key = in.text("a key");
                if (values.putIfAbsent(key, in.value(key)) != null) {
                    throw LitheException.badInput("%s: key '%s' is there twice", file, key);
                }
            }
            List<Tensor> tensors = new ArrayList<>();
            Set<String> names = new HashSet<>();
            for (int i = 0; i < tensorCount; i++) {
                Tensor tensor = tensor(in, file);
                if (!names.add(tensor.name())) {
                    throw LitheException.badInput(
                            "%s: tensor '%s' is there twice", file, tensor.name());
                }
                tensors.add(tensor);
            }
            int alignment = alignment(values, file);
            long data = Math.ceilDiv(in.position(), alignment) * alignment;
            return new GgufFile(
                    file,
                    Collections.unmodifiableMap(values),
                    placed(tensors, data, alignment, in.size(), file));
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    private static int alignment(Map<String, Object> values, Path file) {
        Object given = values.getOrDefault("general.alignment", (long) GgufWriter.ALIGNMENT);
        if (!(given instanceof Long number)
                || number < Long.BYTES
                || number > MAX_ALIGNMENT
                || Long.bitCount(number) != 1) {
            throw LitheException.badInput(
                    "%s: general.alignment is %s; it must be a power of 2 from %d to %d",
                    file, given, Long.BYTES, MAX_ALIGNMENT);
        }
        return number.intValue();
    }

    /// The offset counts from the start of the data yet.
    private static Tensor tensor(GgufInput in, Path file) throws IOException {
        String name = in.text("the name of a tensor");
        String where = file + ": tensor '" + name + "'";
        int dimensions = in.int32();
        if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
            throw LitheException.badInput(
                    "%s has %d dimensions; it may have 1 to %d",
                    where, Integer.toUnsignedLong(dimensions), MAX_DIMENSIONS);
        }
        List<Long> shape = new ArrayList<>();
        long numbers = 1;
        for (int i = 0; i < dimensions; i++) {
            long size = in.int64();
            if (size < 1 || size > in.size() * Byte.SIZE || numbers > Long.MAX_VALUE / 8 / size) {
                throw LitheException.badInput(
                        "%s has a dimension of %s; the file has %d bytes",
                        where, Long.toUnsignedString(size), in.size());
            }
            numbers *= size;
            shape.addFirst(size);
        }
        int code = in.int32();
        GgufType type =
                GgufType.of(code)
                        .filter(GgufType::readable)
                        .orElseThrow(() ->
                                LitheException.badInput(
                                        "%s is of type %s; Lithe reads %s",
                                        where,
                                        GgufType.of(code).map(Enum::name).orElse("no. " + code),
                                        GgufType.readableNames()));
        if (shape.getLast() % type.block() != 0) {
            throw LitheException.badInput(
                    "%s has rows of %d numbers, and %s stores them by %d",
                    where, shape.getLast(), type, type.block());
        }
        long offset = in.int64();
        return new Tensor(name, type, List.copyOf(shape), offset, type.bytes(numbers));
    }

    private static Map<String, Tensor> placed(
            List<Tensor> tensors, long data, int alignment, long size, Path file) {
        Map<String, Tensor> placed = new LinkedHashMap<>();
        tensors.sort(Comparator.comparingLong(Tensor::offset).thenComparing(Tensor::bytes));
        long end = 0;
        for (Tensor tensor : tensors) {
            long offset = tensor.offset();
            if (offset < 0 || offset % alignment != 0) {
                throw LitheException.badInput(
                        "%s: tensor '%s' starts at byte %s of the data, no multiple of %d",
                        file, tensor.name(), Long.toUnsignedString(offset), alignment);
            }
            if (offset < end) {
                throw LitheException.badInput(
                        "%s: tensor '%s' starts at byte %d of the data, where another one still is",
                        file, tensor.name(), offset);
            }
            if (data > size
                    || tensor.bytes() > size - data
                    || offset > size - data - tensor.bytes()) {
                throw LitheException.badInput(
                        "%s: tensor '%s' takes bytes %d to %s of the data, which has %d; truncated?",
                        file,
                        tensor.name(),
                        offset,
                        Long.toUnsignedString(offset + tensor.bytes()),
                        Math.max(0, size - data));
            }
            end = offset + tensor.bytes();
            placed.put(
                    tensor.name(),
                    new Tensor(
                            tensor.name(),
                            tensor.type(),
                            tensor.shape(),
                            data + offset,
                            tensor.bytes()));
        }
        return Collections.unmodifiableMap(placed);
    }

    /// The value of `key`; null where there is none.
    ///
    /// @throws LitheException where it is of another kind
    <T> @Nullable T value(String key, Class<T> kind) {
        Object value = values.get(key);
        if (value != null && !kind.isInstance(value)) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be a %s",
                    file,
                    key,
                    brief(value),
                    kind.getSimpleName().toLowerCase(java.util.Locale.ROOT));
        }
        return value == null ? null : kind.cast(value);
    }

    /// The number with a fraction `key`, as a person wrote it before it became a float32; null
    /// where there is none.
    @Nullable Double decimal(String key) {
        Double found = value(key, Double.class);
        return found == null ? null : Double.valueOf(Float.toString(found.floatValue()));
    }

    /// The texts of the list `key`, none where there is no such list.
    List<String> texts(String key) {
        return list(key, String.class);
    }

    /// The members of the list `key`, none where there is no such list.
    <T> List<T> list(String key, Class<T> kind) {
        List<?> found = value(key, List.class);
        List<T> members = new ArrayList<>();
        for (Object member : found == null ? List.of() : found) {
            if (!kind.isInstance(member)) {
                throw LitheException.badInput("%s: %s holds %s", file, key, brief(member));
            }
            members.add(kind.cast(member));
        }
        return members;
    }

    private static String brief(Object value) {
        return value instanceof List<?> list ? "a list of " + list.size() : value.toString();
    }
}
