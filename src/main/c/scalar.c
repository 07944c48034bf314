#if !defined(__clang__)
#pragma GCC optimize("O2") // all of it inlined and unrolled takes long to compile and runs no faster
#endif
#include "common.h"
#include "simd_scalar.h"

#define VARIANT variant_scalar
#include "round.h"
#include "step.h"
