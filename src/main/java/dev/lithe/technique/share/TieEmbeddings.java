package dev.lithe.technique.share;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// One matrix for the embedding and the output layer (Press, Wolf: "Using the Output Embedding to
/// Improve Language Models", arXiv 1608.05859), which the model declares as `tie_word_embeddings`.
///
/// Each row t of it loses least of what the two rows e and u that it replaces did,
/// `min_t a c |t - e|² + (1 - a) (t D - u) H (t D - u)ᵀ`: H is `2/n X Xᵀ` of what the output layer
/// reads, D the scale of each channel by which E comes closest to U, which the last norm takes over,
/// and c the mean of diag (D H D). Of several shares a the one stays with which the windows' tokens
/// are likeliest.
///
///     tie_embeddings: {shares: [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98], samples: 8}
///
/// E and U are (V, d), dense. What the two disagree about is lost: models that were trained untied
/// lose nearly all without training afterwards.
@AutoService(Technique.class)
public final class TieEmbeddings implements ModelTechnique<TieEmbeddings.Config> {
    private static final String TIED = "tie_word_embeddings";

    /// @param shares how much the embedding counts, to choose from; above 0 and below 1
    /// @param samples windows on which they are compared
    public record Config(List<Double> shares, int samples) {
        public Config {
            shares = List.copyOf(shares);
            if (shares.isEmpty() || shares.stream().anyMatch(a -> !(a > 0 && a < 1))) {
                throw LitheException.badInput(
                        "shares is %s; name at least one number, all above 0 and below 1", shares);
            }
            if (samples < 1) {
                throw LitheException.badInput("samples is %d; choose 1 or more", samples);
            }
        }
    }

    @Override
    public String name() {
        return "tie_embeddings";
    }

    @Override
    public Family family() {
        return Family.SHARING;
    }

    @Override
    public String summary() {
        return "replace embedding and output layer by the one matrix that serves both best";
    }

    @Override
    public Config defaults() {
        return new Config(List.of(0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98), 8);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        if (ModelSpec.of(model, "config.json").tiedEmbeddings()) {
            throw LitheException.badInput("the model is tied already; leave the stage out");
        }
        model.put(TIED, true);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        CalibrationSet windows = model.windows().first(config.samples());
        try (var scope = TensorScope.open()) {
            Value hessian = hessian(model, scope);
            double share = config.shares().getFirst();
            if (config.shares().size() > 1) {
                double least = Double.POSITIVE_INFINITY;
                for (double candidate : config.shares()) {
                    try (var made = tied(model, hessian, candidate, config);
                            var stack = new BlockStack(made, windows)) {
                        double loss = stack.without(stack.everything()).loss();
                        if (loss < least) {
                            least = loss;
                            share = candidate;
                        }
                    }
                }
            }
            return tied(model, hessian, share, config);
        }
    }

    private static Value hessian(WholeModel model, TensorScope scope) {
        Value[] found = new Value[1];
        model.walk(part -> {
            if (part.part().kind() == Kind.OUTPUT) {
                found[0] = part.statistics(Slot.LM_HEAD, scope).hessian();
            }
        });
        return found[0];
    }

    private WholeModel tied(WholeModel model, Value hessian, double share, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        for (int i = 0; i < model.blocks().size(); i++) {
            made.take(made.blocks().get(i), model.blocks().get(i));
        }
        made.take(made.embedding(), model.embedding());
        var name = model.embedding().part().linears().getFirst();
        var head = model.output().part().linears().getFirst();
        // the plan refuses others
        Linear.Dense before = (Linear.Dense) model.embedding().linear(name);
        Value output = ((Linear.Dense) model.output().linear(head)).weight();
        try (var step = TensorScope.open()) {
            Value scale = step.call("tied_scale", before.weight(), output);
            Value table = step.call("tied_table", before.weight(), output, scale, hessian, share);
            Value stored = step.call("cast", table, before.form().dtype().code());
            made.embedding().set(name, new Linear.Dense(stored, null, before.form()));
            Value norm = model.output().norm(Slot.LM_HEAD);
            made.output().setNorm(Slot.LM_HEAD, step.call("scaled_norm", norm, scale));
        }
        return made;
    }
}
