package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The `quantization_config` of `config.json` in compressed-tensors' form: which modules are
/// quantized, and how. Targets are module names, `re:` patterns, or the class name `Linear`;
/// source: vllm-project/compressed-tensors.
public final class QuantizationMetadata {
    /// How one group of modules is quantized.
    ///
    /// @param groupSize inputs that share a scale, 0 for a whole row
    /// @param dynamicActivations whether the input is quantized too, per token, while running
    public record Scheme(int bits, boolean symmetric, int groupSize, boolean dynamicActivations) {
        String format() {
            return dynamicActivations ? "int-quantized" : "pack-quantized";
        }
    }

    private record Group(List<String> targets, Scheme scheme) {}

    private final List<Group> groups;
    private final List<String> ignore;

    private QuantizationMetadata(List<Group> groups, List<String> ignore) {
        this.groups = groups;
        this.ignore = ignore;
    }

    /// Reads it from `config`; a model that is not quantized has no groups. `where` names the file
    /// in errors.
    public static QuantizationMetadata of(JsonNode config, String where) {
        JsonNode node = config.path("quantization_config");
        List<Group> groups = new ArrayList<>();
        if (node.isMissingNode() || node.isNull()) {
            return new QuantizationMetadata(groups, List.of());
        }
        String method = node.path("quant_method").asText("none");
        if (!method.equals("compressed-tensors")) {
            throw LitheException.badInput(
                    "%s: quant_method '%s' is unknown; Lithe reads compressed-tensors",
                    where, method);
        }
        if (!node.path("config_groups").isObject()) {
            throw LitheException.badInput("%s: quantization_config has no config_groups", where);
        }
        for (var field : node.path("config_groups").properties()) {
            JsonNode weights = field.getValue().path("weights");
            groups.add(
                    new Group(
                            texts(field.getValue().path("targets")),
                            scheme(field.getValue(), weights, where)));
        }
        return new QuantizationMetadata(groups, texts(node.path("ignore")));
    }

    private static Scheme scheme(JsonNode group, JsonNode weights, String where) {
        int bits = integer(weights, "num_bits", where);
        String type = weights.path("type").asText("int");
        String strategy = weights.path("strategy").asText("");
        if (!type.equals("int") || bits < 2 || bits > 8) {
            throw LitheException.badInput(
                    "%s: weights of type %s with %d bits; Lithe reads int with 2 to 8",
                    where, type, bits);
        }
        int groupSize =
                switch (strategy) {
                    case "channel" -> 0;
                    case "group" -> integer(weights, "group_size", where);
                    default ->
                            throw LitheException.badInput(
                                    "%s: strategy '%s' is unknown; Lithe reads channel and group",
                                    where, strategy);
                };
        if (strategy.equals("group") && groupSize < 1) {
            throw LitheException.badInput(
                    "%s: group_size %d; it must be at least 1", where, groupSize);
        }
        String order = weights.path("actorder").asText("null");
        if (order.equals("group") || order.equals("dynamic")) {
            throw LitheException.badInput(
                    "%s: actorder '%s' stores a column order, which Lithe does not read",
                    where, order);
        }
        boolean dynamic = flag(group.path("input_activations"), "dynamic", false, where);
        return new Scheme(bits, flag(weights, "symmetric", true, where), groupSize, dynamic);
    }

    private static int integer(JsonNode node, String key, String where) {
        JsonNode value = node.path(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt()) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be an integer",
                    where, key, value.isMissingNode() ? "missing" : value);
        }
        return value.asInt();
    }

    private static boolean flag(JsonNode node, String key, boolean fallback, String where) {
        if (!node.hasNonNull(key)) {
            return fallback;
        }
        if (!node.path(key).isBoolean()) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be true or false", where, key, node.path(key));
        }
        return node.path(key).asBoolean();
    }

    private static List<String> texts(JsonNode array) {
        List<String> texts = new ArrayList<>();
        array.forEach(item -> texts.add(item.asText()));
        return texts;
    }

    /// The scheme of `module`, or null where it is not quantized. A name or pattern wins over the
    /// class name.
    public @Nullable Scheme schemeOf(String module) {
        if (ignore.stream().anyMatch(pattern -> ModulePattern.matches(pattern, module))) {
            return null;
        }
        Scheme byClass = null;
        for (Group group : groups) {
            if (group.targets().stream()
                    .anyMatch(target -> ModulePattern.matches(target, module))) {
                return group.scheme();
            }
            if (byClass == null && group.targets().contains("Linear")) {
                byClass = group.scheme();
            }
        }
        return byClass;
    }

    /// The `quantization_config` that describes `schemes`, all of which the class name `Linear`
    /// covers.
    ///
    /// @param schemes by module name; null for modules left dense, which are listed under `ignore`
    public static ObjectNode describe(Map<String, @Nullable Scheme> schemes) {
        return describe(schemes, Set.of());
    }

    /// The `quantization_config` that describes `schemes`.
    ///
    /// @param named modules that the class name `Linear` does not cover, so that every module is
    ///   named where one of them is quantized
    public static ObjectNode describe(Map<String, @Nullable Scheme> schemes, Set<String> named) {
        Map<Scheme, List<String>> groups = new LinkedHashMap<>();
        List<String> dense = new ArrayList<>();
        schemes.forEach((module, scheme) -> {
            if (scheme == null) {
                dense.add(module);
            } else {
                groups.computeIfAbsent(scheme, _ -> new ArrayList<>()).add(module);
            }
        });
        Collection<String> formats =
                groups.keySet().stream().map(Scheme::format).distinct().toList();
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("quant_method", "compressed-tensors");
        root.put("format", formats.size() == 1 ? formats.iterator().next() : "mixed-precision");
        root.put("quantization_status", "compressed");
        root.putNull("global_compression_ratio");
        root.putNull("kv_cache_scheme");
        dense.forEach(root.putArray("ignore")::add);
        ObjectNode list = root.putObject("config_groups");
        boolean single = groups.size() == 1 && Collections.disjoint(schemes.keySet(), named);
        groups.forEach((scheme, modules) -> {
            ObjectNode group = list.putObject("group_" + list.size());
            (single ? List.of("Linear") : modules).forEach(group.putArray("targets")::add);
            group.put("format", scheme.format());
            describe(scheme, group);
        });
        return root;
    }

    private static void describe(Scheme scheme, ObjectNode group) {
        ObjectNode weights =
                quantization(group.putObject("weights"), scheme.bits(), scheme.symmetric());
        weights.put("strategy", scheme.groupSize() == 0 ? "channel" : "group");
        if (scheme.groupSize() == 0) {
            weights.putNull("group_size");
        } else {
            weights.put("group_size", scheme.groupSize());
        }
        weights.put("dynamic", false);
        group.putNull("output_activations");
        if (scheme.dynamicActivations()) {
            ObjectNode input = quantization(group.putObject("input_activations"), 8, true);
            input.put("strategy", "token").put("dynamic", true);
        } else {
            group.putNull("input_activations");
        }
    }

    private static ObjectNode quantization(ObjectNode node, int bits, boolean symmetric) {
        return node.put("num_bits", bits).put("type", "int").put("symmetric", symmetric);
    }
}
