/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_key.c: the first bytes name columns, the rest is read as their key. What is taken is encoded to the same bytes again,
 * and the skipping reader goes the same way.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/store/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct key_part any_part(struct rd *r) {
    struct key_part p = {.col = {.typmod = COL_TYPMOD_NONE}};
    uint8_t type = rd_u8(r);
    p.desc = type & 0x80;
    p.col.type = (uint8_t)(1 + (type & 0x7f) % (COL_TYPE_END - 1));
    p.col.type_id = p.col.type == COL_ENUM;
    p.col.elem = p.col.type == COL_ARRAY ? COL_TEXT : COL_NONE;
    uint8_t precision = rd_u8(r), scale = rd_u8(r);
    if (p.col.type == COL_NUMERIC && precision)
        p.col = col_numeric(precision, (int8_t)scale);
    else if ((p.col.type == COL_VARCHAR || p.col.type == COL_CHAR) && precision)
        p.col = col_length((enum col_type)p.col.type, precision);
    CHECK(col_valid(&p.col, NULL) == RC_OK);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rd r, skip;
    struct key_part parts[4];
    struct value v[4];
    struct arena a;
    struct buf again, shown;
    if (size < 13 || size - 13 > KEY_BYTES_MAX)
        return 0;
    rd_init(&r, data, 13);
    size_t n = 1 + rd_u8(&r) % ARRAY_LEN(parts);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        parts[i] = any_part(&r);
    uint8_t *copy = malloc(size - 13 ? size - 13 : 1);
    CHECK(copy);
    memcpy(copy, data + 13, size - 13);
    rd_init(&r, copy, size - 13);
    rd_init(&skip, copy, size - 13);
    arena_init(&a, 4 << 20);
    buf_init(&again, 0);
    buf_init(&shown, 0);
    if (key_get_row(&r, parts, n, &a, v, NULL) == RC_OK) {
        CHECK(key_put_row(&again, parts, v, n, NULL) == RC_OK);
        CHECK(again.len == (size_t)(r.at - copy) && memcmp(again.data, copy, again.len) == 0);
        for (size_t i = 0; i < n; i++)
            CHECK(key_skip(&skip, parts[i].desc, NULL) == RC_OK);
        CHECK(skip.at == r.at);
    }
    key_print(key_of(copy, size - 13), &shown);
    arena_done(&a);
    buf_done(&again);
    buf_done(&shown);
    free(copy);
    return 0;
}
