package dev.lithe.compress;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.TensorEntry;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    /// Checks `recipe` against `checkpoint`.
    ///
    /// @throws LitheException listing every problem, where there is one
    public static Plan of(Recipe recipe, Checkpoint checkpoint) {
        ModelSpec spec = ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json");
        var reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
        var problems = new Problems();
        List<LinearName> names = new ArrayList<>();
        Architecture.parts(spec).forEach(part -> names.addAll(part.linears()));
        checkModel(recipe, spec, problems);
        checkTargets(recipe, names, problems);
        checkCalibration(recipe, spec, problems);
        List<PlannedLinear> linears = new ArrayList<>();
        for (LinearName name : names) {
            linears.add(new PlannedLinear(name, forms(recipe, name, reader.form(name), problems)));
        }
        checkRunning(recipe, checkpoint, problems);
        if (!Files.exists(checkpoint.folder().resolve("tokenizer.json"))) {
            problems.add("the model has no tokenizer.json, without which nothing can run it");
        }
        problems.throwIfAny(recipe.name());
        return new Plan(recipe, spec, linears, otherTypes(recipe, spec, checkpoint));
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

    private static void checkTargets(Recipe recipe, List<LinearName> names, Problems problems) {
        List<String> modules = new ArrayList<>(names.stream().map(LinearName::module).toList());
        modules.add(Architecture.LM_HEAD); // may be named even where it is tied to the embedding
        for (Stage<?> stage : recipe.stages()) {
            try {
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

    private static void checkRunning(Recipe recipe, Checkpoint checkpoint, Problems problems) {
        try {
            ModelSpec _ = running(recipe, checkpoint);
        } catch (LitheException e) {
            problems.add(e.getMessage());
        }
    }

    private static ModelSpec running(Recipe recipe, Checkpoint checkpoint) {
        return ModelSpec.of(
                recipe.configured(checkpoint.config()), checkpoint.folder() + "/config.json");
    }

    /// The model as it will run, told by the stages that change only that.
    public ModelSpec running(Checkpoint checkpoint) {
        return running(recipe, checkpoint);
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

    private static Map<String, DType> otherTypes(
            Recipe recipe, ModelSpec spec, Checkpoint checkpoint) {
        Map<String, DType> types = new LinkedHashMap<>();
        List<String> names = new ArrayList<>(Architecture.norms(spec));
        Architecture.linears(spec).stream()
                .filter(LinearName::hasBias)
                .forEach(linear -> names.add(linear.module() + ".bias"));
        for (String name : names) {
            DType type = checkpoint.entry(name).dtype();
            for (Stage<?> stage : recipe.stages()) {
                type = stage.otherTensors(type);
            }
            types.put(name, type);
        }
        return types;
    }

    /// Bytes of all tensors that will be written.
    public long bytes(Checkpoint checkpoint) {
        long bytes = 0;
        for (PlannedLinear linear : linears) {
            bytes += linear.last().bytes(linear.name().outFeatures(), linear.name().inFeatures());
        }
        for (Map.Entry<String, DType> other : otherTypes.entrySet()) {
            TensorEntry entry = checkpoint.entry(other.getKey());
            bytes += entry.elements() * other.getValue().bytes();
        }
        return bytes;
    }

    /// What will become of `name`, which is one of the model's linears.
    PlannedLinear linear(LinearName name) {
        return linears.stream()
                .filter(linear -> linear.name().equals(name))
                .findFirst()
                .orElseThrow();
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
