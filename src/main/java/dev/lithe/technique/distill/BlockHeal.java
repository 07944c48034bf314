package dev.lithe.technique.distill;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.Map;

/// Trains each block of a compressed model by itself, on the stream that the original's block leaves
/// (block-wise local distillation: Bercovich et al., "Puzzle", arXiv 2411.19146). It is the cheap
/// healing: no step goes through more than one block.
///
/// Block l makes `|f_l(x) - y|² / |y|²` small, where x is what the blocks before, already trained,
/// make of the calibration windows, and y the original's stream behind its block l. Low-rank
/// adapters learn, or with rank 0 all weights of the block, as in [Heal].
///
///     block_heal: {steps: 100, rank: 16, batch: 8, learning_rate: 1e-3, seed: 0}
///
/// Steps are those of each block. The original has as many blocks, and as wide a stream: it goes
/// behind techniques that change what is in a block, and behind `depth_prune` only where that removes
/// parts of blocks. No weight may be shared between blocks. Both streams of all calibration windows are in memory, 16 d bytes a token.
/// A run that was killed begins with the first block again: the steps of a block are short.
@AutoService(Technique.class)
public final class BlockHeal implements ModelTechnique<BlockHeal.Config> {
    /// @param rank of the adapters, or 0 to train all weights
    /// @param schedule of each block
    public record Config(int rank, @JsonUnwrapped Schedule schedule) {
        public Config {
            Heal.requireRank(rank);
        }
    }

    @Override
    public String name() {
        return "block_heal";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "train each block by itself on what the original's block makes";
    }

    @Override
    public Config defaults() {
        return new Config(16, Schedule.of(100, 8, 1e-3));
    }

    @Override
    public boolean needsOriginal(Config config) {
        return true;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "block_heal does not train such models; leave it out");
        Heal.requireRank(model, config.rank()); // shapes stay as they are
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        Lesson.requireSameTokens(source, before);
        requireSameBlocks(before, ModelSpec.of(source.config(), "config.json"));
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        if (linear.block() < 0) {
            return before;
        }
        if (before.modules("").values().stream().anyMatch(LinearForm.Shared.class::isInstance)) {
            throw LitheException.badInput(
                    "linears of several blocks share weights, which no block can train alone; use heal");
        }
        return Rebuilding.outcome(linear, before, config.rank());
    }

    @Override
    public Effort effort(
            ModelSpec original, ModelSpec made, CalibrationSet windows, Config config) {
        return new TrainingEffort(
                        made, original, config.rank(), config.schedule(), windows.context())
                .blockByBlock(windows.samples());
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        Schedule schedule = config.schedule();
        CalibrationSet set = model.windows();
        try (WholeModel original = WholeModel.open(model.bench().original(), null);
                var scope = TensorScope.open()) {
            Lesson.requireSameTokens(model, original);
            requireSameBlocks(model.spec(), original.spec());
            DType type = schedule.precision();
            int context = set.context();
            FlatModel student =
                    FlatModel.trained(
                            model, config.rank(), schedule.seed(), 0, context, type, scope);
            FlatModel teacher = FlatModel.frozen(original, context, type, scope);
            WholeModel made = model.reshaped(model.config());
            Map<Integer, Curve> curves = new LinkedHashMap<>();
            var batches = new Batches(set, schedule.batch(), schedule.seed());
            try (var problem = new BlockProblem(student, teacher, batches)) {
                int blocks = model.blocks().size();
                for (int block = 0; block < blocks; block++) {
                    problem.enter(block);
                    Workbench bench = bench(model.bench(), block, blocks, schedule.steps());
                    boolean learns = !problem.leaves().members().isEmpty();
                    try (var own = TensorScope.open()) {
                        if (learns) {
                            curves.put(block, new Training(problem, schedule, bench, own).run());
                        }
                    }
                    problem.leave();
                }
            }
            new Rebuilding(student, false).into(made, model);
            curves.forEach((block, curve) ->
                    curve.note(
                            made,
                            "block_heal " + block,
                            schedule.steps(),
                            schedule.batch() * context));
            return made;
        }
    }

    private static void requireSameBlocks(ModelSpec ours, ModelSpec theirs) {
        if (ours.layers() != theirs.layers() || ours.hiddenSize() != theirs.hiddenSize()) {
            throw LitheException.badInput(
                    "the original has %d blocks of width %d, and this model %d of width %d, so its blocks"
                            + " have none to learn from; use heal",
                    theirs.layers(), theirs.hiddenSize(), ours.layers(), ours.hiddenSize());
        }
    }

    /// Progress over all blocks; what a block has learned is not kept for a later run.
    private static Workbench bench(Workbench all, int block, int blocks, int steps) {
        return new Workbench(
                null,
                null,
                (done, of, note) ->
                        all.listener()
                                .step(
                                        block * steps + done,
                                        blocks * steps,
                                        "block " + block + " · " + note));
    }
}
