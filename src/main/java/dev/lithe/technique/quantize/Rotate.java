package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.Random;

/// QuaRot's rotation (Ashkboos, Mohtashami, Croci, Li, Cameron, Jaggi, Alistarh, Hoefler, Hensman:
/// "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs", arXiv 2404.00456): turns the basis of the
/// stream, and that of each head's values, by random orthogonal matrices, so that no channel is much
/// larger than others. The model computes the same; what is quantized afterwards has fewer outliers.
///
/// A norm without scale commutes with a rotation: `norm(x R) = norm(x) R`. So each norm's scale g
/// goes into the linears behind it, and with x R for x: `W ← W diag(g) R` where W reads the stream,
/// `W ← Rᵀ W`, `b ← b R` where it adds to it, `E ← E R` for the embedding. Likewise
/// `W_v ← Qᵀ W_v`, `W_o ← W_o Q` head by head.
///
///     rotate: {seed: 0}
///
/// R (d, d) and Q (hd, hd) are random signs, then a Hadamard matrix of the largest power of two that
/// divides the width, then (for the odd factor that is left) a random orthogonal matrix; in float64.
/// All linears must be dense and the output layer one of its own. The paper's rotations that run in
/// the model (inputs of the down projection, queries and keys) are left out: nothing here has to
/// run them.
@AutoService(Technique.class)
public final class Rotate implements BlockTechnique<Rotate.Config> {
    /// @param seed of signs and matrices
    public record Config(long seed) {}

    @Override
    public String name() {
        return "rotate";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "turn the basis of the hidden states so that no channel stands out; exact";
    }

    @Override
    public Config defaults() {
        return new Config(0);
    }

    @Override
    public List<String> stageKeys() {
        return List.of("seed");
    }

    @Override
    public Targets targets(Config config) {
        return Targets.ALL;
    }

    @Override
    public boolean calibrated(Config config) {
        return false;
    }

    @Override
    public boolean exact(Config config) {
        return true;
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        if (before instanceof LinearForm.Dense) {
            return before;
        }
        throw LitheException.badInput(
                "already %s, which cannot be rotated; put rotate before what quantizes",
                before.label());
    }

    @Override
    public void checkModel(ModelSpec spec, Config config) {
        Rotary.require(spec, "such norms do not commute with a rotation; leave rotate out");
        if (spec.tiedEmbeddings()) {
            throw LitheException.badInput(
                    "the output layer is the embedding (tie_word_embeddings), but the last norm's"
                            + " scale can go into one of them only; leave rotate out, or store the"
                            + " embedding a second time as lm_head.weight and untie them");
        }
        if (spec.style().outputNorms()) {
            throw LitheException.badInput(
                    "the model norms what attention adds to the stream, channel by channel, so the"
                            + " stream cannot be turned; leave rotate out");
        }
        if (spec.style().fused()) {
            throw LitheException.badInput(
                    "the model stores q, k and v as one linear, and rotate turns v alone; leave it"
                            + " out");
        }
    }

    @Override
    public void apply(LoadedPart part, Settings<Config> settings) {
        try (var step = TensorScope.open()) {
            var random = new Random(settings.common().seed());
            var stream = new Rotation(part.spec().hiddenSize(), random, step);
            var heads = new Rotation(part.spec().headDim(), random, step);
            switch (part.part().kind()) {
                case EMBEDDING -> {
                    LinearName table = part.part().linears().getFirst();
                    part.set(table, stream.rows(dense(part, table), step));
                }
                case BLOCK -> {
                    values(part, heads, step);
                    read(part, Slot.QKV, stream, step);
                    write(part, Slot.O, stream, step);
                    read(part, Slot.GATE_UP, stream, step);
                    write(part, Slot.DOWN, stream, step);
                }
                case OUTPUT -> read(part, Slot.LM_HEAD, stream, step);
            }
        }
    }

    private static void values(LoadedPart part, Rotation heads, TensorScope step) {
        if (part.part().linears(Slot.QKV).isEmpty()) {
            return;
        }
        LinearName v = part.part().linears(Slot.QKV).getLast();
        LinearName o = part.part().linears(Slot.O).getFirst();
        part.set(v, heads.headWriter(dense(part, v), step));
        part.set(o, heads.headReader(dense(part, o), step));
    }

    private static void read(LoadedPart part, Slot slot, Rotation stream, TensorScope step) {
        List<LinearName> readers = part.part().linears(slot);
        for (LinearName name : readers) {
            part.set(name, stream.reader(dense(part, name), part.norm(slot), step));
        }
        if (!readers.isEmpty()) {
            part.setNorm(slot, step.call("ones", part.spec().hiddenSize()));
        }
    }

    private static void write(LoadedPart part, Slot slot, Rotation stream, TensorScope step) {
        for (LinearName name : part.part().linears(slot)) {
            part.set(name, stream.writer(dense(part, name), step));
        }
    }

    private static Linear.Dense dense(LoadedPart part, LinearName name) {
        if (part.linear(name) instanceof Linear.Dense dense) {
            return dense;
        }
        throw LitheException.of(Fault.INTERNAL, "'%s' is not dense", name.module());
    }
}
