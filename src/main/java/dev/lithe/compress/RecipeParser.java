package dev.lithe.compress;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.LinearScope;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Technique;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.apache.commons.text.similarity.LevenshteinDistance;

/// Reads recipes: the built-in ones, YAML files, and stages written on the command line. A key that
/// is not known is refused with the nearest one that is, and so is a value of another type than its
/// key's: `bits: 4.5` does not become 4, nor `bits: "4"`.
public final class RecipeParser {
    /// Recipes inside the program.
    public static final List<String> BUILT_IN = List.of("int8", "int4", "gptq4");

    private static final long MAX_BYTES = 1 << 20;
    private static final List<String> KEYS = List.of("stages", "name", "calibration");

    private static final ObjectMapper YAML =
            YAMLMapper.builder()
                    .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
                    .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_ENUMS)
                    .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
                    .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                    .enable(DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                    .build();

    private RecipeParser() {}

    /// The recipe called `nameOrFile`: a built-in's name, or a YAML file.
    public static Recipe named(String nameOrFile) {
        if (BUILT_IN.contains(nameOrFile)) {
            try (InputStream in =
                    RecipeParser.class.getResourceAsStream("/recipes/" + nameOrFile + ".yaml")) {
                return parse(nameOrFile, YAML.readTree(in));
            } catch (IOException e) {
                throw LitheException.internal(
                        "built-in recipe " + nameOrFile + " cannot be read", e);
            }
        }
        Path file = Path.of(nameOrFile);
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput(
                    "'%s' is neither a built-in recipe (%s) nor a file",
                    nameOrFile, String.join(", ", BUILT_IN));
        }
        return parse(file);
    }

    private static Recipe parse(Path file) {
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw LitheException.badInput(
                        "%s: %d bytes, a recipe has at most %d", file, Files.size(file), MAX_BYTES);
            }
            String name = file.getFileName().toString().replaceFirst("\\.ya?ml$", "");
            Recipe recipe = parse(name, YAML.readTree(Files.readString(file)));
            String text = recipe.calibration().text(); // beside the recipe, unless absolute
            return text == null
                    ? recipe
                    : recipe.withCalibrationText(file.resolveSibling(text).toString());
        } catch (MismatchedInputException e) {
            throw LitheException.badInput("%s: no valid YAML: more than one document", file)
                    .causedBy(e);
        } catch (MalformedInputException e) {
            throw LitheException.badInput("%s: is no UTF-8 text", file).causedBy(e);
        } catch (JsonProcessingException e) {
            String reason = e.getOriginalMessage().lines().findFirst().orElse("");
            throw LitheException.badInput(
                            "%s: no valid YAML: line %d: %s",
                            file, e.getLocation() == null ? 1 : e.getLocation().getLineNr(), reason)
                    .causedBy(e);
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// A recipe of stages such as `gptq:bits=4,group_size=64`; a list in a value is written
    /// `[a;b]`.
    public static Recipe inline(List<String> stages) {
        ObjectNode root = YAML.createObjectNode();
        ArrayNode list = root.putArray("stages");
        for (String stage : stages) {
            String[] parts = stage.split(":", 2);
            ObjectNode keys = list.addObject().putObject(parts[0].strip());
            if (parts.length == 2 && !parts[1].isBlank()) {
                addKeys(keys, stage, parts[1]);
            }
        }
        return parse("inline", root);
    }

    private static void addKeys(ObjectNode keys, String stage, String text) {
        for (String pair : text.split(",")) {
            String[] keyValue = pair.split("=", 2);
            if (keyValue.length != 2) {
                throw LitheException.badInput(
                        "stage '%s': '%s' is no key=value; write for example rtn:bits=4,group_size=32",
                        stage, pair);
            }
            String key = keyValue[0].strip();
            if (keys.has(key)) {
                throw LitheException.badInput("stage '%s': '%s' is given twice", stage, key);
            }
            try {
                keys.set(key, YAML.readTree(keyValue[1].replace(';', ',')));
            } catch (JsonProcessingException e) {
                throw LitheException.badInput("stage '%s': '%s' is no value", stage, keyValue[1])
                        .causedBy(e);
            }
        }
    }

    private static Recipe parse(String name, JsonNode root) {
        if (!root.isObject()) {
            throw LitheException.badInput(
                    "recipe '%s': must be an object with the key 'stages'", name);
        }
        root.fieldNames().forEachRemaining(key -> requireKnown("recipe '" + name + "'", key, KEYS));
        if (root.has("stages") && !root.path("stages").isArray()) {
            throw LitheException.badInput(
                    "recipe '%s': stages is no list; start each stage with '- '", name);
        }
        List<Stage<?>> stages = new ArrayList<>();
        List<RunStage<?>> running = new ArrayList<>();
        int number = 0;
        for (JsonNode entry : root.path("stages")) {
            number++;
            if (!entry.isObject() || entry.size() != 1) {
                throw LitheException.badInput(
                        "recipe '%s': stage %d is not 'technique: {key: value, ...}'",
                        name, number);
            }
            var field = entry.properties().iterator().next();
            String where = "recipe '" + name + "', stage " + number + " (" + field.getKey() + ")";
            switch (technique(where, field.getKey())) {
                case LinearScope<?> linear ->
                        stages.add(configuredStage(where, linear, field.getValue()));
                case RunTechnique<?> run ->
                        running.add(configuredStage(where, run, field.getValue()));
            }
        }
        if (number == 0) {
            throw LitheException.badInput("recipe '%s': has no stages", name);
        }
        return new Recipe(
                root.has("name") ? name(name, root.path("name")) : name,
                stages,
                running,
                calibration(name, root));
    }

    private static CalibrationOptions calibration(String name, JsonNode root) {
        return root.has("calibration")
                ? configured(
                        "recipe '" + name + "', calibration",
                        CalibrationOptions.DEFAULTS,
                        root.path("calibration"))
                : CalibrationOptions.DEFAULTS;
    }

    /// The name becomes part of a folder's name.
    private static String name(String recipe, JsonNode name) {
        String text = name.asText();
        if (!name.isTextual()
                || text.isBlank()
                || text.matches("(?s).*[/\\\\\\p{Cntrl}].*|.{101,}")) {
            throw LitheException.badInput(
                    "recipe '%s': name %s must be text of at most 100 characters without slashes",
                    recipe, name);
        }
        return text;
    }

    private static Technique technique(String where, String name) {
        List<Technique> known = Technique.all();
        requireKnown(where, name, known.stream().map(Technique::name).toList());
        return known.stream()
                .filter(member -> member.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static <C extends Record> Stage<C> configuredStage(
            String where, LinearScope<C> technique, JsonNode keys) {
        return new Stage<>(technique, configured(where, technique.defaults(), keys));
    }

    private static <C extends Record> RunStage<C> configuredStage(
            String where, RunTechnique<C> technique, JsonNode keys) {
        return new RunStage<>(technique, configured(where, technique.defaults(), keys));
    }

    /// The defaults, overlaid with the keys that the user wrote.
    private static <C extends Record> C configured(String where, C defaults, JsonNode keys) {
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
        for (var component : config.getRecordComponents()) {
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

    private static void requireKnown(String where, String key, Collection<String> known) {
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

    static ObjectNode toJson(Recipe recipe) {
        ObjectNode root = YAML.createObjectNode();
        ArrayNode stages = root.put("name", recipe.name()).putArray("stages");
        recipe.stages()
                .forEach(stage -> stages.addObject().set(stage.name(), lowerEnums(stage.config())));
        recipe.running()
                .forEach(stage ->
                        stages.addObject()
                                .set(stage.technique().name(), lowerEnums(stage.config())));
        return root;
    }

    private static JsonNode lowerEnums(Record config) {
        ObjectNode node = YAML.valueToTree(config);
        for (var component : config.getClass().getRecordComponents()) {
            if (component.getType().isEnum() && node.path(snake(component.getName())).isTextual()) {
                node.put(
                        snake(component.getName()),
                        node.path(snake(component.getName())).asText().toLowerCase(Locale.ROOT));
            }
        }
        return node;
    }

    private static String snake(String name) {
        return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }
}
