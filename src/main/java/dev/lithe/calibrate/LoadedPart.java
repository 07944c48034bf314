package dev.lithe.calibrate;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DecoderBlock;
import dev.lithe.model.EmbeddingTable;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Norm;
import dev.lithe.model.NormScales;
import dev.lithe.model.Part;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A part of a model in hand while it is compressed: its linears and norms as they are by now, and
/// what the calibration windows show at its inputs.
///
/// Norms are float32 (d). Streams come in pieces (B, T, d) float32 of a few windows; they must not
/// be written to.
public final class LoadedPart implements AutoCloseable {
    private final ModelSpec spec;
    private final Part part;
    private final @Nullable SequentialPass pass;
    private final TensorScope scope = TensorScope.open();
    private final Map<LinearName, Linear> linears = new HashMap<>();
    private final Map<LinearName, String> troubles = new HashMap<>();
    private final Map<Norm, Value> norms = new EnumMap<>(Norm.class);

    /// Sees what linears read.
    @FunctionalInterface
    public interface InputVisitor {
        /// `x`, (B, T, K) float32, is valid until `step` closes and must not be written to.
        void see(Value x, TensorScope step);
    }

    /// `part` without values yet.
    ///
    /// @param pass carries calibration windows; null where no stage looks at data
    public LoadedPart(ModelSpec spec, Part part, @Nullable SequentialPass pass) {
        this.spec = spec;
        this.part = part;
        this.pass = pass;
    }

    /// Takes its values from `source`, as they are stored.
    public void load(LinearReader reader, Checkpoint source) {
        try (var step = TensorScope.open()) {
            part.linears().forEach(name -> set(name, reader.read(name, step)));
            part.norms()
                    .forEach((norm, name) ->
                            setNorm(norm, NormScales.read(spec, source, name, step)));
        }
    }

    /// Shapes of the whole model.
    public ModelSpec spec() {
        return spec;
    }

    /// Names.
    public Part part() {
        return part;
    }

    /// The linear called `name`, as it is by now.
    public Linear linear(LinearName name) {
        Linear linear = linears.get(name);
        if (linear == null) {
            throw LitheException.of(Fault.INTERNAL, "'%s' is not loaded", name.module());
        }
        return linear;
    }

    /// The linears of `slot`, as they are by now.
    public List<Linear> linears(Slot slot) {
        return part.linears(slot).stream().map(this::linear).toList();
    }

    /// Replaces a linear; its tensors are kept as long as the part.
    public void set(LinearName name, Linear linear) {
        linears.put(name, linear.kept(scope));
    }

    /// Notes what went other than configured with `name`, if anything did.
    public void note(LinearName name, @Nullable String trouble) {
        if (trouble != null) {
            troubles.put(name, trouble);
        }
    }

    /// What was noted of `name`; null where nothing was.
    public @Nullable String trouble(LinearName name) {
        return troubles.get(name);
    }

    /// The norm that scales the input of `slot`.
    public Value norm(Slot slot) {
        return norm(Norm.before(slot));
    }

    /// The scale of a norm, 1 added where its stored form lacks it.
    public Value norm(Norm norm) {
        Value scale = norms.get(norm);
        if (scale == null) {
            throw LitheException.of(Fault.INTERNAL, "no norm %s is loaded", norm);
        }
        return scale;
    }

    /// All of them.
    public Map<Norm, Value> norms() {
        return new EnumMap<>(norms);
    }

    /// Replaces the norm that scales the input of `slot`; kept as long as the part.
    public void setNorm(Slot slot, Value scale) {
        setNorm(Norm.before(slot), scale);
    }

    /// Replaces the scale of a norm; kept as long as the part.
    public void setNorm(Norm norm, Value scale) {
        norms.put(norm, scope.call("to_float", scale));
    }

    /// What the embedding as it is by now makes of ids; it lives in `into`.
    public EmbeddingTable table(TensorScope into) {
        LinearName first = part.linears().getFirst();
        return table(first, linear(first), into);
    }

    /// The same with `by` in the place of `changed`.
    EmbeddingTable table(LinearName changed, Linear by, TensorScope into) {
        List<Linear> tables =
                part.linears().stream()
                        .map(name -> name.equals(changed) ? by : linear(name))
                        .toList();
        return new EmbeddingTable(
                spec, tables.getFirst(), tables.size() == 1 ? null : tables.getLast(), into);
    }

    /// The block as it is by now, ready to run; it lives in `into`.
    public DecoderBlock runnable(TensorScope into) {
        var block = new DecoderBlock(spec, part.block(), norms, into);
        part.slots().forEach(slot -> block.add(linears(slot)));
        return block;
    }

    /// The same with `by` in the place of `changed`.
    DecoderBlock runnable(LinearName changed, Linear by, TensorScope into) {
        var block = new DecoderBlock(spec, part.block(), norms, into);
        for (Slot slot : part.slots()) {
            block.add(
                    part.linears(slot).stream()
                            .map(name -> name.equals(changed) ? by : linear(name))
                            .toList());
        }
        return block;
    }

    /// What the windows show at the input of `slot` when the slots before it are as they are by
    /// now.
    ///
    /// @param into owns the result
    public InputStatistics statistics(Slot slot, TensorScope into) {
        return pass().statistics(this, slot, into);
    }

    /// Shows `visitor`, piece by piece, what the linears of `slot` read when the slots before it
    /// are as they are by now; the embedding reads nothing.
    public void show(Slot slot, InputVisitor visitor) {
        pass().show(this, slot, visitor);
    }

    /// How many tokens the windows have.
    public long tokens() {
        return inputs().stream().mapToLong(x -> (long) x.size(0) * x.size(1)).sum();
    }

    /// The stream before this block, in the model as compressed so far.
    public List<Value> inputs() {
        return pass().inputs();
    }

    /// The stream after this block in the original model: what the block should make of [#inputs],
    /// whatever the blocks before it lost.
    public List<Value> targets() {
        return pass().targets();
    }

    private SequentialPass pass() {
        if (pass == null) {
            throw LitheException.of(
                    Fault.INTERNAL, "a stage without calibration asks for what windows show");
        }
        return pass;
    }

    @Override
    public void close() {
        scope.close();
    }
}
