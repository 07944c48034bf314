// What Java calls: a model is built up linear by linear, in the layout of lithe.h, and then reads tokens.

#include "common.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/mman.h>
#endif

// --- sets of instructions, by number; Native.java has their names

enum { SCALAR, AVX2, AVX512, NEON, NEON_DOT, VARIANTS };

// Whether this processor runs one.
int32_t lithe_runs(int32_t variant) {
    switch (variant) {
    case SCALAR:
        return 1;
#if defined(__x86_64__)
    case AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case AVX512:
        return lithe_runs(AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    case NEON:
        return 1;
    case NEON_DOT:
#if defined(__linux__)
        return (getauxval(AT_HWCAP) >> 20 & 1) != 0; // ASIMDDP
#elif defined(__ARM_FEATURE_DOTPROD)
        return 1;
#else
        return 0;
#endif
#endif
    default:
        return 0;
    }
}

static const Variant *variant_of(int32_t number) {
    switch (number) {
#if defined(__x86_64__)
    case AVX2: return &variant_avx2;
    case AVX512: return &variant_avx512;
#elif defined(__aarch64__)
    case NEON: return &variant_neon;
    case NEON_DOT: return &variant_neon_dot;
#endif
    default: return &variant_scalar;
    }
}

// --- memory

enum { PAGE = 2 << 20, SLAB = 32 << 20 };

static void *large_pages(int64_t bytes) {
    int64_t size = (bytes + PAGE - 1) / PAGE * PAGE;
    void *p = 0;
    if (posix_memalign(&p, PAGE, size) != 0) {
        return 0;
    }
#if defined(MADV_HUGEPAGE)
    madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

// Zeroed memory that lives as long as the model, or null.
static void *take(Model *m, int64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes > m->room_left) {
        int64_t size = bytes > SLAB ? bytes : SLAB;
        void **slabs = realloc(m->slabs, (m->slab_count + 1) * sizeof *slabs);
        void *slab = slabs == 0 ? 0 : large_pages(size);
        m->slabs = slabs == 0 ? m->slabs : slabs;
        if (slab == 0) {
            return 0;
        }
        m->slabs[m->slab_count++] = slab;
        m->room = slab;
        m->room_left = size;
    }
    void *p = m->room;
    m->room += bytes;
    m->room_left -= bytes;
    m->bytes += bytes;
    return memset(p, 0, bytes);
}

static void *copy_of(Model *m, const void *from, int64_t bytes) {
    void *p = take(m, bytes);
    return p == 0 ? 0 : memcpy(p, from, bytes);
}

// --- building

Model *lithe_model_new(int64_t d, int64_t f, int64_t layers, int64_t h, int64_t g, int64_t hd, int64_t vocab, int64_t half,
                       int64_t sinks, int64_t window, int32_t activation, float epsilon, float embedding_scale,
                       float attention_scale, float attention_cap, float logit_cap) {
    Model *m = calloc(1, sizeof *m);
    if (m == 0) {
        return 0;
    }
    m->d = d, m->f = f, m->layers = layers, m->h = h, m->g = g, m->hd = hd, m->vocab = vocab, m->epsilon = epsilon;
    m->half = half, m->sinks = sinks, m->window = window, m->activation = (enum activation)activation;
    m->embedding_scale = embedding_scale, m->attention_scale = attention_scale;
    m->attention_cap = attention_cap, m->logit_cap = logit_cap;
    m->slots = calloc(2 * (4 * layers + 1), sizeof *m->slots);
    m->norms = calloc(NORMS * layers + 1, sizeof *m->norms);
    m->windows = calloc(layers, sizeof *m->windows);
    if (m->slots == 0 || m->norms == 0 || m->windows == 0) {
        free(m->windows);
        free(m->slots);
        free(m->norms);
        free(m);
        return 0;
    }
    return m;
}

void lithe_model_free(Model *m) {
    for (int64_t i = 0; i < 2 * (4 * m->layers + 1); i++) {
        free(m->slots[i].parts);
    }
    for (int64_t i = 0; i < m->slab_count; i++) {
        free(m->slabs[i]);
    }
    free(m->slabs);
    free(m->windows);
    free(m->slots);
    free(m->norms);
    free(m);
}

// Bytes of memory that the model holds itself.
int64_t lithe_model_bytes(const Model *m) { return m->bytes; }

// Makes the feed-forward part of each layer consist of `count` experts, of which those `active` with the highest scores run.
void lithe_model_experts(Model *m, int64_t count, int64_t active) {
    m->experts = count, m->active = active;
    for (int64_t i = 0; i < m->layers; i++) m->slots[4 * i + 2].experts = count;
}

// Makes a token see its own page of so many positions and the `pages` best before it, 0 for all, in layers from `dense` on.
void lithe_model_pages(Model *m, int64_t page, int64_t pages, int64_t dense) { m->page = page, m->pages = pages, m->dense = dense; }

// Norm i of the model, of `width` channels.
int32_t lithe_model_norm(Model *m, int64_t i, const float *w, int64_t width) {
    m->norms[i] = copy_of(m, w, width * sizeof(float));
    return m->norms[i] != 0;
}

void lithe_model_window(Model *m, int64_t layer, int64_t window) { m->windows[layer] = window; }

// The table is borrowed.
void lithe_model_embedding(Model *m, int32_t kind, int32_t is_signed, const void *table, const float *scale, const float *shift,
                           int64_t groups) {
    m->embedding = (Embedding){(enum kind)kind, is_signed, table, scale, shift, groups};
}

// A place at the end of a slot.
static Linear *append(Model *m, int64_t slot, enum kind kind, int64_t n, int64_t k, const float *bias) {
    Slot *s = m->slots + slot;
    Linear *parts = realloc(s->parts, (s->count + 1) * sizeof *parts);
    if (parts == 0) {
        return 0;
    }
    s->parts = parts;
    Linear *l = parts + s->count;
    *l = (Linear){.kind = kind, .n = n, .k = k, .planes = 1, .column = s->n, .from = -1};
    if (bias != 0) {
        l->bias = copy_of(m, bias, n * sizeof(float));
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

static float *row_scales(Model *m, int64_t n) { return take(m, (n + BLOCK - 1) / BLOCK * BLOCK * sizeof(float)); }

// The copy that another linear made of the same weights, laid out alike, or null.
static void *copied(const Model *m, const Linear *l, const void *w) {
    for (int64_t i = 0; w != 0 && i < 2 * (4 * m->layers + 1); i++) {
        for (const Linear *o = m->slots[i].parts; o < m->slots[i].parts + m->slots[i].count; o++) {
            if (o != l && o->source == w && o->kind == l->kind && o->n == l->n && o->k == l->k && o->panel == l->panel
                && o->narrow == l->narrow) {
                return (void *)o->w;
            }
        }
    }
    return 0;
}

// Float weights (N, K), with a scale per row or null; borrowed, or copied. `source` says who they are where they stay as long as the
// model, so that linears of the same ones share a copy; null otherwise.
int32_t lithe_model_floats(Model *m, int64_t slot, int32_t kind, int64_t n, int64_t k, const void *w, int32_t copy,
                           const void *source, const float *scale, const float *bias) {
    Linear *l = append(m, slot, (enum kind)kind, n, k, bias);
    if (l == 0) {
        return 0;
    }
    l->w = copy ? copied(m, l, source) : w;
    if (l->w == 0) {
        l->w = copy_of(m, w, n * k * (kind == FLOAT32 ? 4 : 2));
    }
    l->source = copy ? source : 0;
    if (scale != 0 && (l->row_scale = row_scales(m, n)) != 0) {
        memcpy(l->row_scale, scale, n * sizeof(float));
    }
    return l->w != 0 && (scale == 0 || l->row_scale != 0);
}

// The same, copied to panels: narrow ones, or a single one.
int32_t lithe_model_panels(Model *m, int64_t slot, int32_t kind, int64_t n, int64_t k, const void *w, int32_t narrow,
                           const void *source, const float *bias) {
    Linear *l = append(m, slot, (enum kind)kind, n, k, bias);
    int64_t size = kind == FLOAT32 ? 4 : 2, panel = narrow ? PANEL : (n + BLOCK - 1) / BLOCK * BLOCK;
    int64_t stride = narrow ? panel * size : input_bytes((enum kind)kind, n);
    if (l == 0) {
        return 0;
    }
    l->panel = panel;
    l->narrow = narrow;
    l->stride = stride;
    l->source = source;
    l->w = copied(m, l, source);
    if (l->w != 0) {
        return 1;
    }
    char *to = take(m, (n + panel - 1) / panel * k * stride);
    l->w = to;
    if (to == 0) {
        return 0;
    }
    for (int64_t first = 0; first < n; first += BLOCK) { // of few rows at a time, so that their lines stay in the cache
        char *block = to + first / panel * k * stride + first % panel * size;
        for (int64_t i = 0; i < k; i++) {
            for (int64_t row = 0; row < BLOCK && first + row < n; row++) {
                memcpy(block + i * stride + row * size, (const char *)w + ((first + row) * k + i) * size, size);
            }
        }
    }
    return 1;
}

// Makes inputs of a slot that are smaller than `least` count as 0, in rows at positions from `from` on.
void lithe_model_threshold(Model *m, int64_t slot, float least, int64_t from) {
    m->slots[slot].least = least;
    m->slots[slot].from = from;
}

static int code_at(const uint8_t *row, int64_t i, int bits) {
    if (bits == 8) {
        return row[i];
    }
    int64_t at = i * bits;
    int pair = row[at >> 3];
    if ((at & 7) + bits > 8) {
        pair |= row[(at >> 3) + 1] << 8;
    }
    return pair >> (at & 7) & ((1 << bits) - 1);
}

// To nearest even; |x| <= 1.
static uint16_t half_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (fabsf(x) < 0x1p-14f) {
        return sign | (uint16_t)lrintf(fabsf(x) * 0x1p24f);
    }
    bits &= 0x7fffffff;
    bits += 0xfff + (bits >> 13 & 1);
    return sign | (uint16_t)((bits >> 13) - (112 << 10));
}

// Where the code of row r and input i lies in its block of codes.
static int64_t place(const Linear *l, int64_t r, int64_t i, int *high) {
    int64_t at = i / l->group * l->padded + i % l->group; // among the padded inputs
    if (l->kind == CODES8) {
        *high = 0;
        return at / 4 * 64 + r * 4 + at % 4;
    }
    *high = at % 8 >= 4;
    return at / 8 * 64 + r * 4 + at % 4;
}

// The scales of one row: a float that is a power of two where there are groups, and the groups' float16 by it. `steps` is how
// much finer the steps of stored codes are than those of the scales.
static void set_scales(Linear *l, int64_t row, const float *scale, float steps) {
    if (l->scale == 0) {
        l->row_scale[row] = scale[0] / steps;
        return;
    }
    float largest = 0;
    for (int64_t g = 0; g < l->groups; g++) {
        largest = fabsf(scale[g]) > largest ? fabsf(scale[g]) : largest;
    }
    int exponent = 0;
    frexpf(largest, &exponent);
    l->row_scale[row] = ldexpf(1 / steps, exponent);
    for (int64_t g = 0; g < l->groups; g++) {
        l->scale[(row / BLOCK * l->groups + g) * BLOCK + row % BLOCK] = half_of_float(ldexpf(scale[g], -exponent));
    }
}

// Codes of `bits` bits, a little-endian bit stream per row of `row_bytes`, of which those of int8 are turned into unsigned ones
// by `flip`: w = (u ^ flip - 2^(b-1) - z) s, with scales and zeros (N, K / group), zeros null where there are none. They are
// copied.
int32_t lithe_model_codes(Model *m, int64_t slot, int64_t n, int64_t k, int64_t group, int32_t bits, int32_t planes,
                          const uint8_t *codes, int64_t row_bytes, int32_t flip, const float *scale, const float *zero,
                          const float *bias) {
    Linear *l = append(m, slot, bits <= 4 ? CODES4 : CODES8, n, k, bias);
    if (l == 0) {
        return 0;
    }
    int container = bits <= 4 ? 4 : 8;
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    l->planes = planes;
    l->group = group;
    l->groups = (k + group - 1) / group;
    l->padded = (group + 7) / 8 * 8;
    int64_t block_bytes = l->groups * l->padded * BLOCK * container / 8;
    uint8_t *w = take(m, blocks * block_bytes);
    l->w = w;
    l->row_scale = row_scales(m, n);
    l->scale = l->groups == 1 ? 0 : take(m, blocks * l->groups * BLOCK * 2);
    l->zero = zero == 0 ? 0 : take(m, blocks * l->groups * BLOCK);
    if (w == 0 || l->row_scale == 0 || (l->groups > 1 && l->scale == 0) || (zero != 0 && l->zero == 0)) {
        return 0;
    }
    for (int64_t row = 0; row < n; row++) {
        const uint8_t *from = codes + row * row_bytes;
        uint8_t *to = w + row / BLOCK * block_bytes;
        for (int64_t i = 0; i < k; i++) {
            int high;
            int64_t at = place(l, row % BLOCK, i, &high);
            int code = (code_at(from, i, bits) ^ flip) << (container - bits);
            to[at] |= (uint8_t)(high ? code << 4 : code);
        }
        set_scales(l, row, scale + row * l->groups, (float)(1 << ((zero == 0 ? container : 8) - bits)));
        for (int64_t g = 0; zero != 0 && g < l->groups; g++) {
            float steps = (zero[row * l->groups + g] + (float)(1 << (bits - 1))) * (float)(1 << (8 - bits));
            steps = steps < 0 ? 0 : steps > 255 ? 255 : steps;
            l->zero[(row / BLOCK * l->groups + g) * BLOCK + row % BLOCK] = (uint8_t)lrintf(steps);
        }
    }
    return 1;
}

// --- running

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
        memory = large_pages(total);
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
    for (int64_t i = 0; i < 2 * (4 * m->layers + 1); i++) {
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

// Rounds w (N, K) to nearest: codes to q (N, K), scales to scale (N, K / group), and zero points to zero unless it is null.
// Returns 0 where memory is short.
int32_t lithe_round(int32_t variant, int32_t threads, int32_t kind, const void *w, int64_t n, int64_t k, int64_t group,
                    int32_t bits, int32_t steps, int32_t stored, int8_t *q, float *scale, int32_t *zero) {
    Rounding rounding = {.kind = (enum kind)kind, .stored = (enum kind)stored, .n = n, .k = k, .group = group, .bits = bits,
                         .symmetric = zero == 0, .steps = steps, .w = w, .q = q, .scale = scale, .zero = zero};
    Step s = {.rounding = &rounding};
    s.a = malloc((size_t)threads * group * 16 * sizeof(float));
    if (s.a == 0) {
        return 0;
    }
    pool_run(variant_of(variant)->round, &s, threads);
    free(s.a);
    return 1;
}

// Packs signed codes q (N, K) as unsigned q + 2^(bits - 1), a little-endian bit stream of whole words per row.
void lithe_pack(const int8_t *q, int64_t n, int64_t k, int32_t bits, uint32_t *words) {
    for (int64_t row = 0; row < n; row++) {
        uint64_t stream = 0;
        int32_t held = 0;
        for (int64_t i = 0; i < k; i++) {
            stream |= (uint64_t)(uint32_t)(*q++ + (1 << (bits - 1))) << held;
            held += bits;
            if (held >= 32) {
                *words++ = (uint32_t)stream;
                stream >>= 32;
                held -= 32;
            }
        }
        if (held > 0) {
            *words++ = (uint32_t)stream;
        }
    }
}
