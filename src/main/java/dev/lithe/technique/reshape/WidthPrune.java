package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Cut;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Random;

/// Makes every block narrower: fewer channels in its feed-forward part, fewer groups of heads that
/// share keys and values. The least important go, each block its own, equally many of each; the
/// model stays one of its kind.
///
/// [Importance] lists the `criterion`s; a group of heads counts what its outputs count together.
/// With `compensate`, what the channels that go contributed on average becomes a bias of what read
/// them, as FLAP does: `b += W[:, gone] E[x_gone]`.
///
///     width_prune: {ffn: 0.25, heads: 0, criterion: flap, compensate: true, multiple_of: 32}
///
/// `ffn` and `heads` are shares that go. Of f channels the nearest multiple of `multiple_of` to
/// `f (1 - ffn)` stays, of g groups the nearest whole number. Linears must be dense. Biases make the
/// model declare `mlp_bias` or `attention_bias`, under which loaders expect one on every linear of
/// that part; the others are zero. Transformers from version 5 opens a Llama only where its heads
/// divide `hidden_size`, whatever `head_dim` says: of 8 heads keep 4, not 6, for it. Importance is that of the whole model, before anything went. For
/// narrower hidden states see [Slice].
@AutoService(Technique.class)
public final class WidthPrune implements ModelTechnique<WidthPrune.Config> {
    private static final String FFN = "intermediate_size";
    private static final String HEADS = "num_attention_heads";
    private static final String GROUPS = "num_key_value_heads";

    /// @param ffn share of the feed-forward channels that goes, from 0, below 1
    /// @param heads share of the groups of heads that goes, from 0, below 1
    /// @param compensate whether means of what goes become biases
    /// @param multipleOf what the number of channels stays a multiple of
    /// @param seed of random importance
    public record Config(
            double ffn,
            double heads,
            Importance criterion,
            boolean compensate,
            int multipleOf,
            long seed) {
        public Config {
            requireShare("ffn", ffn);
            requireShare("heads", heads);
            if (ffn == 0 && heads == 0) {
                throw LitheException.badInput(
                        "ffn and heads are both 0; choose a share of one to remove, like ffn 0.25");
            }
            if (multipleOf < 1) {
                throw LitheException.badInput(
                        "multiple_of is %d; choose at least 1 (32 is usual)", multipleOf);
            }
        }

        private static void requireShare(String key, double share) {
            if (!(share >= 0 && share < 1)) {
                throw LitheException.badInput(
                        "%s is %s; choose a share to remove, from 0, below 1", key, share);
            }
        }
    }

    @Override
    public String name() {
        return "width_prune";
    }

    @Override
    public Family family() {
        return Family.ARCHITECTURE;
    }

    @Override
    public String summary() {
        return "remove the least important feed-forward channels and heads of every block";
    }

    @Override
    public Config defaults() {
        return new Config(0.25, 0, Importance.FLAP, true, 32, 0);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "width_prune cuts gates and shared heads; leave it out");
        requireItsOwnLinears(model);
        int channels = model.path(FFN).asInt();
        if (config.ffn() > 0) {
            int multiple = config.multipleOf();
            long kept = Math.round(channels * (1 - config.ffn()) / multiple) * multiple;
            requireSome("ffn", config.ffn(), kept, channels, "a smaller multiple_of or another");
            model.put(FFN, (int) kept);
            if (config.compensate()) {
                requireBias("mlp_bias", Architecture.takesMlpBias(model));
                model.put("mlp_bias", true);
            }
        }
        int heads = model.path(HEADS).asInt();
        int groups = model.path(GROUPS).asInt(heads);
        if (config.heads() > 0) {
            long kept = Math.round(groups * (1 - config.heads()));
            requireSome("heads", config.heads(), kept, groups, "another");
            int width = model.path("head_dim").asInt(model.path("hidden_size").asInt() / heads);
            model.put("head_dim", width); // no longer the hidden size over the heads
            model.put(HEADS, (int) (heads / groups * kept)).put(GROUPS, (int) kept);
            if (config.compensate()) {
                requireBias("attention_bias", Architecture.takesAttentionBias(model));
                model.put("attention_bias", true);
            }
        }
    }

    private static void requireItsOwnLinears(ObjectNode model) {
        ModelSpec spec = ModelSpec.of(model, "config.json");
        spec.experts().requireNone("width_prune");
        if (spec.style().fused()) {
            throw LitheException.badInput(
                    "the model stores q, k and v, and gate and up, as one linear each, which cannot"
                            + " be cut alike; leave width_prune out");
        }
    }

    private static void requireBias(String key, boolean taken) {
        if (!taken) {
            throw LitheException.badInput(
                    "compensate makes biases, and loaders of this architecture ignore %s; set"
                            + " compensate: false",
                    key);
        }
    }

    private static void requireSome(String key, double share, long kept, long all, String wayOut) {
        if (kept < 1 || kept >= all) {
            throw LitheException.badInput(
                    "%s %s of %d leaves %d; choose %s share", key, share, all, kept, wayOut);
        }
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        made.take(made.embedding(), model.embedding());
        made.take(made.output(), model.output());
        var random = new Random(config.seed());
        model.walk(part -> {
            if (part.part().kind() == Kind.BLOCK) {
                LoadedPart to = made.blocks().get(part.part().block());
                try (var step = TensorScope.open()) {
                    new Narrowing(part, to, config, step).run(random);
                }
            }
        });
        return made;
    }

    /// One block on its way.
    private record Narrowing(LoadedPart from, LoadedPart to, Config config, TensorScope step) {
        void run(Random random) {
            to.part().norms().keySet().forEach(slot -> to.setNorm(slot, from.norm(slot)));
            if (from.part().slots().contains(Slot.O)) {
                cutHeads(random);
            }
            if (from.part().slots().contains(Slot.DOWN)) {
                cutChannels(random);
            }
        }

        private void cutHeads(Random random) {
            ModelSpec spec = from.spec();
            int width = spec.heads() / spec.kvHeads() * spec.headDim();
            var attention = new Channels(from, Slot.QKV, Slot.O, config.criterion(), step);
            Value groups = attention.best(width, to.spec().kvHeads(), random);
            cut(Slot.QKV, 0, attention.channels(groups, width));
            Value keys = attention.channels(groups, spec.headDim());
            cut(Slot.QKV, 1, keys);
            cut(Slot.QKV, 2, keys);
            cutInputs(Slot.O, attention, attention.channels(groups, width));
        }

        private void cutChannels(Random random) {
            var feedForward = new Channels(from, Slot.GATE_UP, Slot.DOWN, config.criterion(), step);
            Value kept = feedForward.best(1, to.spec().intermediateSize(), random);
            cut(Slot.GATE_UP, 0, kept);
            cut(Slot.GATE_UP, 1, kept);
            cutInputs(Slot.DOWN, feedForward, kept);
        }

        private void cut(Slot slot, int index, Value rows) {
            LinearName name = from.part().linears(slot).get(index);
            var linear = Cut.rows(from.linear(name), rows, step);
            LinearName target = to.part().linears(slot).get(index);
            to.set(target, target.hasBias() ? Cut.withBias(linear, null, step) : linear);
        }

        private void cutInputs(Slot slot, Channels channels, Value kept) {
            LinearName name = from.part().linears(slot).getFirst();
            LinearName target = to.part().linears(slot).getFirst();
            var linear = Cut.columns(from.linear(name), kept, step);
            if (target.hasBias()) {
                boolean compensate = config.compensate() && name.inFeatures() > target.inFeatures();
                Value lost = compensate ? channels.lostMean(kept) : null;
                to.set(target, Cut.withBias(linear, lost, step));
            } else {
                to.set(target, linear);
            }
        }
    }
}
