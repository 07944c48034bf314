package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.BlockStack.Parts;
import dev.lithe.calibrate.BlockStack.Unit;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.Family;
import dev.lithe.technique.LayerLists;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/// Removes whole blocks, or attention and feed-forward parts of blocks, those that the model misses
/// least on the calibration text. What is left of whole blocks is a shallower model of the same
/// kind, faster in proportion.
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
/// `parts` says what is removed as one: `blocks`; `attention` or `mlp`, the attention or the
/// feed-forward part of a block, which `h + f(norm(h))` then lets pass as it is (He et al.: "What
/// Matters in Transformers? Not All Attention is Needed", arXiv 2406.15786; Siddiqui et al.: "A
/// Deeper Look at Depth Pruning of LLMs", arXiv 2407.16286); or `any` of both kinds. Parts are found
/// by the same criteria, h being the stream before and behind them, but for `angular`. At least one
/// block keeps its attention.
///
///     depth_prune: {remove: 2, parts: blocks, criterion: evolution, samples: 32, seed: 0}
///     depth_prune: {remove: 3, parts: attention, criterion: perplexity}
///
/// Needs about one forward pass over `samples` windows for each choice that it looks at. Any form
/// of linear may be removed but weights that several blocks share. A block without attention has no
/// keys and values either. `config.json` says which parts are missing
/// ([dev.lithe.model.Sublayers]), which other programs do not run: they refuse the folder, an
/// export to dense has zeros in their place, and one to GGUF is of llama.cpp's architecture `deci`,
/// where that has a word for what is missing. For rotary models. `heal` afterwards brings much of
/// the quality back.
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

    /// @param remove blocks, or parts of blocks, to remove, at least 1
    /// @param parts what is removed as one
    /// @param samples calibration windows that choices are measured on
    /// @param seed of the search
    public record Config(int remove, Parts parts, Criterion criterion, int samples, long seed) {
        public Config {
            if (remove < 1) {
                throw LitheException.badInput("remove is %d; choose at least 1", remove);
            }
            if (samples < 1) {
                throw LitheException.badInput(
                        "samples is %d; choose at least 1 (32 is usual)", samples);
            }
            if (parts != Parts.BLOCKS && criterion == Criterion.ANGULAR) {
                throw LitheException.badInput(
                        "criterion angular finds blocks side by side, and parts is %s, which are not;"
                                + " choose block_influence, perplexity or evolution",
                        parts.name().toLowerCase(Locale.ROOT));
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
        return "remove the blocks, or parts of blocks, that the model misses least";
    }

    @Override
    public Config defaults() {
        return new Config(1, Parts.BLOCKS, Criterion.EVOLUTION, 32, 0);
    }

    @Override
    public boolean findsShapes(Config config) {
        return config.parts() != Parts.BLOCKS;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        if (config.parts() == Parts.BLOCKS) {
            fewerBlocks(model, config.remove());
        } else {
            fewerParts(model, config);
        }
    }

    /// Of a model that lacks parts, first blocks without attention: which ones go is found later.
    private static void fewerBlocks(ObjectNode model, int remove) {
        int blocks = Architecture.get(model, LAYERS);
        if (remove >= blocks) {
            throw LitheException.badInput(
                    "remove is %d, and the model has %d blocks; at least one has to stay",
                    remove, blocks);
        }
        Sublayers before = ModelSpec.of(model, "config.json").sublayers();
        List<Integer> kept =
                IntStream.range(0, blocks)
                        .boxed()
                        .sorted(Comparator.comparing(before::attends))
                        .skip(remove)
                        .sorted()
                        .toList();
        if (before.any()) {
            LayerLists.keep(model, blocks, kept);
        }
        Architecture.put(model, LAYERS, blocks - remove);
    }

    /// The last parts, and of any kind those of the smaller one first, so that the result is no
    /// larger: which ones go is found later.
    private static void fewerParts(ObjectNode model, Config config) {
        Rotary.require(model, "such blocks keep their parts; set parts: blocks");
        ModelSpec spec = ModelSpec.of(model, "config.json");
        List<Unit> attention = BlockStack.units(spec, Parts.ATTENTION);
        List<Unit> mlps = BlockStack.units(spec, Parts.MLP);
        List<Unit> spared = new ArrayList<>(attention.reversed().subList(0, attention.size() - 1));
        List<Unit> candidates =
                switch (config.parts()) {
                    case ATTENTION -> spared;
                    case MLP -> mlps.reversed();
                    case ANY, BLOCKS -> {
                        boolean small = weights(spec, attention) < weights(spec, mlps);
                        List<Unit> all = new ArrayList<>(small ? spared : mlps.reversed());
                        all.addAll(small ? mlps.reversed() : spared);
                        yield all;
                    }
                };
        if (config.remove() > candidates.size()) {
            throw LitheException.badInput(
                    "remove is %d, and the model has %d attention and %d feed-forward parts; at most %d"
                            + " can go with parts: %s%s",
                    config.remove(),
                    attention.size(),
                    mlps.size(),
                    candidates.size(),
                    config.parts().name().toLowerCase(Locale.ROOT),
                    config.parts() == Parts.MLP ? "" : ", for one attention has to stay");
        }
        without(spec.sublayers(), candidates.subList(0, config.remove())).describe(model);
    }

    /// Of one of `units`, which have equally many.
    private static long weights(ModelSpec spec, List<Unit> units) {
        return Architecture.linears(spec).stream()
                        .filter(name -> units.stream().anyMatch(unit -> holds(unit, name)))
                        .mapToLong(LinearName::weights)
                        .sum()
                / Math.max(1, units.size());
    }

    private static boolean holds(Unit unit, LinearName name) {
        boolean attention = name.slot() == Slot.QKV || name.slot() == Slot.O;
        return unit.block() == name.block() && unit.attention() == attention;
    }

    private static Sublayers without(Sublayers before, List<Unit> gone) {
        return before.without(
                gone.stream().filter(Unit::attention).map(Unit::block).toList(),
                gone.stream().filter(Unit::mlp).map(Unit::block).toList());
    }

    @Override
    public LinearForm outcome(LinearForm before, Config config) {
        boolean shared =
                before.modules("").values().stream().anyMatch(LinearForm.Shared.class::isInstance);
        if (shared) {
            throw LitheException.badInput(
                    "linears of several blocks share weights, which the block that owns them would take"
                            + " along; put depth_prune before");
        }
        return before;
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        CalibrationSet set = model.windows().first(config.samples());
        List<BitSet> finalists;
        List<Unit> units;
        try (var stack = new BlockStack(model, set, config.parts())) {
            units = stack.units();
            finalists = choices(stack, config);
        }
        BitSet kept = best(finalists, model, config.parts());
        if (config.parts() == Parts.BLOCKS) {
            return only(kept.stream().boxed().toList(), model);
        }
        List<Unit> gone =
                IntStream.range(0, units.size())
                        .filter(unit -> !kept.get(unit))
                        .mapToObj(units::get)
                        .toList();
        return without(gone, model);
    }

    private static WholeModel only(List<Integer> blocks, WholeModel model) {
        ObjectNode changed = model.config();
        LayerLists.spellOut(changed, model.spec());
        LayerLists.keep(changed, model.blocks().size(), blocks);
        Architecture.put(changed, LAYERS, blocks.size());
        WholeModel made = model.reshaped(changed);
        made.take(made.embedding(), model.embedding());
        for (int i = 0; i < blocks.size(); i++) {
            LoadedPart from = model.blocks().get(blocks.get(i));
            made.take(made.blocks().get(i), from);
        }
        made.take(made.output(), model.output());
        return made;
    }

    private static WholeModel without(List<Unit> gone, WholeModel model) {
        ObjectNode changed = model.config();
        without(model.spec().sublayers(), gone).describe(changed);
        WholeModel made = model.reshaped(changed);
        for (int i = 0; i < made.parts().size(); i++) {
            LoadedPart to = made.parts().get(i);
            LoadedPart from = model.parts().get(i);
            to.part().linears().forEach(name -> to.set(name, from.linear(name)));
            to.part().norms().keySet().forEach(norm -> to.setNorm(norm, from.norm(norm)));
        }
        return made;
    }

    private static List<BitSet> choices(BlockStack stack, Config config) {
        var choices = new BlockChoices(stack, config.remove());
        return switch (config.criterion()) {
            case BLOCK_INFLUENCE -> List.of(choices.leastInfluence());
            case ANGULAR -> List.of(choices.straightest());
            case PERPLEXITY -> List.of(choices.oneByOne());
            case EVOLUTION ->
                    new BlockEvolution(stack, config.seed())
                            .best(choices.all(config.parts() == Parts.BLOCKS));
        };
    }

    /// The one with which the text is likeliest.
    private static BitSet best(List<BitSet> finalists, WholeModel model, Parts parts) {
        if (finalists.size() == 1) {
            return finalists.getFirst();
        }
        try (var stack = new BlockStack(model, model.windows(), parts)) {
            return finalists.stream()
                    .min(Comparator.comparingDouble(kept -> stack.without(kept).loss()))
                    .orElseThrow();
        }
    }
}
