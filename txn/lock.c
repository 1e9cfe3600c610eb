/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.c: requests, waiters, wounds, time.
 *
 * A request is granted if nobody else holds what conflicts with it and no *older* waiter wants what conflicts with it,
 * unless that waiter waits for the requester himself. Whenever a hold or a waiter goes, the waiters that overlap it are
 * looked at again (`eval`); the order of looking does not matter, since a grant makes no other grant possible, but to
 * the same transaction.
 *
 * Searching must not change the heads that it walks. So a search only marks; whoever must be doomed is collected in
 * `marked` and doomed behind the search.
 */
#include "txn/lock.h"

#include <stdio.h>
#include <stdlib.h>

#include "truetime/base/buf.h"
#include "txn/lock_internal.h"

static const int64_t MS = 1000000;
enum { WIDE_LOOK = 32 }; /* so many spans of its own a request is compared with before it makes another lock */

#define TO(s) (1u << LOCK_##s)
static const struct {
    const char *name;
    uint32_t next;
} state_rules[LOCK_STATES] = {
    [LOCK_ACTIVE] = {"active", TO(PREPARED) | TO(DOOMED)},
    [LOCK_PREPARED] = {"prepared", 0},
    [LOCK_DOOMED] = {"doomed", 0},
};
#undef TO

const char *lock_state_name(enum lock_state state) {
    return state_rules[state].name;
}

/* The one door. */
static void state_move(struct lock_txn *x, enum lock_state to) {
    CHECKF(state_rules[x->state].next & 1u << to, "%s to %s", lock_state_name(x->state), lock_state_name(to));
    CHECK(x->wait_count == 0); /* whoever leaves ACTIVE waits for nothing */
    x->state = to;
}

const char *lock_mode_name(enum lock_mode mode) {
    static const char *const name[LOCK_MODES] = {"none", "shared", "update", "exclusive"};
    return name[mode];
}

const char *lock_rule_text(enum lock_rule rule) {
    static const char *const text[LOCK_RULES] = {
        [LOCK_RULE_NONE] = "no conflict",
        [LOCK_RULE_WOUNDED] = "wounded by an older transaction",
        [LOCK_RULE_IDLE] = "wounded by an older transaction, then idle for too long",
        [LOCK_RULE_SILENT] = "its gateway was not heard of any more",
        [LOCK_RULE_TIMEOUT] = "lock timeout",
        [LOCK_RULE_MOVED] = "the tablet was split",
        [LOCK_RULE_OLDER] = "waits for an older transaction",
        [LOCK_RULE_YOUNGER] = "waits for a younger transaction, which it has wounded",
        [LOCK_RULE_QUEUE] = "waits behind an older waiter",
    };
    return text[rule];
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum rc lock_table_new(const struct lock_init *init, struct lock_table **ret) {
    struct lock_table *t = calloc(1, sizeof *t);
    if (!t)
        return RC_NOMEM;
    t->init = *init;
    struct lock_limits *l = &t->init.limits;
    l->locks = l->locks ? l->locks : 4u << 20;
    l->waits = l->waits ? l->waits : 64u << 10;
    l->txns = l->txns ? l->txns : 256u << 10;
    l->bytes = l->bytes ? l->bytes : (size_t)1 << 30;
    l->txn_locks = l->txn_locks ? l->txn_locks : 64u << 10;
    l->txn_bytes = l->txn_bytes ? l->txn_bytes : (size_t)32 << 20;
    l->idle_ns = l->idle_ns ? l->idle_ns : 100 * MS;
    l->silent_ns = l->silent_ns ? l->silent_ns : 5000 * MS;
    l->prepared_ns = l->prepared_ns ? l->prepared_ns : 1000 * MS;
    l->forward_ns = l->forward_ns ? l->forward_ns : 100 * MS;
    t->prio = init->seed;
    map_init(&t->points);
    map_init(&t->txns);
    ilist_init(&t->fresh);
    ilist_init(&t->all);
    ilist_init(&t->alive);
    ilist_init(&t->marked);
    ilist_init(&t->out);
    ilist_init(&t->eval);
    timerq_init(&t->deadlines);
    *ret = t;
    return RC_OK;
}

static void wait_free(struct lock_table *t, struct lock_wait *w) {
    t->stats.bytes -= sizeof *w;
    free(w);
}

/* Takes w out of its head's queue and its transaction's. Unless it was granted, what it stood in the way of is looked
 * at. */
static void wait_unlink(struct lock_table *t, struct lock_wait *w, bool granted) {
    struct lock_head *h = w->head;
    ilist_del(&w->in_head);
    ilist_del(&w->eval);
    ilist_del(&w->in_txn);
    w->x->wait_count--;
    t->stats.waits--;
    timerq_cancel(&t->deadlines, &w->timer);
    w->head = NULL;
    w->x = NULL;
    if (!granted)
        lock_want_eval(t, &h->span);
    lock_head_drop_if_idle(t, h);
}

void lock_wait_drop(struct lock_table *t, struct lock_wait *w) {
    wait_unlink(t, w, false);
    wait_free(t, w);
}

void lock_hold_free(struct lock_table *t, struct lock_hold *hold) {
    struct lock_head *h = hold->head;
    ilist_del(&hold->in_head);
    ilist_del(&hold->in_txn);
    h->hold_count--;
    hold->x->locks--;
    hold->x->bytes -= sizeof *hold + h->span.end.n;
    t->stats.locks--;
    t->stats.bytes -= sizeof *hold;
    if (t->spares < LOCK_SPARE_MAX)
        t->spare[t->spares++] = hold;
    else
        free(hold);
    lock_head_drop_if_idle(t, h);
}

struct lock_hold *lock_hold_new(struct lock_table *t, struct lock_txn *x, struct lock_head *h, enum lock_mode mode,
                                int64_t now_ns) {
    struct lock_hold *hold = t->spares ? t->spare[--t->spares] : malloc(sizeof *hold);
    if (!hold)
        return NULL;
    *hold = (struct lock_hold){.head = h, .x = x, .mode = mode, .since_ns = now_ns};
    ilist_init(&hold->in_head);
    ilist_init(&hold->in_txn);
    ilist_push_back(&h->holds, &hold->in_head);
    ilist_push_back(h->point ? &x->holds : &x->wide, &hold->in_txn);
    h->hold_count++;
    x->locks++;
    x->bytes += sizeof *hold + h->span.end.n;
    t->stats.locks++;
    t->stats.bytes += sizeof *hold;
    return hold;
}

struct lock_txn *lock_txn_new(struct lock_table *t, const struct txn_ref *ref, int64_t now_ns) {
    struct lock_txn *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->ref = *ref;
    x->alive_ns = x->active_ns = now_ns;
    ilist_init(&x->all);
    ilist_init(&x->alive);
    ilist_init(&x->marked);
    ilist_init(&x->holds);
    ilist_init(&x->wide);
    ilist_init(&x->waits);
    ilist_init(&x->out.link);
    map_put(&t->txns, &x->by_id, txn_id_hash(&ref->id));
    ilist_push_back(&t->all, &x->all);
    ilist_push_back(&t->alive, &x->alive);
    t->stats.txns++;
    t->stats.bytes += sizeof *x;
    return x;
}

void lock_txn_free(struct lock_table *t, struct lock_txn *x) {
    CHECK(x->locks == 0 && x->wait_count == 0);
    map_del(&t->txns, &x->by_id);
    ilist_del(&x->all);
    ilist_del(&x->alive);
    ilist_del(&x->marked);
    ilist_del(&x->out.link);
    t->stats.txns--;
    t->stats.bytes -= sizeof *x;
    free(x);
}

static void txn_clear(struct lock_table *t, struct lock_txn *x) {
    ilist_for_each(it, &x->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_txn);
        lock_wait_drop(t, w);
    }
    for (struct ilist *list = &x->holds; list; list = list == &x->holds ? &x->wide : NULL)
        ilist_for_each(it, list) {
            struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_txn);
            lock_want_eval(t, &hold->head->span);
            lock_hold_free(t, hold);
        }
}

void lock_table_free(struct lock_table *t) {
    if (!t)
        return;
    for (struct lock_txn *x; (x = ilist_first(&t->all, struct lock_txn, all));) {
        txn_clear(t, x);
        lock_txn_free(t, x);
    }
    for (struct ilist *l; (l = ilist_pop_front(&t->out));) {
        struct lock_out *out = ilist_entry(l, struct lock_out, link);
        CHECK(out->is_wait);
        wait_free(t, container_of(out, struct lock_wait, out));
    }
    while (t->spares)
        free(t->spare[--t->spares]);
    CHECK(t->points.count == 0 && !t->point_tree && !t->span_tree);
    CHECK(t->stats.bytes == 0 && t->stats.locks == 0 && t->stats.waits == 0);
    map_done(&t->points);
    map_done(&t->txns);
    free(t);
}

struct lock_txn *lock_txn_find(struct lock_table *t, const struct txn_id *id) {
    for (struct map_node *n = map_first(&t->txns, txn_id_hash(id)); n; n = map_next(n)) {
        struct lock_txn *x = container_of(n, struct lock_txn, by_id);
        if (txn_id_eq(&x->ref.id, id))
            return x;
    }
    return NULL;
}

enum rc lock_txn_open(struct lock_table *t, const struct txn_ref *ref, int64_t now_ns, struct lock_txn **ret,
                      struct err *err) {
    struct lock_txn *x = lock_txn_find(t, &ref->id);
    if (x && txn_age_cmp(&x->ref.age, &ref->age) != 0)
        return err_set(err, RC_INVAL, "one attempt of a transaction with two ages");
    if (!x && t->stats.txns >= t->init.limits.txns)
        return err_set(err, RC_OVERLOAD, "%u transactions hold locks in this tablet", t->init.limits.txns);
    if (!x)
        x = lock_txn_new(t, ref, now_ns);
    if (!x)
        return err_set(err, RC_NOMEM, "out of memory");
    lock_txn_alive(t, x, now_ns);
    *ret = x;
    return RC_OK;
}

void lock_txn_alive(struct lock_table *t, struct lock_txn *x, int64_t now_ns) {
    x->alive_ns = now_ns;
    if (x->state != LOCK_ACTIVE)
        return;
    ilist_del(&x->alive);
    ilist_push_back(&t->alive, &x->alive);
}

void lock_txn_busy(struct lock_table *t, struct lock_txn *x, bool begins, int64_t now_ns) {
    CHECK(begins || x->busy > 0);
    x->busy += begins ? 1u : -1u;
    x->active_ns = now_ns;
    lock_txn_alive(t, x, now_ns);
}

/* ---- who is in the way ------------------------------------------------------------------------------------------- */

struct search {
    struct lock_table *t;
    struct lock_txn *x;
    enum lock_mode mode;
    int64_t now_ns;
    struct lock_why *why; /* of the first in the way */
};

static void why_fill(struct lock_why *why, enum lock_rule rule, const struct txn_ref *by, enum lock_mode mode,
                     int64_t held_ns, struct txn_key key) {
    *why = (struct lock_why){.rule = rule, .mode = mode, .by = by->id, .by_age = by->age, .held_ns = held_ns};
    why->key_bytes = (uint32_t)key.n;
    if (key.n)
        memcpy(why->key, key.p, key.n < LOCK_WHY_KEY_BYTES ? key.n : LOCK_WHY_KEY_BYTES);
}

struct lock_hold *lock_hold_find(struct lock_head *h, struct lock_txn *x) {
    struct ilist *own = h->point ? &x->holds : &x->wide;
    if (h->hold_count <= x->locks) {
        ilist_for_each(it, &h->holds) {
            struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
            if (hold->x == x)
                return hold;
        }
    } else {
        ilist_for_each(it, own) {
            struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_txn);
            if (hold->head == h)
                return hold;
        }
    }
    return NULL;
}

static bool head_held_against(void *ctx, struct lock_head *h) {
    const struct search *s = ctx;
    struct lock_hold *hold = lock_hold_find(h, s->x);
    return !hold || !lock_conflicts(hold->mode, s->mode);
}

/* Whether w waits for x. */
static bool waits_for(struct lock_table *t, const struct lock_wait *w, struct lock_txn *x) {
    struct search s = {.t = t, .x = x, .mode = w->mode};
    return x->locks && !lock_heads_overlapping(t, &w->head->span, head_held_against, &s);
}

static bool head_in_the_way(void *ctx, struct lock_head *h) {
    const struct search *s = ctx;
    ilist_for_each(it, &h->holds) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
        if (hold->x == s->x || !lock_conflicts(hold->mode, s->mode))
            continue;
        bool older = txn_age_cmp(&hold->x->ref.age, &s->x->ref.age) < 0;
        why_fill(s->why, older ? LOCK_RULE_OLDER : LOCK_RULE_YOUNGER, &hold->x->ref, hold->mode,
                 s->now_ns - hold->since_ns, h->span.start);
        return false;
    }
    ilist_for_each(it, &h->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        if (txn_age_cmp(&w->x->ref.age, &s->x->ref.age) >= 0)
            break; /* L5: by age */
        if (!lock_conflicts(w->mode, s->mode))
            continue;
        if (waits_for(s->t, w, s->x)) {
            chaos_probe(s->t->init.chaos, "lock: a holder passed the waiter that waits for it");
            continue;
        }
        why_fill(s->why, LOCK_RULE_QUEUE, &w->x->ref, w->mode, -1, h->span.start);
        return false;
    }
    return true;
}

static bool is_blocked(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, enum lock_mode mode,
                       int64_t now_ns, struct lock_why *ret_why) {
    struct search s = {t, x, mode, now_ns, ret_why};
    return !lock_heads_overlapping(t, span, head_in_the_way, &s);
}

/* ---- wounds ------------------------------------------------------------------------------------------------------ */

void lock_tell(struct lock_table *t, struct lock_txn *x, uint32_t bit) {
    x->out_bits |= bit;
    if (!ilist_linked(&x->out.link))
        ilist_push_back(&t->out, &x->out.link);
}

static void mark(struct lock_table *t, struct lock_txn *x, const struct lock_why *why, int64_t now_ns) {
    if (x->state == LOCK_DOOMED || ilist_linked(&x->marked))
        return;
    x->marked_ns = now_ns;
    x->why = *why;
    ilist_push_back(&t->marked, &x->marked);
    if (x->state == LOCK_PREPARED) /* K-2; lock_tick forwards it: K-3 */
        return;
    x->is_marked = true;
    t->stats.wounded++;
    lock_tell(t, x, LOCK_OUT_WOUNDED);
}

static void doom(struct lock_table *t, struct lock_txn *x, const struct lock_why *why, int64_t now_ns) {
    if (x->state != LOCK_ACTIVE)
        return;
    x->why = *why;
    ilist_for_each(it, &x->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_txn);
        struct lock_why whole = *why;
        whole.waited_ns = now_ns - w->since_ns;
        lock_wait_decide(t, w, RC_ABORTED, &whole, now_ns);
    }
    state_move(x, LOCK_DOOMED);
    ilist_del(&x->alive);
    ilist_del(&x->marked);
    t->stats.doomed++;
    lock_tell(t, x, LOCK_OUT_DOOMED);
}

static bool head_wound_younger(void *ctx, struct lock_head *h) {
    const struct search *s = ctx;
    ilist_for_each(it, &h->holds) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_head);
        struct lock_why why;
        if (hold->x == s->x || !lock_conflicts(hold->mode, s->mode) ||
            txn_age_cmp(&hold->x->ref.age, &s->x->ref.age) < 0)
            continue;
        why_fill(&why, LOCK_RULE_WOUNDED, &s->x->ref, s->mode, -1, h->span.start);
        mark(s->t, hold->x, &why, s->now_ns);
    }
    return true;
}

/* Everybody younger that holds what x wants is marked, and aborted if it waits itself. */
static void wound_younger(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, enum lock_mode mode,
                          int64_t now_ns) {
    struct search s = {t, x, mode, now_ns, NULL};
    if (chaos_mutant(t->init.chaos, "K-1"))
        return;
    lock_heads_overlapping(t, span, head_wound_younger, &s);
    ilist_for_each(it, &t->marked) {
        struct lock_txn *victim = ilist_entry(it, struct lock_txn, marked);
        if (victim->wait_count && victim != x)
            doom(t, victim, &victim->why, now_ns);
    }
}

void lock_mark(struct lock_table *t, struct lock_txn *x, const struct lock_why *why, int64_t now_ns) {
    if (x->state != LOCK_ACTIVE || x->is_marked)
        return; /* a prepared one is its coordinator's affair, which its gateway asks itself */
    mark(t, x, why, now_ns);
    x->out_bits &= ~(uint32_t)LOCK_OUT_WOUNDED; /* who says so knows */
    if (x->wait_count)
        doom(t, x, &x->why, now_ns);
    lock_eval(t, now_ns);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool span_ok(const struct txn_span *s) {
    return s->start.n <= TXN_KEY_BYTES_MAX && s->end.n <= TXN_KEY_BYTES_MAX + 1 && txn_key_before_end(s->start, s->end);
}

/* The mode in which one of the spans of x covers span; at most `look` of them are tried, newest first. */
static enum lock_mode covered(struct lock_txn *x, const struct txn_span *span, uint32_t look) {
    enum lock_mode best = LOCK_NONE;
    for (struct ilist *it = x->wide.prev; it != &x->wide && look--; it = it->prev) {
        struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_txn);
        if (hold->mode > best && txn_span_covers(&hold->head->span, span))
            best = hold->mode;
    }
    return best;
}

enum lock_mode lock_held(struct lock_table *t, struct lock_txn *x, const struct txn_span *span) {
    struct lock_head *h = lock_head_find(t, span);
    struct lock_hold *own = h ? lock_hold_find(h, x) : NULL;
    enum lock_mode wide = covered(x, span, UINT32_MAX);
    return own && own->mode > wide ? own->mode : wide;
}

/* A new lock on a span makes those of x below it needless: nobody who conflicts with them does not conflict with it. */
static void drop_covered(struct lock_table *t, struct lock_hold *wide) {
    struct lock_txn *x = wide->x;
    for (struct ilist *list = &x->holds; list; list = list == &x->holds ? &x->wide : NULL)
        ilist_for_each(it, list) {
            struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_txn);
            if (hold != wide && hold->mode <= wide->mode && txn_span_covers(&wide->head->span, &hold->head->span))
                lock_hold_free(t, hold);
        }
}

/* h is in the table. False: no memory. */
static bool grant(struct lock_table *t, struct lock_txn *x, struct lock_head *h, enum lock_mode mode, int64_t now_ns) {
    struct lock_hold *own = lock_hold_find(h, x);
    if (!own)
        own = lock_hold_new(t, x, h, mode, now_ns);
    if (!own)
        return false;
    if (own->mode < mode)
        own->mode = mode;
    if (!h->point)
        drop_covered(t, own);
    t->stats.granted++;
    /* who waits for x now stands in the way of its other requests no more */
    ilist_for_each(it, &x->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_txn);
        if (!ilist_linked(&w->eval))
            ilist_push_back(&t->eval, &w->eval);
    }
    return true;
}

struct lock_wait *lock_wait_new(struct lock_table *t, struct lock_txn *x, struct lock_head *h, enum lock_mode mode,
                                uint64_t request, int64_t now_ns, int64_t deadline_ns) {
    struct lock_wait *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct lock_wait){.head = h, .x = x, .id = x->ref.id, .mode = mode, .request = request, .since_ns = now_ns};
    w->deadline_ns = deadline_ns;
    w->out.is_wait = true;
    ilist_init(&w->in_head);
    ilist_init(&w->in_txn);
    ilist_init(&w->out.link);
    ilist_init(&w->eval);
    timer_init(&w->timer, NULL, w);
    timerq_set(&t->deadlines, &w->timer, deadline_ns);
    struct ilist *at = h->waits.prev; /* by age; mostly the youngest comes last */
    while (at != &h->waits && txn_age_cmp(&ilist_entry(at, struct lock_wait, in_head)->x->ref.age, &x->ref.age) > 0)
        at = at->prev;
    ilist_insert_(at, &w->in_head);
    ilist_push_back(&x->waits, &w->in_txn);
    x->wait_count++;
    t->stats.waits++;
    t->stats.waited++;
    t->stats.bytes += sizeof *w;
    return w;
}

void lock_wait_decide(struct lock_table *t, struct lock_wait *w, enum rc rc, const struct lock_why *why,
                      int64_t now_ns) {
    CHECK(!w->decided); /* L3 */
    w->decided = true;
    w->rc = rc;
    w->waited_ns = now_ns - w->since_ns;
    if (why)
        w->why = *why;
    w->x->active_ns = now_ns;
    wait_unlink(t, w, rc == RC_OK);
    ilist_push_back(&t->out, &w->out.link);
}

static enum rc check_limits(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, bool escalates,
                            struct err *err) {
    const struct lock_limits *l = &t->init.limits;
    if (!escalates && (x->locks >= l->txn_locks || x->bytes + span->end.n >= l->txn_bytes)) {
        err_set(err, RC_LIMIT, "the transaction holds too many locks in one tablet");
        err_detail(err, "%u locks, %zu bytes; limits %u and %zu", x->locks, x->bytes, l->txn_locks, l->txn_bytes);
        return RC_LIMIT;
    }
    if (t->stats.locks >= l->locks || t->stats.bytes >= l->bytes) {
        err_set(err, RC_OVERLOAD, "the lock table of the tablet is full");
        err_detail(err, "%llu locks, %llu bytes", (unsigned long long)t->stats.locks,
                   (unsigned long long)t->stats.bytes);
        return RC_OVERLOAD;
    }
    return RC_OK;
}

/* h may be new and outside of the table; it is freed or put in. */
static enum rc queue_up(struct lock_table *t, struct lock_txn *x, struct lock_head *h, bool h_is_new,
                        enum lock_mode mode, uint64_t request, int64_t now_ns, int64_t deadline_ns, bool no_wait,
                        struct err *err) {
    struct lock_wait *w = NULL;
    if (t->stats.waits < t->init.limits.waits)
        w = lock_wait_new(t, x, h, mode, request, now_ns, deadline_ns);
    if (!w) {
        if (h_is_new)
            lock_head_free(t, h);
        return t->stats.waits < t->init.limits.waits
                   ? err_set(err, RC_NOMEM, "out of memory")
                   : err_set(err, RC_OVERLOAD, "%u requests wait for locks in this tablet", t->init.limits.waits);
    }
    if (h_is_new)
        lock_head_put(t, h);
    if (!no_wait) /* its deadline ends every cycle */
        wound_younger(t, x, &h->span, mode, now_ns);
    lock_eval(t, now_ns); /* who was aborted may have stood in somebody's way, even in ours */
    return RC_OK;
}

static enum rc request_lock(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, enum lock_mode mode,
                            bool escalates, uint64_t request, int64_t now_ns, int64_t deadline_ns, bool *ret_waits,
                            struct err *err) {
    struct lock_head *h;
    struct lock_hold *own;
    struct lock_why why;
    x->active_ns = now_ns;
    lock_txn_alive(t, x, now_ns);
    if (x->state == LOCK_PREPARED)
        return err_set(err, RC_INVAL, "a prepared transaction asks for another lock");
    if (x->state == LOCK_DOOMED)
        return lock_why_err(RC_ABORTED, &x->why, err);
    if (!ilist_empty(&x->wide) && covered(x, span, WIDE_LOOK) >= mode) {
        *ret_waits = false;
        return RC_OK;
    }
    h = lock_head_find(t, span);
    own = h && !ilist_empty(&h->holds) ? lock_hold_find(h, x) : NULL;
    if (own && own->mode >= mode) {
        *ret_waits = false;
        return RC_OK;
    }
    if (!own) {
        enum rc rc = check_limits(t, x, span, escalates, err);
        if (rc)
            return rc;
    }
    bool is_new = !h;
    bool blocked = (h || t->span_tree || !txn_span_is_point(span)) && is_blocked(t, x, span, mode, now_ns, &why);
    bool no_wait = deadline_ns == LOCK_NO_WAIT;
    if (blocked && no_wait) {
        const struct lock_txn *by = lock_txn_find(t, &why.by);
        if (!by || by->state != LOCK_PREPARED)
            return lock_why_err(RC_TIMEOUT, &why, err);
        deadline_ns = now_ns + t->init.limits.prepared_ns;
    }
    if (blocked && x->is_marked) {
        doom(t, x, &x->why, now_ns);
        lock_eval(t, now_ns);
        return lock_why_err(RC_ABORTED, &x->why, err);
    }
    if (is_new)
        h = lock_head_new(t, span);
    if (!h)
        return err_set(err, RC_NOMEM, "out of memory");
    if (blocked) {
        enum rc rc = queue_up(t, x, h, is_new, mode, request, now_ns, deadline_ns, no_wait, err);
        *ret_waits = rc == RC_OK;
        return rc;
    }
    if (is_new)
        lock_head_put(t, h);
    if (!grant(t, x, h, mode, now_ns)) {
        lock_head_drop_if_idle(t, h);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    lock_eval(t, now_ns);
    *ret_waits = false;
    return RC_OK;
}

enum rc lock_acquire(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, enum lock_mode mode,
                     uint64_t request, int64_t now_ns, int64_t deadline_ns, bool *ret_waits, struct err *err) {
    if (mode <= LOCK_NONE || mode >= LOCK_MODES || !span_ok(span))
        return err_set(err, RC_INVAL, "not a span of keys to lock");
    return request_lock(t, x, span, mode, false, request, now_ns, deadline_ns, ret_waits, err);
}

enum rc lock_escalate(struct lock_table *t, struct lock_txn *x, const struct txn_span *span, uint64_t request,
                      int64_t now_ns, int64_t deadline_ns, bool *ret_waits, struct err *err) {
    enum lock_mode mode = LOCK_SHARED;
    if (!span_ok(span) || txn_span_is_point(span))
        return err_set(err, RC_INVAL, "not a span of keys to lock");
    for (struct ilist *list = &x->holds; list; list = list == &x->holds ? &x->wide : NULL)
        ilist_for_each(it, list) {
            struct lock_hold *hold = ilist_entry(it, struct lock_hold, in_txn);
            if (hold->mode > mode && txn_span_overlap(&hold->head->span, span))
                mode = hold->mode;
        }
    t->stats.escalated++;
    return request_lock(t, x, span, mode, true, request, now_ns, deadline_ns, ret_waits, err);
}

static struct lock_wait *wait_find(struct lock_txn *x, uint64_t request) {
    ilist_for_each(it, &x->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_txn);
        if (w->request == request)
            return w;
    }
    return NULL;
}

bool lock_cancel(struct lock_table *t, struct lock_txn *x, uint64_t request, int64_t now_ns) {
    struct lock_wait *w = wait_find(x, request);
    if (!w)
        return false;
    lock_wait_drop(t, w);
    lock_eval(t, now_ns);
    return true;
}

static bool head_want_eval(void *ctx, struct lock_head *h) {
    struct lock_table *t = ctx;
    ilist_for_each(it, &h->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        if (!ilist_linked(&w->eval))
            ilist_push_back(&t->eval, &w->eval);
    }
    return true;
}

void lock_want_eval(struct lock_table *t, const struct txn_span *span) {
    if (t->stats.waits)
        lock_heads_overlapping(t, span, head_want_eval, t);
}

/* Among many waiters for one key, those behind the first that gets it exclusively need no look. */
static void skip_behind(struct lock_head *h, const struct lock_txn *x) {
    ilist_for_each(it, &h->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        if (w->x != x)
            ilist_del(&w->eval);
    }
}

void lock_eval(struct lock_table *t, int64_t now_ns) {
    struct ilist *l;
    while ((l = ilist_pop_front(&t->eval))) {
        struct lock_wait *w = ilist_entry(l, struct lock_wait, eval);
        struct lock_head *h = w->head;
        struct lock_why why;
        if (is_blocked(t, w->x, &h->span, w->mode, now_ns, &why))
            continue;
        if (!grant(t, w->x, h, w->mode, now_ns)) {
            lock_wait_decide(t, w, RC_NOMEM, &why, now_ns);
            continue;
        }
        struct lock_txn *x = w->mode == LOCK_EXCLUSIVE ? w->x : NULL;
        ilist_del(&w->eval);
        lock_wait_decide(t, w, RC_OK, NULL, now_ns);
        if (x && h->hold_count == 1)
            skip_behind(h, x);
    }
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

enum rc lock_prepare(struct lock_table *t, struct lock_txn *x, int64_t now_ns, struct err *err) {
    if (x->state == LOCK_DOOMED)
        return lock_why_err(RC_ABORTED, &x->why, err);
    if (x->wait_count)
        return err_set(err, RC_BUSY, "a request of the transaction still waits for a lock");
    if (x->state == LOCK_PREPARED)
        return RC_OK;
    state_move(x, LOCK_PREPARED);
    ilist_del(&x->alive); /* T-15: keep-alives do not matter any more */
    x->marked_ns = now_ns;
    if (x->is_marked)
        chaos_probe(t->init.chaos, "lock: a marked transaction came to prepare");
    return RC_OK;
}

bool lock_each(struct lock_txn *x, const void **cursor, struct lock_grant *ret) {
    const struct ilist *at = *cursor ? *cursor : &x->holds;
    at = at->next;
    if (at == &x->holds)
        at = x->wide.next;
    if (at == &x->wide)
        return false;
    const struct lock_hold *hold = container_of(at, struct lock_hold, in_txn);
    *cursor = at;
    *ret = (struct lock_grant){hold->head->span, hold->mode};
    return true;
}

bool lock_waits_each(struct lock_txn *x, const void **cursor, struct lock_grant *ret) {
    const struct ilist *at = (*cursor ? (const struct ilist *)*cursor : &x->waits)->next;
    if (at == &x->waits)
        return false;
    const struct lock_wait *wait = container_of(at, struct lock_wait, in_txn);
    *cursor = at;
    *ret = (struct lock_grant){wait->head->span, wait->mode};
    return true;
}

enum rc lock_restore(struct lock_table *t, const struct txn_ref *ref, const struct lock_grant *grants, size_t count,
                     int64_t now_ns, struct err *err) {
    struct lock_txn *x = lock_txn_find(t, &ref->id);
    if (x)
        return err_set(err, RC_CORRUPT, "a transaction is prepared twice");
    x = lock_txn_new(t, ref, now_ns);
    if (!x)
        return err_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct lock_grant *g = &grants[i];
        struct lock_why why;
        enum rc rc = RC_OK;
        if (g->mode <= LOCK_NONE || g->mode >= LOCK_MODES || !span_ok(&g->span))
            rc = err_set(err, RC_INVAL, "a prepare record with a lock that is none");
        else if (is_blocked(t, x, &g->span, g->mode, now_ns, &why))
            rc = err_set(err, RC_CORRUPT, "two prepared transactions hold conflicting locks");
        struct lock_head *h = rc ? NULL : lock_head_find(t, &g->span);
        if (!rc && !h && (h = lock_head_new(t, &g->span)))
            lock_head_put(t, h);
        if (!rc && (!h || !grant(t, x, h, g->mode, now_ns))) {
            if (h)
                lock_head_drop_if_idle(t, h);
            rc = err_set(err, RC_NOMEM, "out of memory");
        }
        if (rc) {
            lock_release(t, x, now_ns);
            return rc;
        }
    }
    state_move(x, LOCK_PREPARED);
    ilist_del(&x->alive);
    return RC_OK;
}

void lock_release(struct lock_table *t, struct lock_txn *x, int64_t now_ns) {
    txn_clear(t, x);
    lock_txn_free(t, x);
    lock_eval(t, now_ns);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

struct older {
    struct lock_table *t;
    struct lock_txn *x;
    enum lock_mode mode;
    bool found;
};

static bool head_has_older_waiter(void *ctx, struct lock_head *h) {
    struct older *o = ctx;
    ilist_for_each(it, &h->waits) {
        struct lock_wait *w = ilist_entry(it, struct lock_wait, in_head);
        if (txn_age_cmp(&w->x->ref.age, &o->x->ref.age) >= 0)
            break; /* L5: by age */
        o->found = o->found || lock_conflicts(w->mode, o->mode);
    }
    return !o->found;
}

static bool older_waits_for(struct lock_table *t, struct lock_txn *x) {
    struct older o = {t, x, LOCK_NONE, false};
    const void *cursor = NULL;
    struct lock_grant g;
    while (t->stats.waits && !o.found && lock_each(x, &cursor, &g)) {
        o.mode = g.mode;
        lock_heads_overlapping(t, &g.span, head_has_older_waiter, &o);
    }
    return o.found;
}

void lock_tick(struct lock_table *t, int64_t now_ns) {
    const struct lock_limits *l = &t->init.limits;
    struct timer *due;
    while ((due = timerq_pop(&t->deadlines, now_ns))) {
        struct lock_wait *w = due->ctx;
        struct lock_why why = {.rule = LOCK_RULE_NONE, .held_ns = -1};
        IGNORE(is_blocked(t, w->x, &w->head->span, w->mode, now_ns, &why)); /* it is: for the explanation */
        why.rule = LOCK_RULE_TIMEOUT;
        why.waited_ns = now_ns - w->since_ns;
        t->stats.timed_out++;
        lock_wait_decide(t, w, RC_TIMEOUT, &why, now_ns);
    }
    for (struct lock_txn *x;
         (x = ilist_first(&t->alive, struct lock_txn, alive)) && now_ns - x->alive_ns >= l->silent_ns;) {
        struct lock_why why = {.rule = LOCK_RULE_SILENT, .held_ns = -1, .waited_ns = now_ns - x->alive_ns};
        t->stats.expired++;
        doom(t, x, &why, now_ns);
    }
    ilist_for_each(it, &t->marked) {
        struct lock_txn *x = ilist_entry(it, struct lock_txn, marked);
        int64_t idle_since = x->active_ns > x->marked_ns ? x->active_ns : x->marked_ns;
        if (x->state == LOCK_ACTIVE && !x->busy && now_ns - idle_since >= l->idle_ns) {
            x->why.rule = LOCK_RULE_IDLE;
            doom(t, x, &x->why, now_ns);
        } else if (x->state == LOCK_PREPARED && now_ns - x->marked_ns >= l->forward_ns) {
            x->marked_ns = now_ns;
            if (older_waits_for(t, x)) {
                t->stats.forwarded++;
                lock_tell(t, x, LOCK_OUT_FORWARD);
            } else {
                ilist_del(&x->marked); /* until the next one waits */
            }
        }
    }
    lock_eval(t, now_ns);
}

int64_t lock_wake_ns(const struct lock_table *t) {
    int64_t wake = timerq_due(&t->deadlines);
    if (!ilist_empty(&t->alive)) {
        int64_t at = ilist_entry(t->alive.next, struct lock_txn, alive)->alive_ns + t->init.limits.silent_ns;
        wake = at < wake ? at : wake;
    }
    for (const struct ilist *it = t->marked.next; it != &t->marked; it = it->next) {
        const struct lock_txn *x = container_of(it, struct lock_txn, marked);
        int64_t since = x->state == LOCK_ACTIVE && x->active_ns > x->marked_ns ? x->active_ns : x->marked_ns;
        int64_t at = since + (x->state == LOCK_ACTIVE ? t->init.limits.idle_ns : t->init.limits.forward_ns);
        if ((x->state != LOCK_ACTIVE || !x->busy) && at < wake)
            wake = at;
    }
    return wake;
}

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

static void event_of_wait(struct lock_table *t, struct lock_wait *w, struct lock_event *ret) {
    *ret = (struct lock_event){
        .type = w->rc ? LOCK_EV_REFUSED : LOCK_EV_GRANTED,
        .txn = w->id,
        .request = w->request,
        .rc = w->rc,
        .waited_ns = w->waited_ns,
        .why = w->why,
    };
    wait_free(t, w);
}

bool lock_next(struct lock_table *t, struct lock_event *ret) {
    struct lock_out *out = ilist_first(&t->out, struct lock_out, link);
    while (out && !out->is_wait && !container_of(out, struct lock_txn, out)->out_bits) {
        ilist_del(&out->link); /* taken back */
        out = ilist_first(&t->out, struct lock_out, link);
    }
    if (!out)
        return false;
    if (out->is_wait) {
        ilist_del(&out->link);
        event_of_wait(t, container_of(out, struct lock_wait, out), ret);
        return true;
    }
    struct lock_txn *x = container_of(out, struct lock_txn, out);
    uint32_t bit = x->out_bits & -x->out_bits;
    *ret = (struct lock_event){.type = bit == LOCK_OUT_WOUNDED   ? LOCK_EV_WOUNDED
                                       : bit == LOCK_OUT_FORWARD ? LOCK_EV_FORWARD
                                                                 : LOCK_EV_DOOMED,
                               .txn = x->ref.id,
                               .why = x->why};
    x->out_bits &= ~bit;
    if (!x->out_bits)
        ilist_del(&out->link);
    return true;
}

bool lock_explain(struct lock_table *t, struct lock_txn *x, uint64_t request, int64_t now_ns, struct lock_why *ret) {
    struct lock_wait *w = wait_find(x, request);
    if (!w || !is_blocked(t, x, &w->head->span, w->mode, now_ns, ret))
        return false;
    ret->waited_ns = now_ns - w->since_ns;
    return true;
}

enum rc lock_why_err(enum rc rc, const struct lock_why *why, struct err *err) {
    char key[2 * LOCK_WHY_KEY_BYTES + 8], by[TXN_NAME_BYTES], detail[ERR_DETAIL_BYTES] = "";
    size_t kept = why->key_bytes < LOCK_WHY_KEY_BYTES ? why->key_bytes : LOCK_WHY_KEY_BYTES;
    int at = 0;
    if (rc == RC_ABORTED)
        err_set(err, rc, "the transaction was aborted: %s", lock_rule_text(why->rule));
    else
        err_set(err, rc, "%s", lock_rule_text(why->rule));
    if (why->by.gateway || why->by.counter) {
        at = snprintf(detail, sizeof detail, "row key %s%s: transaction %s %s it %s",
                      txn_key_name((struct txn_key){why->key, kept}, key, sizeof key),
                      kept < why->key_bytes ? "..." : "", txn_id_name(&why->by, by),
                      why->held_ns >= 0 ? "has held" : "wants", lock_mode_name(why->mode));
        if (why->held_ns >= 0)
            at += snprintf(detail + at, sizeof detail - (size_t)at, " for %.3f s", (double)why->held_ns / 1e9);
    }
    if (why->waited_ns)
        snprintf(detail + at, sizeof detail - (size_t)at, "%swaited %.3f s", at ? "; " : "",
                 (double)why->waited_ns / 1e9);
    err_detail(err, "%s", detail);
    if (rc == RC_ABORTED)
        err_hint(err, "Retry the transaction; it keeps its age, so it wins in the end.");
    return rc;
}

/* ---- looking in -------------------------------------------------------------------------------------------------- */

void lock_txn_info(const struct lock_txn *x, struct lock_txn_info *ret) {
    *ret = (struct lock_txn_info){x->ref, x->state, x->is_marked, x->locks, x->wait_count, x->bytes};
}

void lock_stats(const struct lock_table *t, struct lock_stats *ret) {
    *ret = t->stats;
}

struct lock_txn *lock_txn_each(struct lock_table *t, struct lock_txn *after) {
    struct ilist *next = after ? after->all.next : t->all.next;
    return next == &t->all ? NULL : ilist_entry(next, struct lock_txn, all);
}
