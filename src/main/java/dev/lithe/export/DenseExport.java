package dev.lithe.export;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.compress.Compressor;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Experts;
import dev.lithe.model.KvCacheForm;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.NormScales;
import dev.lithe.model.Part;
import dev.lithe.model.SparseAttention;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Writes a model as the plain Hugging Face folder that any loader of its architecture takes: every
/// weight as the float that it stands for, in the type that the model declares.
public final class DenseExport {
    private final Checkpoint checkpoint;
    private final ObjectNode config;
    private final ModelSpec spec;
    private final LinearReader reader;

    private DenseExport(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config().deepCopy();
        Experts.NONE.describe(config);
        this.spec = ModelSpec.of(config, checkpoint.folder() + "/config.json");
        this.reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
    }

    /// Writes the model of `checkpoint` to the folder `target`.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where a weight does not fit the type
    public static void write(Checkpoint checkpoint, Path target, boolean replace) {
        Compressor.checkOutput(checkpoint.folder(), target, replace);
        var export = new DenseExport(checkpoint);
        try (var writer = CheckpointWriter.open(target, replace)) {
            Architecture.parts(export.spec).forEach(part -> export.add(part, writer));
            ObjectNode config = export.config;
            config.remove("quantization_config");
            KvCacheForm.FLOAT.describe(config);
            SparseAttention.NONE.describe(config);
            writer.json("config.json", config);
            Compressor.keptFiles(checkpoint.folder()).forEach(writer::copy);
            ObjectNode lithe = JsonNodeFactory.instance.objectNode();
            lithe.put("schema", "lithe.model/v1");
            lithe.put("exported", "dense");
            writer.finish(lithe);
        }
    }

    private void add(Part part, CheckpointWriter writer) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.linears()) {
                Linear linear = reader.read(name, step);
                Value weight = DenseWeights.of(linear, step);
                write(
                        name.module() + ".weight",
                        name.transposed() ? step.call("transposed_copy", weight) : weight,
                        writer,
                        step);
                @Nullable Value bias = linear.bias();
                if (bias != null) {
                    write(name.module() + ".bias", bias, writer, step);
                }
            }
            part.norms().values().stream()
                    .flatMap(name -> NormScales.tensors(spec, name).stream())
                    .forEach(name -> writer.write(name, checkpoint.load(name, step)));
        }
    }

    private void write(String name, Value tensor, CheckpointWriter writer, TensorScope step) {
        DType type = spec.dtype();
        if (step.call("count_overflow", tensor, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' does not fit %s, which config.json declares; declare bfloat16"
                            + " or float32 there",
                    checkpoint.folder(), name, type.torchName());
        }
        writer.write(name, step.call("cast", tensor, type.code()));
    }
}
