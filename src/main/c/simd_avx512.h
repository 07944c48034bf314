// 16 floats or 16 sums at a time, with the 8-bit dot product of AVX-512 VNNI.
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 8")

typedef __m512 V;
typedef __m512i I;

INLINE V vzero(void) { return _mm512_setzero_ps(); }
INLINE V vset(float x) { return _mm512_set1_ps(x); }
INLINE V vload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vstore(float *p, V a) { _mm512_storeu_ps(p, a); }
INLINE V vload_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE V vload_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE V vadd(V a, V b) { return _mm512_add_ps(a, b); }
INLINE V vmul(V a, V b) { return _mm512_mul_ps(a, b); }
INLINE V vmax(V a, V b) { return _mm512_max_ps(a, b); }
INLINE V vdiv(V a, V b) { return _mm512_div_ps(a, b); }
INLINE V vmin(V a, V b) { return _mm512_min_ps(a, b); }
INLINE V vabs(V a) { return _mm512_abs_ps(a); }
INLINE V vfma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
INLINE V vround(V a) { return _mm512_roundscale_ps(a, 0); }
INLINE V vlast(V a, int64_t n) { return _mm512_maskz_mov_ps((__mmask16)(0xffff0000u >> n), a); } // the last n stay, zeros before
INLINE float vsum(V a) { return _mm512_reduce_add_ps(a); }
INLINE float vhighest(V a) { return _mm512_reduce_max_ps(a); }
INLINE void vstore_i8(int8_t *p, V a) { // whole numbers
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
}

INLINE I izero(void) { return _mm512_setzero_si512(); }
INLINE I iset(int32_t x) { return _mm512_set1_epi32(x); }
INLINE I iadd(I a, I b) { return _mm512_add_epi32(a, b); }
INLINE I isub(I a, I b) { return _mm512_sub_epi32(a, b); }
INLINE I imul(I a, I b) { return _mm512_mullo_epi32(a, b); }
INLINE I ishift4(I a) { return _mm512_slli_epi32(a, 4); }
INLINE I iload_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
INLINE V ifloat(I a) { return _mm512_cvtepi32_ps(a); }

// A block's outputs are computed all at once.
enum { PARTS = 1, TILE = 16, CENTER = 0 };
typedef I P;
INLINE P part(I x, int i) { (void)i; return x; }
INLINE P padd(P x, P y) { return iadd(x, y); }
INLINE void put(I *x, int i, P sums) { (void)i; *x = sums; }
typedef __m512i W;
INLINE W wload(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE W wlow(W a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
INLINE W whigh(W a) { return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15)); }

// sums[i] += Σ_j (w[4 i + j] - CENTER) x[j], w unsigned and x signed
INLINE P dot_bytes(P sums, W w, int32_t x) { return _mm512_dpbusd_epi32(sums, w, _mm512_set1_epi32(x)); }
INLINE P dot_nibbles(P sums, W w, int32_t x) { return dot_bytes(sums, w, x); }
