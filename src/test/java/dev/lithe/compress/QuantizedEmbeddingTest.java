package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.Architecture;
import dev.lithe.model.Decoder;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A quantized embedding, tied and not, against a model whose embedding holds the same numbers as
/// floats.
class QuantizedEmbeddingTest {
    private static final long SEED = 31;
    private static final int LENGTH = 17;

    @TempDir private Path folder;

    @ParameterizedTest
    @CsvSource({
        "'rtn:bits=4,group_size=16,targets=[embed_tokens]', false",
        "'rtn:bits=4,group_size=32,targets=[embed_tokens]', true",
        "'rtn:bits=3,group_size=8,symmetric=false,targets=[embed_tokens]', true",
        "'rtn:bits=2,group_size=0,symmetric=false,targets=[embed_tokens]', false",
        "'rtn:bits=8,group_size=0,targets=[embed_tokens]', true",
        "'rtn:bits=8,group_size=0,activations=dynamic,targets=[embed_tokens]', false",
        "'hqq:bits=4,group_size=16,targets=[embed_tokens]', true",
        "'nf4:group_size=16,double_quant=true,targets=[embed_tokens]', true",
        "'fp8:granularity=tensor,activations=none,targets=[embed_tokens]', true",
        "'fp8:targets=[embed_tokens]', false",
        "'gptq:bits=5,group_size=16,targets=[embed_tokens]', false",
    })
    void runsAsTheFloatsItStandsFor(String stage, boolean tied) throws IOException {
        TinyModel model = tied ? TinyModel.small().tied() : TinyModel.small();
        Path source = model.write(folder.resolve("source"));
        Path made = compress(source, stage);
        Map<String, RawTensor> tensors = model.tensors();
        tensors.put("model.embed_tokens" + ".weight", stored(made));
        Path floats = model.write(folder.resolve("floats"), model.config(), tensors);
        float[] expected = logits(floats);
        float[] actual = logits(made);
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i])
                    .as("%s, seed %d", stage, SEED)
                    .isCloseTo(expected[i], within(2e-2f));
        }
    }

    /// The key by which transformers turns every weight back into floats as it loads them: its
    /// embedding runs no other way.
    @Test
    void asksOtherReadersForFloats() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        Path made = compress(source, "rtn:bits=4,group_size=16,targets=[embed_tokens]");
        try (var checkpoint = Checkpoint.open(made)) {
            assertThat(
                            checkpoint
                                    .config()
                                    .path("quantization_config")
                                    .path("dequantize")
                                    .asBoolean())
                    .isTrue();
        }
    }

    @Test
    void isLeftAloneUnlessItIsNamed() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        Path made = compress(source, "rtn:bits=4,group_size=16");
        try (var checkpoint = Checkpoint.open(made)) {
            assertThat(checkpoint.has("model.embed_tokens" + ".weight")).isTrue();
        }
    }

    private Path compress(Path source, String stage) {
        try (var checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            long[][] windows = {
                new Random(SEED).longs(LENGTH, 0, plan.spec().vocabSize()).toArray()
            };
            var set = new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
            return new Compressor(plan, checkpoint, set, (_, _, _) -> {})
                    .run(folder.resolve("made"), false);
        }
    }

    private static RawTensor stored(Path made) {
        try (var checkpoint = Checkpoint.open(made);
                var scope = TensorScope.open()) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            LinearName name = Architecture.parts(spec).getFirst().linears().getFirst();
            double[] weights = StoredWeights.of(new LinearReader(checkpoint).read(name, scope));
            float[] floats = new float[weights.length];
            for (int i = 0; i < floats.length; i++) {
                floats[i] = (float) weights[i];
            }
            return RawTensor.of(DType.F32, floats, name.outFeatures(), name.inFeatures());
        }
    }

    private static float[] logits(Path model) {
        try (Decoder decoder = Decoder.open(model);
                var scope = TensorScope.open()) {
            long[] ids = new Random(SEED).longs(LENGTH, 0, decoder.spec().vocabSize()).toArray();
            return decoder.forward(
                            scope.tensor(ids, 1, LENGTH),
                            0,
                            decoder.newCache(1, LENGTH, scope),
                            true,
                            scope)
                    .floats();
        }
    }
}
