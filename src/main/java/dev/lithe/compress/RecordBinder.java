package dev.lithe.compress;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.lithe.fault.LitheException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.commons.text.similarity.LevenshteinDistance;

/// Fills a configuration record from what a user wrote. The record's components, in snake_case, are
/// the keys; several techniques may share some of them as a record of their own. A key that is not
/// known is refused with the nearest one that is, and so is a value of another type than its key's:
/// `bits: 4.5` does not become 4, nor `bits: "4"`.
final class RecordBinder {
    static final ObjectMapper YAML =
            YAMLMapper.builder()
                    .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
                    .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_ENUMS)
                    .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
                    .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                    .enable(DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                    .build();

    private RecordBinder() {}

    /// `defaults`, overlaid with the keys that the user wrote; `where` begins every complaint.
    static <C extends Record> C bind(String where, C defaults, JsonNode keys) {
        ObjectNode merged = YAML.valueToTree(defaults);
        if (!keys.isObject() && !keys.isNull()) {
            throw LitheException.badInput("%s: %s is not {key: value, ...}", where, keys);
        }
        List<String> known = new ArrayList<>();
        merged.fieldNames().forEachRemaining(known::add);
        for (var field : keys.properties()) {
            requireKnown(where, field.getKey(), known);
            requireValue(where, field.getKey(), field.getValue());
            merged.set(field.getKey(), field.getValue());
        }
        @SuppressWarnings("unchecked") // the defaults' class is the configuration's class
        Class<C> type = (Class<C>) defaults.getClass();
        try {
            return YAML.treeToValue(merged, type);
        } catch (JsonMappingException e) {
            throw badValue(where, type, keys, e);
        } catch (JsonProcessingException e) {
            throw LitheException.badInput("%s: %s", where, e.getOriginalMessage()).causedBy(e);
        }
    }

    private static void requireValue(String where, String key, JsonNode value) {
        if (value.isNull()
                || value.isMissingNode()
                || value.isTextual() && value.asText().isBlank()) {
            throw LitheException.badInput(
                    "%s: %s has no value; leave it out for the default", where, key);
        }
        if (value.isArray()) {
            value.forEach(item -> requireValue(where, key, item));
        }
    }

    private static LitheException badValue(
            String where, Class<?> config, JsonNode keys, JsonMappingException e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof LitheException known) {
                return LitheException.badInput("%s: %s", where, known.getMessage()).causedBy(e);
            }
        }
        for (RecordComponent component : components(config).toList()) {
            String key = snake(component.getName());
            if (!e.getPath().isEmpty() && key.equals(e.getPath().getFirst().getFieldName())) {
                return LitheException.badInput(
                                "%s: %s: %s is no %s",
                                where, key, keys.path(key), expected(component.getType()))
                        .causedBy(e);
            }
        }
        return LitheException.badInput("%s: %s", where, e.getOriginalMessage()).causedBy(e);
    }

    /// What a key of type `type` takes, for people.
    private static String expected(Class<?> type) {
        if (type.isEnum()) {
            List<String> names =
                    Arrays.stream(type.getEnumConstants())
                            .map(constant -> YAML.valueToTree(constant).asText())
                            .map(name -> name.toLowerCase(Locale.ROOT))
                            .toList();
            return "member of " + String.join(", ", names);
        }
        return switch (type.getSimpleName()) {
            case "int", "long", "Integer" -> "whole number, or too large";
            case "float", "double" -> "number";
            case "boolean" -> "truth value; write true or false";
            case "List" -> "list of names; write for example [lm_head]";
            default -> "text";
        };
    }

    static void requireKnown(String where, String key, Collection<String> known) {
        if (known.contains(key)) {
            return;
        }
        var distance = LevenshteinDistance.getDefaultInstance();
        String nearest =
                known.stream()
                        .min(Comparator.comparingInt(candidate -> distance.apply(candidate, key)))
                        .orElse("none");
        throw LitheException.badInput(
                "%s: '%s' is unknown; did you mean '%s'? Known: %s",
                where, key, nearest, String.join(", ", known));
    }

    /// The record as a user would write it, every key spelled out.
    static ObjectNode toJson(Record config) {
        ObjectNode node = YAML.valueToTree(config);
        for (RecordComponent component : components(config.getClass()).toList()) {
            String key = snake(component.getName());
            if (component.getType().isEnum() && node.path(key).isTextual()) {
                node.put(key, node.path(key).asText().toLowerCase(Locale.ROOT));
            }
        }
        return node;
    }

    /// The components that are keys: those of a record within it are keys beside its own, for which
    /// it is annotated as unwrapped.
    private static Stream<RecordComponent> components(Class<?> config) {
        return Arrays.stream(config.getRecordComponents())
                .flatMap(component ->
                        component.getType().isRecord()
                                ? components(component.getType())
                                : Stream.of(component));
    }

    private static String snake(String name) {
        return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }
}
