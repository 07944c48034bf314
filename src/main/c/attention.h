// Attention over cached keys and values, a block of positions at a time.

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
    int64_t cache;       // which of the caches is its own: one for each layer with attention
} Layer;

// Turns the two halves of a head's rotated coordinates by the position's angles.
static void rotate(float *x, const float *cos, const float *sin, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * cos[i] - b * sin[i];
        x[half + i] = b * cos[i] + a * sin[i];
    }
}

static float *cached(const Step *s, const Row *row, int64_t cache, int values, int64_t head) {
    return (values ? row->values : row->keys) + cache * row->stride + head * row->capacity * s->model->hd;
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
            memcpy(cached(s, row, layer->cache, 0, head) + place, qkv + (m->h + head) * m->hd, m->hd * 4);
            memcpy(cached(s, row, layer->cache, 1, head) + place, qkv + (m->h + m->g + head) * m->hd, m->hd * 4);
        }
    }
}

// Bounds the pages that rows end, all of whose keys are written.
static void bound_rows(Step *s, void *argument, int64_t first, int64_t last) {
    const Layer *layer = argument;
    const Model *m = s->model;
    for (int64_t i = first; i < last; i++) {
        const Row *row = s->rows + i;
        int64_t index = row->position / m->page;
        for (int64_t head = 0; row->position % m->page == m->page - 1 && head < m->g; head++) {
            const float *keys = cached(s, row, layer->cache, 0, head) + index * m->page * m->hd;
            bound_page(keys, m->page, m->hd, bounds_of(m, row, layer->cache, head), index);
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

// Adds all positions that rows see, a block at a time. Blocks start at the same positions whatever the rows, so that a row's
// result is always made alike; those that no row sees are left out.
static void attend_all(Attention *a, int64_t layer, const float *q, const float *k, const float *v) {
    const Model *m = a->model;
    const Row *row = a->row;
    int64_t hd = m->hd, sinks = m->sinks, end = row[a->T - 1].position + 1, own = m->windows[layer];
    int64_t window = own > 0 ? own : end, sink_window = window;
    if (m->window > 0 && (own == 0 || own > m->window)) {
        window = m->window;
        sink_window = end;
    }
    for (int64_t at = 0; at < sinks && at < end; at += SEEN) {
        int64_t seen = (end < sinks ? end : sinks) - at;
        attend_block(a, q + (m->h + 2 * m->g) * hd, k + at * hd, v + at * hd, at, seen < SEEN ? seen : SEEN, sink_window);
    }
    int64_t start = row[0].position + 1 - window - sinks;
    for (int64_t at = sinks + (start > 0 ? start / SEEN * SEEN : 0); at < end; at += SEEN) {
        int64_t place = place_of(m, row, at) * hd;
        attend_block(a, q, k + place, v + place, at, end - at < SEEN ? end - at : SEEN, window);
    }
}

// Adds the positions of one row's best pages and of its own.
static void attend_pages(Attention *a, const float *bounds, const float *q, const float *k, const float *v) {
    const Model *m = a->model;
    int64_t hd = m->hd, end = a->row->position + 1, own = a->row->position / m->page;
    Best best;
    best_pages(&best, q, bounds, own, hd, m->pages);
    for (int64_t i = 0; i <= best.count; i++) {
        int64_t at = (i < best.count ? best.page[i] : own) * m->page, last = i < best.count ? at + m->page : end;
        for (; at < last; at += SEEN) {
            attend_block(a, q, k + at * hd, v + at * hd, at, last - at < SEEN ? last - at : SEEN, end);
        }
    }
}

// Attention of T rows, for one query head: softmax(q Kᵀ / sqrt(hd)) V. A row that chooses pages comes alone.
static void attend(Step *s, const Layer *layer, int64_t first, int T, int64_t head) {
    const Model *m = s->model;
    int64_t hd = m->hd;
    const Row *row = s->rows + first;
    int64_t kv_head = head / (m->h / m->g);
    const float *k = cached(s, row, layer->cache, 0, kv_head), *v = cached(s, row, layer->cache, 1, kv_head);
    const float *q = s->y + first * qkv_width(m) + head * hd;
    Attention a = {.model = m, .row = row, .T = T, .o = s->o + first * m->h * hd + head * hd};
    for (int t = 0; t < T; t++) {
        a.highest[t] = -INFINITY;
        a.total[t] = 0;
        memset(a.o + t * m->h * hd, 0, hd * sizeof(float));
    }
    if (chooses_pages(m, layer->layer, row)) {
        attend_pages(&a, bounds_of(m, row, layer->cache, kv_head), q, k, v);
    } else {
        attend_all(&a, layer->layer, q, k, v);
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
            while (start + T < end && follows(s->rows + start + T - 1, s->rows + start + T)
                   && !chooses_pages(s->model, layer->layer, s->rows + start + T)) T++;
            attend(s, layer, start, T, head);
            start += T;
        }
    }
}
