package dev.lithe.model;

import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

class SharedFormTest extends LinearFormContract {
    private static final String OWNER = "model.layers.0.mlp.up_proj";

    @Override
    Stream<Case> cases() {
        return Stream.of(DType.F32, DType.F16)
                .map(type -> new LinearForm.Shared(new LinearForm.Dense(type), OWNER))
                .flatMap(form ->
                        Stream.of(new Case(form, 8, 16, false), new Case(form, 13, 37, true)));
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Shared form = (LinearForm.Shared) a.form();
        LinearForm.Dense of = (LinearForm.Dense) form.of();
        Value stored = scope.call("cast", weight, of.dtype().code());
        return new Linear.Shared(new Linear.Dense(stored, null, of), bias, form);
    }

    @Override
    void writeOthers(Linear linear, CheckpointWriter writer) {
        ((Linear.Shared) linear)
                .of()
                .tensors()
                .forEach((suffix, tensor) -> writer.write(OWNER + "." + suffix, tensor));
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return StoredWeights.of(linear);
    }

    @Override
    Scheme scheme(LinearForm form) {
        return Scheme.shared();
    }
}
