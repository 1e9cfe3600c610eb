/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_split.c: a site in two halves, when its tablet is split.
 *
 * The site is cut when the right half's first slot is made (split_right): from then on this host ends at the key. Until the left
 * half's slot is applied the tablet still calls itself by its old generation, so requests are compared with the site's
 * (serve.c) and go round for that while. Who waits for a lock goes round too, and asks the half that has it now.
 */
#include <stdlib.h>

#include "txn/host_internal.h"

/* ---- before --------------------------------------------------------------------------------------------------------- */

enum rc host_split_begin(void *state, struct mvcc_bytes key, struct err *err) {
    struct txn_host *h = state;
    if (!host_leads(h) || h->split_begun)
        return err_set(err, RC_NOT_LEADER, "tablet %llu: a split has begun, or it leads no more",
                       (unsigned long long)h->id);
    struct txn_facts f = host_facts(h);
    h->split_begun = true;
    site_split_begin(h->site, (struct txn_key){key.p, key.n}, &f);
    host_drain(h);
    return RC_OK;
}

void host_split_cancel(void *state) {
    struct txn_host *h = state;
    struct txn_facts f = host_facts(h);
    if (!h->split_begun || !site_leads(h->site))
        return;
    h->split_begun = false;
    site_split_cancel(h->site, &f);
    host_drain(h);
}

/* ---- what belongs to the right half ----------------------------------------------------------------------------------- */

struct ids {
    struct txn_id *v;
    size_t n, cap;
    bool nomem;
};

static void add_id(struct ids *ids, const struct txn_id *id) {
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? 2 * ids->cap : 64;
        struct txn_id *v = realloc(ids->v, cap * sizeof *v);
        if (!v) {
            ids->nomem = true;
            return;
        }
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = *id;
}

static void take_prepared(void *ctx, const struct txn_id *id, bool prepared) {
    if (prepared)
        add_id(ctx, id);
}

static void take_outcome(void *ctx, const struct txn_id *id, bool prepared) {
    if (!prepared)
        add_id(ctx, id);
}

/* Sections of h's tablet, between begin and end of its slot, for what `of` knows. */
static enum rc keep_all(struct txn_host *h, const struct site *of, struct err *err) {
    struct ids prepared = {NULL, 0, 0, false}, outcomes = {NULL, 0, 0, false};
    site_each(of, take_prepared, &prepared);
    site_each(of, take_outcome, &outcomes);
    enum rc rc = prepared.nomem || outcomes.nomem ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
    for (size_t i = 0; i < prepared.n && !rc; i++)
        rc = host_keep_prepared(h, &prepared.v[i], err);
    for (size_t i = 0; i < outcomes.n && !rc; i++) {
        rc = host_keep_outcome(h, &outcomes.v[i], err);
        arena_reset(&h->scratch);
    }
    free(prepared.v);
    free(outcomes.v);
    return rc;
}

/* Both halves begin with what the transaction had written: its commit writes on each side what lies there. */
static void copy_guests(struct txn_host *h, struct txn_host *right) {
    map_for_each(it, &h->guests) {
        const struct guest *g = container_of(it, struct guest, node);
        if (guest_copy(right, g) != RC_OK) {
            struct guest *there = guest_get(right, &g->id);
            if (there)
                there->broken = true; /* it may not commit */
            else
                site_lead_end(right->site); /* nor anybody else: the right half begins without its leader's memory */
        }
    }
}

/* Who waits for a lock may have to ask the other half. */
static void send_round(struct txn_host *h, struct txn_host *right, const struct txn_facts *f) {
    map_for_each(it, &h->waits) {
        struct host_wait *w = container_of(it, struct host_wait, node);
        if (w->done.set)
            continue;
        site_cancel(h->site, &w->id, w->request, f);
        site_cancel(right->site, &w->id, w->request, f);
        event_set(&w->done, RC_MOVED);
    }
}

static enum rc cut(struct txn_host *h, struct mvcc_bytes key, uint64_t generation, struct tablet *right,
                   struct txn_host **ret, struct err *err) {
    struct txn_facts f = host_facts(h);
    struct txn_host *r = host_new(h->all, right);
    if (!r)
        return err_set(err, RC_NOMEM, "out of memory");
    bool leads = site_leads(h->site);
    if (leads && !h->split_begun) { /* another leader began it */
        site_split_begin(h->site, (struct txn_key){key.p, key.n}, &f);
        host_drain(h);
    }
    enum rc rc = site_split(h->site, (struct txn_key){key.p, key.n}, generation, generation, &f, &r->site, err);
    h->split_begun = false;
    if (rc) {
        host_drop(r);
        return rc;
    }
    site_set_ctx(r->site, r);
    r->next_request = h->next_request;
    if (site_leads(r->site))
        copy_guests(h, r);
    send_round(h, r, &f);
    *ret = r;
    return RC_OK;
}

enum rc host_split_right(void *state, struct mvcc_bytes key, uint64_t generation, struct tablet *right,
                         void **ret_right, struct err *err) {
    struct txn_host *h = state, *r;
    enum rc rc = cut(h, key, generation, right, &r, err);
    if (rc)
        return rc;
    rc = keep_all(r, r->site, err);
    if (!rc)
        rc = host_keep_horizons(r, err);
    if (!rc)
        rc = pieces_copy(h, r, err);
    if (rc) {
        host_drop(r);
        return rc;
    }
    h->cut_for = generation;
    *ret_right = r;
    return RC_OK;
}

/* Which of the left half's sections have nothing in the site any more: the sections themselves say. */
static enum rc on_name(const char *name, struct mvcc_bytes bytes, void *ctx, struct err *err) {
    struct ids *ids = ctx;
    struct txn_id id;
    (void)bytes;
    if (host_section_id(name, &id))
        add_id(ids, &id);
    return ids->nomem ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

static enum rc drop_gone(struct txn_host *h, char what, struct err *err) {
    struct ids ids = {NULL, 0, 0, false};
    char prefix[] = {'t', 'x', 'n', '/', what, '/', '\0'};
    enum rc rc = mvcc_sections(tablet_mvcc(h->tablet), prefix, on_name, &ids, err);
    for (size_t i = 0; i < ids.n && !rc; i++) {
        struct txn_record r;
        enum rc has =
            what == 'p' ? site_prepared(h->site, &ids.v[i], &r) : site_outcome(h->site, &ids.v[i], &h->scratch, &r);
        arena_reset(&h->scratch);
        if (has == RC_NOMEM)
            rc = err_set(err, has, "out of memory");
        else if (what == 'p') /* also those that stay: their locks were cut */
            rc = host_keep_prepared(h, &ids.v[i], err);
        else if (has == RC_NOTFOUND)
            rc = host_keep_outcome(h, &ids.v[i], err);
    }
    free(ids.v);
    return rc;
}

enum rc host_split_left(void *state, px_slot slot, struct mvcc_bytes key, uint64_t generation, struct err *err) {
    struct txn_host *h = state;
    enum rc rc = RC_OK;
    (void)slot;
    if (h->cut_for != generation) { /* the right half is there already: what is known of it here goes */
        struct site *right;
        struct txn_facts f = host_facts(h);
        if (site_leads(h->site) && !h->split_begun)
            site_split_begin(h->site, (struct txn_key){key.p, key.n}, &f);
        rc = site_split(h->site, (struct txn_key){key.p, key.n}, generation, generation, &f, &right, err);
        h->split_begun = false;
        if (rc)
            return rc;
        site_free(right);
    }
    h->cut_for = 0;
    arena_reset(&h->scratch);
    rc = drop_gone(h, 'p', err);
    return rc ? rc : drop_gone(h, 'o', err);
}
