package dev.lithe.engine;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/// The tokens that follow from the logits of several sequences. Logits are brought into Java's
/// memory only where a sequence draws or reweighs; most likely tokens are found where they are.
final class Choices {
    private final int rows;
    private final Value logits;

    /// Token and logit of each row.
    private float @Nullable [] likeliest;

    private float @Nullable [] all;

    /// @param logits (rows, V)
    Choices(int rows, Value logits) {
        this.rows = rows;
        this.logits = logits;
    }

    /// The token of a row.
    ///
    /// @param greedy whether the most likely one will do
    /// @param choose finds it from the logits (V) otherwise, which are its own
    int of(int row, boolean greedy, ToIntFunction<float[]> choose) {
        if (greedy) {
            float[] found = likeliest();
            // Where it is no number, the sampler knows what to say.
            if (Float.isFinite(found[2 * row + 1])) {
                return (int) found[2 * row];
            }
        }
        return choose.applyAsInt(row(row));
    }

    private float[] likeliest() {
        if (likeliest == null) {
            try (var step = TensorScope.open()) {
                likeliest = step.call("likeliest", logits).floats();
            }
        }
        return likeliest;
    }

    private float[] row(int row) {
        if (all == null) {
            all = logits.floats();
        }
        int vocabulary = all.length / rows;
        return Arrays.copyOfRange(all, row * vocabulary, (row + 1) * vocabulary);
    }
}
