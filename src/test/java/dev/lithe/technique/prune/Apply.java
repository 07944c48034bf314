package dev.lithe.technique.prune;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;

/// A technique applied to float32 weights.
final class Apply {
    private Apply() {}

    /// What is left of `weights` (n, K), whose inputs are of equal size and independent.
    static <C extends Record> double[] to(
            WeightTechnique<C> technique, C config, float[] weights, int n, TensorScope scope) {
        int k = weights.length / n;
        float[] identity = new float[k * k];
        for (int i = 0; i < k; i++) {
            identity[i * k + i] = 2;
        }
        return to(technique, config, weights, n, identity, scope);
    }

    /// The same where the inputs have the statistics `hessian` (K, K).
    static <C extends Record> double[] to(
            WeightTechnique<C> technique,
            C config,
            float[] weights,
            int n,
            float[] hessian,
            TensorScope scope) {
        int k = weights.length / n;
        var before =
                new Linear.Dense(
                        scope.tensor(weights, n, k), null, new LinearForm.Dense(DType.F32));
        var name = new LinearName("model.layers.0.mlp.down_proj", 0, Slot.DOWN, n, k, false);
        LinearForm after = technique.outcome(name, before.form(), config);
        Linear made =
                switch (technique) {
                    case LinearTechnique<C> free -> free.apply(before, after, config, scope);
                    case CalibratedLinearTechnique<C> calibrated ->
                            calibrated
                                    .apply(
                                            before,
                                            after,
                                            new InputStatistics(
                                                    scope.tensor(hessian, k, k), k, scope),
                                            config,
                                            scope)
                                    .linear();
                    case BlockTechnique<C> block -> throw new AssertionError(block.name());
                };
        return StoredWeights.of(made);
    }
}
