package dev.lithe.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every set of instructions against the TorchScript that it stands in for.
class NativeRoundingTest {
    private static final int N = 37;
    private static final int K = 96;

    static List<Instructions> runnable() {
        return NativeLibrary.runnable();
    }

    private record Case(int bits, int group, boolean symmetric, DType weights, DType scales) {}

    private static List<Case> cases() {
        Random random = new Random(7);
        List<DType> floats = List.of(DType.F32, DType.F16, DType.BF16);
        return List.of(2, 3, 4, 5, 6, 7, 8).stream()
                .flatMap(bits ->
                        List.of(8, 32, K).stream()
                                .flatMap(group ->
                                        List.of(true, false).stream()
                                                .map(symmetric ->
                                                        new Case(
                                                                bits,
                                                                group,
                                                                symmetric,
                                                                floats.get(random.nextInt(3)),
                                                                floats.get(random.nextInt(3))))))
                .toList();
    }

    /// Normal weights, a row of zeros, one of a single sign, one with an outlier, tiny ones.
    private static float[] weights() {
        Random random = new Random(3);
        float[] w = new float[N * K];
        for (int i = 0; i < w.length; i++) {
            w[i] = (float) random.nextGaussian() * 0.05f;
        }
        for (int i = 0; i < K; i++) {
            w[i] = 0;
            w[K + i] = Math.abs(w[K + i]);
            w[2 * K + i] *= 1e-6f;
        }
        w[3 * K + 5] = 9;
        return w;
    }

    @ParameterizedTest
    @MethodSource("runnable")
    void rangesAsTheyAreGiveTheSameCodes(Instructions instructions) {
        for (Case each : cases()) {
            try (var scope = TensorScope.open()) {
                Value w = scope.call("cast", scope.tensor(weights(), N, K), each.weights().code());
                List<Value> ours = ours(w, each, 0, instructions, scope);
                List<Value> theirs = theirs(w, each, 0, scope);
                assertThat(ours.get(1).dtype()).as("%s", each).isEqualTo(each.scales());
                for (int i = 0; i < theirs.size(); i++) {
                    assertThat(ours.get(i).floats())
                            .as("%s, part %d", each, i)
                            .isEqualTo(theirs.get(i).floats());
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("runnable")
    void theSearchLosesNoMore(Instructions instructions) {
        for (Case each : cases()) {
            try (var scope = TensorScope.open()) {
                Value w = scope.call("cast", scope.tensor(weights(), N, K), each.weights().code());
                List<Value> ours = ours(w, each, 14, instructions, scope);
                List<Value> theirs = theirs(w, each, 14, scope);
                double[] here = errors(w.floats(), ours, each.group());
                double[] there = errors(w.floats(), theirs, each.group());
                double all = 0;
                double allThere = 0;
                for (int i = 0; i < here.length; i++) {
                    all += here[i];
                    allThere += there[i];
                }
                assertThat(all)
                        .as("%s, %s", instructions, each)
                        .isBetween(allThere * 0.99, allThere * 1.005);
                long same = 0;
                for (int i = 0; i < here.length; i++) {
                    same += Math.abs(here[i] - there[i]) <= 1e-4 * there[i] ? 1 : 0;
                }
                assertThat(same)
                        .as("%s, %s: groups alike", instructions, each)
                        .isGreaterThanOrEqualTo(here.length * 90L / 100);
            }
        }
    }

    private static List<Value> ours(
            Value w, Case each, int steps, Instructions instructions, TensorScope scope) {
        return NativeRounding.round(
                w,
                each.bits(),
                each.group(),
                each.symmetric(),
                steps,
                each.scales(),
                instructions,
                scope);
    }

    private static List<Value> theirs(Value w, Case each, int steps, TensorScope scope) {
        return scope.call(
                        "rtn",
                        w,
                        each.bits(),
                        each.group(),
                        each.symmetric(),
                        steps,
                        each.scales().code())
                .members();
    }

    /// Squared error of each group.
    private static double[] errors(float[] w, List<Value> parts, int group) {
        long[] q = parts.get(0).longs();
        float[] scale = parts.get(1).floats();
        long[] zero = parts.size() > 2 ? parts.get(2).longs() : new long[scale.length];
        double[] errors = new double[scale.length];
        for (int i = 0; i < w.length; i++) {
            int g = i / group;
            double e = (q[i] - zero[g]) * (double) scale[g] - w[i];
            errors[g] += e * e;
        }
        return errors;
    }
}
