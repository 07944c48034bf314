package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Norm;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.LayerLists;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The numbers of a student's shape that are other than the model's; 0 leaves one as it is.
///
/// @param layers blocks
/// @param hiddenSize d
/// @param intermediateSize f
/// @param heads h
/// @param kvHeads g
public record StudentShape(
        int layers, int hiddenSize, int intermediateSize, int heads, int kvHeads) {
    /// The model's.
    static final StudentShape SAME = new StudentShape(0, 0, 0, 0, 0);

    private static final String LAYERS = "num_hidden_layers";
    private static final double DEVIATION = 0.02;

    /// What a student begins as.
    public enum Start {
        /// The teacher's blocks, evenly spaced, as far as shapes agree; the rest is random.
        TEACHER,
        RANDOM
    }

    public StudentShape {
        for (int number : new int[] {layers, hiddenSize, intermediateSize, heads, kvHeads}) {
            if (number < 0) {
                throw LitheException.badInput(
                        "layers, hidden_size, intermediate_size, heads and kv_heads are %d, %d, %d, %d"
                                + " and %d; choose at least 1, or 0 to leave one as it is",
                        layers, hiddenSize, intermediateSize, heads, kvHeads);
            }
        }
    }

    /// Whether it changes nothing.
    boolean isSame() {
        return layers + hiddenSize + intermediateSize + heads + kvHeads == 0;
    }

    /// Makes a `config.json` say so.
    ///
    /// @param most the most blocks that it may have
    void configure(ObjectNode model, int most) {
        int blocks = model.path(LAYERS).asInt();
        if (layers > most) {
            throw LitheException.badInput(
                    "layers is %d, and the model has %d blocks to begin with; choose at most %d",
                    layers, blocks, most);
        }
        int head =
                model.path("head_dim")
                        .asInt(
                                model.path("hidden_size").asInt()
                                        / Math.max(1, model.path("num_attention_heads").asInt()));
        int groups =
                model.path("num_key_value_heads").asInt(model.path("num_attention_heads").asInt());
        if (layers > 0) {
            Sublayers parts = ModelSpec.of(model, "config.json").sublayers();
            LayerLists.keep(model, blocks, chosen(parts, blocks, layers));
        }
        put(model, LAYERS, layers);
        put(model, "hidden_size", hiddenSize);
        put(model, "intermediate_size", intermediateSize);
        put(model, "num_attention_heads", heads);
        put(model, "num_key_value_heads", kvHeads > 0 ? kvHeads : heads > 0 ? groups : 0);
        if (hiddenSize + heads + kvHeads > 0) {
            model.put("head_dim", head);
        }
        int h = model.path("num_attention_heads").asInt();
        int g = model.path("num_key_value_heads").asInt(h);
        if (h % Math.max(1, g) != 0) {
            throw LitheException.badInput(
                    "heads is %d, no multiple of kv_heads, %d; choose one", h, g);
        }
    }

    private static void put(ObjectNode model, String key, int number) {
        if (number > 0) {
            model.put(key, number);
        }
    }

    /// A model of this shape; the caller closes it.
    ///
    /// @param config of the result, [#configure]d
    WholeModel student(WholeModel model, ObjectNode config, Start start, long seed) {
        int blocks = model.blocks().size();
        int count = layers == 0 ? blocks : layers;
        List<Integer> chosen = chosen(model.spec().sublayers(), blocks, count);
        LayerLists.spellOut(config, model.spec());
        if (count <= blocks) {
            LayerLists.keep(config, blocks, chosen);
        }
        WholeModel student = model.reshaped(config);
        var random = new Random(seed);
        fill(student.embedding(), model.embedding(), start, random);
        for (int i = 0; i < count; i++) {
            fill(student.blocks().get(i), model.blocks().get(chosen.get(i)), start, random);
        }
        fill(student.output(), model.output(), start, random);
        return student;
    }

    private static void fill(LoadedPart to, LoadedPart from, Start start, Random random) {
        for (int i = 0; i < to.part().linears().size(); i++) {
            LinearName name = to.part().linears().get(i);
            LinearName other = from.part().linears().get(i);
            boolean same =
                    name.outFeatures() == other.outFeatures()
                            && name.inFeatures() == other.inFeatures();
            Linear before = from.linear(other);
            try (var step = TensorScope.open()) {
                to.set(
                        name,
                        start == Start.TEACHER && same
                                ? before
                                : random(name, before, to.spec().layers(), random, step));
            }
        }
        for (Norm norm : to.part().norms().keySet()) {
            Value scale = from.norm(norm);
            boolean taken = start == Start.TEACHER && scale.size(0) == norm.width(to.spec());
            try (var step = TensorScope.open()) {
                to.setNorm(norm, taken ? scale : step.call("ones", norm.width(to.spec())));
            }
        }
    }

    /// Normal with a deviation of 0.02, by √(2 L) less where it adds to the stream (Radford et al.,
    /// "Language Models are Unsupervised Multitask Learners", 2019).
    private static Linear random(
            LinearName name, Linear like, int layers, Random random, TensorScope step) {
        DType type = like.floatType();
        boolean adds = name.slot() == Slot.O || name.slot() == Slot.DOWN;
        double deviation = adds ? DEVIATION / Math.sqrt(2.0 * layers) : DEVIATION;
        float[] weights = new float[Math.multiplyExact(name.outFeatures(), name.inFeatures())];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (float) (deviation * random.nextGaussian());
        }
        Value drawn = step.tensor(weights, name.outFeatures(), name.inFeatures());
        Value weight = step.call("cast", drawn, type.code());
        @Nullable Value bias = null;
        if (name.hasBias()) {
            Value zeros = step.tensor(new float[name.outFeatures()], name.outFeatures());
            bias = step.call("cast", zeros, type.code());
        }
        return new Linear.Dense(weight, bias, new LinearForm.Dense(type));
    }

    /// The blocks that a student begins as: [#spaced] ones; where all of those lack attention, one
    /// gives way to the nearest that has it.
    static List<Integer> chosen(Sublayers parts, int all, int count) {
        List<Integer> blocks = new ArrayList<>(spaced(all, count));
        if (blocks.stream().anyMatch(parts::attends)) {
            return blocks;
        }
        int[] nearest =
                IntStream.range(0, all)
                        .filter(parts::attends)
                        .boxed()
                        .flatMap(block ->
                                IntStream.range(0, count).mapToObj(i -> new int[] {i, block}))
                        .min(Comparator.comparingInt(at -> Math.abs(blocks.get(at[0]) - at[1])))
                        .orElseThrow();
        blocks.set(nearest[0], nearest[1]);
        return blocks;
    }

    /// Of `all` blocks, `count` as far from each other as can be; the same ones again where there
    /// are fewer.
    static List<Integer> spaced(int all, int count) {
        return IntStream.range(0, count)
                .mapToObj(i ->
                        count == 1 ? 0 : (int) Math.round(i * (all - 1) / (double) (count - 1)))
                .toList();
    }
}
