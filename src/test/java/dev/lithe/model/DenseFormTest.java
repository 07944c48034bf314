package dev.lithe.model;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

class DenseFormTest extends LinearFormContract {
    @Override
    Stream<Case> cases() {
        return Stream.of(DType.F32, DType.F16, DType.BF16)
                .map(LinearForm.Dense::new)
                .flatMap(form ->
                        Stream.of(
                                new Case(form, 8, 16, false),
                                new Case(form, 13, 37, true),
                                new Case(form, 13, 2100, false),
                                new Case(form, 1, 1, false)));
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Dense form = (LinearForm.Dense) a.form();
        int code = form.dtype().code();
        Value rounded = bias == null ? null : scope.call("cast", bias, code);
        return new Linear.Dense(scope.call("cast", weight, code), rounded, form);
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return activation(((Linear.Dense) linear).weight().floats(), a.form());
    }

    @Override
    @Nullable Scheme scheme(LinearForm form) {
        return null;
    }
}
