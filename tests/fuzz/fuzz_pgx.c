/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pgx.c: the bytes are a program. What is loaded runs to an end within its memory, whatever its arguments are, and gives the
 * same result twice.
 */
#include <string.h>

#include "sql/functions/pgx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0,
                                    0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0,  0, 7};
    struct value arg[] = {value_int(12345), value_text("1.5", 3), value_null(),         value_blob(array, sizeof array),
                          value_int(-1),    value_float(2.5),     value_text("a%b", 3), value_blob(array, 16)};
    struct pgx *p;
    if (size > 4096 || pgx_load(data, size, &p, NULL))
        return 0;
    if (pgx_args(p) <= ARRAY_LEN(arg)) {
        struct value v[2];
        enum rc rc[2];
        struct arena zones, a[2];
        arena_init(&zones, 0);
        struct type_session types = {.zone = zone_fixed(&zones, "UTC", 0)};
        for (int i = 0; i < 2; i++) {
            arena_init(&a[i], MEMORY);
            struct fn_env env = {.arena = &a[i], .types = &types};
            rc[i] = pgx_run(p, &env, arg, &v[i], NULL);
        }
        CHECK(rc[0] == rc[1]);
        if (!rc[0])
            CHECK(value_same(&v[0], &v[1]));
        arena_done(&a[0]);
        arena_done(&a[1]);
        arena_done(&zones);
    }
    pgx_free(p);
    return 0;
}
