package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;

/// Trains a compressed model on what the original says, until it says much the same (Hinton,
/// Vinyals, Dean, arXiv 1503.02531; as healing after pruning: Muralidharan et al., "Minitron",
/// arXiv 2407.14679).
///
/// It makes `τ² KL(original || model)` small, or another [Loss], over windows of the whole
/// calibration text, of which a sixteenth is held out to stop by. With a `rank` it trains low-rank
/// adapters beside the linears of the blocks, `y = x (W + B A)ᵀ`, A (r, K) and B (N, r) (Hu et al.,
/// "LoRA", arXiv 2106.09685), one for q, k and v together and one for gate and up, and adds them to
/// the weights at the end; with rank 0 every weight.
///
///     heal: {steps: 300, rank: 16, batch: 8, learning_rate: 1e-3, loss: kl, temperature: 1, seed: 0}
///
/// Linears must be dense: it goes before quantization. Where more than 5 % of a linear's weights are
/// zero they were pruned, and stay so. Both models have the same tokens. Memory: 20 bytes per
/// weight that is trained, 4 for each of the two models, and about 1 GB for a step.
@AutoService(Technique.class)
public final class Heal implements ModelTechnique<Heal.Config> {
    private static final int MAX_RANK = 1 << 16;

    /// @param steps of AdamW
    /// @param rank of the adapters, or 0 to train all weights
    /// @param batch windows that a step looks at
    /// @param learningRate the highest
    /// @param temperature that logits are divided by before they are compared
    /// @param seed of the windows' order and of the adapters' start
    /// @param precision of the multiplications, `bfloat16` or `float32`
    public record Config(
            int steps,
            int rank,
            int batch,
            double learningRate,
            Loss loss,
            double temperature,
            long seed,
            DType precision) {
        public Config {
            if (rank < 0 || rank > MAX_RANK) {
                throw LitheException.badInput(
                        "rank is %d; choose 1 to %d (16 is usual), or 0 to train all weights",
                        rank, MAX_RANK);
            }
            var _ = new Schedule(steps, batch, learningRate, seed, precision);
            var _ = loss.at(temperature);
        }

        Schedule schedule() {
            return new Schedule(steps, batch, learningRate, seed, precision);
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
        return new Config(300, 16, 8, 1e-3, Loss.KL, 1, 0, DType.BF16);
    }

    @Override
    public boolean needsOriginal(Config config) {
        return config.loss().at(config.temperature()).needsTeacher();
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        // shapes stay as they are
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        var objective = config.loss().at(config.temperature());
        return new Lesson(objective, config.schedule(), config.rank()).teach(model, model);
    }
}
