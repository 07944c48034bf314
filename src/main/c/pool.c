// Threads that run one program together. In each phase of it a thread has a share of the items, and helps itself to those of others
// when it is done: one that lost its core holds them up by no more than the items in its hands. A phase ends in a barrier.
//
// A worker without a program spins for about 0.2 ms, as libgomp's do, and then sleeps: the next token usually comes sooner.

#include "common.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

enum { MOST = 256, SPINS_IN_STEP = 4000, IDLE_NANOS = 200000 };

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER; // held by who runs a program
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t started = PTHREAD_COND_INITIALIZER;
static atomic_int generation; // programs started
static Program program;
static Step *step;
static atomic_int members;    // threads of the running program
static int workers;           // that exist
static atomic_int sleeping;

// What one thread writes lies on lines of its own, so that it costs the others nothing but the reading.
static struct { _Alignas(2 * LINE) atomic_int value; } arrived, finished;
static struct { _Alignas(2 * LINE) atomic_uint value; } phase;

// Where each thread is in its share of a phase's items. Two sets take turns: while one deals, the other is set back.
static struct { _Alignas(2 * LINE) atomic_llong next; } dealt[2][MOST];

static _Thread_local int self; // among the members

int pool_threads(void) { return atomic_load_explicit(&members, memory_order_relaxed); }

static void barrier(unsigned now) {
    int n = pool_threads();
    if (n == 1) {
        atomic_store_explicit(&phase.value, now + 1, memory_order_relaxed);
        return;
    }
    if (atomic_fetch_add_explicit(&arrived.value, 1, memory_order_acq_rel) == n - 1) {
        atomic_store_explicit(&arrived.value, 0, memory_order_relaxed);
        atomic_store_explicit(&phase.value, now + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&phase.value, memory_order_acquire) == now; spins++) {
        if (spins < SPINS_IN_STEP) {
            PAUSE();
        } else {
            sched_yield();
        }
    }
}

// Runs piece over all items, at least `least` of them at a time; returns when all are done. A thread takes what is left of its own
// share, then of the others'.
void pool_each(Step *s, void *argument, Piece piece, int64_t items, int64_t least) {
    int n = pool_threads();
    unsigned now = atomic_load_explicit(&phase.value, memory_order_relaxed);
    int64_t some = n == 1 ? items : items / (n * 8);
    some = some < least ? least : some < 1 ? 1 : some;
    atomic_store_explicit(&dealt[~now & 1][self].next, 0, memory_order_relaxed);
    for (int i = 0; i < n; i++) {
        int of = (self + i) % n;
        int64_t begin = items * of / n, share = items * (of + 1) / n - begin;
        atomic_llong *next = &dealt[now & 1][of].next;
        while (atomic_load_explicit(next, memory_order_relaxed) < share) {
            int64_t first = atomic_fetch_add_explicit(next, some, memory_order_relaxed);
            if (first >= share) {
                break;
            }
            piece(s, argument, begin + first, begin + (first + some < share ? first + some : share));
        }
    }
    barrier(now);
}

static int64_t nanos(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// The number of the program after `seen`, when it starts.
static int await(int seen) {
    int64_t until = nanos() + IDLE_NANOS;
    int now;
    do {
        for (int i = 0; i < 64; i++) {
            if ((now = atomic_load_explicit(&generation, memory_order_acquire)) != seen) {
                return now;
            }
            PAUSE();
        }
    } while (nanos() < until);
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&sleeping, 1);
    while ((now = atomic_load(&generation)) == seen) {
        pthread_cond_wait(&started, &lock);
    }
    atomic_fetch_sub(&sleeping, 1);
    pthread_mutex_unlock(&lock);
    return now;
}

static void *work(void *argument) {
    int thread = (int)((intptr_t)argument & 0xffff);
    int seen = (int)((intptr_t)argument >> 16); // the programs before its birth are not its own
    for (;;) {
        seen = await(seen);
        if (thread < pool_threads()) {
            self = thread;
            program(step, thread);
        }
        atomic_fetch_add_explicit(&finished.value, 1, memory_order_release);
    }
    return 0;
}

static void start_workers(int threads) {
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (workers < threads - 1) {
        pthread_t id;
        if (pthread_create(&id, &detached, work, (void *)((intptr_t)atomic_load(&generation) << 16 | (workers + 1))) != 0) {
            break;
        }
        workers++;
    }
    pthread_attr_destroy(&detached);
}

// Runs `what` on up to `threads` threads, of which the caller is one; returns how many there were.
int pool_run(Program what, Step *with, int threads) {
    pthread_mutex_lock(&owner);
    threads = threads < 1 ? 1 : threads > MOST ? MOST : threads;
    start_workers(threads);
    threads = threads <= workers + 1 ? threads : workers + 1;
    program = what;
    step = with;
    atomic_store(&members, threads);
    self = 0;
    for (int i = 0; i < threads; i++) {
        atomic_store(&dealt[0][i].next, 0);
        atomic_store(&dealt[1][i].next, 0);
    }
    atomic_store(&finished.value, 0);
    if (threads > 1) {
        atomic_fetch_add(&generation, 1);
        if (atomic_load(&sleeping) > 0) {
            pthread_mutex_lock(&lock);
            pthread_cond_broadcast(&started);
            pthread_mutex_unlock(&lock);
        }
    }
    what(with, 0);
    if (threads > 1) {
        for (int spins = 0; atomic_load_explicit(&finished.value, memory_order_acquire) < workers; spins++) {
            if (spins < SPINS_IN_STEP) {
                PAUSE();
            } else {
                sched_yield();
            }
        }
    }
    pthread_mutex_unlock(&owner);
    return threads;
}
