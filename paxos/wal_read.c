/* SPDX-License-Identifier: Apache-2.0 */
/* wal_read.c: entries that memory does not hold any more, read back from the log. */
#include <stdlib.h>

#include "paxos/wal_internal.h"

static enum rc scratch_room(struct wal *w, size_t bytes, struct err *err) {
    if (bytes <= w->scratch_bytes)
        return RC_OK;
    uint8_t *p = realloc(w->scratch, bytes);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    w->scratch = p;
    w->scratch_bytes = bytes;
    return RC_OK;
}

/* It is parsed as if it lay at its own offset, so that one that was written to another place is found out. */
enum rc record_read(struct wal *w, wal_at at, struct wal_rec *ret, struct err *err) {
    const struct wal_segment *s = w->segment[at_segment(at)];
    size_t bytes = at_bytes(at), got = 0;
    CHECK(at_durable(at) && s && s->state == SEG_USED && at_offset(at) + bytes <= s->end);
    enum rc rc = scratch_room(w, bytes, err);
    if (!rc)
        rc = env_file_read(s->file, w->scratch, bytes, at_offset(at), &got, err);
    if (rc)
        return rc;
    if (got < bytes || !rec_parse_at(w->scratch, bytes, at_offset(at), ret) || ret->use != s->use ||
        rec_bytes(ret->length) != bytes)
        return err_set(err, RC_CORRUPT, "segment %08u.wal: the record at %u is not what was written", s->number,
                       at_offset(at));
    return RC_OK;
}

static enum rc read_entry(struct wal *w, uint64_t group, const struct slot_at *e, struct px_entry *ret,
                          struct err *err) {
    struct wal_rec r;
    struct px_entry got;
    enum rc rc = record_read(w, e->at, &r, err);
    if (!rc && (r.type != WAL_ENTRY || r.group != group || entry_decode(&r, false, &got) || got.slot != e->slot))
        rc = err_set(err, RC_CORRUPT, "the record of group %llu slot %llu is another's", (unsigned long long)group,
                     (unsigned long long)e->slot);
    if (!rc && entry_decode(&r, true, &got))
        rc = err_set(err, RC_NOMEM, "out of memory");
    if (!rc)
        *ret = got;
    return rc;
}

enum rc wal_read(struct wal *w, uint64_t group, px_slot first, size_t bytes_max, struct px_entry *ret, size_t cap,
                 size_t *ret_count, struct err *err) {
    const struct wal_gr *g = index_find(w, group);
    size_t n = 0, bytes = 0;
    for (uint32_t i = g && g->count ? index_lower(g, first) : 0; g && i < g->head + g->count && n < cap; i++) {
        const struct slot_at *e = &g->v[i];
        if (e->slot != first + n || !at_durable(e->at))
            break;
        bytes += at_bytes(e->at);
        if (n > 0 && bytes > bytes_max)
            break;
        enum rc rc = read_entry(w, group, e, &ret[n], err);
        if (rc && n == 0)
            return rc;
        if (rc) /* what comes before it is good; the next call says what is wrong */
            break;
        n++;
    }
    if (n == 0)
        return err_set(err, RC_NOTFOUND, "group %llu slot %llu is not in the log", (unsigned long long)group,
                       (unsigned long long)first);
    *ret_count = n;
    return RC_OK;
}
