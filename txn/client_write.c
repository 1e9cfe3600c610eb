/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_write.c: row images on their way to tablets.
 *
 * A write is numbered and put into bytes at once; it goes when something goes to its tablet anyway, or when there are too many of
 * them. Only INSERT goes at once, since somebody must look whether the row is there. Numbers are never used again, so "undo
 * everything after n" means the same on a tablet whatever has reached it.
 */
#include <stdlib.h>

#include "shard/store/rowbatch.h"
#include "txn/client_internal.h"

void pending_drop(struct txn *t, struct pending *p) {
    ilist_del(&p->link);
    t->pending_bytes -= p->bytes;
    free(p);
}

static enum rc put(struct txn *t, struct key k, const struct buf *b, uint64_t seq, struct err *err) {
    struct pending *p = malloc(sizeof *p + k.bytes + b->len);
    if (!p || buf_rc(b)) {
        free(p);
        return err_set(err, buf_rc(b) ? buf_rc(b) : RC_NOMEM, "out of memory for a write");
    }
    *p = (struct pending){.seq = seq, .key_bytes = k.bytes, .bytes = b->len};
    ilist_init(&p->link);
    if (k.bytes)
        memcpy(p->data, k.p, k.bytes);
    memcpy(p->data + k.bytes, b->data, b->len);
    ilist_push_back(&t->pending, &p->link);
    t->pending_bytes += b->len;
    return RC_OK;
}

/* The write becomes bytes behind all others. */
static enum rc take_write(struct txn *t, const struct txn_write *w, struct buf *key, struct buf *b, struct err *err) {
    const struct table *tab = w->table;
    struct value v[TABLE_KEY_MAX];
    bool deletes = w->kind == TXN_DELETE;
    if (w->n != (deletes ? tab->n_key : tab->n_cols))
        return err_set(err, RC_INVAL, "a write with %u values for table %llu", w->n, (unsigned long long)tab->id);
    for (uint16_t i = 0; i < tab->n_key; i++)
        v[i] = w->values[deletes ? i : tab->key[i].col];
    buf_reset(key, 1 << 12);
    buf_reset(b, 1 << 16);
    enum rc rc = table_key_put(key, tab, v, tab->n_key, err);
    if (rc)
        return rc;
    varint_put(b, t->seq + 1);
    buf_putc(b, (uint8_t)(w->kind + 1));
    varint_put(b, tab->id);
    varint_put(b, tab->version);
    varint_put(b, w->n);
    for (uint16_t i = 0; i < w->n; i++)
        value_put(b, &w->values[i]);
    rc = put(t, key_of_buf(key), b, t->seq + 1, err);
    t->seq += !rc;
    return rc;
}

static void forget_after(struct txn *t, uint64_t seq) {
    ilist_for_each(it, &t->pending) {
        struct pending *p = ilist_entry(it, struct pending, link);
        if (p->seq > seq)
            pending_drop(t, p);
    }
}

/* All of w, or nothing. */
static enum rc take_writes(struct txn *t, const struct txn_write *w, size_t n, bool *ret_inserts, struct err *err) {
    uint64_t before = t->seq;
    struct buf key, b;
    enum rc rc = RC_OK;
    buf_init(&key, 0);
    buf_init(&b, 0);
    *ret_inserts = false;
    for (size_t i = 0; i < n && !rc; i++) {
        *ret_inserts |= w[i].kind == TXN_INSERT;
        rc = take_write(t, &w[i], &key, &b, err);
    }
    buf_done(&key);
    buf_done(&b);
    if (rc)
        forget_after(t, before);
    return rc;
}

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

enum rc txn_place_pending(struct txn *t, struct err *err) {
    struct visit *v = NULL;
    ilist_for_each(it, &t->pending) {
        struct pending *p = ilist_entry(it, struct pending, link);
        struct key k = {p->data, p->key_bytes};
        struct route r = {0};
        struct arena a;
        if (v) { /* often the same as the one before */
            struct txn_span s = visit_span(v);
            struct txn_key key = {k.p, k.bytes};
            if (txn_key_cmp(s.start, key) <= 0 && txn_key_before_end(key, s.end))
                continue;
        }
        v = visit_find(t, k);
        if (v)
            continue;
        arena_init(&a, 0);
        enum rc rc = route_find(t->c, k, 0, txn_deadline(t), &a, &r, err);
        v = rc ? NULL : visit_get(t, &r, k);
        arena_done(&a);
        if (rc)
            return rc;
        if (!v)
            return err_set(err, RC_NOMEM, "out of memory");
    }
    return RC_OK;
}

/* One round: a call for each visit that has something to get. False in *ret_more: nothing was left to send. */
static enum rc flush_round(struct txn *t, bool *ret_more, uint64_t *ret_conflict, struct err *err) {
    struct arena a;
    size_t n = 0, cap = 0;
    struct call *calls;
    *ret_more = false;
    enum rc rc = txn_place_pending(t, err);
    if (rc)
        return rc;
    ilist_for_each(it, &t->visits)
        cap++;
    calls = calloc(cap + 1, sizeof *calls);
    if (!calls)
        return err_set(err, RC_NOMEM, "out of memory");
    arena_init(&a, 0);
    ilist_for_each(it2, &t->visits) { /* the list may change while the directory is asked: keys first */
        struct visit *v = ilist_entry(it2, struct visit, link);
        if (!visit_has_pending(t, v))
            continue;
        calls[n].route.range.start = key_of(arena_copy(&a, v->key, v->key_bytes), v->key_bytes);
        if (!calls[n++].route.range.start.p && !rc)
            rc = err_set(err, RC_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n && !rc; i++) {
        struct key k = calls[i].route.range.start;
        rc = route_find(t->c, k, 0, txn_deadline(t), &a, &calls[i].route, err);
        calls[i].t = t;
        calls[i].take_pending = true;
    }
    if (!rc)
        calls_run(calls, n);
    for (size_t i = 0; i < n && calls[i].t && (!rc || rc == RC_MOVED); i++) {
        if (calls[i].rc == RC_OK || (rc && calls[i].rc == RC_MOVED))
            continue;
        rc = calls[i].rc;
        *err = calls[i].err;
        if (rc == RC_EXISTS && ret_conflict)
            *ret_conflict = calls[i].answer.conflict;
    }
    *ret_more = n > 0 && rc == RC_MOVED;
    if (!rc && n > 0) /* a visit that was cut has left some behind */
        ilist_for_each(it3, &t->visits)
            *ret_more |= visit_has_pending(t, ilist_entry(it3, struct visit, link));
    arena_done(&a);
    free(calls);
    return rc == RC_MOVED ? RC_OK : rc;
}

enum rc txn_flush_checked(struct txn *t, uint64_t *ret_conflict, struct err *err) {
    bool more = true;
    enum rc rc = RC_OK;
    for (uint32_t i = 0; more && !rc; i++) {
        rc = route_pause(t->c, i, err);
        if (!rc)
            rc = flush_round(t, &more, ret_conflict, err);
        if (!rc && more && i == MOVES_MAX)
            rc = err_set(err, RC_MOVED, "the tablets of the written rows move all the time");
    }
    return rc;
}

enum rc txn_flush(struct txn *t, struct err *err) {
    return txn_flush_checked(t, NULL, err);
}

/* ---- undoing ----------------------------------------------------------------------------------------------------------- */

size_t txn_savepoint(struct txn *t) {
    return (size_t)t->seq;
}

static void undo(struct txn *t, uint64_t seq) {
    forget_after(t, seq);
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        if (!v->requests)
            continue;
        v->undo_to = v->undo && v->undo_to < seq ? v->undo_to : seq;
        v->undo = true;
    }
}

enum rc txn_rollback_to(struct txn *t, size_t mark, struct err *err) {
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    if (mark > t->seq)
        return txn_leave(t, err_set(err, RC_INVAL, "there is no such savepoint"));
    if (mark < t->seq) /* with it goes along with the next request; nothing has to wait for it */
        undo(t, mark);
    return txn_leave(t, RC_OK);
}

/* ---- the calls --------------------------------------------------------------------------------------------------------- */

enum rc txn_write_begin(struct txn *t, const struct txn_write *w, size_t n, bool *ret_inserts, struct err *err) {
    if (txn_is_read_only(t))
        return err_sql(err, "25006", "cannot write in a read-only transaction");
    return take_writes(t, w, n, ret_inserts, err);
}

void txn_write_undo(struct txn *t, uint64_t before, uint64_t conflict, size_t *ret_conflict) {
    if (ret_conflict && conflict > before)
        *ret_conflict = (size_t)(conflict - before - 1);
    undo(t, before);
}

enum rc txn_write(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict, struct err *err) {
    uint64_t before = t->seq, conflict = 0;
    bool inserts;
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    rc = txn_write_begin(t, w, n, &inserts, err);
    if (!rc && (inserts || t->pending_bytes > TXN_DEFERRED_BYTES)) {
        rc = txn_flush_checked(t, &conflict, err);
        if (rc && t->phase == TXN_OPEN)
            txn_write_undo(t, before, conflict, ret_conflict);
    }
    return txn_leave(t, rc);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------ */

/* All keys of the table's group, from the group's own prefix on. */
static enum rc table_span(const struct table *tab, struct arena *a, struct span *ret, struct err *err) {
    struct buf b;
    struct span s;
    buf_init(&b, 0);
    enum rc rc = key_put_table(&b, (uint32_t)tab->group, err);
    if (!rc && (span_prefix(a, key_of_buf(&b), &s) || span_copy(a, s, ret)))
        rc = err_set(err, RC_NOMEM, "out of memory");
    buf_done(&b);
    return rc;
}

/* The change as one pending write, at a key. */
static enum rc put_change(struct txn *t, const struct table *table, bool drop, struct key at, struct err *err) {
    struct buf b, d;
    buf_init(&b, 0);
    buf_init(&d, 0);
    varint_put(&b, t->seq + 1);
    buf_putc(&b, drop ? WRITE_DROP : WRITE_TABLE);
    if (drop) {
        varint_put(&b, table->id);
    } else {
        table_encode(table, &d);
        command_put_bytes(&b, (struct mvcc_bytes){d.data, d.len});
    }
    enum rc rc = buf_rc(&d) || buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory") : put(t, at, &b, t->seq + 1, err);
    t->seq += !rc;
    buf_done(&b);
    buf_done(&d);
    return rc;
}

enum { TABLE_TABLETS_MAX = 16384 };

/* Keys that a change was sent to, ascending. */
struct told {
    struct key at[TABLE_TABLETS_MAX];
    size_t n;
};

/* Where k is, or belongs. */
static size_t told_place(const struct told *told, struct key k, bool *ret_there) {
    size_t low = 0, high = told->n;
    *ret_there = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = key_compare(told->at[mid], k);
        if (c < 0) {
            low = mid + 1;
        } else {
            *ret_there |= c == 0;
            high = mid;
        }
    }
    return low;
}

/* A pending write for each tablet that has not been told: the locks that are held say which there are. */
static enum rc tell_others(struct txn *t, const struct table *table, bool drop, struct span all, struct told *told,
                           struct arena *a, struct err *err) {
    struct key at = all.start;
    for (;;) {
        const struct visit *v = visit_find(t, at);
        if (!v)
            return txn_fail(t, err_set(err, RC_ABORTED, "a lock on a table that is to change is gone"), err);
        struct txn_key end = visit_span(v).end;
        bool there;
        size_t place = told_place(told, at, &there);
        if (!there) {
            if (told->n == TABLE_TABLETS_MAX)
                return err_set(err, RC_LIMIT, "a table on more than %d tablets cannot be changed", TABLE_TABLETS_MAX);
            enum rc rc = put_change(t, table, drop, at, err);
            if (rc)
                return rc;
            memmove(&told->at[place + 1], &told->at[place], (told->n++ - place) * sizeof *told->at);
            told->at[place] = at;
        }
        if (!end.n || txn_key_cmp(end, (struct txn_key){all.end.p, all.end.bytes}) >= 0)
            return RC_OK;
        at = key_of(arena_copy(a, end.p, end.n), end.n);
        if (!at.p)
            return err_set(err, RC_NOMEM, "out of memory");
    }
}

/* The change goes to every tablet that has keys of the table, each at its first key. One that has been split since its lock was
 * given says so when the write comes, and then the other half is to be told as well; one that is split later hands what it has to
 * both halves. */
static enum rc change_everywhere(struct txn *t, const struct table *table, bool drop, struct span all, struct arena *a,
                                 struct err *err) {
    struct told *told = arena_new(a, struct told);
    if (!told)
        return err_set(err, RC_NOMEM, "out of memory");
    for (;;) {
        size_t before = told->n;
        enum rc rc = tell_others(t, table, drop, all, told, a, err);
        if (rc || told->n == before)
            return rc;
        rc = txn_flush_checked(t, NULL, err);
        if (rc)
            return rc;
    }
}

enum rc txn_schema(struct txn *t, const struct table *table, bool drop, struct err *err) {
    uint64_t before = t->seq;
    struct arena a;
    struct span all;
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    arena_init(&a, 0);
    if (txn_is_read_only(t))
        rc = err_sql(err, "25006", "cannot change a table in a read-only transaction");
    if (!rc)
        rc = table_span(table, &a, &all, err);
    /* The lock first: once it is held no tablet of the table can be split without this transaction being told. */
    if (!rc)
        rc = txn_lock_spans(t, &all, 1, LOCK_EXCLUSIVE, err);
    if (!rc)
        rc = change_everywhere(t, table, drop, all, &a, err);
    if (rc && t->phase == TXN_OPEN)
        undo(t, before);
    arena_done(&a);
    return txn_leave(t, rc);
}
