// The forward pass: one file per set of instructions includes it behind a simd_*.h and says in VARIANT what the library calls the
// result.
#include "products.h"
#include "codes.h"
#include "columns.h"
#include "slots.h"
#include "pages.h"
#include "attention.h"

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

static void one_slot(Step *all, int thread) {
    Step mine = own(all, thread), *s = &mine;
    const Slot *inner = s->slot + 4 * s->model->layers + 1;
    project(s, s->slot, s->input, (inner->count > 0 ? inner : s->slot)->parts[0].k, s->count, s->output, s->slot->n, 0);
}

// y = x Wᵀ + b of a slot, normalized where `norm` is not null, added to the stream.
static void add_project(Step *s, const Slot *slot, const float *x, int64_t width, const float *norm) {
    project(s, slot, x, width, s->count, norm == 0 ? s->x : s->y, s->model->d, norm == 0);
    if (norm != 0) {
        Layer layer = {0, norm, 0, 0};
        pool_each(s, &layer, add_normalized, s->count, 1);
    }
}

// All rows through some layers, of which each does what its slots have linears for. Every thread runs this; the phases share the
// work.
static void run(Step *all, int thread) {
    Step mine = own(all, thread), *s = &mine;
    const Model *m = s->model;
    int64_t attention = m->h * m->hd, qkv = qkv_width(m);
    if (s->embed) pool_each(s, 0, embed_rows, s->count, 1);
    int64_t cache = 0;
    for (int64_t i = 0; i < s->first_layer; i++) cache += m->slots[4 * i].count > 0;
    for (int64_t i = s->first_layer; i < s->end_layer; i++) {
        const Slot *slots = m->slots + 4 * i;
        float **norms = m->norms + NORMS * i;
        Layer layer = {i, norms[INPUT], 0, cache};
        if (slots[0].count > 0) {
            each_row(s, &layer, normalize_rows, s->count);
            project(s, slots, s->a, m->d, s->count, s->y, qkv, 0);
            pool_each(s, &layer, write_rows, s->count, 1);
            if (ends_page(s, i)) pool_each(s, &layer, bound_rows, s->count, 1);
            pool_each(s, &layer, attend_rows, (s->count + QUERIES - 1) / QUERIES * m->h, 1);
            add_project(s, slots + 1, s->o, attention, norms[ATTENTION_OUTPUT]);
            cache++;
        }
        if (slots[2].count > 0) {
            layer.norm = norms[MLP_INPUT];
            each_row(s, &layer, normalize_rows, s->count);
            project(s, slots + 2, s->a, m->d, s->count, s->y, m->experts + 2 * m->f, 0);
            each_row(s, &layer, gate_rows, s->count);
            if (norms[MLP_OUTPUT] != 0) pool_each(s, 0, 0, 0, 1); // y, which all threads have gated by then, is written next
            add_project(s, slots + 3, s->a, m->f, norms[MLP_OUTPUT]);
        }
    }
    int32_t wanted[CHUNK];
    int64_t count = 0;
    for (int64_t i = 0; s->logits != 0 && i < s->count; i++) {
        if (s->rows[i].wanted) wanted[count++] = (int32_t)i;
    }
    if (count > 0) {
        Layer last = {0, m->norms[NORMS * m->layers], wanted, 0};
        each_row(s, &last, normalize_rows, count);
        project(s, m->slots + 4 * m->layers, s->a, m->d, count, s->logits, m->vocab, 0);
        if (m->logit_cap > 0) pool_each(s, 0, cap_logits, count, 1);
    }
}

const Variant VARIANT = {run, one_slot, round_all};
