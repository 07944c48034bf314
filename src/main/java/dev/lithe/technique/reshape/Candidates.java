package dev.lithe.technique.reshape;

import dev.lithe.calibrate.WholeModel;
import dev.lithe.technique.reshape.ShapeSearch.Shape;
import java.util.HashMap;
import java.util.Map;

/// Makes a model in other shapes; what it once removed blocks from is kept.
final class Candidates implements AutoCloseable {
    private final WholeModel model;
    private final ShapeSearch shapes;
    private final int samples;
    private final Map<Integer, WholeModel> shallower = new HashMap<>();

    /// @param samples windows that blocks are judged by
    Candidates(WholeModel model, ShapeSearch shapes, int samples) {
        this.model = model;
        this.shapes = shapes;
        this.samples = samples;
    }

    /// The model in `shape`; the caller closes it.
    WholeModel make(Shape shape) {
        WholeModel deep =
                shape.blocks() == 0
                        ? model
                        : shallower.computeIfAbsent(
                                shape.blocks(),
                                _ -> new DepthPrune().apply(model, shapes.depth(shape, samples)));
        return shapes.narrows(shape)
                ? new WidthPrune().apply(deep, shapes.width(shape))
                : deep.on(deep.windows());
    }

    @Override
    public void close() {
        shallower.values().forEach(WholeModel::close);
    }
}
