/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequence.c: numbers of sequences, in blocks. A row of system.sequences holds the last number that was given to anybody; a
 * store takes `cache` further ones in a transaction of its own, and gives them from memory. What a store has left when it
 * stops is a gap.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "sql/catalog/store_internal.h"

enum { TRIES = 20 };

static const char read_sql[] = "SELECT c2, c3 FROM {11} WHERE c1 = ?1";

struct last {
    int64_t value;
    bool called, there;
};

static enum rc on_last(void *ctx, const struct value *v, uint16_t n, struct err *err) {
    struct last *l = ctx;
    if (n != 2 || v[0].kind != VALUE_INT || v[1].kind != VALUE_INT)
        return err_set(err, RC_CORRUPT, "a row of system.sequences is damaged");
    *l = (struct last){v[0].i, v[1].i != 0, true};
    return RC_OK;
}

static enum rc read_last(struct cat_cache *c, struct txn *t, const struct cat_object *seq, enum lock_mode lock,
                         struct last *ret, struct err *err) {
    struct value key = value_int(seq->id);
    *ret = (struct last){.value = seq->sequence.start};
    return cat_system_scan(c, t, c->sequences, read_sql, &key, 1, &key, lock, on_last, ret, err);
}

static enum rc write_last(struct cat_cache *c, struct txn *t, const struct cat_object *seq, int64_t value, bool called,
                          struct err *err) {
    struct value v[3] = {value_int(seq->id), value_int(value), value_int(called)};
    struct txn_write w = {.kind = TXN_PUT, .table = c->sequences, .values = v, .n = 3};
    return txn_write(t, &w, 1, NULL, err);
}

/* How many numbers there are from `first` on, at most want. */
static uint64_t room(const struct cat_sequence *s, int64_t first, uint64_t want) {
    uint64_t step = s->increment > 0 ? (uint64_t)s->increment : -(uint64_t)s->increment;
    uint64_t span = s->increment > 0 ? (uint64_t)s->max - (uint64_t)first : (uint64_t)first - (uint64_t)s->min;
    uint64_t n = span / step;
    return n >= want ? want : n + 1;
}

/* The number after l, or false: the end. */
static bool following(const struct cat_sequence *s, const struct last *l, int64_t *ret) {
    int64_t next;
    if (!l->called) {
        *ret = l->value;
        return true;
    }
    if (!__builtin_add_overflow(l->value, s->increment, &next) && next >= s->min && next <= s->max) {
        *ret = next;
        return true;
    }
    *ret = s->increment > 0 ? s->min : s->max;
    return s->cycle;
}

static enum rc take(struct cat_cache *c, struct txn *t, const struct cat_object *seq, struct block *ret,
                    struct err *err) {
    const struct cat_sequence *s = &seq->sequence;
    struct last l;
    int64_t first;
    enum rc rc = read_last(c, t, seq, LOCK_UPDATE, &l, err);
    if (rc)
        return rc;
    if (!following(s, &l, &first))
        return err_sql(err, "2200H", "nextval: reached %s value of sequence \"%s\" (%" PRId64 ")",
                       s->increment > 0 ? "maximum" : "minimum", seq->name, s->increment > 0 ? s->max : s->min);
    uint64_t n = room(s, first, (uint64_t)s->cache);
    int64_t last = (int64_t)((uint64_t)first + (n - 1) * (uint64_t)s->increment);
    if (!env_mutant(c->store->env, "SQL-7: a sequence forgets what it gave"))
        rc = write_last(c, t, seq, last, true, err);
    if (!rc)
        rc = txn_commit(t, NULL, err);
    if (!rc) {
        ret->next = first;
        ret->left = n;
    }
    return rc;
}

/* Runs one in a transaction of its own, again if it was aborted. */
static enum rc alone(struct cat_cache *c, const struct cat_object *seq, int64_t deadline,
                     enum rc (*one)(struct cat_cache *c, struct txn *t, const struct cat_object *seq, void *arg,
                                    struct err *err),
                     void *arg, struct err *err) {
    struct txn_options o = {.mode = TXN_READ_WRITE, .deadline = deadline, .label = "sequence"};
    struct txn *t = NULL;
    enum rc rc = txn_begin(c->txns, &o, &t, err);
    for (int tries = 0; !rc; tries++) {
        rc = one(c, t, seq, arg, err);
        if (!rc || rc_retry(rc) != RETRY_YES || tries == TRIES)
            break;
        rc = txn_restart(t, err);
    }
    txn_free(t);
    return rc;
}

static enum rc take_one(struct cat_cache *c, struct txn *t, const struct cat_object *seq, void *arg, struct err *err) {
    return take(c, t, seq, arg, err);
}

static struct block *block_find(struct cat_cache *c, uint32_t id) {
    for (struct map_node *n = map_first(&c->blocks, hash_u64(id)); n; n = map_next(n))
        if (container_of(n, struct block, node)->id == id)
            return container_of(n, struct block, node);
    return NULL;
}

static void block_drop(struct cat_cache *c, uint32_t id) {
    struct block *b = block_find(c, id);
    if (b) {
        map_del(&c->blocks, &b->node);
        free(b);
    }
}

enum rc cat_sequence_next(struct cat_cache *c, const struct cat_object *seq, int64_t deadline, int64_t *ret,
                          struct err *err) {
    struct block *b = block_find(c, seq->id);
    if (!b || b->left == 0 || b->changed != seq->changed) {
        struct block fresh = {.id = seq->id, .changed = seq->changed};
        enum rc rc = alone(c, seq, deadline, take_one, &fresh, err);
        if (rc)
            return rc;
        b = block_find(c, seq->id); /* somebody else's, taken meanwhile, becomes a gap */
        if (!b) {
            b = calloc(1, sizeof *b);
            if (!b)
                return err_set(err, RC_NOMEM, "out of memory for a sequence");
            b->id = seq->id;
            map_put(&c->blocks, &b->node, hash_u64(b->id));
        }
        b->changed = fresh.changed;
        b->next = fresh.next;
        b->left = fresh.left;
    }
    *ret = b->next;
    if (--b->left > 0)
        b->next += seq->sequence.increment;
    return RC_OK;
}

struct set {
    int64_t value;
    bool called;
};

static enum rc set_one(struct cat_cache *c, struct txn *t, const struct cat_object *seq, void *arg, struct err *err) {
    const struct set *s = arg;
    enum rc rc = write_last(c, t, seq, s->value, s->called, err);
    return rc ? rc : txn_commit(t, NULL, err);
}

enum rc cat_sequence_set(struct cat_cache *c, const struct cat_object *seq, int64_t value, bool is_called,
                         int64_t deadline, struct err *err) {
    struct set s = {value, is_called};
    if (value < seq->sequence.min || value > seq->sequence.max)
        return err_sql(err, "22003",
                       "setval: value %" PRId64 " is out of bounds for sequence \"%s\" (%" PRId64 "..%" PRId64 ")",
                       value, seq->name, seq->sequence.min, seq->sequence.max);
    enum rc rc = alone(c, seq, deadline, set_one, &s, err);
    if (!rc)
        block_drop(c, seq->id);
    return rc;
}

enum rc cat_sequence_last(struct cat_cache *c, const struct cat_object *seq, int64_t deadline, int64_t *ret,
                          bool *ret_called, struct err *err) {
    struct txn_options o = {.mode = TXN_READ_STRONG, .deadline = deadline, .label = "sequence"};
    struct txn *t = NULL;
    struct last l;
    enum rc rc = txn_begin(c->txns, &o, &t, err);
    if (!rc)
        rc = read_last(c, t, seq, LOCK_NONE, &l, err);
    txn_free(t);
    if (!rc) {
        *ret = l.value;
        *ret_called = l.called && l.there;
    }
    return rc;
}
