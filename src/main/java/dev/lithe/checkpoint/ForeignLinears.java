package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Linears that another tool stores its own way, put as Lithe stores them: tensors that are made
/// when asked for, and a `config.json` that describes them.
final class ForeignLinears {
    private static final String SCALE = ".weight_scale";

    private final Path folder;
    private final JsonNode config;
    private final Map<String, TensorEntry> entries;
    private final Map<String, TensorEntry> seen;
    private final Map<String, TensorView> views = new LinkedHashMap<>();
    private final Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();

    ForeignLinears(Path folder, JsonNode config, Map<String, TensorEntry> entries) {
        this.folder = folder;
        this.config = config;
        this.entries = entries;
        this.seen = new LinkedHashMap<>(entries);
        entries.forEach((name, entry) -> {
            if (name.endsWith(".weight") && entry.shape().size() == 2) {
                schemes.put(module(name), null);
            }
        });
    }

    private static String module(String tensor) {
        return tensor.substring(0, tensor.lastIndexOf('.'));
    }

    /// Tensors as readers see them, by name.
    Map<String, TensorEntry> seen() {
        return seen;
    }

    /// What makes those that no file holds.
    Map<String, TensorView> views() {
        return views;
    }

    /// `config.json` as readers see it.
    JsonNode config() {
        ObjectNode described = config.deepCopy();
        QuantizationMetadata.describeIn(described, schemes);
        return described;
    }

    /// The type of weights that are multiplied out: float32 where the model is, else float16.
    DType floats() {
        String declared = config.path("dtype").asText(config.path("torch_dtype").asText("float32"));
        return declared.equals("float32") ? DType.F32 : DType.F16;
    }

    /// Whether the folder has the tensor.
    boolean has(String tensor) {
        return entries.containsKey(tensor);
    }

    /// A tensor of the folder.
    ///
    /// @throws LitheException where there is none
    TensorEntry entry(String tensor) {
        TensorEntry entry = entries.get(tensor);
        if (entry == null) {
            throw LitheException.badInput("%s: tensor '%s' is missing", folder, tensor);
        }
        return entry;
    }

    /// A tensor of the folder that must be of a type and shape.
    TensorEntry entry(String tensor, DType type, Long... shape) {
        TensorEntry entry = entry(tensor);
        if (entry.dtype() != type || !entry.shape().equals(List.of(shape))) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s of shape %s, expected %s of %s",
                    folder, tensor, entry.dtype(), entry.shape(), type, List.of(shape));
        }
        return entry;
    }

    /// One that must have two dimensions.
    TensorEntry matrix(String tensor, DType type) {
        TensorEntry entry = entry(tensor);
        if (entry.dtype() != type || entry.shape().size() != 2 || entry.elements() == 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s of shape %s, expected a matrix of %s",
                    folder, tensor, entry.dtype(), entry.shape(), type);
        }
        return entry;
    }

    /// Says how `module` is quantized, null for floats.
    void scheme(String module, @Nullable Scheme scheme) {
        schemes.put(module, scheme);
    }

    /// Hides tensors of `module`, by their suffixes, from readers.
    void hide(String module, String... suffixes) {
        for (String suffix : suffixes) {
            seen.remove(module + suffix);
        }
    }

    /// Adds a tensor of `module` that is made of `source`.
    void view(
            String tensor,
            TensorEntry source,
            DType type,
            List<Long> shape,
            TensorView.Maker maker) {
        long bytes = shape.stream().reduce((long) type.bytes(), Math::multiplyExact);
        var entry = new TensorEntry(tensor, type, shape, source.file(), source.offset(), bytes);
        seen.put(tensor, entry);
        views.put(tensor, new TensorView(entry, maker));
    }

    /// Adds scales (N, G) that are stored as one number.
    void scaleOfRows(String module, long n) {
        TensorEntry scale = entry(module + SCALE);
        view(
                module + SCALE,
                scale,
                scale.dtype(),
                List.of(n, 1L),
                (stored, into) -> into.call("scale_for_rows", stored.load(scale, into), n));
    }

    /// Refuses groups of columns beyond the `count` that there are.
    void requireGroups(String tensor, Value groups, long count) {
        for (long group : groups.longs()) {
            if (group < 0 || group >= count) {
                throw LitheException.badInput(
                        "%s: tensor '%s' names group %d, and there are %d",
                        folder, tensor, group, count);
            }
        }
    }
}
