// Memory in large pages.

#include "lithe.h"

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { PAGE = 2 << 20, SLAB = 32 << 20 };

// Null where there is too little.
void *memory_pages(int64_t bytes) {
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
void *memory_take(Model *m, int64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes > m->room_left) {
        int64_t size = bytes > SLAB ? bytes : SLAB;
        void **slabs = realloc(m->slabs, (m->slab_count + 1) * sizeof *slabs);
        void *slab = slabs == 0 ? 0 : memory_pages(size);
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

void *memory_copy(Model *m, const void *from, int64_t bytes) {
    void *p = memory_take(m, bytes);
    return p == 0 ? 0 : memcpy(p, from, bytes);
}
