// The same in two halves of 8 with AVX2 and FMA.
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 8")

typedef struct { __m256 a, b; } V;
typedef struct { __m256i a, b; } I;

INLINE V vzero(void) { return (V){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
INLINE V vset(float x) { return (V){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE V vload(const float *p) { return (V){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE void vstore(float *p, V x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
INLINE V vload_f16(const uint16_t *p) {
    return (V){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
INLINE __m256 half_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE V vload_bf16(const uint16_t *p) { return (V){half_bf16(p), half_bf16(p + 8)}; }
INLINE V vadd(V x, V y) { return (V){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
INLINE V vmul(V x, V y) { return (V){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
INLINE V vmax(V x, V y) { return (V){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
INLINE V vdiv(V x, V y) { return (V){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
INLINE V vmin(V x, V y) { return (V){_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
INLINE V vabs(V x) {
    __m256 sign = _mm256_set1_ps(-0.f);
    return (V){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
INLINE V vfma(V x, V y, V z) { return (V){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
INLINE V vround(V x) { return (V){_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)}; }
INLINE V vlast(V x, int64_t n) {
    const float *mask = (const float *)(last_lanes + n);
    return (V){_mm256_and_ps(x.a, _mm256_loadu_ps(mask)), _mm256_and_ps(x.b, _mm256_loadu_ps(mask + 8))};
}
INLINE float vsum(V x) {
    __m256 s = _mm256_add_ps(x.a, x.b);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
INLINE float vhighest(V x) {
    __m256 s = _mm256_max_ps(x.a, x.b);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}
INLINE void vstore_i8(int8_t *p, V x) {
    __m256i w = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
    w = _mm256_permute4x64_epi64(w, 0xd8);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}

INLINE I izero(void) { return (I){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
INLINE I iset(int32_t x) { return (I){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
INLINE I iadd(I x, I y) { return (I){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
INLINE I isub(I x, I y) { return (I){_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
INLINE I imul(I x, I y) { return (I){_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)}; }
INLINE I ishift4(I x) { return (I){_mm256_slli_epi32(x.a, 4), _mm256_slli_epi32(x.b, 4)}; }
INLINE I iload_u8(const uint8_t *p) {
    return (I){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)), _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
INLINE V ifloat(I x) { return (V){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }

// Registers for 8 of a block's outputs at a time: 16 would not leave room for the sums of several rows.
enum { PARTS = 2, TILE = 4 };
typedef __m256i P; // sums of one part
typedef __m256i W; // codes of one part: 8 outputs times 4 inputs
INLINE P part(I x, int i) { return i == 0 ? x.a : x.b; }
INLINE P padd(P x, P y) { return _mm256_add_epi32(x, y); }
INLINE void put(I *x, int i, P sums) {
    if (i == 0) x->a = sums; else x->b = sums;
}
INLINE W wload(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE W wlow(W x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
INLINE W whigh(W x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15)); }

// sums[i] += Σ_j (w[4 i + j] - CENTER) x[j], w unsigned and x signed. maddubs adds pairs in 16 bits: of a byte less 128, at
// most 2 · 128 · 127 with the sign moved to x.
enum { CENTER = 128 };
INLINE P widened(P pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
INLINE P dot_bytes(P sums, W w, int32_t x) {
    w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    P pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(_mm256_set1_epi32(x), w));
    return _mm256_add_epi32(sums, widened(pairs));
}
INLINE P dot_nibbles(P sums, W w, int32_t x) {
    return _mm256_add_epi32(sums, widened(_mm256_maddubs_epi16(w, _mm256_set1_epi32(x))));
}
