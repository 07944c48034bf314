package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.BlockStack.Parts;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.ModelSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/// Shapes with a share of the parameters of a model: fewer blocks, fewer groups of heads, and as
/// many channels as then fit.
final class ShapeSearch {
    private final ObjectNode model;
    private final ModelSpec spec;
    private final long limit;
    private final int multiple;
    private final int tokens;
    private final Shape start;

    /// @param blocks that go
    /// @param groups of heads that go from each block
    record Shape(int blocks, int groups) {}

    /// @param model its `config.json`
    /// @param remove share of the parameters that goes
    /// @param multiple of which the number of channels is one
    /// @param tokens that stay
    ShapeSearch(ObjectNode model, double remove, int multiple, int tokens) {
        this.model = model;
        this.spec = ModelSpec.of(model, "specialize");
        this.limit = (long) (spec.parameters() * (1 - remove));
        this.multiple = multiple;
        this.tokens = tokens;
        this.start = first().orElseThrow(this::tooMuch);
    }

    private LitheException tooMuch() {
        return LitheException.badInput(
                "remove leaves %d parameters, and one block with one group of heads and %d channels has"
                        + " %d; remove a smaller share",
                limit,
                multiple,
                parameters(
                        configured(
                                new Shape(spec.layers() - 1, spec.kvHeads() - 1),
                                Math.min(multiple, spec.intermediateSize()))));
    }

    /// The possible shape that loses the fewest blocks, then heads.
    Shape start() {
        return start;
    }

    private Optional<Shape> first() {
        return Stream.iterate(0, blocks -> blocks < spec.layers(), blocks -> blocks + 1)
                .flatMap(blocks ->
                        Stream.iterate(0, groups -> groups < spec.kvHeads(), groups -> groups + 1)
                                .map(groups -> new Shape(blocks, groups)))
                .filter(shape -> channels(shape) > 0)
                .findFirst();
    }

    /// From the best number of blocks, with all heads, to the neighbour with the least loss, as
    /// long as there is a better one.
    Shape best(ToDoubleFunction<Shape> loss) {
        Map<Shape, Double> known = new HashMap<>();
        ToDoubleFunction<Shape> measured =
                shape ->
                        known.computeIfAbsent(
                                shape,
                                each ->
                                        channels(each) > 0
                                                ? loss.applyAsDouble(each)
                                                : Double.POSITIVE_INFINITY);
        Shape best = start;
        for (Shape next : deepToShallow()) {
            if (measured.applyAsDouble(next) < measured.applyAsDouble(best)) {
                best = next;
            }
        }
        while (true) {
            Shape last = best;
            for (Shape next : neighbours(last)) {
                if (measured.applyAsDouble(next) < measured.applyAsDouble(best)) {
                    best = next;
                }
            }
            if (best.equals(last)) {
                return best;
            }
        }
    }

    /// With all heads, up to the first that needs no narrower blocks.
    private List<Shape> deepToShallow() {
        List<Shape> shapes = new ArrayList<>();
        for (int blocks = 0; blocks < spec.layers(); blocks++) {
            shapes.add(new Shape(blocks, 0));
            if (channels(shapes.getLast()) == spec.intermediateSize()) {
                break;
            }
        }
        return shapes;
    }

    private List<Shape> neighbours(Shape shape) {
        return Stream.of(-1, 0, 1)
                .flatMap(b ->
                        Stream.of(-1, 0, 1)
                                .map(g -> new Shape(shape.blocks() + b, shape.groups() + g)))
                .filter(next -> next.blocks() >= 0 && next.blocks() < spec.layers())
                .filter(next -> next.groups() >= 0 && next.groups() < spec.kvHeads())
                .toList();
    }

    /// The most channels with which `shape` is small enough; 0 where there are none.
    int channels(Shape shape) {
        int all = spec.intermediateSize();
        if (parameters(configured(shape, all)) <= limit) {
            return all;
        }
        int channels = (all - 1) / multiple * multiple;
        while (channels > 0 && parameters(configured(shape, channels)) > limit) {
            channels -= multiple;
        }
        return Math.max(0, channels);
    }

    private static long parameters(ObjectNode config) {
        return ModelSpec.of(config, "specialize").parameters();
    }

    /// What `config.json` is with `shape`, all tokens yet.
    ObjectNode config(Shape shape) {
        ObjectNode config = model.deepCopy();
        if (shape.blocks() > 0) {
            new DepthPrune().configure(config, depth(shape, 1));
        }
        if (narrows(shape, channels(shape))) {
            new WidthPrune().configure(config, width(shape, channels(shape)));
        }
        return config;
    }

    private ObjectNode configured(Shape shape, int channels) {
        ObjectNode config = model.deepCopy();
        if (shape.blocks() > 0) {
            new DepthPrune().configure(config, depth(shape, 1));
        }
        if (narrows(shape, channels)) {
            new WidthPrune().configure(config, width(shape, channels));
        }
        config.put("vocab_size", tokens);
        for (String named : List.of("bos_token_id", "eos_token_id")) {
            config.remove(named); // they are renumbered with the tokens
        }
        return config;
    }

    private boolean narrows(Shape shape, int channels) {
        return shape.groups() > 0 || channels < spec.intermediateSize();
    }

    /// Whether `shape` is narrower.
    boolean narrows(Shape shape) {
        return narrows(shape, channels(shape));
    }

    /// How its blocks are removed.
    DepthPrune.Config depth(Shape shape, int samples) {
        return new DepthPrune.Config(
                shape.blocks(), Parts.BLOCKS, DepthPrune.Criterion.PERPLEXITY, samples, 0);
    }

    /// How the rest is narrowed.
    WidthPrune.Config width(Shape shape) {
        return width(shape, channels(shape));
    }

    private WidthPrune.Config width(Shape shape, int channels) {
        return new WidthPrune.Config(
                1 - (double) channels / spec.intermediateSize(),
                (double) shape.groups() / spec.kvHeads(),
                Importance.FLAP,
                Architecture.takesMlpBias(model) && Architecture.takesAttentionBias(model),
                channels < spec.intermediateSize() ? multiple : 1,
                0);
    }
}
