package dev.lithe.technique.sparsify;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ActivationThresholds;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Takes small inputs of linears for 0, so that a token reads only the weights that meet the others
/// (James Liu, Pragaash Ponnusamy, Tianle Cai, Han Guo, Yoon Kim, Ben Athiwaratkun: "Training-Free
/// Activation Sparsity in Large Language Models", TEAL, arXiv 2408.14690).
///
///     y = W s(x),   s(x)_i = x_i where |x_i| >= t, else 0
///
/// t is a quantile of |x| on the calibration text, so that a share p of the inputs counts as 0. Of
/// each block the inputs of q, k and v, of o, of gate and up, and of down have a t each; which share
/// each takes is found step by step: a step's worth of weights goes where the block's output changes
/// least, `||block(x) - sparse(x)||`, until the block leaves `sparsity` of its weights unread, and at
/// most 0.9 at one place. [SparseBlock] does that.
///
///     activation_sparsity: {sparsity: 0.4, samples: 16, dense_positions: 0}
///
/// No weight changes; the thresholds stand in `config.json` ([ActivationThresholds]). Where
/// `src/main/c` runs the model, float weights of such linears are held input by input, and one
/// token alone reads those of its active inputs only; several tokens at once, and weights in other
/// forms, compute the same and gain nothing. The first tokens of a text bear it worst: those at the
/// first `dense_positions` keep all inputs. Put it last: stages after it calibrate as usual and see
/// it at work, but training does not, and other programs compute with all inputs. What heals it is
/// `heal` before it, on the model that it then takes.
@AutoService(Technique.class)
public final class ActivationSparsity implements ModelTechnique<ActivationSparsity.Config> {
    /// @param sparsity share of each block's weights that a token does not read, above 0, at most
    ///   0.9
    /// @param samples calibration windows that it looks at
    /// @param densePositions at the start of a text that keep all inputs
    public record Config(double sparsity, int samples, int densePositions) {
        public Config {
            if (!(sparsity > 0 && sparsity <= SparseBlock.MOST)) {
                throw LitheException.badInput(
                        "sparsity is %s; choose a share above 0, at most %s (0.4 is usual)",
                        sparsity, SparseBlock.MOST);
            }
            if (samples < 1) {
                throw LitheException.badInput(
                        "samples is %d; choose at least 1 (16 is usual)", samples);
            }
            if (densePositions < 0) {
                throw LitheException.badInput(
                        "dense_positions is %d; choose a count from 0", densePositions);
            }
        }
    }

    @Override
    public String name() {
        return "activation_sparsity";
    }

    @Override
    public Family family() {
        return Family.SPARSE;
    }

    @Override
    public String summary() {
        return "take small inputs of linears for 0 and read only the weights of the others";
    }

    @Override
    public Config defaults() {
        return new Config(0.4, 16, 0);
    }

    @Override
    public boolean findsShapes(Config config) {
        return true;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        int blocks = Architecture.get(model, "num_hidden_layers");
        thresholds(Collections.nCopies(blocks, List.of(0.0, 0.0, 0.0, 0.0)), config)
                .describe(model);
    }

    @Override
    public LinearForm outcome(LinearForm before, Config config) {
        return before;
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode dense = model.config();
        ActivationThresholds.NONE.describe(dense);
        List<List<Double>> found = new ArrayList<>();
        try (var some = model.on(model.windows().first(config.samples()));
                var before = copy(some, dense)) {
            before.walk(part -> {
                if (part.part().kind() == Kind.BLOCK) {
                    found.add(new SparseBlock(part).thresholds(config.sparsity()));
                }
            });
        }
        ObjectNode changed = model.config();
        thresholds(found, config).describe(changed);
        return copy(model, changed);
    }

    private static ActivationThresholds thresholds(List<List<Double>> ofBlocks, Config config) {
        return new ActivationThresholds(ofBlocks, config.densePositions());
    }

    private static WholeModel copy(WholeModel model, ObjectNode config) {
        WholeModel made = model.reshaped(config);
        for (int i = 0; i < model.parts().size(); i++) {
            LoadedPart from = model.parts().get(i);
            made.take(made.parts().get(i), from);
        }
        return made;
    }
}
