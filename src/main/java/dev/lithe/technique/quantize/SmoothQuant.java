package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// SmoothQuant (Xiao, Lin, Seznec, Wu, Demouth, Han: "SmoothQuant: Accurate and Efficient
/// Post-Training Quantization for Large Language Models", arXiv 2211.10438): channels whose
/// activations are large are divided by s where they are made, and the columns that read them
/// multiplied, so that both have a range that 8 bits hold; then both are quantized (W8A8).
///
/// For each [Fold], `s_j = max|X_j|^α / max|W_j|^(1-α)`. Weights are rounded per output, activations
/// per token while the model runs, as `rtn: {bits: 8, group_size: 0, activations: dynamic}` does.
///
///     smoothquant: {}
///     smoothquant: {alpha: 0.8, search: false}
///
/// W is (N, K), X (K, n). With `search`, α is the one of 0.1 to 0.9, or no scale, that loses least of
/// the readers' outputs on 4,096 calibration tokens, fold by fold; else it is `alpha` everywhere. The
/// authors fold into norms only; here v and up take scales of o and down too. A linear that is no
/// target is scaled where it reads the same channels as one that is.
@AutoService(Technique.class)
public final class SmoothQuant implements BlockTechnique<SmoothQuant.Config> {
    private static final int GRID = 10;

    /// @param alpha how much of the range goes from activations into weights, 0 to 1
    /// @param search whether alpha is chosen by its cost instead
    public record Config(double alpha, boolean search, List<String> targets, List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            if (!(alpha >= 0 && alpha <= 1)) {
                throw LitheException.badInput(
                        "alpha is %s; choose 0 to 1 (0.5 to 0.9 are usual)", alpha);
            }
        }
    }

    @Override
    public String name() {
        return "smoothquant";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "move the range of activations into weights, then quantize both to 8 bits";
    }

    @Override
    public Config defaults() {
        return new Config(0.8, true, List.of(), List.of());
    }

    @Override
    public boolean folds() {
        return true;
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        return new LinearForm.Int8(IntegerCodes.requireDense(before).dtype());
    }

    @Override
    public void apply(LoadedPart part, Settings<Config> settings) {
        Targets targets = targets(settings.common());
        List<LinearName> names = part.part().linears().stream().filter(targets::include).toList();
        try (var step = TensorScope.open()) {
            Map<Fold, Value> scales = new LinkedHashMap<>();
            for (Fold fold : Fold.of(part)) {
                if (fold.readers().stream().anyMatch(names::contains)) {
                    Config config = settings.of(fold.readers().getFirst());
                    scales.put(fold, scale(part, fold, config, step));
                }
            }
            scales.forEach((fold, scale) -> fold.apply(part, scale));
            for (LinearName name : names) {
                if (part.linear(name) instanceof Linear.Dense dense) {
                    var form = new LinearForm.Int8(dense.form().dtype());
                    int steps = IntegerCodes.SEARCH_STEPS;
                    part.set(name, IntegerCodes.int8(dense, form, steps, step));
                }
            }
        }
    }

    private static Value scale(LoadedPart part, Fold fold, Config config, TensorScope into) {
        try (var step = TensorScope.open()) {
            var inputs = InputSample.of(part, fold.slot(), step);
            Value weights =
                    step.list(fold.weights(part).stream().map(Linear.Dense::weight).toList());
            if (!config.search()) {
                return into.call("smoothing", inputs.peak(), weights, config.alpha());
            }
            List<Value> scales = new ArrayList<>();
            scales.add(step.call("ones", inputs.peak().size(0)));
            for (int i = 1; i < GRID; i++) {
                scales.add(step.call("smoothing", inputs.peak(), weights, (double) i / GRID));
            }
            return into.keep(
                    Fold.cheapest(
                            scales,
                            s -> step.call("smoothed_error", inputs.rows(), weights, s).number()));
        }
    }
}
