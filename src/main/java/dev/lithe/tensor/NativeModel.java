package dev.lithe.tensor;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/// A decoder in `src/main/c`: weights are added slot by slot, in the order in which data passes
/// them, and then it reads tokens. What it borrows must outlive it.
public final class NativeModel implements AutoCloseable {
    /// How the elements of a table or of float weights are stored; the order is that of `lithe.h`.
    public enum Kind {
        FLOAT32,
        FLOAT16,
        BFLOAT16,
        CODES
    }

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

    private static final class Functions {
        static final MethodHandle NEW =
                NativeLibrary.function(
                        "lithe_model_new",
                        FunctionDescriptor.of(
                                LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG,
                                INT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT));
        static final MethodHandle EXPERTS =
                NativeLibrary.function(
                        "lithe_model_experts", FunctionDescriptor.ofVoid(LONG, LONG, LONG));
        static final MethodHandle PAGES =
                NativeLibrary.function(
                        "lithe_model_pages", FunctionDescriptor.ofVoid(LONG, LONG, LONG, LONG));
        static final MethodHandle FREE =
                NativeLibrary.function("lithe_model_free", FunctionDescriptor.ofVoid(LONG));
        static final MethodHandle BYTES =
                NativeLibrary.function("lithe_model_bytes", FunctionDescriptor.of(LONG, LONG));
        static final MethodHandle NORM =
                NativeLibrary.function(
                        "lithe_model_norm", FunctionDescriptor.of(INT, LONG, LONG, LONG, LONG));
        static final MethodHandle WINDOW =
                NativeLibrary.function(
                        "lithe_model_window", FunctionDescriptor.ofVoid(LONG, LONG, LONG));
        static final MethodHandle EMBEDDING =
                NativeLibrary.function(
                        "lithe_model_embedding",
                        FunctionDescriptor.ofVoid(LONG, INT, INT, LONG, LONG, LONG, LONG));
        static final MethodHandle FLOATS =
                NativeLibrary.function(
                        "lithe_model_floats",
                        FunctionDescriptor.of(
                                INT, LONG, LONG, INT, LONG, LONG, LONG, INT, LONG, LONG, LONG));
        static final MethodHandle PANELS =
                NativeLibrary.function(
                        "lithe_model_panels",
                        FunctionDescriptor.of(
                                INT, LONG, LONG, INT, LONG, LONG, LONG, INT, LONG, LONG));
        static final MethodHandle THRESHOLD =
                NativeLibrary.function(
                        "lithe_model_threshold",
                        FunctionDescriptor.ofVoid(LONG, LONG, FLOAT, LONG));
        static final MethodHandle CODES =
                NativeLibrary.function(
                        "lithe_model_codes",
                        FunctionDescriptor.of(
                                INT, LONG, LONG, LONG, LONG, LONG, INT, INT, LONG, LONG, INT, LONG,
                                LONG, LONG));
        static final MethodHandle FACTOR =
                NativeLibrary.function(
                        "lithe_model_factor", FunctionDescriptor.ofVoid(LONG, LONG, LONG, LONG));
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
    }

    /// Where [#readsFactor] leaves the linear's outputs beside those of the others.
    public static final long OWN_COLUMNS = -1;

    private static final int SLOTS_OF_LAYER = 4;

    private final long model;
    private final long layers;
    private final Instructions instructions;
    private final int threads = Torch.threads();
    private boolean closed;

    /// A model without weights: d, f, L, h, g, hd and V as in [Shape].
    public NativeModel(Shape shape, Instructions instructions) {
        this.instructions = instructions;
        this.layers = shape.layers();
        try {
            this.model =
                    (long)
                            Functions.NEW.invokeExact(
                                    shape.hiddenSize(),
                                    shape.intermediateSize(),
                                    shape.layers(),
                                    shape.heads(),
                                    shape.kvHeads(),
                                    shape.headDim(),
                                    shape.vocabSize(),
                                    shape.rotaryPairs(),
                                    shape.sinks(),
                                    shape.window(),
                                    shape.activation(),
                                    shape.normEpsilon(),
                                    shape.embeddingScale(),
                                    shape.attentionScale(),
                                    shape.attentionCap(),
                                    shape.logitCap());
        } catch (Throwable e) {
            throw failed(e);
        }
        require(model != 0);
    }

    /// What a decoder is made of, named as in `config.json`, and constants as in `lithe.h`.
    public record Shape(
            long hiddenSize,
            long intermediateSize,
            long layers,
            long heads,
            long kvHeads,
            long headDim,
            long vocabSize,
            long rotaryPairs,
            long sinks,
            long window,
            int activation,
            float normEpsilon,
            float embeddingScale,
            float attentionScale,
            float attentionCap,
            float logitCap) {}

    /// Makes the first outputs of what gate and up are in scores of so many experts, of which those
    /// `active` with the highest run.
    public void experts(int count, int active) {
        try {
            Functions.EXPERTS.invokeExact(model, (long) count, (long) active);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Makes queries see, besides their own page of so many positions, the `pages` best before it,
    /// 0 for all; in layers from `dense` on that have no window.
    public void pages(int page, int pages, int dense) {
        try {
            Functions.PAGES.invokeExact(model, (long) page, (long) pages, (long) dense);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Sets the scale of a norm, (d) or (hd) float32, which is copied: six of each layer, then the
    /// last.
    public void norm(int index, Value scale) {
        try {
            require(
                    (int)
                                    Functions.NORM.invokeExact(
                                            model, (long) index, scale.address(), scale.elements())
                            != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Makes a layer see only so many positions, its own included.
    public void window(int layer, int positions) {
        try {
            Functions.WINDOW.invokeExact(model, (long) layer, (long) positions);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Sets the table of embeddings, (V, d), which is borrowed; of bytes with the scale and shift
    /// (V, groups) of each group of a row.
    public void embedding(Value table, @Nullable Value scale, @Nullable Value shift) {
        int kind = (scale == null ? kindOf(table) : Kind.CODES).ordinal();
        int signed = table.dtype() == DType.I8 ? 1 : 0;
        long groups = scale == null ? 1 : scale.size(1);
        try {
            Functions.EMBEDDING.invokeExact(
                    model, kind, signed, table.address(), at(scale), at(shift), groups);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Whose memory float weights are read from.
    public enum Memory {
        /// The caller's, who keeps them as long as the model.
        BORROWED,
        /// The model's own; the caller may let go of them.
        COPIED,
        /// The model's own, once for all linears of the same weights, which the caller keeps.
        COPIED_ONCE
    }

    /// Adds outputs to a slot: float weights (N, K), their scale per output (N) and their bias (N),
    /// both float32.
    public void floats(
            int slot, Value weight, Memory memory, @Nullable Value scale, @Nullable Value bias) {
        try {
            int done =
                    (int)
                            Functions.FLOATS.invokeExact(
                                    model,
                                    (long) slot,
                                    kindOf(weight).ordinal(),
                                    (long) weight.size(0),
                                    (long) weight.size(1),
                                    weight.address(),
                                    memory == Memory.BORROWED ? 0 : 1,
                                    source(weight, memory),
                                    at(scale),
                                    at(bias));
            require(done != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// The same, copied to panels of outputs, input by input. A single one is for a slot with a
    /// threshold: an input that counts as 0 costs no reading of weights. Narrow ones are for short
    /// rows.
    public void panels(
            int slot, Value weight, boolean narrow, Memory memory, @Nullable Value bias) {
        try {
            int done =
                    (int)
                            Functions.PANELS.invokeExact(
                                    model,
                                    (long) slot,
                                    kindOf(weight).ordinal(),
                                    (long) weight.size(0),
                                    (long) weight.size(1),
                                    weight.address(),
                                    narrow ? 1 : 0,
                                    source(weight, memory),
                                    at(bias));
            require(done != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Makes inputs of a slot that are smaller than `least` count as 0, in tokens at positions from
    /// `from` on.
    public void threshold(int slot, double least, int from) {
        try {
            Functions.THRESHOLD.invokeExact(model, (long) slot, (float) least, (long) from);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Integer weights of N outputs and K inputs: `w = (u - 2^(b-1) - z) s`, where a group of a
    /// row's inputs shares s and z.
    ///
    /// @param codes rows of u, a little-endian bit stream each; or of int8, which are u - 128
    /// @param planes bytes that an activation is rounded to: 1, or 2
    /// @param scale (N, K / group) float32
    /// @param zero (N, K / group) float32, or null
    public record Codes(
            Value codes,
            int bits,
            long outputs,
            long inputs,
            long group,
            int planes,
            Value scale,
            @Nullable Value zero) {}

    /// Adds outputs to a slot; all is copied, the bias (N) float32 too.
    public void codes(int slot, Codes codes, @Nullable Value bias) {
        Value stored = codes.codes();
        DType type = stored.dtype();
        try {
            int done =
                    (int)
                            Functions.CODES.invokeExact(
                                    model,
                                    (long) slot,
                                    codes.outputs(),
                                    codes.inputs(),
                                    codes.group(),
                                    codes.bits(),
                                    codes.planes(),
                                    stored.address(),
                                    (long) stored.size(1) * type.bytes(),
                                    type == DType.I8 ? 1 << (codes.bits() - 1) : 0,
                                    codes.scale().address(),
                                    at(codes.zero()),
                                    at(bias));
            require(done != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// The place of the linears that read what `slot` reads, and whose outputs, side by side,
    /// others of the slot read in its place.
    public int factorSlot(int slot) {
        return Math.toIntExact(slot + SLOTS_OF_LAYER * layers + 1);
    }

    /// Makes the linear that was added to `slot` last read the outputs from `from` of its factor
    /// slot on, and with `onto` add its own to those that the slot has from that column on.
    public void readsFactor(int slot, long from, long onto) {
        try {
            Functions.FACTOR.invokeExact(model, (long) slot, from, onto);
        } catch (Throwable e) {
            throw failed(e);
        }
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
        try {
            int done =
                    (int)
                            Functions.STEP.invokeExact(
                                    model,
                                    instructions.ordinal(),
                                    threads,
                                    (long) first,
                                    (long) end,
                                    (long) count,
                                    rows.address(),
                                    at(x),
                                    cos.address(),
                                    sin.address(),
                                    local,
                                    logits);
            require(done != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Runs one slot: x (rows, K) to y (rows, N), both float32.
    public void project(int slot, Value x, Value y) {
        try {
            int done =
                    (int)
                            Functions.PROJECT.invokeExact(
                                    model,
                                    instructions.ordinal(),
                                    threads,
                                    (long) slot,
                                    (long) x.size(0),
                                    x.address(),
                                    y.address());
            require(done != 0);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    /// Bytes of memory that it holds, what it borrows aside.
    public long bytes() {
        try {
            return (long) Functions.BYTES.invokeExact(model);
        } catch (Throwable e) {
            throw failed(e);
        }
    }

    private static Kind kindOf(Value floats) {
        return kindOf(floats.dtype());
    }

    static Kind kindOf(DType floats) {
        return switch (floats) {
            case F32 -> Kind.FLOAT32;
            case F16 -> Kind.FLOAT16;
            case BF16 -> Kind.BFLOAT16;
            case U8, I8, I16, I32, I64, F64, BOOL, F8_E4M3 ->
                    throw LitheException.of(Fault.INTERNAL, "no native kernel reads %s", floats);
        };
    }

    private static long source(Value weight, Memory memory) {
        return memory == Memory.COPIED_ONCE ? weight.address() : 0;
    }

    private static long at(@Nullable Value value) {
        return value == null ? 0 : value.address();
    }

    private static void require(boolean done) {
        if (!done) {
            throw LitheException.of(
                    Fault.EXHAUSTED,
                    "memory is too short for the model's weights; free some or choose fewer bits");
        }
    }

    private static RuntimeException failed(Throwable e) {
        return e instanceof LitheException known
                ? known
                : LitheException.internal("a native kernel failed: " + e, e);
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            Functions.FREE.invokeExact(model);
        } catch (Throwable e) {
            throw failed(e);
        }
    }
}
