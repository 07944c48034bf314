package dev.lithe.model;

import java.util.List;

/// How a model stretches its rotary frequencies for contexts longer than it was first trained with
/// (`rope_scaling`, `rope_parameters`).
public sealed interface RopeScaling {
    /// The stretched form of `frequencies`, fastest first.
    double[] stretch(double[] frequencies);

    /// What queries and keys are multiplied by as they are rotated.
    default double magnitude() {
        return 1;
    }

    /// All frequencies slowed down alike (`linear`).
    ///
    /// @param factor by how much
    record Linear(double factor) implements RopeScaling {
        @Override
        public double[] stretch(double[] frequencies) {
            double[] slower = frequencies.clone();
            for (int i = 0; i < slower.length; i++) {
                slower[i] /= factor;
            }
            return slower;
        }
    }

    /// Llama 3's rule (`llama3`).
    ///
    /// @param factor by which low frequencies are slowed down
    /// @param lowFrequency wavelengths longer than `originalPositions / lowFrequency` are slowed
    ///   down in full
    /// @param highFrequency wavelengths shorter than `originalPositions / highFrequency` stay as
    ///   they are
    /// @param originalPositions context length before the stretch
    record Llama3(double factor, double lowFrequency, double highFrequency, int originalPositions)
            implements RopeScaling {
        @Override
        public double[] stretch(double[] frequencies) {
            double[] stretched = frequencies.clone();
            for (int i = 0; i < stretched.length; i++) {
                stretched[i] = stretch(stretched[i]);
            }
            return stretched;
        }

        /// Interpolated between the two wavelengths.
        private double stretch(double frequency) {
            double wavelength = 2 * Math.PI / frequency;
            if (wavelength > originalPositions / lowFrequency) {
                return frequency / factor;
            }
            if (wavelength < originalPositions / highFrequency) {
                return frequency;
            }
            double smooth =
                    (originalPositions / wavelength - lowFrequency)
                            / (highFrequency - lowFrequency);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }
    }

    /// YaRN (Peng, Quesnelle, Fan, Shippole, arXiv 2309.00071): pairs that turn often within the
    /// original context stay, pairs that turn seldom are slowed down, those between in part.
    ///
    /// @param factor by which slow pairs are slowed down
    /// @param magnitude see [RopeScaling#magnitude]
    /// @param turns which pairs turn how often
    /// @param firstSlowed the pair from which on the slowing sets in
    /// @param lastKept the pair from which on it is complete
    record Yarn(double factor, double magnitude, Turns turns, double firstSlowed, double lastKept)
            implements RopeScaling {
        /// The magnitude where the model does not say another.
        ///
        /// @param factor by which slow pairs are slowed down
        /// @param share of the paper's `0.1 ln factor`, usually 1
        public static double magnitude(double factor, double share) {
            return factor <= 1 ? 1 : 0.1 * share * Math.log(factor) + 1;
        }

        @Override
        public double[] stretch(double[] frequencies) {
            double[] stretched = frequencies.clone();
            for (int i = 0; i < stretched.length; i++) {
                double slowed = Math.clamp((i - firstSlowed) / (lastKept - firstSlowed), 0, 1);
                stretched[i] *= slowed / factor + 1 - slowed;
            }
            return stretched;
        }
    }

    /// Between how many turns within the original context YaRN slows a pair down in part.
    ///
    /// @param originalPositions the original context
    /// @param fast what turns more often is kept
    /// @param slow what turns less often is slowed down in full
    /// @param wholePairs whether both limits are rounded outwards, to a pair
    record Turns(int originalPositions, double fast, double slow, boolean wholePairs) {
        /// The paper's limits, which not every other program lets a model change.
        public boolean usual() {
            return fast == USUAL_FAST && slow == USUAL_SLOW && wholePairs;
        }

        static final double USUAL_FAST = 32;
        static final double USUAL_SLOW = 1;
    }

    /// Every pair slowed down by a factor of its own (`longrope`: Ding et al., arXiv 2402.13753).
    ///
    /// @param factors of the pairs
    /// @param magnitude see [RopeScaling#magnitude]
    record PerPair(List<Double> factors, double magnitude) implements RopeScaling {
        public PerPair {
            factors = List.copyOf(factors);
        }

        @Override
        public double[] stretch(double[] frequencies) {
            double[] stretched = frequencies.clone();
            for (int i = 0; i < stretched.length; i++) {
                stretched[i] /= factors.get(i);
            }
            return stretched;
        }
    }
}
