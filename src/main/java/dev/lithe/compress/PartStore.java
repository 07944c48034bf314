package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.Finite;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.NormScales;
import dev.lithe.model.Part;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import org.jspecify.annotations.Nullable;

/// Where parts come from and go to: loads them from the model, writes them in the planned forms,
/// and loads them again as they were written.
final class PartStore {
    private final Plan plan;
    private final Checkpoint source;
    private final LinearReader reader;
    private final CheckpointWriter writer;
    private final JsonNode config;

    /// @param config the `config.json` that is true to what is written
    PartStore(Plan plan, Checkpoint source, CheckpointWriter writer, JsonNode config) {
        this.plan = plan;
        this.source = source;
        this.reader = new LinearReader(source);
        this.writer = writer;
        this.config = config;
    }

    /// `part` of the model as it is.
    ///
    /// @throws LitheException where a number is NaN or infinite
    LoadedPart original(Part part, @Nullable SequentialPass pass) {
        var loaded = new LoadedPart(plan.spec(), part, pass);
        try (var step = TensorScope.open()) {
            for (LinearName name : part.linears()) {
                Linear stored = reader.read(name, step);
                stored.tensors()
                        .forEach((suffix, tensor) ->
                                Finite.require(
                                        source.folder(), name.module() + "." + suffix, tensor));
                loaded.set(name, stored);
            }
            part.norms()
                    .forEach((norm, name) ->
                            loaded.setNorm(
                                    norm,
                                    NormScales.read(
                                            plan.spec(), name, each -> typed(each, step), step)));
            return loaded;
        } catch (RuntimeException e) {
            loaded.close();
            throw e;
        }
    }

    /// A tensor of a norm.
    private Value typed(String name, TensorScope step) {
        Value tensor = source.load(name, step);
        Finite.require(source.folder(), name, tensor);
        return inPlannedType(name, tensor, step);
    }

    /// Appends `part` to the result.
    void write(LoadedPart part) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.part().linears()) {
                Linear linear = inPlannedForm(part.linear(name), plan.linear(name).last(), step);
                name.tensors(linear, step)
                        .forEach((suffix, tensor) -> {
                            String tensorName = name.module() + "." + suffix;
                            writer.write(tensorName, inPlannedType(tensorName, tensor, step));
                        });
            }
            part.part()
                    .norms()
                    .forEach((norm, name) ->
                            NormScales.stored(plan.spec(), name, part.norm(norm), step)
                                    .forEach((each, tensor) ->
                                            writer.write(each, inPlannedType(each, tensor, step))));
        }
    }

    /// `part` as it was written, by this run or an earlier one.
    LoadedPart written(Part part, SequentialPass pass) {
        var loaded = new LoadedPart(plan.spec(), part, pass);
        try (Checkpoint made = writer.written(config);
                var step = TensorScope.open()) {
            var stored = new LinearReader(made);
            part.linears().forEach(name -> loaded.set(name, stored.read(name, step)));
            part.norms()
                    .forEach((norm, name) ->
                            loaded.setNorm(norm, NormScales.read(plan.spec(), made, name, step)));
            return loaded;
        } catch (RuntimeException e) {
            loaded.close();
            throw e;
        }
    }

    /// Dense weights may be in hand more exactly than they are stored.
    private static Linear inPlannedForm(Linear linear, LinearForm form, TensorScope scope) {
        return linear instanceof Linear.Dense dense && form instanceof LinearForm.Dense floats
                ? new Linear.Dense(
                        scope.call("cast", dense.weight(), floats.dtype().code()),
                        dense.bias(),
                        floats)
                : linear;
    }

    private Value inPlannedType(String name, Value tensor, TensorScope scope) {
        DType type = plan.otherTypes().get(name);
        if (type == null) {
            return tensor;
        }
        if (scope.call("count_overflow", tensor, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' does not fit %s; choose bfloat16",
                    source.folder(), name, type.torchName());
        }
        return scope.call("cast", tensor, type.code());
    }
}
