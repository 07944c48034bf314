package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.checkpoint.GgufType;
import dev.lithe.tensor.TensorScope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/// Blocks of 256 that Lithe makes, read by [RawGguf].
class KQuantsTest {
    private static final int ROWS = 16;
    private static final int K = 512;

    private static float[] rounded(GgufType type, float[] numbers) {
        try (var step = TensorScope.open()) {
            long[] order = LongStream.range(0, ROWS).toArray();
            var rows = step.tensor(numbers, ROWS, K);
            var made = step.call("k_rows", rows, step.tensor(order, ROWS), type.code());
            assertThat(made.shape()).containsExactly(ROWS, type.bytes(K));
            ByteBuffer bytes = made.rawBytes().order(ByteOrder.LITTLE_ENDIAN);
            return RawGguf.numbers(bytes, type.code(), numbers.length);
        }
    }

    private static float[] normal(long seed, double power) {
        var random = new Random(seed);
        float[] numbers = new float[ROWS * K];
        for (int i = 0; i < numbers.length; i++) {
            double x = random.nextGaussian();
            numbers[i] = (float) (0.02 * Math.signum(x) * Math.pow(Math.abs(x), power));
        }
        return numbers;
    }

    /// What the search is there to save, by the cost that it is to save. Without it, scales are
    /// those of each group's range, at Q6_K of its peak.
    @ParameterizedTest
    @CsvSource({"Q4_K,1,0.86", "Q4_K,2,0.86", "Q5_K,1,0.9", "Q5_K,2,0.9", "Q6_K,1,0.93"})
    void theSearchFindsBetterScales(GgufType type, double power, double share) {
        float[] exact = normal(3, power);
        int group = type == GgufType.Q6_K ? 16 : 32;
        float[] plain = new float[exact.length];
        for (int first = 0; first < exact.length; first += group) {
            float low = 0;
            float high = 0;
            for (int i = first; i < first + group; i++) {
                low = Math.min(low, exact[i]);
                high = Math.max(high, exact[i]);
            }
            float peak = high > -low ? high : low;
            float scale =
                    switch (type) {
                        case Q4_K -> (high - low) / 15;
                        case Q5_K -> (high - low) / 31;
                        default -> peak / -32;
                    };
            for (int i = first; i < first + group; i++) {
                plain[i] =
                        type == GgufType.Q6_K
                                ? scale * Math.clamp(Math.round(exact[i] / scale), -32, 31)
                                : scale * Math.round((exact[i] - low) / scale) + low;
            }
        }
        assertThat(cost(exact, rounded(type, exact), group))
                .isLessThan(share * cost(exact, plain, group));
    }

    private static double cost(float[] exact, float[] stored, int group) {
        double cost = 0;
        for (int first = 0; first < exact.length; first += group) {
            double squares = 0;
            for (int i = first; i < first + group; i++) {
                squares += exact[i] * exact[i] / group;
            }
            for (int i = first; i < first + group; i++) {
                double weight =
                        group == 16 ? exact[i] * exact[i] : Math.abs(exact[i]) + Math.sqrt(squares);
                cost += weight * Math.pow(exact[i] - stored[i], 2);
            }
        }
        return cost;
    }

    /// Numbers that a type can hold come back; all codes and scales occur.
    @ParameterizedTest
    @EnumSource(names = {"Q4_K", "Q5_K", "Q6_K"})
    void whatFitsComesBack(GgufType type) {
        var random = new Random(5);
        int group = type == GgufType.Q6_K ? 16 : 32;
        float[] exact = new float[ROWS * K];
        for (int first = 0; first < exact.length; first += group) {
            boolean top = first % 256 == 0; // a block's largest scale and minimum
            int scale =
                    type == GgufType.Q6_K
                            ? top ? -128 : random.nextInt(-128, 128)
                            : top ? 63 : random.nextInt(64);
            int minimum = top ? 63 : random.nextInt(64);
            int levels = type == GgufType.Q4_K ? 16 : type == GgufType.Q5_K ? 32 : 64;
            for (int i = 0; i < group; i++) {
                int q = i < 2 ? i * (levels - 1) : random.nextInt(levels);
                exact[first + i] =
                        type == GgufType.Q6_K
                                ? scale * (q - 32) / 1024f
                                : scale * q / 1024f - minimum * (levels / 2) / 1024f;
            }
        }
        double widest = type == GgufType.Q6_K ? 4 : 2;
        float[] stored = rounded(type, exact);
        double worst = 0;
        for (int i = 0; i < exact.length; i++) {
            worst = Math.max(worst, Math.abs(stored[i] - exact[i]));
        }
        assertThat(worst).isLessThan(widest / 1024);
    }

    /// Each line is what the numbers of a row are multiplied by, and what is added.
    @ParameterizedTest
    @CsvSource({"0,0", "0,0.5", "0,-0.5", "1e-3,1", "1e-3,-1", "1e4,0", "1e-20,0"})
    void oddRowsStayClose(float by, float plus) {
        float[] exact = normal(9, 1);
        float peak = 0;
        for (int i = 0; i < exact.length; i++) {
            exact[i] = exact[i] * by + plus;
            peak = Math.max(peak, Math.abs(exact[i]));
        }
        exact[700] = 8 * peak;
        for (GgufType type : new GgufType[] {GgufType.Q4_K, GgufType.Q5_K, GgufType.Q6_K}) {
            float[] stored = rounded(type, exact);
            double step = peak * (type == GgufType.Q4_K ? 0.15 : 0.09);
            for (int i = 0; i < exact.length; i++) {
                boolean besideOutlier = i / 256 == 2;
                assertThat(stored[i])
                        .as("%s %d", type, i)
                        .isCloseTo(
                                exact[i], within((float) (step * (besideOutlier ? 9 : 1) + 1e-7)));
            }
        }
    }
}
