package dev.lithe.tensor;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/// What a [NativeModel] is made of, added slot by slot, in the order in which data passes it. What
/// is borrowed must outlive the model.
public final class NativeModelBuilder {
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
                                INT, LONG, LONG, INT, LONG, LONG, LONG, INT, INT, LONG, LONG,
                                LONG));
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
    }

    /// Where [#readsFactor] leaves the linear's outputs beside those of the others.
    public static final long OWN_COLUMNS = -1;

    private static final int SLOTS_OF_LAYER = 4;

    private final long model;
    private final long layers;

    /// A model without weights: d, f, L, h, g, hd and V as in [Shape].
    public NativeModelBuilder(Shape shape) {
        this.layers = shape.layers();
        this.model =
                NativeCall.value(() ->
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
                                        shape.logitCap()));
        if (model == 0) {
            throw NativeCall.shortOfMemory();
        }
    }

    /// The model, to which slots may still be added; asked for once, since who closes it frees it.
    public NativeModel model(Instructions instructions) {
        return new NativeModel(model, instructions);
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
        NativeCall.run(() -> {
            Functions.EXPERTS.invokeExact(model, (long) count, (long) active);
        });
    }

    /// Makes queries see, besides their own page of so many positions, the `pages` best before it,
    /// 0 for all; in layers from `dense` on that have no window.
    public void pages(int page, int pages, int dense) {
        NativeCall.run(() -> {
            Functions.PAGES.invokeExact(model, (long) page, (long) pages, (long) dense);
        });
    }

    /// Sets the scale of a norm, (d) or (hd) float32, which is copied: six of each layer, then the
    /// last.
    public void norm(int index, Value scale) {
        NativeCall.require(() ->
                (int)
                        Functions.NORM.invokeExact(
                                model, (long) index, scale.address(), scale.elements()));
    }

    /// Makes a layer see only so many positions, its own included.
    public void window(int layer, int positions) {
        NativeCall.run(() -> {
            Functions.WINDOW.invokeExact(model, (long) layer, (long) positions);
        });
    }

    /// Sets the table of embeddings, (V, d), which is borrowed; of bytes with the scale and shift
    /// (V, groups) of each group of a row.
    public void embedding(Value table, @Nullable Value scale, @Nullable Value shift) {
        int kind = (scale == null ? kindOf(table) : Kind.CODES).ordinal();
        int signed = table.dtype() == DType.I8 ? 1 : 0;
        long groups = scale == null ? 1 : scale.size(1);
        NativeCall.run(() -> {
            Functions.EMBEDDING.invokeExact(
                    model, kind, signed, table.address(), at(scale), at(shift), groups);
        });
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

    /// How float weights lie; the order is that of `lithe.h`.
    public enum Layout {
        /// As in the checkpoint, (N, K).
        AS_STORED,
        /// Input by input in a single panel, for a slot with a threshold: an input that counts as 0
        /// costs no reading of weights. Copied only, as the next.
        ONE_PANEL,
        /// In narrow panels, for short rows.
        NARROW_PANELS
    }

    /// Adds outputs to a slot: float weights (N, K), their scale per output (N) and their bias (N),
    /// both float32.
    public void floats(
            int slot,
            Value weight,
            Layout layout,
            Memory memory,
            @Nullable Value scale,
            @Nullable Value bias) {
        NativeCall.require(() ->
                (int)
                        Functions.FLOATS.invokeExact(
                                model,
                                (long) slot,
                                kindOf(weight).ordinal(),
                                (long) weight.size(0),
                                (long) weight.size(1),
                                weight.address(),
                                layout.ordinal(),
                                memory == Memory.BORROWED ? 0 : 1,
                                memory == Memory.COPIED_ONCE ? weight.address() : 0L,
                                at(scale),
                                at(bias)));
    }

    /// Makes inputs of a slot that are smaller than `least` count as 0, in tokens at positions from
    /// `from` on.
    public void threshold(int slot, double least, int from) {
        NativeCall.run(() -> {
            Functions.THRESHOLD.invokeExact(model, (long) slot, (float) least, (long) from);
        });
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
        NativeCall.require(() ->
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
                                at(bias)));
    }

    /// The place of the linears that read what `slot` reads, and whose outputs, side by side,
    /// others of the slot read in its place.
    public int factorSlot(int slot) {
        return Math.toIntExact(slot + SLOTS_OF_LAYER * layers + 1);
    }

    /// Makes the linear that was added to `slot` last read the outputs from `from` of its factor
    /// slot on, and with `onto` add its own to those that the slot has from that column on.
    public void readsFactor(int slot, long from, long onto) {
        NativeCall.run(() -> {
            Functions.FACTOR.invokeExact(model, (long) slot, from, onto);
        });
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

    private static long at(@Nullable Value value) {
        return value == null ? 0 : value.address();
    }
}
