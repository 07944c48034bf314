package dev.lithe.tensor;

import ai.djl.ndarray.NDArray;
import ai.djl.pytorch.jni.IValue;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import java.util.List;

/// Something that lives in libtorch: a tensor, or a list or tuple of tensors. It is opaque to Java
/// and valid until its [TensorScope] closes.
public final class Value {
    private final TensorScope scope;
    private final IValue handle;
    private long address;

    Value(TensorScope scope, IValue handle) {
        this.scope = scope;
        this.handle = handle;
    }

    IValue handle() {
        return handle;
    }

    /// The tensor's shape.
    public long[] shape() {
        try (NDArray array = handle.toTensor(scope.manager())) {
            return array.getShape().getShape();
        }
    }

    /// The number of the tensor's elements.
    public long elements() {
        return Arrays.stream(shape()).reduce(1, Math::multiplyExact);
    }

    /// One dimension of the tensor's shape; negative counts from the end.
    public int size(int dimension) {
        long[] shape = shape();
        return Math.toIntExact(shape[dimension < 0 ? shape.length + dimension : dimension]);
    }

    /// The tensor's element type.
    public DType dtype() {
        try (var step = TensorScope.open()) {
            return DType.ofCode(step.call("dtype_of", this).integer());
        }
    }

    /// Bytes that the tensor, or all tensors of the list, occupy.
    public long bytes() {
        try (var step = TensorScope.open()) {
            return step.call(handle.isTensor() ? "bytes_of" : "bytes_of_list", this).integer();
        }
    }

    /// The elements of a float tensor, row-major.
    public float[] floats() {
        try (var step = TensorScope.open();
                NDArray array = step.call("host_floats", this).handle.toTensor(step.manager())) {
            return array.toFloatArray();
        }
    }

    /// The elements of an integer tensor, row-major.
    public long[] longs() {
        try (var step = TensorScope.open();
                NDArray array = step.call("host_longs", this).handle.toTensor(step.manager())) {
            return array.toLongArray();
        }
    }

    /// The tensor's memory as stored, row-major, little endian; at most 2 GiB.
    public ByteBuffer rawBytes() {
        try (var step = TensorScope.open();
                NDArray array = step.call("as_bytes", this).handle.toTensor(step.manager())) {
            return array.toByteBuffer();
        }
    }

    /// Where the elements of the tensor lie, row-major: an address that holds as long as its scope.
    public long address() {
        if (address == 0) {
            address = findAddress();
        }
        return address;
    }

    private long findAddress() {
        try (var step = TensorScope.open();
                NDArray start = step.call("start_of", this).handle.toTensor(step.manager())) {
            ByteBuffer memory = start.toByteBuffer(true);
            if (!memory.isDirect()) {
                throw LitheException.of(Fault.INTERNAL, "a tensor is not in this machine's memory");
            }
            return MemorySegment.ofBuffer(memory).address();
        }
    }

    /// Writes what [#rawBytes] would return, without bringing it into Java's memory.
    public void writeTo(WritableByteChannel channel) throws IOException {
        if (elements() == 0) {
            return;
        }
        try (var step = TensorScope.open();
                NDArray array = step.call("as_bytes", this).handle.toTensor(step.manager())) {
            ByteBuffer memory = array.toByteBuffer(true);
            while (memory.hasRemaining()) {
                int _ = channel.write(memory);
            }
        }
    }

    /// A number that a kernel returned as int.
    public long integer() {
        return handle.toLong();
    }

    /// A truth that a kernel returned as bool.
    public boolean flag() {
        return handle.toBoolean();
    }

    /// A number that a kernel returned as float.
    public double number() {
        return handle.toDouble();
    }

    /// The members of a tuple or list; they belong to the same scope.
    public List<Value> members() {
        IValue[] parts = handle.isTuple() ? handle.toIValueTuple() : handle.toIValueArray();
        return Arrays.stream(parts).map(scope::own).toList();
    }
}
