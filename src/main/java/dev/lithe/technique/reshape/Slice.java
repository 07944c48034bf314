package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Norm;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// Makes the hidden states narrower: turns them into their principal axes and drops the last
/// (Ashkboos, Croci, do Nascimento, Hoefler, Hensman: "SliceGPT", arXiv 2401.15024). Every linear
/// and the embedding shrink by the same share.
///
/// A norm without scale commutes with a rotation, `norm(x Q) = norm(x) Q`, so each norm's scale g
/// goes into the linears behind it: `W ← √(d/k) W diag(g) R` where W reads the stream, `W ← Qᵀ W`,
/// `b ← b Q` where it adds to it, `E ← E Q` for the embedding. Q (d, k) are the first k eigenvectors
/// of the sum of all `C = E[norm(x)ᵀ norm(x)]`, one C for each norm of the stream, and
/// `R = Q + (I - Q Qᵀ) C Q (Qᵀ C Q)⁻¹` adds what the axes that go are on average, given those that
/// stay; in float64. The factor √(d/k), and epsilon times d/k, let a norm over k channels divide by
/// what the norm over d did.
///
///     slice: {remove: 0.25, multiple_of: 32}
///
/// `remove` is the share of the channels that goes; of d channels the nearest multiple of
/// `multiple_of` to `d (1 - remove)` stays, all of them with 0. The paper has other axes for each
/// norm, and a matrix on each skip connection that leads from one to the next; here all share one
/// Q, and readers make up for it, so the result is a model of the same kind with a smaller
/// `hidden_size`, which loaders open (Transformers from version 5 where the number of heads divides
/// it; `eval/results/slice.md` compares). Linears must be dense;
/// an output layer that is the embedding becomes one of its own. `heal` goes behind.
@AutoService(Technique.class)
public final class Slice implements ModelTechnique<Slice.Config> {
    private static final String WIDTH = "hidden_size";

    /// @param remove share of the channels of the stream that goes, from 0, below 1
    /// @param multipleOf what their number stays a multiple of
    public record Config(double remove, int multipleOf) {
        public Config {
            if (!(remove >= 0 && remove < 1)) {
                throw LitheException.badInput(
                        "remove is %s; choose a share from 0, below 1 (0.25 is usual)", remove);
            }
            if (multipleOf < 1) {
                throw LitheException.badInput(
                        "multiple_of is %d; choose at least 1 (32 is usual)", multipleOf);
            }
        }

        private int kept(int width) {
            long kept = Math.round(width * (1 - remove) / multipleOf) * multipleOf;
            if (remove > 0 && (kept < 1 || kept >= width)) {
                throw LitheException.badInput(
                        "remove %s of %d channels leaves %d; choose a smaller multiple_of or another"
                                + " share",
                        remove, width, kept);
            }
            return remove == 0 ? width : Math.toIntExact(kept);
        }
    }

    @Override
    public String name() {
        return "slice";
    }

    @Override
    public Family family() {
        return Family.ARCHITECTURE;
    }

    @Override
    public String summary() {
        return "turn the hidden states into their principal axes and drop the last";
    }

    @Override
    public Config defaults() {
        return new Config(0.25, 32);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "such norms do not commute with a rotation; leave slice out");
        ModelSpec spec = ModelSpec.of(model, "config.json");
        if (spec.style().outputNorms()) {
            throw LitheException.badInput(
                    "the model norms what attention adds to the stream, channel by channel, so the"
                            + " stream cannot be turned; leave slice out");
        }
        int width = spec.hiddenSize();
        int kept = config.kept(width);
        model.put("head_dim", spec.headDim()); // no longer the hidden size over the heads
        model.put(WIDTH, kept).put("rms_norm_eps", spec.normEpsilon() * width / kept);
        model.put("tie_word_embeddings", false);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        try (var scope = TensorScope.open()) {
            var axes = new Axes(model, made.spec().hiddenSize(), scope);
            for (int i = 0; i < model.parts().size(); i++) {
                turn(model.parts().get(i), made.parts().get(i), axes);
            }
            if (model.spec().tiedEmbeddings()) {
                Linear table = table(model);
                Value norm = model.output().norm(Slot.LM_HEAD);
                LinearName head = made.output().part().linears().getFirst();
                made.output().set(head, axes.reader(table, -1, Slot.LM_HEAD, norm, scope));
            }
        }
        return made;
    }

    private static Linear table(WholeModel model) {
        LoadedPart embedding = model.embedding();
        return embedding.linear(embedding.part().linears().getFirst());
    }

    private static void turn(LoadedPart from, LoadedPart to, Axes axes) {
        ModelSpec spec = from.spec();
        double factor = spec.style().embeddingScale() / to.spec().style().embeddingScale();
        for (int i = 0; i < from.part().linears().size(); i++) {
            LinearName name = from.part().linears().get(i);
            Linear linear = from.linear(name);
            Slot slot = name.slot();
            try (var step = TensorScope.open()) {
                Linear turned =
                        switch (slot) {
                            case EMBEDDING -> axes.rows(linear, factor, step);
                            case QKV, GATE_UP, LM_HEAD ->
                                    axes.reader(linear, name.block(), slot, from.norm(slot), step);
                            case O, DOWN -> axes.writer(linear, step);
                        };
                to.set(to.part().linears().get(i), turned);
            }
        }
        try (var step = TensorScope.open()) {
            Value ones = step.call("ones", to.spec().hiddenSize());
            for (Norm norm : to.part().norms().keySet()) {
                boolean ofHead = norm == Norm.QUERY || norm == Norm.KEY;
                to.setNorm(norm, ofHead ? from.norm(norm) : ones);
            }
        }
    }
}
