package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// AWQ (Lin, Tang, Tang, Yang, Chen, Wang, Xiao, Dang, Gan, Han: "AWQ: Activation-aware Weight
/// Quantization for LLM Compression and Acceleration", arXiv 2306.00978): input channels that are
/// large on the calibration text are scaled up before rounding, and so lose less; what makes them is
/// scaled down, and the model stays what it is.
///
/// For each [Fold], `s = x̄^r / w̄^(1-r)` with r of 0, 0.05 ... 0.95, or no scale, whichever loses
/// least of the outputs: `||x Wᵀ - (x / s) quant(W s)ᵀ||²`, summed over the readers. x̄ is
/// the mean of |x|, w̄ that of |w| as a share of its group's largest (1 where `duo` is false). Then,
/// slot by slot, the range of each group is clipped to lose least of its share of the outputs.
///
///     awq: {bits: 4, group_size: 32, symmetric: true, ignore: [lm_head]}
///     awq: {bits: 4, group_size: 32, quantize: false}     # before gptq of the same bits and groups
///
/// W is (N, K). Groups and `indivisible` are as in [Rtn]. `clip: false` takes Rtn's ranges. With
/// `quantize: false` only scales are folded in, and linears stay dense. A linear that is no target
/// is scaled where it reads the same channels as one that is; where one of them is quantized
/// already, the channels stay. v is not scaled for o where heads share values.
///
/// Departures from the authors' code: errors are taken at the outputs of the linears, where they
/// take them behind attention or the whole feed-forward part (taking them behind the block chose no
/// better scales on a 7 M model at 3 bits, for more time); and q and k are clipped too, since the
/// search here never clips for nothing.
@AutoService(Technique.class)
public final class Awq implements BlockTechnique<Awq.Config> {
    private static final int GRID = 20;

    /// Clips tried per group for each scale on the grid: a coarse search ranks scales as a fine
    /// one.
    private static final int GRID_STEPS = 4;

    /// Outputs of a linear, evenly spaced, by which scales are ranked: each is an error of its own,
    /// and hundreds give the mean well enough. A linear counts by all that it has.
    private static final int GRID_ROWS = 512;

    /// @param bits 2 to 8
    /// @param groupSize inputs that share a scale; 0 for a whole row
    /// @param symmetric no zero points
    /// @param duo whether the size of weights counts too in the scales that are tried
    /// @param clip whether ranges are searched by what they cost the outputs
    /// @param quantize false to fold scales in and leave linears dense
    public record Config(
            int bits,
            int groupSize,
            boolean symmetric,
            boolean duo,
            boolean clip,
            boolean quantize,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkBits(bits);
            IntegerCodes.checkGroupSize(groupSize);
        }
    }

    @Override
    public String name() {
        return "awq";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "scale up the channels that matter, clip ranges by their cost, round to nearest";
    }

    @Override
    public Config defaults() {
        return new Config(4, 32, true, true, true, true, Indivisible.INT8, List.of(), List.of());
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
    public List<String> stageKeys() {
        return List.of("duo");
    }

    @Override
    public boolean exact(Config config) {
        return !config.quantize();
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        LinearForm quantized = form(linear, before, config);
        return config.quantize() ? quantized : before;
    }

    private static LinearForm form(LinearName linear, LinearForm before, Config config) {
        return IntegerCodes.form(
                linear,
                before,
                config.bits(),
                config.groupSize(),
                config.symmetric(),
                config.indivisible());
    }

    /// Every scale of the grid rounds some rows and takes what they lose; then all rows are
    /// clipped.
    @Override
    public double operations(LinearName linear, Config config) {
        double n = linear.outFeatures();
        double k = linear.inFeatures();
        double share = Math.min(1, GRID_ROWS / n);
        double trial = IntegerCodes.operations(linear, GRID_STEPS) + 2 * n * k * k;
        int group = config.groupSize() == 0 ? 1 : config.groupSize();
        double clipping =
                IntegerCodes.operations(linear, IntegerCodes.SEARCH_STEPS)
                        + 4.0 * IntegerCodes.SEARCH_STEPS * n * k * group;
        return (1 + GRID) * share * trial + (config.quantize() ? clipping : 0);
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        return IntegerCodes.workingBytes(linear);
    }

    @Override
    public void apply(LoadedPart part, Settings<Config> settings) {
        Config config = settings.common();
        Map<LinearName, LinearForm.Grouped> forms = forms(part, settings);
        try (var step = TensorScope.open()) {
            Map<Fold, Value> scales = new LinkedHashMap<>();
            for (Fold fold : Fold.of(part)) {
                if (fold.readers().stream().anyMatch(forms::containsKey)) {
                    scales.put(fold, scale(part, fold, forms, config.duo(), step));
                }
            }
            scales.forEach((fold, scale) -> fold.apply(part, scale));
        }
        forms.keySet().removeIf(name -> !settings.of(name).quantize());
        part.part().slots().forEach(slot -> quantize(part, slot, forms, settings));
    }

    /// What the targets in `part` are to become.
    private Map<LinearName, LinearForm.Grouped> forms(LoadedPart part, Settings<Config> settings) {
        Map<LinearName, LinearForm.Grouped> forms = new HashMap<>();
        for (LinearName name : part.part().linears()) {
            if (targets(settings.common()).include(name)
                    && part.linear(name) instanceof Linear.Dense dense
                    && form(name, dense.form(), settings.of(name))
                            instanceof LinearForm.Grouped form) {
                forms.put(name, form);
            }
        }
        return forms;
    }

    private static Value scale(
            LoadedPart part,
            Fold fold,
            Map<LinearName, LinearForm.Grouped> forms,
            boolean duo,
            TensorScope into) {
        try (var step = TensorScope.open()) {
            Value inputs = InputSample.of(part, fold.slot(), step).mean();
            Value hessian = part.statistics(fold.slot(), step).hessian();
            List<Reader> readers = new ArrayList<>();
            for (LinearName name : fold.readers()) {
                LinearForm.Grouped form = forms.get(name);
                if (form != null && part.linear(name) instanceof Linear.Dense dense) {
                    int rows = dense.weight().size(0);
                    int every = Math.max(1, rows / GRID_ROWS);
                    Value sample = step.call("every_row", dense.weight(), every);
                    readers.add(new Reader(sample, (double) rows / sample.size(0), form));
                }
            }
            Value weights =
                    step.call(
                            "weight_mean",
                            step.list(readers.stream().map(Reader::weight).toList()),
                            step.list(readers.stream().mapToLong(Reader::group).toArray()));
            List<Value> scales = new ArrayList<>(List.of(step.call("ones", inputs.size(0))));
            for (int i = 0; i < GRID; i++) {
                scales.add(step.call("awq_scale", inputs, weights, (double) i / GRID, duo));
            }
            return into.keep(
                    Fold.cheapest(
                            scales,
                            s ->
                                    readers.stream()
                                            .mapToDouble(reader -> reader.cost(hessian, s))
                                            .sum()));
        }
    }

    /// A linear that reads scaled channels, and what it is to become.
    ///
    /// @param weight some of its rows
    /// @param outputs that each of them stands for
    private record Reader(Value weight, double outputs, LinearForm.Grouped form) {
        long group() {
            return IntegerCodes.group(form, weight);
        }

        double cost(Value hessian, Value s) {
            try (var trial = TensorScope.open()) {
                return outputs
                        * trial.call(
                                        "rounding_error",
                                        trial.call("scale_columns", weight, s),
                                        trial.call("scaled_hessian", hessian, s),
                                        form.bits(),
                                        group(),
                                        form.symmetric(),
                                        GRID_STEPS,
                                        form.scaleType().code())
                                .number();
            }
        }
    }

    private static void quantize(
            LoadedPart part,
            Slot slot,
            Map<LinearName, LinearForm.Grouped> forms,
            Settings<Config> settings) {
        List<LinearName> names =
                part.part().linears(slot).stream().filter(forms::containsKey).toList();
        if (names.isEmpty()) {
            return;
        }
        try (var step = TensorScope.open()) {
            Value hessian = part.statistics(slot, step).hessian();
            for (LinearName name : names) {
                LinearForm.Grouped form = forms.get(name);
                if (form != null && part.linear(name) instanceof Linear.Dense dense) {
                    List<Value> codes =
                            settings.of(name).clip()
                                    ? clipped(dense, form, hessian, step)
                                    : IntegerCodes.round(
                                            dense, form, IntegerCodes.SEARCH_STEPS, step);
                    part.set(name, IntegerCodes.grouped(codes, dense, form, step));
                }
            }
        }
    }

    private static List<Value> clipped(
            Linear.Dense dense, LinearForm.Grouped form, Value hessian, TensorScope step) {
        return step.call(
                        "clip_codes",
                        dense.weight(),
                        hessian,
                        form.bits(),
                        IntegerCodes.group(form, dense.weight()),
                        form.symmetric(),
                        IntegerCodes.SEARCH_STEPS,
                        form.scaleType().code())
                .members();
    }
}
