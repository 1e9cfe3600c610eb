/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowkey.c: where a row lies in the key space: its group, then its key, with the number of each interleaved table before the
 * part of the key that is its own (key.h).
 */
#include <string.h>

#include "shard/store/key.h"
#include "shard/store/mvcc_internal.h"

void rowkey_values(const struct table *t, const struct value *row, struct value *ret_key) {
    for (uint16_t i = 0; i < t->n_key; i++)
        ret_key[i] = row[t->key[i].col];
}

enum rc table_key_put(struct buf *to, const struct table *t, const struct value *key, uint16_t n, struct err *err) {
    uint16_t level = 0;
    enum rc rc = key_put_table(to, (uint32_t)t->group, err);
    for (uint16_t i = 0; i < n && !rc; i++) {
        struct key_part part = {t->cols[t->key[i].col].col, t->key[i].desc};
        rc = key_put(to, &part, &key[i], err);
        /* The parents' key ends here: the number of the next table down, at last our own. */
        if (!rc && level < t->n_ancestors && i + 1 == t->ancestors[level].n_key) {
            level++;
            uint64_t next = level < t->n_ancestors ? t->ancestors[level].table : t->id;
            rc = key_put_table(to, (uint32_t)next, err);
        }
    }
    return rc;
}

static bool within(const struct buf *b, struct mvcc_bytes start, struct mvcc_bytes end) {
    struct key k = key_of_buf(b);
    return key_compare(k, key_of(start.p, start.n)) >= 0 && (end.n == 0 || key_compare(k, key_of(end.p, end.n)) < 0);
}

static struct mvcc_bytes bytes_of(const struct buf *b) {
    return (struct mvcc_bytes){b->data, b->len};
}

enum rc rowkey_within(struct buf *scratch, const struct table *t, const struct value *key, struct mvcc_bytes start,
                      struct mvcc_bytes end, bool *ret) {
    if (start.n == 0 && end.n == 0) {
        *ret = true;
        return RC_OK;
    }
    buf_reset(scratch, KEY_BYTES_MAX);
    enum rc rc = table_key_put(scratch, t, key, t->n_key, NULL);
    if (!rc)
        *ret = within(scratch, start, end);
    return rc;
}

enum rc rowkey_clip(struct conn *c, struct buf *scratch, const struct table *t, const struct value *key, bool *ret) {
    const struct snapshot *s = c->pinned;
    if (s)
        return rowkey_within(scratch, t, key, bytes_of(&s->start), bytes_of(&s->end), ret);
    return rowkey_within(scratch, t, key, c->m->state.start, c->m->state.end, ret);
}

enum rc rowkey_in_range(struct mvcc *m, const struct table *t, const struct value *key, struct err *err) {
    bool within_it = false;
    enum rc rc = rowkey_within(&m->keybuf, t, key, m->state.start, m->state.end, &within_it);
    if (rc)
        return err_set(err, rc, "the key of a row of table %" PRIu64 ": %s", t->id, rc_text(rc));
    if (within_it)
        return RC_OK;
    struct buf text;
    buf_init(&text, 4096);
    key_print(key_of_buf(&m->keybuf), &text);
    const char *s = buf_cstr(&text);
    err_set(err, RC_INVAL, "key %.200s is not in tablet %" PRIu64, s ? s : "?", m->state.tablet);
    buf_done(&text);
    return RC_INVAL;
}
