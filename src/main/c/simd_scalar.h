// The same in plain C, for any processor: what the others are tested against.
#define UNROLL

typedef struct { float v[16]; } V;
typedef struct { int32_t v[16]; } I;
typedef struct { uint8_t v[64]; } W;

#define EACH(TYPE, EXPRESSION) \
    TYPE r; \
    for (int i = 0; i < 16; i++) r.v[i] = EXPRESSION; \
    return r

INLINE float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
INLINE V vset(float x) { EACH(V, x); }
INLINE V vzero(void) { return vset(0); }
INLINE V vload(const float *p) { EACH(V, p[i]); }
INLINE void vstore(float *p, V a) { memcpy(p, a.v, sizeof a.v); }
INLINE V vload_f16(const uint16_t *p) { EACH(V, float_of_half(p[i])); }
INLINE V vload_bf16(const uint16_t *p) { EACH(V, float_of_bits((uint32_t)p[i] << 16)); }
INLINE V vadd(V a, V b) { EACH(V, a.v[i] + b.v[i]); }
INLINE V vmul(V a, V b) { EACH(V, a.v[i] * b.v[i]); }
INLINE V vmax(V a, V b) { EACH(V, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
INLINE V vdiv(V a, V b) { EACH(V, a.v[i] / b.v[i]); }
INLINE V vmin(V a, V b) { EACH(V, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
INLINE V vabs(V a) { EACH(V, fabsf(a.v[i])); }
INLINE V vfma(V a, V b, V c) { EACH(V, a.v[i] * b.v[i] + c.v[i]); }
INLINE V vround(V a) { EACH(V, rintf(a.v[i])); }
INLINE V vlast(V a, int64_t n) { EACH(V, i >= 16 - n ? a.v[i] : 0); }
INLINE float vsum(V a) {
    for (int width = 8; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) a.v[i] += a.v[i + width];
    }
    return a.v[0];
}
INLINE float vhighest(V a) {
    float highest = a.v[0];
    for (int i = 1; i < 16; i++) highest = a.v[i] > highest ? a.v[i] : highest;
    return highest;
}
INLINE void vstore_i8(int8_t *p, V a) {
    for (int i = 0; i < 16; i++) p[i] = (int8_t)(fabsf(a.v[i]) <= 127 ? a.v[i] : 0);
}

// sums may wrap on the way to one that fits, hence unsigned
INLINE I iset(int32_t x) { EACH(I, x); }
INLINE I izero(void) { return iset(0); }
INLINE I iadd(I a, I b) { EACH(I, (int32_t)((uint32_t)a.v[i] + (uint32_t)b.v[i])); }
INLINE I isub(I a, I b) { EACH(I, (int32_t)((uint32_t)a.v[i] - (uint32_t)b.v[i])); }
INLINE I imul(I a, I b) { EACH(I, (int32_t)((uint32_t)a.v[i] * (uint32_t)b.v[i])); }
INLINE I ishift4(I a) { EACH(I, (int32_t)((uint32_t)a.v[i] << 4)); }
INLINE I iload_u8(const uint8_t *p) { EACH(I, p[i]); }
INLINE V ifloat(I a) { EACH(V, (float)a.v[i]); }

// A block's outputs are computed all at once.
enum { PARTS = 1, TILE = 16, CENTER = 0 };
typedef I P;
INLINE P part(I x, int i) { (void)i; return x; }
INLINE P padd(P x, P y) { return iadd(x, y); }
INLINE void put(I *x, int i, P sums) { (void)i; *x = sums; }
INLINE W wload(const uint8_t *p) {
    W w;
    memcpy(w.v, p, 64);
    return w;
}
INLINE W wlow(W a) {
    for (int i = 0; i < 64; i++) a.v[i] &= 15;
    return a;
}
INLINE W whigh(W a) {
    for (int i = 0; i < 64; i++) a.v[i] >>= 4;
    return a;
}
INLINE P dot_bytes(P sums, W w, int32_t x) {
    int8_t q[4];
    memcpy(q, &x, 4);
    for (int i = 0; i < 16; i++) {
        int32_t s = 0;
        for (int j = 0; j < 4; j++) s += w.v[4 * i + j] * q[j];
        sums.v[i] = (int32_t)((uint32_t)sums.v[i] + (uint32_t)s);
    }
    return sums;
}
INLINE P dot_nibbles(P sums, W w, int32_t x) { return dot_bytes(sums, w, x); }
#undef EACH
