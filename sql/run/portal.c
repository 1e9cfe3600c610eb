/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portal.c: statements with their values, run: rows to the client, commit with the last statement, and again from the start where
 * nobody can tell the difference.
 *
 * Again (rules of client.h): a tablet that knows another version of a table has done nothing (RC_STALE), so the statement is
 * planned anew on a fresh catalog and repeated in the same transaction. An aborted transaction (RC_ABORTED) is repeated whole if
 * this statement is all of it and the client has not seen a row; it keeps its age, so that it wins in the end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/run/foreign.h"

#define RETRY_SLEEP_NS INT64_C(500000)

enum { OWN_CHANGE_TRIES = 8 };

/* ---- time ------------------------------------------------------------------------------------------------------------ */

enum rc sess_statement_begin(struct sess *s, struct err *err) {
    (void)err;
    s->statement_us = sess_now_us(s);
    s->deadline =
        s->statement_timeout_ns > 0 ? reactor_deadline(s->e->reactor, s->statement_timeout_ns) : DEADLINE_NONE;
    s->sent = false;
    s->refreshed = false;
    if (!s->txn && !sess_in_block(s) && !s->implicit_began)
        s->begin_us = s->statement_us;
    s->env.now_us = s->begin_us;
    s->env.statement_us = s->statement_us;
    s->types.now = s->begin_us;
    if (s->txn)
        txn_set_deadline(s->txn, s->deadline, s->lock_timeout_ns);
    fiber_set_deadline(s->e->reactor, s->deadline);
    return RC_OK;
}

void sess_statement_end(struct sess *s, enum rc rc, struct err *err) {
    fiber_set_deadline(s->e->reactor, DEADLINE_NONE);
    s->parsing_ns = 0;
    arena_reset(&s->scratch);
    if (rc == RC_TIMEOUT && err && s->lock_timeout_ns > 0 && reactor_now(s->e->reactor) < s->deadline &&
        strstr(err->message, "lock") && !strstr(err->message, "could not obtain")) {
        char detail[ERR_DETAIL_BYTES];
        memcpy(detail, err->detail, sizeof detail);
        err_set(err, RC_TIMEOUT, "canceling statement due to lock timeout");
        err_state(err, "55P03");
        err_detail(err, "%s", detail);
        return;
    }
    if (rc == RC_TIMEOUT && s->deadline != DEADLINE_NONE && reactor_now(s->e->reactor) >= s->deadline) {
        char detail[ERR_DETAIL_BYTES] = "";
        if (err)
            memcpy(detail, err->message, sizeof detail < sizeof err->message ? sizeof detail : sizeof err->message);
        err_set(err, RC_TIMEOUT, "canceling statement due to statement timeout");
        if (err) {
            err_state(err, "57014");
            detail[sizeof detail - 1] = '\0';
            err_detail(err, "%s", detail);
        }
    }
}

enum rc sess_pause(struct sess *s, int tries) {
    return tries < 2 ? fiber_yield(s->e->reactor)
                     : fiber_sleep(s->e->reactor, RETRY_SLEEP_NS << (tries < 8 ? tries : 8));
}

/* ---- portals ----------------------------------------------------------------------------------------------------------- */

enum rc portal_new(struct sess *s, struct stmt *st, const struct value *param, struct sess_portal **ret,
                   struct err *err) {
    struct sess_portal *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory for a portal");
    arena_init(&p->arena, SESS_ARENA_BYTES_MAX);
    size_t n = st->pub.params;
    p->param = arena_array(&p->arena, n + 1, sizeof *p->param);
    enum rc rc = p->param ? RC_OK : RC_NOMEM;
    for (size_t i = 0; i < n && !rc; i++) {
        p->param[i] = param[i];
        rc = value_copy(&p->arena, &p->param[i]);
    }
    if (rc) {
        arena_done(&p->arena);
        free(p);
        return err_set(err, rc, "out of memory for the parameters");
    }
    p->s = s;
    p->stmt = st;
    st->refs++;
    p->epoch = s->epoch;
    ilist_init(&p->link);
    ilist_push_back(&s->portals, &p->link);
    *ret = p;
    return RC_OK;
}

void portal_stop(struct sess_portal *p) {
    struct exec *x = p->exec;
    p->exec = NULL;
    exec_close(x);
    planned_unref(p->planned);
    p->planned = NULL;
}

void portal_close(struct sess_portal *p) {
    if (!p)
        return;
    portal_stop(p);
    ilist_del(&p->link);
    stmt_unref(p->stmt);
    arena_done(&p->arena);
    free(p);
}

static double rows_of(void *ctx, const struct table *t) {
    return counts_rows(ctx, t);
}

enum rc portal_open(struct sess_portal *p, bool last, struct err *err) {
    struct sess *s = p->s;
    p->planned = planned_ref(p->stmt->planned);
    p->env = (struct exec_env){.store = s->e->conf.store,
                               .txn = s->txn,
                               .fn = &s->env,
                               .virtuals = {virtual_rows, s},
                               .memory_max = s->work_bytes,
                               .scratch = s->e->scratch,
                               .rows = rows_of,
                               .rows_ctx = s->e->counts,
                               .temp_max = s->temp_bytes,
                               .watch = foreign_watch(&p->foreign, s, p->planned),
                               .last = last && !p->planned->foreign};
    foreign_begin(s);
    p->started = true;
    s->block_statements++;
    if (s->txn)
        txn_statement(s->txn);
    enum rc rc = exec_open(p->planned->plan, &p->env, p->param, &p->exec, err);
    if (rc) {
        p->exec = NULL;
        portal_stop(p);
    }
    return rc;
}

enum rc portal_pull(struct sess_portal *p, uint64_t max, portal_row *on_row, void *ctx, uint64_t *ret_rows,
                    bool *ret_more, struct err *err) {
    struct sess *s = p->s;
    uint64_t n = 0;
    *ret_more = false;
    for (;;) {
        const struct value *v;
        if (max && n == max) {
            *ret_more = true;
            break;
        }
        enum rc rc = exec_next(p->exec, &v, err);
        if (rc)
            return rc;
        if (!v)
            break;
        if (p->stmt->pub.rows) {
            if (on_row) {
                rc = on_row(ctx, v, err);
            } else {
                s->sent = true;
                rc = s->client->row(s->ctx, v, err);
            }
        }
        if (rc)
            return rc;
        n++;
    }
    *ret_rows = n;
    return RC_OK;
}

static const char *kind_name(enum query_kind kind) {
    return kind == QUERY_INSERT   ? "INSERT"
           : kind == QUERY_UPDATE ? "UPDATE"
           : kind == QUERY_DELETE ? "DELETE"
                                  : "SELECT FOR UPDATE";
}

static void tag_of(struct sess_portal *p, uint64_t rows) {
    switch (plan_kind(p->planned->plan)) {
    case QUERY_INSERT:
        snprintf(p->tag, sizeof p->tag, "INSERT 0 %" PRIu64, exec_affected(p->exec));
        break;
    case QUERY_UPDATE:
        snprintf(p->tag, sizeof p->tag, "UPDATE %" PRIu64, exec_affected(p->exec));
        break;
    case QUERY_DELETE:
        snprintf(p->tag, sizeof p->tag, "DELETE %" PRIu64, exec_affected(p->exec));
        break;
    default:
        snprintf(p->tag, sizeof p->tag, "SELECT %" PRIu64, rows);
    }
}

/* ---- queries -------------------------------------------------------------------------------------------------------------- */

struct attempt {
    struct sess_portal *p;
    uint64_t max;
    bool ends;  /* nothing follows: the transaction ends with it */
    bool alone; /* nothing came before it in the transaction */
    struct sess_done *ret;
};

static enum rc attempt_finish(struct attempt *a, struct err *err) {
    struct sess *s = a->p->s;
    int64_t ts;
    tag_of(a->p, a->p->rows);
    bool committed = exec_committed(a->p->exec, &ts);
    portal_stop(a->p);
    a->p->finished = true;
    if (committed)
        sess_committed(s, ts);
    else if (a->ends)
        return sess_commit(s, err);
    return RC_OK;
}

static enum rc attempt_once(struct attempt *a, struct err *err) {
    struct sess_portal *p = a->p;
    struct sess *s = p->s;
    uint64_t rows = 0;
    bool more = false;
    enum rc rc = RC_OK;
    if (!p->started || !p->exec) {
        const struct plan *plan = p->stmt->planned->plan;
        if (!plan_read_only(plan))
            rc = sess_may_write(s, kind_name(plan_kind(plan)), err);
        if (!rc && !s->txn)
            rc = sess_txn(s, a->alone && a->ends ? plan : NULL, err);
        if (!rc)
            rc = portal_open(p, a->ends, err);
    }
    if (!rc)
        rc = portal_pull(p, a->max, NULL, NULL, &rows, &more, err);
    if (rc)
        return rc;
    p->rows += rows;
    if (more) {
        a->ret->suspended = true;
        return RC_OK;
    }
    /* The tag counts what this call has sent, as PostgreSQL does. */
    p->rows = rows;
    return attempt_finish(a, err);
}

/* A table was changed after the time that would have been read. Where the session leaves the time to us there is a later one. */
static bool read_later(struct attempt *a, enum rc rc, int tries) {
    struct sess *s = a->p->s;
    if (rc != RC_TOO_OLD || s->sent || !a->alone || a->p->finished || tries >= SESS_RETRIES_MAX || !s->txn ||
        s->savepoints > 0 || fiber_cancelled(s->e->reactor))
        return false;
    enum txn_mode mode = txn_mode(s->txn);
    if (mode != TXN_READ_STRONG && mode != TXN_READ_MAX && mode != TXN_READ_SINCE)
        return false;
    portal_stop(a->p);
    a->p->started = false;
    txn_free(s->txn);
    s->txn = NULL;
    s->read_now = true;
    counter_inc(&s->e->stats.retried);
    return true;
}

/* May it be tried again, and what must be done before? RC_OK: go on. */
static enum rc again(struct attempt *a, enum rc rc, size_t mark, int tries, struct err *err) {
    struct sess *s = a->p->s;
    struct err why = {0};
    if (s->sent || rc_retry(rc) != RETRY_YES || rc == RC_SHUTDOWN || tries >= SESS_RETRIES_MAX || a->p->finished ||
        fiber_cancelled(s->e->reactor))
        return rc;
    portal_stop(a->p);
    a->p->started = false;
    if (rc == RC_STALE && s->change && tries >= OWN_CHANGE_TRIES) {
        rc = err_set(err, RC_UNSUPPORTED, "a table that this transaction has changed can be used after its commit");
        return rc;
    }
    if (rc == RC_STALE && stmt_replan(a->p->stmt, true, &why)) {
        *err = why;
        return why.rc;
    }
    if (!s->txn)
        return RC_OK;
    if (txn_phase(s->txn) == TXN_OPEN && (rc == RC_STALE || rc == RC_MOVED)) {
        if (txn_mode(s->txn) == TXN_READ_WRITE && txn_rollback_to(s->txn, mark, &why) != RC_OK)
            return rc;
        return sess_pause(s, tries) == RC_OK ? RC_OK : rc;
    }
    if (!a->alone || s->change || s->savepoints)
        return rc;
    if (sess_pause(s, tries) != RC_OK)
        return rc;
    counter_inc(&s->e->stats.retried);
    if (txn_restart(s->txn, &why) != RC_OK)
        return rc;
    s->block_statements = 0;
    return RC_OK;
}

enum rc portal_query(struct sess_portal *p, uint64_t max, bool final, struct sess_done *ret, struct err *err) {
    struct sess *s = p->s;
    struct attempt a = {.p = p,
                        .max = max,
                        .ends = final && !sess_in_block(s) && !s->change,
                        .alone = s->block_statements == 0 && !p->started,
                        .ret = ret};
    enum rc rc = p->started ? RC_OK : stmt_replan(p->stmt, false, err);
    if (rc)
        return rc;
    for (int tries = 0;; tries++) {
        size_t mark =
            s->txn && txn_mode(s->txn) == TXN_READ_WRITE && txn_phase(s->txn) == TXN_OPEN ? txn_savepoint(s->txn) : 0;
        struct err why = {0};
        rc = attempt_once(&a, &why);
        if (!rc && final && !sess_in_block(s) && s->change && s->txn && !ret->suspended)
            rc = sess_commit(s, &why);
        if (rc && why.rc != rc)
            err_set(&why, rc, "%s", rc_text(rc));
        if (!rc)
            break;
        rc = read_later(&a, rc, tries) ? RC_OK : again(&a, rc, mark, tries, &why);
        if (rc) {
            if (err)
                *err = why;
            return rc;
        }
    }
    if (!ret->suspended)
        memcpy(ret->tag, p->tag, sizeof ret->tag);
    return RC_OK;
}

/* ---- execute ---------------------------------------------------------------------------------------------------------------- */

static enum rc run_utility(struct sess_portal *p, uint64_t max, bool final, struct sess_done *ret, struct err *err) {
    struct sess *s = p->s;
    struct utility u = {
        .s = s, .portal = p, .script = p->stmt->script, .node = p->stmt->node, .max_rows = max, .done = ret};
    bool alone = !sess_in_block(s) && !s->txn;
    for (int tries = 0;; tries++) {
        struct err why = {0};
        bool done = false;
        enum rc rc = utility_run(&u, &why);
        if (!rc) {
            done = true;
            if (final && !sess_in_block(s) && s->txn)
                rc = sess_commit(s, &why);
        }
        if (!rc)
            return RC_OK;
        (void)done;
        if (!alone || s->sent || !utility_retries(u.node) || rc_retry(rc) != RETRY_YES || rc == RC_SHUTDOWN ||
            tries >= SESS_RETRIES_MAX || fiber_cancelled(s->e->reactor)) {
            if (err)
                *err = why;
            return rc;
        }
        sess_rollback(s);
        counter_inc(&s->e->stats.retried);
        if (rc == RC_STALE && sess_refresh(s, err) != RC_OK)
            return err ? err->rc : rc;
        if (sess_pause(s, tries) != RC_OK) {
            if (err)
                *err = why;
            return rc;
        }
    }
}

enum rc portal_execute(struct sess *s, struct sess_portal *p, uint64_t max_rows, bool final, struct sess_done *ret,
                       struct err *err) {
    struct stmt *st = p->stmt;
    enum rc rc = RC_OK;
    *ret = (struct sess_done){0};
    if (st->pub.empty)
        return RC_OK;
    counter_inc(&s->e->stats.statements);
    s->query = script_slice(st->script, st->index, &s->query_bytes);
    sess_statement_begin(s, err);
    if (s->implicit)
        final = false;
    s->final = final;
    if (s->state == SESS_FAILED && !(st->node && utility_ends_block(st->node)))
        rc = err_sql(err, "25P02", "current transaction is aborted, commands ignored until end of transaction block");
    else if (p->epoch != s->epoch)
        rc = err_sql(err, "34000", "the portal has ended with its transaction");
    else if (p->finished && !st->pub.rows)
        rc = err_sql(err, "55000", "portal cannot be run anymore");
    else if (p->finished)
        snprintf(ret->tag, sizeof ret->tag, "SELECT 0");
    else if (st->planned)
        rc = portal_query(p, max_rows, final, ret, err);
    else
        rc = run_utility(p, max_rows, final, ret, err);
    if (!sess_in_block(s) && !rc)
        s->implicit_began = !final;
    if (rc)
        portal_stop(p);
    sess_statement_end(s, rc, err);
    s->query = NULL;
    s->query_bytes = 0;
    if (rc)
        sess_failed(s);
    sess_reports(s);
    return rc;
}

/* ---- statements of our own ------------------------------------------------------------------------------------------------------ */

enum rc sess_run_text(struct sess *s, const char *text, portal_row *on_row, void *ctx, uint64_t *ret_rows,
                      struct err *err) {
    struct stmt *st;
    struct sess_portal *p = NULL;
    uint64_t rows;
    bool more;
    enum rc rc = stmt_from_text(s, text, &st, err);
    if (rc)
        return rc;
    rc = st->planned ? portal_new(s, st, NULL, &p, err) : err_set(err, RC_INTERNAL, "not a query: %.100s", text);
    if (!rc)
        rc = sess_txn(s, NULL, err);
    if (!rc)
        rc = portal_open(p, false, err);
    if (!rc)
        rc = portal_pull(p, 0, on_row, ctx, &rows, &more, err);
    if (!rc && ret_rows)
        *ret_rows = plan_kind(p->planned->plan) == QUERY_SELECT ? rows : exec_affected(p->exec);
    portal_close(p);
    stmt_unref(st);
    return rc;
}
