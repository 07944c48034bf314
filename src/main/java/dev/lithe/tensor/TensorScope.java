package dev.lithe.tensor;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.IValue;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// Owns values: whatever is made through a scope is freed when it closes, in one place and at a
/// known time. Open it in a try-with-resources for the length of a step; a method that returns
/// values takes the scope that they will live in. Not safe for use by several threads at once.
public final class TensorScope implements AutoCloseable {
    private final PtNDManager manager = Torch.newManager();
    private final List<IValue> handles = new ArrayList<>();
    private final List<NativeModel> models = new ArrayList<>();

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
    /// @param arguments [Value], `Long`/`Integer`, `Double`/`Float`, `Boolean`, `String`, `long[]`
    ///   or `double[]`
    public Value call(String method, Object... arguments) {
        return own(Kernels.run(method, arguments));
    }

    /// Runs a method of `src/main/torchscript` that records gradients, and keeps its results here.
    /// What [#call] makes cannot enter a recording: the method clones what it derives or multiplies
    /// by.
    ///
    /// @param arguments float or integer tensors, and lists of them
    /// @return the list of tensors that the method returns
    public List<Value> train(String method, Value... arguments) {
        return Kernels.train(method, List.of(arguments)).stream().map(this::own).toList();
    }

    /// The same tensor, owned by this scope too: it outlives the scope that `value` came from.
    public Value keep(Value value) {
        return call("same", value);
    }

    /// A float32 tensor; the array is copied.
    public Value tensor(float[] elements, long... shape) {
        return copy(
                elements.length * (long) Float.BYTES,
                DataType.FLOAT32,
                new Shape(shape),
                buffer -> buffer.asFloatBuffer().put(elements));
    }

    /// An int64 tensor; the array is copied.
    public Value tensor(long[] elements, long... shape) {
        return copy(
                elements.length * (long) Long.BYTES,
                DataType.INT64,
                new Shape(shape),
                buffer -> buffer.asLongBuffer().put(elements));
    }

    /// A one-dimensional uint8 tensor; the buffer is copied.
    public Value bytes(ByteBuffer buffer) {
        return copy(
                buffer.remaining(),
                DataType.UINT8,
                new Shape(buffer.remaining()),
                memory -> memory.put(0, buffer, buffer.position(), buffer.remaining()));
    }

    /// DJL's array of a buffer only aliases it, so its elements move into libtorch's own memory;
    /// the buffer's is given back at once, not when the garbage collector finds it.
    private Value copy(long size, DataType type, Shape shape, Consumer<ByteBuffer> fill) {
        try (Arena arena = Arena.ofConfined()) {
            ByteBuffer memory =
                    arena.allocate(size, Long.BYTES).asByteBuffer().order(ByteOrder.nativeOrder());
            fill.accept(memory);
            try (PtNDArray alias = manager.create(memory, shape, type);
                    NDArray copy = alias.duplicate()) {
                return own(IValue.from((PtNDArray) copy));
            }
        }
    }

    /// A list of tensors, as kernels take it; kept once, it costs nothing per call.
    public Value list(List<Value> tensors) {
        Value list =
                call("new_list", tensors.isEmpty() ? tensor(new float[1], 1) : tensors.getFirst());
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

    /// Closes a model of the native library with this scope, before the tensors that it borrows.
    public void onClose(NativeModel model) {
        models.add(model);
    }

    @Override
    public void close() {
        models.forEach(NativeModel::close);
        models.clear();
        handles.forEach(IValue::close);
        handles.clear();
        manager.close();
    }
}
