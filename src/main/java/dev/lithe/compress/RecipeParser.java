package dev.lithe.compress;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.AllocationTechnique;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Settings.Override;
import dev.lithe.technique.Technique;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.quantize.BitAllocation;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads recipes: the built-in ones, YAML files, and stages written on the command line.
public final class RecipeParser {
    /// Recipes inside the program.
    public static final List<String> BUILT_IN =
            List.of("int8", "int4", "gptq4", "smallest", "balanced", "fastest-cpu", "fastest-gpu");

    private static final long MAX_BYTES = 1 << 20;
    private static final List<String> KEYS = List.of("stages", "name", "calibration");
    private static final String OVERRIDES = "overrides";

    /// Keys of a stage that say where it applies.
    private static final List<String> UNCHANGEABLE = List.of("targets", "ignore", OVERRIDES);

    private RecipeParser() {}

    /// The recipe called `nameOrFile`: a built-in's name, or a YAML file.
    public static Recipe named(String nameOrFile) {
        if (BUILT_IN.contains(nameOrFile)) {
            try (InputStream in =
                    RecipeParser.class.getResourceAsStream("/recipes/" + nameOrFile + ".yaml")) {
                return parse(nameOrFile, RecordBinder.YAML.readTree(in));
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
            Recipe recipe = parse(name, RecordBinder.YAML.readTree(Files.readString(file)));
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

    /// The keys of a technique's stage.
    public static List<String> keys(Technique technique) {
        List<String> keys = new ArrayList<>();
        RecordBinder.toJson(technique.defaults()).fieldNames().forEachRemaining(keys::add);
        return keys;
    }

    /// A recipe of stages such as `gptq:bits=4,group_size=64`; a list in a value is written
    /// `[a;b]`.
    public static Recipe inline(List<String> stages) {
        ObjectNode root = RecordBinder.YAML.createObjectNode();
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
                keys.set(key, RecordBinder.YAML.readTree(keyValue[1].replace(';', ',')));
            } catch (JsonProcessingException e) {
                throw LitheException.badInput("stage '%s': '%s' is no value", stage, keyValue[1])
                        .causedBy(e);
            }
        }
    }

    /// The recipe that `root` describes, as a YAML file would.
    public static Recipe of(String name, JsonNode root) {
        return parse(name, root);
    }

    private static Recipe parse(String name, JsonNode root) {
        if (!root.isObject()) {
            throw LitheException.badInput(
                    "recipe '%s': must be an object with the key 'stages'", name);
        }
        root.fieldNames()
                .forEachRemaining(
                        key -> RecordBinder.requireKnown("recipe '" + name + "'", key, KEYS));
        if (root.has("stages") && !root.path("stages").isArray()) {
            throw LitheException.badInput(
                    "recipe '%s': stages is no list; start each stage with '- '", name);
        }
        List<Step> steps = new ArrayList<>();
        List<RunStage<?>> running = new ArrayList<>();
        int number = 0;
        BitAllocation.@Nullable Config allocation = null;
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
                case WeightTechnique<?> weights -> {
                    steps.add(stage(where, weights, field.getValue(), allocation));
                    allocation = null;
                }
                case AllocationTechnique<?> budget -> {
                    requireNone(name, allocation);
                    allocation = allocation(where, budget, field.getValue());
                }
                case ModelTechnique<?> model -> {
                    requireNone(name, allocation);
                    steps.add(modelStage(where, model, field.getValue()));
                }
                case RunTechnique<?> run ->
                        running.add(configuredStage(where, run, field.getValue()));
            }
        }
        requireNone(name, allocation);
        if (number == 0) {
            throw LitheException.badInput("recipe '%s': has no stages", name);
        }
        return new Recipe(
                root.has("name") ? name(name, root.path("name")) : name,
                steps,
                running,
                calibration(name, root));
    }

    private static CalibrationOptions calibration(String name, JsonNode root) {
        return root.has("calibration")
                ? RecordBinder.bind(
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
        RecordBinder.requireKnown(where, name, known.stream().map(Technique::name).toList());
        return known.stream()
                .filter(member -> member.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static BitAllocation.Config allocation(
            String where, AllocationTechnique<?> technique, JsonNode keys) {
        if (RecordBinder.bind(where, technique.defaults(), keys)
                instanceof BitAllocation.Config allocation) {
            if ((allocation.averageBits() > 0) == (allocation.maxBytes() > 0)) {
                throw LitheException.badInput(
                        "%s: give average_bits or max_bytes, one of them", where);
            }
            return allocation;
        }
        throw LitheException.of(Fault.INTERNAL, "%s: is no allocation", where);
    }

    private static void requireNone(String recipe, BitAllocation.@Nullable Config allocation) {
        if (allocation != null) {
            throw LitheException.badInput(
                    "recipe '%s': bit_allocation stands right before the stage whose bits it chooses",
                    recipe);
        }
    }

    private static <C extends Record> Stage<C> stage(
            String where,
            WeightTechnique<C> technique,
            JsonNode keys,
            BitAllocation.@Nullable Config allocation) {
        JsonNode own = keys.deepCopy();
        JsonNode overrides =
                own instanceof ObjectNode object && object.has(OVERRIDES)
                        ? object.remove(OVERRIDES)
                        : RecordBinder.YAML.createObjectNode();
        C common = RecordBinder.bind(where, technique.defaults(), own);
        var settings = new Settings<>(common, overrides(where, technique, common, overrides));
        return new Stage<>(technique, settings, allocation);
    }

    private static <C extends Record> ModelStage<C> modelStage(
            String where, ModelTechnique<C> technique, JsonNode keys) {
        return new ModelStage<>(technique, RecordBinder.bind(where, technique.defaults(), keys));
    }

    private static <C extends Record> RunStage<C> configuredStage(
            String where, RunTechnique<C> technique, JsonNode keys) {
        return new RunStage<>(technique, RecordBinder.bind(where, technique.defaults(), keys));
    }

    private static <C extends Record> List<Override<C>> overrides(
            String where, WeightTechnique<C> technique, C common, JsonNode written) {
        if (!written.isObject()) {
            throw LitheException.badInput(
                    "%s: overrides: %s is not {pattern: {key: value, ...}, ...}", where, written);
        }
        List<Override<C>> overrides = new ArrayList<>();
        for (var field : written.properties()) {
            String place = where + ", overrides, " + field.getKey();
            List<String> unchangeable = new ArrayList<>(UNCHANGEABLE);
            unchangeable.addAll(technique.stageKeys());
            for (String key : unchangeable) {
                if (field.getValue().has(key)) {
                    throw LitheException.badInput(
                            "%s: %s belongs to the stage, not to an override", place, key);
                }
            }
            overrides.add(
                    new Override<>(
                            field.getKey(), RecordBinder.bind(place, common, field.getValue())));
        }
        return overrides;
    }

    static ObjectNode toJson(Recipe recipe) {
        ObjectNode root = RecordBinder.YAML.createObjectNode();
        ArrayNode stages = root.put("name", recipe.name()).putArray("stages");
        for (Step step : recipe.steps()) {
            switch (step) {
                case ModelStage<?> stage -> stages.addObject().set(stage.name(), stage.toJson());
                case Stage<?> stage -> {
                    if (stage.allocation() != null) {
                        stages.addObject()
                                .set("bit_allocation", RecordBinder.toJson(stage.allocation()));
                    }
                    stages.addObject().set(stage.name(), stage.toJson());
                }
            }
        }
        recipe.running()
                .forEach(stage -> stages.addObject().set(stage.technique().name(), stage.toJson()));
        return root;
    }
}
