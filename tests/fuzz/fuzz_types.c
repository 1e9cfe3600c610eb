/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_types.c: the first bytes name a type and a way in (text, binary, or the bytes of a time zone's file); the rest goes
 * there. What is taken is a value of the type, and its text and its binary form read as the same value.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/parse/utf8.h"
#include "sql/types/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct col any_col(uint8_t type, uint8_t mod) {
    struct col c = col_of((enum col_type)(1 + type % (COL_TYPE_END - 1)));
    switch (c.type) {
    case COL_NUMERIC:
        if (mod)
            c = col_numeric(1 + mod % 40, mod / 40 - 2);
        break;
    case COL_VARCHAR:
    case COL_CHAR:
        if (mod)
            c = col_length((enum col_type)c.type, mod);
        break;
    case COL_TIME:
    case COL_TIMESTAMP:
    case COL_TIMESTAMPTZ:
        c.typmod = mod % 8 < 7 ? mod % 8 : -1;
        break;
    case COL_ARRAY: {
        struct col e = any_col((uint8_t)(mod + 1), 0);
        if (e.type == COL_ARRAY)
            e = col_of(COL_INT4);
        c = col_array_of(e);
        break;
    }
    case COL_ENUM:
        c.type_id = 1;
        break;
    default:
        break;
    }
    CHECK(col_valid(&c, NULL) == RC_OK);
    return c;
}

/* PostgreSQL prints an interval of -2^63 microseconds and does not read it; neither do we. */
static bool holds_least_interval(const struct col *c, const struct value *v) {
    static const uint8_t least[8] = {0x80};
    return (c->type == COL_INTERVAL || c->elem == COL_INTERVAL) && v->kind == VALUE_BLOB &&
           memmem(v->p, v->bytes, least, sizeof least);
}

static void reads_back(const struct type_session *s, const struct col *c, const struct value *v, struct arena *a) {
    struct buf out;
    struct value back;
    struct err err = {0};
    buf_init(&out, 0);
    CHECK(col_check(c, v, &err) == RC_OK);
    CHECKF(type_send(c, v, &out, &err) == RC_OK, "%s", err_message(&err));
    CHECKF(type_recv(c, out.data ? (const void *)out.data : "", out.len, a, &back, &err) == RC_OK, "%s",
           err_message(&err));
    CHECK(value_same(v, &back));
    buf_reset(&out, 1 << 16);
    CHECKF(type_print(s, c, v, &out, &err) == RC_OK, "%s", err_message(&err));
    if (out.len <= 100 && !holds_least_interval(c, v)) { /* dates and intervals longer than that are not read */
        CHECKF(type_parse(s, c, out.len ? (const char *)out.data : "", out.len, a, &back, &err) == RC_OK, "%s",
               err_message(&err));
        CHECKF(value_same(v, &back), "%s", buf_cstr(&out));
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct value v;
    if (size < 3 || size > 4096)
        return 0;
    arena_init(&a, 64 << 20);
    struct type_session s = {.zone = zone_fixed(&a, "UTC", 0)};
    struct col c = any_col(data[1], data[2]);
    size_t n = size - 3;
    char *copy = malloc(n ? n : 1);
    CHECK(copy);
    memcpy(copy, data + 3, n);
    size_t bad;
    enum rc rc = RC_INVAL;
    if (data[0] % 3 == 0) {
        if (utf8_valid(copy, n, &bad))
            rc = type_parse(&s, &c, copy, n, &a, &v, NULL);
    } else if (data[0] % 3 == 1)
        rc = type_recv(&c, copy, n, &a, &v, NULL);
    else {
        const struct zone *z;
        if (zone_parse(&a, "fuzz", copy, n, &z, NULL) == RC_OK)
            for (int64_t t = INT64_MIN / 2; t < INT64_MAX / 2; t += INT64_MAX / 37) {
                int32_t o = zone_offset(z, t), taken;
                CHECK(o >= -ZONE_OFFSET_MAX && o <= ZONE_OFFSET_MAX);
                IGNORE(zone_instant(z, t, &taken)); /* only that it ends */
            }
    }
    if (rc == RC_OK)
        reads_back(&s, &c, &v, &a);
    arena_done(&a);
    free(copy);
    return 0;
}
