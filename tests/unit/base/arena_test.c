/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/arena.h"

#include <string.h>

#include "tests/lib/tap.h"

/* Blocks are aligned, distinct and keep what was written. */
static void blocks_do_not_overlap(void) {
    struct arena a;
    unsigned char *p[200];
    arena_init(&a, 0);
    for (int i = 0; i < 200; i++) {
        p[i] = arena_alloc(&a, (size_t)i * 7);
        OK(p[i] && (uintptr_t)p[i] % 16 == 0);
        memset(p[i], i, (size_t)i * 7);
    }
    for (int i = 0; i < 200; i++)
        for (int j = 0; j < i * 7; j++)
            if (p[i][j] != i) {
                OKF(false, "block %d was overwritten", i);
                break;
            }
    arena_done(&a);
}

/* The limit holds, and an allocation that fits exactly under it still succeeds. */
static void limit_holds(void) {
    struct arena a;
    arena_init(&a, 10000);
    OK(arena_alloc(&a, 3000) != NULL);
    OK(arena_alloc(&a, 20000) == NULL);
    OK(arena_alloc(&a, 3000) != NULL);
    size_t n = 0;
    while (arena_alloc(&a, 100))
        n++;
    OK(a.bytes <= 10000);
    OK(n < 100);
    arena_reset(&a);
    OK(arena_alloc(&a, 3000) != NULL);
    arena_done(&a);
}

static void overflow_is_refused(void) {
    struct arena a;
    arena_init(&a, 0);
    OK(arena_array(&a, SIZE_MAX / 2, 16) == NULL);
    OK(arena_alloc(&a, SIZE_MAX - 8) == NULL);
    OK(arena_array(&a, 0, 16) != NULL);
    EQ_STR(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    arena_done(&a);
}

/* A reset keeps one chunk, so a loop of requests stops calling malloc. */
static void reset_keeps_one_chunk(void) {
    struct arena a;
    arena_init(&a, 0);
    for (int i = 0; i < 100; i++) {
        OK(arena_alloc(&a, 2000) != NULL);
        if (i == 50)
            arena_reset(&a);
    }
    arena_reset(&a);
    size_t bytes = a.bytes;
    OK(bytes > 0);
    OK(arena_alloc(&a, 100) != NULL);
    EQ_INT(a.bytes, bytes);
    arena_done(&a);
    EQ_INT(a.bytes, 0);
}

int main(void) {
    RUN(blocks_do_not_overlap);
    RUN(limit_holds);
    RUN(overflow_is_refused);
    RUN(reset_keeps_one_chunk);
    return tap_done();
}
