package dev.lithe.calibrate;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/// What the calibration windows showed at the input of a linear layer, and what techniques made of
/// it: linears of a slot read the same input, so what one of them needed serves the next.
public final class InputStatistics {
    private final Value hessian;
    private final long tokens;
    private final TensorScope scope;
    private final Map<Record, List<Value>> derived = new HashMap<>();
    private long dead = -1;

    /// @param hessian what [#hessian] returns
    /// @param tokens what [#tokens] returns
    /// @param scope owns what is derived; valid as long as `hessian`
    public InputStatistics(Value hessian, long tokens, TensorScope scope) {
        this.hessian = hessian;
        this.tokens = tokens;
        this.scope = scope;
    }

    /// H = 2/n X Xᵀ, (K, K) float32, where X (K, n) are the inputs: the second derivative of the
    /// squared error ||W X - Q X||² / n in a row of W.
    public Value hessian() {
        return hessian;
    }

    /// n; of the embedding, whose inputs are single tokens, H is the identity: each of its numbers
    /// counts alike.
    public long tokens() {
        return tokens;
    }

    /// Inputs that were 0 in every token: nothing tells what their weights are worth.
    public long deadInputs() {
        if (dead < 0) {
            try (var step = TensorScope.open()) {
                dead = step.call("count_dead", hessian).integer();
            }
        }
        return dead;
    }

    /// What `make` returns for `key`, made once.
    ///
    /// @param key a record type of the caller's own, with all that the result depends on besides
    ///   these statistics
    public List<Value> derived(Record key, Function<TensorScope, List<Value>> make) {
        return derived.computeIfAbsent(key, _ -> make.apply(scope));
    }
}
