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
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Cut;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/// Fewer heads of keys and values, each shared by more queries (Ainslie et al.: "GQA", arXiv
/// 2305.13245): the cache shrinks in proportion, and so do the linears that fill it. Neighbours
/// become one by `pool`:
///
/// * `joint`: what loses least on the calibration text. A head's keys may be turned and scaled, two
///   coordinates at a time as rotary positions allow, if its queries make up for it, and its values
///   multiplied by any matrix, if its part of the output layer does. So the heads of a group become
///   the first principal component of each pair of their keys, weighed by the queries, and the
///   first `head_dim` ones of their values, weighed by what is made of them; each head reads its
///   own from them.
/// * `mean`: the mean of their weights, as the paper does.
/// * `first`: the first of them, to compare with.
///
///   gqa: {kv_heads: 4, pool: joint}
///
/// `kv_heads` divides the number of heads that there are. Linears must be dense. `mean` and `first`
/// need no text and leave little before `heal`; models that norm each head take only them.
@AutoService(Technique.class)
public final class Gqa implements ModelTechnique<Gqa.Config> {
    private static final String GROUPS = "num_key_value_heads";

    /// How heads become one.
    public enum Pool {
        JOINT,
        MEAN,
        FIRST
    }

    /// @param kvHeads heads of keys and values that stay
    public record Config(int kvHeads, Pool pool) {
        public Config {
            if (kvHeads < 1) {
                throw LitheException.badInput("kv_heads is %d; choose 1 or more", kvHeads);
            }
        }
    }

    @Override
    public String name() {
        return "gqa";
    }

    @Override
    public Family family() {
        return Family.ARCHITECTURE;
    }

    @Override
    public String summary() {
        return "join heads of keys and values, which the same queries share then";
    }

    @Override
    public Config defaults() {
        return new Config(1, Pool.JOINT);
    }

    @Override
    public boolean calibrated(Config config) {
        return config.pool() == Pool.JOINT;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "loaders of such models share no keys and values; leave gqa out");
        ModelSpec spec = ModelSpec.of(model, "config.json");
        if (spec.style().fused()) {
            throw LitheException.badInput(
                    "the model stores q, k and v as one linear, whose heads cannot be joined; leave"
                            + " gqa out");
        }
        if (calibrated(config)
                && (spec.style().headNorms() || spec.rotaryWidth() < spec.headDim())) {
            throw LitheException.badInput(
                    "the model norms each head, or rotates a part of it only, so keys cannot be"
                            + " turned towards each other; choose pool: mean and heal afterwards");
        }
        int groups = model.path(GROUPS).asInt(model.path("num_attention_heads").asInt());
        if (groups % config.kvHeads() != 0 || groups == config.kvHeads()) {
            throw LitheException.badInput(
                    "kv_heads is %d, the model has %d; choose a smaller number that divides it",
                    config.kvHeads(), groups);
        }
        model.put(GROUPS, config.kvHeads());
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        made.take(made.embedding(), model.embedding());
        made.take(made.output(), model.output());
        if (calibrated(config)) {
            model.walk(part -> {
                if (part.part().kind() == Kind.BLOCK) {
                    join(part, made, config);
                }
            });
        } else {
            model.blocks().forEach(part -> join(part, made, config));
        }
        return made;
    }

    private static void join(LoadedPart from, WholeModel made, Config config) {
        LoadedPart to = made.blocks().get(from.part().block());
        to.part().norms().keySet().forEach(slot -> to.setNorm(slot, from.norm(slot)));
        List<LinearName> names = new ArrayList<>(from.part().linears(Slot.QKV));
        names.addAll(from.part().linears(Slot.O));
        try (var step = TensorScope.open()) {
            List<Value> joined = names.isEmpty() ? List.of() : joined(from, names, config, step);
            for (LinearName name : from.part().linears()) {
                int i = names.indexOf(name);
                Linear before = from.linear(name);
                Linear after = i < 0 ? before : linear(joined.get(i), before, step);
                to.set(to.part().linears().get(from.part().linears().indexOf(name)), after);
            }
        }
    }

    /// The weights of `names`, queries, keys, values and outputs, biases beside them but for those
    /// of outputs.
    private static List<Value> joined(
            LoadedPart part, List<LinearName> names, Config config, TensorScope step) {
        List<Value> w = new ArrayList<>();
        for (LinearName name : names.subList(0, 3)) {
            Linear.Dense dense = Cut.dense(part.linear(name));
            Value bias = dense.bias() == null ? step.none() : dense.bias();
            w.add(step.call("with_column", dense.weight(), bias));
        }
        w.add(Cut.dense(part.linear(names.getLast())).weight());
        int width = part.spec().headDim();
        Function<String, List<Value>> pooled =
                kernel ->
                        List.of(
                                w.get(0),
                                step.call(kernel, w.get(1), width, config.kvHeads()),
                                step.call(kernel, w.get(2), width, config.kvHeads()),
                                w.get(3));
        return switch (config.pool()) {
            case JOINT -> {
                Value hessian = part.statistics(Slot.QKV, step).hessian();
                yield step.call(
                                "join_heads",
                                w.get(0),
                                w.get(1),
                                w.get(2),
                                w.get(3),
                                hessian,
                                width,
                                config.kvHeads())
                        .members();
            }
            case MEAN -> pooled.apply("mean_heads");
            case FIRST -> pooled.apply("first_heads");
        };
    }

    private static Linear linear(Value joined, Linear before, TensorScope step) {
        Linear.Dense dense = Cut.dense(before);
        int n = dense.weight().size(1);
        int type = dense.form().dtype().code();
        Value weight = step.call("without_column", joined, n, type);
        Value bias = joined.size(1) > n ? step.call("last_column", joined) : dense.bias();
        return new Linear.Dense(weight, bias, dense.form());
    }
}
