// A decoder that reads a few or many tokens at a time, from weights laid out for it. Called from Java.
//
// Letters: d hidden size, f intermediate size, h query heads, g key-value heads, hd their width, V vocabulary; R rows, which
// are tokens of any sequences; N outputs and K inputs of a linear.
#ifndef LITHE_H
#define LITHE_H

#include <stdint.h>

enum { BLOCK = 16 };  // outputs that a kernel computes at once, side by side in a vector
enum { CHUNK = 256 }; // rows that pass through the model together

enum kind { FLOAT32, FLOAT16, BFLOAT16, CODES8, CODES4 };

enum layout { AS_STORED, ONE_PANEL, NARROW_PANELS };

// A linear, or rows of one. Floats lie as in the checkpoint, (N, K); or in panels of outputs, (N / panel, K, panel). A single panel
// lets inputs that are 0 cost nothing; narrow ones spare short rows their sums across vectors.
//
// Codes are unsigned bytes or nibbles, w = (u - zero) scale, where a group of inputs shares scale and zero. They lie in blocks
// of 16 outputs; within a block input by input in fours: 16 outputs times 4 inputs are 64 bytes, one vector register. A byte of
// nibbles holds input i below and input i + 4 above. Groups are padded with zeros to a multiple of 8 inputs.
typedef struct {
    enum kind kind;
    int64_t n, k;
    int64_t group, groups, padded; // inputs per group, groups per row, inputs that a group takes in memory
    int planes;                    // bytes per activation: 1, or 2 where one would cost more than the weights did
    const void *w, *source;        // where they lie, and what they were copied from where that stays
    float *row_scale;     // (N padded to blocks)
    uint16_t *scale;      // float16 (blocks, groups, 16), times row_scale; null where that is all
    uint8_t *zero;        // (blocks, groups, 16) in 256 steps of the codes' range; null where all are 128
    float *bias;          // (N), or null
    int64_t column;       // where its outputs lie among the slot's
    int64_t from;         // reads the outputs of the slot's first factors from here on; -1 reads the input
    int onto;             // adds to what is in its columns
    int64_t panel;        // outputs of a panel; 0 for none
    int narrow;           // whether panels are narrow
    int64_t stride;       // bytes from one input of a panel to the next
} Linear;

typedef struct {
    Linear *parts;
    int count;
    int64_t n;
    float least;       // inputs of smaller magnitude count as 0 in rows at positions from `from` on
    int64_t from;
    int64_t experts;   // its first outputs are their scores, which say what else of it a single row needs; 0 for none
} Slot;

typedef struct {
    enum kind kind; // CODES8 with scale and shift (V, groups): w = code scale + shift
    int is_signed;
    const void *table;
    const float *scale, *shift;
    int64_t groups;
} Embedding;

enum activation { SILU, GELU_TANH };

// A block's norms, in the order in which data passes them; those that it lacks are null.
enum norm { INPUT, QUERY, KEY, ATTENTION_OUTPUT, MLP_INPUT, MLP_OUTPUT, NORMS };

typedef struct {
    int64_t d, f, layers, h, g, hd, vocab;
    int64_t half;           // pairs of a head's coordinates that are rotated
    enum activation activation;
    float epsilon;
    float embedding_scale;  // 1 for none, as the next
    float attention_scale;  // of q · k / sqrt(hd)
    float attention_cap;    // c tanh(x / c), 0 for none, as the next
    float logit_cap;
    int64_t experts, active; // feed-forward channels fall into so many experts side by side, of which so many run; 0 for all
    int64_t sinks, window;  // a token sees the first positions and the last `window`; 0 for all
    int64_t page, pages, dense; // layers from `dense` on: a token sees its own page and the `pages` best before it; 0 for all
    int64_t *windows;       // of each layer, the same without sinks where that is less; 0 for none
    Slot *slots;   // per layer, empty where it lacks them: q k v, o, gate up (before them the scores of experts, where there are any),
                   // down; then the output layer; then as many of first factors: of a product of two thin matrices the one that
                   // reads the input, those of a slot side by side, each from a multiple of BLOCK on
    float **norms; // NORMS per layer, then the last
    Embedding embedding;
    int64_t bytes; // of its own weights
    void **slabs;  // memory for them, in large pieces: small ones would lie in small pages, which costs a quarter of the speed
    int64_t slab_count;
    char *room;
    int64_t room_left;
} Model;

// One token of one sequence. The sequence's keys and values are floats (g, capacity, hd), those of a layer with attention `stride`
// after those of the one before that has it. Where a token does not see all, positions beyond the capacity follow the sinks again.
typedef struct {
    int64_t token, position;
    float *keys, *values;
    int64_t stride, capacity;
    int64_t wanted; // whether its logits are
    int64_t angles, sink_angles; // rows of cos and sin, and those for its queries before the sinks
    float *bounds; // of the sequence's pages, as in pages.h; those of layers and heads follow each other as in `keys`
} Row;

// Activations as the code kernels read them: signed bytes, with a scale and a sum per group.
typedef struct {
    int8_t *q;    // (R, planes, stride)
    float *scale; // (R, groups)
    int32_t *sum; // (R, planes, groups)
    int64_t stride, groups;
    int planes;
} Quantized;

// Weights (N, K) to be rounded to nearest: w = (q - zero) scale, a group of a row's inputs sharing both.
typedef struct {
    enum kind kind, stored; // of w, and of the scales where they are kept
    int64_t n, k, group;
    int bits, symmetric, steps; // clipped ranges to try; 0 takes each range as it is
    const void *w;
    int8_t *q;     // (N, K)
    float *scale;  // (N, K / group)
    int32_t *zero; // the same, or null where symmetric
} Rounding;

typedef struct {
    const Model *model;
    const Row *rows;
    int64_t count;
    int64_t first_layer, end_layer;
    int embed;             // whether x is to be looked up first
    const float *cos, *sin; // (S, half), and `local` numbers after that the table of layers with a window of their own
    int64_t local;
    float *logits;         // of the wanted rows, or null
    // scratch of all threads
    float *x;     // (R, d) the residual stream
    float *y;     // (R, widest output), or q k v and, where there are sinks, q turned for them
    float *o;     // (R, h hd) what attention makes
    float *z;     // (R, widest slot of first factors)
    // likewise; but of a single row each thread makes its own, which is sooner done than waiting for one of them
    float *a;     // (R, widest input)
    Quantized in;
    int32_t *active; // which inputs of a single row are not 0
    int64_t active_count;
    uint8_t *chosen; // (R, experts) whether each runs
    int64_t own;     // bytes from one thread's to the next's
    // a single slot, for tests
    const Slot *slot;
    const float *input;
    float *output;
    // rounding, with (threads, group, 16) floats in a
    const Rounding *rounding;
} Step;

// Numbers of q k v in a row of y.
static inline int64_t qkv_width(const Model *m) { return ((m->sinks > 0 ? 2 : 1) * m->h + 2 * m->g) * m->hd; }

// Each layer's four and the output layer; then those of first factors.
static inline int64_t slot_count(const Model *m) { return 2 * (4 * m->layers + 1); }

typedef void (*Program)(Step *, int thread);

// What a set of instructions offers.
typedef struct {
    Program run;      // all rows through the model
    Program one_slot; // step->input through step->slot
    Program round;    // step->rounding
} Variant;

extern const Variant variant_scalar, variant_avx2, variant_avx512, variant_neon, variant_neon_dot;

// variants.c
const Variant *variant_of(int32_t number);

// memory.c
void *memory_pages(int64_t bytes);
void *memory_take(Model *m, int64_t bytes);
void *memory_copy(Model *m, const void *from, int64_t bytes);

// slots.c
Linear *slot_append(Model *m, int64_t slot, enum kind kind, int64_t n, int64_t k, const float *bias);
float *slot_scales(Model *m, int64_t n);

// pool.c
typedef void (*Piece)(Step *, void *, int64_t first, int64_t last);
int pool_run(Program program, Step *step, int threads);
void pool_each(Step *step, void *argument, Piece piece, int64_t items, int64_t least);
int pool_threads(void);

#endif
