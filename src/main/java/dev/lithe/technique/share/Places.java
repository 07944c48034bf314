package dev.lithe.technique.share;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Factors;
import dev.lithe.technique.share.ShareLayers.Config;
import dev.lithe.technique.share.ShareLayers.Start;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The places of a model whose blocks are used several times, and what is shared among them.
final class Places implements AutoCloseable {
    private final WholeModel model;
    private final Config config;
    private final int layers;
    private final TensorScope scope = TensorScope.open();
    private final Map<String, Value> shared = new HashMap<>();

    Places(WholeModel model, Config config) {
        this.model = model;
        this.config = config;
        this.layers = model.spec().layers();
    }

    /// Gives `part`, of the model to be made, its linears, slot by slot.
    void fill(LoadedPart part) {
        if (part.part().kind() != Kind.BLOCK) {
            return;
        }
        LoadedPart from = model.blocks().get(part.part().block());
        part.part().norms().keySet().forEach(slot -> part.setNorm(slot, from.norm(slot)));
        for (Slot slot : part.part().slots()) {
            List<LinearName> names = part.part().linears(slot);
            for (int i = 0; i < names.size(); i++) {
                try (var step = TensorScope.open()) {
                    part.set(names.get(i), made(part, names.get(i), i, step));
                }
            }
        }
    }

    private Linear made(LoadedPart part, LinearName name, int i, TensorScope step) {
        Linear.Dense before = dense(part.part().block(), name.slot(), i);
        LinearForm.Dense form = before.form();
        String owner = ShareLayers.owner(name, layers, config);
        Value weight = shared.computeIfAbsent(owner, _ -> base(name, i));
        boolean own = owner.equals(name.module());
        if (config.rank() == 0) {
            return own
                    ? new Linear.Dense(weight, before.bias(), form)
                    : new Linear.Shared(
                            new Linear.Dense(weight, null, form),
                            before.bias(),
                            new LinearForm.Shared(form, owner));
        }
        Linear base = new Linear.Dense(weight, null, form);
        if (!own) {
            base = new Linear.Shared(base, null, new LinearForm.Shared(form, owner + ".base"));
        }
        Value rest = step.call("difference", before.weight(), weight);
        InputStatistics seen =
                new ShareLayers().calibrated(config)
                        ? part.statistics(name.slot(), step)
                        : new InputStatistics(step.call("identity", name.inFeatures()), 1, step);
        Linear.LowRank correction =
                Factors.cut(
                        new Linear.Dense(rest, null, form),
                        Factors.measure(seen, config.weighting(), 1),
                        config.rank(),
                        step);
        return new Linear.LowRank(
                base, correction.right(), correction.left(), before.bias(), config.rank());
    }

    /// The weights that all places with the block of `name` use.
    private Value base(LinearName name, int i) {
        int block = config.blockOf(name.block(), layers);
        if (config.start() == Start.STEPWISE) {
            return scope.keep(dense(config.source(block, layers), name.slot(), i).weight());
        }
        List<Value> weights = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            if (config.blockOf(layer, layers) == block) {
                weights.add(dense(layer, name.slot(), i).weight());
            }
        }
        int type = dense(name.block(), name.slot(), i).form().dtype().code();
        return scope.call("mean_of", scope.list(weights), type);
    }

    private Linear.Dense dense(int block, Slot slot, int i) {
        LoadedPart part = model.blocks().get(block);
        return (Linear.Dense)
                part.linear(part.part().linears(slot).get(i)); // the plan refuses others
    }

    @Override
    public void close() {
        scope.close();
    }
}
