package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.RawSafetensors;
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
import dev.lithe.model.Decoder;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What techniques of block scope are good for, measured on the demo from what they write.
class BlockTechniqueQualityTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;
    private static final int CALIBRATION_CONTEXT = 128;
    private static final int TOKENS = 2048;
    private static final String HEAD =
            "rtn:bits=8,group_size=0,activations=dynamic,targets=[lm_head]";

    @TempDir private Path temporary;

    private int folders;

    @Test
    void awqDivergesLessThanRoundingToNearest() {
        List<Path> made = new ArrayList<>();
        for (int bits : new int[] {3, 4}) {
            for (String technique : List.of("rtn", "awq")) {
                String stage = technique + ":group_size=32,ignore=[lm_head],bits=" + bits;
                made.add(compress(DEMO, stage, HEAD));
            }
        }
        double[] kl = divergences(DEMO, made);
        assertThat(kl[1]).as("3 bits").isLessThan(0.93 * kl[0]);
        assertThat(kl[3]).as("4 bits").isLessThan(0.95 * kl[2]);
    }

    /// q is quantized before awq comes: what q reads cannot be scaled any more, other channels can.
    @Test
    void channelsOfAQuantizedLinearStayAsTheyAre() throws IOException {
        Path model = TinyModel.small().heads(4, 4, 8).write(temporary.resolve("tiny"));
        Path made = compress(model, "rtn:targets=[q_proj]", "awq:group_size=16,ignore=[q_proj]");
        String norm = "model.layers.0.input_layernorm.weight";
        String other = "model.layers.0.post_attention_layernorm.weight";
        try (Checkpoint before = Checkpoint.open(model);
                Checkpoint after = Checkpoint.open(made);
                var scope = TensorScope.open()) {
            assertThat(after.load(norm, scope).floats())
                    .isEqualTo(before.load(norm, scope).floats());
            assertThat(after.load(other, scope).floats())
                    .isNotEqualTo(before.load(other, scope).floats());
        }
    }

    /// Rounding to float16 is all that it costs.
    @Test
    void rotationChangesNothing() {
        double[] kl = divergences(DEMO, List.of(compress(DEMO, "rotate")));
        assertThat(kl[0]).isLessThan(1e-6);
    }

    @Test
    void smoothquantIsNoWorseThanPlainW8A8AndFarBetterWhereActivationsHaveOutliers()
            throws IOException {
        String plain = "rtn:bits=8,group_size=0,activations=dynamic";
        double[] kl =
                divergences(DEMO, List.of(compress(DEMO, plain), compress(DEMO, "smoothquant")));
        assertThat(kl[1]).as("the demo has no outliers").isLessThan(1.03 * kl[0]);

        Path outliers = withOutliers();
        double[] harder =
                divergences(
                        outliers,
                        List.of(compress(outliers, plain), compress(outliers, "smoothquant")));
        assertThat(harder[0]).as("plain").isGreaterThan(3 * kl[0]);
        assertThat(harder[1]).as("smoothquant").isLessThan(0.4 * harder[0]).isLessThan(2 * kl[0]);
    }

    /// The demo with four channels behind every norm 64 times as large, and what reads them a 64th:
    /// the same model, whose activations are hard to quantize.
    private Path withOutliers() throws IOException {
        Path folder = Files.createDirectories(temporary.resolve("outliers"));
        for (String file : List.of("config.json", "tokenizer.json")) {
            Files.copy(DEMO.resolve(file), folder.resolve(file));
        }
        RawSafetensors stored = RawSafetensors.read(DEMO.resolve("model.safetensors"));
        Map<String, RawTensor> tensors = new LinkedHashMap<>();
        for (var field : stored.json().properties()) {
            if (field.getKey().equals("__metadata__")) {
                continue;
            }
            List<Long> shape = new ArrayList<>();
            field.getValue().path("shape").forEach(size -> shape.add(size.asLong()));
            int from = field.getValue().at("/data_offsets/0").asInt();
            int to = field.getValue().at("/data_offsets/1").asInt();
            byte[] bytes = Arrays.copyOfRange(stored.data(), from, to);
            var tensor = new RawTensor(field.getValue().path("dtype").asText(), shape, bytes);
            tensors.put(field.getKey(), enlarged(field.getKey(), tensor));
        }
        RawSafetensors.of(tensors).write(folder.resolve("model.safetensors"));
        return folder;
    }

    private static RawTensor enlarged(String name, RawTensor tensor) {
        boolean norm = name.endsWith("layernorm.weight");
        if (!norm && !name.matches(".*(q|k|v|gate|up)_proj.weight")) {
            return tensor;
        }
        float[] values = tensor.floats();
        int width = Math.toIntExact(tensor.shape().getLast());
        for (int i = 0; i < values.length; i++) {
            if (i % width % 64 == 5) {
                values[i] *= norm ? 64 : 1 / 64f;
            }
        }
        return RawTensor.of(
                DType.F32, values, tensor.shape().stream().mapToLong(size -> size).toArray());
    }

    private Path compress(Path model, String... stages) {
        Recipe inline = RecipeParser.inline(List.of(stages));
        var options = new CalibrationOptions(null, 12, CALIBRATION_CONTEXT, 0);
        Recipe recipe = new Recipe(inline.name(), inline.stages(), inline.running(), options);
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            Plan plan = Plan.of(recipe, checkpoint);
            CalibrationSet set =
                    recipe.calibrated()
                            ? CalibrationSet.draw(
                                    DEMO.resolve("calibration.txt"), options, model, plan.spec())
                            : null;
            Path output = temporary.resolve("made" + folders++);
            return new Compressor(plan, checkpoint, set, (_, _, _) -> {}).run(output, false);
        }
    }

    /// The mean KL divergence per token of each folder from `original`.
    private static double[] divergences(Path original, List<Path> made) {
        List<Path> all = new ArrayList<>(List.of(original));
        all.addAll(made);
        List<Decoder> decoders = all.stream().map(Decoder::open).toList();
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            int[] ids = TextFile.read(DEMO.resolve("evaluation.txt")).tokenize(tokenizer);
            var windows = TokenWindows.of(ids, CONTEXT, TOKENS, Scoring.ALL, null);
            List<Subject> subjects =
                    decoders.stream()
                            .map(each -> new Subject(each.folder().toString(), each))
                            .toList();
            List<Scores> scores = Evaluation.run(subjects, windows, ProgressListener.NONE);
            return scores.stream().skip(1).mapToDouble(BlockTechniqueQualityTest::mean).toArray();
        } finally {
            decoders.forEach(Decoder::close);
        }
    }

    private static double mean(Scores scores) {
        Scores.Divergence divergence = scores.divergence();
        return divergence == null
                ? Double.NaN
                : Arrays.stream(divergence.kl()).average().orElseThrow() / scores.scoredPerWindow();
    }
}
