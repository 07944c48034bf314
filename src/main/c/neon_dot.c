#if defined(__aarch64__)
#if !defined(__clang__)
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include "common.h"
#include "simd_neon.h"

#define VARIANT variant_neon_dot
#include "round.h"
#include "step.h"
#endif
