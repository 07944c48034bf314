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
import dev.lithe.model.Sublayers;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Writes a model as a Hugging Face folder, linear by linear. What is not kept as it is becomes the
/// floats that it stands for, in the type that the model declares. Parts that blocks lack are
/// written as zeros, which add nothing to the stream either.
abstract class FolderExport {
    protected final Checkpoint checkpoint;
    private final ObjectNode config;
    protected final ModelSpec spec;
    protected final LinearReader reader;
    private final Set<String> stored = new HashSet<>();

    FolderExport(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config().deepCopy();
        Experts.NONE.describe(config);
        String where = checkpoint.folder() + "/config.json";
        ModelSpec own = ModelSpec.of(config, where);
        this.reader = new LinearReader(checkpoint);
        reader.checkAll(own);
        for (Part part : Architecture.parts(own)) {
            part.linears().forEach(name -> stored.add(name.module()));
            stored.addAll(part.norms().values());
        }
        Sublayers.ALL.describe(config);
        this.spec = ModelSpec.of(config, where);
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
                if (!has(name)) {
                    zeros(name, writer, step);
                    continue;
                }
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
            part.norms()
                    .forEach((norm, name) -> {
                        if (stored.contains(name)) {
                            NormScales.tensors(spec, name)
                                    .forEach(each ->
                                            writer.write(each, checkpoint.load(each, step)));
                        } else {
                            write(name, step.call("ones", norm.width(spec)), writer, step);
                        }
                    });
        }
    }

    private void zeros(LinearName name, CheckpointWriter writer, TensorScope step) {
        long n = name.outFeatures();
        long k = name.inFeatures();
        write(name.module() + ".weight", step.call("zeros", n, k), writer, step);
        if (name.hasBias()) {
            Value bias = step.tensor(new float[name.outFeatures()], n);
            write(name.module() + ".bias", bias, writer, step);
        }
    }

    /// Whether the model has the linear, and not zeros in its place.
    protected final boolean has(LinearName name) {
        return stored.contains(name.module());
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
