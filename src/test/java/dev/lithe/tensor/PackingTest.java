package dev.lithe.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Packed codes bit by bit, against words worked out by hand from compressed-tensors' rule: the
/// unsigned code `q + 2^(b-1)` of element i of a row at bits `b i` to `b (i + 1)` of the row's
/// little-endian bit stream.
class PackingTest {
    private static final long SEED = 5;

    @Test
    void fourBitsFillAWordFromItsLowEnd() {
        assertThat(packed(4, 1, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7))
                .containsExactly(0x76543210, 0xFEDCBA98);
    }

    @Test
    void twoAndEightBits() {
        assertThat(packed(2, 1, -2, -1, 0, 1, -2, -1, 0, 1, -2, -1, 0, 1, -2, -1, 0, 1))
                .containsExactly(0xE4E4E4E4);
        assertThat(packed(8, 1, -128, -1, 0, 127)).containsExactly(0xFF807F00);
    }

    @Test
    void threeBitsCrossWords() {
        // 0 1 2 ... 7 is the 24-bit number 111 110 101 100 011 010 001 000 = FAC688
        int[] row = new int[32];
        for (int i = 0; i < 32; i++) {
            row[i] = i % 8 - 4;
        }
        assertThat(packed(3, 1, row)).containsExactly(0x88FAC688, 0xC688FAC6, 0xFAC688FA);
    }

    @Test
    void fiveAndSixBitsCrossWords() {
        // codes 0 1 2 ... 6, of five bits each: the last one's upper bit begins the next word
        assertThat(packed(5, 1, -16, -15, -14, -13, -12, -11, -10)).containsExactly(0x8A418820, 1);
        // codes 1 2 ... 6, of six bits each
        assertThat(packed(6, 1, -31, -30, -29, -28, -27, -26)).containsExactly(0x85103081, 1);
    }

    @Test
    void eachRowStartsAWordAndIsFilledUpWithZeroBits() {
        assertThat(packed(3, 2, 3, 3, 3, -4, -4, -3)).containsExactly(0x1FF, 0x40);
    }

    @Test
    void zeroPointsArePackedDownTheRows() {
        try (var scope = TensorScope.open()) {
            Value zero = scope.tensor(new long[] {-8, 0, 1, 7, -1, 2}, 3, 2);
            Value packed = scope.call("pack_zero", zero, 4);
            assertThat(packed.shape()).containsExactly(1, 2);
            assertThat(packed.longs()).containsExactly(0x790, 0xAF8);
            assertThat(scope.call("unpack_zero", packed, 4, 3).longs())
                    .containsExactly(-8, 0, 1, 7, -1, 2);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
    void everyWidthComesBackForOddSizes(int bits) {
        var random = new Random(SEED + bits);
        int half = 1 << (bits - 1);
        for (int[] size : new int[][] {{1, 1}, {3, 5}, {7, 31}, {2, 32}, {5, 33}, {33, 127}}) {
            long[] codes = random.longs((long) size[0] * size[1], -half, half).toArray();
            try (var scope = TensorScope.open()) {
                Value q = scope.tensor(codes, size[0], size[1]);
                Value packed = scope.call("pack_codes", q, bits);
                assertThat(packed.dtype()).isEqualTo(DType.I32);
                if (NativeLibrary.chosen().isPresent()) {
                    Value bytes = scope.call("cast", q, DType.I8.code());
                    assertThat(NativeRounding.pack(bytes, bits, scope).longs())
                            .isEqualTo(packed.longs());
                }
                assertThat(packed.shape()).containsExactly(size[0], (size[1] * bits + 31) / 32);
                long[] back = scope.call("unpack", packed, bits, size[1]).longs();
                assertThat(back).as("seed %d", SEED + bits).hasSameSizeAs(codes);
                for (int i = 0; i < codes.length; i++) {
                    assertThat(back[i] - half).as("element %d", i).isEqualTo(codes[i]);
                }
                Value zero = scope.call("pack_zero", q, bits);
                assertThat(scope.call("unpack_zero", zero, bits, size[0]).longs()).isEqualTo(codes);
            }
        }
    }

    @Test
    void viewsOfALargerTensorAreReadFromWhereTheyStart() {
        try (var scope = TensorScope.open()) {
            Value q = scope.tensor(new long[] {-8, -7, -6, -5, 4, 5, 6, 7}, 2, 4);
            Value packed = scope.call("rows", scope.call("pack_codes", q, 4), 1, 2);
            assertThat(scope.call("unpack", packed, 4, 4).longs()).containsExactly(12, 13, 14, 15);
            Value row = scope.call("rows", q, 1, 2);
            assertThat(row.rawBytes().getLong(0)).isEqualTo(4);
        }
    }

    private static int[] packed(int bits, int rows, int... codes) {
        try (var scope = TensorScope.open()) {
            long[] longs = new long[codes.length];
            for (int i = 0; i < codes.length; i++) {
                longs[i] = codes[i];
            }
            Value q = scope.tensor(longs, rows, codes.length / rows);
            long[] words = scope.call("pack_codes", q, bits).longs();
            if (NativeLibrary.chosen().isPresent()) {
                Value bytes = scope.call("cast", q, DType.I8.code());
                assertThat(NativeRounding.pack(bytes, bits, scope).longs()).isEqualTo(words);
            }
            int[] result = new int[words.length];
            for (int i = 0; i < words.length; i++) {
                result[i] = (int) words[i];
            }
            return result;
        }
    }
}
