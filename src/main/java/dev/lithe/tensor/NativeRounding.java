package dev.lithe.tensor;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/// Rounding to nearest by `src/main/c/round.h`, and packing: what the kernels `rtn` and
/// `pack_codes` compute, much faster, since a group of weights stays in the cache while its scale
/// is searched for.
public final class NativeRounding {
    private static final class Functions {
        static final MethodHandle ROUND =
                NativeLibrary.function(
                        "lithe_round",
                        FunctionDescriptor.of(
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG));
        static final MethodHandle PACK =
                NativeLibrary.function(
                        "lithe_pack",
                        FunctionDescriptor.ofVoid(
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_LONG,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_LONG));
    }

    private NativeRounding() {}

    /// Codes of weights (N, K): signed q (N, K) int8, scale (N, K / group) of `scaleType`, and zero
    /// (N, K / group) int32 unless symmetric, with `w ≈ (q - zero) scale`.
    ///
    /// @param weight float32, float16 or bfloat16
    /// @param group inputs that share a scale; divides K
    /// @param steps clipped ranges that are tried for the least squared error; 0 takes ranges as
    ///   they are
    public static List<Value> round(
            Value weight,
            int bits,
            int group,
            boolean symmetric,
            int steps,
            DType scaleType,
            Instructions instructions,
            TensorScope scope) {
        long n = weight.size(0);
        long k = weight.size(1);
        List<Value> made = new ArrayList<>();
        made.add(scope.call("empty_of", new long[] {n, k}, DType.I8.code()));
        Value scale = scope.call("empty_of", new long[] {n, k / group}, DType.F32.code());
        made.add(scale);
        if (!symmetric) {
            made.add(scope.call("empty_of", new long[] {n, k / group}, DType.I32.code()));
        }
        int done =
                NativeCall.value(() ->
                        (int)
                                Functions.ROUND.invokeExact(
                                        instructions.ordinal(),
                                        Torch.threads(),
                                        NativeModelBuilder.kindOf(weight.dtype()).ordinal(),
                                        weight.address(),
                                        n,
                                        k,
                                        (long) group,
                                        bits,
                                        steps,
                                        NativeModelBuilder.kindOf(scaleType).ordinal(),
                                        made.getFirst().address(),
                                        scale.address(),
                                        symmetric ? 0L : made.getLast().address()));
        if (done == 0) {
            throw LitheException.of(
                    Fault.EXHAUSTED, "memory is too short to round weights (%d, %d)", n, k);
        }
        made.set(1, scope.call("cast", scale, scaleType.code()));
        return made;
    }

    /// Signed codes (N, K) int8 as words (N, ceil(K bits / 32)) int32, a little-endian stream of
    /// unsigned `q + 2^(bits-1)` per row, as compressed-tensors' pack-quantized stores them.
    public static Value pack(Value codes, int bits, TensorScope scope) {
        long n = codes.size(0);
        long k = codes.size(1);
        long words = (k * bits + Integer.SIZE - 1) / Integer.SIZE;
        Value packed = scope.call("empty_of", new long[] {n, words}, DType.I32.code());
        NativeCall.run(() -> {
            Functions.PACK.invokeExact(codes.address(), n, k, bits, packed.address());
        });
        return packed;
    }
}
