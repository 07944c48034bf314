package dev.lithe.technique.factorize;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Factors;
import dev.lithe.technique.Weighting;
import dev.lithe.technique.factorize.BasisSharing.Config;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The bases that the blocks of groups have in common, and what each block makes of them.
final class Bases implements AutoCloseable {
    private final WholeModel model;
    private final Config config;
    private final TensorScope scope = TensorScope.open();
    private final Map<String, Value> bases = new HashMap<>();
    private final Map<Slot, Value> sums = new EnumMap<>(Slot.class);
    private TensorScope group = TensorScope.open();

    Bases(WholeModel model, Config config) {
        this.model = model;
        this.config = config;
    }

    /// Adds up what a block of the model as it was reads; behind the last of a group, finds its
    /// bases.
    void see(LoadedPart part) {
        if (part.part().kind() != Kind.BLOCK) {
            return;
        }
        int block = part.part().block();
        for (Slot slot : part.part().slots()) {
            if (BasisSharing.shares(slot)) {
                try (var step = TensorScope.open()) {
                    Value hessian = part.statistics(slot, step).hessian();
                    Value sum = sums.get(slot);
                    sums.put(
                            slot,
                            sum == null
                                    ? group.call("copied", hessian)
                                    : group.call("sum_of", sum, hessian));
                }
            }
        }
        int members = config.members(block, model.spec().layers());
        if (block == config.first(block) + members - 1) {
            find(block - members + 1, members);
            sums.clear();
            group.close();
            group = TensorScope.open();
        }
    }

    private void find(int first, int members) {
        LoadedPart owner = model.blocks().get(first);
        for (Map.Entry<Slot, Value> sum : sums.entrySet()) {
            var seen = new InputStatistics(sum.getValue(), 1, group);
            List<LinearName> names = owner.part().linears(sum.getKey());
            for (int i = 0; i < names.size(); i++) {
                long rank = config.rank(names.get(i), model.spec().layers());
                if (rank > 0) {
                    Value measure = Factors.measure(seen, Weighting.WHITENED, 1);
                    bases.put(
                            names.get(i).module(),
                            basis(first, members, sum.getKey(), i, measure, rank));
                }
            }
        }
    }

    private Value basis(int first, int members, Slot slot, int i, Value measure, long rank) {
        try (var step = TensorScope.open()) {
            List<Value> rows = new ArrayList<>();
            for (LoadedPart part : model.blocks().subList(first, first + members)) {
                rows.add(dense(part, part.part().linears(slot).get(i)).weight());
            }
            Value all = step.call("concat_rows", step.list(rows));
            int type = dense(model.blocks().get(first), name(first, slot, i)).form().dtype().code();
            return scope.keep(step.call("svd_factors", all, measure, rank, type).members().get(1));
        }
    }

    private LinearName name(int block, Slot slot, int i) {
        return model.blocks().get(block).part().linears(slot).get(i);
    }

    private static Linear.Dense dense(LoadedPart part, LinearName name) {
        return (Linear.Dense) part.linear(name); // the plan refuses others
    }

    /// Gives `part`, of the model to be made, the linears of the block that it stands for.
    void fit(LoadedPart part) {
        if (part.part().kind() != Kind.BLOCK) {
            return;
        }
        LoadedPart from = model.blocks().get(part.part().block());
        part.part().norms().keySet().forEach(slot -> part.setNorm(slot, from.norm(slot)));
        for (Slot slot : part.part().slots()) {
            try (var step = TensorScope.open()) {
                InputStatistics seen = part.statistics(slot, step);
                for (LinearName name : part.part().linears(slot)) {
                    Linear.Dense dense = dense(from, name);
                    long rank = config.rank(name, model.spec().layers());
                    part.set(name, rank == 0 ? dense : fitted(name, dense, seen, rank, step));
                }
            }
        }
    }

    private Linear fitted(
            LinearName name,
            Linear.Dense dense,
            InputStatistics seen,
            long rank,
            TensorScope step) {
        String owner = BasisSharing.owner(name, config);
        Value basis = BasisSharing.shares(name.slot()) ? bases.get(owner) : null;
        if (basis == null) {
            Value measure = Factors.measure(seen, Weighting.WHITENED, 1);
            return Factors.cut(dense, measure, rank, step);
        }
        int type = dense.form().dtype().code();
        Value left = step.call("fit_left", dense.weight(), basis, seen.hessian(), type);
        Linear.LowRank own = Factors.linear(left, basis, dense, rank, step);
        if (owner.equals(name.module())) {
            return own;
        }
        var form = new LinearForm.Shared(dense.form(), owner + ".right");
        var shared = new Linear.Shared(own.right(), null, form);
        return new Linear.LowRank(null, shared, own.left(), dense.bias(), rank);
    }

    @Override
    public void close() {
        group.close();
        scope.close();
    }
}
