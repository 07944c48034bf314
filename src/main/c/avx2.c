#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#include "common.h"
#include "simd_avx2.h"

#define VARIANT variant_avx2
#include "round.h"
#include "step.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
