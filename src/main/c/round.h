// Rounding to nearest, 16 rows side by side: each group of inputs gets the scale that loses least, by a search over clipped
// ranges. The same as `rtn` in quantize.py, which explains it, without a temporary per operation.

// A float32 as it comes back from float16 or bfloat16, to nearest, ties to even.
INLINE float stored(float x, enum kind kind) {
    uint32_t bits, low = kind == FLOAT16 ? 13 : 16;
    if (kind == FLOAT32) {
        return x;
    }
    if (kind == FLOAT16 && fabsf(x) < 0x1p-14f) {
        return rintf(x * 0x1p24f) * 0x1p-24f;
    }
    memcpy(&bits, &x, 4);
    bits += (1u << (low - 1)) - 1 + (bits >> low & 1);
    bits &= ~0u << low;
    memcpy(&x, &bits, 4);
    return kind == FLOAT16 && fabsf(x) > 65504.f ? copysignf(INFINITY, x) : x;
}

// Never 0: float16 ends at 2^-24, and a group of zeros has no scale of its own.
INLINE float stored_scale(float x, enum kind kind) {
    float s = stored(x, kind);
    return s == 0 ? 0x1p-24f : s;
}

INLINE float weight_at(const Rounding *o, int64_t i) {
    const uint16_t *halves = o->w;
    uint32_t bits;
    float x;
    switch (o->kind) {
    case FLOAT16:
        return float_of_half(halves[i]);
    case BFLOAT16:
        bits = (uint32_t)halves[i] << 16;
        memcpy(&x, &bits, 4);
        return x;
    default:
        return ((const float *)o->w)[i];
    }
}

// One group of 16 rows: x (g, 16), and the range that each row's values have.
typedef struct {
    const Rounding *o;
    const float *x;
    int64_t g;
    float low[16], widest[16];
    float scale[16], zero[16], gain[16]; // the best so far
} Group;

INLINE V clamped(V x, float low, float high) { return vmin(vmax(x, vset(low)), vset(high)); }

// Takes the best scale for the sums <q, x> and <q, q> of each row's codes where it gains more than what was found before.
static void offer(Group *t, V qx, V qq, const float *zero, float sign) {
    float a[16], b[16];
    vstore(a, qx);
    vstore(b, qq);
    for (int r = 0; r < 16; r++) {
        float s = a[r] / b[r], gain = s * a[r];
        if (gain > t->gain[r]) { // not where all codes are 0
            t->gain[r] = gain;
            t->scale[r] = sign * s;
            t->zero[r] = zero[r];
        }
    }
}

static void search_symmetric(Group *t, float half) {
    static const float none[16];
    for (int i = 0; i < t->o->steps; i++) {
        float clip = 0.6f + 0.55f * (float)i / (float)t->o->steps, inverse[16];
        for (int r = 0; r < 16; r++) inverse[r] = 1.f / (clip * t->widest[r]);
        V by = vload(inverse), down_x = vzero(), down_q = vzero(), up_x = vzero(), up_q = vzero();
        for (int64_t j = 0; j < t->g; j++) {
            V x = vload(t->x + 16 * j), whole = vround(vmul(x, by));
            V down = clamped(whole, -half, half - 1), up = clamped(whole, 1 - half, half);
            down_x = vfma(down, x, down_x), down_q = vfma(down, down, down_q);
            up_x = vfma(up, x, up_x), up_q = vfma(up, up, up_q);
        }
        offer(t, down_x, down_q, none, 1);
        offer(t, up_x, up_q, none, -1);
    }
}

static void search_asymmetric(Group *t, float half) {
    for (int i = 0; i < t->o->steps; i++) {
        float clip = 1.05f - 0.5f * (float)i / (float)t->o->steps, inverse[16], zero[16];
        for (int r = 0; r < 16; r++) {
            float s = clip * t->widest[r], z = rintf(-half - clip * t->low[r] / s);
            inverse[r] = 1.f / s;
            zero[r] = z < -half ? -half : z > half - 1 ? half - 1 : z;
        }
        V by = vload(inverse), z = vload(zero), minus = vmul(z, vset(-1)), qx = vzero(), qq = vzero();
        for (int64_t j = 0; j < t->g; j++) {
            V x = vload(t->x + 16 * j);
            V q = vadd(clamped(vadd(vround(vmul(x, by)), z), -half, half - 1), minus);
            qx = vfma(q, x, qx), qq = vfma(q, q, qq);
        }
        offer(t, qx, qq, zero, 1);
    }
}

INLINE V code(V x, V scale, V zero, float half) {
    return clamped(vadd(vround(vdiv(x, scale)), zero), -half, half - 1);
}

static void group_errors(const Group *t, const float *scale, const float *zero, float half, float *errors) {
    V s = vload(scale), z = vload(zero), sum = vzero(), minus = vset(-1);
    for (int64_t j = 0; j < t->g; j++) {
        V x = vload(t->x + 16 * j), q = vfma(z, minus, code(x, s, z, half)), e = vfma(x, minus, vmul(q, s));
        sum = vfma(e, e, sum);
    }
    vstore(errors, sum);
}

static void find_scale(Group *t, float half) {
    float levels = 2 * half - 1, whole[16], zero[16];
    V low = vzero(), high = vzero();
    for (int64_t j = 0; j < t->g; j++) {
        V x = vload(t->x + 16 * j);
        V end = t->o->symmetric ? vabs(x) : x;
        high = vmax(high, end);
        low = vmin(low, t->o->symmetric ? vmul(end, vset(-1)) : x);
    }
    float highest[16];
    vstore(highest, high);
    vstore(t->low, low);
    for (int r = 0; r < 16; r++) {
        float widest = highest[r] / levels - t->low[r] / levels; // their difference alone may overflow
        t->widest[r] = widest > 1e-10f ? widest : 1e-10f;
        whole[r] = stored_scale(t->widest[r], t->o->stored);
        float z = t->o->symmetric ? 0 : rintf(-half - t->low[r] / whole[r]);
        zero[r] = z < -half ? -half : z > half - 1 ? half - 1 : z;
        t->scale[r] = whole[r], t->zero[r] = zero[r], t->gain[r] = -1;
    }
    if (t->o->steps == 0) {
        return;
    }
    if (t->o->symmetric) {
        search_symmetric(t, half);
    } else {
        search_asymmetric(t, half);
    }
    for (int r = 0; r < 16; r++) t->scale[r] = stored_scale(t->scale[r], t->o->stored);
    // rounding the winner for the disk may cost more than it won, and squares of huge weights overflow
    float ours[16], theirs[16];
    group_errors(t, t->scale, t->zero, half, ours);
    group_errors(t, whole, zero, half, theirs);
    for (int r = 0; r < 16; r++) {
        if (!(ours[r] < theirs[r])) {
            t->scale[r] = whole[r], t->zero[r] = zero[r];
        }
    }
}

// x (g, 16): inputs from `column` on of 16 rows, the last row again where there are fewer.
static void load_rows(const Rounding *o, int64_t first, int64_t column, int64_t g, float *x) {
    for (int r = 0; r < 16; r++) {
        int64_t row = first + r < o->n ? first + r : o->n - 1, at = row * o->k + column;
        for (int64_t j = 0; j < g; j++) x[16 * j + r] = weight_at(o, at + j);
    }
}

// What one thread needs.
typedef struct {
    const Rounding *o;
    float *x; // (g, 16)
} Bench;

static void round_rows(Step *step, void *argument, int64_t from, int64_t to) {
    (void)step;
    const Bench *bench = argument;
    const Rounding *o = bench->o;
    float half = (float)(1 << (o->bits - 1));
    int64_t g = o->group, groups = o->k / g;
    for (int64_t block = from; block < to; block++) {
        int64_t first = 16 * block, rows = o->n - first < 16 ? o->n - first : 16;
        for (int64_t i = 0; i < groups; i++) {
            Group t = {.o = o, .x = bench->x, .g = g};
            load_rows(o, first, i * g, g, bench->x);
            find_scale(&t, half);
            V scale = vload(t.scale), zero = vload(t.zero);
            for (int64_t j = 0; j < g; j++) {
                float q[16];
                vstore(q, code(vload(t.x + 16 * j), scale, zero, half));
                for (int64_t r = 0; r < rows; r++) o->q[(first + r) * o->k + i * g + j] = (int8_t)q[r];
            }
            for (int64_t r = 0; r < rows; r++) {
                o->scale[(first + r) * groups + i] = t.scale[r];
                if (o->zero != 0) o->zero[(first + r) * groups + i] = (int32_t)t.zero[r];
            }
        }
    }
}

static void round_all(Step *s, int thread) {
    const Rounding *o = s->rounding;
    Bench bench = {o, s->a + 16 * o->group * thread};
    pool_each(s, &bench, round_rows, (o->n + 15) / 16, 1);
}
