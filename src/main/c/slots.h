// The linears of a slot, shared by the threads.

// Blocks [first, last) of a linear of codes for all rows.
static void run_codes(const Linear *l, int64_t first, int64_t last, const Quantized *in, int64_t count, float *out,
                        int64_t out_stride, int add) {
    float y[8 * BLOCK];
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
            switch (width) {
            case 8: CODES(8); break;
            case 4: CODES(4); break;
            case 2: CODES(2); break;
            default: CODES(1);
            }
#undef CODES
            for (int i = 0; i < width; i++) deliver(l, y + i * BLOCK, block * BLOCK, n, out + (t + i) * out_stride, add);
            t += width;
        }
    }
}

// Outputs [first, last) of a linear of floats, which lie output by output, for all rows.
static void run_floats(const Linear *l, int64_t first, int64_t last, const float *x, int64_t x_stride, int64_t count, float *out,
                         int64_t out_stride, int add) {
    float y[4 * BLOCK];
    int64_t bytes = l->k * (l->kind == FLOAT32 ? 4 : 2);
    for (; first < last; first += BLOCK) {
        int64_t n = last - first < BLOCK ? last - first : BLOCK;
        for (int64_t t = 0; t < count; t += 4) {
            int64_t width = count - t < 4 ? count - t : 4;
            products(l->kind, (const char *)l->w + first * bytes, bytes, n, x + t * x_stride, x_stride, width, l->k, y, BLOCK, 1);
            for (int64_t i = 0; l->row_scale != 0 && i < width * BLOCK; i++) y[i] *= l->row_scale[first + i % BLOCK];
            for (int64_t i = 0; i < width; i++) deliver(l, y + i * BLOCK, first, n, out + (t + i) * out_stride, add);
        }
    }
}

// What a thread needs of a step: its own scratch where there is a single row.
static Step own(const Step *s, int thread) {
    Step own = *s;
    if (s->count == 1) {
        int64_t skip = thread * s->own;
        own.a = (float *)((char *)s->a + skip);
        own.in.q = (int8_t *)((char *)s->in.q + skip);
        own.in.scale = (float *)((char *)s->in.scale + skip);
        own.in.sum = (int32_t *)((char *)s->in.sum + skip);
        own.active = (int32_t *)((char *)s->active + skip);
        own.chosen = (uint8_t *)((char *)s->chosen + skip);
    }
    return own;
}

// Makes what the linears read: all threads together, or of a single row each its own.
static void each_row(Step *s, void *argument, Piece piece, int64_t count) {
    if (s->count == 1) {
        piece(s, argument, 0, 1);
    } else {
        pool_each(s, argument, piece, count, 1);
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
    int64_t some;    // outputs that are dealt out together
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

static void outputs_of(Step *s, const Projection *p, const Linear *l, int64_t first, int64_t last) {
    int64_t stride;
    const float *x = input_of(s, p, l, &stride);
    float *out = p->out + l->column;
    int add = p->add || l->onto;
    if (l->kind >= CODES8) {
        run_codes(l, first, last, &s->in, p->count, out, p->out_stride, add);
    } else if (l->panel > 0) {
        const int32_t *active = s->count == 1 && !l->narrow ? s->active : 0;
        int64_t blocks = p->some / BLOCK;
        run_columns(l, first * blocks, last * blocks, x, stride, p->count, active, s->active_count, out, p->out_stride, add);
    } else {
        int64_t end = last * p->some < l->n ? last * p->some : l->n;
        run_floats(l, first * p->some, end, x, stride, p->count, out, p->out_stride, add);
    }
}

// Those whose outputs belong to experts that a single row runs.
static void chosen_blocks(Step *s, const Projection *p, const Linear *l, int64_t first, int64_t last) {
    int64_t channels = s->model->f / BLOCK, width = channels / s->model->experts; // in blocks; gate and up may be one linear
    while (first < last) {
        int64_t end = first;
        while (end < last && s->chosen[end % channels / width]) end++;
        if (first < end) outputs_of(s, p, l, first, end);
        first = end;
        while (first < last && !s->chosen[first % channels / width]) first++;
    }
}

static int64_t items_of(const Linear *l, int64_t some) { return (l->n + some - 1) / some; }

static void some_outputs(Step *s, void *argument, int64_t first, int64_t last) {
    Projection *p = argument;
    int choosy = p->slot->experts > 0 && p->count == 1 && p->first > 0;
    int64_t before = 0; // items of earlier parts
    for (int i = p->first; i < p->last && before < last; i++) {
        const Linear *l = p->slot->parts + i;
        int64_t items = items_of(l, p->some);
        int64_t from = first > before ? first - before : 0;
        int64_t to = last - before < items ? last - before : items;
        if (from < to) {
            if (choosy) chosen_blocks(s, p, l, from, to);
            else outputs_of(s, p, l, from, to);
        }
        before += items;
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

enum {
    LONG_RUN = 24, // blocks of outputs
    FEW = 4,       // outputs whose sums run side by side
    PORTION = 8192 // bytes worth dealing out
};

// Outputs of a linear that are best dealt out together, as far as others of the slot agree.
static int64_t unit(const Linear *l, const Slot *slot, int64_t count) {
    if (l->narrow && slot->experts == 0) return PANEL;
    return l->kind >= CODES8 || l->panel > 0 || slot->experts > 0 || count > 1 ? BLOCK : FEW;
}

// y = x Wᵀ + b for all linears of a slot side by side, from what its first factors make of x where there are any.
static void linears(Step *s, const Slot *slot, const float *x, int64_t x_stride, int64_t count, float *out,
                          int64_t out_stride, int add, int64_t factors) {
    Projection p = {slot, 0, 0, x, x_stride, count, out, out_stride, add, factors, 0};
    while (p.last < slot->count) {
        p.first = p.last;
        const Linear *l = slot->parts + p.first;
        p.some = unit(l, slot, count);
        do {
            int64_t next = unit(slot->parts + p.last++, slot, count);
            p.some = next == p.some ? next : BLOCK;
        } while (p.last < slot->count && alike(l, slot->parts + p.last) && (slot->experts == 0 || p.first > 0));
        int64_t items = 0;
        for (int i = p.first; i < p.last; i++) items += items_of(slot->parts + i, p.some);
        if (l->kind >= CODES8) {
            s->in.stride = (l->groups * l->padded + 127) & ~63;
            each_row(s, &p, quantize_rows, count);
        }
        int64_t least = p.some != FEW ? 1 : PORTION / (FEW * l->k * (l->kind == FLOAT32 ? 4 : 2)) + 1;
        if (l->panel > 0 && !l->narrow && count == 1) { // long runs of each input, that they come at the speed of the memory
            int64_t half = items / (2 * pool_threads());
            least = half > LONG_RUN ? half : LONG_RUN;
        }
        pool_each(s, &p, some_outputs, items, least);
        if (slot->experts > 0 && p.first == 0) each_row(s, &p, choose_rows, count);
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
        for (int64_t i = 0; s->count == 1 && i < k; i++) {
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
        Projection all = {slot, 0, 0, x, x_stride, count, 0, 0, 0, k, 0}; // no factors: k in their place
        each_row(s, &all, pick_rows, count);
        x = s->a;
    }
    if (inner->count > 0) linears(s, inner, x, x_stride, count, s->z, inner->n, 0, 0);
    linears(s, slot, x, x_stride, count, out, out_stride, add, inner->n);
}
