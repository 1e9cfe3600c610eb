/* SPDX-License-Identifier: Apache-2.0 */
/* block.c: transactions: blocks of BEGIN ... COMMIT, savepoints, and the implicit ones around everything else. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/run/foreign.h"
#include "truetime/spec.h"

bool sess_in_block(const struct sess *s) {
    return s->state != SESS_IDLE;
}

/* ---- beginning ---------------------------------------------------------------------------------------------------------- */

enum rc sess_staleness(struct sess *s, const char *text, struct txn_options *ret, struct err *err) {
    static const struct {
        const char *word;
        enum txn_mode mode;
        bool timestamp;
    } forms[] = {{"exact", TXN_READ_EXACT, false},
                 {"max", TXN_READ_MAX, false},
                 {"since", TXN_READ_SINCE, true},
                 {"at", TXN_READ_AT, true}};
    ret->mode = TXN_READ_STRONG;
    if (strcasecmp(text, "strong") == 0 || !text[0])
        return RC_OK;
    size_t n = strcspn(text, " ");
    const char *rest = text + n + strspn(text + n, " ");
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (n != strlen(forms[i].word) || strncasecmp(text, forms[i].word, n) != 0)
            continue;
        ret->mode = forms[i].mode;
        if (!forms[i].timestamp) {
            if (tt_duration_parse(rest, &ret->staleness_ns) && ret->staleness_ns >= 0)
                return RC_OK;
            break;
        }
        /* Nanoseconds as commit_timestamp gives them, or a date. */
        char *end;
        int64_t us;
        ret->ts = strtoll(rest, &end, 10);
        if (end != rest && !*end && ret->ts > 0)
            return RC_OK;
        enum rc rc = timestamp_parse(&s->types, rest, strlen(rest), true, 6, &us, err);
        if (!rc)
            ret->ts = (us + PG_EPOCH_US) * 1000;
        return rc;
    }
    enum rc rc = err_sql(err, "22023", "invalid value for parameter \"meridian.read_staleness\": \"%.80s\"", text);
    if (err)
        err_hint(err, "Say strong, exact 10s, max 10s, since TIMESTAMP or at TIMESTAMP.");
    return rc;
}

enum rc sess_txn(struct sess *s, const struct plan *alone, struct err *err) {
    struct txn_options o = {.mode = TXN_READ_WRITE,
                            .deadline = s->deadline,
                            .lock_wait_ns = s->lock_timeout_ns,
                            .label = guc_get(s->gucs, "application_name")};
    if (s->txn)
        return RC_OK;
    o.single = alone && plan_single_scan(alone);
    if (s->read_now) {
        o.mode = TXN_READ_STRONG;
    } else if ((alone && plan_read_only(alone)) || s->read_only) {
        enum rc rc = sess_staleness(s, guc_get(s->gucs, "meridian.read_staleness"), &o, err);
        if (rc)
            return rc;
    }
    s->reads_only_now = o.mode != TXN_READ_WRITE;
    s->block_statements = 0;
    s->plan_ns = s->parsing_ns + (sess_now_us(s) - s->statement_us) * 1000;
    return txn_begin(s->e->conf.txns, &o, &s->txn, err);
}

enum rc sess_may_write(struct sess *s, const char *what, struct err *err) {
    if (!s->read_only && (sess_in_block(s) || !s->default_read_only))
        return RC_OK;
    return err_sql(err, "25006", "cannot execute %s in a read-only transaction", what);
}

enum rc sess_no_block(struct sess *s, const char *what, struct err *err) {
    if (!sess_in_block(s) && !s->implicit)
        return RC_OK;
    return err_sql(err, "25001", "%s cannot run inside a transaction block", what);
}

/* ---- ending --------------------------------------------------------------------------------------------------------------- */

static void forget_savepoints(struct sess *s, size_t keep) {
    while (s->savepoints > keep)
        free(s->savepoint[--s->savepoints].name);
}

/* Tables that were made in tablets for a transaction that did not commit. What cannot be dropped now is an empty table that
 * nobody knows the name of. */
static void forget_orphans(struct sess *s, bool drop) {
    for (size_t i = 0; i < s->orphans; i++) {
        if (drop && !fiber_cancelled(s->e->reactor))
            ddl_drop_orphan(s, s->orphan[i]);
        table_unref(s->orphan[i]);
    }
    s->orphans = 0;
}

/* The transaction ends: its token and its way stay known. One that asked no tablet hides nothing. */
static void forget_txn(struct sess *s) {
    enum { STAGES_MAX = 96 };
    size_t n = 0;
    (void)txn_stages(s->txn, NULL, 0, &n); /* how many there are */
    n = n < STAGES_MAX ? n : STAGES_MAX;
    s->last_token = *txn_token(s->txn);
    if (n > s->last_room) { /* without memory there is no trace */
        free(s->last_stage);
        s->last_stage = malloc(n * sizeof *s->last_stage);
        s->last_room = s->last_stage ? n : 0;
    }
    if (n > 0) {
        s->last_stages = n <= s->last_room ? txn_stages(s->txn, s->last_stage, n, &s->last_lost) : 0;
        s->last_plan_ns = s->plan_ns;
    }
    txn_free(s->txn);
    s->txn = NULL;
}

static void ended(struct sess *s, bool committed) {
    s->epoch++;
    forget_savepoints(s, 0);
    ilist_for_each(it, &s->portals)
        portal_stop(container_of(it, struct sess_portal, link));
    sess_forget_cursors(s);
    foreign_end(s);
    if (s->txn)
        forget_txn(s);
    cat_change_end(s->change, committed);
    s->change = NULL;
    s->path_version = 0;
    guc_end(s->gucs, committed);
    forget_orphans(s, !committed);
    s->state = SESS_IDLE;
    s->read_only = s->reads_only_now = s->implicit_began = s->read_now = false;
    s->block_statements = 0;
    if (!s->closing)
        (void)sess_settings(s, NULL); /* it cannot say anything new of values that were good before */
}

void sess_committed(struct sess *s, int64_t ts) {
    s->last_commit_ts = ts;
    ended(s, true);
}

enum rc sess_commit(struct sess *s, struct err *err) {
    int64_t ts = 0;
    enum rc rc = RC_OK;
    ilist_for_each(it, &s->portals)
        portal_stop(container_of(it, struct sess_portal, link));
    bool writes = s->txn && !s->reads_only_now;
    if (writes)
        rc = foreign_commit(s, err);
    if (writes && !rc)
        rc = ddl_confirm(s, err);
    bool asked = writes && !rc;
    if (asked)
        rc = txn_commit(s->txn, &ts, err);
    if (rc) {
        /* Unless it surely has not happened, what it made may be somebody's. */
        if (rc != RC_ABORTED && asked)
            forget_orphans(s, false);
        /* An aborted one may be repeated by whoever began it; otherwise it is over. */
        if (rc != RC_ABORTED || sess_in_block(s))
            sess_rollback(s);
        return rc;
    }
    if (ts)
        s->last_commit_ts = ts;
    else if (s->txn && s->reads_only_now)
        s->last_commit_ts = txn_read_ts(s->txn);
    ended(s, true);
    return RC_OK;
}

void sess_rollback(struct sess *s) {
    ended(s, false);
}

void sess_failed(struct sess *s) {
    if (s->state == SESS_IDLE) {
        sess_rollback(s);
        return;
    }
    s->state = SESS_FAILED;
    ilist_for_each(it, &s->portals)
        portal_stop(container_of(it, struct sess_portal, link));
    /* Without a savepoint there is nothing to come back to: locks need not wait for ROLLBACK. */
    if (s->savepoints == 0 && s->txn) {
        foreign_end(s);
        forget_txn(s);
        cat_change_end(s->change, false);
        s->change = NULL;
        s->path_version = 0;
    }
}

/* ---- savepoints -------------------------------------------------------------------------------------------------------------- */

static enum rc savepoint_new(struct sess *s, const char *name, struct err *err) {
    if (s->savepoints == SESS_SAVEPOINTS_MAX)
        return err_set(err, RC_LIMIT, "a transaction may have %d savepoints", SESS_SAVEPOINTS_MAX);
    enum rc rc = sess_txn(s, NULL, err);
    if (rc)
        return rc;
    if (s->savepoints == s->savepoint_cap) {
        size_t cap = s->savepoint_cap ? s->savepoint_cap * 2 : 8;
        struct savepoint *grown = realloc(s->savepoint, cap * sizeof *grown);
        if (!grown)
            return err_set(err, RC_NOMEM, "out of memory for a savepoint");
        s->savepoint = grown;
        s->savepoint_cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return err_set(err, RC_NOMEM, "out of memory for a savepoint");
    s->savepoint[s->savepoints++] = (struct savepoint){.name = copy,
                                                       .mark = s->reads_only_now ? 0 : txn_savepoint(s->txn),
                                                       .changes = cat_change_size(s->change),
                                                       .gucs = guc_mark(s->gucs)};
    return RC_OK;
}

static enum rc savepoint_find(struct sess *s, const char *name, size_t *ret, struct err *err) {
    for (size_t i = s->savepoints; i > 0; i--)
        if (strcmp(s->savepoint[i - 1].name, name) == 0) {
            *ret = i - 1;
            return RC_OK;
        }
    return err_sql(err, "3B001", "savepoint \"%.63s\" does not exist", name);
}

static enum rc savepoint_back(struct sess *s, const char *name, struct err *err) {
    size_t i;
    enum rc rc = savepoint_find(s, name, &i, err);
    if (rc)
        return rc;
    ilist_for_each(it, &s->portals)
        portal_stop(container_of(it, struct sess_portal, link));
    const struct savepoint *p = &s->savepoint[i];
    if (!s->reads_only_now && !env_mutant(s->e->env, "SQL-4: ROLLBACK TO leaves the rows"))
        rc = txn_rollback_to(s->txn, p->mark, err);
    if (rc)
        return rc;
    cat_change_cut(s->change, p->changes);
    s->path_version = 0;
    guc_rollback_to(s->gucs, p->gucs);
    forget_savepoints(s, i + 1);
    s->state = SESS_BLOCK;
    return sess_settings(s, err);
}

/* ---- statements ---------------------------------------------------------------------------------------------------------------- */

static const char *def_text(const PgQuery__DefElem *d) {
    const PgQuery__Node *n = d->arg;
    if (n && n->node_case == PG_QUERY__NODE__NODE_A_CONST && n->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        return n->a_const->sval->sval;
    return "";
}

static bool def_bool(const PgQuery__DefElem *d) {
    const PgQuery__Node *n = d->arg;
    if (!n)
        return true;
    if (n->node_case == PG_QUERY__NODE__NODE_A_CONST && n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        return n->a_const->ival->ival != 0;
    if (n->node_case == PG_QUERY__NODE__NODE_INTEGER)
        return n->integer->ival != 0;
    return n->node_case == PG_QUERY__NODE__NODE_BOOLEAN && n->boolean->boolval;
}

enum rc block_modes(struct sess *s, PgQuery__Node *const *option, size_t n, struct err *err) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        if (option[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
            continue;
        const PgQuery__DefElem *d = option[i]->def_elem;
        if (strcmp(d->defname, "transaction_isolation") == 0) {
            rc = guc_set(s->gucs, d->defname, def_text(d), GUC_LOCAL, err);
        } else if (strcmp(d->defname, "transaction_read_only") == 0) {
            bool on = def_bool(d);
            if (!on && s->read_only && s->block_statements > 0)
                return err_sql(err, "25001", "transaction read-write mode must be set before any query");
            if (on && s->txn && !s->reads_only_now) {
                s->read_only = true; /* what was read so far stays locked */
            } else {
                s->read_only = on;
                if (s->txn && s->block_statements == 0) {
                    txn_free(s->txn);
                    s->txn = NULL;
                }
            }
            rc = guc_set(s->gucs, d->defname, on ? "on" : "off", GUC_LOCAL, err);
        } else if (strcmp(d->defname, "transaction_deferrable") == 0) {
            rc = guc_set(s->gucs, d->defname, def_bool(d) ? "on" : "off", GUC_LOCAL, err);
        }
    }
    return rc;
}

static enum rc begin(struct sess *s, PgQuery__Node *const *option, size_t n, struct err *err) {
    s->state = SESS_BLOCK;
    s->begin_us = s->statement_us;
    s->env.now_us = s->types.now = s->begin_us;
    s->read_only = s->default_read_only;
    enum rc rc = guc_set(s->gucs, "transaction_read_only", s->read_only ? "on" : "off", GUC_LOCAL, err);
    if (!rc)
        rc = guc_set(s->gucs, "transaction_isolation", guc_get(s->gucs, "default_transaction_isolation"), GUC_LOCAL,
                     err);
    return rc ? rc : block_modes(s, option, n, err);
}

static enum rc end(struct sess *s, bool commit, bool chain, char tag[static 64], struct err *err) {
    bool read_only = s->read_only, was_block = sess_in_block(s);
    enum rc rc = RC_OK;
    if (!was_block && chain)
        return err_sql(err, "25P01", "%s AND CHAIN can only be used in transaction blocks",
                       commit ? "COMMIT" : "ROLLBACK");
    if (!was_block)
        sess_notice(s, "WARNING", "25P01", "there is no transaction in progress");
    if (!commit || s->state == SESS_FAILED) {
        snprintf(tag, 64, "ROLLBACK");
        sess_rollback(s);
    } else {
        snprintf(tag, 64, "COMMIT");
        rc = sess_commit(s, err);
    }
    if (!rc && chain) {
        rc = begin(s, NULL, 0, err);
        s->read_only = read_only;
    }
    return rc;
}

enum rc block_statement(struct sess *s, const PgQuery__TransactionStmt *t, char tag[static 64], struct err *err) {
    size_t i;
    switch (t->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
        snprintf(tag, 64, t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN ? "BEGIN" : "START TRANSACTION");
        if (sess_in_block(s)) {
            sess_notice(s, "WARNING", "25001", "there is already a transaction in progress");
            return block_modes(s, t->options, t->n_options, err);
        }
        /* What came before it in the same request belongs to the block. */
        return begin(s, t->options, t->n_options, err);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
        return end(s, true, t->chain, tag, err);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
        return end(s, false, t->chain, tag, err);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
        snprintf(tag, 64, "SAVEPOINT");
        if (!sess_in_block(s))
            return err_sql(err, "25P01", "SAVEPOINT can only be used in transaction blocks");
        return savepoint_new(s, t->savepoint_name, err);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE: {
        snprintf(tag, 64, "RELEASE");
        if (!sess_in_block(s))
            return err_sql(err, "25P01", "RELEASE SAVEPOINT can only be used in transaction blocks");
        enum rc rc = savepoint_find(s, t->savepoint_name, &i, err);
        if (!rc)
            forget_savepoints(s, i);
        return rc;
    }
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        snprintf(tag, 64, "ROLLBACK");
        if (!sess_in_block(s))
            return err_sql(err, "25P01", "ROLLBACK TO SAVEPOINT can only be used in transaction blocks");
        return savepoint_back(s, t->savepoint_name, err);
    default:
        return err_set(err, RC_UNSUPPORTED,
                       "PREPARE TRANSACTION is not supported: commits over several tablets are atomic already");
    }
}
