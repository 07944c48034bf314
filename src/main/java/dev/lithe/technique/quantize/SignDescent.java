package dev.lithe.technique.quantize;

import java.util.Arrays;
import java.util.Random;

/// Signed gradient descent over shuffled windows, at a rate that falls linearly to 0: codes can go
/// half a step of their grid, enough to round to either neighbour.
///
/// @param steps how many
/// @param batch windows that a step looks at
/// @param scaleRate how far scales go in a step, as a multiple of how far codes do
/// @param seed of the windows' order
record SignDescent(int steps, int batch, double scaleRate, long seed) {
    /// Goes down.
    ///
    /// @param samples windows that there are
    /// @return whether the loss on all of them fell
    boolean lower(RoundingLoss loss, int samples) {
        var order = new Shuffled(samples, new Random(seed));
        int size = Math.min(batch, samples);
        double before = loss.mean();
        for (int i = 0; i < steps; i++) {
            double rate = (double) (steps - i) / steps / steps;
            loss.step(rate, scaleRate * rate, order.next(size));
        }
        return loss.mean() < before;
    }

    /// Deals out numbers below `count`, each once before any comes again.
    private static final class Shuffled {
        private final long[] numbers;
        private final Random random;
        private int dealt;

        Shuffled(int count, Random random) {
            this.numbers = new long[count];
            this.random = random;
            for (int i = 0; i < count; i++) {
                numbers[i] = i;
            }
            this.dealt = count;
        }

        /// `size` different numbers.
        long[] next(int size) {
            if (dealt + size > numbers.length) {
                dealt = 0;
            }
            for (int i = dealt; i < dealt + size; i++) {
                int j = random.nextInt(i, numbers.length);
                long taken = numbers[j];
                numbers[j] = numbers[i];
                numbers[i] = taken;
            }
            dealt += size;
            return Arrays.copyOfRange(numbers, dealt - size, dealt);
        }
    }
}
