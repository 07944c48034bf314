package dev.lithe.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Decoder;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// The pass against the decoder: what changes nothing must end where the decoder ends.
class SequentialPassTest {
    private static final long SEED = 90;
    private static final int VOCAB = 300;
    private static final int SAMPLES = 3;
    private static final int CONTEXT = 19;

    @TempDir private Path folder;

    static Stream<Arguments> models() {
        return Stream.of(
                argumentSet("grouped queries", TinyModel.small()),
                argumentSet("biases, float16", TinyModel.small().biases().dtype(DType.F16)),
                argumentSet(
                        "odd sizes", TinyModel.small().width(60, 172).heads(5, 5, 12).layers(3)),
                argumentSet("tied", TinyModel.small().tied().seed(5)));
    }

    private static CalibrationSet windows() {
        var random = new Random(SEED);
        long[][] windows = new long[SAMPLES][];
        for (int i = 0; i < SAMPLES; i++) {
            windows[i] = random.longs(CONTEXT, 0, VOCAB).toArray();
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
    }

    @ParameterizedTest
    @MethodSource("models")
    void withoutChangesItEndsWhereTheDecoderEnds(TinyModel model) throws IOException {
        model.write(folder);
        CalibrationSet set = windows();
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var pass = pass(set, checkpoint);
                Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            List<String> seen = new ArrayList<>();
            run(
                    pass,
                    checkpoint,
                    (name, _, stored, _) -> {
                        seen.add(name.module());
                        return stored;
                    });
            List<String> expectedNames = new ArrayList<>(List.of("model.embed_tokens"));
            Architecture.linears(spec(checkpoint))
                    .forEach(name -> expectedNames.add(name.module()));
            assertThat(seen).isEqualTo(expectedNames);
            float[] expected =
                    decoder.forward(
                                    scope.tensor(set.ids(0, SAMPLES), SAMPLES, CONTEXT),
                                    0,
                                    decoder.newCache(SAMPLES, CONTEXT, scope),
                                    true,
                                    scope)
                            .floats();
            assertThat(logits(pass, checkpoint, scope))
                    .as("seed %d", SEED)
                    .hasSameSizeAs(expected)
                    .satisfies(logits -> {
                        for (int i = 0; i < expected.length; i++) {
                            assertThat(logits[i]).isCloseTo(expected[i], within(1e-4f));
                        }
                    });
        }
    }

    /// The output layer in plain Java over the pass's last states.
    private static float[] logits(SequentialPass pass, Checkpoint checkpoint, TensorScope scope) {
        boolean tied = spec(checkpoint).tiedEmbeddings();
        String head = tied ? "model.embed_tokens" : Architecture.LM_HEAD;
        Value w = checkpoint.load(head + ".weight", scope);
        Value norm = scope.call("to_float", checkpoint.load("model.norm.weight", scope));
        float[] weight = w.floats();
        int d = w.size(1);
        List<Float> logits = new ArrayList<>();
        for (Value piece : pass.inputs()) {
            float[] x = scope.call("norm", piece, norm, spec(checkpoint).normEpsilon()).floats();
            for (int row = 0; row < x.length / d; row++) {
                for (int v = 0; v < weight.length / d; v++) {
                    double sum = 0;
                    for (int i = 0; i < d; i++) {
                        sum += (double) x[row * d + i] * weight[v * d + i];
                    }
                    logits.add((float) sum);
                }
            }
        }
        float[] flat = new float[logits.size()];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = logits.get(i);
        }
        return flat;
    }

    /// A linear whose weights are replaced changes what the slots after it see, and nothing before.
    @Test
    void laterSlotsSeeWhatEarlierOnesBecame() throws IOException {
        TinyModel.small().write(folder);
        Map<String, float[]> untouched = hessians("none");
        Map<String, float[]> changed = hessians("model.layers.0.self_attn.o_proj");
        List<String> order =
                Architecture.linears(spec(folder)).stream().map(LinearName::module).toList();
        int at = order.indexOf("model.layers.0.self_attn.o_proj");
        for (int i = 0; i < order.size(); i++) {
            float[] before = untouched.get(order.get(i));
            if (i <= at) {
                assertThat(changed.get(order.get(i))).as(order.get(i)).isEqualTo(before);
            } else {
                assertThat(changed.get(order.get(i))).as(order.get(i)).isNotEqualTo(before);
            }
        }
        float[] diagonal = untouched.get("model.layers.0.self_attn.q_proj");
        double mean = 0;
        for (int i = 0; i < 32; i++) {
            mean += diagonal[i * 32 + i] / 32;
        }
        assertThat(mean).as("2 x the mean square of a normed input").isBetween(1.0, 3.0);
    }

    private Map<String, float[]> hessians(String zeroed) {
        Map<String, float[]> hessians = new HashMap<>();
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var pass = pass(windows(), checkpoint)) {
            run(
                    pass,
                    checkpoint,
                    (name, part, stored, step) -> {
                        InputStatistics seen = part.statistics(name.slot(), step);
                        hessians.put(name.module(), seen.hessian().floats());
                        if (name.slot() != Slot.EMBEDDING) {
                            assertThat(seen.tokens()).isEqualTo(SAMPLES * CONTEXT);
                        }
                        return name.module().equals(zeroed) ? zeros(name, step) : stored;
                    });
        }
        return hessians;
    }

    private static Linear zeros(LinearName name, TensorScope step) {
        Value weight = step.call("zeros", name.outFeatures(), name.inFeatures());
        return new Linear.Dense(weight, null, new LinearForm.Dense(DType.F32));
    }

    @Test
    void activationsThatAreNoNumbersNameTheLinearTheyReach() throws IOException {
        TinyModel model = TinyModel.small();
        Map<String, RawTensor> tensors = model.tensors();
        float[] scales = new float[32];
        java.util.Arrays.fill(scales, 3e38f);
        tensors.put(
                "model.layers.1.post_attention_layernorm.weight",
                RawTensor.of(DType.F32, scales, 32));
        model.write(folder, model.config(), tensors);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var pass = pass(windows(), checkpoint)) {
            assertThatThrownBy(() ->
                            run(
                                    pass,
                                    checkpoint,
                                    (name, part, stored, step) -> {
                                        var _ = part.statistics(name.slot(), step);
                                        return stored;
                                    }))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("model.layers.1.mlp.gate_proj")
                    .hasMessageContaining("NaN");
        }
    }

    /// Streams in files, and the original's beside the compressed one's.
    @Test
    void spilledStreamsAndTargetsAreTheSame() throws IOException {
        TinyModel.small().write(folder);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var inMemory = pass(windows(), checkpoint);
                var spilled = new SequentialPass(windows(), spec(checkpoint), true, folder)) {
            run(inMemory, checkpoint, (_, _, stored, _) -> stored);
            run(
                    spilled,
                    checkpoint,
                    (name, _, stored, step) ->
                            name.module().endsWith("v_proj") ? zeros(name, step) : stored);
            assertThat(spilled.targets().getFirst().floats())
                    .isEqualTo(inMemory.inputs().getFirst().floats());
            assertThat(spilled.inputs().getFirst().floats())
                    .isNotEqualTo(inMemory.inputs().getFirst().floats());
            assertThat(folder.resolve("original.spill")).hasSize(SAMPLES * CONTEXT * 32L * 4);
        }
    }

    /// What becomes of a linear.
    private interface Change {
        Linear of(LinearName name, LoadedPart part, Linear stored, TensorScope step);
    }

    private static SequentialPass pass(CalibrationSet set, Checkpoint checkpoint) {
        return new SequentialPass(set, spec(checkpoint), false, null);
    }

    private static void run(SequentialPass pass, Checkpoint checkpoint, Change change) {
        var reader = new LinearReader(checkpoint);
        ModelSpec spec = spec(checkpoint);
        for (Part part : Architecture.parts(spec)) {
            try (var loaded = new LoadedPart(spec, part, pass);
                    var step = TensorScope.open()) {
                part.norms()
                        .forEach((slot, norm) -> loaded.setNorm(slot, checkpoint.load(norm, step)));
                part.linears().forEach(name -> loaded.set(name, reader.read(name, step)));
                pass.reference(loaded);
                for (LinearName name : part.linears()) {
                    loaded.set(name, change.of(name, loaded, loaded.linear(name), step));
                }
                pass.advance(loaded);
            }
        }
    }

    private static ModelSpec spec(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return spec(checkpoint);
        }
    }

    private static ModelSpec spec(Checkpoint checkpoint) {
        return ModelSpec.of(checkpoint.config(), "config.json");
    }
}
