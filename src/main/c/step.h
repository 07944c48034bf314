// The forward pass, in terms of the vectors of the simd_*.h that was included before: one file per set of instructions
// includes both and says in VARIANT what the library calls the result.
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

// y[t][r] = w_r · x_t for `rows` rows of floats w and T vectors x of k numbers. `scale` follows the product.
INLINE void dots(const int T, const int rows, enum kind kind, const char *w, int64_t w_stride, const float *x,
                       int64_t x_stride, int64_t k, float *y, int64_t y_stride, float scale) {
    V sums[4][4];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int t = 0; t < T; t++) sums[r][t] = vzero();
    int64_t i = 0;
    for (; i + 16 <= k; i += 16) {
        V in[4];
        UNROLL for (int t = 0; t < T; t++) in[t] = vload(x + t * x_stride + i);
        UNROLL for (int r = 0; r < rows; r++) {
            __builtin_prefetch(w + (r + 4) * w_stride + i * (kind == FLOAT32 ? 4 : 2));
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

// Blocks [first, last) of a linear for all rows: out (R, .) from this linear's column, added to what is there where `add`.
static void run_blocks(const Linear *l, int64_t first, int64_t last, const Quantized *in, const float *x, int64_t x_stride,
                         int64_t count, float *out, int64_t out_stride, int add) {
    float y[8 * 16];
    for (int64_t block = first; block < last; block++) {
        int64_t n = l->n - block * BLOCK < BLOCK ? l->n - block * BLOCK : BLOCK;
        for (int64_t t = 0; t < count;) {
            int64_t left = count - t;
            int width = left >= 8 && l->planes == 1 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
#define CODES(T) \
    if (l->kind == CODES4) { \
        if (l->planes == 1) codes(T, 1, 1, l, block, in, t, y); else codes(T, 1, 2, l, block, in, t, y); \
    } else { \
        if (l->planes == 1) codes(T, 0, 1, l, block, in, t, y); else codes(T, 0, 2, l, block, in, t, y); \
    }
            if (l->kind == CODES4 || l->kind == CODES8) {
                switch (width) {
                case 8: CODES(8); break;
                case 4: CODES(4); break;
                case 2: CODES(2); break;
                default: CODES(1);
                }
            } else {
                int64_t bytes = l->k * (l->kind == FLOAT32 ? 4 : 2);
                products(l->kind, (const char *)l->w + block * BLOCK * bytes, bytes, n, x + t * x_stride, x_stride, width,
                               l->k, y, BLOCK, 1);
                if (l->row_scale != 0) {
                    for (int i = 0; i < width; i++) for (int64_t j = 0; j < n; j++) {
                        y[i * BLOCK + j] *= l->row_scale[block * BLOCK + j];
                    }
                }
            }
#undef CODES
            for (int i = 0; i < width; i++) {
                float *to = out + (t + i) * out_stride + block * BLOCK;
                for (int64_t j = 0; j < n; j++) {
                    float value = y[i * BLOCK + j] + (l->bias == 0 ? 0 : l->bias[block * BLOCK + j]);
                    to[j] = add ? to[j] + value : value;
                }
            }
            t += width;
        }
    }
}

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

// What a phase that runs one slot's linears needs.
typedef struct {
    const Slot *slot;
    int first, last; // parts whose inputs are quantized alike
    const float *x;
    int64_t x_stride;
    int64_t count;
    float *out;
    int64_t out_stride;
    int add;
    int64_t factors; // outputs of the slot's first factors
} Projection;

// What a linear of the slot reads: the slot's input, or its own part of the first factors' outputs.
static const float *input_of(const Step *s, const Projection *p, const Linear *l, int64_t *stride) {
    *stride = l->from < 0 ? p->x_stride : p->factors;
    return l->from < 0 ? p->x : s->z + l->from;
}

static void quantize_rows(Step *s, void *argument, int64_t first, int64_t last) {
    Projection *p = argument;
    const Linear *l = p->slot->parts + p->first;
    int64_t stride;
    const float *x = input_of(s, p, l, &stride);
    for (int64_t row = first; row < last; row++) {
        quantize(l, x + row * stride, &s->in, row);
    }
}

static void blocks_of(Step *s, const Projection *p, const Linear *l, int64_t first, int64_t last) {
    int64_t stride;
    const float *x = input_of(s, p, l, &stride);
    float *out = p->out + l->column;
    if (l->by_input) {
        const int32_t *active = p->count == 1 ? s->active : 0;
        run_columns(l, first, last, x, stride, p->count, active, s->active_count, out, p->out_stride, p->add || l->onto);
    } else {
        run_blocks(l, first, last, &s->in, x, stride, p->count, out, p->out_stride, p->add || l->onto);
    }
}

// Those whose outputs belong to experts that a single row runs.
static void chosen_blocks(Step *s, const Projection *p, const Linear *l, int64_t first, int64_t last) {
    int64_t channels = s->model->f / BLOCK, width = channels / s->model->experts; // in blocks; gate and up may be one linear
    while (first < last) {
        int64_t end = first;
        while (end < last && s->chosen[end % channels / width]) end++;
        if (first < end) blocks_of(s, p, l, first, end);
        first = end;
        while (first < last && !s->chosen[first % channels / width]) first++;
    }
}

static void some_blocks(Step *s, void *argument, int64_t first, int64_t last) {
    Projection *p = argument;
    int choosy = p->slot->experts > 0 && p->count == 1 && p->first > 0;
    int64_t before = 0; // blocks of earlier parts
    for (int i = p->first; i < p->last && before < last; i++) {
        const Linear *l = p->slot->parts + i;
        int64_t blocks = (l->n + BLOCK - 1) / BLOCK;
        int64_t from = first > before ? first - before : 0;
        int64_t to = last - before < blocks ? last - before : blocks;
        if (from < to) {
            if (choosy) chosen_blocks(s, p, l, from, to);
            else blocks_of(s, p, l, from, to);
        }
        before += blocks;
    }
}

// Whether both can run at once, from one quantized form of the input.
static int alike(const Linear *a, const Linear *b) {
    int codes = a->kind >= CODES8;
    return a->onto == b->onto && codes == (b->kind >= CODES8)
        && (!codes || (a->group == b->group && a->planes == b->planes && a->from == b->from));
}

// Of the experts of each row those with the highest scores, the first of equals.
static void choose_rows(Step *s, void *argument, int64_t first, int64_t last) {
    const Projection *p = argument;
    int64_t n = p->slot->experts;
    for (int64_t row = first; row < last; row++) {
        const float *score = p->out + row * p->out_stride;
        for (int64_t i = 0; i < n; i++) {
            int64_t better = 0;
            for (int64_t j = 0; j < i; j++) better += score[j] >= score[i];
            for (int64_t j = i + 1; j < n; j++) better += score[j] > score[i];
            s->chosen[row * n + i] = better < s->model->active;
        }
    }
}

enum { LONG_RUN = 24 }; // blocks of outputs

// y = x Wᵀ + b for all linears of a slot side by side, from what its first factors make of x where there are any.
static void linears(Step *s, const Slot *slot, const float *x, int64_t x_stride, int64_t count, float *out,
                          int64_t out_stride, int add, int64_t factors) {
    Projection p = {slot, 0, 0, x, x_stride, count, out, out_stride, add, factors};
    while (p.last < slot->count) {
        p.first = p.last;
        const Linear *l = slot->parts + p.first;
        int64_t blocks = 0;
        do {
            blocks += (slot->parts[p.last++].n + BLOCK - 1) / BLOCK;
        } while (p.last < slot->count && alike(l, slot->parts + p.last) && (slot->experts == 0 || p.first > 0));
        if (l->kind >= CODES8) {
            s->in.stride = (l->groups * l->padded + 127) & ~63; // every thread writes the same
            pool_each(s, &p, quantize_rows, count, 1);
        }
        // long runs of each input, that they come at the speed of the memory
        int64_t half = blocks / (2 * pool_threads());
        pool_each(s, &p, some_blocks, blocks, !l->by_input || count > 1 ? 1 : half > LONG_RUN ? half : LONG_RUN);
        if (slot->experts > 0 && p.first == 0) pool_each(s, &p, choose_rows, count, 1);
    }
}

// What the rows read of a slot: inputs from the least magnitude on, in s->a, and of a single row which they are.
static void pick_rows(Step *s, void *argument, int64_t first, int64_t last) {
    Projection *p = argument;
    const Slot *slot = p->slot;
    int64_t k = p->factors;
    for (int64_t row = first; row < last; row++) {
        float least = s->rows == 0 || s->rows[row].position >= slot->from ? slot->least : 0;
        const float *x = p->x + row * p->x_stride;
        float *to = s->a + row * p->x_stride;
        for (int64_t i = 0; i < k; i++) to[i] = fabsf(x[i]) < least ? 0 : x[i];
        int64_t active = 0;
        for (int64_t i = 0; p->count == 1 && i < k; i++) {
            s->active[active] = (int32_t)i;
            active += to[i] != 0;
        }
        s->active_count = active;
    }
}

static void project(Step *s, const Slot *slot, const float *x, int64_t x_stride, int64_t count, float *out,
                          int64_t out_stride, int add) {
    const Slot *inner = slot + 4 * s->model->layers + 1;
    if (slot->least > 0) {
        int64_t k = (inner->count > 0 ? inner : slot)->parts[0].k;
        Projection all = {slot, 0, 0, x, x_stride, count, 0, 0, 0, k}; // no factors: k in their place
        pool_each(s, &all, pick_rows, count, 1);
        x = s->a;
    }
    if (inner->count > 0) linears(s, inner, x, x_stride, count, s->z, inner->n, 0, 0);
    linears(s, slot, x, x_stride, count, out, out_stride, add, inner->n);
}

// x / sqrt(mean x² + ε) · w
static void normalize(const float *x, const float *w, float *y, int64_t d, float epsilon) {
    V sum = vzero();
    int64_t i = 0;
    for (; i + 16 <= d; i += 16) sum = vfma(vload(x + i), vload(x + i), sum);
    float squares = vsum(sum);
    for (; i < d; i++) squares += x[i] * x[i];
    float inverse = 1 / sqrtf(squares / (float)d + epsilon);
    for (i = 0; i < d; i++) y[i] = x[i] * inverse * w[i];
}

typedef struct {
    int64_t layer;
    const float *norm;
    const int32_t *rows; // of logits
} Layer;

static void embed_rows(Step *s, void *argument, int64_t first, int64_t last) {
    (void)argument;
    const Embedding *e = &s->model->embedding;
    int64_t d = s->model->d;
    for (int64_t row = first; row < last; row++) {
        int64_t token = s->rows[row].token;
        float *x = s->x + row * d, scale = s->model->embedding_scale;
        if (e->kind == CODES8) {
            int64_t width = d / e->groups;
            for (int64_t i = 0; i < d; i++) {
                int64_t g = token * e->groups + i / width;
                int code = e->is_signed ? ((const int8_t *)e->table)[token * d + i] : ((const uint8_t *)e->table)[token * d + i];
                x[i] = code * e->scale[g] + e->shift[g];
            }
        } else {
            const char *from = (const char *)e->table + token * d * (e->kind == FLOAT32 ? 4 : 2);
            int64_t i = 0;
            for (; i + 16 <= d; i += 16) vstore(x + i, load(e->kind, from, i));
            if (i < d) {
                float rest[16];
                vstore(rest, load_rest(e->kind, from, d, d - i));
                memcpy(x + i, rest + 16 - (d - i), (d - i) * sizeof(float));
            }
        }
        for (int64_t i = 0; scale != 1 && i < d; i++) x[i] *= scale;
    }
}

static void normalize_rows(Step *s, void *argument, int64_t first, int64_t last) {
    const Layer *layer = argument;
    int64_t d = s->model->d;
    for (int64_t row = first; row < last; row++) {
        normalize(s->x + (layer->rows == 0 ? row : layer->rows[row]) * d, layer->norm, s->a + row * d, d, s->model->epsilon);
    }
}

// x += norm(y), where y holds what a sublayer adds.
static void add_normalized(Step *s, void *argument, int64_t first, int64_t last) {
    const Layer *layer = argument;
    int64_t d = s->model->d;
    for (int64_t row = first; row < last; row++) {
        float *x = s->x + row * d, *y = s->y + row * d;
        normalize(y, layer->norm, y, d, s->model->epsilon);
        for (int64_t i = 0; i < d; i++) x[i] += y[i];
    }
}

// Turns the two halves of a head's rotated coordinates by the position's angles.
static void rotate(float *x, const float *cos, const float *sin, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * cos[i] - b * sin[i];
        x[half + i] = b * cos[i] + a * sin[i];
    }
}

static float *cached(const Step *s, const Row *row, int64_t layer, int values, int64_t head) {
    return (values ? row->values : row->keys) + layer * row->stride + head * row->capacity * s->model->hd;
}

// Where a position lies in a sequence's cache.
static int64_t place_of(const Model *m, const Row *row, int64_t position) {
    return position < row->capacity ? position : m->sinks + (position - m->sinks) % (row->capacity - m->sinks);
}

// Normalizes and rotates queries and keys of all rows and writes keys and values to their caches. y holds q k v, and then q as
// it meets the sinks.
static void write_rows(Step *s, void *argument, int64_t first, int64_t last) {
    const Layer *layer = argument;
    const Model *m = s->model;
    int64_t half = m->half, table = m->windows[layer->layer] > 0 ? s->local : 0;
    float **norms = m->norms + NORMS * layer->layer;
    for (int64_t i = first; i < last; i++) {
        const Row *row = s->rows + i;
        const float *cos = s->cos + table + row->angles * half, *sin = s->sin + table + row->angles * half;
        const float *sink_cos = s->cos + table + row->sink_angles * half, *sink_sin = s->sin + table + row->sink_angles * half;
        float *qkv = s->y + i * qkv_width(m), *to_sinks = qkv + (m->h + 2 * m->g) * m->hd;
        int64_t place = place_of(m, row, row->position) * m->hd;
        for (int64_t head = 0; head < m->h + m->g; head++) {
            const float *norm = norms[head < m->h ? QUERY : KEY];
            if (norm != 0) normalize(qkv + head * m->hd, norm, qkv + head * m->hd, m->hd, m->epsilon);
            if (m->sinks > 0 && head < m->h) {
                memcpy(to_sinks + head * m->hd, qkv + head * m->hd, m->hd * sizeof(float));
                rotate(to_sinks + head * m->hd, sink_cos, sink_sin, half);
            }
            rotate(qkv + head * m->hd, cos, sin, half);
        }
        for (int64_t head = 0; head < m->g; head++) {
            memcpy(cached(s, row, layer->layer, 0, head) + place, qkv + (m->h + head) * m->hd, m->hd * 4);
            memcpy(cached(s, row, layer->layer, 1, head) + place, qkv + (m->h + m->g + head) * m->hd, m->hd * 4);
        }
    }
}

INLINE float exponential(float x) {
    // 2^n e^r with n whole and |r| <= ln 2 / 2; the low bits of t are those of n
    x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
    float t = x * 1.44269504f + 12582912.f;
    int32_t bits;
    memcpy(&bits, &t, 4);
    float n = t - 12582912.f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    bits = (int32_t)((uint32_t)bits << 23) + 0x3f800000;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

// c tanh(x / c)
INLINE float capped(float x, float c) { return c - 2 * c / (exponential(2 * x / c) + 1); }

enum { QUERIES = 4, SEEN = 128 };

// o[t] = o[t] decay[t] + Σ_s p[t][s] v_s for T queries, over `width` vectors of 16 columns.
INLINE void weighted(const int T, const int width, const float *p, int64_t seen, const float *v, int64_t v_stride, float *o,
                           int64_t o_stride, const float *decay) {
    V sums[4][4];
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) {
        sums[t][j] = vmul(vload(o + t * o_stride + 16 * j), vset(decay[t]));
    }
    for (int64_t s = 0; s < seen; s++) {
        UNROLL for (int j = 0; j < width; j++) {
            V value = vload(v + s * v_stride + 16 * j);
            UNROLL for (int t = 0; t < T; t++) sums[t][j] = vfma(vset(p[t * SEEN + s]), value, sums[t][j]);
        }
    }
    UNROLL for (int t = 0; t < T; t++) UNROLL for (int j = 0; j < width; j++) vstore(o + t * o_stride + 16 * j, sums[t][j]);
}

// Attention of one query head of T rows, a block of positions at a time: o (T, hd), not yet divided by the sum of the weights, and
// the running maximum and sum of each row.
typedef struct {
    const Model *model;
    const Row *row;
    int T;
    float *o;
    float highest[QUERIES], total[QUERIES];
} Attention;

// Adds `seen` positions from `at` on, at most SEEN, of which a row sees the last `window` up to its own.
static void attend_block(Attention *a, const float *q, const float *k, const float *v, int64_t at, int64_t seen,
                         int64_t window) {
    const Model *m = a->model;
    int64_t hd = m->hd, o_stride = m->h * hd;
    float *o = a->o, p[QUERIES * SEEN], decay[QUERIES];
    products(FLOAT32, k, hd * 4, seen, q, qkv_width(m), a->T, hd, p, SEEN, m->attention_scale / sqrtf((float)hd));
    for (int t = 0; t < a->T; t++) {
        float *pt = p + t * SEEN;
        int64_t visible = a->row[t].position + 1 - at;
        visible = visible < 0 ? 0 : visible < seen ? visible : seen;
        int64_t hidden = a->row[t].position + 1 - window - at;
        hidden = hidden < 0 ? 0 : hidden < visible ? hidden : visible;
        float top = a->highest[t];
        for (int64_t i = hidden; m->attention_cap > 0 && i < visible; i++) pt[i] = capped(pt[i], m->attention_cap);
        for (int64_t i = hidden; i < visible; i++) top = pt[i] > top ? pt[i] : top;
        for (int64_t i = hidden; i < visible; i++) pt[i] = exponential(pt[i] - top);
        for (int64_t i = 0; i < hidden; i++) pt[i] = 0;
        for (int64_t i = visible; i < ((seen + 15) & ~15); i++) pt[i] = 0;
        V sum = vzero();
        for (int64_t i = 0; i < seen; i += 16) sum = vadd(sum, vload(pt + i));
        decay[t] = a->highest[t] == -INFINITY ? 0 : exponential(a->highest[t] - top);
        a->total[t] = a->total[t] * decay[t] + vsum(sum);
        a->highest[t] = top;
    }
    int64_t j = 0;
#define WEIGHTED(T, WIDTH) weighted(T, WIDTH, p, seen, v + j, hd, o + j, o_stride, decay)
#define ALL(WIDTH) \
    switch (a->T) { \
    case 4: WEIGHTED(4, WIDTH); break; \
    case 3: WEIGHTED(3, WIDTH); break; \
    case 2: WEIGHTED(2, WIDTH); break; \
    default: WEIGHTED(1, WIDTH); \
    }
    if (TILE >= 16) for (; j + 64 <= hd; j += 64) ALL(4);
    for (; j + 16 <= hd; j += 16) ALL(1);
#undef ALL
#undef WEIGHTED
    for (; j < hd; j++) {
        for (int t = 0; t < a->T; t++) {
            float sum = o[t * o_stride + j] * decay[t];
            for (int64_t i = 0; i < seen; i++) sum += p[t * SEEN + i] * v[i * hd + j];
            o[t * o_stride + j] = sum;
        }
    }
}

// Attention of T rows, for one query head: softmax(q Kᵀ / sqrt(hd)) V, a block of positions at a time. Blocks start at the same
// positions whatever the rows, so that a row's result is always made alike; those that no row sees are left out.
static void attend(Step *s, int64_t layer, int64_t first, int T, int64_t head) {
    const Model *m = s->model;
    int64_t hd = m->hd, sinks = m->sinks;
    const Row *row = s->rows + first;
    int64_t kv_head = head / (m->h / m->g);
    const float *k = cached(s, row, layer, 0, kv_head), *v = cached(s, row, layer, 1, kv_head);
    const float *q = s->y + first * qkv_width(m) + head * hd;
    Attention a = {.model = m, .row = row, .T = T, .o = s->a + first * m->h * hd + head * hd};
    for (int t = 0; t < T; t++) {
        a.highest[t] = -INFINITY;
        a.total[t] = 0;
        memset(a.o + t * m->h * hd, 0, hd * sizeof(float));
    }
    int64_t end = row[T - 1].position + 1, own = m->windows[layer];
    int64_t window = own > 0 ? own : end, sink_window = window;
    if (m->window > 0 && (own == 0 || own > m->window)) {
        window = m->window;
        sink_window = end;
    }
    for (int64_t at = 0; at < sinks && at < end; at += SEEN) {
        int64_t seen = (end < sinks ? end : sinks) - at;
        attend_block(&a, q + (m->h + 2 * m->g) * hd, k + at * hd, v + at * hd, at, seen < SEEN ? seen : SEEN, sink_window);
    }
    int64_t start = row[0].position + 1 - window - sinks;
    for (int64_t at = sinks + (start > 0 ? start / SEEN * SEEN : 0); at < end; at += SEEN) {
        int64_t place = place_of(m, row, at) * hd;
        attend_block(&a, q, k + place, v + place, at, end - at < SEEN ? end - at : SEEN, window);
    }
    for (int t = 0; t < T; t++) {
        float inverse = 1 / a.total[t];
        for (int64_t j = 0; j < hd; j++) a.o[t * m->h * hd + j] *= inverse;
    }
}

static int follows(const Row *a, const Row *b) {
    return a->keys == b->keys && a->position + 1 == b->position;
}

// Items are query heads times runs of up to 4 rows, head by head so that its keys and values stay near; a run starts where a
// row does not follow the one before.
static void attend_rows(Step *s, void *argument, int64_t first, int64_t last) {
    const Layer *layer = argument;
    int64_t runs = (s->count + QUERIES - 1) / QUERIES;
    for (int64_t i = first; i < last; i++) {
        int64_t head = i / runs, start = i % runs * QUERIES;
        int64_t end = start + QUERIES < s->count ? start + QUERIES : s->count;
        while (start < end) {
            int T = 1;
            while (start + T < end && follows(s->rows + start + T - 1, s->rows + start + T)) T++;
            attend(s, layer->layer, start, T, head);
            start += T;
        }
    }
}

// a = activation(gate) up of n channels.
static void gate_channels(enum activation activation, const float *gate, const float *up, float *a, int64_t n) {
    if (activation == SILU) {
        for (int64_t j = 0; j < n; j++) a[j] = gate[j] / (1 + exponential(-gate[j])) * up[j];
    } else {
        for (int64_t j = 0; j < n; j++) {
            float x = gate[j];
            a[j] = x / (1 + exponential(-1.59576912f * (x + 0.044715f * x * x * x))) * up[j]; // 2 sqrt(2 / pi)
        }
    }
}

// The same where y holds scores of experts, gate and up; 0 of experts that do not run.
static void gate_rows(Step *s, void *argument, int64_t first, int64_t last) {
    (void)argument;
    const Model *m = s->model;
    int64_t f = m->f, experts = m->experts, width = experts > 0 ? f / experts : f;
    for (int64_t i = first; i < last; i++) {
        const float *gate = s->y + i * (experts + 2 * f) + experts, *up = gate + f;
        float *a = s->a + i * f;
        for (int64_t j = 0; j < f; j += width) {
            if (experts == 0 || s->chosen[i * experts + j / width]) {
                gate_channels(m->activation, gate + j, up + j, a + j, width);
            } else {
                memset(a + j, 0, width * sizeof(float));
            }
        }
    }
}

static void cap_logits(Step *s, void *argument, int64_t first, int64_t last) {
    (void)argument;
    int64_t vocab = s->model->vocab;
    for (int64_t i = first * vocab; i < last * vocab; i++) s->logits[i] = capped(s->logits[i], s->model->logit_cap);
}

static void one_slot(Step *s, int thread) {
    (void)thread;
    const Slot *inner = s->slot + 4 * s->model->layers + 1;
    project(s, s->slot, s->input, (inner->count > 0 ? inner : s->slot)->parts[0].k, s->count, s->output, s->slot->n, 0);
}

// y = x Wᵀ + b of a slot, normalized where `norm` is not null, added to the stream.
static void add_project(Step *s, const Slot *slot, int64_t width, const float *norm) {
    project(s, slot, s->a, width, s->count, norm == 0 ? s->x : s->y, s->model->d, norm == 0);
    if (norm != 0) {
        Layer layer = {0, norm, 0};
        pool_each(s, &layer, add_normalized, s->count, 1);
    }
}

// All rows through some layers. Every thread runs this; the phases share the work.
static void run(Step *s, int thread) {
    (void)thread;
    const Model *m = s->model;
    int64_t attention = m->h * m->hd, qkv = qkv_width(m);
    if (s->embed) pool_each(s, 0, embed_rows, s->count, 1);
    for (int64_t i = s->first_layer; i < s->end_layer; i++) {
        const Slot *slots = m->slots + 4 * i;
        float **norms = m->norms + NORMS * i;
        Layer layer = {i, norms[INPUT], 0};
        pool_each(s, &layer, normalize_rows, s->count, 1);
        project(s, slots, s->a, m->d, s->count, s->y, qkv, 0);
        pool_each(s, &layer, write_rows, s->count, 1);
        pool_each(s, &layer, attend_rows, (s->count + QUERIES - 1) / QUERIES * m->h, 1);
        add_project(s, slots + 1, attention, norms[ATTENTION_OUTPUT]);
        layer.norm = norms[MLP_INPUT];
        pool_each(s, &layer, normalize_rows, s->count, 1);
        project(s, slots + 2, s->a, m->d, s->count, s->y, m->experts + 2 * m->f, 0);
        pool_each(s, &layer, gate_rows, s->count, 1);
        add_project(s, slots + 3, m->f, norms[MLP_OUTPUT]);
    }
    int32_t wanted[CHUNK];
    int64_t count = 0;
    for (int64_t i = 0; s->logits != 0 && i < s->count; i++) {
        if (s->rows[i].wanted) wanted[count++] = (int32_t)i;
    }
    if (count > 0) {
        Layer last = {0, m->norms[NORMS * m->layers], wanted};
        pool_each(s, &last, normalize_rows, count, 1);
        project(s, m->slots + 4 * m->layers, s->a, m->d, count, s->logits, m->vocab, 0);
        if (m->logit_cap > 0) pool_each(s, 0, cap_logits, count, 1);
    }
}

const Variant VARIANT = {run, one_slot, round_all};
