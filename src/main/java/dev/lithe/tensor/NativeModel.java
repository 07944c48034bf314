package dev.lithe.tensor;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/// A decoder in `src/main/c`, which reads tokens. [NativeModelBuilder] makes it.
public final class NativeModel implements AutoCloseable {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

    private static final class Functions {
        static final MethodHandle STEP =
                NativeLibrary.function(
                        "lithe_step",
                        FunctionDescriptor.of(
                                INT, LONG, INT, INT, LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG,
                                LONG));
        static final MethodHandle PROJECT =
                NativeLibrary.function(
                        "lithe_project",
                        FunctionDescriptor.of(INT, LONG, INT, INT, LONG, LONG, LONG, LONG));
        static final MethodHandle BYTES =
                NativeLibrary.function("lithe_model_bytes", FunctionDescriptor.of(LONG, LONG));
        static final MethodHandle FREE =
                NativeLibrary.function("lithe_model_free", FunctionDescriptor.ofVoid(LONG));
    }

    private final long model;
    private final Instructions instructions;
    private final int threads = Torch.threads();
    private boolean closed;

    NativeModel(long model, Instructions instructions) {
        this.model = model;
        this.instructions = instructions;
    }

    /// Takes tokens through the blocks from `first` to before `end`.
    ///
    /// @param rows of ten longs each, as `Row` in `lithe.h`
    /// @param x (rows, d) what they are after the blocks before, and receives what these make of
    ///   them; null to look them up
    /// @param cos the cosines of rotary angles, (tables, S, pairs) float32, and `sin` alike
    /// @param local numbers from one table to the next, which is that of layers with a window
    /// @param logits where (wanted rows, V) float32 are to be, or 0 for none
    public void step(
            int first,
            int end,
            MemorySegment rows,
            int count,
            @Nullable Value x,
            Value cos,
            Value sin,
            long local,
            long logits) {
        NativeCall.require(() ->
                (int)
                        Functions.STEP.invokeExact(
                                model,
                                instructions.ordinal(),
                                threads,
                                (long) first,
                                (long) end,
                                (long) count,
                                rows.address(),
                                x == null ? 0L : x.address(),
                                cos.address(),
                                sin.address(),
                                local,
                                logits));
    }

    /// Runs one slot: x (rows, K) to y (rows, N), both float32.
    public void project(int slot, Value x, Value y) {
        NativeCall.require(() ->
                (int)
                        Functions.PROJECT.invokeExact(
                                model,
                                instructions.ordinal(),
                                threads,
                                (long) slot,
                                (long) x.size(0),
                                x.address(),
                                y.address()));
    }

    /// Bytes of memory that it holds, what it borrows aside.
    public long bytes() {
        return NativeCall.value(() -> (long) Functions.BYTES.invokeExact(model));
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        NativeCall.run(() -> {
            Functions.FREE.invokeExact(model);
        });
    }
}
