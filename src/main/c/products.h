// Products of weights with vectors of floats, in terms of the vectors of the simd_*.h that was included before.
//
// Every result of a row is computed by the same operations in the same order however many rows there are.

INLINE V load(enum kind kind, const void *p, int64_t i) {
    switch (kind) {
    case FLOAT16: return vload_f16((const uint16_t *)p + i);
    case BFLOAT16: return vload_bf16((const uint16_t *)p + i);
    default: return vload((const float *)p + i);
    }
}

// Zeros, and the last n < 16 of the k numbers at p; never reads beyond them.
INLINE V load_rest(enum kind kind, const void *p, int64_t k, int64_t n) {
    if (k >= 16) return vlast(load(kind, p, k - 16), n);
    char copy[64] = {0};
    int64_t width = kind == FLOAT32 ? 4 : 2;
    memcpy(copy + (16 - n) * width, (const char *)p + (k - n) * width, n * width);
    return load(kind, copy, 0);
}

enum { AHEAD = 2048 }; // bytes of weights asked for before they are read, at least: short rows would ask too late

// y[t][r] = w_r · x_t for `rows` rows of floats w and T vectors x of k numbers. `scale` follows the product.
INLINE void dots(const int T, const int rows, enum kind kind, const char *w, int64_t w_stride, const float *x,
                       int64_t x_stride, int64_t k, float *y, int64_t y_stride, float scale) {
    V sums[4][4];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int t = 0; t < T; t++) sums[r][t] = vzero();
    const int64_t ahead = 4 * w_stride < AHEAD ? AHEAD : 4 * w_stride;
    int64_t i = 0;
    for (; i + 16 <= k; i += 16) {
        V in[4];
        UNROLL for (int t = 0; t < T; t++) in[t] = vload(x + t * x_stride + i);
        UNROLL for (int r = 0; r < rows; r++) {
            __builtin_prefetch(w + r * w_stride + ahead + i * (kind == FLOAT32 ? 4 : 2));
            V wr = load(kind, w + r * w_stride, i);
            UNROLL for (int t = 0; t < T; t++) sums[r][t] = vfma(wr, in[t], sums[r][t]);
        }
    }
    if (i < k) {
        V in[4];
        UNROLL for (int t = 0; t < T; t++) in[t] = load_rest(FLOAT32, x + t * x_stride, k, k - i);
        UNROLL for (int r = 0; r < rows; r++) {
            V wr = load_rest(kind, w + r * w_stride, k, k - i);
            UNROLL for (int t = 0; t < T; t++) sums[r][t] = vfma(wr, in[t], sums[r][t]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int t = 0; t < T; t++) {
        y[t * y_stride + r] = vsum(sums[r][t]) * scale;
    }
}

// The same for any number of rows and vectors of one kind.
INLINE void products_of(enum kind kind, const char *w, int64_t w_stride, int64_t n, const float *x, int64_t x_stride,
                              int64_t count, int64_t k, float *y, int64_t y_stride, float scale) {
#define ROWS(T) (TILE / (T) < 4 ? TILE / (T) : 4) // as many sums as there are registers for
#define DOTS(T, ROWS) \
    dots(T, ROWS, kind, w + r * w_stride, w_stride, x + t * x_stride, x_stride, k, y + t * y_stride + r, y_stride, scale)
    for (int64_t t = 0; t < count;) {
        int64_t left = count - t;
        int width = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        for (int64_t r = 0; r < n;) {
            int rows = width == 4 ? ROWS(4) : width == 2 ? ROWS(2) : ROWS(1);
            int full = n - r >= rows;
            switch (width) {
            case 4: if (full) DOTS(4, ROWS(4)); else DOTS(4, 1); break;
            case 2: if (full) DOTS(2, ROWS(2)); else DOTS(2, 1); break;
            default: if (full) DOTS(1, ROWS(1)); else DOTS(1, 1);
            }
            r += full ? rows : 1;
        }
        t += width;
    }
#undef DOTS
#undef ROWS
}

static void products(enum kind kind, const void *w, int64_t w_stride, int64_t n, const float *x, int64_t x_stride,
                           int64_t count, int64_t k, float *y, int64_t y_stride, float scale) {
    switch (kind) {
    case FLOAT16: products_of(FLOAT16, w, w_stride, n, x, x_stride, count, k, y, y_stride, scale); break;
    case BFLOAT16: products_of(BFLOAT16, w, w_stride, n, x, x_stride, count, k, y, y_stride, scale); break;
    default: products_of(FLOAT32, w, w_stride, n, x, x_stride, count, k, y, y_stride, scale);
    }
}

// Puts what a linear makes of one row, n outputs y from `first` on, where they belong: `out` is the row's from this linear's column
// on, and they are added to what is there where `add`.
INLINE void deliver(const Linear *l, const float *y, int64_t first, int64_t n, float *out, int add) {
    for (int64_t j = 0; j < n; j++) {
        float value = y[j] + (l->bias == 0 ? 0 : l->bias[first + j]);
        out[first + j] = add ? out[first + j] + value : value;
    }
}
