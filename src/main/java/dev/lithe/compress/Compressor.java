package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.compress.Plan.PlannedLinear;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// The driver: carries out a plan and writes the finished model folder. Without calibrated stages
/// it goes linear by linear and holds one at a time; with them, block by block in a
/// [SequentialPass].
public final class Compressor {
    /// Files of a model folder that the compressed copy takes over as they are.
    private static final String KEPT_FILES =
            "tokenizer.*|special_tokens_map\\.json|added_tokens\\.json|generation_config\\.json|vocab\\.json|merges\\.txt"
                    + "|chat_template.*|LICENSE.*|NOTICE.*|USE_POLICY.*";

    /// Hears of progress.
    @FunctionalInterface
    public interface Listener {
        /// `done` of `total` weights are written; `module` was the last.
        void progress(long done, long total, String module);

        /// Something went other than configured for `module`, and was made good.
        default void trouble(String module, String what) {}
    }

    private final Plan plan;
    private final Checkpoint source;
    private final LinearReader reader;
    private final @Nullable CalibrationSet calibration;
    private final Listener listener;
    private final Map<String, String> troubles = new LinkedHashMap<>();
    private long done;

    /// A driver for `plan`, which was made from `source` and has no calibrated stages.
    public Compressor(Plan plan, Checkpoint source, Listener listener) {
        this(plan, source, null, listener);
    }

    /// A driver for `plan`, which was made from `source`.
    ///
    /// @param calibration what calibrated stages look at; null where there are none
    public Compressor(
            Plan plan, Checkpoint source, @Nullable CalibrationSet calibration, Listener listener) {
        this.plan = plan;
        this.source = source;
        this.reader = new LinearReader(source);
        this.calibration = calibration;
        this.listener = listener;
    }

    /// Compresses into the folder `output`, which appears only when it is complete.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    public Path run(Path output, boolean replace) {
        checkOutput(source.folder(), output, replace);
        requireSpace(output);
        try (var writer = CheckpointWriter.open(output, replace)) {
            writeOthers(writer);
            writeLinears(writer);
            writer.json("config.json", config());
            keptFiles().forEach(writer::copy);
            return writer.finish(lithe());
        }
    }

    /// Refuses an output that is in the way, and the model itself: replacing that would leave
    /// nothing to compare with.
    public static void checkOutput(Path model, Path output, boolean replace) {
        if (output.toString().isBlank()) {
            throw LitheException.badInput("--output is empty; name a folder");
        }
        try {
            Path source = model.toRealPath();
            Path target = output.toAbsolutePath().normalize();
            Path real = Files.exists(target) ? target.toRealPath() : target;
            if (real.startsWith(source) || source.startsWith(real)) {
                throw LitheException.badInput(
                        "%s is the model to compress, or holds it, or lies in it; choose another --output",
                        output);
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", output, e.getMessage())
                    .causedBy(e);
        }
        CheckpointWriter.checkTarget(output, replace);
    }

    private void requireSpace(Path output) {
        Path existing = output.toAbsolutePath();
        while (!Files.exists(existing) && existing.getParent() != null) {
            existing = existing.getParent();
        }
        try {
            long free = Files.getFileStore(existing).getUsableSpace();
            long needed = 2 * plan.bytes(source); // the spool and the assembled files
            if (free < needed) {
                throw LitheException.badInput(
                        "%s has %d MB free, this recipe needs %d MB; choose another --output",
                        existing, free >> 20, needed >> 20);
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be written: %s", existing, e.getMessage())
                    .causedBy(e);
        }
    }

    private void writeLinears(CheckpointWriter writer) {
        if (!plan.recipe().calibrated()) {
            for (PlannedLinear linear : plan.linears()) {
                try (var scope = TensorScope.open()) {
                    writeLinear(linear, Compressor::nothingSeen, writer, scope);
                }
            }
            return;
        }
        if (calibration == null) {
            throw LitheException.badInput(
                    "recipe '%s' looks at data; give a calibration text", plan.recipe().name());
        }
        try (var pass = new SequentialPass(calibration, plan.spec(), this::loadOther)) {
            pass.run((slot, seen, scope) -> {
                List<Linear> results = new ArrayList<>();
                for (LinearName name : slot) {
                    results.add(writeLinear(plan.linear(name), seen, writer, scope));
                }
                return results;
            });
        }
    }

    private static InputStatistics nothingSeen() {
        throw LitheException.of(Fault.INTERNAL, "a stage without calibration asks for statistics");
    }

    private Linear writeLinear(
            PlannedLinear linear,
            Supplier<InputStatistics> seen,
            CheckpointWriter writer,
            TensorScope scope) {
        String module = linear.name().module();
        Linear result = compress(linear, reader.read(linear.name(), scope), seen, scope);
        result.tensors()
                .forEach((suffix, tensor) -> write(writer, module + "." + suffix, tensor, scope));
        done += linear.name().weights();
        listener.progress(done, plan.weights(), module);
        return result;
    }

    private Linear compress(
            PlannedLinear linear,
            Linear stored,
            Supplier<InputStatistics> seen,
            TensorScope scope) {
        requireFinite(linear, stored, scope);
        String module = linear.name().module();
        Linear current = stored;
        List<Stage<?>> stages = plan.recipe().stages();
        for (int i = 0; i < stages.size(); i++) {
            Stage<?> stage = stages.get(i);
            LinearForm after = linear.forms().get(i + 1);
            try {
                Fitted fitted = stage.apply(linear.name(), current, after, seen, scope);
                current = fitted.linear();
                if (fitted.trouble() != null) {
                    troubles.put(module, stage.name() + ": " + fitted.trouble());
                    listener.trouble(module, stage.name() + ": " + fitted.trouble());
                }
            } catch (LitheException e) {
                throw LitheException.of(
                                e.fault(), "%s, %s: %s", module, stage.name(), e.getMessage())
                        .causedBy(e);
            }
        }
        return current;
    }

    private void requireFinite(PlannedLinear linear, Linear stored, TensorScope scope) {
        stored.tensors()
                .forEach((suffix, tensor) ->
                        requireFinite(linear.name().module() + "." + suffix, tensor, scope));
    }

    private void requireFinite(String name, Value tensor, TensorScope scope) {
        if (tensor.dtype().isFloat() && scope.call("count_not_finite", tensor).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' holds NaN or infinite values; the checkpoint is broken",
                    source.folder(), name);
        }
    }

    private void writeOthers(CheckpointWriter writer) {
        plan.otherTypes().keySet().stream()
                .filter(name -> !name.endsWith(".bias"))
                .sorted()
                .forEach(name -> {
                    try (var scope = TensorScope.open()) {
                        Value tensor = source.load(name, scope);
                        requireFinite(name, tensor, scope);
                        write(writer, name, tensor, scope);
                    }
                });
    }

    /// Writes a tensor, in its planned type where it is no linear's own.
    private void write(CheckpointWriter writer, String name, Value tensor, TensorScope scope) {
        writer.write(name, inPlannedType(name, tensor, scope));
    }

    /// A tensor that is no linear's, as it will be written.
    private Value loadOther(String name, TensorScope into) {
        return inPlannedType(name, source.load(name, into), into);
    }

    private Value inPlannedType(String name, Value tensor, TensorScope scope) {
        DType type = plan.otherTypes().get(name);
        if (type == null) {
            return tensor;
        }
        if (scope.call("count_overflow", tensor, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' does not fit %s; choose bfloat16",
                    source.folder(), name, type.torchName());
        }
        return scope.call("cast", tensor, type.code());
    }

    private JsonNode config() {
        ObjectNode config = source.config().deepCopy();
        DType type = plan.otherTypes().getOrDefault(Architecture.EMBEDDING, plan.spec().dtype());
        config.remove("quantization_config");
        config.put(config.has("dtype") ? "dtype" : "torch_dtype", type.torchName());
        Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();
        plan.linears()
                .forEach(linear -> schemes.put(linear.name().module(), scheme(linear.last())));
        schemes.putIfAbsent(
                Architecture.LM_HEAD,
                null); // a tied one must be named too, or readers expect its scales
        if (schemes.values().stream().anyMatch(Objects::nonNull)) {
            config.set("quantization_config", QuantizationMetadata.describe(schemes));
        }
        return config;
    }

    private static @Nullable Scheme scheme(LinearForm form) {
        return form.scheme();
    }

    private List<Path> keptFiles() {
        try (var files = Files.list(source.folder())) {
            return files.filter(Files::isRegularFile)
                    .filter(file -> file.getFileName().toString().matches(KEPT_FILES))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw LitheException.badInput(
                            "%s cannot be listed: %s", source.folder(), e.getMessage())
                    .causedBy(e);
        }
    }

    private ObjectNode lithe() {
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
        if (!troubles.isEmpty()) {
            ObjectNode trouble = lithe.putObject("trouble");
            troubles.forEach(trouble::put);
        }
        ObjectNode linears = lithe.putObject("linears");
        plan.linears()
                .forEach(linear -> linears.put(linear.name().module(), linear.last().label()));
        return lithe;
    }
}
