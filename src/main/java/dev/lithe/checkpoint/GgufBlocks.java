package dev.lithe.checkpoint;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.nio.ByteBuffer;

/// Rounds numbers to the blocks of a [GgufType], as llama.cpp's reference quantizers do, so that
/// the same numbers give the same bytes.
public final class GgufBlocks {
    private static final int BLOCK = 32;
    private static final int HALF = 16;
    private static final int LEVELS = 16;

    private GgufBlocks() {}

    /// Appends `row`, whose length is whole blocks, to the little-endian buffer `to`.
    public static void encode(GgufType type, float[] row, ByteBuffer to) {
        switch (type) {
            case F32 -> {
                for (float x : row) {
                    to.putFloat(x);
                }
            }
            case F16 -> {
                for (float x : row) {
                    to.putShort(Float.floatToFloat16(x));
                }
            }
            case BF16 -> {
                for (float x : row) {
                    to.putShort(bfloat16(x));
                }
            }
            case Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 -> {
                for (int first = 0; first < row.length; first += BLOCK) {
                    block(type, row, first, to);
                }
            }
            case Q2_K, Q3_K, Q4_K, Q5_K, Q6_K ->
                    throw LitheException.of(Fault.INTERNAL, "nothing writes %s", type);
        }
    }

    /// To the nearest, ties to even.
    private static short bfloat16(float x) {
        int bits = Float.floatToRawIntBits(x);
        return Float.isNaN(x)
                ? (short) (bits >>> 16 | 0x40)
                : (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    private static void block(GgufType type, float[] row, int first, ByteBuffer to) {
        switch (type) {
            case Q8_0 -> {
                float peak = 0;
                for (int i = 0; i < BLOCK; i++) {
                    peak = Math.max(peak, Math.abs(row[first + i]));
                }
                float d = peak / 127;
                float inverse = d == 0 ? 0 : 1 / d;
                int[] codes = new int[BLOCK];
                for (int i = 0; i < BLOCK; i++) {
                    float x = row[first + i] * inverse;
                    codes[i] = (int) Math.copySign(Math.floor(Math.abs(x) + 0.5f), x);
                }
                codes(type, d, 0, codes, 0, to);
            }
            case Q4_0 -> centred(type, LEVELS, row, first, to);
            case Q5_0 -> centred(type, 2 * LEVELS, row, first, to);
            case Q4_1 -> ranged(type, LEVELS, row, first, to);
            case Q5_1 -> ranged(type, 2 * LEVELS, row, first, to);
            default -> throw LitheException.of(Fault.INTERNAL, "nothing writes %s", type);
        }
    }

    /// The number of the largest magnitude becomes the lowest level.
    private static void centred(GgufType type, int levels, float[] row, int first, ByteBuffer to) {
        float largest = 0;
        for (int i = 0; i < BLOCK; i++) {
            if (Math.abs(row[first + i]) > Math.abs(largest)) {
                largest = row[first + i];
            }
        }
        float d = largest / -(levels / 2);
        float inverse = d == 0 ? 0 : 1 / d;
        int[] codes = new int[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            codes[i] = Math.min(levels - 1, (int) (row[first + i] * inverse + levels / 2 + 0.5f));
        }
        codes(type, d, 0, codes, 0, to);
    }

    private static void ranged(GgufType type, int levels, float[] row, int first, ByteBuffer to) {
        float low = Float.MAX_VALUE;
        float high = -Float.MAX_VALUE;
        for (int i = 0; i < BLOCK; i++) {
            low = Math.min(low, row[first + i]);
            high = Math.max(high, row[first + i]);
        }
        float d = (high - low) / (levels - 1);
        float inverse = d == 0 ? 0 : 1 / d;
        int[] codes = new int[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            codes[i] = Math.min(levels - 1, (int) ((row[first + i] - low) * inverse + 0.5f));
        }
        codes(type, d, low, codes, 0, to);
    }

    /// Appends the block of 32 `codes` from `first` on: signed for [GgufType#Q8_0], else from 0.
    ///
    /// @param d scale
    /// @param m minimum, of types that have one
    public static void codes(
            GgufType type, float d, float m, int[] codes, int first, ByteBuffer to) {
        to.putShort(Float.floatToFloat16(d));
        if (type == GgufType.Q4_1 || type == GgufType.Q5_1) {
            to.putShort(Float.floatToFloat16(m));
        }
        if (type == GgufType.Q8_0) {
            for (int i = 0; i < BLOCK; i++) {
                to.put((byte) codes[first + i]);
            }
            return;
        }
        if (type == GgufType.Q5_0 || type == GgufType.Q5_1) {
            int high = 0;
            for (int i = 0; i < BLOCK; i++) {
                high |= (codes[first + i] >> 4 & 1) << i;
            }
            to.putInt(high);
        }
        for (int i = 0; i < HALF; i++) {
            to.put((byte) (codes[first + i] & 15 | (codes[first + i + HALF] & 15) << 4));
        }
    }
}
