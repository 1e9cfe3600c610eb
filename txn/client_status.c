/* SPDX-License-Identifier: Apache-2.0 */
/* client_status.c: commit tokens: what became of a commit whose answer was lost (N-15). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "txn/client_internal.h"

enum { TOKEN_BYTES_MAX = 128, TRIES_MAX = 10000 };
static const int64_t PAUSE_NS = 50000000, TRY_NS = 2000000000;

/* ---- as text --------------------------------------------------------------------------------------------------------------- */

void txn_token_print(const struct txn_token *token, struct buf *to) {
    char name[TXN_NAME_BYTES];
    buf_printf(to, "%s@%" PRId64, txn_id_name(&token->id, name), token->deadline);
}

enum rc txn_token_parse(const char *text, size_t bytes, struct txn_token *ret, struct err *err) {
    char copy[TOKEN_BYTES_MAX];
    uint64_t node, store, incarnation, counter;
    int64_t deadline;
    int end = 0;
    if (bytes < sizeof copy) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
        if (sscanf(copy, "%10" SCNu64 ".%5" SCNu64 ":%20" SCNu64 ":%20" SCNu64 "@%20" SCNd64 "%n", &node, &store,
                   &incarnation, &counter, &deadline, &end) == 5 &&
            (size_t)end == bytes && node <= UINT32_MAX && store <= UINT16_MAX && deadline > 0) {
            *ret = (struct txn_token){{node << 16 | store, incarnation, counter}, deadline};
            return RC_OK;
        }
    }
    err_set(err, RC_INVAL, "not a commit token");
    err_hint(err, "A token looks like 3.0:7:1042@1732550000000000000.");
    return RC_INVAL;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------------ */

static enum rc ask_tablet(struct txn_client *c, const struct route *r, const struct txn_token *token, int64_t deadline,
                          enum txn_verdict *ret, int64_t *ret_ts, struct err *err) {
    struct arena a;
    ProtobufCMessage *m = NULL;
    arena_init(&a, 0);
    Serve__StatusAsk *ask = arena_new(&a, Serve__StatusAsk);
    if (!ask)
        return err_set(err, RC_NOMEM, "out of memory");
    serve__status_ask__init(ask);
    ask->tablet = r->tablet;
    ask->generation = r->generation;
    ask->gateway = token->id.gateway;
    ask->incarnation = token->id.incarnation;
    ask->counter = token->id.counter;
    ask->deadline = token->deadline;
    int64_t until = reactor_deadline(c->reactor, TRY_NS); /* asking twice does no harm */
    enum rc rc = rpc_call(c->store->rpc, px_store_addr(r->store), HOST_TYPE_STATUS, &ask->base, &a,
                          until < deadline ? until : deadline, &m, err);
    if (!rc) {
        const Serve__Status *s = (const Serve__Status *)m;
        *ret = s->verdict < TXN_VERDICTS ? (enum txn_verdict)s->verdict : TXN_UNDECIDED;
        *ret_ts = s->ts;
    }
    arena_done(&a);
    return rc;
}

/* The tablet that holds key; moved, away, without a leader: again. */
static enum rc ask_owner(struct txn_client *c, struct key key, const struct txn_token *token, int64_t deadline,
                         struct arena *a, struct route *r, enum txn_verdict *ret, int64_t *ret_ts, struct err *err) {
    for (uint32_t turn = 0;; turn++) {
        enum rc rc = route_find(c, key, turn, deadline, a, r, err);
        if (!rc)
            rc = ask_tablet(c, r, token, deadline, ret, ret_ts, err);
        if (rc != RC_MOVED && !rc_did_nothing(rc) && rc != RC_CLOSED && rc != RC_TIMEOUT)
            return rc;
        route_failed(c, r, rc, 0);
        if (turn == TRIES_MAX || env_now_ns(c->env) + PAUSE_NS >= deadline)
            return rc;
        rc = fiber_sleep(c->reactor, PAUSE_NS);
        if (rc)
            return err_set(err, rc, "%s", rc_text(rc));
    }
}

/* A token does not say where its anchor is, so every tablet is asked; one that knows is enough. */
enum rc txn_status(struct txn_client *c, const struct txn_token *token, int64_t deadline, enum txn_verdict *ret,
                   int64_t *ret_ts, struct err *err) {
    enum txn_verdict all = TXN_ABORTED;
    struct arena a;
    struct key key = {NULL, 0};
    enum rc rc = RC_OK;
    int64_t ts = 0;
    arena_init(&a, 0);
    counter_inc(&c->stats.by_token);
    for (;;) {
        enum txn_verdict one = TXN_UNDECIDED;
        struct route r = {0};
        rc = ask_owner(c, key, token, deadline, &a, &r, &one, &ts, err);
        if (rc)
            break;
        if (one == TXN_COMMITTED || one == TXN_EXPIRED || (one == TXN_UNDECIDED && all == TXN_ABORTED))
            all = one;
        if (all == TXN_COMMITTED || !r.range.end.bytes)
            break;
        key = r.range.end;
    }
    arena_done(&a);
    if (rc)
        return rc;
    *ret = all;
    *ret_ts = all == TXN_COMMITTED ? ts : 0;
    return RC_OK;
}
