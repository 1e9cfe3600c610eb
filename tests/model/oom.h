/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oom.h: forced upon the sources of the Paxos core (-include), so that their
 * allocations can fail when a test wants it.
 *
 * Promise     Each malloc, calloc and realloc of theirs asks oom_strikes()
 * first; true: it fails. Threads     one.
 */
#ifndef MERIDIAN_TESTS_OOM_H
#define MERIDIAN_TESTS_OOM_H

#include <stdbool.h>
#include <stdlib.h>

bool oom_strikes(void);

static inline void *oom_malloc(size_t n) {
    return oom_strikes() ? NULL : malloc(n);
}

static inline void *oom_calloc(size_t n, size_t size) {
    return oom_strikes() ? NULL : calloc(n, size);
}

static inline void *oom_realloc(void *p, size_t n) {
    return oom_strikes() ? NULL : realloc(p, n);
}

#define malloc oom_malloc
#define calloc oom_calloc
#define realloc oom_realloc

#endif
