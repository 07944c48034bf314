package dev.lithe.compress;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.DType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/// What a recipe will do to a model, linear by linear, known before any work: forms, bytes, and
/// every problem at once.
///
/// @param linears in the order in which they are written, the embedding first
/// @param otherTypes the stored type of norms and biases afterwards, by tensor name
public record Plan(
        Recipe recipe, ModelSpec spec, List<PlannedLinear> linears, Map<String, DType> otherTypes) {
    private static final int NAMES_SHOWN = 3;

    /// One linear and the form it has before the first stage and after each.
    public record PlannedLinear(LinearName name, List<LinearForm> forms) {
        public PlannedLinear {
            forms = List.copyOf(forms);
        }

        /// The form that is written.
        public LinearForm last() {
            return forms.getLast();
        }

        /// Whether no stage gives it another form: then it goes to the disk from its mapped file.
        boolean unchanged() {
            return forms.stream().allMatch(forms.getFirst()::equals);
        }
    }

    public Plan {
        linears = List.copyOf(linears);
        otherTypes = Map.copyOf(otherTypes);
    }

    /// Checks `recipe`, whose steps all go linear by linear, against `checkpoint`.
    ///
    /// @throws LitheException listing every problem, where there is one
    public static Plan of(Recipe recipe, Checkpoint checkpoint) {
        return of(recipe, Shapes.of(checkpoint));
    }

    static Plan of(Recipe recipe, Shapes before) {
        ModelSpec spec = before.spec();
        var problems = new Problems();
        checkModel(recipe, spec, problems);
        checkTargets(recipe, before, problems);
        checkCalibration(recipe, spec, problems);
        List<PlannedLinear> linears = new ArrayList<>();
        before.forms()
                .forEach((name, form) ->
                        linears.add(new PlannedLinear(name, forms(recipe, name, form, problems))));
        checkRunning(recipe, before, problems);
        problems.throwIfAny(recipe.name());
        return new Plan(recipe, spec, linears, otherTypes(recipe, before));
    }

    private static void checkModel(Recipe recipe, ModelSpec spec, Problems problems) {
        for (Stage<?> stage : recipe.stages()) {
            try {
                stage.checkModel(spec);
            } catch (LitheException e) {
                problems.add(stage.name() + ": " + e.getMessage());
            }
        }
    }

    private static void checkTargets(Recipe recipe, Shapes before, Problems problems) {
        List<LinearName> names = before.nameable();
        List<String> modules = new ArrayList<>(names.stream().map(LinearName::module).toList());
        modules.add(Architecture.LM_HEAD); // may be named even where it is tied to the embedding
        for (Stage<?> stage : recipe.stages()) {
            try {
                Targets targets = stage.targets();
                if (names.stream().noneMatch(targets::include)
                        && !targets.include(Architecture.LM_HEAD)) {
                    problems.add(
                            stage.name() + ": ignores all that it targets; leave the stage out");
                }
                for (String pattern : stage.unmatched(modules)) {
                    problems.add(
                            stage.name()
                                    + ": pattern '"
                                    + pattern
                                    + "' names no linear of this model");
                }
            } catch (LitheException e) { // a pattern that is no regular expression
                problems.add(stage.name() + ": " + e.getMessage());
            }
        }
    }

    private static void checkCalibration(Recipe recipe, ModelSpec spec, Problems problems) {
        try {
            int _ = recipe.calibration().contextFor(spec.maxPositions());
        } catch (LitheException e) {
            problems.add(e.getMessage());
        }
    }

    private static void checkRunning(Recipe recipe, Shapes before, Problems problems) {
        try {
            ModelSpec _ = ModelSpec.of(recipe.configured(before.config()), before.where());
        } catch (LitheException e) {
            problems.add(e.getMessage());
        }
    }

    private static List<LinearForm> forms(
            Recipe recipe, LinearName name, LinearForm stored, Problems problems) {
        List<LinearForm> forms = new ArrayList<>(List.of(stored));
        for (Stage<?> stage : recipe.stages()) {
            try {
                forms.add(stage.outcome(name, forms.getLast()));
            } catch (LitheException e) {
                problems.add(stage.name() + ": " + e.getMessage(), name.module());
                forms.add(forms.getLast());
            }
        }
        return forms;
    }

    private static Map<String, DType> otherTypes(Recipe recipe, Shapes before) {
        Map<String, DType> types = new LinkedHashMap<>();
        before.otherTypes()
                .forEach((name, stored) -> {
                    DType type = stored;
                    for (Stage<?> stage : recipe.stages()) {
                        type = stage.otherTensors(type);
                    }
                    types.put(name, type);
                });
        return types;
    }

    /// Bytes of all tensors that will be written.
    public long bytes() {
        Map<LinearName, LinearForm> forms = new HashMap<>();
        linears.forEach(linear -> forms.put(linear.name(), linear.last()));
        return Shapes.bytes(spec, forms, otherTypes);
    }

    /// What will become of `name`, which is one of the model's linears.
    PlannedLinear linear(LinearName name) {
        return linears.stream()
                .filter(linear -> linear.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    /// Whether the embedding is quantized, and not everything in its form: transformers opens a
    /// quantized embedding only where one form holds for all that is quantized.
    public boolean mixesEmbedding() {
        List<Scheme> schemes =
                linears.stream()
                        .map(linear -> linear.last().scheme())
                        .filter(Objects::nonNull)
                        .distinct()
                        .toList();
        return schemes.size() > 1
                && linears.stream()
                        .anyMatch(linear ->
                                linear.name().slot() == Slot.EMBEDDING
                                        && linear.last().scheme() != null);
    }

    /// Weights of all linears.
    public long weights() {
        return linears.stream().mapToLong(linear -> linear.name().weights()).sum();
    }

    /// Inputs of the widest linear whose inputs windows show. As many tokens are needed at least to
    /// tell all their directions apart.
    public int widestInput() {
        return linears.stream()
                .map(PlannedLinear::name)
                .filter(name -> name.slot() != Slot.EMBEDDING)
                .mapToInt(LinearName::inFeatures)
                .max()
                .orElse(0);
    }

    private static boolean worthNaming(PlannedLinear linear) {
        return linear.name().slot() != Slot.EMBEDDING
                || !(linear.last() instanceof LinearForm.Dense);
    }

    /// How many linears end in each form, by its label; an embedding that stays dense is not
    /// counted.
    public Map<String, Integer> formCounts() {
        Map<String, Integer> counts = new TreeMap<>();
        linears.stream()
                .filter(Plan::worthNaming)
                .forEach(linear -> counts.merge(linear.last().label(), 1, Integer::sum));
        return counts;
    }

    /// Collects problems, the same reason for many linears once.
    private static final class Problems {
        private final Map<String, List<String>> modulesByReason = new LinkedHashMap<>();

        void add(String reason) {
            modulesByReason.putIfAbsent(reason, new ArrayList<>());
        }

        void add(String reason, String module) {
            modulesByReason.computeIfAbsent(reason, _ -> new ArrayList<>()).add(module);
        }

        void throwIfAny(String recipe) {
            if (modulesByReason.isEmpty()) {
                return;
            }
            List<String> lines = new ArrayList<>();
            modulesByReason.forEach((reason, modules) -> lines.add(reason + where(modules)));
            throw LitheException.badInput("recipe '%s': %s", recipe, String.join("; ", lines));
        }

        private static String where(List<String> modules) {
            if (modules.isEmpty()) {
                return "";
            }
            String shown =
                    String.join(", ", modules.subList(0, Math.min(NAMES_SHOWN, modules.size())));
            return " ("
                    + modules.size()
                    + (modules.size() == 1 ? " linear: " : " linears: ")
                    + shown
                    + (modules.size() > NAMES_SHOWN ? ", ..." : "")
                    + ")";
        }
    }
}
