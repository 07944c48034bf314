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
import dev.lithe.model.PageAttention;
import dev.lithe.model.Part;
import dev.lithe.model.SparseAttention;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Writes a model as a Hugging Face folder, linear by linear. What is not kept as it is becomes the
/// floats that it stands for, in the type that the model declares.
abstract class FolderExport {
    protected final Checkpoint checkpoint;
    private final ObjectNode config;
    protected final ModelSpec spec;
    protected final LinearReader reader;

    FolderExport(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config().deepCopy();
        Experts.NONE.describe(config);
        this.spec = ModelSpec.of(config, checkpoint.folder() + "/config.json");
        this.reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
    }

    /// What `lithe.json` calls the form.
    abstract String label();

    /// Writes `linear` in the other form, if it has one there.
    ///
    /// @return whether it has
    abstract boolean kept(
            LinearName name, Linear linear, CheckpointWriter writer, TensorScope step);

    /// Makes a `config.json` without `quantization_config` say how linears are stored.
    abstract void describe(ObjectNode config);

    /// Writes more files.
    void finish(ObjectNode config, CheckpointWriter writer) {}

    /// Writes the folder `target`.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where a number does not fit its type
    final void write(Path target, boolean replace) {
        Compressor.checkOutput(checkpoint.folder(), target, replace);
        try (var writer = CheckpointWriter.open(target, replace)) {
            Architecture.parts(spec).forEach(part -> add(part, writer));
            config.remove("quantization_config");
            KvCacheForm.FLOAT.describe(config);
            SparseAttention.NONE.describe(config);
            PageAttention.NONE.describe(config);
            describe(config);
            writer.json("config.json", config);
            finish(config, writer);
            Compressor.keptFiles(checkpoint.folder()).forEach(writer::copy);
            ObjectNode lithe = JsonNodeFactory.instance.objectNode();
            lithe.put("schema", "lithe.model/v1");
            lithe.put("exported", label());
            writer.finish(lithe);
        }
    }

    private void add(Part part, CheckpointWriter writer) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.linears()) {
                Linear linear = reader.read(name, step);
                if (!kept(name, linear, writer, step)) {
                    Value weight = DenseWeights.of(linear, step);
                    write(
                            name.module() + ".weight",
                            name.transposed() ? step.call("transposed_copy", weight) : weight,
                            writer,
                            step);
                }
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

    /// Writes floats in the type that the model declares.
    protected final void write(
            String name, Value tensor, CheckpointWriter writer, TensorScope step) {
        write(name, tensor, spec.dtype(), writer, step);
    }

    /// The same in `type`.
    protected final void write(
            String name, Value tensor, DType type, CheckpointWriter writer, TensorScope step) {
        if (step.call("count_overflow", tensor, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' does not fit %s, which config.json declares; declare bfloat16"
                            + " or float32 there",
                    checkpoint.folder(), name, type.torchName());
        }
        writer.write(name, step.call("cast", tensor, type.code()));
    }
}
