package dev.lithe.technique.distill;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
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
import java.nio.file.Path;
import java.util.List;

/// Trains a compressed model on what the original says, until it says much the same (Hinton,
/// Vinyals, Dean, arXiv 1503.02531; as healing after pruning: Muralidharan et al., "Minitron",
/// arXiv 2407.14679).
///
/// It makes `τ² KL(original || model)` small, or another [Loss], over windows of the whole
/// calibration text, of which a sixteenth is held out to stop by. With a `rank` it trains low-rank
/// adapters beside the linears of the blocks, `y = x (W + B A)ᵀ`, A (r, K) and B (N, r) (Hu et al.,
/// "LoRA", arXiv 2106.09685), and adds them to the weights at the end; with rank 0 every weight.
///
///     heal: {steps: 300, rank: 16, batch: 8, learning_rate: 1e-3, loss: kl, temperature: 1, seed: 0}
///     heal: {adapter: path/to/adapter}   # writes the adapter by itself too, in PEFT's form
///
/// Forms stay as they are. Where more than 5 % of a linear's weights are zero, or some are left out,
/// they were pruned, and stay so. A linear that is two thin ones has no adapter: its factors learn
/// themselves, with a `rank` as without, and with rank 0 what they are added to as well. A weight
/// that several blocks share learns from all of them; such ones without factors take rank 0 only.
/// Quantized linears keep their codes, and the adapter as a side branch: `y = x Wᵀ + x Aᵀ Bᵀ`, two
/// thin linears in the type of their scales. Both models have the same tokens. Memory: 24 bytes
/// per weight that is trained, 4 for each of the two models, and what a step keeps of its windows; the plan says how much.
@AutoService(Technique.class)
public final class Heal implements ModelTechnique<Heal.Config> {
    private static final int MAX_RANK = 1 << 16;

    /// @param rank of the adapters, or 0 to train all weights
    /// @param temperature that logits are divided by before they are compared
    /// @param adapter a folder for the adapter in PEFT's form; empty for none
    public record Config(
            int rank,
            Loss loss,
            double temperature,
            @JsonUnwrapped Schedule schedule,
            String adapter) {
        Lesson lesson() {
            return new Lesson("heal", loss.at(temperature), schedule, rank);
        }

        public Config {
            requireRank(rank);
            if (!adapter.isEmpty() && rank == 0) {
                throw LitheException.badInput(
                        "adapter is '%s' and rank is 0, which trains no adapter; choose rank 16, or"
                                + " leave adapter out",
                        adapter);
            }
            var _ = loss.at(temperature);
        }
    }

    @Override
    public String name() {
        return "heal";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "train adapters, or all weights, on what the original model predicts";
    }

    @Override
    public Config defaults() {
        return new Config(16, Loss.KL, 1, Schedule.of(300, 8, 1e-3), "");
    }

    @Override
    public boolean needsOriginal(Config config) {
        return config.loss().at(config.temperature()).needsTeacher();
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "heal does not train such models; leave it out");
        requireRank(model, config.rank());
        if (!config.adapter().isEmpty()) {
            Adapter.checkTarget(Path.of(config.adapter())); // shapes stay as they are
        }
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        if (!config.adapter().isEmpty() && before instanceof LinearForm.Masked) {
            throw Adapter.pruned(linear.module());
        }
        if (!config.adapter().isEmpty() && linear.block() >= 0 && !adapts(before)) {
            throw LitheException.badInput(
                    "linears are %s, whose factors learn themselves; leave the key adapter out",
                    before.label());
        }
        return Rebuilding.outcome(linear, before, config.rank());
    }

    private static boolean adapts(LinearForm form) {
        return !(form instanceof LinearForm.LowRank || form instanceof LinearForm.Shared);
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        if (needsOriginal(config)) {
            Lesson.requireSameTokens(source, before);
        }
    }

    @Override
    public List<Path> writes(Config config) {
        return config.adapter().isEmpty() ? List.of() : List.of(Path.of(config.adapter()));
    }

    /// Refuses adapters that are wider than what they stand beside.
    static void requireRank(ObjectNode model, int rank) {
        ModelSpec spec = ModelSpec.of(model, "config.json");
        int most = Math.max(spec.hiddenSize(), spec.intermediateSize());
        if (rank > most) {
            throw LitheException.badInput(
                    "rank is %d, and no linear of the model has more than %d inputs; choose less (16 is"
                            + " usual)",
                    rank, most);
        }
    }

    static void requireRank(int rank) {
        if (rank < 0 || rank > MAX_RANK) {
            throw LitheException.badInput(
                    "rank is %d; choose 1 to %d (16 is usual), or 0 to train all weights",
                    rank, MAX_RANK);
        }
    }

    @Override
    public Effort effort(
            ModelSpec original, ModelSpec made, CalibrationSet windows, Config config) {
        return config.lesson().effort(original, made, windows);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        Lesson lesson = config.lesson();
        return config.adapter().isEmpty()
                ? lesson.teach(model, model)
                : lesson.teach(
                        model,
                        model,
                        model.windows().whole(model.folder()),
                        kept(model, config.rank(), Path.of(config.adapter())));
    }

    private static Lesson.Learned kept(WholeModel model, int rank, Path folder) {
        return new Lesson.Learned() {
            @Override
            public void begins(FlatModel student) {
                Adapter.requireWhole(student, model);
            }

            @Override
            public void ends(FlatModel student) {
                Adapter.write(student, model, rank, folder);
            }
        };
    }
}
