package dev.lithe.compress;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.compress.Plan.PlannedLinear;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.technique.Effort;
import dev.lithe.tensor.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What carrying out a plan takes, estimated before any work.
///
/// @param resultBytes tensors that will be written
/// @param memoryBytes the most anonymous memory at a time, besides what Java and libtorch take when
///   they start; the model's mapped file is not counted, since the system can drop it
/// @param diskBytes the most on disk at a time, the result included
/// @param spills whether the windows' streams go to files, because they are large for this machine
/// @param operations of each stage and of what lies between, by its name, as in
///   [dev.lithe.technique.WeightTechnique#operations]
public record Cost(
        long resultBytes,
        long memoryBytes,
        long diskBytes,
        boolean spills,
        Map<String, Double> operations) {
    private static final String WINDOWS = "windows";
    private static final String DISK = "disk";

    /// Streams larger than this share of the machine's memory go to files.
    private static final int SPILL_SHARE = 4;

    /// Java's own heap as it fills, and buffers on the way to the disk.
    private static final long FIXED_BYTES = 27L << 20;

    /// What lies freed between libtorch's blocks where windows run through the model.
    private static final long FREED_BYTES = 33L << 20;

    /// Floats per weight of the block that windows run through, at most: float32.
    private static final long RUNNING_BYTES = 4;

    /// Operations of a matrix product in the time that a byte takes to or from the disk, hashed.
    private static final double BYTE = 150;

    /// Share of the rate of a large product that a block's many smaller ones reach.
    private static final double BLOCK_RATE = 0.5;

    /// Of carrying out `plan`, which was made from `source`.
    public static Cost of(
            Plan plan, Checkpoint source, @Nullable CalibrationSet set, Machine machine) {
        return of(plan, source.tensorBytes(), set, machine);
    }

    /// Of carrying out `plan` on a model whose tensors are `sourceBytes` large.
    static Cost of(Plan plan, long sourceBytes, @Nullable CalibrationSet set, Machine machine) {
        long result = plan.bytes();
        long streams = set == null ? 0 : streamBytes(plan, set);
        boolean spills = streams > machine.memoryBytes() / SPILL_SHARE;
        long memory = FIXED_BYTES + (set == null ? 0 : FREED_BYTES) + (spills ? 0 : streams);
        long largest = 0;
        for (Part part : Architecture.parts(plan.spec())) {
            largest = Math.max(largest, workingBytes(plan, part, set));
        }
        Map<String, Double> operations = new LinkedHashMap<>();
        if (set != null) {
            operations.put(WINDOWS, windows(plan, set) / BLOCK_RATE);
        }
        for (Stage<?> stage : plan.recipe().stages()) {
            for (PlannedLinear linear : plan.linears()) {
                operations.merge(stage.name(), stage.operations(linear.name()), Double::sum);
            }
        }
        operations.put(DISK, BYTE * (sourceBytes + 2.0 * result));
        // the spool and the assembled files
        long disk = 2 * result + (spills ? streams : 0);
        return new Cost(result, memory + largest, disk, spills, operations);
    }

    /// Of a stage that takes the model as a whole.
    ///
    /// @param resultBytes tensors that it writes
    static Cost of(String stage, Effort effort, long resultBytes) {
        return new Cost(
                resultBytes,
                FIXED_BYTES + FREED_BYTES + effort.memoryBytes(),
                resultBytes + effort.diskBytes(),
                false,
                Map.of(stage, effort.operations()));
    }

    private static long streamBytes(Plan plan, CalibrationSet set) {
        return SequentialPass.bytes(
                set.samples(), set.context(), plan.spec(), plan.recipe().needsTargets());
    }

    /// The most that `part` takes at a time.
    private static long workingBytes(Plan plan, Part part, @Nullable CalibrationSet set) {
        boolean block = part.kind() == Part.Kind.BLOCK;
        long step = set != null && block ? SequentialPass.stepBytes(plan.spec(), set.context()) : 0;
        long held = 0; // in the form that is written
        long running = 0;
        long most = 0;
        long weights = part.linears().stream().mapToLong(LinearName::weights).sum();
        for (Stage<?> stage : plan.recipe().stages()) {
            most = Math.max(most, stage.bytesPerWeight() * weights);
        }
        for (LinearName name : part.linears()) {
            PlannedLinear linear = plan.linear(name);
            if (set != null || !linear.unchanged()) {
                held += linear.last().bytes(name.outFeatures(), name.inFeatures());
            }
            long working = 0;
            for (Stage<?> stage : plan.recipe().stages()) {
                working = Math.max(working, stage.workingBytes(name));
            }
            long hessian =
                    set == null ? 0 : (long) Float.BYTES * name.inFeatures() * name.inFeatures();
            long here = held + intermediate(linear) + running + hessian + Math.max(working, step);
            most = Math.max(most, here);
            if (set != null && block) {
                running += runningBytes(linear.last()) * name.weights();
            }
        }
        return Math.max(most, held + running + step);
    }

    /// A dense form between stages is held as well.
    private static long intermediate(PlannedLinear linear) {
        long bytes = 0;
        for (int i = 1; i < linear.forms().size() - 1; i++) {
            LinearForm form = linear.forms().get(i);
            if (form instanceof LinearForm.Dense && !form.equals(linear.forms().getFirst())) {
                bytes = form.bytes(linear.name().outFeatures(), linear.name().inFeatures());
            }
        }
        return bytes;
    }

    private static long runningBytes(LinearForm form) {
        return form instanceof LinearForm.Dense dense ? dense.dtype().bytes() : RUNNING_BYTES / 2;
    }

    /// Operations of carrying the windows along: what is before a slot runs again for each slot
    /// whose input is looked at.
    private static double windows(Plan plan, CalibrationSet set) {
        ModelSpec spec = plan.spec();
        double tokens = (double) set.samples() * set.context();
        double operations = 0;
        for (LinearName name : Architecture.linears(spec)) {
            int times =
                    switch (name.slot()) {
                        case QKV -> 3;
                        case O, GATE_UP -> 2;
                        case DOWN -> 1;
                        case LM_HEAD, EMBEDDING -> 0;
                    };
            operations += 2 * tokens * times * name.weights();
        }
        double attention = 4.0 * set.context() * spec.heads() * spec.headDim();
        operations += 3 * tokens * spec.attentionBlocks() * attention;
        for (Part part : Architecture.parts(spec)) {
            for (Slot slot : part.slots()) {
                double k = part.linears(slot).getFirst().inFeatures();
                operations += slot == Slot.EMBEDDING ? 0 : 2 * tokens * k * k;
            }
        }
        return operations;
    }

    /// Seconds that each stage, and what lies between, will take on this machine.
    public Map<String, Double> seconds() {
        double rate = Machine.productRate();
        Map<String, Double> seconds = new LinkedHashMap<>();
        operations.forEach((name, count) -> seconds.put(name, count / rate));
        return seconds;
    }

    /// Seconds of all.
    public double totalSeconds() {
        return seconds().values().stream().mapToDouble(Double::doubleValue).sum();
    }

    /// Refuses what cannot fit into the memory of `machine` or on the disk that holds `output`.
    public void requireRoom(Path output, Machine machine) {
        Path existing = output.toAbsolutePath();
        while (!Files.exists(existing) && existing.getParent() != null) {
            existing = existing.getParent();
        }
        try {
            long free = Files.getFileStore(existing).getUsableSpace();
            long needed = diskBytes - CheckpointWriter.bytesLeft(output);
            if (free < needed) {
                throw LitheException.badInput(
                        "%s has %d MB free, this recipe needs %d MB; choose another --output",
                        existing, free >> 20, needed >> 20);
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be written: %s", existing, e.getMessage())
                    .causedBy(e);
        }
        if (memoryBytes > machine.availableBytes()) {
            throw LitheException.badInput(
                    "this recipe needs about %d MB of memory, and %d MB are free; end other programs,"
                            + " or choose less: calibration samples or context, a training's batch, rank"
                            + " or shape",
                    memoryBytes >> 20, machine.availableBytes() >> 20);
        }
    }
}
