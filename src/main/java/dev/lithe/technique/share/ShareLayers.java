package dev.lithe.technique.share;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.technique.Weighting;

/// Relaxed recursive blocks (Bae, Fisch, Harutyunyan, Ji, Kim, Schuster: "Relaxed Recursive
/// Transformers: Effective Parameter Sharing with Layer-wise LoRA", arXiv 2410.20672): a few blocks'
/// linears are used several times, each time with a product of low rank of that place's own.
///
/// `W_l ≈ B_(b(l)) + U_r Σ_r V_rᵀ` of `W_l - B_(b(l))`. B comes from one block (`stepwise`: of evenly
/// spaced ones, the first and the last among them) or is the mean of those that it stands for
/// (`average`). Place l uses block `l mod blocks` (`cycle`, the paper's order) or `⌊l blocks / L⌋`
/// (`sequence`: neighbours share).
///
///     share_layers: {blocks: 3, rank: 16, start: stepwise, pattern: cycle, weighting: whitened}
///
/// The difference is cut as `svd` cuts, `whitened` on inputs as the
/// blocks before have become. With rank 0 nothing is added. Norms and biases stay those of each
/// place. The shared weights are stored, and mapped, once; keys and values, and time, are those of L
/// blocks. Linears must be dense. `heal` trains the corrections, or with rank 0 the shared weights
/// too.
@AutoService(Technique.class)
public final class ShareLayers implements ModelTechnique<ShareLayers.Config> {
    /// Where shared weights come from.
    public enum Start {
        STEPWISE,
        AVERAGE
    }

    /// Which places use the same block.
    public enum Pattern {
        CYCLE,
        SEQUENCE
    }

    /// @param blocks that stay, at least 1
    /// @param rank of what each place adds, or 0 for nothing
    public record Config(int blocks, int rank, Start start, Pattern pattern, Weighting weighting) {
        public Config {
            if (blocks < 1) {
                throw LitheException.badInput("blocks is %d; choose 1 or more", blocks);
            }
            if (rank < 0) {
                throw LitheException.badInput(
                        "rank is %d; choose 1 or more (16 is usual), or 0 for none", rank);
            }
        }

        /// Which of the shared blocks place `layer` of `layers` uses.
        int blockOf(int layer, int layers) {
            return switch (pattern) {
                case CYCLE -> layer % blocks;
                case SEQUENCE -> (int) ((long) layer * blocks / layers);
            };
        }

        /// The first place that uses the block of `layer`; its weights are stored there.
        int owner(int layer, int layers) {
            for (int other = 0; other < layer; other++) {
                if (blockOf(other, layers) == blockOf(layer, layers)) {
                    return other;
                }
            }
            return layer;
        }

        /// The block of the original that the shared block `block` starts as.
        int source(int block, int layers) {
            return blocks == 1 ? 0 : Math.round((float) block * (layers - 1) / (blocks - 1));
        }
    }

    @Override
    public String name() {
        return "share_layers";
    }

    @Override
    public Family family() {
        return Family.SHARING;
    }

    @Override
    public String summary() {
        return "use a few blocks several times, each time with a low-rank correction";
    }

    @Override
    public Config defaults() {
        return new Config(3, 16, Start.STEPWISE, Pattern.SEQUENCE, Weighting.WHITENED);
    }

    @Override
    public boolean calibrated(Config config) {
        return config.rank() > 0 && config.weighting() != Weighting.NONE;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        ModelSpec.of(model, "config.json")
                .sublayers()
                .requireAll(
                        "a block that stands for several has to have what they have",
                        Sublayers.REMOVE_BLOCKS);
        int layers = Architecture.get(model, "num_hidden_layers");
        if (config.blocks() >= layers) {
            throw LitheException.badInput(
                    "blocks is %d, the model has %d; choose fewer", config.blocks(), layers);
        }
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        LinearForm dense = outcome(before, config);
        if (linear.block() < 0) {
            return dense;
        }
        boolean own = config.owner(linear.block(), spec.layers()) == linear.block();
        String owner = owner(linear, spec.layers(), config);
        if (config.rank() == 0) {
            return own ? dense : new LinearForm.Shared(dense, owner);
        }
        int most = Math.min(linear.outFeatures(), linear.inFeatures());
        if (config.rank() > most) {
            throw LitheException.badInput(
                    "rank is %d, and a %d x %d matrix has at most %d; choose less",
                    config.rank(), linear.outFeatures(), linear.inFeatures(), most);
        }
        LinearForm base = own ? dense : new LinearForm.Shared(dense, owner + ".base");
        return new LinearForm.LowRank(base, dense, dense, config.rank());
    }

    /// The linear of `linear`'s kind where its weights are stored.
    static String owner(LinearName linear, int layers, Config config) {
        return linear.module()
                .replace(
                        "layers." + linear.block() + ".",
                        "layers." + config.owner(linear.block(), layers) + ".");
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        WholeModel made = model.reshaped(model.config());
        made.take(made.embedding(), model.embedding());
        made.take(made.output(), model.output());
        try (var places = new Places(model, config)) {
            if (calibrated(config)) {
                made.walk(places::fill);
            } else {
                made.blocks().forEach(places::fill);
            }
        }
        return made;
    }
}
