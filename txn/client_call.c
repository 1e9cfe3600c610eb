/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_call.c: one request of a transaction to one tablet.
 *
 * Repeated while it provably did nothing: the tablet has no leader yet, a store is full or away. Where a tablet was split or
 * has moved the caller plans anew. If an answer is lost nobody knows whether the request was executed, so the transaction ends.
 *
 * The own store is called as a function; only other stores get a message.
 */
#include <stdio.h>
#include <stdlib.h>

#include "shard/net/stream.h"
#include "txn/client_internal.h"

static const int64_t RETRY_NS = 5000000, RETRY_NS_MAX = 100000000;
enum { CALL_ARENA_BYTES_MAX = 96 << 20 };

bool rc_did_nothing(enum rc rc) {
    return rc == RC_NOT_LEADER || rc == RC_UNREACHABLE || rc == RC_OVERLOAD || rc == RC_SHUTDOWN || rc == RC_UNSYNCED;
}

/* ---- what goes along --------------------------------------------------------------------------------------------------- */

static bool pending_in(const struct pending *p, const struct txn_span *s) {
    struct txn_key k = {p->data, p->key_bytes};
    return txn_key_cmp(s->start, k) <= 0 && txn_key_before_end(k, s->end);
}

bool visit_has_pending(const struct txn *t, const struct visit *v) {
    struct txn_span s = visit_span(v);
    for (const struct ilist *it = t->pending.next; it != &t->pending; it = it->next)
        if (pending_in(container_of(it, struct pending, link), &s))
            return true;
    return false;
}

static enum rc take_pending(struct call *call, struct buf *to) {
    struct txn_span s = visit_span(call->held);
    ilist_for_each(it, &call->t->pending) {
        struct pending *p = ilist_entry(it, struct pending, link);
        if (!pending_in(p, &s))
            continue;
        buf_put(to, p->data + p->key_bytes, p->bytes);
        call->sent_from = call->sent ? call->sent_from : p->seq;
        call->sent = p->seq;
    }
    call->ask.writes = (struct txn_bytes){to->data, to->len};
    return buf_rc(to);
}

/* What was written there is pending no more. */
static void drop_pending(struct call *call, uint64_t last) {
    struct txn_span s = visit_span(call->held);
    ilist_for_each(it, &call->t->pending) {
        struct pending *p = ilist_entry(it, struct pending, link);
        if (p->seq <= last && pending_in(p, &s))
            pending_drop(call->t, p);
    }
}

/* ---- what is known from an answer --------------------------------------------------------------------------------------- */

static void learn(struct call *call) {
    struct visit *v = call->held;
    if (!v || !call->answer.executed)
        return;
    v->requests = call->answer.requests;
    if (call->answer.term)
        v->term = call->answer.term;
    v->undo = false;
}

static void let_go(struct call *call) {
    if (!call->held)
        return;
    call->held->busy = false;
    call->held = NULL;
    waitq_wake_all(&call->t->idle, RC_OK);
}

/* What was sent along has been written. */
static void wrote(struct call *call) {
    if (!call->sent)
        return;
    call->held->writes = true;
    drop_pending(call, call->sent);
    call->sent = 0;
}

/* The first rows are here: it counts, and the next request to the tablet may go. */
static void first_rows(struct call *call) {
    if (!call->held)
        return;
    learn(call);
    wrote(call);
    let_go(call);
}

/* ---- other stores ------------------------------------------------------------------------------------------------------ */

static void take_answer(struct call *call, const Serve__ExecAnswer *a) {
    struct err *err = &call->err;
    call->answer = (struct exec_answer){.executed = a->executed,
                                        .wrote = a->wrote,
                                        .lost = a->lost,
                                        .requests = a->requests,
                                        .term = a->term,
                                        .generation = a->generation,
                                        .conflict = a->conflict,
                                        .leader = a->leader,
                                        .ts = a->ts,
                                        .rows = a->rows,
                                        .lock_ns = a->lock_ns,
                                        .sqlite_ns = a->sqlite_ns,
                                        .host_ns = a->host_ns};
    call->more = a->more;
    for (size_t i = 0; i < a->n_tablets; i++)
        serve_learn(call->t->c->store->directory, a->tablets[i]);
    call->rc = a->rc < RC_COUNT ? (enum rc)a->rc : RC_PROTOCOL;
    if (!call->rc)
        return;
    err_set(err, call->rc, "%s", a->message);
    if (strlen(a->state) == 5)
        err_state(err, a->state);
    if (a->detail[0])
        err_detail(err, "%s", a->detail);
    if (a->hint[0])
        err_hint(err, "%s", a->hint);
}

/* An error of the call itself: was it executed? */
static bool fate_unknown(enum rc rc) {
    return rc == RC_CLOSED || rc == RC_TIMEOUT || rc == RC_CANCELLED;
}

static void call_unary(struct call *call, int64_t deadline) {
    struct txn_client *c = call->t->c;
    struct arena a;
    Serve__Exec *x;
    ProtobufCMessage *m = NULL;
    arena_init(&a, CALL_ARENA_BYTES_MAX);
    call->rc = serve_pack(&call->ask, call->bytes_max, &a, &x);
    if (call->rc) {
        err_set(&call->err, call->rc, "a request could not be made: %s", rc_text(call->rc));
        arena_done(&a);
        return;
    }
    call->rc = rpc_call(c->store->rpc, px_store_addr(call->route.store), HOST_TYPE_EXEC, &x->base, &a, deadline, &m,
                        &call->err);
    if (!call->rc) {
        const Serve__ExecAnswer *ans = (const Serve__ExecAnswer *)m;
        take_answer(call, ans);
        for (size_t i = 0; i < ans->n_batches && !call->rc; i++)
            call->rc = call->on_batch((struct mvcc_bytes){ans->batches[i].data, ans->batches[i].len},
                                      i + 1 == ans->n_batches, call->ctx, &call->err);
    } else if (fate_unknown(call->rc) && call->ask.ref) {
        call->t->unknown = true;
    }
    arena_done(&a);
}

static void call_stream(struct call *call, int64_t deadline) {
    struct txn_client *c = call->t->c;
    struct rpc_stream *s = NULL;
    Serve__Exec *x;
    Serve__ExecAnswer *end = NULL;
    struct arena a;
    struct buf batch;
    bool started = false;
    arena_init(&a, CALL_ARENA_BYTES_MAX);
    buf_init(&batch, CALL_ARENA_BYTES_MAX);
    call->rc = serve_pack(&call->ask, 0, &a, &x);
    if (call->rc)
        err_set(&call->err, call->rc, "a request could not be made: %s", rc_text(call->rc));
    else
        call->rc = rpc_stream_open(c->store->rpc, px_store_addr(call->route.store), HOST_TYPE_SCAN, &x->base, deadline,
                                   &s, &call->err);
    while (!call->rc && !end) {
        call->rc = serve_stream_next(s, &batch, &a, deadline, &end, &call->err);
        if (call->rc || end)
            break;
        if (!started && call->held) {
            call->answer.executed = true;
            call->answer.requests = call->ask.seq + 1;
            first_rows(call);
        }
        started = true;
        call->rc = call->on_batch((struct mvcc_bytes){batch.data, batch.len}, false, call->ctx, &call->err);
    }
    if (end)
        take_answer(call, end);
    else if (!started && s && call->ask.ref)
        call->t->unknown = true;
    rpc_stream_close(s);
    buf_done(&batch);
    arena_done(&a);
}

/* ---- one try ----------------------------------------------------------------------------------------------------------- */

static enum rc local_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err) {
    struct call *call = ctx;
    if (call->early && call->held) {
        call->answer.executed = true;
        call->answer.requests = call->ask.seq + 1;
        first_rows(call);
    }
    return call->on_batch(batch, last, call->ctx, err);
}

static enum rc hold_visit(struct call *call, struct key k, struct err *err) {
    struct txn *t = call->t;
    struct visit *v;
    while ((v = visit_find(t, k)) && v->busy) {
        enum rc rc = waitq_wait(t->c->reactor, &t->idle, txn_deadline(t));
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
    v = visit_get(t, &call->route, k);
    if (!v)
        return txn_fail(t, err_set(err, RC_NOMEM, "out of memory"), err);
    v->busy = true;
    call->held = v;
    return RC_OK;
}

static void try_once(struct call *call, struct key k) {
    struct txn *t = call->t;
    struct txn_client *c = t->c;
    int64_t deadline = txn_deadline(t), began = env_now_ns(c->env);
    if (call->until && !call->stream && call->until < deadline)
        deadline = call->until;
    struct buf b;
    buf_init(&b, 0);
    call->answer = (struct exec_answer){.executed = false};
    call->more = false;
    call->sent = 0;
    call->rc = RC_OK;
    if (!txn_is_read_only(t)) {
        call->rc = hold_visit(call, k, &call->err);
        if (call->rc)
            return;
        call->ask.ref = &t->ref;
        call->ask.seq = call->held->requests;
        call->ask.undo = call->held->undo;
        call->ask.undo_to = call->held->undo_to;
        call->ask.lock_wait_ns = t->opt.lock_wait_ns;
        if (call->take_pending && (call->rc = take_pending(call, &b)))
            err_set(&call->err, call->rc, "out of memory for a transaction's writes");
    }
    call->ask.tablet = call->route.tablet;
    call->ask.generation = call->route.generation;
    call->remote = call->route.store != client_self(c);
    t->last_ns = began;
    if (!call->rc && !call->remote) {
        counter_inc(&c->stats.requests_local);
        call->rc = serve_exec(c->hosts, &call->ask, local_batch, call, deadline, &call->answer, &call->err);
    } else if (!call->rc) {
        counter_inc(&c->stats.requests_remote);
        t->times.round_trips++;
        if (call->stream)
            call_stream(call, deadline);
        else
            call_unary(call, deadline);
    }
    t->last_ns = env_now_ns(c->env);
    if (call->answer.executed && call->held) {
        learn(call);
        if (call->answer.wrote) {
            wrote(call);
        } else if (call->sent && call->rc == RC_MOVED) { /* half of it may lie in the half that the tablet has lost */
            call->held->undo = true;
            call->held->undo_to = call->sent_from - 1;
        }
    }
    let_go(call);
    buf_done(&b);
    times_of_call(call, began, t->last_ns);
}

/* ---- until it is done ------------------------------------------------------------------------------------------------------ */

static enum rc route_again(struct call *call, struct key k, uint32_t turn, struct err *err) {
    struct arena a;
    struct route now;
    arena_init(&a, 0);
    enum rc rc = route_find(call->t->c, k, turn, txn_deadline(call->t), &a, &now, err);
    if (!rc && (now.tablet != call->route.tablet || now.generation != call->route.generation))
        rc = err_set(err, RC_MOVED, "the keys have moved to another tablet");
    if (!rc) {
        call->route.store = now.store;
        call->route.here = now.here;
    }
    arena_done(&a);
    return rc;
}

/* The connection to a tablet's store broke in the middle of a request. */
static enum rc err_retry_as_aborted(struct err *err) {
    char why[ERR_DETAIL_BYTES];
    snprintf(why, sizeof why, "%s", err_message(err));
    err_set(err, RC_ABORTED, "the transaction was aborted: the connection to a tablet was lost");
    err_detail(err, "%s", why);
    err_hint(err, "Try it again: the tablet gets another leader if its store has gone.");
    return RC_ABORTED;
}

enum rc call_run(struct call *call, struct err *err) {
    struct txn *t = call->t;
    struct txn_client *c = t->c;
    struct key k = call->ask.n_spans ? call->ask.spans[0].start : call->route.range.start;
    int64_t pause = RETRY_NS, give_up = txn_deadline(t), limit = reactor_deadline(c->reactor, RETRY_LIMIT_NS);
    give_up = give_up < limit ? give_up : limit;
    for (uint32_t turn = 0;; turn++) {
        if (call->route.store == 0)
            call->rc =
                err_set(&call->err, RC_NOT_LEADER, "nobody leads tablet %llu", (unsigned long long)call->route.tablet);
        else
            try_once(call, k);
        enum rc rc = call->rc;
        if (rc == RC_MOVED)
            counter_inc(&c->stats.moved);
        if (rc == RC_STALE)
            counter_inc(&c->stats.stale);
        if (rc == RC_MOVED || rc == RC_NOT_LEADER || rc == RC_UNREACHABLE || rc == RC_SHUTDOWN || rc == RC_CLOSED)
            route_failed(c, &call->route, rc, call->answer.leader);
        bool over = (t->unknown && rc) || call->answer.lost || rc == RC_ABORTED;
        if (over && call->ask.ref) {
            *err = call->err;
            if (rc == RC_CLOSED && !t->committing) /* it can never commit: what it holds there goes with the silence */
                rc = err_retry_as_aborted(err);
            rc = call->answer.lost || !rc ? RC_ABORTED : rc;
            return t->committing ? rc : txn_fail(t, rc, err); /* a commit knows better what that means */
        }
        bool read_again = rc == RC_CLOSED && !call->ask.ref && !call->stream; /* it changed nothing, and gave nothing */
        if ((!rc_did_nothing(rc) && !read_again) || call->answer.executed) {
            if (rc)
                *err = call->err;
            return rc;
        }
        int64_t now = env_now_ns(c->env);
        if (now + pause >= give_up) {
            *err = call->err;
            return rc;
        }
        rc = fiber_sleep(c->reactor, pause);
        times_of_pause(call, now, env_now_ns(c->env));
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
        pause = 2 * pause < RETRY_NS_MAX ? 2 * pause : RETRY_NS_MAX;
        rc = route_again(call, k, turn + 1, err);
        if (rc)
            return call->rc = rc;
    }
}

enum rc call_once(struct call *call, struct err *err) {
    struct key k = call->ask.n_spans ? call->ask.spans[0].start : call->route.range.start;
    try_once(call, k);
    if (call->rc)
        *err = call->err;
    return call->rc;
}

static void beside_main(void *arg) {
    struct call *call = arg;
    struct err err = {0};
    call->rc = call_run(call, &err);
    if (call->rc)
        call->err = err;
}

void calls_run(struct call *calls, size_t n) {
    struct reactor *r = n ? calls[0].t->c->reactor : NULL;
    struct fiber_group g;
    fiber_group_init(&g);
    for (size_t i = 1; i < n; i++)
        if (fiber_spawn(r, &g, FIBER_LARGE, "txn call", beside_main, &calls[i]) != RC_OK)
            beside_main(&calls[i]); /* one after the other, then */
    if (!n)
        return;
    beside_main(&calls[0]);
    if (g.count && fiber_group_join(r, &g, DEADLINE_NONE) != RC_OK) {
        fiber_group_cancel(&g);
        fiber_shield_begin(r); /* they use what is ours */
        IGNORE(fiber_group_join(r, &g, DEADLINE_NONE));
        fiber_shield_end(r);
    }
}
