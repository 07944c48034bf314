package dev.lithe.technique.distill;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.SafetensorsFile;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.technique.distill.FlatModel.Place;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/// A low-rank adapter in the form of Hugging Face's PEFT: a folder with `adapter_config.json` and
/// `adapter_model.safetensors`, where a linear `M` has
///
/// | tensor | shape |
/// |---|---|
/// | `base_model.model.M.lora_A.weight` | (r, K) |
/// | `base_model.model.M.lora_B.weight` | (N, r) |
///
/// and means `W + s B A`, s being `lora_alpha / r`, or with `use_rslora` `lora_alpha / √r`.
///
/// @param scale s of rank r
/// @param modules of the linears that it changes
/// @param folder where it lies
record Adapter(Path folder, Scale scale, Set<String> modules) {
    private static final String CONFIG = "adapter_config.json";
    private static final String MODEL = "adapter_model.safetensors";
    private static final String PREFIX = "base_model.model.";
    private static final String A = ".lora_A.weight";
    private static final String B = ".lora_B.weight";
    private static final JsonMapper JSON = new JsonMapper();

    /// @param alpha `lora_alpha`
    /// @param root whether the root of the rank divides it
    record Scale(double alpha, boolean root) {
        double of(int rank) {
            return alpha / (root ? Math.sqrt(rank) : rank);
        }
    }

    /// The adapter in `folder`; its tensors are not read yet.
    ///
    /// @throws LitheException where it is none that can be merged
    static Adapter open(Path folder) {
        Path file = folder.resolve(CONFIG);
        if (!Files.isRegularFile(file) || !Files.isRegularFile(folder.resolve(MODEL))) {
            throw LitheException.badInput(
                    "adapter is '%s', which is no folder with %s and %s; name one",
                    folder, CONFIG, MODEL);
        }
        JsonNode config;
        try {
            config = JSON.readTree(file.toFile());
        } catch (IOException e) {
            throw LitheException.badInput("%s is no JSON: %s", file, firstLine(e)).causedBy(e);
        }
        require(file, config, "peft_type", "LORA");
        require(file, config, "bias", "none");
        for (String key : new String[] {"use_dora", "fan_in_fan_out"}) {
            require(file, config, key, "false");
        }
        for (String key : new String[] {"modules_to_save", "alpha_pattern"}) {
            JsonNode value = config.path(key);
            if (!value.isMissingNode() && !value.isNull() && !value.isEmpty()) {
                throw LitheException.badInput(
                        "%s: %s is %s, which Lithe cannot merge; merge it with the program that made it",
                        file, key, value);
            }
        }
        double alpha = config.path("lora_alpha").asDouble();
        if (!(alpha > 0)) {
            throw LitheException.badInput("%s: lora_alpha is missing or not above 0", file);
        }
        var scale = new Scale(alpha, config.path("use_rslora").asBoolean());
        return new Adapter(folder, scale, modules(folder.resolve(MODEL)));
    }

    private static String firstLine(IOException e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }

    private static void require(Path file, JsonNode config, String key, String expected) {
        JsonNode value = config.path(key);
        if (!value.isMissingNode() && !value.isNull() && !value.asText().equals(expected)) {
            throw LitheException.badInput(
                    "%s: %s is %s; Lithe merges adapters whose %s is %s",
                    file, key, value, key, expected);
        }
    }

    private static Set<String> modules(Path file) {
        Set<String> modules = new TreeSet<>();
        Set<String> names = SafetensorsFile.shapes(file).keySet();
        for (String name : names) {
            String end = name.endsWith(A) ? A : name.endsWith(B) ? B : "";
            if (!name.startsWith(PREFIX) || end.isEmpty()) {
                throw LitheException.badInput(
                        "%s: tensor '%s' is no %s*%s or *%s, so Lithe cannot merge it",
                        file, name, PREFIX, A, B);
            }
            String module = name.substring(PREFIX.length(), name.length() - end.length());
            if (!names.contains(PREFIX + module + A) || !names.contains(PREFIX + module + B)) {
                throw LitheException.badInput(
                        "%s: '%s' has one of two tensors only; download it again", file, module);
            }
            modules.add(module);
        }
        return modules;
    }

    /// Refuses where `linear` has an adapter of another shape.
    void check(LinearName linear) {
        Map<String, List<Long>> shapes = SafetensorsFile.shapes(folder.resolve(MODEL));
        var a = shapes.get(PREFIX + linear.module() + A);
        var b = shapes.get(PREFIX + linear.module() + B);
        if (a == null || b == null) {
            return;
        }
        if (a.size() != 2
                || b.size() != 2
                || a.getLast() != linear.inFeatures()
                || b.getFirst() != linear.outFeatures()
                || !a.getFirst().equals(b.getLast())) {
            throw LitheException.badInput(
                    "%s: '%s' has an adapter of shapes %s and %s, and is %d x %d itself; is it another"
                            + " model's?",
                    folder, linear.module(), a, b, linear.outFeatures(), linear.inFeatures());
        }
    }

    /// A and B of each linear, by its module, as float32.
    Map<String, List<Value>> read(TensorScope into) {
        Map<String, Value> tensors = SafetensorsFile.read(folder.resolve(MODEL), into);
        Map<String, List<Value>> pairs = new LinkedHashMap<>();
        for (String module : modules) {
            pairs.put(
                    module,
                    List.of(floats(tensors, module + A, into), floats(tensors, module + B, into)));
        }
        return pairs;
    }

    private static Value floats(Map<String, Value> tensors, String name, TensorScope into) {
        return into.call("to_float", Objects.requireNonNull(tensors.get(PREFIX + name)));
    }

    /// Refuses a folder that holds something else, before any work.
    static void checkTarget(Path folder) {
        boolean adapter =
                Files.isRegularFile(folder.resolve(CONFIG))
                        || Files.isRegularFile(folder.resolve(MODEL));
        if (Files.exists(folder) && !adapter) {
            throw LitheException.badInput(
                    "adapter is '%s', which exists and holds no adapter; name a new folder",
                    folder);
        }
    }

    /// Refuses a model whose pruned weights an adapter would bring back.
    static void requireWhole(FlatModel student, WholeModel model) {
        for (LoadedPart block : model.blocks()) {
            for (LinearName name : block.part().linears()) {
                Place place = student.place(name);
                if (place.adapter() && place.kept() >= 0) {
                    throw pruned(name.module());
                }
            }
        }
    }

    static LitheException pruned(String module) {
        return LitheException.badInput(
                "%s was pruned, and an adapter beside it would bring the zeros back; leave the key"
                        + " adapter out",
                module);
    }

    /// Writes what the adapters of `student`, made from `model`, have learned.
    static void write(FlatModel student, WholeModel model, int rank, Path folder) {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.put("peft_type", "LORA").put("task_type", "CAUSAL_LM");
        config.put("base_model_name_or_path", String.valueOf(model.folder().getFileName()));
        config.put("r", rank).put("lora_alpha", rank).put("lora_dropout", 0.0);
        config.put("bias", "none").put("fan_in_fan_out", false).put("inference_mode", true);
        Set<String> targets = new TreeSet<>();
        try (var step = TensorScope.open()) {
            Map<String, Value> tensors = new LinkedHashMap<>();
            for (LoadedPart block : model.blocks()) {
                for (LinearName name : block.part().linears()) {
                    Place place = student.place(name);
                    tensors.put(PREFIX + name.module() + A, plain(student, place.right(), step));
                    tensors.put(PREFIX + name.module() + B, plain(student, place.left(), step));
                    targets.add(name.module().substring(name.module().lastIndexOf('.') + 1));
                }
            }
            ArrayNode list = config.putArray("target_modules");
            targets.forEach(list::add);
            Path partial = folder.resolveSibling(folder.getFileName() + ".partial");
            Path _ = Files.createDirectories(partial);
            SafetensorsFile.write(partial.resolve(MODEL), tensors);
            Path _ =
                    Files.writeString(
                            partial.resolve(CONFIG),
                            JSON.writerWithDefaultPrettyPrinter().writeValueAsString(config));
            if (Files.exists(folder)) { // an adapter, as #checkTarget knows
                for (String name : List.of(MODEL, CONFIG)) {
                    Files.move(
                            partial.resolve(name),
                            folder.resolve(name),
                            StandardCopyOption.REPLACE_EXISTING);
                }
                Files.delete(partial);
            } else {
                Files.move(partial, folder);
            }
        } catch (JsonProcessingException e) {
            throw LitheException.internal("JSON cannot be written", e);
        } catch (IOException e) {
            throw LitheException.of(Fault.INTERNAL, "writing %s failed: %s", folder, e.getMessage())
                    .causedBy(e);
        }
    }

    private static Value plain(FlatModel student, int index, TensorScope step) {
        return step.call("train_stored", student.tensor(index), DType.F32.code());
    }
}
