package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.evaluate.Evaluation;
import dev.lithe.evaluate.ProgressListener;
import dev.lithe.evaluate.Scores;
import dev.lithe.evaluate.Scoring;
import dev.lithe.evaluate.Subject;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Whole compressions with calibrated stages, from folder to folder.
class CalibratedCompressionTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;

    @TempDir private Path folder;

    private static Recipe recipe(String technique, int samples, long seed) {
        Recipe recipe =
                RecipeParser.inline(
                        List.of(
                                technique + ":bits=4,group_size=32,ignore=[lm_head]",
                                "rtn:bits=8,group_size=0,activations=dynamic,targets=[lm_head]"));
        var options = new CalibrationOptions(null, samples, null, seed);
        return new Recipe(recipe.name(), recipe.stages(), recipe.running(), options);
    }

    private static Path compress(Path model, Path text, Recipe recipe, Path output) {
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            ModelSpec spec = Plan.of(recipe, checkpoint).spec();
            CalibrationSet set =
                    recipe.calibrated()
                            ? CalibrationSet.draw(text, recipe.calibration(), model, spec)
                            : null;
            Plan plan = Plan.of(settled(recipe, checkpoint, spec, set), checkpoint);
            return new Compressor(plan, checkpoint, set, (_, _, _) -> {}).run(output, false);
        }
    }

    private static Recipe settled(
            Recipe recipe, Checkpoint checkpoint, ModelSpec spec, @Nullable CalibrationSet set) {
        return set == null
                ? recipe
                : new Allocator(checkpoint, spec, set, null, _ -> {}).settle(recipe);
    }

    @Test
    void gptqDivergesLessThanRoundingToNearestOnTheDemo() {
        Path text = DEMO.resolve("calibration.txt");
        List<Path> folders = new ArrayList<>();
        folders.add(DEMO);
        folders.add(compress(DEMO, text, recipe("rtn", 1, 0), folder.resolve("rtn")));
        for (int seed = 0; seed < 3; seed++) {
            folders.add(
                    compress(DEMO, text, recipe("gptq", 12, seed), folder.resolve("gptq" + seed)));
        }
        List<Scores> scores = scores(folders);
        double rounded = divergence(scores.get(1));
        double mean =
                scores.subList(2, 5).stream()
                        .mapToDouble(CalibratedCompressionTest::divergence)
                        .average()
                        .orElseThrow();
        assertThat(mean).as("KL of gptq, seeds 0 to 2, against rtn's").isLessThan(0.75 * rounded);
    }

    @Test
    void allocatedBitsDivergeLessThanUniformOnesAtNoMoreBytes() throws IOException {
        Path text = DEMO.resolve("calibration.txt");
        var options = new CalibrationOptions(null, 12, null, 0);
        Recipe uniform = RecipeParser.inline(List.of("gptq:bits=3,group_size=64,targets=[re:.*]"));
        Recipe allocated =
                RecipeParser.inline(
                        List.of(
                                "bit_allocation:average_bits=3.25,bits=[2;3;4;6],group_sizes=[64;128],samples=2",
                                "gptq:targets=[re:.*]"));
        List<Path> folders = new ArrayList<>(List.of(DEMO));
        for (Recipe recipe : List.of(uniform, allocated)) {
            folders.add(
                    compress(
                            DEMO,
                            text,
                            new Recipe(recipe.name(), recipe.stages(), recipe.running(), options),
                            folder.resolve("made" + folders.size())));
        }
        assertThat(Files.size(folders.get(2).resolve("model.safetensors")))
                .as("bytes, with a little for a longer header")
                .isLessThan(Files.size(folders.get(1).resolve("model.safetensors")) + 2048);
        List<Scores> scores = scores(folders);
        assertThat(divergence(scores.get(2)))
                .as("KL of allocated bits against uniform ones'")
                .isLessThan(0.8 * divergence(scores.get(1)));
    }

    @Test
    void autoroundDivergesLessThanGptqAtTwoBits() {
        Path text = DEMO.resolve("calibration.txt");
        List<Path> folders = new ArrayList<>();
        folders.add(DEMO);
        for (String stage : List.of("gptq:bits=2", "autoround:bits=2,iterations=30")) {
            Recipe recipe = RecipeParser.inline(List.of(stage + ",ignore=[lm_head]"));
            var options = new CalibrationOptions(null, 24, null, 0);
            Recipe calibrated = new Recipe(recipe.name(), recipe.stages(), List.of(), options);
            Path output = folder.resolve(stage.substring(0, stage.indexOf(':')));
            folders.add(compress(DEMO, text, calibrated, output));
        }
        List<Scores> scores = scores(folders);
        assertThat(divergence(scores.get(2)))
                .as("KL of autoround against gptq's")
                .isLessThan(0.85 * divergence(scores.get(1)));
    }

    private static List<Scores> scores(List<Path> folders) {
        List<Decoder> decoders = folders.stream().map(Decoder::open).toList();
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            int[] ids = TextFile.read(DEMO.resolve("evaluation.txt")).tokenize(tokenizer);
            var windows = TokenWindows.of(ids, CONTEXT, 4096, Scoring.ALL, null);
            List<Subject> subjects =
                    decoders.stream()
                            .map(each -> new Subject(each.folder().toString(), each))
                            .toList();
            return Evaluation.run(subjects, windows, ProgressListener.NONE);
        } finally {
            decoders.forEach(Decoder::close);
        }
    }

    private static double divergence(Scores scores) {
        Scores.@Nullable Divergence divergence = scores.divergence();
        return divergence == null ? Double.NaN : Arrays.stream(divergence.kl()).sum();
    }

    private Path text() throws IOException {
        return Files.copy(DEMO.resolve("calibration.txt"), folder.resolve("calibration.txt"));
    }

    private static Recipe tiny(CalibrationOptions options) {
        Recipe recipe =
                RecipeParser.inline(List.of("cast", "gptq:bits=3,group_size=16,ignore=[lm_head]"));
        return new Recipe(recipe.name(), recipe.stages(), recipe.running(), options);
    }

    @Test
    void theSameSeedGivesTheSameBytesAndTheFolderTellsWhatItSaw() throws IOException {
        Path model = TinyModel.small().biases().write(folder.resolve("model"));
        Path text = text();
        Recipe recipe = tiny(new CalibrationOptions(null, 6, 20, 1));
        Path one = compress(model, text, recipe, folder.resolve("one"));
        Path two = compress(model, text, recipe, folder.resolve("two"));
        for (String file : List.of("model.safetensors", "config.json", "lithe.json")) {
            assertThat(one.resolve(file)).hasSameBinaryContentAs(two.resolve(file));
        }
        Path other =
                compress(
                        model,
                        text,
                        tiny(new CalibrationOptions(null, 6, 20, 2)),
                        folder.resolve("other"));
        assertThat(
                        Files.mismatch(
                                one.resolve("model.safetensors"),
                                other.resolve("model.safetensors")))
                .isNotNegative();
        try (Checkpoint checkpoint = Checkpoint.open(one);
                Decoder decoder = Decoder.open(one)) {
            JsonNode lithe = checkpoint.json("lithe.json");
            assertThat(lithe).isNotNull();
            assertThat(lithe.at("/calibration/text").asText()).isEqualTo("calibration.txt");
            assertThat(lithe.at("/calibration/samples").asInt()).isEqualTo(6);
            assertThat(lithe.at("/calibration/context").asInt()).isEqualTo(20);
            assertThat(lithe.has("trouble")).isFalse();
            assertThat(lithe.at("/linears/model.layers.1.mlp.down_proj").asText())
                    .isEqualTo("int3 group 16");
            assertThat(decoder.spec().layers()).isEqualTo(2);
        }
    }

    @Test
    void brokenWeightsNameTheirTensorAndLeaveNoFolder() throws IOException {
        TinyModel model = TinyModel.small();
        Map<String, RawTensor> tensors = model.tensors();
        float[] broken = new float[32 * 48];
        broken[7] = Float.NaN;
        tensors.put("model.layers.1.mlp.down_proj.weight", RawTensor.of(DType.F32, broken, 32, 48));
        Path source = model.write(folder.resolve("model"), model.config(), tensors);
        Path text = text();
        Path output = folder.resolve("output");
        assertThatThrownBy(() ->
                        compress(
                                source, text, tiny(new CalibrationOptions(null, 6, 20, 1)), output))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("model.layers.1.mlp.down_proj.weight");
        assertThat(output).doesNotExist();
    }

    @Test
    void deadInputsAreCountedAndTold() throws IOException {
        TinyModel model = TinyModel.small();
        Map<String, RawTensor> tensors = model.tensors();
        float[] scale = new float[32];
        Arrays.fill(scale, 3, 32, 1); // three channels that no token uses
        tensors.put("model.layers.1.input_layernorm.weight", RawTensor.of(DType.F32, scale, 32));
        Path source = model.write(folder.resolve("model"), model.config(), tensors);
        Path output = folder.resolve("output");
        compress(source, text(), tiny(new CalibrationOptions(null, 6, 20, 1)), output);
        try (Checkpoint checkpoint = Checkpoint.open(output)) {
            JsonNode lithe = checkpoint.json("lithe.json");
            assertThat(lithe).isNotNull();
            assertThat(lithe.path("trouble").toString())
                    .contains("model.layers.1.self_attn.q_proj", "3 of 32 inputs are always 0")
                    .doesNotContain("layers.0.", "o_proj", "mlp");
        }
    }

    @Test
    void theRecipeSaysWhatToCalibrateWith() throws IOException {
        Path file = folder.resolve("mine.yaml");
        Files.writeString(
                file,
                """
                stages:
                  - gptq: {bits: 4}
                calibration: {text: texts/a.txt, samples: 12, context: 64, seed: 5}
                """);
        Recipe recipe = RecipeParser.named(file.toString());
        assertThat(recipe.calibrated()).isTrue();
        assertThat(recipe.calibration())
                .isEqualTo(
                        new CalibrationOptions(
                                folder.resolve("texts/a.txt").toString(), 12, 64, 5));
        assertThat(RecipeParser.named("gptq4").calibrated()).isTrue();
        assertThat(RecipeParser.named("int4").calibrated()).isFalse();

        refused("calibration: {sample: 3}", "did you mean 'samples'");
        refused("calibration: {samples: many}", "whole number");
        refused("calibration: {samples: 0}", "choose 1 to");
        refused("calibration: [a]", "is not {key: value");
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            Recipe far =
                    new Recipe(
                            "far",
                            recipe.stages(),
                            recipe.running(),
                            new CalibrationOptions(null, 1, 100_000, 0));
            assertThatThrownBy(() -> Plan.of(far, checkpoint)).hasMessageContaining("at most 512");
            Plan plan = Plan.of(recipe, checkpoint);
            assertThatThrownBy(() ->
                            new Compressor(plan, checkpoint, (_, _, _) -> {})
                                    .run(folder.resolve("none"), false))
                    .hasMessageContaining("give a calibration text");
        }
    }

    private void refused(String section, String reason) throws IOException {
        Path file = Files.writeString(folder.resolve("bad.yaml"), "stages: [gptq: {}]\n" + section);
        assertThatThrownBy(() -> RecipeParser.named(file.toString()))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }
}
