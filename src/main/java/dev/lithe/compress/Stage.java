package dev.lithe.compress;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.quantize.BitAllocation;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// One step of a recipe: a technique with its configuration.
///
/// @param <C> the technique's configuration
/// @param allocation how bits and group size of each linear are to be found; null where they are
///   settled
record Stage<C extends Record>(
        WeightTechnique<C> technique,
        Settings<C> settings,
        BitAllocation.@Nullable Config allocation)
        implements Step {
    /// Keys that an allocation sets.
    private static final List<String> ALLOCATED = List.of("bits", "group_size");

    /// The same technique with `bits` and `groupSize` for all linears.
    ///
    /// @throws LitheException where the technique does not take them
    Stage<C> with(int bits, int groupSize) {
        return new Stage<>(technique, Settings.of(changed(bits, groupSize)), null);
    }

    private C changed(int bits, int groupSize) {
        ObjectNode keys = RecordBinder.YAML.createObjectNode();
        keys.put(ALLOCATED.get(0), bits).put(ALLOCATED.get(1), groupSize);
        return RecordBinder.bind(name(), settings.common(), keys);
    }

    /// Settled: linears named in `choices` have the bits and group size found for them.
    Stage<C> allocated(Map<LinearName, Choice> choices) {
        List<Settings.Override<C>> overrides = new ArrayList<>();
        choices.forEach((name, choice) ->
                overrides.add(
                        new Settings.Override<>(
                                name.module(), changed(choice.bits(), choice.groupSize()))));
        overrides.addAll(settings.overrides());
        return new Stage<>(technique, new Settings<>(settings.common(), overrides), null);
    }

    /// With one and the same budget, where it has any.
    Stage<C> withoutBudget() {
        return allocation == null
                ? this
                : new Stage<>(technique, settings, allocation.withoutBudget());
    }

    /// Whether it measures the model as a whole first.
    boolean settles() {
        return technique.settles(settings.common());
    }

    /// With what measuring `model` settles for its linears.
    Stage<C> settled(WholeModel model) {
        List<Settings.Override<C>> overrides = new ArrayList<>(settings.overrides());
        technique
                .settle(model, settings)
                .forEach((name, config) ->
                        overrides.add(new Settings.Override<>(name.module(), config)));
        return new Stage<>(technique, new Settings<>(settings.common(), overrides), allocation);
    }

    @Override
    public String name() {
        return technique.name();
    }

    Targets targets() {
        return technique.targets(settings.common());
    }

    /// Patterns that name no module of `modules`.
    List<String> unmatched(List<String> modules) {
        List<String> unmatched = new ArrayList<>(targets().unmatched(modules));
        List<String> patterns =
                settings.overrides().stream().map(Settings.Override::pattern).toList();
        unmatched.addAll(new Targets(patterns, List.of()).unmatched(modules));
        return unmatched;
    }

    /// Whether an override configures `linear`.
    boolean overrides(LinearName linear) {
        return settings.overrides().stream()
                .anyMatch(other -> Targets.matches(other.pattern(), linear.module()));
    }

    void checkModel(ModelSpec spec) {
        technique.checkModel(spec, settings.common());
    }

    LinearForm outcome(LinearName linear, LinearForm before) {
        return targets().include(linear) ? outcome(linear, before, settings.of(linear)) : before;
    }

    private LinearForm outcome(LinearName linear, LinearForm before, C config) {
        if (!technique.takesFactors() || technique instanceof BlockTechnique) {
            return technique.outcome(linear, before, config);
        }
        return switch (before) {
            case LinearForm.LowRank factors -> {
                LinearForm base = factors.base();
                long rank = factors.rank();
                yield new LinearForm.LowRank(
                        base == null ? null : outcome(linear.base(), base, config),
                        outcome(linear.right(rank), factors.right(), config),
                        outcome(linear.left(rank), factors.left(), config),
                        rank);
            }
            case LinearForm.Shared shared -> {
                if (calibrated()) {
                    throw LitheException.badInput(
                            "its weights are another linear's; a stage that looks at data would change"
                                    + " them for one of the two, so choose one that does not, such as rtn");
                }
                yield new LinearForm.Shared(outcome(linear, shared.of(), config), shared.owner());
            }
            case LinearForm.Dense _,
                    LinearForm.Int8 _,
                    LinearForm.Float8 _,
                    LinearForm.Codebook _,
                    LinearForm.Masked _,
                    LinearForm.Grouped _ ->
                    technique.outcome(linear, before, config);
        };
    }

    /// Operations of compressing `linear`; none where it is no target.
    double operations(LinearName linear) {
        return targets().include(linear) ? technique.operations(linear, settings.of(linear)) : 0;
    }

    /// The most memory that compressing `linear` takes.
    long workingBytes(LinearName linear) {
        return targets().include(linear) ? technique.workingBytes(linear, settings.of(linear)) : 0;
    }

    /// Whether it looks at data.
    boolean calibrated() {
        return switch (technique) {
            case LinearTechnique<C> _ -> false;
            case CalibratedLinearTechnique<C> each -> each.calibrated(settings.common());
            case BlockTechnique<C> block -> block.calibrated(settings.common());
        };
    }

    /// Whether it looks at the original's stream too.
    boolean needsTargets() {
        return technique instanceof BlockTechnique<C> block
                && block.needsTargets(settings.common());
    }

    /// Bytes that it works with per weight of a part, besides the part itself.
    int bytesPerWeight() {
        return technique instanceof BlockTechnique<C> block
                ? block.bytesPerWeight(settings.common())
                : 0;
    }

    /// Whether the model computes the same afterwards.
    boolean exact() {
        return technique instanceof BlockTechnique<C> block && block.exact(settings.common());
    }

    /// Whether weights before and after it are not to be compared one by one.
    boolean folds() {
        return technique instanceof BlockTechnique<C> block && block.folds();
    }

    /// Whether it takes a part as a whole: then [#applyTo], else [#apply].
    boolean takesParts() {
        return technique instanceof BlockTechnique;
    }

    void applyTo(LoadedPart part) {
        if (technique instanceof BlockTechnique<C> block) {
            block.apply(part, settings);
        }
    }

    /// Applies the stage to `linear`, if it is one of its targets.
    ///
    /// @param seen gathers the statistics of its input when they are asked for
    Fitted apply(
            LinearName linear,
            Linear before,
            LinearForm after,
            Supplier<InputStatistics> seen,
            TensorScope scope) {
        if (!targets().include(linear)) {
            return new Fitted(before, null);
        }
        int k = linear.inFeatures();
        Supplier<InputStatistics> shown =
                calibrated()
                        ? seen
                        : () -> new InputStatistics(scope.call("identity", k), k, scope);
        return apply(before, after, shown, settings.of(linear), scope);
    }

    private Fitted apply(
            Linear before,
            LinearForm after,
            Supplier<InputStatistics> seen,
            C config,
            TensorScope scope) {
        if (before instanceof Linear.LowRank two && after instanceof LinearForm.LowRank form) {
            return applyToFactors(two, form, seen, config, scope);
        }
        if (before instanceof Linear.Shared shared && after instanceof LinearForm.Shared form) {
            Fitted of = apply(shared.of(), form.of(), seen, config, scope);
            return new Fitted(new Linear.Shared(of.linear(), shared.bias(), form), of.trouble());
        }
        return switch (technique) {
            case LinearTechnique<C> free ->
                    new Fitted(free.apply(before, after, config, scope), null);
            case CalibratedLinearTechnique<C> calibrated ->
                    calibrated.apply(before, after, seen.get(), config, scope);
            case BlockTechnique<C> _ -> new Fitted(before, null);
        };
    }

    private Fitted applyToFactors(
            Linear.LowRank two,
            LinearForm.LowRank form,
            Supplier<InputStatistics> seen,
            C config,
            TensorScope scope) {
        Fitted right = apply(two.right(), form.right(), seen, config, scope);
        Supplier<InputStatistics> between =
                () -> {
                    InputStatistics input = seen.get();
                    Value factor = DenseWeights.of(right.linear(), scope);
                    Value hessian = scope.call("hessian_behind", factor, input.hessian());
                    return new InputStatistics(hessian, input.tokens(), scope);
                };
        Fitted left = apply(two.left(), form.left(), between, config, scope);
        Linear base = two.base();
        if (base != null && form.base() != null) {
            base = apply(base, form.base(), seen, config, scope).linear();
        }
        String trouble = left.trouble() == null ? right.trouble() : left.trouble();
        return new Fitted(
                new Linear.LowRank(base, right.linear(), left.linear(), two.bias(), form), trouble);
    }

    DType otherTensors(DType before) {
        return technique.otherTensors(before, settings.common());
    }

    /// Its configuration as a user would write it.
    ObjectNode toJson() {
        ObjectNode node = RecordBinder.toJson(settings.common());
        if (!settings.overrides().isEmpty()) {
            ObjectNode overrides = node.putObject("overrides");
            settings.overrides()
                    .forEach(other -> overrides.set(other.pattern(), changes(node, other)));
        }
        return node;
    }

    private static ObjectNode changes(ObjectNode common, Settings.Override<?> override) {
        ObjectNode changes = RecordBinder.toJson(override.config());
        common.properties()
                .forEach(same -> {
                    if (same.getValue().equals(changes.get(same.getKey()))) {
                        changes.remove(same.getKey());
                    }
                });
        return changes;
    }
}
