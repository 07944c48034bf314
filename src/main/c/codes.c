// Adds linears of integer weights, laid out as codes.h reads them.

#include "common.h"

static int code_at(const uint8_t *row, int64_t i, int bits) {
    if (bits == 8) {
        return row[i];
    }
    int64_t at = i * bits;
    int pair = row[at >> 3];
    if ((at & 7) + bits > 8) {
        pair |= row[(at >> 3) + 1] << 8;
    }
    return pair >> (at & 7) & ((1 << bits) - 1);
}

// To nearest even; |x| <= 1.
static uint16_t half_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (fabsf(x) < 0x1p-14f) {
        return sign | (uint16_t)lrintf(fabsf(x) * 0x1p24f);
    }
    bits &= 0x7fffffff;
    bits += 0xfff + (bits >> 13 & 1);
    return sign | (uint16_t)((bits >> 13) - (112 << 10));
}

// Where the code of row r and input i lies in its block of codes.
static int64_t place(const Linear *l, int64_t r, int64_t i, int *high) {
    int64_t at = i / l->group * l->padded + i % l->group; // among the padded inputs
    if (l->kind == CODES8) {
        *high = 0;
        return at / 4 * 64 + r * 4 + at % 4;
    }
    *high = at % 8 >= 4;
    return at / 8 * 64 + r * 4 + at % 4;
}

// The scales of one row: a float that is a power of two where there are groups, and the groups' float16 by it. `steps` is how
// much finer the steps of stored codes are than those of the scales.
static void set_scales(Linear *l, int64_t row, const float *scale, float steps) {
    if (l->scale == 0) {
        l->row_scale[row] = scale[0] / steps;
        return;
    }
    float largest = 0;
    for (int64_t g = 0; g < l->groups; g++) {
        largest = fabsf(scale[g]) > largest ? fabsf(scale[g]) : largest;
    }
    int exponent = 0;
    frexpf(largest, &exponent);
    l->row_scale[row] = ldexpf(1 / steps, exponent);
    for (int64_t g = 0; g < l->groups; g++) {
        l->scale[(row / BLOCK * l->groups + g) * BLOCK + row % BLOCK] = half_of_float(ldexpf(scale[g], -exponent));
    }
}

// Codes of `bits` bits, a little-endian bit stream per row of `row_bytes`, of which those of int8 are turned into unsigned ones
// by `flip`: w = (u ^ flip - 2^(b-1) - z) s, with scales and zeros (N, K / group), zeros null where there are none. They are
// copied.
int32_t lithe_model_codes(Model *m, int64_t slot, int64_t n, int64_t k, int64_t group, int32_t bits, int32_t planes,
                          const uint8_t *codes, int64_t row_bytes, int32_t flip, const float *scale, const float *zero,
                          const float *bias) {
    Linear *l = slot_append(m, slot, bits <= 4 ? CODES4 : CODES8, n, k, bias);
    if (l == 0) {
        return 0;
    }
    int container = bits <= 4 ? 4 : 8;
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    l->planes = planes;
    l->group = group;
    l->groups = (k + group - 1) / group;
    l->padded = (group + 7) / 8 * 8;
    int64_t block_bytes = l->groups * l->padded * BLOCK * container / 8;
    uint8_t *w = memory_take(m, blocks * block_bytes);
    l->w = w;
    l->row_scale = slot_scales(m, n);
    l->scale = l->groups == 1 ? 0 : memory_take(m, blocks * l->groups * BLOCK * 2);
    l->zero = zero == 0 ? 0 : memory_take(m, blocks * l->groups * BLOCK);
    if (w == 0 || l->row_scale == 0 || (l->groups > 1 && l->scale == 0) || (zero != 0 && l->zero == 0)) {
        return 0;
    }
    for (int64_t row = 0; row < n; row++) {
        const uint8_t *from = codes + row * row_bytes;
        uint8_t *to = w + row / BLOCK * block_bytes;
        for (int64_t i = 0; i < k; i++) {
            int high;
            int64_t at = place(l, row % BLOCK, i, &high);
            int code = (code_at(from, i, bits) ^ flip) << (container - bits);
            to[at] |= (uint8_t)(high ? code << 4 : code);
        }
        set_scales(l, row, scale + row * l->groups, (float)(1 << ((zero == 0 ? container : 8) - bits)));
        for (int64_t g = 0; zero != 0 && g < l->groups; g++) {
            float steps = (zero[row * l->groups + g] + (float)(1 << (bits - 1))) * (float)(1 << (8 - bits));
            steps = steps < 0 ? 0 : steps > 255 ? 255 : steps;
            l->zero[(row / BLOCK * l->groups + g) * BLOCK + row % BLOCK] = (uint8_t)lrintf(steps);
        }
    }
    return 1;
}
