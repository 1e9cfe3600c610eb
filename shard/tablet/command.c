/* SPDX-License-Identifier: Apache-2.0 */
/* command.c: see command.h. */
#include "shard/tablet/command.h"

void command_begin(struct buf *b, enum command_kind kind, uint64_t generation) {
    static const uint8_t zero[6];
    buf_putc(b, COMMAND_VERSION);
    buf_putc(b, (uint8_t)kind);
    buf_put(b, zero, sizeof zero);
    buf_put_u64le(b, generation);
}

void command_put_bytes(struct buf *b, struct mvcc_bytes bytes) {
    varint_put(b, bytes.n);
    buf_put(b, bytes.p, bytes.n);
}

static enum rc damaged(struct err *err, const char *what) {
    return err_set(err, RC_CORRUPT, "a command in the log is damaged: %s", what);
}

enum rc command_parse(const void *p, size_t n, struct command *ret, struct err *err) {
    const uint8_t *at = p;
    if (n < COMMAND_HEAD_BYTES)
        return damaged(err, "its head is cut off");
    if (at[0] != COMMAND_VERSION)
        return err_set(err, RC_UNSUPPORTED, "a command in the log has version %u; this program knows %d", at[0],
                       COMMAND_VERSION);
    if (at[1] == 0 || at[1] > COMMAND_KIND_MAX)
        return damaged(err, "no such kind");
    for (int i = 2; i < 8; i++)
        if (at[i] != 0)
            return damaged(err, "its head is not clean");
    *ret = (struct command){at[1], get_u64le(at + 8), {at + COMMAND_HEAD_BYTES, n - COMMAND_HEAD_BYTES}};
    return RC_OK;
}

enum rc command_bytes(struct rd *r, size_t max, struct mvcc_bytes *ret, struct err *err) {
    uint64_t n = varint_get(r);
    const uint8_t *p = r->bad || n > max ? NULL : rd_bytes(r, (size_t)n);
    if (!p)
        return damaged(err, "a length");
    *ret = (struct mvcc_bytes){p, (size_t)n};
    return RC_OK;
}
