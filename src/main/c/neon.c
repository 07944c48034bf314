#if defined(__aarch64__)
#include "common.h"
#include "simd_neon.h"

#define VARIANT variant_neon
#include "round.h"
#include "step.h"
#endif
