package dev.lithe.tensor;

import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.quantize.Gptq;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

/// Times GPTQ of one linear beside the plainest column loop: one scale per row that is given, no
/// search, no groups, the inverse's factor given too. Both run in turn, since shared cores make
/// absolute times worthless; the quotient of neighbours is what counts.
///
/// `eval/gptq-benchmark [N [K [ROUNDS]]]` runs it.
public final class GptqBenchmark {
    private static final long SEED = 1;

    /// The loop of the paper's figure 3.2, with lazy updates in blocks, on W (N, K).
    private static final String PLAIN =
            """
            class M(Module):
              __parameters__ = []
              __buffers__ = []
              training : bool
              def factor(self, H: Tensor) -> Tensor:
                inverse = torch.cholesky_inverse(torch.linalg_cholesky(H))
                return torch.linalg_cholesky(inverse, upper=True)
              def loop(self, W: Tensor, U: Tensor, scale: Tensor, half: float, block: int) -> Tensor:
                W = W.clone()
                Q = torch.zeros_like(W)
                K = W.size(1)
                for first in range(0, K, block):
                  last = min(first + block, K)
                  V = torch.contiguous(torch.t(W[:, first:last]))
                  E = torch.zeros_like(V)
                  D = U[first:last, first:last]
                  for i in range(last - first):
                    q = torch.clamp(torch.round(V[i] / scale), -half, half - 1.) * scale
                    e = (V[i] - q) / D[i, i]
                    V[i:] -= torch.outer(D[i, i:], e)
                    Q[:, first + i] = q
                    E[i] = e
                  W[:, last:] -= torch.matmul(torch.t(E), U[first:last, last:])
                return Q
              def multiply(self, x: Tensor, w: Tensor) -> Tensor:
                return torch.matmul(x, w)
            """;

    private final PtSymbolBlock plain;
    private final Map<String, List<Double>> seconds = new LinkedHashMap<>();

    private GptqBenchmark(PtSymbolBlock plain) {
        this.plain = plain;
    }

    /// `N K ROUNDS`, all optional.
    public static void main(String[] arguments) throws IOException {
        int n = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2048;
        int k = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 2048;
        int rounds = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 7;
        try (PtNDManager manager = Torch.newManager();
                var archive = new ByteArrayInputStream(Kernels.archive(PLAIN))) {
            new GptqBenchmark(JniUtils.loadModule(manager, archive, false, false))
                    .run(n, k, rounds);
        }
    }

    private void run(int n, int k, int rounds) {
        try (var scope = TensorScope.open()) {
            Value x = gaussian(2 * k, k, 1, scope);
            Value w = gaussian(n, k, 1 / Math.sqrt(k), scope);
            Value hessian = scope.call("zeros", k, k);
            Value _ = scope.call("add_outer", hessian, x, 1.0 / k);
            Value sums = scope.call("zeros", k, k);
            Value halves = scope.call("cast", w, DType.F16.code());
            Value factor = scope.own(plain("factor", hessian));
            float[] ones = new float[n];
            Arrays.fill(ones, (float) (0.4 / Math.sqrt(k)));
            Value scale = scope.tensor(ones, n);
            var gptq = new Gptq();
            var before = new Linear.Dense(halves, null, new LinearForm.Dense(DType.F16));
            var name = new LinearName("model.layers.0.mlp.down_proj", 0, Slot.DOWN, n, k, false);
            LinearForm after = gptq.outcome(name, before.form(), gptq.defaults());
            for (int i = 0; i <= rounds; i++) {
                boolean warm = i > 0;
                time("plain loop", warm, () -> plain("loop", w, factor, scale, 8.0, 128).close());
                var seen = new InputStatistics(hessian, 2L * k, scope);
                time("first of a slot", warm, () -> apply(gptq, before, after, seen));
                time("next of a slot", warm, () -> apply(gptq, before, after, seen));
                time("H of 2 K tokens", warm, () -> outer(sums, x));
                time("GEMM (N, K) (K, K)", warm, () -> plain("multiply", w, hessian).close());
            }
            print(n, k);
        }
    }

    private static void apply(Gptq gptq, Linear before, LinearForm after, InputStatistics seen) {
        try (var step = TensorScope.open()) {
            var _ = gptq.apply(before, after, seen, gptq.defaults(), step);
        }
    }

    private static void outer(Value hessian, Value x) {
        try (var step = TensorScope.open()) {
            Value _ = step.call("add_outer", hessian, x, 1.0);
        }
    }

    private IValue plain(String method, Object... arguments) {
        List<IValue> made = new ArrayList<>();
        IValue[] inputs = new IValue[arguments.length];
        for (int i = 0; i < inputs.length; i++) {
            inputs[i] =
                    switch (arguments[i]) {
                        case Value value -> value.handle();
                        case Integer number -> IValue.from(number.longValue());
                        case Double number -> IValue.from(number);
                        default -> throw new IllegalArgumentException();
                    };
            if (!(arguments[i] instanceof Value)) {
                made.add(inputs[i]);
            }
        }
        IValue result = IValueUtils.runMethod(plain, method, inputs);
        made.forEach(IValue::close);
        return result;
    }

    private void time(String what, boolean keep, Runnable work) {
        long start = System.nanoTime();
        work.run();
        if (keep) {
            seconds.computeIfAbsent(what, _ -> new ArrayList<>())
                    .add((System.nanoTime() - start) / 1e9);
        }
    }

    private void print(int n, int k) {
        List<Double> plainLoop = seconds.get("plain loop");
        System.out.printf("N = %d, K = %d, %d rounds, seed %d%n", n, k, plainLoop.size(), SEED);
        System.out.printf("%-20s %8s   to the plain loop: median [least, most]%n", "", "seconds");
        seconds.forEach((what, times) -> {
            double[] ratios = new double[times.size()];
            for (int i = 0; i < ratios.length; i++) {
                ratios[i] = times.get(i) / plainLoop.get(i);
            }
            Arrays.sort(ratios);
            System.out.printf(
                    Locale.ROOT,
                    "%-20s %8.3f   %.2f [%.2f, %.2f]%n",
                    what,
                    median(times),
                    ratios[ratios.length / 2],
                    ratios[0],
                    ratios[ratios.length - 1]);
        });
        System.out.printf(
                Locale.ROOT,
                "GEMM rate %.0f GFLOP/s%n",
                2e-9 * n * k * k / median(seconds.get("GEMM (N, K) (K, K)")));
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
    }

    private static Value gaussian(int rows, int columns, double deviation, TensorScope scope) {
        var random = new Random(SEED);
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return scope.tensor(values, rows, columns);
    }
}
