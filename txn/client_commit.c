/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_commit.c: the end of a transaction.
 *
 * One tablet: what is still pending and COMMIT go in one request. Several: those that have not been asked anything yet get their
 * writes first, since Commit must name the term of each; then COMMIT goes to the owner of the anchor, PREPARE to all others, each
 * with what is pending there, all at once. The answer is DONE. COMMIT is repeated until it comes: the attempt has one outcome
 * whoever answers (T-6, T-10).
 */
#include <stdlib.h>

#include "txn/client_internal.h"

static const int64_t REPEAT_NS = 50000000, REPEAT_NS_MAX = 1000000000, OUTCOME_NS = 60000000000, TOKEN_NS = 15000000000;

/* ---- who takes part -------------------------------------------------------------------------------------------------------- */

static size_t drop_idle_visits(struct txn *t) {
    size_t n = 0;
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        if (v->requests || visit_has_pending(t, v))
            n++;
        else
            visit_free(v);
    }
    return n;
}

/* Tablets that nothing was asked of get their writes: until then they have no term. */
static enum rc meet_all(struct txn *t, struct err *err) {
    bool stranger = false;
    ilist_for_each(it, &t->visits)
        stranger |= !ilist_entry(it, struct visit, link)->requests;
    return stranger ? txn_flush(t, err) : RC_OK;
}

static int nearness(struct txn_client *c, const struct visit *v) {
    struct store_addr at = px_store_addr(v->store);
    if (v->store == client_self(c))
        return 0;
    return at.node == node_number(c->store->node) ? 1 : 2;
}

/* The coordinator: a writer that is near (N-7 names it by a key). */
static struct visit *choose_anchor(struct txn *t) {
    struct visit *best = NULL;
    int best_cost = 0;
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        bool writes = v->writes || visit_has_pending(t, v);
        int cost = nearness(t->c, v) * 2 + !writes;
        if (!best || cost < best_cost) {
            best = v;
            best_cost = cost;
        }
    }
    return best;
}

static void begin_commit(struct txn *t) {
    t->committing = true;
    t->commit_sent_ns = env_now_ns(t->c->env);
}

/* ---- waiting for the outcome ------------------------------------------------------------------------------------------------ */

static enum rc outcome(struct txn *t, const struct txn_msg *commit, struct err *err) {
    struct txn_client *c = t->c;
    int64_t pause = REPEAT_NS, end = reactor_deadline(c->reactor, OUTCOME_NS);
    end = end < t->opt.deadline ? end : t->opt.deadline;
    while (!t->answered) {
        int64_t now = env_now_ns(c->env), until = now + pause < end ? now + pause : end;
        enum rc rc = now >= end ? RC_TIMEOUT : waitq_wait(c->reactor, &t->news, until);
        if (t->answered)
            break;
        if (rc && (rc != RC_TIMEOUT || env_now_ns(c->env) >= end)) {
            char name[TXN_NAME_BYTES];
            counter_inc(&c->stats.unknown);
            t->phase = TXN_DONE; /* what became of it is known to its token */
            err_set(err, rc, "the commit was not answered in time");
            err_detail(err, "Transaction %s may have been committed or not.", txn_id_name(&t->ref.id, name));
            err_hint(err, "Ask for its outcome by its commit token before you repeat it.");
            return rc;
        }
        if (rc != RC_TIMEOUT)
            continue;
        hosts_send_msg(c->hosts, commit->anchor, 0, commit); /* it may have been lost */
        pause = 2 * pause < REPEAT_NS_MAX ? 2 * pause : REPEAT_NS_MAX;
    }
    struct visit *at = visit_find(t, key_of(commit->anchor.p, commit->anchor.n));
    times_of_commit(t, t->commit_sent_ns, env_now_ns(c->env), at ? at->store : client_self(c), at ? at->tablet : 0,
                    commit->n_parts > 1);
    if (t->verdict == TXN_COMMITTED) {
        t->phase = TXN_DONE;
        return RC_OK;
    }
    struct err why = {0};
    txn_why_err(&t->abort_why, &why);
    t->commit_ts = 0;
    *err = why;
    return txn_fail(t, RC_ABORTED, err);
}

/* ---- one tablet --------------------------------------------------------------------------------------------------------------- */

static struct txn_msg commit_msg(const struct txn *t, const struct visit *anchor) {
    return (struct txn_msg){.type = TXN_MSG_COMMIT,
                            .ref = t->ref,
                            .anchor = {anchor->key, anchor->key_bytes},
                            .span = visit_span(anchor),
                            .token = t->opt.token};
}

static struct txn_part part_of(const struct txn *t, const struct visit *v, bool one_more) {
    return (struct txn_part){.span = visit_span(v),
                             .generation = v->generation,
                             .term = v->term,
                             .requests = v->requests + one_more,
                             .writes = v->writes || visit_has_pending(t, v)};
}

static bool has_something(const struct txn *t, const struct visit *v) {
    return v->undo || visit_has_pending(t, v);
}

static enum rc copy_key(struct arena *a, struct txn_key *k) {
    k->p = arena_copy(a, k->p, k->n);
    return k->p ? RC_OK : RC_NOMEM;
}

/* The message outlives the visit: a split may cut that. */
static enum rc keep_msg(struct arena *a, struct txn_msg *m, struct err *err) {
    struct txn_part *parts = arena_copy(a, m->parts, m->n_parts * sizeof *parts);
    bool bad = !parts || copy_key(a, &m->anchor) || copy_key(a, &m->span.start) || copy_key(a, &m->span.end);
    for (size_t i = 0; i < m->n_parts && !bad; i++)
        bad = copy_key(a, &parts[i].span.start) || copy_key(a, &parts[i].span.end);
    m->parts = parts;
    return bad ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

/* The tablet was split since the visit was planned: the visit is cut, and what it would have brought to the other half with it is to
 * be planned anew. */
static enum rc check_route(struct txn *t, const struct txn_span *planned, const struct route *r, struct key k,
                           struct err *err) {
    struct txn_span range = {{r->range.start.p, r->range.start.bytes}, {r->range.end.p, r->range.end.bytes}};
    if (txn_key_cmp(planned->start, range.start) == 0 && txn_end_cmp(planned->end, range.end) == 0)
        return RC_OK;
    if (!visit_get(t, r, k))
        return txn_fail(t, err_set(err, RC_NOMEM, "out of memory"), err);
    return err_set(err, RC_MOVED, "the keys have moved to another tablet");
}

/* RC_MOVED: nothing was done; plan anew. */
static enum rc commit_one(struct txn *t, struct visit *v, struct arena *a, uint64_t *ret_conflict, struct err *err) {
    struct call call = {.t = t, .take_pending = true};
    struct txn_msg m = commit_msg(t, v);
    struct txn_part mine;
    struct key k = {v->key, v->key_bytes};
    enum rc rc = RC_OK;
    if (!has_something(t, v)) {
        mine = part_of(t, v, false);
        m.parts = &mine;
        m.n_parts = 1;
        rc = keep_msg(a, &m, err);
        if (rc)
            return rc;
        begin_commit(t);
        hosts_send_msg(t->c->hosts, m.anchor, 0, &m);
        return outcome(t, &m, err);
    }
    bool met = v->requests > 0;
    rc = keep_msg(a, &m, err);
    if (!rc)
        rc = route_find(t->c, k, 0, txn_deadline(t), a, &call.route, err);
    if (!rc) {
        struct txn_key at = {k.p, k.bytes}; /* the visit may go */
        rc = copy_key(a, &at) ? err_set(err, RC_NOMEM, "out of memory")
                              : check_route(t, &m.span, &call.route, key_of(at.p, at.n), err);
    }
    if (!rc && met) { /* with the term that is known: T-1 */
        mine = part_of(t, v, true);
        m.parts = &mine;
        m.n_parts = 1;
        rc = keep_msg(a, &m, err);
    }
    if (rc)
        return rc;
    call.ask.then = &m;
    call.ask.then_fill = !met;
    begin_commit(t);
    rc = call_run(&call, err);
    if (rc && t->unknown) /* it may have been taken: whoever owns the anchor knows (T-6) */
        return outcome(t, &m, err);
    if (rc) {
        t->committing = false;
        if (rc == RC_EXISTS)
            *ret_conflict = call.answer.conflict;
        return rc;
    }
    v = visit_find(t, key_of(m.anchor.p, m.anchor.n));
    CHECK(v); /* the call has been there */
    if (!met) {
        mine = part_of(t, v, false);
        m.parts = &mine;
        m.n_parts = 1;
        rc = keep_msg(a, &m, err);
    }
    return rc ? rc : outcome(t, &m, err);
}

/* ---- several ------------------------------------------------------------------------------------------------------------------- */

static enum rc list_parts(struct txn *t, size_t n, struct arena *a, struct txn_msg *m, struct err *err) {
    struct txn_part *parts = arena_array(a, n, sizeof *parts);
    size_t i = 0;
    if (!parts)
        return err_set(err, RC_NOMEM, "out of memory");
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        parts[i++] = part_of(t, v, has_something(t, v));
    }
    CHECK(i == n);
    m->parts = parts;
    m->n_parts = n;
    return keep_msg(a, m, err);
}

static enum rc commit_many(struct txn *t, size_t n, struct arena *a, struct err *err) {
    struct visit *anchor = choose_anchor(t);
    struct txn_msg commit = commit_msg(t, anchor);
    struct call *calls = arena_array(a, n, sizeof *calls);
    struct txn_msg *msgs = arena_array(a, n, sizeof *msgs);
    size_t n_calls = 0, n_msgs = 0;
    enum rc rc = calls && msgs ? list_parts(t, n, a, &commit, err) : err_set(err, RC_NOMEM, "out of memory");
    if (rc)
        return rc;
    ilist_for_each(it, &t->visits) {
        struct visit *v = ilist_entry(it, struct visit, link);
        struct txn_msg *m = &msgs[n_msgs++];
        *m = commit;
        m->span = visit_span(v);
        if (v != anchor)
            m->type = TXN_MSG_PREPARE;
        struct txn_key key = {v->key, v->key_bytes};
        if (copy_key(a, &m->span.start) || copy_key(a, &m->span.end) || copy_key(a, &key))
            return err_set(err, RC_NOMEM, "out of memory");
        if (!has_something(t, v)) {
            m->verdict = TXN_UNDECIDED;
            continue;
        }
        calls[n_calls] = (struct call){.t = t, .take_pending = true};
        calls[n_calls].ask.then = m;
        calls[n_calls++].route.range.start = key_of(key.p, key.n);
    }
    for (size_t i = 0; i < n_calls && !rc; i++) {
        struct key k = calls[i].route.range.start;
        rc = route_find(t->c, k, 0, txn_deadline(t), a, &calls[i].route, err);
        if (!rc)
            rc = check_route(t, &calls[i].ask.then->span, &calls[i].route, k, err);
    }
    if (rc)
        return rc;
    begin_commit(t);
    for (size_t i = 0; i < n_msgs; i++) {
        bool called = false;
        for (size_t k = 0; k < n_calls; k++)
            called |= calls[k].ask.then == &msgs[i];
        if (!called)
            hosts_send_msg(t->c->hosts, msgs[i].type == TXN_MSG_COMMIT ? msgs[i].anchor : msgs[i].span.start, 0,
                           &msgs[i]);
    }
    calls_run(calls, n_calls);
    for (size_t i = 0; i < n_calls; i++) {
        const struct txn_msg *m = calls[i].ask.then;
        if (!calls[i].rc)
            continue;
        *err = calls[i].err;
        if (m->type == TXN_MSG_COMMIT && !t->unknown)
            return txn_fail(t, RC_ABORTED, err); /* nobody was asked to commit */
        /* What was to be written is not there: the number of requests is another one than the list says. It votes no. */
        hosts_send_msg(t->c->hosts, m->type == TXN_MSG_COMMIT ? m->anchor : m->span.start, 0, m);
    }
    return outcome(t, &commit, err);
}

/* ---- the calls ------------------------------------------------------------------------------------------------------------------- */

static enum rc commit(struct txn *t, uint64_t *ret_conflict, struct err *err) {
    struct arena a;
    enum rc rc;
    txn_stop_scans(t);
    if (txn_is_read_only(t)) {
        t->phase = TXN_DONE;
        t->commit_ts = t->read_ts;
        counter_inc(&t->c->stats.committed_read);
        return RC_OK;
    }
    stage_commit_begins(t);
    (void)txn_token_give(t, TOKEN_NS); /* short: until then its outcome takes room (outcome.h) */
    arena_init(&a, 0);
    for (uint32_t tries = 0;; tries++) {
        rc = route_pause(t->c, tries, err);
        if (!rc)
            rc = txn_place_pending(t, err);
        size_t n = rc ? 0 : drop_idle_visits(t);
        if (!rc && n > 1) {
            rc = meet_all(t, err);
            n = rc ? 0 : drop_idle_visits(t);
        }
        if (rc)
            break;
        if (n == 0) {
            t->phase = TXN_DONE;
            counter_inc(&t->c->stats.committed_read);
            break;
        }
        if (n == 1) {
            rc = commit_one(t, ilist_first(&t->visits, struct visit, link), &a, ret_conflict, err);
            if (!rc)
                counter_inc(&t->c->stats.committed_one);
        } else {
            rc = commit_many(t, n, &a, err);
            if (!rc)
                counter_inc(&t->c->stats.committed_two);
        }
        if (rc != RC_MOVED || t->phase != TXN_OPEN || tries == MOVES_MAX)
            break;
        arena_reset(&a);
    }
    arena_done(&a);
    return rc;
}

static enum rc commit_timed(struct txn *t, uint64_t *ret_conflict, int64_t *ret_ts, struct err *err) {
    int64_t began = env_now_ns(t->c->env);
    struct err mine = {0};
    enum rc rc = commit(t, ret_conflict, err ? err : &mine);
    if (rc && rc != RC_EXISTS && rc != RC_STALE &&
        t->phase == TXN_OPEN) /* C3: it is not committed, and never will be */
        txn_fail(t, rc, err ? err : &mine);
    if (!rc) {
        hist_add(&t->c->stats.commit_ns, env_now_ns(t->c->env) - began);
        if (ret_ts)
            *ret_ts = t->commit_ts;
    }
    return rc;
}

/* Is there a row in the way? Asked by the commit's own request if that goes to one tablet only. */
static enum rc check_inserts(struct txn *t, uint64_t *ret_conflict, struct err *err) {
    enum rc rc = txn_place_pending(t, err);
    return rc || drop_idle_visits(t) <= 1 ? rc : txn_flush_checked(t, ret_conflict, err);
}

enum rc txn_commit(struct txn *t, int64_t *ret_ts, struct err *err) {
    uint64_t conflict = 0;
    enum rc rc = txn_enter(t, err);
    return rc ? rc : txn_leave(t, commit_timed(t, &conflict, ret_ts, err));
}

enum rc txn_write_commit(struct txn *t, const struct txn_write *w, size_t n, size_t *ret_conflict, int64_t *ret_ts,
                         struct err *err) {
    uint64_t before = t->seq, conflict = 0;
    bool inserts;
    enum rc rc = txn_enter(t, err);
    if (rc)
        return rc;
    rc = txn_write_begin(t, w, n, &inserts, err);
    if (!rc && inserts)
        rc = check_inserts(t, &conflict, err);
    if (!rc)
        rc = commit_timed(t, &conflict, ret_ts, err);
    if (rc && t->phase == TXN_OPEN)
        txn_write_undo(t, before, conflict, ret_conflict);
    return txn_leave(t, rc);
}
