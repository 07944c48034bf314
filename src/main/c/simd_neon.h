// The same in four quarters with NEON; where the processor lacks the 8-bit dot product, by widening products.
#include <arm_neon.h>

#define UNROLL _Pragma("GCC unroll 8")

typedef struct { float32x4_t v[4]; } V;
typedef struct { int32x4_t v[4]; } I;
typedef struct { uint8x16_t v[4]; } W;

#define EACH(TYPE, EXPRESSION) \
    TYPE r; \
    for (int i = 0; i < 4; i++) r.v[i] = EXPRESSION; \
    return r

INLINE V vset(float x) { EACH(V, vdupq_n_f32(x)); }
INLINE V vzero(void) { return vset(0); }
INLINE V vload(const float *p) { EACH(V, vld1q_f32(p + 4 * i)); }
INLINE void vstore(float *p, V a) {
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
INLINE V vload_f16(const uint16_t *p) { EACH(V, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)))); }
INLINE V vload_bf16(const uint16_t *p) { EACH(V, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16))); }
INLINE V vadd(V a, V b) { EACH(V, vaddq_f32(a.v[i], b.v[i])); }
INLINE V vmul(V a, V b) { EACH(V, vmulq_f32(a.v[i], b.v[i])); }
INLINE V vmax(V a, V b) { EACH(V, vmaxq_f32(a.v[i], b.v[i])); }
INLINE V vdiv(V a, V b) { EACH(V, vdivq_f32(a.v[i], b.v[i])); }
INLINE V vmin(V a, V b) { EACH(V, vminq_f32(a.v[i], b.v[i])); }
INLINE V vabs(V a) { EACH(V, vabsq_f32(a.v[i])); }
INLINE V vfma(V a, V b, V c) { EACH(V, vfmaq_f32(c.v[i], a.v[i], b.v[i])); }
INLINE V vround(V a) { EACH(V, vrndnq_f32(a.v[i])); }
INLINE V vlast(V a, int64_t n) {
    EACH(V, vreinterpretq_f32_s32(vandq_s32(vreinterpretq_s32_f32(a.v[i]), vld1q_s32(last_lanes + n + 4 * i))));
}
INLINE float vsum(V a) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(a.v[0], a.v[1]), vaddq_f32(a.v[2], a.v[3])));
}
INLINE float vhighest(V a) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[1]), vmaxq_f32(a.v[2], a.v[3])));
}
INLINE void vstore_i8(int8_t *p, V a) {
    int16x8_t low = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(a.v[0])), vqmovn_s32(vcvtnq_s32_f32(a.v[1])));
    int16x8_t high = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(a.v[2])), vqmovn_s32(vcvtnq_s32_f32(a.v[3])));
    vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}

INLINE I iset(int32_t x) { EACH(I, vdupq_n_s32(x)); }
INLINE I izero(void) { return iset(0); }
INLINE I iadd(I a, I b) { EACH(I, vaddq_s32(a.v[i], b.v[i])); }
INLINE I isub(I a, I b) { EACH(I, vsubq_s32(a.v[i], b.v[i])); }
INLINE I imul(I a, I b) { EACH(I, vmulq_s32(a.v[i], b.v[i])); }
INLINE I ishift4(I a) { EACH(I, vshlq_n_s32(a.v[i], 4)); }
INLINE I iload_u8(const uint8_t *p) {
    uint8x16_t bytes = vld1q_u8(p);
    uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    I r = {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
            vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
    return r;
}
INLINE V ifloat(I a) { EACH(V, vcvtq_f32_s32(a.v[i])); }

// A block's outputs are computed all at once.
enum { PARTS = 1, TILE = 4, CENTER = 128 };
typedef I P;
INLINE P part(I x, int i) { (void)i; return x; }
INLINE P padd(P x, P y) { return iadd(x, y); }
INLINE void put(I *x, int i, P sums) { (void)i; *x = sums; }
INLINE W wload(const uint8_t *p) { EACH(W, vld1q_u8(p + 16 * i)); }
INLINE W wlow(W a) { EACH(W, vandq_u8(a.v[i], vdupq_n_u8(15))); }
INLINE W whigh(W a) { EACH(W, vshrq_n_u8(a.v[i], 4)); }

INLINE int32x4_t dot_signed(int32x4_t sums, int8x16_t w, int8x16_t x) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sums, w, x);
#else
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(w), vget_high_s8(x)));
    return vaddq_s32(sums, vpaddq_s32(low, high));
#endif
}
// The same of codes less 128.
INLINE P dot_bytes(P sums, W w, int32_t x) {
    int8x16_t q = vreinterpretq_s8_s32(vdupq_n_s32(x));
    EACH(I, dot_signed(sums.v[i], vreinterpretq_s8_u8(veorq_u8(w.v[i], vdupq_n_u8(128))), q));
}
INLINE P dot_nibbles(P sums, W w, int32_t x) {
    int8x16_t q = vreinterpretq_s8_s32(vdupq_n_s32(x));
    EACH(I, dot_signed(sums.v[i], vreinterpretq_s8_u8(w.v[i]), q));
}
#undef EACH
