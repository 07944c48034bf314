package dev.lithe.model;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Machine;
import dev.lithe.tensor.TensorScope;

/// Which of libtorch's kernels work well on this processor; the packed ones are found out by
/// running each once.
final class FastKernels {
    /// Packed float16 weights with float32 arithmetic.
    static final boolean FLOAT16 = works("float16_works");

    /// Packed 8-bit weights with 8-bit activations.
    static final boolean INT8 = works("int8_works");

    /// Products of many rows in bfloat16.
    static final boolean BFLOAT16 = Machine.multipliesBfloat16();

    private FastKernels() {}

    private static boolean works(String probe) {
        try (var scope = TensorScope.open()) {
            return scope.call(probe).flag();
        } catch (LitheException _) {
            return false; // this build of libtorch lacks the operation
        }
    }
}
