package dev.lithe.export;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.GgufNames;
import dev.lithe.checkpoint.GgufRaw;
import dev.lithe.checkpoint.GgufType;
import dev.lithe.checkpoint.GgufWriter;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Experts;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.NormScales;
import dev.lithe.model.Part;
import dev.lithe.model.RopeScaling;
import dev.lithe.model.Sublayers;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntPredicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Writes a model as one GGUF file, tokenizer and chat template included.
///
/// Integers that a type of GGUF can hold go over code by code ([GgufRows]); what has no form there
/// (factors, shared weights, codebooks, masks) is written as the float16 weights that it stands
/// for, and what came from GGUF goes back byte by byte. llama.cpp turns neighbouring coordinates of
/// a head where Hugging Face turns its halves, so for its architecture `llama` the rows of q and k
/// are put in that order (`conversion/llama.py`). One some of whose blocks lack attention is of its
/// architecture `deci`.
public final class GgufExport {
    private static final String WEIGHT = ".weight";
    private static final String ROPE_FACTORS = "rope_freqs.weight";

    /// Weights that are of another type than they should be ([GgufType#forRow]).
    ///
    /// @param numbers of a row
    public record OtherType(GgufType asked, GgufType stored, int numbers) {}

    private final Checkpoint checkpoint;
    private final ModelSpec spec;
    private final String architecture;
    private final @Nullable GgufMix mix;
    private final LinearReader reader;
    private final GgufWriter gguf = new GgufWriter();

    private GgufExport(Checkpoint checkpoint, @Nullable GgufMix mix) {
        this.checkpoint = checkpoint;
        this.mix = mix;
        ObjectNode config = checkpoint.config().deepCopy();
        Experts.NONE.describe(config);
        this.spec = ModelSpec.of(config, checkpoint.folder() + "/config.json");
        this.reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
        @Nullable String known = GgufNames.architectures().get(spec.architecture());
        if (known == null) {
            throw LitheException.badInput(
                    "%s cannot be exported as GGUF, only %s; use --to dense and llama.cpp's own"
                            + " converter",
                    spec.architecture(),
                    String.join(
                            ", ", GgufNames.architectures().keySet().stream().sorted().toList()));
        }
        this.architecture = spec.sublayers().any() ? byBlock(known) : known;
        if (spec.sparseAttention().limited()) {
            throw LitheException.badInput(
                    "the model's tokens see %s (sparse_attention), which GGUF cannot say; export the"
                            + " model before that stage, or --to dense, which leaves it out",
                    spec.sparseAttention().label());
        }
        if (spec.pageAttention().limited()) {
            throw LitheException.badInput(
                    "the model's tokens see %s (page_attention), which GGUF cannot say; export the"
                            + " model before that stage, or --to dense, which leaves it out",
                    spec.pageAttention().label());
        }
        if (spec.windows().stream().anyMatch(window -> window > 0)) {
            throw LitheException.badInput(
                    "the model's blocks see %d positions back (sliding_window), which llama.cpp's"
                            + " architecture '%s' does not know; use --to dense",
                    spec.windows().getLast(), architecture);
        }
    }

    /// The architecture whose blocks may lack parts. llama.cpp takes the whole model's heads from
    /// block 0, and leaves a block without feed-forward channels before what its attention adds.
    private String byBlock(String known) {
        Sublayers sublayers = spec.sublayers();
        if (!GgufNames.isLlama(known)) {
            sublayers.requireAll(
                    "llama.cpp's architecture '%s' runs both in all blocks".formatted(known),
                    Sublayers.WRITE_DENSE);
        }
        if (!sublayers.attends(0)) {
            sublayers.requireAll(
                    "llama.cpp takes a model whose block 0 has no attention for one without any",
                    Sublayers.WRITE_DENSE);
        }
        if (IntStream.range(0, spec.layers())
                .anyMatch(block -> sublayers.attends(block) && !sublayers.feeds(block))) {
            sublayers.requireAll(
                    "llama.cpp passes over the attention of blocks without feed-forward part",
                    Sublayers.WRITE_DENSE);
        }
        return GgufNames.BY_BLOCK;
    }

    /// Writes the model of `checkpoint` to `file`.
    ///
    /// @param mix the types of linears and embedding; null for those closest to how each is stored
    /// @return how many of them are of another type
    /// @throws LitheException where GGUF cannot hold the model
    public static Map<OtherType, Long> write(
            Checkpoint checkpoint, @Nullable GgufMix mix, Path file) {
        var export = new GgufExport(checkpoint, mix);
        export.describe();
        new GgufTokenizer(checkpoint, export.spec).write(export.gguf);
        Architecture.parts(export.spec).forEach(export::add);
        export.gguf.write(file);
        if (mix == null) {
            return Map.of();
        }
        return Architecture.linears(export.spec).stream()
                .map(linear -> export.typed(linear, mix))
                .filter(each -> each.asked() != each.stored())
                .collect(
                        Collectors.groupingBy(
                                Function.identity(), LinkedHashMap::new, Collectors.counting()));
    }

    private OtherType typed(LinearName linear, GgufMix wanted) {
        GgufType asked = wanted.type(linear, spec);
        return new OtherType(asked, asked.forRow(linear.inFeatures()), linear.inFeatures());
    }

    private void describe() {
        gguf.text("general.architecture", architecture);
        describeItself();
        gguf.count("general.quantization_version", 2);
        gguf.count("general.file_type", fileType());
        count("vocab_size", spec.vocabSize());
        count("context_length", spec.maxPositions());
        count("embedding_length", spec.hiddenSize());
        count("block_count", spec.layers());
        count("feed_forward_length", spec.intermediateSize(), spec.sublayers()::feeds);
        count("attention.head_count", spec.heads(), spec.sublayers()::attends);
        count("attention.head_count_kv", spec.kvHeads(), spec.sublayers()::attends);
        count("attention.key_length", spec.headDim());
        count("attention.value_length", spec.headDim());
        gguf.number(architecture + ".attention.layer_norm_rms_epsilon", spec.normEpsilon());
        count("rope.dimension_count", spec.rotaryWidth());
        gguf.number(architecture + ".rope.freq_base", spec.ropeTheta());
        switch (spec.ropeScaling()) {
            case null -> {}
            case RopeScaling.Linear linear -> scaling("linear", linear.factor());
            case RopeScaling.Yarn yarn when yarn.turns().usual() -> {
                scaling("yarn", yarn.factor());
                count("rope.scaling.original_context_length", yarn.turns().originalPositions());
                // llama.cpp has the usual magnitude by itself
                magnitude(yarn.magnitude() / RopeScaling.Yarn.magnitude(yarn.factor(), 1));
            }
            case RopeScaling pairByPair -> {
                frequencies(pairByPair);
                magnitude(pairByPair.magnitude());
            }
        }
    }

    /// A name, and what else a GGUF file that the model came from says of itself in words.
    private void describeItself() {
        Map<String, Object> said = checkpoint.ggufValues();
        if (!(said.get("general.name") instanceof String)) {
            gguf.text("general.name", String.valueOf(checkpoint.folder().getFileName()));
        }
        said.forEach((key, value) -> {
            boolean itself = key.startsWith("general.") && !key.equals("general.architecture");
            if (itself && value instanceof String text) {
                gguf.text(key, text);
            }
        });
    }

    /// What a file says that it mostly is.
    private int fileType() {
        if (mix != null) {
            return mix.mostly().fileType();
        }
        if (checkpoint.ggufValues().get("general.file_type") instanceof Long number
                && number == number.intValue()) {
            return number.intValue();
        }
        LinearName first = Architecture.linears(spec).getFirst();
        return GgufRows.closest(reader.form(first), first.inFeatures()).fileType();
    }

    private void count(String key, long number) {
        gguf.count(architecture + "." + key, number);
    }

    /// A number that blocks have or lack.
    private void count(String key, int number, IntPredicate has) {
        if (architecture.equals(GgufNames.BY_BLOCK)) {
            gguf.integers(
                    architecture + "." + key,
                    IntStream.range(0, spec.layers())
                            .mapToObj(block -> has.test(block) ? number : 0)
                            .toList());
        } else {
            count(key, number);
        }
    }

    private void scaling(String kind, double factor) {
        gguf.text(architecture + ".rope.scaling.type", kind);
        gguf.number(architecture + ".rope.scaling.factor", factor);
    }

    /// By what the cosines and sines are multiplied.
    private void magnitude(double factor) {
        if ((float) factor != 1) {
            gguf.number(architecture + ".rope.scaling.attn_factor", factor);
        }
    }

    /// By how much each frequency is divided.
    private void frequencies(RopeScaling scaling) {
        if (!GgufNames.isLlama(architecture)) {
            throw LitheException.badInput(
                    "the model's rotary positions are stretched pair by pair (rope_scaling), which"
                            + " llama.cpp's architecture '%s' does not know; it knows linear, and yarn"
                            + " with beta_fast 32 and beta_slow 1; use --to dense",
                    architecture);
        }
        if (takenOver(ROPE_FACTORS, null, new long[] {spec.rotaryWidth() / 2})) {
            return;
        }
        double[] plain = new double[spec.rotaryWidth() / 2];
        for (int i = 0; i < plain.length; i++) {
            plain[i] = Math.pow(spec.ropeTheta(), -2.0 * i / spec.rotaryWidth());
        }
        double[] stretched = scaling.stretch(plain);
        float[] ratios = new float[plain.length];
        for (int i = 0; i < ratios.length; i++) {
            ratios[i] = (float) (plain[i] / stretched[i]);
        }
        floats(ROPE_FACTORS, ratios);
    }

    private void add(Part part) {
        for (String name : part.norms().values()) {
            String target = theirs(name.substring(0, name.length() - WEIGHT.length())) + WEIGHT;
            try (var step = TensorScope.open()) {
                Value scale = NormScales.read(spec, checkpoint, name, step);
                if (!takenOver(target, null, scale.shape())) {
                    floats(target, scale.floats());
                }
            }
        }
        for (LinearName name : part.linears()) {
            String target = theirs(name.module());
            int[] rows = order(name.module(), name.outFeatures());
            GgufType stored = type(name);
            long[] shape = {name.outFeatures(), name.inFeatures()};
            if (!takenOver(target + WEIGHT, mix == null ? null : stored, shape)) {
                gguf.tensor(
                        target + WEIGHT,
                        stored,
                        shape,
                        channel -> {
                            try (var step = TensorScope.open()) {
                                GgufRows.write(
                                        reader.read(name, step), stored, rows, channel, step);
                            }
                        });
            }
            long[] biases = {name.outFeatures()};
            if (name.hasBias() && !takenOver(target + ".bias", null, biases)) {
                bias(name, target + ".bias", rows);
            }
        }
    }

    private String theirs(String module) {
        return GgufNames.theirs(module)
                .orElseThrow(
                        () -> LitheException.of(Fault.INTERNAL, "GGUF has no name for %s", module));
    }

    /// Adds a tensor as it is in the GGUF file that the model came from, if it did, and is `wanted`
    /// as no other type.
    private boolean takenOver(String target, @Nullable GgufType wanted, long[] shape) {
        GgufRaw raw = checkpoint.raw(target, architecture);
        if (raw == null
                || wanted != null && wanted != raw.type()
                || !raw.shape().equals(Arrays.stream(shape).boxed().toList())) {
            return false;
        }
        gguf.tensor(target, raw.type(), shape, raw::writeTo);
        return true;
    }

    private GgufType type(LinearName name) {
        return mix == null
                ? GgufRows.closest(reader.form(name), name.inFeatures())
                : typed(name, mix).stored();
    }

    /// Which row of the linear each row of the file is.
    private int[] order(String module, int count) {
        return GgufNames.turned(architecture, module)
                ? GgufNames.turnedRows(count, spec.headDim())
                : IntStream.range(0, count).toArray();
    }

    private void bias(LinearName name, String target, int[] rows) {
        try (var step = TensorScope.open()) {
            @Nullable Value bias = reader.read(name, step).bias();
            if (bias != null) {
                float[] stored = bias.floats();
                float[] ordered = new float[stored.length];
                for (int row = 0; row < ordered.length; row++) {
                    ordered[row] = stored[rows[row]];
                }
                floats(target, ordered);
            }
        }
    }

    private void floats(String name, float[] numbers) {
        gguf.tensor(
                name,
                GgufType.F32,
                new long[] {numbers.length},
                channel -> {
                    var buffer =
                            ByteBuffer.allocate(numbers.length * Float.BYTES)
                                    .order(ByteOrder.LITTLE_ENDIAN);
                    buffer.asFloatBuffer().put(numbers);
                    while (buffer.hasRemaining()) {
                        int _ = channel.write(buffer);
                    }
                });
    }
}
