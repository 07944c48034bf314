package dev.lithe.tensor;

import dev.lithe.fault.LitheException;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/// Sets of processor instructions that the kernels of `src/main/c` are written for, best last of
/// each processor family.
public enum Instructions {
    /// Plain C.
    SCALAR,
    AVX2,
    /// With the 8-bit dot products of VNNI.
    AVX512,
    NEON,
    /// NEON with its 8-bit dot products.
    NEON_DOT;

    /// The name in `LITHE_KERNELS` and in lists of kernels: `avx512`.
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static Instructions parse(String label) {
        for (Instructions each : values()) {
            if (each.label().equals(label)) {
                return each;
            }
        }
        throw LitheException.badInput(
                "LITHE_KERNELS is '%s'; it may be %s or %s",
                label,
                Arrays.stream(values()).map(Instructions::label).collect(Collectors.joining(", ")),
                NativeLibrary.LIBTORCH);
    }
}
