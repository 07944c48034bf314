package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.NormScales;
import dev.lithe.model.Part;
import dev.lithe.model.Sublayers;
import dev.lithe.tensor.DType;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What a plan needs to know of a model: of one on disk, or of one that an earlier step of a recipe
/// will make.
///
/// @param config its `config.json`
/// @param where names that file in errors
/// @param forms of every linear, in the order in which they are written, the embedding first
/// @param otherTypes the stored type of norms and biases, by tensor name
/// @param tensorBytes bytes of all tensors
record Shapes(
        JsonNode config,
        String where,
        Map<LinearName, LinearForm> forms,
        Map<String, DType> otherTypes,
        long tensorBytes) {
    Shapes {
        forms = Collections.unmodifiableMap(new LinkedHashMap<>(forms));
        otherTypes = Map.copyOf(otherTypes);
    }

    /// Of the model in `checkpoint`.
    ///
    /// @throws LitheException where its tensors are not what its configuration says
    static Shapes of(Checkpoint checkpoint) {
        String where = checkpoint.folder() + "/config.json";
        ModelSpec spec = ModelSpec.of(checkpoint.config(), where);
        if (!Files.exists(checkpoint.folder().resolve("tokenizer.json"))) {
            throw LitheException.badInput(
                    "%s has no tokenizer.json, without which nothing can run the model",
                    checkpoint.folder());
        }
        var reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
        Map<LinearName, LinearForm> forms = new LinkedHashMap<>();
        linears(spec).forEach(name -> forms.put(name, reader.form(name)));
        Map<String, DType> types = new HashMap<>();
        others(spec).forEach((name, _) -> types.put(name, checkpoint.entry(name).dtype()));
        return new Shapes(checkpoint.config(), where, forms, types, checkpoint.tensorBytes());
    }

    ModelSpec spec() {
        return ModelSpec.of(config, where);
    }

    /// What a recipe may name: the linears, and those of parts that blocks lack, since which these
    /// are may be found only on the way.
    List<LinearName> nameable() {
        ObjectNode whole = (ObjectNode) config.deepCopy();
        Sublayers.ALL.describe(whole);
        return linears(ModelSpec.of(whole, where));
    }

    /// What `plan`, made from these shapes, leaves.
    Shapes after(Plan plan) {
        Map<LinearName, LinearForm> made = new LinkedHashMap<>();
        plan.linears().forEach(linear -> made.put(linear.name(), linear.last()));
        return new Shapes(
                plan.recipe().configured(config), where, made, plan.otherTypes(), plan.bytes());
    }

    /// What `stage` leaves.
    ///
    /// @throws LitheException where it cannot be done
    Shapes after(ModelStage<?> stage) {
        ObjectNode changed = stage.outcome(config);
        ModelSpec spec = ModelSpec.of(changed, where);
        Map<String, LinearForm> before = new HashMap<>();
        forms.forEach((name, form) -> before.put(name.module(), stage.outcome(spec(), name, form)));
        LinearForm usual = forms.values().stream().findFirst().orElseThrow();
        Map<LinearName, LinearForm> made = new LinkedHashMap<>();
        linears(spec)
                .forEach(name ->
                        made.put(
                                name,
                                before.getOrDefault(
                                        name.module(), stage.outcome(spec, name, usual))));
        DType other = otherTypes.values().stream().findFirst().orElse(spec.dtype());
        Map<String, DType> types = new HashMap<>();
        others(spec).forEach((name, _) -> types.put(name, otherTypes.getOrDefault(name, other)));
        return new Shapes(changed, where, made, types, bytes(spec, made, types));
    }

    private static List<LinearName> linears(ModelSpec spec) {
        List<LinearName> names = new ArrayList<>();
        Architecture.parts(spec).forEach(part -> names.addAll(part.linears()));
        return names;
    }

    /// Norms and biases, and how many numbers each holds.
    private static Map<String, Integer> others(ModelSpec spec) {
        Map<String, Integer> others = new LinkedHashMap<>();
        for (Part part : Architecture.parts(spec)) {
            part.norms()
                    .forEach((norm, name) ->
                            NormScales.tensors(spec, name)
                                    .forEach(each -> others.put(each, norm.width(spec))));
        }
        linears(spec).stream()
                .filter(LinearName::hasBias)
                .forEach(linear -> others.put(linear.module() + ".bias", linear.outFeatures()));
        return others;
    }

    /// Bytes of a model with these shapes and forms.
    static long bytes(
            ModelSpec spec, Map<LinearName, LinearForm> forms, Map<String, DType> otherTypes) {
        long bytes = 0;
        for (Map.Entry<LinearName, LinearForm> linear : forms.entrySet()) {
            LinearName name = linear.getKey();
            bytes += linear.getValue().bytes(name.outFeatures(), name.inFeatures());
        }
        Map<String, Integer> others = others(spec);
        for (Map.Entry<String, DType> other : otherTypes.entrySet()) {
            bytes += (long) others.getOrDefault(other.getKey(), 0) * other.getValue().bytes();
        }
        return bytes;
    }
}
