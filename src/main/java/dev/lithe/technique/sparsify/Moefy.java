package dev.lithe.technique.sparsify;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Experts;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Cut;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;

/// Makes the feed-forward part of every block a mixture of experts: its channels in groups, of
/// which a router chooses some for each token (Zhengyan Zhang, Yankai Lin, Zhiyuan Liu, Peng Li,
/// Maosong Sun, Jie Zhou: "MoEfication: Transformer Feed-forward Layers are Mixtures of Experts",
/// arXiv 2110.01786).
///
/// Channels that add to the stream for the same tokens come together: balanced k-means
/// ([ExpertGroups]) of their profiles `|a_j| ||W_down[:, j]||` over the calibration windows. The
/// router is one linear, by ridge regression of what it must order experts by,
///
///     R x + b ≈ log Σ_{j in expert} a_j² ||W_down[:, j]||²,   a = act(gate x) · up x
///
/// The logarithm weighs tokens alike whose channels are all small; it orders wide experts better
/// than the root of their energy, and narrow ones as well (`eval/results/moefy.md`). The paper
/// trains its router, a network of two layers, on the same question.
///
///     moefy: {active: 0.5, width: 16, samples: 32, seed: 0}
///
/// No weight changes, channels only change places, and with `active: 1` the model computes what it
/// did. Where `src/main/c` runs the model, one token alone reads the weights of its experts only:
/// those of gate and up in every form, those of down where they are floats, or integers in groups
/// that are no wider than an expert; several tokens at once compute the same and gain nothing.
/// `config.json` says it ([Experts]); other programs run all experts, and an export leaves the
/// router out. Finer experts are chosen better. What changes the number of channels goes before;
/// training behind it lets the router be.
@AutoService(Technique.class)
public final class Moefy implements ModelTechnique<Moefy.Config> {
    /// Tokens whose profiles decide which channels belong together, about.
    private static final int PROFILE = 1024;

    private static final double DAMPING = 1e-3;

    /// @param active share of the experts that a token runs, above 0, at most 1
    /// @param width channels of an expert
    /// @param samples calibration windows that it looks at
    /// @param seed of the first groups
    public record Config(double active, int width, int samples, long seed) {
        public Config {
            if (!(active > 0 && active <= 1)) {
                throw LitheException.badInput(
                        "active is %s; choose a share above 0, at most 1 (0.5 is usual)", active);
            }
            if (width < 1) {
                throw LitheException.badInput(
                        "width is %d; choose at least 1 channel (16 is usual)", width);
            }
            if (samples < 1) {
                throw LitheException.badInput(
                        "samples is %d; choose at least 1 (32 is usual)", samples);
            }
        }

        private Experts of(int channels) {
            int count = channels / width;
            if (channels % width != 0 || count < 2) {
                throw LitheException.badInput(
                        "width %d does not divide the model's %d channels into two experts or more;"
                                + " choose another, like 16",
                        width, channels);
            }
            return new Experts(count, Math.clamp(Math.round(count * active), 1, count));
        }
    }

    @Override
    public String name() {
        return "moefy";
    }

    @Override
    public Family family() {
        return Family.SPARSE;
    }

    @Override
    public String summary() {
        return "group feed-forward channels into experts, of which each token runs some";
    }

    @Override
    public Config defaults() {
        return new Config(0.5, 16, 32, 0);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        ModelSpec spec = ModelSpec.of(model, "config.json");
        if (spec.experts().any()) {
            throw LitheException.badInput(
                    "the model already runs %s; leave one moefy out", spec.experts().label());
        }
        config.of(spec.intermediateSize()).describe(model);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        made.take(made.embedding(), model.embedding());
        made.take(made.output(), model.output());
        var random = new Random(config.seed());
        try (var some = model.on(model.windows().first(config.samples()))) {
            some.walk(part -> {
                if (part.part().kind() == Kind.BLOCK) {
                    LoadedPart to = made.blocks().get(part.part().block());
                    try (var scope = TensorScope.open()) {
                        new Grouping(part, to, scope).run(random);
                    }
                }
            });
        }
        return made;
    }

    /// One block on its way.
    private record Grouping(LoadedPart from, LoadedPart to, TensorScope scope) {
        void run(Random random) {
            to.part().norms().keySet().forEach(norm -> to.setNorm(norm, from.norm(norm)));
            copy(Slot.QKV);
            copy(Slot.O);
            if (from.part().slots().contains(Slot.DOWN)) {
                group(random);
            }
        }

        private void group(Random random) {
            int count = to.spec().experts().count();
            Value members = new ExpertGroups(profiles(), count).members(random, scope);
            List<LinearName> names = to.part().linears(Slot.GATE_UP);
            to.set(names.getFirst(), router(members));
            long[] order = members.longs();
            List<LinearName> making = from.part().linears(Slot.GATE_UP);
            for (int i = 0; i < making.size(); i++) {
                Value rows = rows(order, making.get(i).outFeatures());
                to.set(names.get(i + 1), Cut.rows(from.linear(making.get(i)), rows, scope));
            }
            LinearName down = from.part().linears(Slot.DOWN).getFirst();
            Value columns = rows(order, order.length);
            to.set(
                    to.part().linears(Slot.DOWN).getFirst(),
                    Cut.columns(from.linear(down), columns, scope));
        }

        private void copy(Slot slot) {
            from.part().linears(slot).forEach(name -> to.set(name, from.linear(name)));
        }

        /// The order of so many outputs: gate's and up's follow each other where they are one.
        private Value rows(long[] order, int outputs) {
            long[] rows = new long[outputs];
            for (int i = 0; i < outputs; i++) {
                rows[i] = i / order.length * (long) order.length + order[i % order.length];
            }
            return scope.tensor(rows, rows.length);
        }

        private Value reading() {
            return Cut.dense(from.linears(Slot.DOWN).getFirst()).weight();
        }

        private Value profiles() {
            int step = Math.toIntExact(Math.ceilDiv(from.tokens(), PROFILE));
            List<Value> pieces = new ArrayList<>();
            from.show(
                    Slot.DOWN,
                    (a, _) -> pieces.add(scope.call("channel_profiles", a, reading(), step)));
            return scope.call("directions", scope.list(pieces));
        }

        private Linear router(Value members) {
            List<Value> scores = new ArrayList<>();
            from.show(
                    Slot.DOWN,
                    (a, _) -> scores.add(scope.call("expert_scores", a, reading(), members)));
            Value moments = scope.call("router_moments", from.spec().hiddenSize(), members.size(0));
            Iterator<Value> next = scores.iterator();
            from.show(Slot.GATE_UP, (x, step) -> step.call("add_moments", moments, x, next.next()));
            Linear.Dense like = Cut.dense(from.linears(Slot.GATE_UP).getFirst());
            List<Value> fitted =
                    scope.call("router", moments, DAMPING, like.weight().dtype().code()).members();
            return new Linear.Dense(fitted.getFirst(), fitted.getLast(), like.form());
        }
    }
}
