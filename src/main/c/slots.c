// Adds linears to a slot; those of float weights lie here as columns.h and products.h read them.

#include "common.h"

#include <stdlib.h>

// A place at the end of a slot.
Linear *slot_append(Model *m, int64_t slot, enum kind kind, int64_t n, int64_t k, const float *bias) {
    Slot *s = m->slots + slot;
    Linear *parts = realloc(s->parts, (s->count + 1) * sizeof *parts);
    if (parts == 0) {
        return 0;
    }
    s->parts = parts;
    Linear *l = parts + s->count;
    *l = (Linear){.kind = kind, .n = n, .k = k, .planes = 1, .column = s->n, .from = -1};
    if (bias != 0) {
        l->bias = memory_copy(m, bias, n * sizeof(float));
        if (l->bias == 0) {
            return 0;
        }
    }
    s->count++;
    s->n += n;
    if (slot > 4 * m->layers) { // a first factor: what one thread writes lies in no other one's lines
        s->n = (s->n + BLOCK - 1) / BLOCK * BLOCK;
    }
    return l;
}

// Makes the last linear of a slot read the outputs of the slot's first factors from `from` on; with `onto` not negative it adds
// its own to those of the slot from that column on.
void lithe_model_factor(Model *m, int64_t slot, int64_t from, int64_t onto) {
    Slot *s = m->slots + slot;
    Linear *l = s->parts + s->count - 1;
    l->from = from;
    if (onto >= 0) {
        s->n -= l->n;
        l->column = onto;
        l->onto = 1;
    }
}

float *slot_scales(Model *m, int64_t n) { return memory_take(m, (n + BLOCK - 1) / BLOCK * BLOCK * sizeof(float)); }

// The copy that another linear made of the same weights, laid out alike, or null.
static void *copied(const Model *m, const Linear *l, const void *w) {
    for (int64_t i = 0; w != 0 && i < slot_count(m); i++) {
        for (const Linear *o = m->slots[i].parts; o < m->slots[i].parts + m->slots[i].count; o++) {
            if (o != l && o->source == w && o->kind == l->kind && o->n == l->n && o->k == l->k && o->panel == l->panel
                && o->narrow == l->narrow) {
                return (void *)o->w;
            }
        }
    }
    return 0;
}

// Float weights (N, K) copied to panels, as `l` says, or null.
static void *panels_of(Model *m, const Linear *l, const char *w) {
    int64_t size = l->kind == FLOAT32 ? 4 : 2, k = l->k, panel = l->panel;
    char *to = memory_take(m, (l->n + panel - 1) / panel * k * l->stride);
    for (int64_t first = 0; to != 0 && first < l->n; first += BLOCK) { // of few rows at a time, so that their lines stay in the cache
        char *block = to + first / panel * k * l->stride + first % panel * size;
        for (int64_t i = 0; i < k; i++) {
            for (int64_t row = 0; row < BLOCK && first + row < l->n; row++) {
                memcpy(block + i * l->stride + row * size, w + ((first + row) * k + i) * size, size);
            }
        }
    }
    return to;
}

// Float weights (N, K), as they are stored or in panels, borrowed or copied; a scale per row, or null, of those as stored alone. `source` says who they are where they stay as
// long as the model, so that linears of the same ones share a copy; null otherwise.
int32_t lithe_model_floats(Model *m, int64_t slot, int32_t kind, int64_t n, int64_t k, const void *w, int32_t layout, int32_t copy,
                           const void *source, const float *scale, const float *bias) {
    Linear *l = slot_append(m, slot, (enum kind)kind, n, k, bias);
    if (l == 0 || (scale != 0 && layout != AS_STORED)) {
        return 0;
    }
    int64_t size = kind == FLOAT32 ? 4 : 2;
    l->narrow = layout == NARROW_PANELS;
    if (layout != AS_STORED) {
        l->panel = l->narrow ? PANEL : (n + BLOCK - 1) / BLOCK * BLOCK;
        l->stride = l->narrow ? PANEL * size : input_bytes((enum kind)kind, n);
    }
    l->w = copy ? copied(m, l, source) : w;
    if (l->w == 0) {
        l->w = layout == AS_STORED ? memory_copy(m, w, n * k * size) : panels_of(m, l, w);
    }
    l->source = copy ? source : 0;
    if (scale != 0 && (l->row_scale = slot_scales(m, n)) != 0) {
        memcpy(l->row_scale, scale, n * sizeof(float));
    }
    return l->w != 0 && (scale == 0 || l->row_scale != 0);
}

// Makes inputs of a slot that are smaller than `least` count as 0, in rows at positions from `from` on.
void lithe_model_threshold(Model *m, int64_t slot, float least, int64_t from) {
    m->slots[slot].least = least;
    m->slots[slot].from = from;
}
