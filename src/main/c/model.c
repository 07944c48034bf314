// A decoder as Java makes it: its shape, and what is not a linear. Its weights follow, slot by slot.

#include "lithe.h"

#include <stdlib.h>

void lithe_model_free(Model *m) {
    for (int64_t i = 0; m->slots != 0 && i < slot_count(m); i++) {
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
    m->slots = calloc(slot_count(m), sizeof *m->slots);
    m->norms = calloc(NORMS * layers + 1, sizeof *m->norms);
    m->windows = calloc(layers, sizeof *m->windows);
    if (m->slots == 0 || m->norms == 0 || m->windows == 0) {
        lithe_model_free(m);
        return 0;
    }
    return m;
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
    m->norms[i] = memory_copy(m, w, width * sizeof(float));
    return m->norms[i] != 0;
}

void lithe_model_window(Model *m, int64_t layer, int64_t window) { m->windows[layer] = window; }

// The table is borrowed.
void lithe_model_embedding(Model *m, int32_t kind, int32_t is_signed, const void *table, const float *scale, const float *shift,
                           int64_t groups) {
    m->embedding = (Embedding){(enum kind)kind, is_signed, table, scale, shift, groups};
}
