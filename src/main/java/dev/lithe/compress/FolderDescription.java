package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.tensor.DType;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// What a compressed folder says of itself: `config.json`, true to what is stored, and
/// `lithe.json`, how it came about.
final class FolderDescription {
    /// The key of what became of each linear.
    static final String LAYERS = "layers";

    private static final String STAGES = "/recipe/stages";

    private FolderDescription() {}

    /// The source's `config.json` with the stored types and the quantization that `plan` ends in.
    static JsonNode config(Plan plan, Checkpoint source) {
        Map<String, LinearForm> forms = new LinkedHashMap<>();
        plan.linears().forEach(linear -> forms.put(linear.name().module(), linear.last()));
        ObjectNode config = plan.recipe().configured(source.config());
        describe(config, floatType(plan), forms);
        return config;
    }

    /// Makes `config` say in which forms linears are stored.
    ///
    /// @param forms by module, the embedding among them
    static void describe(ObjectNode config, DType type, Map<String, LinearForm> forms) {
        config.remove("quantization_config");
        config.put(config.has("dtype") ? "dtype" : "torch_dtype", type.torchName());
        Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();
        Map<String, String> owners = new LinkedHashMap<>();
        forms.forEach((name, whole) ->
                whole.modules(name)
                        .forEach((module, form) -> {
                            schemes.put(module, form.scheme());
                            if (form instanceof LinearForm.Shared shared) {
                                owners.put(module, shared.owner());
                            }
                        }));
        List<String> tables = Architecture.tables(config);
        String embedding = tables.getFirst();
        for (String table : tables) {
            if (schemes.get(table) == null) {
                schemes.remove(table); // dense, which readers take for granted
            }
        }
        if (!schemes.containsKey(embedding)) {
            // a tied output layer must be named, or readers expect its scales
            schemes.putIfAbsent(Architecture.LM_HEAD, null);
        }
        if (schemes.values().stream().anyMatch(Objects::nonNull)) {
            ObjectNode quantization = QuantizationMetadata.describe(schemes, Set.copyOf(tables));
            long different = schemes.values().stream().filter(Objects::nonNull).distinct().count();
            if (schemes.containsKey(embedding) && different == 1) {
                // transformers cannot run a quantized embedding, but opens the folder as floats
                quantization.put("dequantize", true);
            }
            if (!owners.isEmpty()) {
                ObjectNode shared = quantization.putObject(QuantizationMetadata.OWNERS);
                owners.forEach(shared::put);
            }
            config.set("quantization_config", quantization);
        }
    }

    private static DType floatType(Plan plan) {
        return plan.otherTypes().values().stream().findFirst().orElse(plan.spec().dtype());
    }

    /// Recipe, source, calibration, and what became of each linear. Where the source is itself the
    /// result of a compression, its stages come first and its source stays.
    static ObjectNode lithe(
            Recipe recipe,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            List<LayerResult> layers,
            Map<String, LinearForm> forms) {
        JsonNode earlier = earlier(source);
        ObjectNode lithe = JsonNodeFactory.instance.objectNode();
        lithe.put("schema", "lithe.model/v1");
        ObjectNode made = recipe.toJson();
        if (earlier.at(STAGES).isArray()) {
            ArrayNode stages = earlier.at(STAGES).deepCopy();
            made.path("stages").forEach(stages::add);
            made.set("stages", stages);
        }
        lithe.set("recipe", made);
        if (earlier.path("source").isObject()) {
            lithe.set("source", earlier.path("source"));
        } else {
            ObjectNode origin = lithe.putObject("source");
            origin.put(
                    "name", source.folder().toAbsolutePath().normalize().getFileName().toString());
            ObjectNode weights = origin.putObject("sha256");
            source.sha256().forEach(weights::put);
        }
        if (calibration != null) {
            lithe.putObject("calibration")
                    .put("text", calibration.text().name())
                    .put("sha256", calibration.text().sha256())
                    .put("samples", calibration.samples())
                    .put("context", calibration.context())
                    .put("seed", calibration.seed());
        } else if (earlier.path("calibration").isObject()) {
            lithe.set("calibration", earlier.path("calibration"));
        }
        ObjectNode trouble = JsonNodeFactory.instance.objectNode();
        layers.stream()
                .filter(layer -> layer.trouble() != null)
                .forEach(layer -> trouble.put(layer.module(), layer.trouble()));
        if (!trouble.isEmpty()) {
            lithe.set("trouble", trouble);
        }
        ArrayNode rows = lithe.putArray(LAYERS);
        layers.forEach(layer -> rows.add(layer.toJson()));
        ObjectNode linears = lithe.putObject("linears");
        forms.forEach((module, form) -> linears.put(module, form.label()));
        return lithe;
    }

    private static JsonNode earlier(Checkpoint source) {
        JsonNode lithe = source.json("lithe.json");
        return lithe == null ? MissingNode.getInstance() : lithe;
    }

    static ObjectNode lithe(
            Plan plan,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            List<LayerResult> layers) {
        Map<String, LinearForm> forms = new LinkedHashMap<>();
        plan.linears().forEach(linear -> forms.put(linear.name().module(), linear.last()));
        return lithe(plan.recipe(), source, calibration, layers, forms);
    }
}
