/* SPDX-License-Identifier: Apache-2.0 */
/* Any text: the guard says yes or no, and what it lets pass at a small depth the parser survives on a small stack. */
#include <stddef.h>
#include <stdint.h>

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

#include "sql/parse/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    uint32_t depth = 0;
    if (size > 4096)
        return 0;
    arena_init(&a, 0);
    enum rc rc = guard_check(&a, (const char *)data, size, &depth, &err);
    if (rc)
        CHECK(err.position >= 1 && strlen(err_sqlstate(&err)) == 5);
    else if (depth <= 100) {
        char *text = arena_alloc(&a, size + 1);
        CHECK(text);
        memcpy(text, data, size);
        text[size] = '\0';
        pg_query_free_protobuf_parse_result(pg_query_parse_protobuf(text));
    }
    arena_done(&a);
    return 0;
}
