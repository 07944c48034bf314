#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c,prefer-vector-width=512")
#endif
#include "common.h"
#include "simd_avx512.h"

#define VARIANT variant_avx512
#include "round.h"
#include "step.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
