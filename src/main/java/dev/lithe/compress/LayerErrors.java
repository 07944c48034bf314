package dev.lithe.compress;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/// Measures what compression did to a linear, on at most [#ROWS] of its outputs, evenly spaced:
/// that costs little beside compressing it.
final class LayerErrors {
    private static final int ROWS = 256;

    /// Steps of the search for scales that rounding to nearest is measured with; its default.
    private static final int NEAREST_STEPS = 14;

    private LayerErrors() {}

    /// What became of `name`, that was `before` and is `after`.
    ///
    /// @param seen statistics of its input, or null to compare weights
    static LayerResult measure(
            LinearName name,
            Linear before,
            Linear after,
            @Nullable InputStatistics seen,
            @Nullable String trouble) {
        Double error = null;
        Double nearest = null;
        if (before instanceof Linear.Dense dense) {
            try (var step = TensorScope.open()) {
                Value hessian = seen == null ? step.none() : seen.hessian();
                Value was = rows(dense, name, step);
                error = step.call("relative_error", was, rows(after, name, step), hessian).number();
                if (seen != null && after.form() instanceof LinearForm.Grouped form) {
                    Value rounded = nearest(was, form, name, step);
                    nearest = step.call("relative_error", was, rounded, hessian).number();
                }
            }
        }
        String form = after.form().label();
        return new LayerResult(name.module(), form, error, nearest, seen != null, trouble);
    }

    private static Value rows(Linear linear, LinearName name, TensorScope step) {
        int n = name.outFeatures();
        int count = Math.min(n, ROWS);
        long[] ids = LongStream.range(0, count).map(i -> i * n / count).toArray();
        return DenseWeights.rows(linear, step.tensor(ids, count), step);
    }

    private static Value nearest(
            Value rows, LinearForm.Grouped form, LinearName name, TensorScope step) {
        return step.call(
                "nearest_rows",
                rows,
                form.bits(),
                form.groupSize() == 0 ? name.inFeatures() : form.groupSize(),
                form.symmetric(),
                NEAREST_STEPS,
                form.scaleType().code());
    }
}
