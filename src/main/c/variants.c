// Sets of instructions, by number; Instructions.java has their names.

#include "lithe.h"

#if defined(__linux__)
#include <sys/auxv.h>
#endif

enum { SCALAR, AVX2, AVX512, NEON, NEON_DOT };

// Whether this processor runs one.
int32_t lithe_runs(int32_t variant) {
    switch (variant) {
    case SCALAR:
        return 1;
#if defined(__x86_64__)
    case AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case AVX512:
        return lithe_runs(AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    case NEON:
        return 1;
    case NEON_DOT:
#if defined(__linux__)
        return (getauxval(AT_HWCAP) >> 20 & 1) != 0; // ASIMDDP
#elif defined(__ARM_FEATURE_DOTPROD)
        return 1;
#else
        return 0;
#endif
#endif
    default:
        return 0;
    }
}

const Variant *variant_of(int32_t number) {
    switch (number) {
#if defined(__x86_64__)
    case AVX2: return &variant_avx2;
    case AVX512: return &variant_avx512;
#elif defined(__aarch64__)
    case NEON: return &variant_neon;
    case NEON_DOT: return &variant_neon_dot;
#endif
    default: return &variant_scalar;
    }
}
