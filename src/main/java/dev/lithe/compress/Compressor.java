package dev.lithe.compress;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.compress.Plan.PlannedLinear;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.Part;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// The driver: carries out a plan and writes the finished model folder. It goes part by part
/// (embedding, blocks, output layer) and holds one at a time; where stages look at data, a
/// [SequentialPass] carries calibration windows along.
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
            writeParts(writer);
            writer.json("config.json", FolderDescription.config(plan, source));
            keptFiles().forEach(writer::copy);
            return writer.finish(FolderDescription.lithe(plan, source, calibration, troubles));
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

    private void writeParts(CheckpointWriter writer) {
        try (SequentialPass pass = pass()) {
            for (Part part : Architecture.parts(plan.spec())) {
                try (LoadedPart loaded = load(part, pass)) {
                    compress(loaded, pass);
                    write(loaded, writer);
                    if (pass != null) {
                        pass.advance(loaded);
                    }
                }
            }
        }
    }

    private @Nullable SequentialPass pass() {
        if (!plan.recipe().calibrated()) {
            return null;
        }
        if (calibration == null) {
            throw LitheException.badInput(
                    "recipe '%s' looks at data; give a calibration text", plan.recipe().name());
        }
        return new SequentialPass(calibration, plan.spec(), plan.recipe().needsTargets(), null);
    }

    private LoadedPart load(Part part, @Nullable SequentialPass pass) {
        var loaded = new LoadedPart(plan.spec(), part, pass);
        try (var step = TensorScope.open()) {
            for (LinearName name : part.linears()) {
                Linear stored = reader.read(name, step);
                stored.tensors()
                        .forEach((suffix, tensor) ->
                                requireFinite(name.module() + "." + suffix, tensor, step));
                loaded.set(name, stored);
            }
            part.norms()
                    .forEach((slot, name) -> {
                        Value norm = source.load(name, step);
                        requireFinite(name, norm, step);
                        loaded.setNorm(slot, inPlannedType(name, norm, step));
                    });
            return loaded;
        } catch (RuntimeException e) {
            loaded.close();
            throw e;
        }
    }

    /// Applies all stages: those of linear scope that follow each other slot by slot, so that a
    /// slot sees what the ones before it became.
    private void compress(LoadedPart part, @Nullable SequentialPass pass) {
        List<Stage<?>> stages = plan.recipe().stages();
        for (int first = 0; first < stages.size(); ) {
            if (pass != null && first == plan.recipe().reference()) {
                pass.reference(part);
            }
            int last = first + 1;
            if (stages.get(first).takesParts()) {
                stages.get(first).applyTo(part);
            } else {
                while (last < stages.size() && !stages.get(last).takesParts()) {
                    last++;
                }
                compressLinears(part, first, last);
            }
            first = last;
        }
    }

    private void compressLinears(LoadedPart part, int first, int last) {
        for (Slot slot : part.part().slots()) {
            try (var step = TensorScope.open()) {
                var seen = new Seen(part, slot, step);
                for (LinearName name : part.part().linears(slot)) {
                    PlannedLinear planned = plan.linear(name);
                    part.set(name, compress(planned, part.linear(name), first, last, seen, step));
                }
            }
        }
    }

    /// Statistics of a slot's input, gathered when they are first asked for.
    private static final class Seen implements Supplier<InputStatistics> {
        private final LoadedPart part;
        private final Slot slot;
        private final TensorScope scope;
        private @Nullable InputStatistics gathered;

        Seen(LoadedPart part, Slot slot, TensorScope scope) {
            this.part = part;
            this.slot = slot;
            this.scope = scope;
        }

        @Override
        public InputStatistics get() {
            if (gathered == null) {
                gathered = part.statistics(slot, scope);
            }
            return gathered;
        }
    }

    private Linear compress(
            PlannedLinear linear,
            Linear before,
            int first,
            int last,
            Supplier<InputStatistics> seen,
            TensorScope scope) {
        String module = linear.name().module();
        Linear current = before;
        for (int i = first; i < last; i++) {
            Stage<?> stage = plan.recipe().stages().get(i);
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

    private void requireFinite(String name, Value tensor, TensorScope scope) {
        if (tensor.dtype().isFloat() && scope.call("count_not_finite", tensor).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' holds NaN or infinite values; the checkpoint is broken",
                    source.folder(), name);
        }
    }

    private void write(LoadedPart part, CheckpointWriter writer) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.part().linears()) {
                Linear linear = inPlannedForm(part.linear(name), plan.linear(name).last(), step);
                linear.tensors()
                        .forEach((suffix, tensor) -> {
                            String tensorName = name.module() + "." + suffix;
                            writer.write(tensorName, inPlannedType(tensorName, tensor, step));
                        });
                done += name.weights();
                listener.progress(done, plan.weights(), name.module());
            }
            part.part()
                    .norms()
                    .forEach((slot, name) ->
                            writer.write(name, inPlannedType(name, part.norm(slot), step)));
        }
    }

    /// Dense weights may be in hand more exactly than they are stored.
    private static Linear inPlannedForm(Linear linear, LinearForm form, TensorScope scope) {
        return linear instanceof Linear.Dense dense && form instanceof LinearForm.Dense floats
                ? new Linear.Dense(
                        scope.call("cast", dense.weight(), floats.dtype().code()),
                        dense.bias(),
                        floats)
                : linear;
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
}
