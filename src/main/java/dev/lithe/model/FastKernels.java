package dev.lithe.model;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;

/// Which of libtorch's packed kernels work on this processor, found out by running each once.
final class FastKernels {
    /// Packed float16 weights with float32 arithmetic.
    static final boolean FLOAT16 = works("float16_works");

    /// Packed 8-bit weights with 8-bit activations.
    static final boolean INT8 = works("int8_works");

    private FastKernels() {}

    private static boolean works(String probe) {
        try (var scope = TensorScope.open()) {
            return scope.call(probe).flag();
        } catch (LitheException _) {
            return false; // this build of libtorch lacks the operation
        }
    }
}
