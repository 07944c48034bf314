package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench;
import dev.lithe.calibrate.Workbench.StepListener;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Norm;
import dev.lithe.model.NormScales;
import dev.lithe.technique.LayerLists;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Carries out a step that takes the model as a whole: reads one folder, writes another.
final class Reshaper {
    private final Recipe leg;
    private final ModelStage<?> stage;
    private final Checkpoint source;
    private final @Nullable CalibrationSet calibration;
    private final @Nullable Checkpoint original;
    private final StepListener listener;

    /// @param leg the recipe of this one step
    /// @param original what the whole recipe started from; null where the step does not ask
    Reshaper(
            Recipe leg,
            ModelStage<?> stage,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            @Nullable Checkpoint original,
            StepListener listener) {
        this.leg = leg;
        this.stage = stage;
        this.source = source;
        this.calibration = calibration;
        this.original = original;
        this.listener = listener;
    }

    void run(Path output, boolean replace) {
        var origin = Origin.of(leg, source, calibration, original);
        try (var writer = CheckpointWriter.open(output, replace, origin)) {
            try {
                run(writer, origin);
            } catch (RuntimeException | Error e) {
                if (!(e instanceof LitheException known && known.fault() == Fault.BAD_INPUT)) {
                    writer.keep();
                }
                throw e;
            }
        }
    }

    private void run(CheckpointWriter writer, JsonNode origin) {
        var bench = new Workbench(original, writer.unfinished(), listener);
        try (var before = WholeModel.open(source, calibration, bench);
                var made = stage.apply(before)) {
            requirePromise(before, made);
            DType type = before.spec().dtype();
            Map<String, LinearForm> forms = new LinkedHashMap<>();
            made.parts().forEach(part -> write(part, writer, forms));
            ObjectNode config = made.config();
            FolderDescription.describe(config, type, forms);
            writer.json("config.json", config);
            made.rewritten().forEach(writer::json);
            Compressor.keptFiles(source.folder()).stream()
                    .filter(file -> isKept(file.getFileName().toString(), made))
                    .forEach(writer::copy);
            ObjectNode lithe = FolderDescription.lithe(leg, source, calibration, List.of(), forms);
            writer.finish(lithe.put(Compressor.ORIGIN, origin.path("sha256").asText()));
        }
    }

    private static boolean isKept(String file, WholeModel made) {
        return !made.rewritten().containsKey(file) && !made.omitted().contains(file);
    }

    private void requirePromise(WholeModel before, WholeModel made) {
        ObjectNode config = stage.outcome(before.config());
        LayerLists.copy(made.config(), config); // which blocks stay is up to the weights
        ModelSpec promised = ModelSpec.of(config, stage.name());
        if (!stage.findsShapes() && !made.spec().equals(promised)) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%s promised %s and made %s",
                    stage.name(),
                    promised,
                    made.spec());
        }
    }

    private void write(LoadedPart part, CheckpointWriter writer, Map<String, LinearForm> forms) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.part().linears()) {
                Linear linear = part.linear(name);
                forms.put(name.module(), linear.form());
                int type = linear.floatType().code();
                name.tensors(linear, step)
                        .forEach((suffix, tensor) -> {
                            boolean exact = linear instanceof Linear.Dense || suffix.equals("bias");
                            Value stored = exact ? step.call("cast", tensor, type) : tensor;
                            writer.write(name.module() + "." + suffix, stored);
                        });
            }
            int type = source.entry(lastNorm()).dtype().code();
            part.part()
                    .norms()
                    .forEach((norm, name) ->
                            NormScales.stored(part.spec(), name, part.norm(norm), step)
                                    .forEach((each, tensor) ->
                                            writer.write(each, step.call("cast", tensor, type))));
        }
    }

    private String lastNorm() {
        ModelSpec spec = ModelSpec.of(source.config(), source.folder() + "/config.json");
        return String.valueOf(Architecture.parts(spec).getLast().norms().get(Norm.FINAL));
    }
}
