package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The `quantization_config` of `config.json` in compressed-tensors' form: which modules are
/// quantized, and how. Targets are module names, `re:` patterns, or the class name `Linear`;
/// source: vllm-project/compressed-tensors.
public final class QuantizationMetadata {
    /// How numbers are laid out on disk. Formats of our own have names that compressed-tensors does
    /// not know, so that other readers refuse them instead of misreading them.
    public enum Format {
        PACK_QUANTIZED("pack-quantized", "int"),
        INT_QUANTIZED("int-quantized", "int"),
        FLOAT_QUANTIZED("float-quantized", "float"),
        /// pack-quantized, but zero points are bytes: 256 steps of the codes' range.
        FRACTIONAL_ZEROS("lithe-fractional-zeros", "int"),
        /// Indices into a table of numbers.
        CODEBOOK("lithe-codebook", "codebook"),
        /// Floats without those that are 0, and a mask of which are left.
        BITMASK("lithe-bitmask", "masked"),
        /// Two thin linears in the place of one, or beside it.
        LOW_RANK("lithe-low-rank", "low_rank"),
        /// The weights of another module.
        SHARED("lithe-shared", "shared");

        private final String label;
        private final String type;

        Format(String label, String type) {
            this.label = label;
            this.type = type;
        }

        /// The name in `config.json`.
        public String label() {
            return label;
        }
    }

    /// How one group of modules is quantized.
    ///
    /// @param groupSize inputs that share a scale, 0 for a whole row, [#TENSOR] for all rows
    /// @param dynamicActivations whether the input is quantized too, per token, while running
    public record Scheme(
            Format format, int bits, boolean symmetric, int groupSize, boolean dynamicActivations) {
        /// The group size of a scale for the whole tensor.
        public static final int TENSOR = -1;

        /// Integers in compressed-tensors' formats: `int-quantized` where activations are
        /// quantized, `pack-quantized` where not.
        public Scheme(int bits, boolean symmetric, int groupSize, boolean dynamicActivations) {
            this(
                    dynamicActivations ? Format.INT_QUANTIZED : Format.PACK_QUANTIZED,
                    bits,
                    symmetric,
                    groupSize,
                    dynamicActivations);
        }

        /// Unpacked 8-bit integers with a scale per row.
        public static Scheme int8(boolean dynamicActivations) {
            return new Scheme(Format.INT_QUANTIZED, 8, true, 0, dynamicActivations);
        }

        /// E4M3 floats with a scale per row, or one for all.
        public static Scheme float8(boolean perTensor, boolean dynamicActivations) {
            int groupSize = perTensor ? TENSOR : 0;
            return new Scheme(Format.FLOAT_QUANTIZED, 8, true, groupSize, dynamicActivations);
        }

        /// Indices of `bits` into a table; `groupSize` 0 for no scales.
        public static Scheme codebook(int bits, int groupSize) {
            return new Scheme(Format.CODEBOOK, bits, true, groupSize, false);
        }

        /// Floats without those that are 0.
        public static Scheme masked() {
            return new Scheme(Format.BITMASK, 1, true, 0, false);
        }

        /// Two thin linears in the place of one, or beside it.
        public static Scheme lowRank() {
            return new Scheme(Format.LOW_RANK, 1, true, 0, false);
        }

        /// The weights of another module.
        public static Scheme shared() {
            return new Scheme(Format.SHARED, 1, true, 0, false);
        }

        /// Packed integers whose zero points lie between codes.
        public static Scheme fractionalZeros(int bits, int groupSize) {
            return new Scheme(Format.FRACTIONAL_ZEROS, bits, false, groupSize, false);
        }
    }

    /// The key of the modules that have another one's weights, and whose.
    public static final String OWNERS = "lithe_shared";

    private static final String EMBEDDING = "model.embed_tokens";

    private record Group(List<String> targets, Scheme scheme) {}

    private final List<Group> groups;
    private final List<String> ignore;
    private final Map<String, String> owners;

    private QuantizationMetadata(
            List<Group> groups, List<String> ignore, Map<String, String> owners) {
        this.groups = groups;
        this.ignore = ignore;
        this.owners = owners;
    }

    /// Reads it from `config`; a model that is not quantized has no groups. `where` names the file
    /// in errors.
    public static QuantizationMetadata of(JsonNode config, String where) {
        JsonNode node = config.path("quantization_config");
        List<Group> groups = new ArrayList<>();
        if (node.isMissingNode() || node.isNull()) {
            return new QuantizationMetadata(groups, List.of(), Map.of());
        }
        String method = node.path("quant_method").asText("none");
        if (!method.equals("compressed-tensors")) {
            throw LitheException.badInput(
                    "%s: quant_method '%s' is unknown; Lithe reads compressed-tensors, gptq and awq",
                    where, method);
        }
        if (!node.path("config_groups").isObject()) {
            throw LitheException.badInput("%s: quantization_config has no config_groups", where);
        }
        for (var field : node.path("config_groups").properties()) {
            JsonNode group = field.getValue();
            String format = group.path("format").asText(node.path("format").asText());
            groups.add(new Group(texts(group.path("targets")), scheme(group, format, where)));
        }
        Map<String, String> owners = new LinkedHashMap<>();
        for (var field : node.path(OWNERS).properties()) {
            owners.put(field.getKey(), field.getValue().asText());
        }
        for (Map.Entry<String, String> shared : owners.entrySet()) {
            if (owners.containsKey(shared.getValue())) {
                throw LitheException.badInput(
                        "%s: '%s' has the weights of '%s', which has none of its own",
                        where, shared.getKey(), shared.getValue());
            }
        }
        return new QuantizationMetadata(groups, texts(node.path("ignore")), owners);
    }

    /// The module whose weights `module` has; null where it has its own.
    public @Nullable String ownerOf(String module) {
        return owners.get(module);
    }

    private static Scheme scheme(JsonNode group, String label, String where) {
        JsonNode weights = group.path("weights");
        int bits = integer(weights, "num_bits", where);
        String type = weights.path("type").asText("int");
        boolean dynamic = group.path("input_activations").isObject();
        Format format = format(type, bits, label, dynamic, where);
        int groupSize = groupSize(weights, format, where);
        String order = weights.path("actorder").asText("null");
        if (order.equals("group") || order.equals("dynamic")) {
            throw LitheException.badInput(
                    "%s: actorder '%s' stores a column order, which Lithe does not read",
                    where, order);
        }
        boolean symmetric = flag(weights, "symmetric", true, where);
        return new Scheme(format, bits, symmetric, groupSize, dynamic);
    }

    private static Format format(
            String type, int bits, String label, boolean dynamic, String where) {
        boolean readable =
                switch (type) {
                    case "int" -> bits >= 2 && bits <= 8;
                    case "float" -> bits == 8;
                    case "masked", "low_rank", "shared" -> bits == 1;
                    case "codebook" -> bits >= 1 && bits <= 8;
                    default -> false;
                };
        if (!readable) {
            throw LitheException.badInput(
                    "%s: weights of type %s with %d bits; Lithe reads int with 2 to 8, and float with 8",
                    where, type, bits);
        }
        for (Format own :
                List.of(
                        Format.FRACTIONAL_ZEROS,
                        Format.CODEBOOK,
                        Format.BITMASK,
                        Format.LOW_RANK,
                        Format.SHARED)) {
            if (label.equals(own.label) && type.equals(own.type)) {
                return own;
            }
        }
        return switch (type) {
            case "float" -> Format.FLOAT_QUANTIZED;
            case "int" ->
                    dynamic || label.equals(Format.INT_QUANTIZED.label)
                            ? Format.INT_QUANTIZED
                            : Format.PACK_QUANTIZED;
            default ->
                    throw LitheException.badInput(
                            "%s: weights of type %s in format '%s'; it must be %s",
                            where,
                            type,
                            label,
                            Arrays.stream(Format.values())
                                    .filter(own -> own.type.equals(type))
                                    .findFirst()
                                    .orElse(Format.CODEBOOK)
                                    .label);
        };
    }

    private static int groupSize(JsonNode weights, Format format, String where) {
        String strategy = weights.path("strategy").asText("");
        boolean floats = format == Format.FLOAT_QUANTIZED;
        if (strategy.equals("channel")) {
            return 0;
        }
        if (strategy.equals("tensor") && floats) {
            return Scheme.TENSOR;
        }
        if (!strategy.equals("group") || floats) {
            throw LitheException.badInput(
                    "%s: strategy '%s' is unknown; Lithe reads channel and %s",
                    where, strategy, floats ? "tensor" : "group");
        }
        int groupSize = integer(weights, "group_size", where);
        if (groupSize < 1) {
            throw LitheException.badInput(
                    "%s: group_size %d; it must be at least 1", where, groupSize);
        }
        return groupSize;
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
        Group group = matching(module, groups, Group::targets, ignore);
        return group == null ? null : group.scheme();
    }

    /// The group of a `quantization_config` that `module` is in, as it is there; null where it is
    /// in none.
    static @Nullable JsonNode groupOf(JsonNode quantization, String module) {
        List<JsonNode> all = new ArrayList<>();
        quantization.path("config_groups").forEach(all::add);
        List<String> ignored = texts(quantization.path("ignore"));
        return matching(module, all, group -> texts(group.path("targets")), ignored);
    }

    private static <T> @Nullable T matching(
            String module,
            List<T> groups,
            Function<T, List<String>> targets,
            List<String> ignored) {
        if (ignored.stream().anyMatch(pattern -> ModulePattern.matches(pattern, module))) {
            return null;
        }
        T byClass = null;
        for (T group : groups) {
            List<String> names = targets.apply(group);
            if (names.stream().anyMatch(target -> ModulePattern.matches(target, module))) {
                return group;
            }
            if (byClass == null && names.contains("Linear")) {
                byClass = group;
            }
        }
        return byClass;
    }

    /// Makes `config` say how modules are quantized.
    ///
    /// @param modules all linears, the embedding among them; null for those that are not
    public static void describeIn(ObjectNode config, Map<String, @Nullable Scheme> modules) {
        config.remove("quantization_config");
        if (modules.values().stream().allMatch(Objects::isNull)) {
            return;
        }
        Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>(modules);
        if (schemes.get(EMBEDDING) == null) {
            schemes.remove(EMBEDDING); // dense, which readers take for granted
            schemes.putIfAbsent("lm_head", null); // or they expect scales of a tied one
        }
        config.set("quantization_config", describe(schemes, Set.of(EMBEDDING)));
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
                groups.keySet().stream().map(scheme -> scheme.format().label).distinct().toList();
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
            group.put("format", scheme.format().label);
            describe(scheme, group);
        });
        return root;
    }

    private static void describe(Scheme scheme, ObjectNode group) {
        ObjectNode weights = group.putObject("weights").put("type", scheme.format().type);
        weights.put("num_bits", scheme.bits()).put("symmetric", scheme.symmetric());
        weights.putNull("group_size");
        if (scheme.groupSize() > 0) {
            weights.put("strategy", "group").put("group_size", scheme.groupSize());
        } else {
            weights.put("strategy", scheme.groupSize() == 0 ? "channel" : "tensor");
        }
        weights.put("dynamic", false);
        group.putNull("output_activations");
        group.putNull("input_activations");
        if (scheme.dynamicActivations()) {
            ObjectNode input = group.putObject("input_activations");
            input.put("type", scheme.format().type).put("num_bits", 8).put("symmetric", true);
            input.put("strategy", "token").put("dynamic", true);
        }
    }
}
