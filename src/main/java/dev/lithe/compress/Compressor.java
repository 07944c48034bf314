package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearName;
import dev.lithe.model.Part;
import dev.lithe.tensor.Machine;
import dev.lithe.tensor.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The driver: carries out a plan and writes the finished model folder. It goes part by part
/// (embedding, blocks, output layer) and holds one at a time; where stages look at data, a
/// [SequentialPass] carries calibration windows along.
///
/// A run that was killed is continued by the next one of the same [Origin] behind the last part
/// that it finished. What is made is the same to the byte: either way the pass goes on through a
/// part as it was written, loaded again.
public final class Compressor {
    /// Files of a model folder that the compressed copy takes over as they are.
    private static final String KEPT_FILES =
            "tokenizer.*|specialize\\.json|training\\.json|special_tokens_map\\.json|added_tokens\\.json|generation_config\\.json|vocab\\.json|merges\\.txt"
                    + "|chat_template.*|LICENSE.*|NOTICE.*|USE_POLICY.*";

    /// The key of `lithe.json` that holds the hash of all that decided what was written.
    static final String ORIGIN = "origin";

    private static final double NANOS_PER_SECOND = 1e9;

    /// Hears of progress.
    @FunctionalInterface
    public interface Listener {
        /// `done` of `total` weights are written; `module` was the last.
        void progress(long done, long total, String module);

        /// The part called `label` is finished: this became of its linears, in `seconds`.
        default void finished(String label, List<LayerResult> layers, double seconds) {}

        /// An earlier run finished `parts` of the `total` parts, in `seconds`; they stay.
        default void resumed(int parts, int total, double seconds) {}

        /// What an earlier run left is of no use: `different` is not what it was.
        default void startedAnew(String different) {}
    }

    private final Plan plan;
    private final Checkpoint source;
    private final @Nullable CalibrationSet calibration;
    private final Listener listener;
    private final Machine machine;
    private final List<LayerResult> layers = new ArrayList<>();
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
        this(plan, source, calibration, listener, Machine.here());
    }

    /// The same on a machine of another size.
    Compressor(
            Plan plan,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            Listener listener,
            Machine machine) {
        this.plan = plan;
        this.source = source;
        this.calibration = calibration;
        this.listener = listener;
        this.machine = machine;
    }

    /// Compresses into the folder `output`, which appears only when it is complete.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where it cannot be done. Bad input leaves nothing behind; after any
    ///   other failure the same call goes on behind the last finished part
    public Path run(Path output, boolean replace) {
        Cost _ = checked(output, replace); // before all weights are hashed
        return run(output, replace, Origin.of(plan.recipe(), source, calibration));
    }

    /// The same, known by `origin` to a later run.
    Path run(Path output, boolean replace, JsonNode origin) {
        Cost cost = checked(output, replace);
        Torch.returnLargeBlocks(!plan.recipe().calibrated());
        try (var writer = CheckpointWriter.open(output, replace, origin)) {
            try {
                tellOfEarlierRun(writer, origin);
                JsonNode config = FolderDescription.config(plan, source);
                Path spill = cost.spills() ? writer.scratch() : null;
                writeParts(writer, new PartStore(plan, source, writer, config), spill);
                writer.json("config.json", config);
                keptFiles(source.folder()).forEach(writer::copy);
                return writer.finish(
                        FolderDescription.lithe(plan, source, calibration, layers)
                                .put(ORIGIN, origin.path("sha256").asText()));
            } catch (RuntimeException | Error e) {
                if (!(e instanceof LitheException known && known.fault() == Fault.BAD_INPUT)) {
                    writer.keep();
                }
                throw e;
            }
        } finally {
            Torch.returnLargeBlocks(false);
        }
    }

    private Cost checked(Path output, boolean replace) {
        checkOutput(source.folder(), output, replace);
        Cost cost = Cost.of(plan, source, calibration, machine);
        cost.requireRoom(output, machine);
        return cost;
    }

    private void tellOfEarlierRun(CheckpointWriter writer, JsonNode origin) {
        JsonNode abandoned = writer.abandoned();
        if (abandoned != null) {
            listener.startedAnew(Origin.difference(abandoned, origin));
        }
        List<CheckpointWriter.Step> steps = writer.resumed();
        if (!steps.isEmpty()) {
            double seconds =
                    steps.stream()
                            .mapToDouble(step -> step.notes().path("seconds").asDouble())
                            .sum();
            listener.resumed(steps.size(), Architecture.parts(plan.spec()).size(), seconds);
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

    private void writeParts(CheckpointWriter writer, PartStore store, @Nullable Path spill) {
        List<CheckpointWriter.Step> finished = writer.resumed();
        try (SequentialPass pass = pass(spill)) {
            var compressor = new PartCompressor(plan, pass);
            List<Part> parts = Architecture.parts(plan.spec());
            for (int i = 0; i < parts.size(); i++) {
                Part part = parts.get(i);
                if (i < finished.size()) {
                    recall(finished.get(i), part);
                    if (pass != null && plan.recipe().needsTargets()) {
                        try (LoadedPart original = store.original(part, pass)) {
                            compressor.reference(original);
                        }
                    }
                } else {
                    make(part, compressor, store, pass, writer);
                }
                if (pass != null && part.kind() != Part.Kind.OUTPUT) {
                    try (LoadedPart written = store.written(part, pass)) {
                        pass.advance(written);
                    }
                }
                Torch.releaseMemory();
                part.linears().forEach(this::tellOfProgress);
            }
        }
    }

    private void make(
            Part part,
            PartCompressor compressor,
            PartStore store,
            @Nullable SequentialPass pass,
            CheckpointWriter writer) {
        long start = System.nanoTime();
        List<LayerResult> made;
        try (LoadedPart loaded = store.original(part, pass)) {
            made = compressor.compress(loaded);
            store.write(loaded);
        }
        Torch.releaseMemory();
        double seconds = (System.nanoTime() - start) / NANOS_PER_SECOND;
        writer.commit(part.label(), notes(made, seconds));
        layers.addAll(made);
        listener.finished(part.label(), made, seconds);
    }

    private static ObjectNode notes(List<LayerResult> made, double seconds) {
        ObjectNode notes = JsonNodeFactory.instance.objectNode().put("seconds", seconds);
        ArrayNode rows = notes.putArray(FolderDescription.LAYERS);
        made.forEach(layer -> rows.add(layer.toJson()));
        return notes;
    }

    private void recall(CheckpointWriter.Step step, Part part) {
        if (!step.label().equals(part.label())) {
            throw LitheException.of(
                    Fault.INTERNAL, "the journal has '%s' before '%s'", step.label(), part.label());
        }
        step.notes()
                .path(FolderDescription.LAYERS)
                .forEach(layer -> layers.add(LayerResult.of(layer)));
    }

    private void tellOfProgress(LinearName linear) {
        done += linear.weights();
        listener.progress(done, plan.weights(), linear.module());
    }

    private @Nullable SequentialPass pass(@Nullable Path spill) {
        if (!plan.recipe().calibrated()) {
            return null;
        }
        if (calibration == null) {
            throw LitheException.badInput(
                    "recipe '%s' looks at data; give a calibration text", plan.recipe().name());
        }
        return new SequentialPass(calibration, plan.spec(), plan.recipe().needsTargets(), spill);
    }

    /// The files of a model folder that copies of it have too.
    public static List<Path> keptFiles(Path folder) {
        try (var files = Files.list(folder)) {
            return files.filter(Files::isRegularFile)
                    .filter(file -> file.getFileName().toString().matches(KEPT_FILES))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be listed: %s", folder, e.getMessage())
                    .causedBy(e);
        }
    }
}
