// Products of weights that lie input by input, of which those of inputs that are 0 are not read.

// y[t][j] = Σ_i w[i][j] x_t[i] for T vectors x and `width` vectors of 16 outputs j.
INLINE void columns(const int T, const int width, enum kind kind, const char *w, int64_t w_stride, const float *x,
                          int64_t x_stride, int64_t k, float *y, int64_t y_stride) {
    V sums[4][2];
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) sums[t][j] = vzero();
    for (int64_t i = 0; i < k; i++, w += w_stride) {
        UNROLL for (int j = 0; j < width; j++) {
            V wj = load(kind, w, 16 * j);
            UNROLL for (int t = 0; t < T; t++) sums[t][j] = vfma(wj, vset(x[t * x_stride + i]), sums[t][j]);
        }
    }
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) vstore(y + t * y_stride + 16 * j, sums[t][j]);
}

enum { STREAMS = 8 }; // inputs whose weights are read side by side

// The same for one vector, of which only `count` inputs are not 0, to the same numbers. What is read next is asked for by name: a
// processor that foresees it by itself fetches the weights of inputs that are 0 as well.
INLINE void active_columns(enum kind kind, const char *w, int64_t w_stride, const float *x, const int32_t *active,
                                 int64_t count, int64_t width, float *y) {
    const int64_t size = kind == FLOAT32 ? 4 : 2;
    memset(y, 0, width * sizeof(float));
    int64_t a = 0;
    for (; a + STREAMS <= count; a += STREAMS) {
        const char *from[STREAMS], *next[STREAMS];
        V in[STREAMS];
        UNROLL for (int i = 0; i < STREAMS; i++) {
            int64_t later = a + STREAMS + i < count ? a + STREAMS + i : count - 1;
            from[i] = w + active[a + i] * w_stride;
            next[i] = w + active[later] * w_stride;
            in[i] = vset(x[active[a + i]]);
        }
        for (int64_t j = 0; j < width; j += 16) {
            if (j * size % LINE == 0) UNROLL for (int i = 0; i < STREAMS; i++) __builtin_prefetch(next[i] + j * size);
            V sum = vload(y + j);
            UNROLL for (int i = 0; i < STREAMS; i++) sum = vfma(load(kind, from[i], j), in[i], sum);
            vstore(y + j, sum);
        }
    }
    for (; a < count; a++) {
        V in = vset(x[active[a]]);
        const char *from = w + active[a] * w_stride;
        for (int64_t j = 0; j < width; j += 16) vstore(y + j, vfma(load(kind, from, j), in, vload(y + j)));
    }
}

enum { WIDEST = 64 }; // blocks of outputs that are summed up together

// Blocks [first, last) of a linear that lies input by input, as run_blocks; `active` where it is a single row that reads what
// that names, else null.
INLINE void run_columns_of(enum kind kind, const Linear *l, int64_t first, int64_t last, const float *x, int64_t x_stride,
                                 int64_t count, const int32_t *active, int64_t active_count, float *out, int64_t out_stride,
                                 int add) {
    int64_t size = kind == FLOAT32 ? 4 : 2, stride = input_bytes(kind, l->n);
    float y[WIDEST * BLOCK];
    while (first < last) {
        int64_t blocks = active == 0 ? last - first >= 2 ? 2 : 1 : last - first < WIDEST ? last - first : WIDEST;
        int64_t column = first * BLOCK, n = l->n - column < blocks * BLOCK ? l->n - column : blocks * BLOCK;
        const char *w = (const char *)l->w + column * size;
        for (int64_t t = 0; t < count;) {
            int width = count - t >= 4 ? 4 : 1;
#define COLUMNS(T, WIDTH) columns(T, WIDTH, kind, w, stride, x + t * x_stride, x_stride, l->k, y, blocks * BLOCK)
            if (active != 0) active_columns(kind, w, stride, x, active, active_count, blocks * BLOCK, y);
            else if (width == 4) {
                if (blocks == 2) COLUMNS(4, 2); else COLUMNS(4, 1);
            } else {
                if (blocks == 2) COLUMNS(1, 2); else COLUMNS(1, 1);
            }
#undef COLUMNS
            for (int i = 0; i < width; i++) {
                float *to = out + (t + i) * out_stride + column;
                for (int64_t j = 0; j < n; j++) {
                    float value = y[i * blocks * BLOCK + j] + (l->bias == 0 ? 0 : l->bias[column + j]);
                    to[j] = add ? to[j] + value : value;
                }
            }
            t += width;
        }
        first += blocks;
    }
}

static void run_columns(const Linear *l, int64_t first, int64_t last, const float *x, int64_t x_stride, int64_t count,
                              const int32_t *active, int64_t active_count, float *out, int64_t out_stride, int add) {
#define RUN(KIND) run_columns_of(KIND, l, first, last, x, x_stride, count, active, active_count, out, out_stride, add)
    switch (l->kind) {
    case FLOAT16: RUN(FLOAT16); break;
    case BFLOAT16: RUN(BFLOAT16); break;
    default: RUN(FLOAT32);
    }
#undef RUN
}
