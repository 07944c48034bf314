// Sets what each set of instructions makes of random linears beside what plain C makes of them; see neon_kernels.sh.
#include "lithe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Model *lithe_model_new(int64_t d, int64_t f, int64_t layers, int64_t h, int64_t g, int64_t hd, int64_t vocab, int64_t half,
                       int64_t sinks, int64_t window, int32_t activation, float epsilon, float embedding_scale,
                       float attention_scale, float attention_cap, float logit_cap);
void lithe_model_free(Model *m);
void lithe_model_threshold(Model *m, int64_t slot, float least, int64_t from);
int32_t lithe_model_codes(Model *m, int64_t slot, int64_t n, int64_t k, int64_t group, int32_t bits, int32_t planes,
                          const uint8_t *codes, int64_t row_bytes, int32_t flip, const float *scale, const float *zero,
                          const float *bias);
int32_t lithe_model_floats(Model *m, int64_t slot, int32_t kind, int64_t n, int64_t k, const void *w, int32_t layout, int32_t copy,
                           const void *source, const float *scale, const float *bias);
int32_t lithe_project(const Model *m, int32_t variant, int32_t threads, int64_t slot, int64_t count, const float *x, float *y);
int32_t lithe_runs(int32_t variant);

enum { OUTPUTS = 37, MOST_INPUTS = 512, MOST_ROWS = 9, VARIANTS = 5 };

static float x[MOST_ROWS * MOST_INPUTS], scale[OUTPUTS * MOST_INPUTS], zero[OUTPUTS * MOST_INPUTS];
static float floats[OUTPUTS * MOST_INPUTS], y[VARIANTS][MOST_ROWS * OUTPUTS];
static uint16_t halves[OUTPUTS * MOST_INPUTS];
static uint8_t codes[OUTPUTS * MOST_INPUTS + 8];
static double worst[VARIANTS];
static long cases;

static Model *model(void) { return lithe_model_new(64, 64, 1, 1, 1, 64, 16, 32, 0, 0, 0, 1e-5f, 1, 1, 0, 0); }

// Runs the model's first slot by every variant and keeps the largest difference from the first, by the size of the number.
static void compare(Model *m, int64_t rows) {
    for (int v = 0; v < VARIANTS; v++) {
        if (!lithe_runs(v)) continue;
        lithe_project(m, v, 1, 0, rows, x, y[v]);
        for (int i = 0; i < rows * OUTPUTS; i++) {
            double difference = fabs(y[v][i] - y[0][i]) / (1 + fabs(y[0][i]));
            if (!(difference <= worst[v])) worst[v] = difference;
        }
    }
    cases++;
    lithe_model_free(m);
}

int main(void) {
    static const char *names[] = {"plain C", "AVX2", "AVX-512", "NEON", "NEON with dot products"};
    for (int i = 0; i < MOST_ROWS * MOST_INPUTS; i++) x[i] = (float)(rand() % 2001 - 1000) / 1000;
    for (int i = 0; i < OUTPUTS * MOST_INPUTS; i++) {
        floats[i] = (float)(rand() % 2001 - 1000) / 1000;
        halves[i] = (uint16_t)(0x3000 | (rand() & 0x83ff)); // the same bits are a small float16 and a tiny bfloat16
        scale[i] = (float)(1 + rand() % 9) / 100;
        zero[i] = (float)(rand() % 3 - 1);
        codes[i] = (uint8_t)(rand() >> 7);
    }
    for (int kind = FLOAT32; kind <= BFLOAT16; kind++) {
        for (int k = 1; k <= 100; k += 7) {
            for (int rows = 1; rows <= 7; rows++) {
                const void *w = kind == FLOAT32 ? (void *)floats : (void *)halves;
                for (int layout = AS_STORED; layout <= NARROW_PANELS; layout++) {
                    Model *m = model();
                    lithe_model_floats(m, 0, kind, OUTPUTS, k, w, layout, 1, 0, 0, 0);
                    if (layout == ONE_PANEL) lithe_model_threshold(m, 0, 1e-30f, 0); // it is read where inputs may be left out
                    compare(m, rows);
                }
            }
        }
    }
    for (int bits = 2; bits <= 8; bits = bits == 4 ? 8 : bits + 1) {
        for (int k = 32; k <= 333; k += 129) {
            for (int group = 8; group <= 64; group *= 2) {
                for (int choice = 0; choice < 8; choice++) { // one byte per input or two, with zeros or without, one row or nine
                    Model *m = model();
                    lithe_model_codes(m, 0, OUTPUTS, k, group, bits, 1 + choice % 2, codes, (k * bits + 7) / 8,
                                      bits == 8 ? 128 : 0, scale, choice & 2 ? zero : 0, 0);
                    compare(m, choice & 4 ? MOST_ROWS : 1);
                }
            }
        }
    }
    printf("%ld linears; the largest difference from plain C, by 1 + |y|:\n", cases);
    for (int v = 1; v < VARIANTS; v++) {
        if (lithe_runs(v)) printf("%s %.1e\n", names[v], worst[v]);
    }
    return 0;
}
