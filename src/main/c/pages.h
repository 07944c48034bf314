// Pages of a text: what bounds the products of a query with a page's keys, and the pages with the highest bound (Quest, arXiv
// 2406.10774).
//
// Bounds of one head lie 16 pages side by side: for each coordinate the greatest numbers of 16 pages' keys, then the least,
// (pages / 16, hd, 2, 16). They are made when the last position of a page is written, and read only from beyond it, so that a
// text that is cut short anywhere and goes on makes them anew where it has to.

enum { MOST_PAGES = 1024, SIDE = 16 };

INLINE int chooses_pages(const Model *m, int64_t layer, const Row *row) {
    return m->pages > 0 && layer >= m->dense && m->windows[layer] == 0 && row->position / m->page > m->pages;
}

INLINE float *bounds_of(const Model *m, const Row *row, int64_t cache, int64_t head) {
    int64_t heads = row->stride / (row->capacity * m->hd), pages = row->capacity / m->page;
    return row->bounds + (cache * heads + head) * ((pages + SIDE - 1) / SIDE * SIDE * 2 * m->hd);
}

// Whether a layer has pages to bound.
static int ends_page(const Step *s, int64_t layer) {
    const Model *m = s->model;
    if (m->pages == 0 || layer < m->dense || m->windows[layer] > 0) return 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (s->rows[i].position % m->page == m->page - 1) return 1;
    }
    return 0;
}

// Bounds page `index`, whose keys (page, hd) are k.
static void bound_page(const float *k, int64_t page, int64_t hd, float *bounds, int64_t index) {
    float *to = bounds + index / SIDE * SIDE * 2 * hd + index % SIDE;
    int64_t j = 0;
    for (; j + 16 <= hd; j += 16) {
        V greatest = vload(k + j), least = greatest;
        for (int64_t i = 1; i < page; i++) {
            V key = vload(k + i * hd + j);
            greatest = vmax(greatest, key);
            least = vmin(least, key);
        }
        float both[2][16];
        vstore(both[0], greatest);
        vstore(both[1], least);
        for (int64_t i = 0; i < 16; i++) {
            to[(j + i) * 2 * SIDE] = both[0][i];
            to[(j + i) * 2 * SIDE + SIDE] = both[1][i];
        }
    }
    for (; j < hd; j++) {
        float greatest = k[j], least = greatest;
        for (int64_t i = 1; i < page; i++) {
            float key = k[i * hd + j];
            greatest = key > greatest ? key : greatest;
            least = key < least ? key : least;
        }
        to[j * 2 * SIDE] = greatest;
        to[j * 2 * SIDE + SIDE] = least;
    }
}

// Chosen pages, a heap: each is no better than those below it, and of equals the later is the worse.
typedef struct {
    float bound[MOST_PAGES];
    int32_t page[MOST_PAGES];
    int64_t count;
} Best;

INLINE int worse(const Best *b, int64_t i, int64_t j) {
    return b->bound[i] < b->bound[j] || (b->bound[i] == b->bound[j] && b->page[i] > b->page[j]);
}

static void sink(Best *b, int64_t i) {
    for (int64_t child; (child = 2 * i + 1) < b->count; i = child) {
        if (child + 1 < b->count && worse(b, child + 1, child)) child++;
        if (!worse(b, child, i)) return;
        float bound = b->bound[i];
        int32_t page = b->page[i];
        b->bound[i] = b->bound[child], b->page[i] = b->page[child];
        b->bound[child] = bound, b->page[child] = page;
    }
}

// The `most` of `count` pages with the highest bound Σ_j max(q_j min_j, q_j max_j); there are more than that.
static void best_pages(Best *b, const float *q, const float *bounds, int64_t count, int64_t hd, int64_t most) {
    b->count = 0;
    for (int64_t at = 0; at < count; at += SIDE) {
        V sums = vzero();
        for (int64_t j = 0; j < hd; j++) {
            sums = vfma(vset(q[j]), vload(bounds + (at * hd + j * SIDE) * 2 + (q[j] > 0 ? 0 : SIDE)), sums);
        }
        float bound[SIDE];
        vstore(bound, sums);
        for (int64_t i = 0; i < SIDE && at + i < count; i++) {
            if (b->count < most) {
                b->bound[b->count] = bound[i];
                b->page[b->count++] = (int32_t)(at + i);
                for (int64_t k = most / 2; b->count == most && k > 0; k--) sink(b, k - 1);
            } else if (bound[i] > b->bound[0]) {
                b->bound[0] = bound[i];
                b->page[0] = (int32_t)(at + i);
                sink(b, 0);
            }
        }
    }
}
