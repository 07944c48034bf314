// Products of integer codes with activations as bytes.

// A group's sums: of each of T rows, its planes and the parts of a block that are computed together, `chains`: two where one would
// leave the multipliers idle.
typedef struct { P of[8][2][PARTS][2]; } Sums;

#define EACH_SUM UNROLL for (int t = 0; t < T; t++) UNROLL for (int p = 0; p < planes; p++) UNROLL for (int i = 0; i < parts; i++)

INLINE void group_sums(const int T, const int nibbles, const int planes, const int parts, const int chains, const uint8_t *w,
                             const int8_t *x, int64_t stride, int64_t inputs, Sums *sums) {
    for (int64_t at = 0; at < inputs; at += 8, w += nibbles ? 64 : 128) {
        W first[PARTS], second[PARTS];
        UNROLL for (int i = 0; i < parts; i++) {
            W codes = wload(w + i * (64 / PARTS));
            first[i] = nibbles ? wlow(codes) : codes;
            second[i] = nibbles ? whigh(codes) : wload(w + 64 + i * (64 / PARTS));
        }
        EACH_SUM {
            const int8_t *q = x + (t * planes + p) * stride + at;
            P *even = &sums->of[t][p][i][0], *odd = &sums->of[t][p][i][chains - 1];
            *even = nibbles ? dot_nibbles(*even, first[i], four(q)) : dot_bytes(*even, first[i], four(q));
            *odd = nibbles ? dot_nibbles(*odd, second[i], four(q + 4)) : dot_bytes(*odd, second[i], four(q + 4));
        }
    }
}

// One block of 16 outputs of codes for T rows of activations from `row`: y[t] = Σ_g s_g x_g (Σ u q - zero Σ q).
INLINE void codes(const int T, const int nibbles, const int planes, const Linear *l, int64_t block, const Quantized *in,
                        int64_t row, float *y) {
    const int64_t group_bytes = l->padded * (nibbles ? 8 : 16);
    const uint8_t *w = (const uint8_t *)l->w + block * l->groups * group_bytes;
    const int8_t *x = in->q + row * planes * in->stride;
    const uint16_t *scale = l->scale == 0 ? 0 : l->scale + block * l->groups * 16;
    const uint8_t *zero = l->zero == 0 ? 0 : l->zero + block * l->groups * 16;
    const int parts = T * planes < 8 ? PARTS : 1, chains = T * planes * parts < 8 ? 2 : 1;
    V sums[8];
    UNROLL for (int t = 0; t < T; t++) sums[t] = vzero();
    for (int64_t g = 0; g < l->groups; g++) {
        if (T == 1 && in->scale[row * l->groups + g] == 0) { // nothing but zeros
            w += group_bytes;
            x += l->padded;
            continue;
        }
        I dots[8][2];
        UNROLL for (int t = 0; t < T; t++) UNROLL for (int p = 0; p < planes; p++) {
            int32_t sum = in->sum[((row + t) * planes + p) * l->groups + g];
            dots[t][p] = iset(nibbles ? (zero != 0 ? 0 : -8 * sum) : (zero != 0 ? CENTER : CENTER - 128) * sum);
        }
        UNROLL for (int from = 0; from < PARTS; from += parts) {
            Sums all;
            EACH_SUM {
                all.of[t][p][i][0] = part(dots[t][p], from + i);
                all.of[t][p][i][1] = part(izero(), i);
            }
            group_sums(T, nibbles, planes, parts, chains, w + from * (64 / PARTS), x, in->stride, l->padded, &all);
            EACH_SUM {
                P *of = all.of[t][p][i];
                put(&dots[t][p], from + i, chains == 2 ? padd(of[0], of[1]) : of[0]);
            }
        }
        w += group_bytes;
        x += l->padded;
        V s = scale == 0 ? vset(1) : vload_f16(scale + g * 16);
        UNROLL for (int t = 0; t < T; t++) {
            V value = vzero();
            UNROLL for (int p = planes - 1; p >= 0; p--) {
                I dot = dots[t][p];
                if (zero != 0) {
                    int32_t sum = in->sum[((row + t) * planes + p) * l->groups + g];
                    dot = isub(nibbles ? ishift4(dot) : dot, imul(iload_u8(zero + g * 16), iset(sum)));
                }
                value = p == 1 ? vmul(ifloat(dot), vset(1.f / 254)) : vadd(ifloat(dot), value);
            }
            sums[t] = vfma(value, vmul(s, vset(in->scale[(row + t) * l->groups + g])), sums[t]);
        }
    }
    V row_scale = vload(l->row_scale + block * 16);
    UNROLL for (int t = 0; t < T; t++) vstore(y + t * 16, vmul(sums[t], row_scale));
}

// One row of activations in groups of l: q = round(x / s) with s = max |x| / 127; a second plane holds what rounding left in
// steps of s / 254. A number that is not finite makes the scale none either, so that the results show it.
static void quantize(const Linear *l, const float *x, Quantized *in, int64_t row) {
    int planes = l->planes;
    float part[16];
    for (int64_t g = 0; g < l->groups; g++) {
        const float *from = x + g * l->group;
        int64_t width = g + 1 < l->groups ? l->group : l->k - g * l->group;
        V peak = vzero(), doubt = vzero();
        int64_t whole = width & ~15;
        memset(part, 0, sizeof part);
        memcpy(part, from + whole, (width - whole) * sizeof(float));
        for (int64_t i = 0; i < width; i += 16) {
            V v = vload(i < whole ? from + i : part);
            peak = vmax(peak, vabs(v));
            doubt = vfma(v, vzero(), doubt);
        }
        float highest = vhighest(peak);
        float scale = highest / 127 + vsum(doubt);
        float inverse = highest > 1e-30f ? 127 / highest : 0;
        int32_t sums[2] = {0, 0};
        for (int64_t i = 0; i < width; i += 16) {
            V v = vmul(vload(i < whole ? from + i : part), vset(inverse));
            for (int p = 0; p < planes; p++) {
                V near = vround(v);
                int8_t *to = in->q + (row * planes + p) * in->stride + g * l->padded + i;
                vstore_i8(to, near);
                int64_t end = width - i < 16 ? width - i : 16;
                for (int64_t j = 0; j < end; j++) sums[p] += to[j];
                v = vmul(vfma(near, vset(-1), v), vset(254));
            }
        }
        in->scale[row * l->groups + g] = scale;
        int64_t written = (width + 15) & ~15; // a last group may be shorter than the others
        for (int p = 0; p < planes && written < l->padded; p++) {
            memset(in->q + (row * planes + p) * in->stride + g * l->padded + written, 0, l->padded - written);
        }
        for (int p = 0; p < planes; p++) in->sum[(row * planes + p) * l->groups + g] = sums[p];
    }
}
