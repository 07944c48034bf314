package dev.lithe.model;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

class Int8FormTest extends LinearFormContract {
    @Override
    Stream<Case> cases() {
        return Stream.of(DType.F32, DType.F16, DType.BF16)
                .flatMap(type ->
                        Stream.of(new LinearForm.Int8(type), new LinearForm.Int8(type, false)))
                .flatMap(form ->
                        Stream.of(
                                new Case(form, 16, 64, false),
                                new Case(form, 13, 37, true),
                                new Case(form, 1, 3, false)));
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Int8 form = (LinearForm.Int8) a.form();
        List<Value> made =
                scope.call("rtn", weight, 8, a.k(), true, 0, form.scaleType().code()).members();
        Value codes = scope.call("cast", made.getFirst(), DType.I8.code());
        return new Linear.Int8(codes, made.get(1), bias, form);
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        Linear.Int8 int8 = (Linear.Int8) linear;
        long[] codes = int8.weight().longs();
        float[] scale = int8.scale().floats();
        double[] w = new double[codes.length];
        for (int i = 0; i < w.length; i++) {
            w[i] = codes[i] * (double) scale[i / a.k()];
        }
        return w;
    }

    /// Rounded to 256 steps, of which 255 reach from minus to plus its largest magnitude.
    @Override
    double[] activation(float[] x, LinearForm form) {
        if (!((LinearForm.Int8) form).dynamicActivations()) {
            return super.activation(x, form);
        }
        float largest = 0;
        for (float value : x) {
            largest = Math.max(largest, Math.abs(value));
        }
        float step = largest / 127.5f;
        double[] seen = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            seen[i] = Math.clamp(Math.rint(x[i] / step), -128, 127) * step;
        }
        return seen;
    }

    @Override
    Scheme scheme(LinearForm form) {
        return Scheme.int8(((LinearForm.Int8) form).dynamicActivations());
    }
}
