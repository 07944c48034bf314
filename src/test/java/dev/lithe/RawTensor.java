package dev.lithe;

import dev.lithe.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/// A tensor as bytes, made without the code under test.
///
/// @param dtype as safetensors names it
public record RawTensor(String dtype, List<Long> shape, byte[] bytes) {
    public RawTensor {
        shape = List.copyOf(shape);
    }

    /// `values` in a float type, rounded to the nearest.
    public static RawTensor of(DType dtype, float[] values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * dtype.bytes());
        bytes.order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) {
            switch (dtype) {
                case F32 -> bytes.putFloat(value);
                case F64 -> bytes.putDouble(value);
                case F16 -> bytes.putShort(Float.floatToFloat16(value));
                case BF16 -> bytes.putShort(toBfloat16(value));
                case U8, I8, I16, I32, I64, BOOL, F8_E4M3 ->
                        throw new AssertionError(dtype + " is no float type");
            }
        }
        return new RawTensor(dtype.name(), boxed(shape), bytes.array());
    }

    /// The elements of a float tensor.
    public float[] floats() {
        ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        DType type = DType.valueOf(dtype);
        float[] values = new float[bytes.length / type.bytes()];
        for (int i = 0; i < values.length; i++) {
            values[i] =
                    switch (type) {
                        case F32 -> in.getFloat();
                        case F64 -> (float) in.getDouble();
                        case F16 -> Float.float16ToFloat(in.getShort());
                        case BF16 -> Float.intBitsToFloat(in.getShort() << 16);
                        case U8, I8, I16, I32, I64, BOOL, F8_E4M3 ->
                                throw new AssertionError(dtype + " is no float type");
                    };
        }
        return values;
    }

    private static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        int nearestEven = 0x7fff + ((bits >> 16) & 1);
        return (short) ((bits + nearestEven) >> 16);
    }

    private static List<Long> boxed(long... shape) {
        return java.util.Arrays.stream(shape).boxed().toList();
    }
}
