// Runs a decoder: tokens through its layers a chunk at a time, or one slot alone.

#include "lithe.h"

#include <pthread.h>
#include <stdlib.h>

// What a row takes of each kind of scratch, in elements.
typedef struct { int64_t x, y, o, z, a, stride, groups, active, experts; } Width;

static void measure(const Slot *slot, Width *width) {
    for (int i = 0; i < slot->count; i++) {
        const Linear *l = slot->parts + i;
        if (l->kind >= CODES8) {
            int64_t stride = (l->groups * l->padded + 127) & ~63;
            width->stride = stride > width->stride ? stride : width->stride;
            width->groups = l->groups > width->groups ? l->groups : width->groups;
        }
    }
}

// Room for `count` rows on so many threads, in one allocation.
static int reserve(Step *s, int64_t count, int32_t threads, const Width *w) {
    static char *memory; // of whoever holds the gate of lithe_step
    static int64_t size;
    int64_t sizes[] = {count * w->x * 4, count * w->y * 4, count * w->o * 4, count * w->z * 4, count * w->a * 4,
                       count * 2 * w->stride, count * w->groups * 4, count * w->groups * 8, w->active * 4, count * w->experts};
    enum { PARTS = sizeof sizes / sizeof *sizes, SHARED = 4 };
    int64_t at[PARTS], total = 0;
    for (int i = 0; i < PARTS; i++) {
        at[i] = total;
        total += (sizes[i] + 255) & ~127; // room behind the last for a whole vector
    }
    s->own = total - at[SHARED];
    if (count == 1) {
        total += (threads - 1) * s->own;
    }
    if (total > size) {
        free(memory);
        memory = memory_pages(total);
        size = memory == 0 ? 0 : total;
    }
    s->x = (float *)(memory + at[0]);
    s->y = (float *)(memory + at[1]);
    s->o = (float *)(memory + at[2]);
    s->z = (float *)(memory + at[3]);
    s->a = (float *)(memory + at[4]);
    s->in.q = (int8_t *)(memory + at[5]);
    s->in.scale = (float *)(memory + at[6]);
    s->in.sum = (int32_t *)(memory + at[7]);
    s->active = (int32_t *)(memory + at[8]);
    s->chosen = (uint8_t *)(memory + at[9]);
    return memory != 0;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

// Takes `count` tokens through the layers from `first` to before `end`, a chunk at a time, so that a token sees those of its
// sequence before it, and writes the logits of those that are wanted, one row of V after the other, unless `logits` is null.
// x (count, d) holds what the layers before made of them and receives what these do; where it is null the tokens are looked up.
// Returns 0 where memory is short.
int32_t lithe_step(const Model *m, int32_t variant, int32_t threads, int64_t first, int64_t end, int64_t count, const Row *rows,
                   float *x, const float *cos, const float *sin, int64_t local, float *logits) {
    int64_t qkv = qkv_width(m), feed = m->experts + 2 * m->f;
    Width width = {.x = m->d, .y = qkv > feed ? qkv : feed, .o = m->h * m->hd, .a = m->d > m->f ? m->d : m->f, .groups = 1,
                   .experts = m->experts};
    width.y = m->d > width.y ? m->d : width.y;
    width.a = width.o > width.a ? width.o : width.a;
    width.active = width.a;
    for (int64_t i = 0; i < slot_count(m); i++) {
        measure(m->slots + i, &width);
        if (i > 4 * m->layers && m->slots[i].n > width.z) {
            width.z = m->slots[i].n;
        }
    }
    Step s = {.model = m, .first_layer = first, .end_layer = end, .embed = x == 0, .cos = cos, .sin = sin, .local = local};
    pthread_mutex_lock(&gate);
    int fits = 1;
    for (int64_t i = 0; i < count; i += CHUNK) {
        s.rows = rows + i;
        s.count = count - i < CHUNK ? count - i : CHUNK;
        fits = reserve(&s, s.count, threads, &width);
        if (!fits) {
            break;
        }
        s.x = x == 0 ? s.x : x + i * m->d;
        s.logits = logits;
        pool_run(variant_of(variant)->run, &s, threads);
        for (int64_t j = 0; logits != 0 && j < s.count; j++) {
            logits += s.rows[j].wanted ? m->vocab : 0;
        }
    }
    pthread_mutex_unlock(&gate);
    return fits;
}

// y (count, N) = x (count, K) through one slot.
int32_t lithe_project(const Model *m, int32_t variant, int32_t threads, int64_t slot, int64_t count, const float *x, float *y) {
    const Slot *inner = m->slots + slot + 4 * m->layers + 1;
    Step s = {.model = m, .slot = m->slots + slot, .count = count, .input = x, .output = y};
    int64_t k = (inner->count > 0 ? inner : s.slot)->parts[0].k;
    Width width = {.z = inner->n, .a = k, .groups = 1, .active = k, .experts = m->experts};
    measure(s.slot, &width);
    measure(inner, &width);
    pthread_mutex_lock(&gate);
    int fits = reserve(&s, count, threads, &width);
    if (fits) {
        pool_run(variant_of(variant)->one_slot, &s, threads);
    }
    pthread_mutex_unlock(&gate);
    return fits;
}
