package dev.lithe.tensor;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.IValue;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.List;

/// Owns values: whatever is made through a scope is freed when it closes, in one place and at a
/// known time. Open it in a try-with-resources for the length of a step; a method that returns
/// values takes the scope that they will live in. Not safe for use by several threads at once.
public final class TensorScope implements AutoCloseable {
    private final PtNDManager manager = Torch.newManager();
    private final List<IValue> handles = new ArrayList<>();

    private TensorScope() {}

    /// A new, empty scope.
    public static TensorScope open() {
        return new TensorScope();
    }

    PtNDManager manager() {
        return manager;
    }

    Value own(IValue handle) {
        handles.add(handle);
        return new Value(this, handle);
    }

    /// Runs a method of `src/main/torchscript` and keeps its result here.
    ///
    /// @param arguments [Value], `Long`/`Integer`, `Double`/`Float`, `Boolean`, `String`, `long[]`,
    ///   `double[]`, or a `List` of values
    public Value call(String method, Object... arguments) {
        return own(Kernels.run(method, arguments));
    }

    /// The same tensor, owned by this scope too: it outlives the scope that `value` came from.
    public Value keep(Value value) {
        return call("same", value);
    }

    /// A float32 tensor; the array is copied.
    public Value tensor(float[] elements, long... shape) {
        return copy(manager.create(FloatBuffer.wrap(elements), new Shape(shape), DataType.FLOAT32));
    }

    /// An int64 tensor; the array is copied.
    public Value tensor(long[] elements, long... shape) {
        return copy(manager.create(LongBuffer.wrap(elements), new Shape(shape), DataType.INT64));
    }

    /// A one-dimensional uint8 tensor; the buffer is copied.
    public Value bytes(ByteBuffer buffer) {
        ByteBuffer direct =
                ByteBuffer.allocateDirect(buffer.remaining()).put(buffer.duplicate()).flip();
        return copy(manager.create(direct, new Shape(direct.remaining()), DataType.UINT8));
    }

    /// `alias` reads a Java buffer's memory and holds that buffer only while it is open, so its
    /// elements must move.
    private Value copy(PtNDArray alias) {
        try (alias;
                NDArray copy = alias.duplicate()) {
            return own(IValue.from((PtNDArray) copy));
        }
    }

    /// A list of tensors, as kernels take it; kept once, it costs nothing per call.
    public Value list(List<Value> tensors) {
        Value list = call("new_list");
        for (Value tensor : tensors) {
            list = call("append", list, tensor);
        }
        return list;
    }

    /// The absent tensor, for optional arguments of kernels.
    public Value none() {
        return call("none");
    }

    /// A list of integers, as kernels take it.
    public Value list(long... integers) {
        return own(IValue.listFrom(integers));
    }

    @Override
    public void close() {
        handles.forEach(IValue::close);
        handles.clear();
        manager.close();
    }
}
