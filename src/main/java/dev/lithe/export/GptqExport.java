package dev.lithe.export;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearForm.ZeroPoint;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.List;

/// Writes a model in GPTQ's layout (`qweight`, `qzeros`, `scales`, `g_idx`), which GPTQModel, vLLM
/// and others load: codes as they are, scales in float16. All linears of the blocks must be
/// integers of the same bits and groups, for that is all that the format says; the output layer is
/// kept where it is the same too, else it becomes floats, as the embedding does.
///
/// `checkpoint_format: gptq` stores zero points less 1, and 0 less 1 borrows from the next; readers
/// differ in what they make of that, so a model with zero points of its own is written as
/// `gptq_v2`, which stores them as they are and which fewer programs read. Source:
/// ModelCloud/GPTQModel.
public final class GptqExport extends FolderExport {
    private static final List<Integer> BITS = List.of(2, 3, 4, 8);
    private static final int WORD = 32;

    private final LinearForm.Grouped form;

    private GptqExport(Checkpoint checkpoint) {
        super(checkpoint);
        ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json")
                .sublayers()
                .requireAll(
                        "GPTQ's layout has codes for all linears of blocks", Sublayers.WRITE_DENSE);
        this.form = sharedForm();
    }

    /// Writes the model of `checkpoint` to the folder `target`.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where the format cannot hold it
    public static void write(Checkpoint checkpoint, Path target, boolean replace) {
        new GptqExport(checkpoint).write(target, replace);
    }

    @Override
    String label() {
        return "gptq";
    }

    private LinearForm.Grouped sharedForm() {
        LinearForm.Grouped shared = null;
        for (LinearName name : Architecture.linears(spec)) {
            if (name.block() < 0) {
                continue;
            }
            LinearForm found = reader.form(name);
            boolean known =
                    found instanceof LinearForm.Grouped grouped
                            && grouped.zero() != ZeroPoint.FRACTIONAL
                            && BITS.contains(grouped.bits());
            if (!known || shared != null && !alike(shared, found)) {
                throw LitheException.badInput(
                        "'%s' is %s%s; GPTQ's layout holds 2, 3, 4 or 8 bits with one group size in"
                                + " all blocks; use --to compressed-tensors",
                        name.module(),
                        found.label(),
                        shared == null ? "" : ", others are " + shared.label());
            }
            if (name.inFeatures() % WORD != 0 || name.outFeatures() % WORD != 0) {
                throw LitheException.badInput(
                        "'%s' has %d outputs and %d inputs; GPTQ's layout takes multiples of %d; use"
                                + " --to compressed-tensors",
                        name.module(), name.outFeatures(), name.inFeatures(), WORD);
            }
            shared = (LinearForm.Grouped) found;
        }
        if (shared == null) {
            throw LitheException.badInput("%s has no blocks", checkpoint.folder());
        }
        return shared;
    }

    private static boolean alike(LinearForm.Grouped form, LinearForm other) {
        return other instanceof LinearForm.Grouped grouped
                && grouped.bits() == form.bits()
                && grouped.groupSize() == form.groupSize()
                && grouped.zero() == form.zero();
    }

    private boolean keeps(LinearName name) {
        return name.slot() != LinearName.Slot.EMBEDDING
                && alike(form, reader.form(name))
                && name.inFeatures() % WORD == 0
                && name.outFeatures() % WORD == 0;
    }

    @Override
    boolean kept(LinearName name, Linear linear, CheckpointWriter writer, TensorScope step) {
        if (!keeps(name) || !(linear instanceof Linear.Grouped grouped)) {
            return false;
        }
        int bits = form.bits();
        long groups = form.groups(name.inFeatures());
        writer.write(name.module() + ".qweight", step.call("turned", grouped.packed()));
        Value zero = grouped.zero();
        Value zeros =
                zero == null
                        ? step.call("middle_zeros", groups, (long) name.outFeatures(), bits)
                        : step.call("turned", zero);
        writer.write(
                name.module() + ".qzeros",
                form.symmetric() ? step.call("add_to_codes", zeros, bits, -1) : zeros);
        Value scales = step.call("turned", grouped.scale());
        write(name.module() + ".scales", scales, DType.F16, writer, step);
        writer.write(
                name.module() + ".g_idx",
                step.call("group_of_columns", name.inFeatures(), name.inFeatures() / groups));
        return true;
    }

    private ObjectNode quantization(ObjectNode into) {
        into.put("quant_method", "gptq").put("bits", form.bits());
        into.put("group_size", form.groupSize() == 0 ? -1 : form.groupSize());
        into.put("desc_act", false).put("sym", form.symmetric());
        boolean head =
                Architecture.linears(spec).stream()
                        .anyMatch(name -> name.block() < 0 && keeps(name));
        into.put("lm_head", head).put("true_sequential", true);
        into.put("checkpoint_format", form.symmetric() ? "gptq" : "gptq_v2")
                .put("pack_dtype", "int32");
        return into;
    }

    @Override
    void describe(ObjectNode config) {
        quantization(config.putObject("quantization_config"));
    }

    @Override
    void finish(ObjectNode config, CheckpointWriter writer) {
        writer.json("quantize_config.json", quantization(config.objectNode()));
    }
}
