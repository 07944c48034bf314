package dev.lithe.technique.distill;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Machine;

/// How long to train and how fast: the rate rises linearly over the first twentieth of the steps,
/// then falls to 0 on a cosine.
///
/// @param steps of AdamW
/// @param batch windows that a step looks at
/// @param learningRate the highest
/// @param seed of the windows' order, and of what begins random
/// @param precision of the multiplications, `float32` or `bfloat16`, which is usual where the
///   processor multiplies it; weights and their moments are float32
public record Schedule(int steps, int batch, double learningRate, long seed, DType precision) {
    private static final int MAX_STEPS = 10_000_000;
    private static final int MAX_BATCH = 1 << 16;
    private static final int WARM_UP = 20;

    public Schedule {
        if (steps < 1 || steps > MAX_STEPS) {
            throw LitheException.badInput(
                    "steps is %d; choose 1 to %d (300 is usual)", steps, MAX_STEPS);
        }
        if (batch < 1 || batch > MAX_BATCH) {
            throw LitheException.badInput(
                    "batch is %d; choose 1 to %d windows (8 is usual)", batch, MAX_BATCH);
        }
        if (!(learningRate > 0 && learningRate <= 1)) {
            throw LitheException.badInput(
                    "learning_rate is %s; choose above 0, up to 1 (1e-3 is usual)", learningRate);
        }
        if (precision != DType.F32 && precision != DType.BF16) {
            throw LitheException.badInput(
                    "precision is %s; choose bfloat16 or float32", precision.torchName());
        }
    }

    /// With the usual seed and this machine's precision.
    static Schedule of(int steps, int batch, double learningRate) {
        return new Schedule(steps, batch, learningRate, 0, Machine.trainingPrecision());
    }

    /// The rate of `step`, from 0.
    double rate(int step) {
        int rising = Math.max(1, steps / WARM_UP);
        if (step < rising) {
            return learningRate * (step + 1) / rising;
        }
        double done = (double) (step - rising) / Math.max(1, steps - rising);
        return learningRate * (1 + Math.cos(Math.PI * done)) / 2;
    }
}
