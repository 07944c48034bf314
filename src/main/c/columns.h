// Products of weights in panels, input by input. In a single panel those of inputs that are 0 are not read.

// y[t][j] = Σ_i w[i][j] x_t[i] for T vectors x and `width` vectors of 16 outputs j, by so many chains of sums: one would leave the
// multipliers idle where there are few outputs.
INLINE void columns(const int T, const int width, const int chains, enum kind kind, const char *w, int64_t w_stride, const float *x,
                          int64_t x_stride, int64_t k, float *y, int64_t y_stride) {
    V sums[4][2][2];
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) sums[t][j][0] = sums[t][j][chains - 1] = vzero();
    int64_t i = 0;
    for (; i + chains <= k; i += chains) {
        UNROLL for (int c = 0; c < chains; c++, w += w_stride) {
            if (chains > 1) __builtin_prefetch(w + AHEAD);
            UNROLL for (int j = 0; j < width; j++) {
                V wj = load(kind, w, 16 * j);
                UNROLL for (int t = 0; t < T; t++) sums[t][j][c] = vfma(wj, vset(x[t * x_stride + i + c]), sums[t][j][c]);
            }
        }
    }
    if (i < k) {
        UNROLL for (int j = 0; j < width; j++) {
            V wj = load(kind, w, 16 * j);
            UNROLL for (int t = 0; t < T; t++) sums[t][j][0] = vfma(wj, vset(x[t * x_stride + i]), sums[t][j][0]);
        }
    }
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) {
        vstore(y + t * y_stride + 16 * j, chains > 1 ? vadd(sums[t][j][0], sums[t][j][1]) : sums[t][j][0]);
    }
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

// Blocks [first, last) of a linear in panels, as run_codes; `active` where it is a single row that reads what that names, else
// null.
INLINE void run_columns_of(enum kind kind, const Linear *l, int64_t first, int64_t last, const float *x, int64_t x_stride,
                                 int64_t count, const int32_t *active, int64_t active_count, float *out, int64_t out_stride,
                                 int add) {
    const int64_t size = kind == FLOAT32 ? 4 : 2;
    const int narrow = l->narrow, most = narrow && TILE < 16 ? 2 : 4;
    float y[WIDEST * BLOCK];
    while (first < last) {
        int64_t column = first * BLOCK, left = last - first, blocks = left < WIDEST ? left : WIDEST;
        if (active == 0) blocks = left >= 2 && (!narrow || first % 2 == 0) ? 2 : 1;
        int64_t n = l->n - column < blocks * BLOCK ? l->n - column : blocks * BLOCK;
        const char *w = (const char *)l->w + column / l->panel * l->k * l->stride + column % l->panel * size;
        for (int64_t t = 0; t < count;) {
            int width = count - t >= most ? most : 1;
#define COLUMNS(T, WIDTH, CHAINS) \
    columns(T, WIDTH, CHAINS, kind, w, l->stride, x + t * x_stride, x_stride, l->k, y, blocks * BLOCK)
#define WIDTHS(T) \
    if (narrow) { \
        if (blocks == 2) COLUMNS(T, 2, 2); else COLUMNS(T, 1, 2); \
    } else { \
        if (blocks == 2) COLUMNS(T, 2, 1); else COLUMNS(T, 1, 1); \
    }
            if (active != 0) active_columns(kind, w, l->stride, x, active, active_count, blocks * BLOCK, y);
            else switch (width) {
                case 4: WIDTHS(4); break;
                case 2: WIDTHS(2); break;
                default: WIDTHS(1);
            }
#undef WIDTHS
#undef COLUMNS
            for (int i = 0; i < width; i++) deliver(l, y + i * blocks * BLOCK, column, n, out + (t + i) * out_stride, add);
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
