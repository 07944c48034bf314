// What all sets of instructions share.
#ifndef COMMON_H
#define COMMON_H

#include "lithe.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float float_of_half(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16, bits;
    float x;
    if ((half & 0x7c00) == 0x7c00) {
        bits = magnitude | 0x7f800000;
    } else {
        memcpy(&x, &magnitude, 4);
        x *= 0x1p112f; // the exponents' biases differ by 112; right for subnormal numbers too
        memcpy(&bits, &x, 4);
    }
    bits |= sign;
    memcpy(&x, &bits, 4);
    return x;
}

enum { LINE = 64, PANEL = 32 }; // bytes of a cache line; outputs of a narrow panel

// From element n on: a mask of the last n of 16 lanes.
static const int32_t last_lanes[32] = {[16] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

// From one input's n weights to the next's: an odd number of lines, that those of neighbours do not push each other out of a cache.
INLINE int64_t input_bytes(enum kind kind, int64_t n) { return ((n * (kind == FLOAT32 ? 4 : 2) + LINE - 1) / LINE | 1) * LINE; }

INLINE int32_t four(const int8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    return x;
}

#endif
