/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a topology: an error with a place, or a world that prints into itself and takes changes. */
#include <stdlib.h>

#include "geo-sim/topology/topo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_world(struct topo *t) {
    struct topo *again = NULL;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 0);
    topo_print(t, &out);
    if (buf_rc(&out) == RC_OK) {
        enum rc rc = topo_parse("printed", (const char *)out.data, out.len, &again, &err);
        CHECKF(rc == RC_OK, "%s", err.message);
        CHECK(topo_equal(t, again));
        topo_free(again);
    }
    buf_done(&out);
    for (unsigned i = 0; i < t->places; i++) {
        CHECK(topo_place_of(t, topo_addr(t, i, topo_nodes(t, i) - 1)) == (int)i);
        for (unsigned j = 0; j < t->places; j++)
            CHECK(i == j ||
                  (t->link[i][j].delay_ns >= 0 && t->link[i][j].jitter_ns >= 0 && t->link[i][j].rate_bps >= 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct topo *t = NULL;
    struct err err = {0};
    /* The first line is a change to whatever world the rest is. */
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t line = end ? (size_t)(end - data) + 1 : 0;
    if (topo_parse("fuzz", (const char *)data + line, size - line, &t, &err)) {
        CHECK(err.message[0] != '\0');
        return 0;
    }
    check_world(t);
    if (line > 0 && line < 512) {
        char statement[512];
        memcpy(statement, data, line - 1);
        statement[line - 1] = '\0';
        if (topo_apply(t, statement, &err) == RC_OK)
            check_world(t);
    }
    topo_free(t);
    return 0;
}
