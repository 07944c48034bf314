// Rounds weights, and packs the codes.

#include "lithe.h"

#include <stdlib.h>

// Rounds w (N, K) to nearest: codes to q (N, K), scales to scale (N, K / group), and zero points to zero unless it is null.
// Returns 0 where memory is short.
int32_t lithe_round(int32_t variant, int32_t threads, int32_t kind, const void *w, int64_t n, int64_t k, int64_t group,
                    int32_t bits, int32_t steps, int32_t stored, int8_t *q, float *scale, int32_t *zero) {
    Rounding rounding = {.kind = (enum kind)kind, .stored = (enum kind)stored, .n = n, .k = k, .group = group, .bits = bits,
                         .symmetric = zero == 0, .steps = steps, .w = w, .q = q, .scale = scale, .zero = zero};
    Step s = {.rounding = &rounding};
    s.a = malloc((size_t)threads * group * 16 * sizeof(float));
    if (s.a == 0) {
        return 0;
    }
    pool_run(variant_of(variant)->round, &s, threads);
    free(s.a);
    return 1;
}

// Packs signed codes q (N, K) as unsigned q + 2^(bits - 1), a little-endian bit stream of whole words per row.
void lithe_pack(const int8_t *q, int64_t n, int64_t k, int32_t bits, uint32_t *words) {
    for (int64_t row = 0; row < n; row++) {
        uint64_t stream = 0;
        int32_t held = 0;
        for (int64_t i = 0; i < k; i++) {
            stream |= (uint64_t)(uint32_t)(*q++ + (1 << (bits - 1))) << held;
            held += bits;
            if (held >= 32) {
                *words++ = (uint32_t)stream;
                stream >>= 32;
                held -= 32;
            }
        }
        if (held > 0) {
            *words++ = (uint32_t)stream;
        }
    }
}
