package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Compression that goes on where another run broke off, or starts anew where it must.
class ResumeTest {
    private static final int LAYERS = 3;
    private static final int PARTS = LAYERS + 2;
    private static final String GPTQ = "gptq:bits=3,group_size=16";

    @TempDir private Path folder;

    /// What a run says of an earlier one.
    private final List<String> heard = new ArrayList<>();

    @BeforeEach
    void write() throws IOException {
        TinyModel.small().layers(LAYERS).biases().write(folder.resolve("model"));
        text("one two three four ");
    }

    private void text(String words) throws IOException {
        Files.writeString(folder.resolve("text.txt"), words.repeat(60));
    }

    private static Recipe recipe(String... stages) {
        Recipe recipe = RecipeParser.inline(List.of(stages));
        return new Recipe(
                recipe.name(), recipe.stages(), List.of(), new CalibrationOptions(null, 6, 20, 1));
    }

    /// Compresses, and fails once `parts` parts are finished.
    private void compress(Recipe recipe, String name, int parts) {
        Path model = folder.resolve("model");
        heard.clear();
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            Plan plan = Plan.of(recipe, checkpoint);
            List<String> last =
                    Architecture.parts(plan.spec()).stream()
                            .map(part -> part.linears().getLast().module())
                            .toList();
            CalibrationSet set =
                    CalibrationSet.draw(
                            folder.resolve("text.txt"), recipe.calibration(), model, plan.spec());
            var listener =
                    new Compressor.Listener() {
                        @Override
                        public void progress(long done, long total, String module) {
                            if (last.indexOf(module) + 1 == parts) {
                                throw LitheException.of(Fault.INTERNAL, "broken off");
                            }
                        }

                        @Override
                        public void resumed(int parts, int total, double seconds) {
                            heard.add(parts + " of " + total);
                        }

                        @Override
                        public void startedAnew(String different) {
                            heard.add(different);
                        }
                    };
            new Compressor(plan, checkpoint, set, listener).run(folder.resolve(name), false);
        }
    }

    private void breakOff(Recipe recipe, String name, int parts) {
        assertThatThrownBy(() -> compress(recipe, name, parts)).hasMessage("broken off");
        assertThat(folder.resolve(name)).doesNotExist();
    }

    private void finish(Recipe recipe, String name) {
        compress(recipe, name, -1);
        assertThat(folder.resolve(name + ".partial")).doesNotExist();
    }

    private void same(String one, String other) throws IOException {
        for (String file : List.of("model.safetensors", "config.json", "lithe.json")) {
            assertThat(folder.resolve(one).resolve(file))
                    .as(one)
                    .hasSameBinaryContentAs(folder.resolve(other).resolve(file));
        }
    }

    @Test
    void behindAnyPartItMakesWhatAnUndisturbedRunMakes() throws IOException {
        var exact = new Stage<>(new Turn(), Settings.of(Whole.ALL), null);
        var targets = new Stage<>(new Pull(), Settings.of(Whole.ALL), null);
        List<Stage<?>> stages = new ArrayList<>(List.of(exact, targets));
        stages.addAll(recipe("cast", GPTQ).stages());
        Recipe blocks = new Recipe("blocks", stages, List.of(), recipe("cast").calibration());
        for (Recipe recipe : List.of(recipe(GPTQ), recipe("cast"), blocks)) {
            String whole = recipe.summary();
            finish(recipe, whole);
            for (int parts = 1; parts <= PARTS; parts++) {
                String name = whole + parts;
                breakOff(recipe, name, parts);
                finish(recipe, name);
                assertThat(heard).as(name).containsExactly(parts + " of " + PARTS);
                same(name, whole);
            }
            breakOff(recipe, whole + "twice", 2);
            breakOff(recipe, whole + "twice", 4);
            assertThat(heard).containsExactly("2 of " + PARTS);
            finish(recipe, whole + "twice");
            assertThat(heard).containsExactly("4 of " + PARTS);
            same(whole + "twice", whole);
        }
    }

    @Test
    void whatACrashTearsIsDoneAgain() throws IOException {
        finish(recipe(GPTQ), "whole");
        breakOff(recipe(GPTQ), "torn", 3);
        Path partial = folder.resolve("torn.partial");
        append(partial.resolve("tensors.spool"), "half a tensor");
        append(partial.resolve("journal.jsonl"), "{\"step\":\"block 2\",\"spool\":1");
        Files.writeString(partial.resolve("left"), "of no use");
        finish(recipe(GPTQ), "torn");
        assertThat(heard).containsExactly("3 of " + PARTS);
        same("torn", "whole");

        breakOff(recipe(GPTQ), "short", 3);
        Path spool = folder.resolve("short.partial/tensors.spool");
        byte[] bytes = Files.readAllBytes(spool);
        Files.write(spool, java.util.Arrays.copyOf(bytes, bytes.length - 1));
        finish(recipe(GPTQ), "short");
        assertThat(heard).containsExactly("2 of " + PARTS);
        same("short", "whole");

        breakOff(recipe(GPTQ), "garbled", 3);
        Files.writeString(folder.resolve("garbled.partial/journal.jsonl"), "no JSON\n");
        finish(recipe(GPTQ), "garbled");
        assertThat(heard).isEmpty();
        same("garbled", "whole");
    }

    private static void append(Path file, String text) throws IOException {
        Files.writeString(file, text, StandardOpenOption.APPEND);
    }

    @Test
    void anythingElseStartsAnewAndSaysWhatChanged() throws IOException {
        Recipe other = recipe("gptq:bits=3,group_size=16,damping=0.02");
        finish(other, "other-whole");
        breakOff(recipe(GPTQ), "other", 3);
        finish(other, "other");
        assertThat(heard).containsExactly("the recipe");
        same("other", "other-whole");

        breakOff(recipe(GPTQ), "text", 3);
        text("five six seven ");
        finish(recipe(GPTQ), "text");
        assertThat(heard).containsExactly("the calibration text or its windows");
        finish(recipe(GPTQ), "text-whole");
        same("text", "text-whole");

        breakOff(recipe(GPTQ), "model-made", 3);
        TinyModel.small().layers(LAYERS).biases().seed(2).write(folder.resolve("model"));
        breakOff(recipe(GPTQ), "model-made", 1);
        assertThat(heard).containsExactly("the model");
        Recipe windows =
                new Recipe(
                        "inline",
                        recipe(GPTQ).stages(),
                        List.of(),
                        new CalibrationOptions(null, 5, 20, 1));
        finish(windows, "model-made");
        assertThat(heard).containsExactly("the calibration text or its windows");
        finish(windows, "model-whole");
        same("model-made", "model-whole");
    }

    /// The configuration of both techniques below.
    private record Whole(List<String> targets, List<String> ignore) {
        static final Whole ALL = new Whole(List.of(), List.of());
    }

    /// What the techniques below have in common: they take all linears and change no form.
    private abstract static class Changing implements BlockTechnique<Whole> {
        @Override
        public Family family() {
            return Family.QUANTIZATION;
        }

        @Override
        public String summary() {
            return "";
        }

        @Override
        public Whole defaults() {
            return Whole.ALL;
        }

        @Override
        public Targets targets(Whole config) {
            return Targets.ALL;
        }

        @Override
        public LinearForm outcome(LinearName linear, LinearForm before, Whole config) {
            return before;
        }
    }

    /// Doubles the input norms and halves what reads them.
    private static final class Turn extends Changing {
        @Override
        public String name() {
            return "turn";
        }

        @Override
        public boolean calibrated(Whole config) {
            return false;
        }

        @Override
        public boolean exact(Whole config) {
            return true;
        }

        @Override
        public void apply(LoadedPart part, Settings<Whole> settings) {
            if (part.part().kind() != Kind.BLOCK) {
                return;
            }
            try (var step = TensorScope.open()) {
                part.setNorm(Slot.QKV, times(part.norm(Slot.QKV), 2, step));
                for (LinearName name : part.part().linears(Slot.QKV)) {
                    part.set(name, changed(part.linear(name), 0.5f, step));
                }
            }
        }
    }

    /// Makes weights depend on the targets and on the inputs.
    private static final class Pull extends Changing {
        @Override
        public String name() {
            return "pull";
        }

        @Override
        public boolean needsTargets(Whole config) {
            return true;
        }

        @Override
        public void apply(LoadedPart part, Settings<Whole> settings) {
            if (part.part().kind() != Kind.BLOCK) {
                return;
            }
            float factor =
                    1
                            + 0.01f * part.targets().getFirst().floats()[3]
                            + 0.01f * part.inputs().getLast().floats()[5];
            LinearName up = part.part().linears(Slot.GATE_UP).getLast();
            try (var step = TensorScope.open()) {
                part.set(up, changed(part.linear(up), factor, step));
            }
        }
    }

    private static Linear changed(Linear linear, float factor, TensorScope scope) {
        var dense = (Linear.Dense) linear;
        return new Linear.Dense(times(dense.weight(), factor, scope), dense.bias(), dense.form());
    }

    private static Value times(Value x, float factor, TensorScope scope) {
        float[] numbers = x.floats();
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] *= factor;
        }
        return scope.tensor(numbers, x.shape());
    }
}
