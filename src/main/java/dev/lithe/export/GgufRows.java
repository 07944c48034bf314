package dev.lithe.export;

import dev.lithe.checkpoint.GgufBlocks;
import dev.lithe.checkpoint.GgufType;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearForm.ZeroPoint;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The rows of a linear as blocks of a [GgufType].
///
/// Integers of up to 8 bits whose groups are whole blocks keep their codes: `w = (u - 2^(b-1) - z)
/// s` is `(q - 8) d` or `q d + m` with q from u, d = s and m = -(2^(b-1) + z) s, the last two in
/// float16 as GGUF has them.
final class GgufRows {
    private static final int FEW = 4;
    private static final int FIVE = 5;

    private GgufRows() {}

    /// The type that holds linears of `form` with k inputs as they are, or float16.
    static GgufType closest(LinearForm form, int k) {
        return switch (form) {
            case LinearForm.Dense dense ->
                    switch (dense.dtype()) {
                        case F32, F64 -> GgufType.F32;
                        case BF16 -> GgufType.BF16;
                        default -> GgufType.F16;
                    };
            case LinearForm.Int8 _ -> k % GgufType.Q8_0.block() == 0 ? GgufType.Q8_0 : GgufType.F16;
            case LinearForm.Grouped grouped -> closest(grouped, k);
            case LinearForm.Shared shared -> closest(shared.of(), k);
            case LinearForm.Float8 _,
                    LinearForm.LowRank _,
                    LinearForm.Codebook _,
                    LinearForm.Masked _ ->
                    GgufType.F16;
        };
    }

    private static GgufType closest(LinearForm.Grouped form, int k) {
        int block = GgufType.Q4_0.block();
        boolean whole = k % block == 0 && form.groupSize() % block == 0; // 0 is a whole row
        if (!whole) {
            return GgufType.F16;
        }
        if (form.bits() <= FEW) {
            return form.symmetric() ? GgufType.Q4_0 : GgufType.Q4_1;
        }
        if (form.bits() == FIVE) {
            return form.symmetric() ? GgufType.Q5_0 : GgufType.Q5_1;
        }
        return form.symmetric() ? GgufType.Q8_0 : GgufType.F16;
    }

    /// Writes the rows of `linear` in the order `rows`.
    static void write(
            Linear linear, GgufType type, int[] rows, WritableByteChannel channel, TensorScope step)
            throws IOException {
        Linear stored = linear instanceof Linear.Shared shared ? shared.of() : linear;
        if (stored instanceof Linear.Grouped grouped
                && type != GgufType.F16
                && closest(grouped.form(), Math.toIntExact(grouped.shape().longs()[1])) == type) {
            int bits = grouped.form().bits();
            int k = Math.toIntExact(grouped.shape().longs()[1]);
            Value codes = step.call("unpack", grouped.packed(), bits, k);
            var zero = grouped.form().zero() == ZeroPoint.NONE ? null : zeros(grouped, step);
            write(new Codes(codes, bits, k, grouped.scale(), zero), type, rows, channel, step);
        } else if (stored instanceof Linear.Int8 int8 && type == GgufType.Q8_0) {
            int k = int8.weight().size(1);
            Value codes = step.call("add_number", int8.weight(), 128.0);
            write(new Codes(codes, Byte.SIZE, k, int8.scale(), null), type, rows, channel, step);
        } else if (type.block() == GgufType.Q4_K.block()) {
            long[] order = Arrays.stream(rows).asLongStream().toArray();
            Value weight = DenseWeights.of(stored, step);
            step.call("k_rows", weight, step.tensor(order, order.length), type.code())
                    .writeTo(channel);
        } else {
            floats(DenseWeights.of(stored, step), type, rows, channel);
        }
    }

    private static Value zeros(Linear.Grouped linear, TensorScope step) {
        return step.call("to_float", DenseWeights.zero(linear, step));
    }

    private static void floats(Value weight, GgufType type, int[] rows, WritableByteChannel channel)
            throws IOException {
        int k = weight.size(1);
        try (var step = TensorScope.open()) {
            ByteBuffer bytes = buffer(Math.toIntExact(type.bytes(k)));
            for (int row : rows) {
                float[] numbers = step.call("rows", weight, row, row + 1).floats();
                GgufBlocks.encode(type, numbers, bytes.clear());
                put(channel, bytes.flip());
            }
        }
    }

    /// Codes u (N, K) from 0, with scales and zeros (N, G).
    private record Codes(Value codes, int bits, int k, Value scale, @Nullable Value zero) {}

    private static void write(
            Codes from, GgufType type, int[] rows, WritableByteChannel channel, TensorScope step)
            throws IOException {
        int k = from.k();
        byte[] codes = bytes(step.call("cast", from.codes(), DType.U8.code()).rawBytes());
        float[] scales = from.scale().floats();
        float[] zeros = from.zero() == null ? new float[scales.length] : from.zero().floats();
        int groups = scales.length / rows.length;
        int half = 1 << from.bits() - 1;
        int centre = type == GgufType.Q4_0 ? 8 : type == GgufType.Q5_0 ? 16 : 0;
        boolean signed = type == GgufType.Q8_0;
        boolean minimum = type == GgufType.Q4_1 || type == GgufType.Q5_1;
        int[] block = new int[type.block()];
        ByteBuffer bytes = buffer(Math.toIntExact(type.bytes(k)));
        for (int row : rows) {
            bytes.clear();
            for (int first = 0; first < k; first += block.length) {
                int group = row * groups + (int) ((long) first * groups / k);
                for (int i = 0; i < block.length; i++) {
                    int u = codes[row * k + first + i] & 0xff;
                    block[i] = minimum ? u : signed ? u - half : u - half + centre;
                }
                float m = -(half + zeros[group]) * scales[group];
                GgufBlocks.codes(type, scales[group], m, block, 0, bytes);
            }
            put(channel, bytes.flip());
        }
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void put(WritableByteChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            int _ = channel.write(bytes);
        }
    }
}
