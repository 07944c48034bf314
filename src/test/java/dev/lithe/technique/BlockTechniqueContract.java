package dev.lithe.technique;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.Resident;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.model.Part.Kind;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// What every technique of the block scope must do on models of all kinds: keep the promise of
/// `outcome`, give the same numbers each time, leave alone what is not its own, stay finite, and,
/// where it says that it is exact, leave the model what it was.
///
/// @param <C> the technique's configuration
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class BlockTechniqueContract<C extends Record> {
    private static final long SEED = 60;
    private static final int VOCAB = 300;
    private static final int SAMPLES = 6;
    private static final int CONTEXT = 24;
    private static final int APPLICATIONS = 4;
    private static final int ROUNDS = 3;

    /// One copy of the block's weights takes 2.6 MB.
    private static final long MAX_GROWTH = 6L << 20;

    @TempDir private Path temporary;

    private int folders;

    /// The technique under test.
    protected abstract BlockTechnique<C> technique();

    /// Settings that take every shape; the first, a quick one, is the one that looks for leaks.
    protected abstract List<Settings<C>> settings();

    /// A model and settings for it.
    Stream<Arguments> cases() {
        return settings().stream()
                .flatMap(each ->
                        Stream.of(
                                argumentSet("grouped queries, " + each, TinyModel.small(), each),
                                argumentSet(
                                        "biases, float16, " + each,
                                        TinyModel.small().biases().heads(4, 4, 8).dtype(DType.F16),
                                        each),
                                argumentSet(
                                        "odd sizes, bfloat16, " + each,
                                        TinyModel.small()
                                                .width(60, 172)
                                                .heads(5, 5, 12)
                                                .dtype(DType.BF16),
                                        each),
                                argumentSet("tied, " + each, TinyModel.small().tied(), each)));
    }

    @Test
    void isRegisteredUnderItsName() {
        assertThat(technique().name()).matches("[a-z][a-z0-9_]*");
        assertThat(technique().summary()).isNotBlank().hasLineCount(1);
        assertThat(technique().scope()).isEqualTo("block");
        assertThat(Technique.all())
                .filteredOn(each -> each.name().equals(technique().name()))
                .singleElement()
                .isInstanceOf(technique().getClass());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void keepsItsPromiseAndLeavesTheRestAlone(TinyModel model, Settings<C> settings)
            throws IOException {
        Path folder = write(model);
        Map<String, ByteBuffer> before = new HashMap<>();
        Map<String, LinearForm> forms = new HashMap<>();
        run(
                folder,
                null,
                (part, name) -> {
                    forms.put(name.module(), part.linear(name).form());
                    before.putAll(bytes(part, name));
                });
        run(
                folder,
                settings,
                (part, name) -> {
                    Linear after = part.linear(name);
                    LinearForm form = forms.get(name.module());
                    boolean included = technique().targets(settings.common()).include(name);
                    assertThat(after.form())
                            .as(name.module())
                            .isEqualTo(
                                    included
                                            ? technique().outcome(name, form, settings.of(name))
                                            : form);
                    for (double weight : StoredWeights.of(after)) {
                        assertThat(weight).as(name.module()).isFinite();
                    }
                    if (!included && name.slot() == Slot.EMBEDDING) {
                        assertThat(bytes(part, name))
                                .allSatisfy((key, now) ->
                                        assertThat(now).as(key).isEqualTo(before.get(key)));
                    }
                });
    }

    @ParameterizedTest
    @MethodSource("cases")
    void givesTheSameNumbersEachTime(TinyModel model, Settings<C> settings) throws IOException {
        Path folder = write(model);
        Map<String, ByteBuffer> first = new HashMap<>();
        float[] logits = run(folder, settings, (part, name) -> first.putAll(bytes(part, name)));
        Map<String, ByteBuffer> second = new HashMap<>();
        assertThat(run(folder, settings, (part, name) -> second.putAll(bytes(part, name))))
                .isEqualTo(logits);
        assertThat(second).isEqualTo(first);
        for (float logit : logits) {
            assertThat(logit).isFinite();
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void isAsExactAsItSays(TinyModel model, Settings<C> settings) throws IOException {
        if (!technique().exact(settings.common())) {
            return;
        }
        Path folder = write(model.dtype(DType.F32)); // which runs without rounding weights
        float[] after = run(folder, settings, (_, _) -> {});
        if (after.length == 0) {
            return; // refused
        }
        float[] before = run(folder, null, (_, _) -> {});
        assertThat(after.length).isEqualTo(before.length);
        for (int i = 0; i < before.length; i++) {
            assertThat(after[i]).as("logit %d", i).isCloseTo(before[i], within(2e-4f));
        }
    }

    @Test
    void leaksNothing() throws IOException {
        Path folder = write(TinyModel.small().layers(1).width(256, 512).heads(4, 4, 64));
        Settings<C> quick = settings().getFirst();
        long[] growth = new long[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            long before = Resident.bytes();
            for (int i = 0; i < APPLICATIONS; i++) {
                assertThat(run(folder, quick, (_, _) -> {})).isNotEmpty();
            }
            growth[round] = Resident.bytes() - before;
        }
        Arrays.sort(growth);
        assertThat(growth[ROUNDS / 2]).as("median growth").isLessThan(MAX_GROWTH);
    }

    /// Hears of every linear after the technique was applied to its part.
    private interface Visitor {
        void see(LoadedPart part, LinearName name);
    }

    /// Applies the technique part by part, or nothing where `settings` is null.
    ///
    /// @return the logits of the calibration windows, or what goes into a tied output layer; none
    ///   where the model is refused
    private float[] run(Path folder, @Nullable Settings<C> settings, Visitor visitor) {
        float[] results = {};
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            var reader = new LinearReader(checkpoint);
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            if (settings != null && refused(spec, settings)) {
                return results;
            }
            try (var pass = new SequentialPass(windows(), spec, true, null)) {
                for (Part part : Architecture.parts(spec)) {
                    try (var loaded = new LoadedPart(spec, part, pass);
                            var step = TensorScope.open()) {
                        part.norms()
                                .forEach((slot, norm) ->
                                        loaded.setNorm(slot, checkpoint.load(norm, step)));
                        part.linears().forEach(name -> loaded.set(name, reader.read(name, step)));
                        pass.reference(loaded);
                        if (settings != null) {
                            technique().apply(loaded, settings);
                        }
                        part.linears().forEach(name -> visitor.see(loaded, name));
                        if (part.kind() == Kind.OUTPUT) {
                            results = results(loaded);
                        }
                        pass.advance(loaded);
                    }
                }
            }
        }
        return results;
    }

    private boolean refused(ModelSpec spec, Settings<C> settings) {
        try {
            technique().checkModel(spec, settings.common());
            return false;
        } catch (LitheException e) {
            assertThat(e).hasMessageContaining(";").message().hasLineCount(1);
            return true;
        }
    }

    private static float[] results(LoadedPart output) {
        List<LinearName> heads = output.part().linears();
        try (var step = TensorScope.open()) {
            float[] x = concat(normed(output, step));
            if (heads.isEmpty()) {
                return x;
            }
            double[] w = StoredWeights.of(output.linear(heads.getFirst()));
            int d = output.spec().hiddenSize();
            float[] logits = new float[x.length / d * VOCAB];
            for (int i = 0; i < logits.length; i++) {
                double sum = 0;
                for (int j = 0; j < d; j++) {
                    sum += x[i / VOCAB * d + j] * w[i % VOCAB * d + j];
                }
                logits[i] = (float) sum;
            }
            return logits;
        }
    }

    private static List<Value> normed(LoadedPart output, TensorScope step) {
        return output.inputs().stream()
                .map(x ->
                        step.call(
                                "norm", x, output.norm(Slot.LM_HEAD), output.spec().normEpsilon()))
                .toList();
    }

    private static float[] concat(List<Value> pieces) {
        var all =
                FloatBuffer.allocate(
                        pieces.stream().mapToInt(piece -> (int) piece.elements()).sum());
        pieces.forEach(piece -> all.put(piece.floats()));
        return all.array();
    }

    private static Map<String, ByteBuffer> bytes(LoadedPart part, LinearName name) {
        Map<String, ByteBuffer> bytes = new HashMap<>();
        part.linear(name)
                .tensors()
                .forEach((suffix, tensor) -> {
                    ByteBuffer raw = tensor.rawBytes();
                    bytes.put(
                            name.module() + "." + suffix,
                            ByteBuffer.allocate(raw.remaining()).put(raw).flip());
                });
        return bytes;
    }

    private static CalibrationSet windows() {
        var random = new Random(SEED);
        long[][] windows = new long[SAMPLES][];
        for (int i = 0; i < SAMPLES; i++) {
            windows[i] = random.longs(CONTEXT, 0, VOCAB).toArray();
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
    }

    private Path write(TinyModel model) throws IOException {
        return model.write(temporary.resolve("model" + folders++));
    }
}
