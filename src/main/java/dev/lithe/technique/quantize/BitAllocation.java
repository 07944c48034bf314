package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.AllocationTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Technique;
import java.util.List;

/// Gives every linear of the next stage its own bits and group size, so that the model as a whole
/// diverges least within a budget of bytes. The idea is old (Dong et al., "HAWQ", arXiv 1905.03696,
/// solved as an integer program in HAWQ-V3, arXiv 2011.10680); what is measured here is the
/// divergence itself.
///
/// For linear l, the next stage quantizes it alone at a coarse width r, and the divergence
/// `D_l = KL(original || changed)` of the model's answers is measured on calibration windows. A
/// divergence grows with the square of a small change, so at any width c it is taken as
/// `D_l · e_l(c) / e_l(r)` with the output error `e = ||(W - Q) X||²`. Their sum is minimized under
/// the budget exactly, by dynamic programming over bytes.
///
///     - bit_allocation: {average_bits: 3.5, bits: [2, 3, 4, 5, 6, 8], group_sizes: [32, 64, 128]}
///     - gptq: {targets: ["re:.*"]}
///
/// `average_bits` counts codes and scales of the linears that the next stage takes, the embedding
/// among them where it is named; `max_bytes` instead bounds all tensors of the model. Pairs of a
/// group size that does not divide a linear's inputs are left out for it. The model is held in memory
/// as a whole while it is measured.
@AutoService(Technique.class)
public final class BitAllocation implements AllocationTechnique<BitAllocation.Config> {
    private static final double MAX_BITS = 16;

    /// @param averageBits stored bits per weight of the next stage's linears, or 0 for `maxBytes`
    /// @param maxBytes of all tensors, or 0 for `averageBits`
    /// @param bits widths to choose from, 2 to 8
    /// @param groupSizes sizes to choose from; 0 for a whole row
    /// @param samples calibration windows on which divergence is measured
    public record Config(
            double averageBits,
            long maxBytes,
            List<Integer> bits,
            List<Integer> groupSizes,
            int samples) {
        public Config {
            bits = List.copyOf(bits);
            groupSizes = List.copyOf(groupSizes);
            bits.forEach(IntegerCodes::checkBits);
            groupSizes.forEach(IntegerCodes::checkGroupSize);
            if (bits.isEmpty() || groupSizes.isEmpty()) {
                throw LitheException.badInput("bits and group_sizes must each name at least one");
            }
            if (!(averageBits >= 0 && averageBits <= MAX_BITS)) {
                throw LitheException.badInput(
                        "average_bits is %s; choose a number up to 16", averageBits);
            }
            if (maxBytes < 0 || samples < 1) {
                throw LitheException.badInput(
                        "max_bytes is %d and samples %d; neither can be negative, nor samples 0",
                        maxBytes, samples);
            }
        }

        /// The same choices under no budget.
        public Config withoutBudget() {
            return new Config(0, 0, bits, groupSizes, samples);
        }
    }

    @Override
    public String name() {
        return "bit_allocation";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "give each linear of the next stage the bits that a budget allows and it needs";
    }

    @Override
    public Config defaults() {
        return new Config(0, 0, List.of(2, 3, 4, 5, 6, 8), List.of(32, 64, 128), 8);
    }
}
