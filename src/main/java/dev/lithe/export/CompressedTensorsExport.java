package dev.lithe.export;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearForm.ZeroPoint;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Writes a model as a folder of compressed-tensors, which transformers and vLLM load: integers and
/// 8-bit floats go over code by code, their scales in the type that the model declares. What has no
/// form there (factors, shared weights, codebooks, masks, zero points between codes), and the
/// embedding and GPT-2's linears, which those loaders take as floats only, becomes the floats that
/// it stands for.
public final class CompressedTensorsExport extends FolderExport {
    private CompressedTensorsExport(Checkpoint checkpoint) {
        super(checkpoint);
    }

    /// Writes the model of `checkpoint` to the folder `target`.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where a number does not fit its type
    public static void write(Checkpoint checkpoint, Path target, boolean replace) {
        new CompressedTensorsExport(checkpoint).write(target, replace);
    }

    @Override
    String label() {
        return "compressed-tensors";
    }

    private static @Nullable Scheme scheme(LinearName name, LinearForm form) {
        boolean known =
                switch (form) {
                    case LinearForm.Int8 _, LinearForm.Float8 _ -> true;
                    case LinearForm.Grouped grouped -> grouped.zero() != ZeroPoint.FRACTIONAL;
                    case LinearForm.Dense _,
                            LinearForm.LowRank _,
                            LinearForm.Shared _,
                            LinearForm.Codebook _,
                            LinearForm.Masked _ ->
                            false;
                };
        boolean taken = name.slot() != LinearName.Slot.EMBEDDING && !name.transposed();
        return known && taken ? form.scheme() : null;
    }

    @Override
    boolean kept(LinearName name, Linear linear, CheckpointWriter writer, TensorScope step) {
        if (scheme(name, linear.form()) == null) {
            return false;
        }
        for (Map.Entry<String, Value> tensor : linear.tensors().entrySet()) {
            String full = name.module() + "." + tensor.getKey();
            if (tensor.getKey().equals("weight_scale")) {
                write(full, tensor.getValue(), writer, step);
            } else if (!tensor.getKey().equals("bias")) {
                writer.write(full, tensor.getValue());
            }
        }
        return true;
    }

    @Override
    void describe(ObjectNode config) {
        Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();
        for (LinearName name : Architecture.linears(spec)) {
            schemes.put(name.module(), has(name) ? scheme(name, reader.form(name)) : null);
        }
        QuantizationMetadata.describeIn(config, schemes);
    }
}
