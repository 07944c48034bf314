package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.Architecture;
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

    private FolderDescription() {}

    /// The source's `config.json` with the stored types and the quantization that `plan` ends in.
    static JsonNode config(Plan plan, Checkpoint source) {
        ObjectNode config = plan.recipe().configured(source.config());
        DType type = floatType(plan);
        config.remove("quantization_config");
        config.put(config.has("dtype") ? "dtype" : "torch_dtype", type.torchName());
        Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();
        plan.linears()
                .forEach(linear -> schemes.put(linear.name().module(), linear.last().scheme()));
        if (schemes.get(Architecture.EMBEDDING) == null) {
            schemes.remove(Architecture.EMBEDDING); // dense, which readers take for granted
            // a tied output layer must be named, or readers expect its scales
            schemes.putIfAbsent(Architecture.LM_HEAD, null);
        }
        if (schemes.values().stream().anyMatch(Objects::nonNull)) {
            ObjectNode quantization =
                    QuantizationMetadata.describe(schemes, Set.of(Architecture.EMBEDDING));
            if (schemes.containsKey(Architecture.EMBEDDING)) {
                // transformers cannot run a quantized embedding, but opens the folder as floats
                quantization.put("dequantize", true);
            }
            config.set("quantization_config", quantization);
        }
        return config;
    }

    private static DType floatType(Plan plan) {
        return plan.otherTypes().values().stream().findFirst().orElse(plan.spec().dtype());
    }

    /// Recipe, source, calibration, and what became of each linear.
    static ObjectNode lithe(
            Plan plan,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            List<LayerResult> layers) {
        ObjectNode lithe = JsonNodeFactory.instance.objectNode();
        lithe.put("schema", "lithe.model/v1");
        lithe.set("recipe", plan.recipe().toJson());
        ObjectNode origin = lithe.putObject("source");
        origin.put("name", source.folder().toAbsolutePath().normalize().getFileName().toString());
        ObjectNode weights = origin.putObject("sha256");
        source.sha256().forEach(weights::put);
        if (calibration != null) {
            lithe.putObject("calibration")
                    .put("text", calibration.text().name())
                    .put("sha256", calibration.text().sha256())
                    .put("samples", calibration.samples())
                    .put("context", calibration.context())
                    .put("seed", calibration.seed());
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
        plan.linears()
                .forEach(linear -> linears.put(linear.name().module(), linear.last().label()));
        return lithe;
    }
}
