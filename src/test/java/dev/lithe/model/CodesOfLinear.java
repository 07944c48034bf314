package dev.lithe.model;

import dev.lithe.RawTensor;
import dev.lithe.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;

/// Random codes, zero points and scales of a linear, and the layouts that tools store them in,
/// written plainly: `w = (u - z) s`.
///
/// @param bits of a code
/// @param u codes (N, K) from 0
/// @param z zero points (N, G) among them
/// @param s scales (N, G), float16 numbers
/// @param group of each column
record CodesOfLinear(int bits, int[][] u, int[][] z, float[][] s, int[] group) {
    /// Zero points are in the middle where `symmetric`, else anywhere from 1 on.
    static CodesOfLinear random(int bits, int n, int k, int groupSize, boolean symmetric) {
        var random = new Random(5);
        int groups = k / groupSize;
        int[][] u = new int[n][k];
        int[][] z = new int[n][groups];
        float[][] s = new float[n][groups];
        int[] group = new int[k];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < k; j++) {
                u[i][j] = random.nextInt(1 << bits);
                group[j] = j / groupSize;
            }
            for (int g = 0; g < groups; g++) {
                z[i][g] = symmetric ? 1 << bits - 1 : 1 + random.nextInt((1 << bits) - 1);
                float scale = (float) (0.05 + Math.abs(random.nextGaussian()) / 10);
                s[i][g] = Float.float16ToFloat(Float.floatToFloat16(scale));
            }
        }
        return new CodesOfLinear(bits, u, z, s, group);
    }

    /// The same with columns that belong to groups in no order.
    CodesOfLinear shuffled() {
        int[] shuffled = group.clone();
        var random = new Random(6);
        for (int i = shuffled.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int other = shuffled[i];
            shuffled[i] = shuffled[j];
            shuffled[j] = other;
        }
        return new CodesOfLinear(bits, u, z, s, shuffled);
    }

    int n() {
        return u.length;
    }

    int k() {
        return u[0].length;
    }

    int groups() {
        return s[0].length;
    }

    /// The weights, (N, K).
    float[] weights() {
        float[] weights = new float[n() * k()];
        for (int i = 0; i < n(); i++) {
            for (int j = 0; j < k(); j++) {
                weights[i * k() + j] = (u[i][j] - z[i][group[j]]) * s[i][group[j]];
            }
        }
        return weights;
    }

    /// One code after the other, `bits` apiece, lowest bit first.
    static RawTensor stream(int bits, int[][] rows) {
        int words = Math.ceilDiv(rows[0].length * bits, 32);
        int[][] packed = new int[rows.length][words];
        for (int i = 0; i < rows.length; i++) {
            for (int j = 0; j < rows[i].length; j++) {
                for (int bit = 0; bit < bits; bit++) {
                    int at = j * bits + bit;
                    packed[i][at / 32] |= (rows[i][j] >> bit & 1) << at % 32;
                }
            }
        }
        return words(packed);
    }

    static int[][] turned(int[][] rows) {
        int[][] turned = new int[rows[0].length][rows.length];
        for (int i = 0; i < rows.length; i++) {
            for (int j = 0; j < rows[i].length; j++) {
                turned[j][i] = rows[i][j];
            }
        }
        return turned;
    }

    static int[][] plus(int[][] rows, int number) {
        int[][] sum = new int[rows.length][rows[0].length];
        for (int i = 0; i < rows.length; i++) {
            for (int j = 0; j < rows[i].length; j++) {
                sum[i][j] = rows[i][j] + number;
            }
        }
        return sum;
    }

    static RawTensor words(int[][] rows) {
        ByteBuffer bytes = little(rows.length * rows[0].length * 4);
        for (int[] row : rows) {
            for (int word : row) {
                bytes.putInt(word);
            }
        }
        return new RawTensor(
                "I32", List.of((long) rows.length, (long) rows[0].length), bytes.array());
    }

    /// A tensor of words (A, B) as (B, A).
    static RawTensor turned(RawTensor tensor) {
        int rows = tensor.shape().get(0).intValue();
        int columns = tensor.shape().get(1).intValue();
        ByteBuffer in = ByteBuffer.wrap(tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        int[][] words = new int[columns][rows];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                words[j][i] = in.getInt();
            }
        }
        return words(words);
    }

    static RawTensor bytes(int[][] rows) {
        ByteBuffer bytes = little(rows.length * rows[0].length);
        for (int[] row : rows) {
            for (int number : row) {
                bytes.put((byte) number);
            }
        }
        return new RawTensor(
                "I8", List.of((long) rows.length, (long) rows[0].length), bytes.array());
    }

    static RawTensor list(int[] numbers) {
        ByteBuffer bytes = little(numbers.length * 4);
        for (int number : numbers) {
            bytes.putInt(number);
        }
        return new RawTensor("I32", List.of((long) numbers.length), bytes.array());
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /// Scales (N, G).
    RawTensor scales(DType type) {
        float[] flat = new float[n() * groups()];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = s[i / groups()][i % groups()];
        }
        return RawTensor.of(type, flat, n(), groups());
    }

    /// Scales (G, N).
    RawTensor turnedScales(DType type) {
        float[] flat = new float[n() * groups()];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = s[i % n()][i / n()];
        }
        return RawTensor.of(type, flat, groups(), n());
    }
}
