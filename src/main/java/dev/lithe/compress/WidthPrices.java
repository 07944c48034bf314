package dev.lithe.compress;

import dev.lithe.calibrate.DivergenceProbe;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.Settings;
import dev.lithe.technique.quantize.Gptq;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;

/// What each width of a linear would cost the model: the divergence measured at one width, carried
/// over to the others by their output errors.
///
/// @param probe measures the divergence
record WidthPrices(Widths widths, DivergenceProbe probe) {
    /// Rows of a linear on which the error of a width is estimated.
    private static final int SAMPLED_ROWS = 64;

    /// The width at which divergence is measured: coarse enough to be seen, fine enough for its
    /// square law.
    private static final int REFERENCE_BITS = 3;

    private static final int CLIPS = 20;

    /// The choices that `name` has.
    ///
    /// @param before its form when the stage gets it
    /// @param seen statistics of its input
    List<Choice> of(LinearName name, Linear stored, LinearForm before, InputStatistics seen) {
        List<Integer> groupSizes = widths.groupSizes(name);
        int groupSize = groupSizes.getFirst();
        try (var step = TensorScope.open()) {
            Value rows = step.call("spread_rows", DenseWeights.of(stored, step), SAMPLED_ROWS);
            LinearForm reference = widths.form(name, stored.form(), REFERENCE_BITS, groupSize);
            double divergence = probe.divergence(name, coarse(name, stored, groupSize, seen, step));
            double error = error(reference, rows, seen, step);
            List<Choice> choices = new ArrayList<>();
            for (int bits : widths.allocation().bits()) {
                for (int size : groupSizes) {
                    LinearForm form = widths.form(name, stored.form(), bits, size);
                    double share = error == 0 ? 0 : error(form, rows, seen, step) / error;
                    long bytes = widths.bytes(name, before, bits, size);
                    choices.add(new Choice(bits, size, bytes, divergence * share));
                }
            }
            return choices;
        } catch (LitheException e) {
            throw LitheException.of(e.fault(), "%s: %s", name.module(), e.getMessage()).causedBy(e);
        }
    }

    /// `stored` as the stage would make it at the reference width; GPTQ stands in for techniques
    /// that need a whole block.
    private Linear coarse(
            LinearName name,
            Linear stored,
            int groupSize,
            InputStatistics seen,
            TensorScope scope) {
        Stage<?> stage = widths.stage();
        Stage<?> quantizer =
                stage.technique() instanceof BlockTechnique<?>
                        ? new Stage<>(new Gptq(), Settings.of(new Gptq().defaults()), null)
                        : stage;
        Stage<?> coarse = quantizer.with(REFERENCE_BITS, groupSize);
        LinearForm after = coarse.outcome(name, stored.form());
        return coarse.apply(name, stored, after, () -> seen, scope).linear();
    }

    /// The output error of rounding `rows` to nearest. That of other quantizers is smaller, by much
    /// the same factor at every width.
    private static double error(
            LinearForm form, Value rows, InputStatistics seen, TensorScope scope) {
        if (!(form instanceof LinearForm.Grouped grouped)) {
            return 0;
        }
        int k = rows.size(1);
        return scope.call(
                        "rounding_error",
                        rows,
                        seen.hessian(),
                        grouped.bits(),
                        grouped.groupSize() == 0 ? k : grouped.groupSize(),
                        grouped.symmetric(),
                        CLIPS,
                        grouped.scaleType().code())
                .number();
    }
}
