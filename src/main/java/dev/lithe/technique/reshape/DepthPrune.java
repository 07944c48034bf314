package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.technique.Family;
import dev.lithe.technique.LayerLists;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;

/// Removes whole blocks, those that the model misses least on the calibration text. What is left is
/// a shallower model of the same kind, faster in proportion.
///
/// `criterion` says how they are found:
///
/// * `block_influence`: the n blocks with the least `1 - E[cos(h_i, h_i+1)]` (Men et al.:
///   "ShortGPT", arXiv 2403.03853).
/// * `angular`: the n blocks side by side with the least `arccos(cos(h_i, h_i+n)) / π` (Gromov et
///   al.: "The Unreasonable Ineffectiveness of the Deeper Layers", arXiv 2403.17887).
/// * `perplexity`: one after the other, each time the block without which the text is likeliest
///   (Kim et al.: "Shortened LLaMA", arXiv 2402.02834).
/// * `evolution`: a search over which blocks to keep, by `KL(original || model)` (Sieberling et
///   al.: "EvoPress", arXiv 2410.14649), that starts from the best of the other three; where there
///   are fewer choices than it would look at, all of them.
///
///   depth_prune: {remove: 2, criterion: evolution, samples: 32, seed: 0}
///
/// Needs about one forward pass over `samples` windows for each choice that it looks at. Any form
/// of linear may be removed. `heal` afterwards brings much of the quality back.
@AutoService(Technique.class)
public final class DepthPrune implements ModelTechnique<DepthPrune.Config> {
    private static final String LAYERS = "num_hidden_layers";

    /// How blocks are ranked.
    public enum Criterion {
        BLOCK_INFLUENCE,
        ANGULAR,
        PERPLEXITY,
        EVOLUTION
    }

    /// @param remove blocks to remove, at least 1
    /// @param samples calibration windows that choices are measured on
    /// @param seed of the search
    public record Config(int remove, Criterion criterion, int samples, long seed) {
        public Config {
            if (remove < 1) {
                throw LitheException.badInput("remove is %d; choose at least 1 block", remove);
            }
            if (samples < 1) {
                throw LitheException.badInput(
                        "samples is %d; choose at least 1 (32 is usual)", samples);
            }
        }
    }

    @Override
    public String name() {
        return "depth_prune";
    }

    @Override
    public Family family() {
        return Family.ARCHITECTURE;
    }

    @Override
    public String summary() {
        return "remove the blocks that the model misses least";
    }

    @Override
    public Config defaults() {
        return new Config(1, Criterion.EVOLUTION, 32, 0);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        int blocks = Architecture.get(model, LAYERS);
        if (config.remove() >= blocks) {
            throw LitheException.badInput(
                    "remove is %d, and the model has %d blocks; at least one has to stay",
                    config.remove(), blocks);
        }
        Architecture.put(model, LAYERS, blocks - config.remove());
    }

    @Override
    public LinearForm outcome(LinearForm before, Config config) {
        return before;
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        CalibrationSet set = model.windows().first(config.samples());
        List<BitSet> finalists;
        try (var stack = new BlockStack(model, set)) {
            finalists = choices(stack, config);
        }
        List<Integer> kept = best(finalists, model).stream().boxed().toList();
        ObjectNode changed = model.config();
        LayerLists.spellOut(changed, model.spec());
        LayerLists.keep(changed, model.blocks().size(), kept);
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        made.take(made.embedding(), model.embedding());
        for (int i = 0; i < kept.size(); i++) {
            LoadedPart from = model.blocks().get(kept.get(i));
            made.take(made.blocks().get(i), from);
        }
        made.take(made.output(), model.output());
        return made;
    }

    private static List<BitSet> choices(BlockStack stack, Config config) {
        var choices = new BlockChoices(stack, config.remove());
        return switch (config.criterion()) {
            case BLOCK_INFLUENCE -> List.of(choices.leastInfluence());
            case ANGULAR -> List.of(choices.straightest());
            case PERPLEXITY -> List.of(choices.oneByOne());
            case EVOLUTION -> new BlockEvolution(stack, config.seed()).best(choices.all());
        };
    }

    /// The one with which the text is likeliest.
    private static BitSet best(List<BitSet> finalists, WholeModel model) {
        if (finalists.size() == 1) {
            return finalists.getFirst();
        }
        try (var stack = new BlockStack(model, model.windows())) {
            return finalists.stream()
                    .min(Comparator.comparingDouble(kept -> stack.without(kept).loss()))
                    .orElseThrow();
        }
    }
}
