package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeModel;
import dev.lithe.tensor.NativeModel.Memory;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The forward pass by the kernels of `src/main/c`, which read weights as they are stored: floats
/// where the checkpoint's mapped file has them, and integers as codes, laid out for the kernel in a
/// copy that replaces libtorch's. The same kernels run one token and many, so that nothing is held
/// twice and no result of a token depends on how many others were computed with it.
///
/// Why it exists: libtorch's kernels for one row read quantized weights at a quarter to two thirds
/// of the memory's speed, and its operations between the linears take a fifth of a step.
///
/// Inputs of integer weights are rounded to a byte per token where the form says so; for other
/// integers to one byte per group up to 4 bits, and to two bytes above, where a group is long, and
/// in the output layer, so that the input's rounding stays far below the weights'.
final class NativeForward implements Forward {
    /// Sums of products of bytes stay within 32 bits up to this many.
    private static final long LONGEST_GROUP = 65_536;

    /// Longest group whose inputs one byte each describes well enough for 4-bit weights.
    private static final int LONGEST_ONE_BYTE_GROUP = 128;

    /// Bits of a weight, at most, that one byte per input goes with.
    private static final int FEW_BITS = 4;

    private static final int SLOTS_OF_BLOCK = 4;

    /// Outputs that the kernels compute together.
    private static final int OUTPUTS = 16;

    /// How float weights lie for the kernels: as in the checkpoint; in a single panel, input by
    /// input, where inputs of small magnitude count as 0 and cost nothing; or in narrow panels, for
    /// short rows.
    private enum Layout {
        ROWS,
        ONE_PANEL,
        PANELS
    }

    private final ModelSpec spec;
    private final TensorScope scope;
    private final NativeModel model;
    private final String instructions;
    private final Map<String, Integer> kernels = new TreeMap<>();
    private int slot;

    /// Where the model takes what is added: the slot, or its first factors.
    private int place;

    /// How float weights of what is added lie.
    private Layout layout = Layout.ROWS;

    private long borrowed;
    private final Set<Long> read = new HashSet<>();

    /// A model without linears. It lives in `scope`, as the tensors that it reads must.
    ///
    /// @param norms scales (d) float32, in the order in which data passes them
    NativeForward(
            ModelSpec spec,
            Instructions instructions,
            Value norms,
            EmbeddingTable embedding,
            TensorScope scope) {
        this(spec, instructions, scope);
        List<Value> scales = norms.members();
        for (int i = 0; i < scales.size(); i++) {
            if (scales.get(i).elements() > 0) {
                model.norm(i, scales.get(i));
            }
        }
        for (int layer = 0; layer < spec.layers(); layer++) {
            model.window(layer, spec.windows().get(layer));
        }
        lookUpIn(embedding);
    }

    /// A model without norms and embedding, whose slots can be run one by one.
    NativeForward(ModelSpec spec, Instructions instructions, TensorScope scope) {
        this.spec = spec;
        this.scope = scope;
        this.instructions = instructions.label();
        BlockStyle style = spec.style();
        this.model =
                new NativeModel(
                        new NativeModel.Shape(
                                spec.hiddenSize(),
                                spec.intermediateSize(),
                                spec.layers(),
                                spec.heads(),
                                spec.kvHeads(),
                                spec.headDim(),
                                spec.vocabSize(),
                                spec.rotaryWidth() / 2,
                                spec.sparseAttention().sinks(),
                                spec.sparseAttention().window(),
                                style.activation().ordinal(),
                                (float) spec.normEpsilon(),
                                (float) style.embeddingScale(),
                                (float) style.attentionScale(),
                                (float) style.attentionCap(),
                                (float) style.logitCap()),
                        instructions);
        scope.onClose(model);
        model.experts(spec.experts().count(), spec.experts().active());
        PageAttention chosen = spec.pageAttention();
        model.pages(chosen.page(), chosen.pages(), chosen.dense());
    }

    /// Whether it can run a model: float keys and values, rotated ones, no heavy hitters, norms
    /// without biases, and linears in forms that it reads.
    static boolean takes(ModelSpec spec, LinearReader reader) {
        return spec.kvCache().equals(KvCacheForm.FLOAT)
                && spec.sparseAttention().heavy() == 0
                && takesExperts(spec, reader)
                && !spec.style().layerNorms()
                && !spec.style().learnedPositions()
                && Architecture.parts(spec).stream()
                        .flatMap(part -> part.linears().stream())
                        .allMatch(name -> takes(reader.form(name), name.inFeatures()));
    }

    /// Experts must be whole blocks of outputs, and their scores there before what reads them.
    private static boolean takesExperts(ModelSpec spec, LinearReader reader) {
        return !spec.experts().any()
                || spec.intermediateSize() / spec.experts().count() % OUTPUTS == 0
                        && Architecture.linears(spec).stream()
                                .filter(LinearName::routes)
                                .noneMatch(name -> reader.form(name) instanceof LinearForm.LowRank);
    }

    static boolean takes(LinearForm form, long inFeatures) {
        return switch (form) {
            case LinearForm.LowRank factors ->
                    (factors.base() == null || takes(factors.base(), inFeatures))
                            && takes(factors.right(), inFeatures)
                            && takes(factors.left(), factors.rank());
            case LinearForm.Shared shared -> takes(shared.of(), inFeatures);
            case LinearForm.Dense _, LinearForm.Codebook _, LinearForm.Masked _ -> true;
            case LinearForm.Int8 _ -> inFeatures <= LONGEST_GROUP;
            case LinearForm.Float8 float8 -> !float8.dynamicActivations();
            case LinearForm.Grouped grouped ->
                    (grouped.groupSize() == 0 ? inFeatures : grouped.groupSize()) <= LONGEST_GROUP;
        };
    }

    private void lookUpIn(EmbeddingTable embedding) {
        List<Value> tables = embedding.tables().members();
        if (tables.size() > 1) {
            model.embedding(tables.get(0), tables.get(1), tables.get(2));
        } else if (tables.getFirst().dtype() == DType.F64) {
            model.embedding(scope.call("to_float", tables.getFirst()), null, null);
        } else {
            model.embedding(tables.getFirst(), null, null);
        }
    }

    @Override
    public void addSlot(List<Linear> linears) {
        double least = threshold();
        if (spec.experts().any() && slot % SLOTS_OF_BLOCK == SLOTS_OF_BLOCK - 1) {
            least = Math.max(least, Float.MIN_NORMAL); // what experts that do not run leave is 0
        }
        Layout reading = least > 0 ? Layout.ONE_PANEL : Layout.ROWS;
        model.threshold(slot, least, spec.thresholds().densePositions());
        long column = 0;
        long factors = 0;
        List<Runnable> beside = new ArrayList<>();
        for (Linear linear : linears) {
            try (var step = TensorScope.open()) {
                Linear stored = linear instanceof Linear.Shared shared ? shared.of() : linear;
                Value bias = bias(linear, step);
                if (stored instanceof Linear.LowRank two) {
                    place = model.factorSlot(slot);
                    layout = reading;
                    add(two.right(), null, step);
                    place = slot;
                    long from = factors;
                    long onto = column;
                    if (two.base() == null) {
                        layout = Layout.PANELS; // its rows are short
                        add(two.left(), bias, step);
                        model.readsFactor(slot, from, NativeModel.OWN_COLUMNS);
                    } else {
                        add(two.base(), bias, step);
                        // behind all that writes what they add to
                        beside.add(() -> addBeside(two.left(), from, onto));
                    }
                    factors += (two.form().rank() + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
                } else {
                    place = slot;
                    layout = reading;
                    add(stored, bias, step);
                }
                column += stored.outFeatures();
            }
            kernels.merge(linear.form().label() + " (" + instructions + ")", 1, Integer::sum);
        }
        layout = Layout.PANELS;
        beside.forEach(Runnable::run);
        slot++;
    }

    private double threshold() {
        return slot < SLOTS_OF_BLOCK * spec.layers()
                ? spec.thresholds().of(slot / SLOTS_OF_BLOCK).get(slot % SLOTS_OF_BLOCK)
                : 0;
    }

    private void addBeside(Linear left, long from, long onto) {
        try (var step = TensorScope.open()) {
            add(left, null, step);
            model.readsFactor(slot, from, onto);
        }
    }

    private static @Nullable Value bias(Linear linear, TensorScope step) {
        return linear.bias() == null ? null : step.call("to_float", linear.bias());
    }

    private void add(Linear linear, @Nullable Value bias, TensorScope step) {
        switch (linear) {
            case Linear.Shared shared -> add(shared.of(), bias, step);
            case Linear.LowRank _ ->
                    throw LitheException.of(
                            Fault.INTERNAL, "a factor of a linear is a product of factors");
            case Linear.Dense dense -> addDense(dense.weight(), bias);
            case Linear.Int8 int8 -> addInt8(int8, bias, step);
            case Linear.Float8 float8 -> {
                Value weight = step.call("cast", float8.weight(), DType.F16.code());
                long rows = weight.size(0);
                Value scale = step.call("scale_of_rows", float8.scale(), rows);
                model.floats(place, weight, Memory.COPIED, scale, bias);
            }
            case Linear.Codebook _, Linear.Masked _ ->
                    addExpanded(DenseWeights.of(linear, step), bias, step);
            case Linear.Grouped grouped -> addGrouped(grouped, bias, step);
        }
    }

    /// Weights stay where the checkpoint has them, unless they lie otherwise or are those of first
    /// factors: these are thin, and a copy lies in large pages.
    private void addDense(Value weight, @Nullable Value bias) {
        Value kept = scope.keep(weight);
        Value readable = kept.dtype() == DType.F64 ? scope.call("to_float", kept) : kept;
        if (layout != Layout.ROWS || place != slot) {
            addCopy(readable, Memory.COPIED_ONCE, bias);
            return;
        }
        model.floats(place, readable, Memory.BORROWED, null, bias);
        if (read.add(readable.address())) {
            borrowed += readable.bytes(); // once, though several linears may read it
        }
    }

    /// As float16 where none is too large for it.
    private void addExpanded(Value weight, @Nullable Value bias, TensorScope step) {
        boolean fits = step.call("count_overflow", weight, DType.F16.code()).integer() == 0;
        Value stored = fits ? step.call("cast", weight, DType.F16.code()) : weight;
        addCopy(stored, Memory.COPIED, bias);
    }

    private void addCopy(Value weight, Memory memory, @Nullable Value bias) {
        if (layout == Layout.ROWS) {
            model.floats(place, weight, memory, null, bias);
        } else {
            model.panels(place, weight, layout == Layout.PANELS, memory, bias);
        }
    }

    private void addInt8(Linear.Int8 linear, @Nullable Value bias, TensorScope step) {
        Value weight = linear.weight();
        int n = weight.size(0);
        int k = weight.size(1);
        int planes = linear.form().dynamicActivations() ? 1 : 2;
        Value scale = step.call("to_float", linear.scale());
        model.codes(
                place,
                new NativeModel.Codes(weight, Byte.SIZE, n, k, k, planes, scale, null),
                bias);
    }

    private void addGrouped(Linear.Grouped linear, @Nullable Value bias, TensorScope step) {
        long[] shape = linear.shape().longs();
        LinearForm.Grouped form = linear.form();
        long group = form.groupSize() == 0 ? shape[1] : form.groupSize();
        boolean output = slot == SLOTS_OF_BLOCK * spec.layers();
        int planes = form.bits() <= FEW_BITS && group <= LONGEST_ONE_BYTE_GROUP && !output ? 1 : 2;
        Value scale = step.call("to_float", linear.scale());
        Value zero =
                form.symmetric() ? null : step.call("to_float", DenseWeights.zero(linear, step));
        var codes =
                new NativeModel.Codes(
                        linear.packed(),
                        form.bits(),
                        shape[0],
                        shape[1],
                        group,
                        planes,
                        scale,
                        zero);
        model.codes(place, codes, bias);
    }

    @Override
    public Map<String, Integer> kernels() {
        return Map.copyOf(kernels);
    }

    @Override
    public long bytes() {
        return model.bytes() + borrowed;
    }

    @Override
    public Value forward(
            Value ids,
            int position,
            KvCache cache,
            boolean allPositions,
            Angles angles,
            TensorScope into) {
        int batch = ids.size(0);
        var rows = Rows.of(ids.longs(), batch, position, cache, allPositions, spec, angles);
        long[] shape = {batch, rows.wanted() / batch, spec.vocabSize()};
        Value logits = into.call("empty", shape);
        run(rows, 0, spec.layers(), null, logits, angles);
        return logits;
    }

    @Override
    public float[] next(int[] ids, int position, KvCache cache, Angles angles) {
        long[] tokens = Arrays.stream(ids).asLongStream().toArray();
        var rows = Rows.of(tokens, 1, position, cache, false, spec, angles);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment logits = arena.allocate(ValueLayout.JAVA_FLOAT, spec.vocabSize());
            run(rows, 0, spec.layers(), null, logits.address(), angles, arena);
            return logits.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Override
    public Value extend(Pieces pieces, boolean allPositions, Angles angles, TensorScope into) {
        var rows = Rows.of(pieces, allPositions, spec, angles);
        Value logits = into.call("empty", new long[] {rows.wanted(), spec.vocabSize()});
        run(rows, 0, spec.layers(), null, logits, angles);
        return logits;
    }

    @Override
    public Value runBlocks(
            Value x, int first, int end, Pieces pieces, Angles angles, TensorScope into) {
        run(Rows.of(pieces, false, spec, angles), first, end, x, null, angles);
        return into.keep(x);
    }

    @Override
    public Value head(Value x, Pieces pieces, Angles angles, TensorScope into) {
        var rows = Rows.of(pieces, false, spec, angles);
        Value logits = into.call("empty", new long[] {rows.wanted(), spec.vocabSize()});
        run(rows, spec.layers(), spec.layers(), x, logits, angles);
        return logits;
    }

    /// One slot alone: x (rows, K) to y (rows, N).
    Value project(int index, Value x, long outputs, TensorScope into) {
        Value y = into.call("empty", new long[] {x.size(0), outputs});
        model.project(index, x, y);
        return y;
    }

    private void run(
            Rows rows,
            int first,
            int end,
            @Nullable Value x,
            @Nullable Value logits,
            Angles angles) {
        try (Arena arena = Arena.ofConfined()) {
            long to = logits == null ? 0 : logits.address();
            run(rows, first, end, x, to, angles, arena);
        }
    }

    private void run(
            Rows rows,
            int first,
            int end,
            @Nullable Value x,
            long logits,
            Angles angles,
            Arena arena) {
        model.step(
                first,
                end,
                arena.allocateFrom(ValueLayout.JAVA_LONG, rows.longs()),
                rows.count(),
                x,
                angles.cos(),
                angles.sin(),
                angles.stride(),
                logits);
    }
}
