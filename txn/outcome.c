/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/outcome.h"

#include <stdlib.h>

void outcomes_init(struct outcomes *t) {
    *t = (struct outcomes){.horizon = INT64_MIN, .token_horizon = INT64_MIN};
    map_init(&t->by_id);
    map_init(&t->by_token);
    ilist_init(&t->all);
}

void outcome_drop(struct outcomes *t, struct outcome *o) {
    map_del(&t->by_id, &o->by_id);
    if (o->committed && token_is_set(&o->token))
        map_del(&t->by_token, &o->by_token);
    ilist_del(&o->all);
    ilist_del(&o->resend);
    spans_done(&o->parts);
    spans_done(&o->need);
    free(o->anchor);
    free(o);
    t->count--;
}

void outcomes_done(struct outcomes *t) {
    ilist_for_each(it, &t->all)
        outcome_drop(t, ilist_entry(it, struct outcome, all));
    map_done(&t->by_id);
    map_done(&t->by_token);
}

struct outcome *outcome_find(const struct outcomes *t, const struct txn_id *id) {
    for (struct map_node *n = map_first(&t->by_id, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct outcome, by_id)->ref.id, id))
            return container_of(n, struct outcome, by_id);
    return NULL;
}

struct outcome *outcome_find_token(const struct outcomes *t, const struct txn_token *token) {
    for (struct map_node *n = map_first(&t->by_token, txn_id_hash(&token->id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct outcome, by_token)->token.id, &token->id))
            return container_of(n, struct outcome, by_token);
    return NULL;
}

enum rc outcome_add(struct outcomes *t, const struct txn_record *r, struct outcome **ret) {
    struct outcome *o = outcome_find(t, &r->ref.id);
    if (o) {
        *ret = o;
        return RC_OK;
    }
    o = calloc(1, sizeof *o);
    if (!o)
        return RC_NOMEM;
    ilist_init(&o->all);
    ilist_init(&o->resend);
    spans_init(&o->parts);
    spans_init(&o->need);
    o->ref = r->ref;
    o->committed = r->type == TXN_REC_COMMIT;
    o->s = o->committed ? r->s : 0;
    o->token = r->token;
    o->why = r->why;
    o->anchor = malloc(r->anchor.n + 1);
    enum rc rc = o->anchor ? RC_OK : RC_NOMEM;
    if (!rc && r->anchor.n)
        memcpy(o->anchor, r->anchor.p, r->anchor.n);
    o->anchor_bytes = r->anchor.n;
    for (size_t i = 0; i < r->n_parts && o->committed && !rc; i++)
        rc = spans_add(&o->parts, &r->parts[i].span);
    if (rc) {
        spans_done(&o->parts);
        free(o->anchor);
        free(o);
        return rc;
    }
    o->settled = o->parts.count == 0;
    map_put(&t->by_id, &o->by_id, txn_id_hash(&o->ref.id));
    if (o->committed && token_is_set(&o->token))
        map_put(&t->by_token, &o->by_token, txn_id_hash(&o->token.id));
    ilist_push_back(&t->all, &o->all);
    t->count++;
    *ret = o;
    return RC_OK;
}

void outcome_settle(struct outcome *o) {
    o->settled = true;
    ilist_del(&o->resend);
    spans_done(&o->parts);
    spans_done(&o->need);
}

bool outcome_forgettable(const struct outcomes *t, const struct outcome *o, int64_t horizon, int64_t token_horizon) {
    horizon = horizon > t->horizon ? horizon : t->horizon;
    token_horizon = token_horizon > t->token_horizon ? token_horizon : t->token_horizon;
    bool token_needs_it = o->committed && token_is_set(&o->token) && o->token.deadline >= token_horizon;
    return o->settled && o->ref.began < horizon && !token_needs_it;
}

void outcomes_forget(struct outcomes *t, int64_t horizon, int64_t token_horizon) {
    t->horizon = horizon > t->horizon ? horizon : t->horizon;
    t->token_horizon = token_horizon > t->token_horizon ? token_horizon : t->token_horizon;
    ilist_for_each(it, &t->all) {
        struct outcome *o = ilist_entry(it, struct outcome, all);
        if (outcome_forgettable(t, o, horizon, token_horizon))
            outcome_drop(t, o);
    }
}
