package dev.lithe.technique.share;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Each weight as one of 2^b numbers of its output, found by weighted k-means (Kim, Hooper, Gholami,
/// Dong, Li, Shen, Mahoney, Keutzer: "SqueezeLLM: Dense-and-Sparse Quantization", arXiv 2306.07629,
/// section 4.1), where a weight counts as much as an error in it moves the output.
///
/// `min Σ_j h_jj (w_j - c_(a_j))²` for each row, `H = 2/n X Xᵀ`, by Lloyd's steps from two starts: even
/// steps, and quantiles of the weights; the better one stays. With `compensate` the columns that are
/// still to come make up for what each loses, as GPTQ does, with tables found beforehand.
///
///     codebook: {bits: 3, iterations: 30, compensate: true, ignore: [lm_head]}
///
/// W is (N, K), indices b bits each, tables (N, 2^b) in W's type: `b + 2^b · 16 / K` bits per weight in
/// float16, 3.5 for 3 bits and 256 inputs. It runs as float16 weights, expanded when it is loaded: as
/// fast and as large in memory as those.
@AutoService(Technique.class)
public final class CodebookSharing implements CalibratedLinearTechnique<CodebookSharing.Config> {
    private static final int MOST_BITS = 6;
    private static final double DAMPING = 0.01;
    private static final int BLOCK = 128;
    private static final long PER_WEIGHT = 24;

    /// @param bits of an index, 2 to 6
    /// @param iterations of k-means
    /// @param compensate whether later weights make up for the errors of earlier ones
    public record Config(
            int bits,
            int iterations,
            boolean compensate,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            if (bits < 2 || bits > MOST_BITS) {
                throw LitheException.badInput(
                        "bits is %d; choose 2 to %d (3 is usual)", bits, MOST_BITS);
            }
            if (iterations < 1) {
                throw LitheException.badInput(
                        "iterations is %d; choose 1 or more (30 is usual)", iterations);
            }
        }
    }

    @Override
    public String name() {
        return "codebook";
    }

    @Override
    public Family family() {
        return Family.SHARING;
    }

    @Override
    public String summary() {
        return "store weights as indices into the few numbers of their output that serve best";
    }

    @Override
    public Config defaults() {
        return new Config(3, 30, true, List.of(), List.of("lm_head"));
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        if (!(before instanceof LinearForm.Dense dense)) {
            throw LitheException.badInput(
                    "linears are already %s; it takes dense ones, so it goes before",
                    before.label());
        }
        boolean rows = linear.outFeatures() > 1;
        return new LinearForm.Codebook(config.bits(), 0, rows, dense.dtype(), dense.dtype());
    }

    /// Each step sets every weight against every number of its table.
    @Override
    public double operations(LinearName linear, Config config) {
        double k = linear.inFeatures();
        double compensation = config.compensate() ? k * k * (k + linear.outFeatures()) : 0;
        return ELEMENT * 4 * config.iterations() * (1 << config.bits()) * linear.weights()
                + compensation;
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        long k = linear.inFeatures();
        return PER_WEIGHT * linear.weights() + 4 * Float.BYTES * k * k;
    }

    @Override
    public Fitted apply(
            Linear before,
            LinearForm after,
            InputStatistics seen,
            Config config,
            TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)
                || !(after instanceof LinearForm.Codebook form)) {
            return new Fitted(before, null);
        }
        try (var step = TensorScope.open()) {
            Value weight = step.call("to_float", dense.weight());
            int type = form.tableType().code();
            Value table =
                    step.call(
                            "kmeans_tables",
                            weight,
                            seen.hessian(),
                            form.bits(),
                            config.iterations(),
                            type);
            List<Value> factor = config.compensate() ? factor(seen) : List.of();
            Value indices =
                    factor.isEmpty()
                            ? step.call("nearest_in_rows", weight, table)
                            : step.call("compensated_in_rows", weight, table, factor.get(2), BLOCK);
            String trouble =
                    config.compensate() && factor.isEmpty()
                            ? "not compensated, since its Hessian is not positive definite"
                            : null;
            return new Fitted(
                    new Linear.Codebook(
                            scope.call("pack", indices, form.bits()),
                            scope.call("cast", table, type),
                            null,
                            scope.tensor(dense.weight().shape(), 2),
                            dense.bias(),
                            form),
                    trouble);
        }
    }

    private record Factor() {}

    private static List<Value> factor(InputStatistics seen) {
        return seen.derived(
                new Factor(),
                owner -> owner.call("gptq_factor", seen.hessian(), 1, false, DAMPING).members());
    }
}
