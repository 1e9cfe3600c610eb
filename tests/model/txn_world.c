/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/txn_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/base/map.h"
#include "txn/outcome.h"

enum {
    KEYS = 24, /* registers below LISTS, lists from there on */
    LISTS = 16,
    TABLETS_MAX = 10,
    GATEWAYS_MAX = 4,
    CLIENTS = 4, /* of a gateway */
    MSGS_MAX = 8192,
    PENDING_MAX = 64,
    OPS_MAX = 5,
    PARTS_MAX = 16,
    PROBES_MAX = 64,
};
static const int64_t MS = 1000000, SECOND = 1000000000, EPOCH = INT64_C(1767225600000000000);

/* ---- what there is ----------------------------------------------------------------------------------------------- */

struct version {
    int64_t ts, value;
};

struct entry {
    uint8_t *bytes; /* NULL: a split at split_key */
    size_t n;
    int64_t ts;
    int64_t chosen_at;
    int split_key;
};

/* A request whose fragment waits for a lock. */
struct pending {
    bool used;
    struct txn_id id;
    uint64_t request;
    uint64_t reply_to; /* number of the client's question */
    int op, key, last, stage;
    int64_t value;
};

struct overlay_write {
    struct txn_id id;
    uint64_t term;
    int key;
    int64_t value;
};

struct tw;

struct tablet {
    struct tw *w;
    bool used;
    int lo, hi; /* keys lo..hi */
    uint64_t generation, term;
    struct site *site;
    bool opening;
    int64_t open_after; /* the clock must have passed this first */
    int64_t lease_end, floor;
    int64_t err_lo, err_hi, tt_lo, tt_hi;
    struct entry *log;
    size_t entries, cap, applied;
    uint8_t *snap; /* the state after snap_applied entries */
    size_t snap_bytes, snap_applied;
    int snap_hi;
    uint64_t snap_generation;
    struct pending pending[PENDING_MAX];
    int splitting; /* key, or -1 */
};

enum w_kind { W_TXN, W_REQ, W_RESP, W_ALIVE, W_READ };

struct w_msg {
    enum w_kind kind;
    int64_t due;
    int key;          /* to the tablet that owns it, or -1: */
    uint64_t gateway; /* to this one */
    uint8_t *bytes;   /* W_TXN */
    size_t n;
    /* W_REQ, W_RESP, W_READ, W_ALIVE */
    struct txn_ref ref;
    uint32_t seq;
    int op, op_key, op_last;
    int64_t value, ts;
    uint64_t question;
    bool ok, wrote;
    int lo, hi;
    uint64_t generation, term;
    int64_t values[KEYS];
    int64_t list[256];
    size_t list_count;
};

enum op_kind { OP_READ, OP_RMW, OP_WRITE, OP_APPEND, OP_LIST, OP_RANGE, OP_KINDS };

struct c_part {
    int lo, hi;
    uint64_t generation, term;
    uint32_t requests;
    bool writes;
};

enum c_state { C_IDLE, C_RUNNING, C_COMMITTING };

struct client {
    enum c_state state;
    struct txn_ref ref;
    struct txn_age age; /* kept over retries */
    bool retry, read_only;
    uint32_t hist;
    int ops, op, op_kind[OPS_MAX], op_key[OPS_MAX], op_last[OPS_MAX];
    int64_t op_value[OPS_MAX];
    struct c_part part[PARTS_MAX];
    int parts, anchor;
    uint64_t question;
    int64_t asked, began, s_read;
    struct txn_token token;
};

struct gateway {
    uint64_t store, incarnation, counter;
    int64_t err_lo, err_hi, tt_lo, tt_hi;
    struct client client[CLIENTS];
};

/* What the observer knows of an attempt. */
struct fate {
    struct map_node by_id;
    struct txn_id id;
    bool committed, aborted, voted;
    int64_t s;
    struct txn_window window;
};

struct unresolved {
    uint32_t hist;
    struct txn_token token;
};

struct tw {
    struct tw_conf conf;
    struct chaos chaos;
    struct rng rng;
    int64_t now;
    bool calm;
    struct tablet tablet[TABLETS_MAX];
    struct gateway gateway[GATEWAYS_MAX];
    struct w_msg *msg;
    size_t msgs;
    struct version *data[KEYS];
    size_t versions[KEYS], version_cap[KEYS];
    struct overlay_write *overlay;
    size_t overlays, overlay_cap;
    struct map fates;
    struct history *history;
    struct unresolved *unresolved;
    size_t unresolved_count, unresolved_cap;
    uint64_t generations, terms, questions, values, steps;
    struct tw_stats stats;
    char broken[1400];
    const char *probe[PROBES_MAX];
    uint64_t probe_hits[PROBES_MAX];
    size_t probes;
};

static void break_(struct tw *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void break_(struct tw *w, const char *fmt, ...) {
    va_list ap;
    if (w->broken[0])
        return;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
}

/* ---- chaos ------------------------------------------------------------------------------------------------------- */

static bool no_chance(struct chaos *c, const char *place) {
    (void)c, (void)place;
    return false;
}

static bool is_mutant(struct chaos *c, const char *rule) {
    struct tw *w = container_of(c, struct tw, chaos);
    return w->conf.mutant && strcmp(w->conf.mutant, rule) == 0;
}

static void probe(struct chaos *c, const char *what) {
    struct tw *w = container_of(c, struct tw, chaos);
    size_t i = 0;
    while (i < w->probes && strcmp(w->probe[i], what) != 0)
        i++;
    if (i == w->probes && i < PROBES_MAX)
        w->probe[w->probes++] = what;
    if (i < PROBES_MAX)
        w->probe_hits[i]++;
}

void tw_probes(const struct tw *w, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx) {
    for (size_t i = 0; i < w->probes; i++)
        fn(ctx, w->probe[i], w->probe_hits[i]);
}

static const struct chaos_ops chaos_ops = {no_chance, is_mutant, probe};

static bool mutant(struct tw *w, const char *rule) {
    return is_mutant(&w->chaos, rule);
}

/* ---- clocks, keys ------------------------------------------------------------------------------------------------ */

static tt_interval clock_of(struct tw *w, int64_t err_lo, int64_t err_hi, int64_t *lo, int64_t *hi) {
    *lo = ts_max(*lo, EPOCH + w->now - err_lo);
    *hi = ts_max(*hi, EPOCH + w->now + err_hi);
    return (tt_interval){*lo, *hi};
}

static tt_interval tablet_now(struct tw *w, struct tablet *t) {
    return clock_of(w, t->err_lo, t->err_hi, &t->tt_lo, &t->tt_hi);
}

static tt_interval gateway_now(struct tw *w, struct gateway *g) {
    return clock_of(w, g->err_lo, g->err_hi, &g->tt_lo, &g->tt_hi);
}

static struct txn_facts facts_of(struct tw *w, struct tablet *t) {
    struct txn_facts f = {.mono_ns = w->now, .tt = tablet_now(w, t), .floor = t->floor, .schema_until = INT64_MAX};
    if (!t->opening && t->lease_end > f.tt.latest)
        f.lease_end = t->lease_end;
    return f;
}

struct key_bytes {
    uint8_t b[4];
};

/* Keys lo..hi, both included; the last tablet's range has no end. */
static struct txn_span span_of(int lo, int hi, bool point, struct key_bytes *k) {
    k->b[0] = (uint8_t)(lo + 1);
    k->b[1] = 0;
    k->b[2] = (uint8_t)(hi + 2);
    if (point)
        return (struct txn_span){{k->b, 1}, {k->b, 2}};
    return (struct txn_span){{k->b, 1}, {k->b + 2, 1}};
}

static int key_at(struct txn_key k) {
    return k.n ? k.p[0] - 1 : 0;
}

static struct tablet *owner_of(struct tw *w, int key) {
    for (int i = 0; i < TABLETS_MAX; i++)
        if (w->tablet[i].used && w->tablet[i].lo <= key && key <= w->tablet[i].hi)
            return &w->tablet[i];
    CHECK(false);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void post(struct tw *w, struct w_msg *m) {
    if (w->msgs == MSGS_MAX || (!w->calm && rng_chance(&w->rng, w->conf.loss))) {
        free(m->bytes);
        return;
    }
    int64_t soonest = ts_max(w->now, m->due);
    m->due = soonest + rng_range(&w->rng, 100000, 8 * MS);
    if (!w->calm && rng_chance(&w->rng, w->conf.late))
        m->due += rng_range(&w->rng, 0, 4 * SECOND);
    w->msg[w->msgs++] = *m;
    if (!w->calm && w->msgs < MSGS_MAX && rng_chance(&w->rng, w->conf.duplicate)) {
        struct w_msg twice = *m;
        if (m->bytes) {
            twice.bytes = malloc(m->n + 1);
            memcpy(twice.bytes, m->bytes, m->n);
        }
        twice.due = soonest + rng_range(&w->rng, 0, rng_chance(&w->rng, 0.3) ? 6 * SECOND : 20 * MS);
        w->msg[w->msgs++] = twice;
    }
}

static void post_txn(struct tw *w, const uint8_t *bytes, size_t n, int key, uint64_t gateway, int64_t not_before) {
    struct w_msg m = {.kind = W_TXN, .due = not_before, .key = key, .gateway = gateway, .n = n};
    m.bytes = malloc(n + 1);
    memcpy(m.bytes, bytes, n);
    post(w, &m);
}

static void post_msg(struct tw *w, const struct txn_msg *m, int key) {
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, 0);
    CHECK(txn_msg_encode(m, &a, &b) == RC_OK);
    post_txn(w, b.data, b.len, key, 0, 0);
    buf_done(&b);
    arena_done(&a);
}

/* ---- the observer ------------------------------------------------------------------------------------------------ */

static struct fate *fate_of(struct tw *w, const struct txn_id *id) {
    for (struct map_node *n = map_first(&w->fates, txn_id_hash(id)); n; n = map_next(n))
        if (txn_id_eq(&container_of(n, struct fate, by_id)->id, id))
            return container_of(n, struct fate, by_id);
    struct fate *f = calloc(1, sizeof *f);
    CHECK(f);
    f->id = *id;
    f->window = (struct txn_window){INT64_MIN, INT64_MAX};
    map_put(&w->fates, &f->by_id, txn_id_hash(id));
    return f;
}

static void observe_vote(struct tw *w, const struct txn_msg *m) {
    struct fate *f = fate_of(w, &m->ref.id);
    if (m->verdict == TXN_COMMITTED) {
        f->window = ts_meet(f->window, (struct txn_window){m->s_min, m->s_allowed});
        f->voted = true;
    }
}

static void observe_record(struct tw *w, struct tablet *t, const struct txn_record *r) {
    struct fate *f = fate_of(w, &r->ref.id);
    char name[TXN_NAME_BYTES];
    if (r->type == TXN_REC_COMMIT && r->generation == t->generation) {
        if (f->aborted)
            break_(w, "INV-2PC: %s commits after it was aborted", txn_id_name(&r->ref.id, name));
        if (f->committed && f->s != r->s)
            break_(w, "INV-2PC: %s commits twice", txn_id_name(&r->ref.id, name));
        if (f->voted && (r->s < f->window.min || r->s > f->window.max))
            break_(w, "A2: %s commits at %lld, outside of [%lld, %lld]", txn_id_name(&r->ref.id, name),
                   (long long)(r->s - EPOCH), (long long)(f->window.min - EPOCH), (long long)(f->window.max - EPOCH));
        if (token_is_set(&r->token) && r->s > r->token.deadline)
            break_(w, "N-15: %s commits after its deadline", txn_id_name(&r->ref.id, name));
        f->committed = true;
        f->s = r->s;
    } else if (r->type == TXN_REC_OUTCOME && r->committed) {
        if (!f->committed || f->s != r->s)
            break_(w, "INV-2PC: a participant commits %s at another time or alone", txn_id_name(&r->ref.id, name));
    } else if (r->type == TXN_REC_OUTCOME) {
        if (f->committed)
            break_(w, "INV-2PC: a participant aborts %s, which has committed", txn_id_name(&r->ref.id, name));
    } else if (r->type == TXN_REC_ABORT && !f->committed) {
        f->aborted = true;
    }
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static void write_version(struct tw *w, int key, int64_t ts, int64_t value) {
    struct version *v = w->versions[key] ? &w->data[key][w->versions[key] - 1] : NULL;
    if (v && v->ts >= ts)
        break_(w, "S-1: key %d gets a version at %lld behind one at %lld", key, (long long)(ts - EPOCH),
               (long long)(v->ts - EPOCH));
    if (ts >= EPOCH + w->now)
        break_(w, "INV-CW: a version at %lld is visible at %lld", (long long)(ts - EPOCH), (long long)w->now);
    if (w->versions[key] == w->version_cap[key]) {
        w->version_cap[key] = w->version_cap[key] ? w->version_cap[key] * 2 : 64;
        w->data[key] = realloc(w->data[key], w->version_cap[key] * sizeof(struct version));
        CHECK(w->data[key]);
    }
    w->data[key][w->versions[key]++] = (struct version){ts, value};
}

static void write_images(struct tw *w, struct tablet *t, int64_t ts, struct txn_bytes images) {
    CHECK(images.n % 9 == 0);
    for (size_t i = 0; i < images.n; i += 9) {
        int key = images.p[i];
        if (key >= t->lo && key <= t->hi)
            write_version(w, key, ts, (int64_t)get_u64le(images.p + i + 1));
    }
}

/* The last write to each key, of what the transaction wrote under this leader in its range. Lists: every append. */
static void overlay_writes(void *ctx, const struct txn_id *id, struct buf *to) {
    struct tablet *t = ctx;
    struct tw *w = t->w;
    for (size_t i = 0; i < w->overlays; i++) {
        struct overlay_write *o = &w->overlay[i];
        bool last = true;
        if (!txn_id_eq(&o->id, id) || o->term != t->term || o->key < t->lo || o->key > t->hi)
            continue;
        for (size_t k = i + 1; k < w->overlays; k++)
            last = last &&
                   !(w->overlay[k].key == o->key && w->overlay[k].term == o->term && txn_id_eq(&w->overlay[k].id, id));
        if (!last)
            continue;
        buf_putc(to, (uint8_t)o->key);
        buf_put_u64le(to, (uint64_t)o->value);
    }
}

static void overlay_drop(struct tw *w, const struct txn_id *id, uint64_t term, int lo, int hi) {
    size_t n = 0;
    for (size_t i = 0; i < w->overlays; i++) {
        struct overlay_write *o = &w->overlay[i];
        bool drop = o->term == term && o->key >= lo && o->key <= hi && (!id || txn_id_eq(&o->id, id));
        if (!drop)
            w->overlay[n++] = *o;
    }
    w->overlays = n;
}

static void overlay_add(struct tw *w, const struct txn_id *id, uint64_t term, int key, int64_t value) {
    if (w->overlays == w->overlay_cap) {
        w->overlay_cap = w->overlay_cap ? w->overlay_cap * 2 : 64;
        w->overlay = realloc(w->overlay, w->overlay_cap * sizeof *w->overlay);
        CHECK(w->overlay);
    }
    w->overlay[w->overlays++] = (struct overlay_write){*id, term, key, value};
}

/* ---- a tablet's life --------------------------------------------------------------------------------------------- */

static void site_init_of(struct tw *w, struct tablet *t, int lo, int hi, uint64_t generation, struct site_init *ret,
                         struct key_bytes *k) {
    *ret = (struct site_init){.generation = generation, .seed = w->conf.seed, .chaos = &w->chaos};
    ret->range = span_of(lo, hi, false, k);
    if (hi == KEYS - 1)
        ret->range.end.n = 0;
    if (lo == 0)
        ret->range.start.n = 0;
    ret->writes = overlay_writes;
    ret->ctx = t;
    ret->limits.ask_ns = 400 * MS;
    ret->limits.retry_ns = 150 * MS;
    ret->limits.vote_ns = 3 * SECOND;
    ret->limits.remember_ns = 4 * SECOND;
    ret->limits.lock.silent_ns = 2 * SECOND;
}

static void log_add(struct tablet *t, struct entry e) {
    if (t->entries == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->log = realloc(t->log, t->cap * sizeof *t->log);
        CHECK(t->log);
    }
    t->log[t->entries++] = e;
}

static void wander(struct tw *w, int64_t *lo, int64_t *hi) {
    *lo = rng_range(&w->rng, 1000, w->conf.clock_error_ns);
    *hi = rng_range(&w->rng, 1000, w->conf.clock_error_ns);
}

static void snapshot(struct tablet *t) {
    struct buf b;
    buf_init(&b, 0);
    CHECK(site_save(t->site, &b) == RC_OK);
    free(t->snap);
    t->snap = malloc(b.len + 1);
    CHECK(t->snap);
    if (b.len)
        memcpy(t->snap, b.data, b.len);
    t->snap_bytes = b.len;
    t->snap_applied = t->applied;
    t->snap_hi = t->hi;
    t->snap_generation = t->generation;
    buf_done(&b);
}

/* Entry i on a site that does not lead, without effects: they are there already. */
static void replay_entry(struct tw *w, struct tablet *t, struct site *s, const struct entry *e, uint64_t generation) {
    struct txn_facts f = {.mono_ns = w->now, .tt = tablet_now(w, t), .schema_until = INT64_MAX};
    struct site_effect effect;
    struct txn_record r;
    struct arena a;
    struct err err = {0};
    if (!e->bytes) {
        struct site *right;
        uint8_t key = (uint8_t)(e->split_key + 1);
        CHECK(site_split(s, (struct txn_key){&key, 1}, generation, generation, &f, &right, &err) == RC_OK);
        site_free(right);
        return;
    }
    arena_init(&a, 0);
    CHECK(txn_record_decode(e->bytes, e->n, &a, &r, &err) == RC_OK);
    if (r.type == TXN_REC_COMMIT)
        r.s = e->ts;
    enum rc rc = site_apply(s, &r, e->ts, &f, &effect, &err);
    if (rc)
        break_(w, "replay: %s", err_message(&err));
    arena_done(&a);
}

/* A replica built from the last snapshot and the log. */
static struct site *rebuild(struct tw *w, struct tablet *t) {
    struct site_init init;
    struct key_bytes k;
    struct site *s;
    struct err err = {0};
    site_init_of(w, t, t->lo, t->snap_hi, t->snap_generation, &init, &k);
    CHECK(site_new(&init, &s) == RC_OK);
    enum rc rc = site_load(s, t->snap, t->snap_bytes, &err);
    if (rc)
        break_(w, "snapshot: %s", err_message(&err));
    for (size_t i = t->snap_applied; i < t->applied && !w->broken[0]; i++)
        replay_entry(w, t, s, &t->log[i], (uint64_t)t->log[i].chosen_at);
    return s;
}

static void drop_pending(struct tablet *t) {
    memset(t->pending, 0, sizeof t->pending);
}

static void check_replicas(struct tw *w, struct tablet *t, struct site *a, struct site *b) {
    struct buf x, y;
    buf_init(&x, 0);
    buf_init(&y, 0);
    CHECK(site_save(a, &x) == RC_OK && site_save(b, &y) == RC_OK);
    if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0)
        break_(w, "INV-P4: replicas of tablet %d..%d differ", t->lo, t->hi);
    buf_done(&x);
    buf_done(&y);
}

/* The leader dies (its successor waits for the end of its lease), or hands over (N-3). */
static void new_leader(struct tw *w, struct tablet *t, bool release) {
    int64_t old_lease = t->lease_end, promised = site_promised(t->site);
    int64_t floor = ts_max(t->floor, site_floor(t->site));
    struct site *s;
    if (mutant(w, "N-3"))
        promised = INT64_MIN;
    if (mutant(w, "S-1")) { /* only what is in the log */
        floor = INT64_MIN;
        for (size_t i = 0; i < t->entries; i++)
            floor = ts_max(floor, t->log[i].ts);
    }
    if (!release)
        while (t->entries > t->applied && rng_chance(&w->rng, 0.5)) /* what was in flight may be lost, from the end */
            free(t->log[--t->entries].bytes);
    overlay_drop(w, NULL, t->term, t->lo, t->hi);
    site_lead_end(t->site);
    s = rebuild(w, t);
    if (!w->broken[0])
        check_replicas(w, t, t->site, s);
    site_free(t->site);
    t->site = s;
    drop_pending(t);
    t->opening = true;
    t->splitting = -1;
    wander(w, &t->err_lo, &t->err_hi);
    t->tt_lo = t->tt_hi = INT64_MIN;
    t->open_after = release ? INT64_MIN : old_lease;
    t->floor = release ? ts_max(floor, promised) : old_lease;
    t->lease_end = 0;
    w->stats.reigns++;
}

static void open_(struct tw *w, struct tablet *t) {
    struct err err = {0};
    tt_interval now = tablet_now(w, t);
    if (t->applied < t->entries || now.earliest <= t->open_after)
        return;
    t->lease_end = now.earliest + 800 * MS;
    t->opening = false;
    for (size_t i = 0; i < t->entries; i++)
        t->floor = ts_max(t->floor, t->log[i].ts);
    t->floor = ts_max(t->floor, site_floor(t->site));
    struct txn_facts f = facts_of(w, t);
    t->term = ++w->terms;
    t->splitting = -1;
    enum rc rc = site_lead_begin(t->site, t->term, &f, &err);
    if (rc)
        break_(w, "T-11: tablet %d..%d: %s", t->lo, t->hi, err_message(&err));
}

/* ---- proposing, applying ----------------------------------------------------------------------------------------- */

static void propose(struct tw *w, struct tablet *t, const struct site_out *o) {
    struct entry e = {.n = o->n, .chosen_at = w->now + rng_range(&w->rng, MS, 20 * MS)};
    bool refuse = (!w->calm && rng_chance(&w->rng, w->conf.refuse)) || t->opening;
    if (o->ts) {
        e.ts = ts_max(t->floor + 1, o->ts);
        if (o->exact && o->ts > facts_of(w, t).lease_end && !t->opening)
            break_(w, "S-2: a commit at %lld, the lease ends at %lld", (long long)(o->ts - EPOCH),
                   (long long)(t->lease_end - EPOCH));
        refuse = refuse || (o->exact && e.ts != o->ts) || (e.ts > t->lease_end && !mutant(w, "S-2"));
    }
    if (refuse) {
        struct txn_id id = o->id;
        enum txn_record_type type = o->record;
        struct txn_facts f = facts_of(w, t);
        site_refused(t->site, &id, type, &f);
        return;
    }
    t->floor = ts_max(t->floor, e.ts);
    e.bytes = malloc(o->n + 1);
    memcpy(e.bytes, o->bytes, o->n);
    log_add(t, e);
}

static void fragment_go_on(struct tw *w, struct tablet *t, struct pending *p);
static void fragment_fail(struct tw *w, struct tablet *t, struct pending *p);

static void lock_answer(struct tw *w, struct tablet *t, const struct lock_event *e) {
    for (int i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &t->pending[i];
        if (!p->used || p->request != e->request || !txn_id_eq(&p->id, &e->txn))
            continue;
        if (e->type == LOCK_EV_GRANTED) {
            p->stage++;
            fragment_go_on(w, t, p);
        } else {
            fragment_fail(w, t, p);
        }
        return;
    }
}

static void drain(struct tw *w, struct tablet *t) {
    struct site_out o;
    while (site_next(t->site, &o)) {
        if (o.type == SITE_OUT_FLOOR) {
            t->floor = ts_max(t->floor, o.ts);
        } else if (o.type == SITE_OUT_PROPOSE) {
            propose(w, t, &o);
        } else if (o.type == SITE_OUT_DROP) {
            struct txn_id id = o.id;
            overlay_drop(w, &id, t->term, t->lo, t->hi);
        } else if (o.type == SITE_OUT_LOCK) {
            struct lock_event e = o.lock;
            lock_answer(w, t, &e);
        } else {
            struct txn_msg m;
            struct arena a;
            arena_init(&a, 0);
            CHECK(txn_msg_decode(o.bytes, o.n, &a, &m, NULL) == RC_OK);
            if (m.type == TXN_MSG_VOTE)
                observe_vote(w, &m);
            w->stats.wounds += m.type == TXN_MSG_WOUNDED;
            int64_t soonest = o.ts > 0 ? o.ts - EPOCH + w->conf.clock_error_ns + 1 : 0; /* some clock says tt_after */
            post_txn(w, o.bytes, o.n, o.gateway ? -1 : key_at(o.key), o.gateway, soonest);
            arena_done(&a);
        }
    }
}

static void apply_split(struct tw *w, struct tablet *t, struct entry *e) {
    struct txn_facts f = facts_of(w, t);
    struct err err = {0};
    uint8_t key = (uint8_t)(e->split_key + 1);
    struct tablet *r = w->tablet;
    uint64_t left = ++w->generations, right = ++w->generations;
    while (r < w->tablet + TABLETS_MAX && r->used)
        r++;
    CHECK(r < w->tablet + TABLETS_MAX);
    *r = (struct tablet){.w = w, .used = true, .lo = e->split_key, .hi = t->hi, .generation = right, .term = t->term};
    CHECK(site_split(t->site, (struct txn_key){&key, 1}, left, right, &f, &r->site, &err) == RC_OK);
    site_set_ctx(r->site, r);
    e->chosen_at = (int64_t)left; /* from here on: which generation it made */
    r->lease_end = t->lease_end;
    r->floor = ts_max(t->floor, site_floor(r->site));
    r->err_lo = t->err_lo;
    r->err_hi = t->err_hi;
    r->tt_lo = t->tt_lo;
    r->tt_hi = t->tt_hi;
    r->opening = t->opening;
    r->open_after = t->open_after;
    r->splitting = -1;
    t->hi = e->split_key - 1;
    t->generation = left;
    t->splitting = -1;
    snapshot(r);
    for (int i = 0; i < PENDING_MAX; i++)
        if (t->pending[i].used && t->pending[i].key > t->hi) {
            r->pending[i] = t->pending[i];
            t->pending[i].used = false;
        }
    w->stats.splits++;
    drain(w, r);
    drain(w, t);
}

static void apply_one(struct tw *w, struct tablet *t) {
    struct entry *e = &t->log[t->applied];
    struct site_effect effect;
    struct txn_record r;
    struct arena a;
    struct err err = {0};
    if (!e->bytes) {
        t->applied++;
        apply_split(w, t, e);
        return;
    }
    arena_init(&a, 0);
    CHECK(txn_record_decode(e->bytes, e->n, &a, &r, &err) == RC_OK);
    struct txn_facts f = facts_of(w, t);
    if (txn_record_gate(&r) < f.tt.earliest || mutant(w, "T-4")) {
        observe_record(w, t, &r);
        t->applied++;
        enum rc rc = site_apply(t->site, &r, e->ts, &f, &effect, &err);
        if (rc)
            break_(w, "apply: %s", err_message(&err));
        else if (effect.writes)
            write_images(w, t, effect.ts, effect.images);
        drain(w, t);
    }
    arena_done(&a);
}

/* ---- fragments --------------------------------------------------------------------------------------------------- */

static void respond(struct tw *w, struct tablet *t, const struct pending *p, bool ok) {
    struct w_msg m = {.kind = W_RESP, .key = -1, .gateway = p->id.gateway, .question = p->reply_to, .ok = ok};
    m.ref.id = p->id;
    m.op = p->op;
    m.op_key = p->key;
    m.op_last = p->last;
    m.lo = t->lo;
    m.hi = t->hi;
    m.generation = t->generation;
    m.term = t->term;
    if (ok)
        for (int k = p->key; k <= p->last; k++) {
            m.values[k] = w->versions[k] ? w->data[k][w->versions[k] - 1].value : 0;
            for (size_t i = 0; i < w->overlays; i++)
                if (w->overlay[i].key == k && w->overlay[i].term == t->term && txn_id_eq(&w->overlay[i].id, &p->id))
                    m.values[k] = w->overlay[i].value;
        }
    if (ok && p->op == OP_LIST) {
        for (size_t i = w->versions[p->key] > 200 ? w->versions[p->key] - 200 : 0; i < w->versions[p->key]; i++)
            m.list[m.list_count++] = w->data[p->key][i].value;
        for (size_t i = 0; i < w->overlays; i++)
            if (w->overlay[i].key == p->key && w->overlay[i].term == t->term && txn_id_eq(&w->overlay[i].id, &p->id))
                m.list[m.list_count++] = w->overlay[i].value;
    }
    if (ok && (p->op == OP_RMW || p->op == OP_WRITE || p->op == OP_APPEND)) {
        m.wrote = true;
        m.value = p->value;
        overlay_add(w, &p->id, t->term, p->key, p->value);
    }
    post(w, &m);
}

static void fragment_end(struct tw *w, struct tablet *t, struct pending *p, bool ok) {
    struct txn_facts f = facts_of(w, t);
    struct pending copy = *p;
    p->used = false;
    respond(w, t, &copy, ok);
    site_request_end(t->site, &copy.id, &f);
}

static void fragment_fail(struct tw *w, struct tablet *t, struct pending *p) {
    fragment_end(w, t, p, false);
}

static void fragment_go_on(struct tw *w, struct tablet *t, struct pending *p) {
    static const enum lock_mode mode[OP_KINDS] = {LOCK_SHARED,    LOCK_UPDATE, LOCK_EXCLUSIVE,
                                                  LOCK_EXCLUSIVE, LOCK_SHARED, LOCK_SHARED};
    int stages = p->op == OP_RMW ? 2 : 1;
    while (p->stage < stages) {
        struct key_bytes k;
        struct txn_facts f = facts_of(w, t);
        struct err err = {0};
        bool waits = false;
        struct txn_span span = span_of(p->key, p->last, p->op != OP_RANGE, &k);
        enum lock_mode m = p->stage ? LOCK_EXCLUSIVE : mode[p->op];
        p->request = ++w->questions;
        enum rc rc = site_lock(t->site, &p->id, &span, m, p->request, w->now + 120 * SECOND, &f, &waits, &err);
        if (rc) {
            fragment_fail(w, t, p);
            return;
        }
        if (waits)
            return;
        p->stage++;
    }
    fragment_end(w, t, p, true);
}

static void on_request(struct tw *w, struct tablet *t, const struct w_msg *m) {
    struct txn_facts f = facts_of(w, t);
    struct err err = {0};
    struct pending *p = t->pending, refused = {.id = m->ref.id, .reply_to = m->question, .op = m->op};
    while (p < t->pending + PENDING_MAX && p->used)
        p++;
    if (p == t->pending + PENDING_MAX || t->opening || site_request(t->site, &m->ref, m->seq, &f, &err)) {
        refused.key = m->op_key;
        respond(w, t, &refused, false);
        drain(w, t);
        return;
    }
    *p = (struct pending){.used = true, .id = m->ref.id, .reply_to = m->question, .op = m->op, .value = m->value};
    p->key = m->op_key;
    p->last = m->op_last < t->hi ? m->op_last : t->hi;
    fragment_go_on(w, t, p);
    drain(w, t);
}

/* A snapshot read at m->ts; it comes again while it may not be answered. */
static void on_read(struct tw *w, struct tablet *t, struct w_msg *m) {
    struct txn_facts f = facts_of(w, t);
    int last = m->op_last < t->hi ? m->op_last : t->hi;
    struct key_bytes k;
    struct txn_span span = span_of(m->op_key, last, m->op != OP_RANGE, &k);
    bool wait = t->opening || m->ts > f.lease_end;
    if (!wait && !mutant(w, "S-2r"))
        t->floor = ts_max(t->floor, m->ts); /* S-1 */
    for (size_t i = t->applied; i < t->entries && !mutant(w, "R-2"); i++)
        wait = wait || (t->log[i].ts && t->log[i].ts <= m->ts);
    if (!mutant(w, "R-3"))
        wait = wait || site_safe_below(t->site, &span) <= m->ts;
    if (wait) {
        if (w->msgs < MSGS_MAX && w->now < m->value) {
            m->due = w->now + 2 * MS;
            w->msg[w->msgs++] = *m;
        }
        return;
    }
    struct w_msg r = {.kind = W_RESP, .key = -1, .gateway = m->gateway, .question = m->question, .ok = true};
    r.ref = m->ref;
    r.op = m->op;
    r.op_key = m->op_key;
    r.op_last = last;
    for (int key = m->op_key; key <= last; key++)
        for (size_t i = 0; i < w->versions[key] && w->data[key][i].ts <= m->ts; i++)
            r.values[key] = w->data[key][i].value;
    size_t n = 0;
    while (n < w->versions[m->op_key] && w->data[m->op_key][n].ts <= m->ts)
        n++;
    for (size_t i = n > 200 ? n - 200 : 0; i < n && m->op == OP_LIST; i++)
        r.list[r.list_count++] = w->data[m->op_key][i].value;
    post(w, &r);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static struct c_part *part_of(struct client *c, int key) {
    for (int i = 0; i < c->parts; i++)
        if (c->part[i].lo <= key && key <= c->part[i].hi)
            return &c->part[i];
    return NULL;
}

/* A tablet lo..hi has answered: a part that was larger was split meanwhile. */
static void part_note(struct client *c, const struct w_msg *m) {
    struct c_part *p = part_of(c, m->op_key), old;
    if (!p) {
        CHECK(c->parts < PARTS_MAX);
        p = &c->part[c->parts++];
        *p = (struct c_part){m->lo, m->hi, m->generation, m->term, 0, false};
    }
    old = *p;
    p->lo = m->lo;
    p->hi = m->hi;
    p->generation = m->generation;
    p->requests++;
    p->writes = p->writes || m->wrote;
    if (old.lo < m->lo) {
        CHECK(c->parts < PARTS_MAX);
        c->part[c->parts] = old;
        c->part[c->parts++].hi = m->lo - 1;
    }
    if (old.hi > m->hi) {
        CHECK(c->parts < PARTS_MAX);
        c->part[c->parts] = old;
        c->part[c->parts++].lo = m->hi + 1;
    }
}

static void ask(struct tw *w, struct gateway *g, struct client *c) {
    struct w_msg m = {
        .kind = c->read_only ? W_READ : W_REQ, .key = c->op_key[c->op], .gateway = g->store, .ref = c->ref};
    struct c_part *p = part_of(c, c->op_key[c->op]);
    m.seq = p ? p->requests : 0;
    m.op = c->op_kind[c->op];
    m.op_key = c->op_key[c->op];
    m.op_last = c->op_last[c->op];
    m.value = c->read_only ? w->now + 3 * SECOND : c->op_value[c->op];
    m.ts = c->s_read;
    m.question = c->question = ++w->questions;
    c->asked = w->now;
    post(w, &m);
}

static void begin(struct tw *w, struct gateway *g, struct client *c) {
    tt_interval now = gateway_now(w, g);
    struct txn_age age = c->age;
    bool retry = c->retry;
    *c = (struct client){.state = C_RUNNING, .age = age};
    c->ref.id = (struct txn_id){g->store, g->incarnation, ++g->counter};
    if (!retry || mutant(w, "K-1a"))
        c->age = (struct txn_age){now.latest, g->store, g->counter};
    w->stats.retries += retry;
    c->ref.age = c->age;
    c->ref.began = now.earliest;
    c->began = w->now;
    c->read_only = rng_chance(&w->rng, 0.25);
    c->s_read = now.latest;
    c->hist = hist_begin(w->history, (uint32_t)g->store, w->now);
    c->ops = (int)rng_range(&w->rng, 1, OPS_MAX);
    for (int i = 0; i < c->ops; i++) {
        int spread = w->conf.one_key ? 3 : LISTS, key;
        bool again;
        enum op_kind kind = (enum op_kind)rng_below(&w->rng, OP_KINDS);
        if (c->read_only)
            kind = rng_chance(&w->rng, 0.5) ? OP_READ : rng_chance(&w->rng, 0.5) ? OP_LIST : OP_RANGE;
        do { /* each key at most once, so that an overlay has one write for each */
            bool list = kind == OP_APPEND || kind == OP_LIST;
            int lists = w->conf.one_key ? 2 : KEYS - LISTS;
            key = list ? LISTS + (int)rng_below(&w->rng, (uint64_t)lists) : (int)rng_below(&w->rng, (uint64_t)spread);
            again = false;
            for (int k = 0; k < i; k++)
                again = again || (c->op_key[k] == key && rng_chance(&w->rng, 0.9));
            if (again)
                kind = rng_chance(&w->rng, 0.5) || c->read_only ? OP_READ : OP_WRITE;
            for (int k = 0; k < i; k++)
                again = again || (c->op_key[k] == key && (kind == OP_APPEND || c->op_kind[k] == OP_APPEND));
        } while (again && rng_chance(&w->rng, 0.95));
        if (again)
            kind = OP_RANGE, key = 0;
        c->op_kind[i] = kind;
        c->op_key[i] = key;
        c->op_last[i] = kind == OP_RANGE ? key + (int)rng_below(&w->rng, 4) : key;
        if (c->op_last[i] >= LISTS && kind == OP_RANGE)
            c->op_last[i] = LISTS - 1;
        c->op_value[i] = (int64_t)++w->values;
    }
    ask(w, g, c);
}

static void rollback(struct tw *w, struct client *c) {
    for (int i = 0; i < c->parts; i++) {
        struct key_bytes k;
        struct txn_msg m = {.type = TXN_MSG_ROLLBACK, .ref = c->ref};
        m.span = span_of(c->part[i].lo, c->part[i].hi, false, &k);
        post_msg(w, &m, c->part[i].lo);
    }
}

static void give_up(struct tw *w, struct client *c, bool retry) {
    hist_abort(w->history, c->hist, w->now);
    w->stats.aborted++;
    if (!c->read_only)
        rollback(w, c);
    c->state = C_IDLE;
    c->retry = retry;
}

static void send_commit(struct tw *w, struct client *c, bool prepares) {
    struct txn_part parts[PARTS_MAX];
    struct key_bytes k[PARTS_MAX], ka;
    int n = 0;
    for (int i = 0; i < c->parts; i++) {
        if (mutant(w, "T-7") && !c->part[i].writes && part_of(c, c->anchor) != &c->part[i])
            continue;
        struct c_part *p = &c->part[i];
        parts[n].span = span_of(p->lo, p->hi, false, &k[i]);
        if (p->hi == KEYS - 1)
            parts[n].span.end.n = 0;
        if (p->lo == 0)
            parts[n].span.start.n = 0;
        parts[n].generation = p->generation;
        parts[n].term = p->term;
        parts[n].requests = p->requests;
        parts[n++].writes = p->writes;
    }
    struct txn_msg m = {.ref = c->ref, .parts = parts, .n_parts = (size_t)n, .token = c->token};
    m.anchor = span_of(c->anchor, c->anchor, true, &ka).start;
    for (int i = 0; i < n && prepares; i++) {
        m.type = TXN_MSG_PREPARE;
        m.span = parts[i].span;
        if (key_at(m.span.start) > c->anchor || (m.span.end.n && key_at(m.span.end) <= c->anchor))
            post_msg(w, &m, key_at(m.span.start));
    }
    m.type = TXN_MSG_COMMIT;
    m.span = (struct txn_span){{NULL, 0}, {NULL, 0}};
    post_msg(w, &m, c->anchor);
}

static void commit(struct tw *w, struct gateway *g, struct client *c) {
    bool wrote = false;
    c->state = C_COMMITTING;
    c->token.id = c->ref.id;
    c->token.deadline = gateway_now(w, g).latest + (rng_chance(&w->rng, 0.9) ? 30 * SECOND : 60 * MS);
    c->anchor = c->op_key[rng_below(&w->rng, (uint64_t)c->ops)];
    for (int i = 0; i < c->parts && mutant(w, "T-7"); i++)
        if (c->part[i].writes && !wrote) {
            for (int k = 0; k < c->ops; k++)
                if (part_of(c, c->op_key[k]) == &c->part[i])
                    c->anchor = c->op_key[k];
            wrote = true;
        }
    c->asked = w->now;
    send_commit(w, c, true);
}

static void take_answer(struct tw *w, struct client *c, const struct w_msg *m) {
    struct history *h = w->history;
    struct hist_pair pairs[KEYS];
    size_t n = 0;
    uint64_t key = (uint64_t)m->op_key;
    switch ((enum op_kind)m->op) {
    case OP_READ:
        hist_read(h, c->hist, key, m->values[key]);
        break;
    case OP_RMW:
        hist_read(h, c->hist, key, m->values[key]);
        hist_write(h, c->hist, key, m->value);
        break;
    case OP_WRITE:
        hist_write(h, c->hist, key, m->value);
        break;
    case OP_APPEND:
        hist_append(h, c->hist, key, m->value);
        break;
    case OP_LIST:
        hist_read_list(h, c->hist, key, m->list, m->list_count);
        break;
    default:
        for (int k = m->op_key; k <= m->op_last; k++)
            if (m->values[k])
                pairs[n++] = (struct hist_pair){(uint64_t)k, m->values[k]};
        hist_read_range(h, c->hist, key, (uint64_t)m->op_last, pairs, n);
        break;
    }
}

static void on_response(struct tw *w, struct gateway *g, const struct w_msg *m) {
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &g->client[i];
        if (c->state != C_RUNNING || c->question != m->question)
            continue;
        if (!m->ok) {
            give_up(w, c, true);
            return;
        }
        take_answer(w, c, m);
        if (!c->read_only)
            part_note(c, m);
        c->question = 0;
        if (++c->op < c->ops) {
            ask(w, g, c);
        } else if (c->read_only) {
            hist_commit_read_only(w->history, c->hist, c->s_read, false, w->now);
            w->stats.read_only++;
            c->state = C_IDLE;
            c->retry = false;
        } else {
            commit(w, g, c);
        }
        return;
    }
}

static void on_done(struct tw *w, struct client *c, const struct txn_msg *m) {
    struct fate *f = fate_of(w, &m->ref.id);
    if (m->verdict == TXN_COMMITTED) {
        if (f->committed ? f->s != m->s_min : c->parts > 1 && part_of(c, c->anchor)->writes)
            break_(w, "A4: a client was told of a commit that is in no log");
        hist_commit(w->history, c->hist, m->s_min, w->now);
        w->stats.committed++;
        w->stats.two_phase += c->parts > 1;
        w->stats.one_phase += c->parts == 1;
        c->state = C_IDLE;
        c->retry = false;
    } else {
        if (f->committed)
            break_(w, "A4: a client was told of an abort, and it has committed");
        give_up(w, c, true);
    }
}

static void on_gateway_msg(struct tw *w, struct gateway *g, const struct txn_msg *m) {
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &g->client[i];
        if (c->state == C_IDLE || c->read_only || !txn_id_eq(&c->ref.id, &m->ref.id))
            continue;
        if (m->type == TXN_MSG_DONE && c->state == C_COMMITTING) {
            on_done(w, c, m);
        } else if (m->type == TXN_MSG_LOST && c->state == C_RUNNING) {
            give_up(w, c, true);
        } else if (m->type == TXN_MSG_WOUNDED) {
            for (int k = 0; k < c->parts; k++) {
                struct key_bytes kb;
                struct txn_msg mark = {.type = TXN_MSG_MARK, .ref = c->ref, .why = m->why};
                mark.span = span_of(c->part[k].lo, c->part[k].hi, false, &kb);
                post_msg(w, &mark, c->part[k].lo);
            }
        }
        return;
    }
}

static void leave_unresolved(struct tw *w, struct client *c) {
    if (w->unresolved_count == w->unresolved_cap) {
        w->unresolved_cap = w->unresolved_cap ? w->unresolved_cap * 2 : 16;
        w->unresolved = realloc(w->unresolved, w->unresolved_cap * sizeof *w->unresolved);
        CHECK(w->unresolved);
    }
    w->unresolved[w->unresolved_count++] = (struct unresolved){c->hist, c->token};
    w->stats.unknown++;
    c->state = C_IDLE;
    c->retry = false;
}

static void client_step(struct tw *w, struct gateway *g, struct client *c) {
    if (c->state == C_IDLE) {
        if (!w->calm && (!w->conf.clients_stop || w->steps < w->conf.clients_stop) && rng_chance(&w->rng, 0.05))
            begin(w, g, c);
    } else if (c->state == C_RUNNING) {
        if (w->now - c->asked > (w->calm ? 30 : 4) * SECOND)
            give_up(w, c, true);
    } else if (w->now - c->asked > 400 * MS) {
        c->asked = w->now;
        if (!w->calm && w->now - c->began > 12 * SECOND)
            leave_unresolved(w, c);
        else
            send_commit(w, c, false);
    }
    if (c->state != C_IDLE && !c->read_only && rng_chance(&w->rng, 0.003))
        for (int i = 0; i < c->parts; i++) {
            struct w_msg m = {.kind = W_ALIVE, .key = c->part[i].lo, .ref = c->ref};
            post(w, &m);
        }
}

static void gateway_crash(struct tw *w, struct gateway *g) {
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &g->client[i];
        if (c->state == C_COMMITTING)
            leave_unresolved(w, c);
        else if (c->state == C_RUNNING)
            hist_abort(w->history, c->hist, w->now);
        *c = (struct client){.state = C_IDLE};
    }
    g->incarnation++;
    g->counter = 0;
    g->tt_lo = g->tt_hi = INT64_MIN;
    wander(w, &g->err_lo, &g->err_hi);
}

/* ---- the course of time ------------------------------------------------------------------------------------------ */

static void deliver(struct tw *w, struct w_msg *m) {
    struct arena a;
    struct txn_msg t;
    arena_init(&a, 0);
    if (m->kind == W_TXN) {
        CHECK(txn_msg_decode(m->bytes, m->n, &a, &t, NULL) == RC_OK);
        if (m->key < 0) {
            for (uint32_t i = 0; i < w->conf.gateways; i++)
                if (w->gateway[i].store == m->gateway)
                    on_gateway_msg(w, &w->gateway[i], &t);
        } else {
            struct tablet *to = owner_of(w, m->key);
            struct txn_facts f = facts_of(w, to);
            site_message(to->site, &t, &f);
            drain(w, to);
        }
    } else if (m->kind == W_RESP) {
        for (uint32_t i = 0; i < w->conf.gateways; i++)
            if (w->gateway[i].store == m->gateway)
                on_response(w, &w->gateway[i], m);
    } else if (m->kind == W_REQ) {
        on_request(w, owner_of(w, m->key), m);
    } else if (m->kind == W_READ) {
        on_read(w, owner_of(w, m->key), m);
    } else {
        struct tablet *to = owner_of(w, m->key);
        struct txn_facts f = facts_of(w, to);
        site_alive(to->site, &m->ref.id, &f);
    }
    free(m->bytes);
    arena_done(&a);
}

static void deliver_due(struct tw *w) {
    for (size_t i = 0; i < w->msgs && !w->broken[0];) {
        if (w->msg[i].due > w->now) {
            i++;
            continue;
        }
        struct w_msg m = w->msg[i];
        w->msg[i] = w->msg[--w->msgs];
        deliver(w, &m);
    }
}

static void try_split(struct tw *w, struct tablet *t) {
    int used = 0;
    for (int i = 0; i < TABLETS_MAX; i++) {
        used += w->tablet[i].used;
        for (size_t k = w->tablet[i].applied; k < w->tablet[i].entries; k++)
            used += !w->tablet[i].log[k].bytes;
    }
    if (used >= TABLETS_MAX || t->hi - t->lo < 2 || t->splitting >= 0 || t->opening)
        return;
    int key = (int)rng_range(&w->rng, t->lo + 1, t->hi);
    uint8_t k = (uint8_t)(key + 1);
    struct txn_facts f = facts_of(w, t);
    site_split_begin(t->site, (struct txn_key){&k, 1}, &f);
    drain(w, t);
    log_add(t, (struct entry){.chosen_at = w->now + rng_range(&w->rng, MS, 200 * MS), .split_key = key});
    t->splitting = key;
}

static void tablet_step(struct tw *w, struct tablet *t) {
    tt_interval now = tablet_now(w, t);
    while (t->applied < t->entries && t->log[t->applied].chosen_at <= w->now && !w->broken[0] &&
           rng_chance(&w->rng, 0.8)) {
        size_t before = t->applied;
        apply_one(w, t);
        if (t->applied == before)
            break; /* the gate */
    }
    if (t->opening) {
        open_(w, t);
        if (!t->opening)
            drain(w, t);
        return;
    }
    int64_t lease = w->conf.short_leases && !w->calm ? rng_range(&w->rng, 60, 300) * MS : 800 * MS;
    if (t->lease_end - now.latest < lease / 2 && rng_chance(&w->rng, w->conf.short_leases && !w->calm ? 0.02 : 0.2))
        t->lease_end = ts_max(t->lease_end, now.earliest + lease);
    if (site_wake_ns(t->site) <= w->now) {
        struct txn_facts f = facts_of(w, t);
        site_tick(t->site, &f);
        drain(w, t);
    }
    if (rng_chance(&w->rng, 0.002))
        snapshot(t);
    if (rng_chance(&w->rng, 0.01))
        wander(w, &t->err_lo, &t->err_hi);
}

static void one_fault(struct tw *w) {
    for (int i = 0; i < TABLETS_MAX && !w->broken[0]; i++) {
        struct tablet *t = &w->tablet[i];
        if (!t->used || t->opening)
            continue;
        if (w->conf.what == TW_CRASH)
            new_leader(w, t, false);
        else if (w->conf.what == TW_TRANSFER && t->applied == t->entries)
            new_leader(w, t, true);
        else if (w->conf.what == TW_SPLIT && i < (int)w->conf.tablets)
            try_split(w, t);
    }
    if (w->conf.what == TW_GATEWAY)
        gateway_crash(w, &w->gateway[0]);
}

static void step(struct tw *w) {
    w->steps++;
    if (w->conf.at_step && w->steps == w->conf.at_step)
        one_fault(w);
    w->now += rng_range(&w->rng, 0, w->calm ? 2 * MS : MS);
    deliver_due(w);
    for (int i = 0; i < TABLETS_MAX && !w->broken[0]; i++) {
        struct tablet *t = &w->tablet[i];
        if (!t->used)
            continue;
        tablet_step(w, t);
        if (w->calm || t->opening || w->broken[0])
            continue;
        if (rng_chance(&w->rng, w->conf.crash))
            new_leader(w, t, false);
        else if (rng_chance(&w->rng, w->conf.transfer) && t->applied == t->entries)
            new_leader(w, t, true);
        else if (rng_chance(&w->rng, w->conf.split))
            try_split(w, t);
    }
    for (uint32_t i = 0; i < w->conf.gateways && !w->broken[0]; i++) {
        struct gateway *g = &w->gateway[i];
        for (int c = 0; c < CLIENTS; c++)
            client_step(w, g, &g->client[c]);
        if (!w->calm && rng_chance(&w->rng, w->conf.gateway_crash))
            gateway_crash(w, g);
    }
}

struct tw *tw_new(const struct tw_conf *conf) {
    struct tw *w = calloc(1, sizeof *w);
    CHECK(w);
    w->conf = *conf;
    w->chaos.ops = &chaos_ops;
    w->history = hist_new();
    w->msg = calloc(MSGS_MAX, sizeof *w->msg);
    CHECK(w->msg);
    map_init(&w->fates);
    rng_init(&w->rng, conf->seed);
    for (uint32_t i = 0; i < conf->tablets; i++) {
        struct tablet *t = &w->tablet[i];
        struct site_init init;
        struct key_bytes k;
        struct err err;
        t->w = w;
        t->used = true;
        t->lo = (int)(i * KEYS / conf->tablets);
        t->hi = (int)((i + 1) * KEYS / conf->tablets) - 1;
        t->generation = ++w->generations;
        t->tt_lo = t->tt_hi = INT64_MIN;
        t->splitting = -1;
        wander(w, &t->err_lo, &t->err_hi);
        site_init_of(w, t, t->lo, t->hi, t->generation, &init, &k);
        CHECK(site_new(&init, &t->site) == RC_OK);
        snapshot(t);
        t->lease_end = EPOCH + 800 * MS;
        t->term = ++w->terms;
        struct txn_facts f = facts_of(w, t);
        CHECK(site_lead_begin(t->site, t->term, &f, &err) == RC_OK);
    }
    for (uint32_t i = 0; i < conf->gateways; i++) {
        struct gateway *g = &w->gateway[i];
        g->store = (i + 1) << 16;
        g->incarnation = 1;
        g->tt_lo = g->tt_hi = INT64_MIN;
        wander(w, &g->err_lo, &g->err_hi);
    }
    return w;
}

void tw_free(struct tw *w) {
    if (!w)
        return;
    for (int i = 0; i < TABLETS_MAX; i++) {
        struct tablet *t = &w->tablet[i];
        site_free(t->site);
        for (size_t k = 0; k < t->entries; k++)
            free(t->log[k].bytes);
        free(t->log);
        free(t->snap);
    }
    for (size_t i = 0; i < w->msgs; i++)
        free(w->msg[i].bytes);
    for (int k = 0; k < KEYS; k++)
        free(w->data[k]);
    map_for_each(it, &w->fates)
        free(container_of(it, struct fate, by_id));
    map_done(&w->fates);
    hist_free(w->history);
    free(w->msg);
    free(w->overlay);
    free(w->unresolved);
    free(w);
}

bool tw_run(struct tw *w, uint64_t steps) {
    for (uint64_t i = 0; i < steps && !w->broken[0]; i++) {
        step(w);
        if (i % 64 == 0)
            for (int k = 0; k < TABLETS_MAX && !mutant(w, "T-11") && !mutant(w, "T-11-set") && !mutant(w, "K-2"); k++)
                if (w->tablet[k].used)
                    site_check(w->tablet[k].site);
    }
    return !w->broken[0];
}

static bool quiet(struct tw *w, char *what, size_t bytes) {
    bool clients = false;
    for (uint32_t i = 0; i < w->conf.gateways; i++)
        for (int c = 0; c < CLIENTS; c++)
            clients = clients || w->gateway[i].client[c].state != C_IDLE;
    for (int i = 0; i < TABLETS_MAX; i++) {
        struct tablet *t = &w->tablet[i];
        struct site_stats s;
        if (!t->used)
            continue;
        site_stats(t->site, &s);
        if (t->opening || t->applied < t->entries || s.active || s.preparing || s.prepared || s.promised ||
            s.coordinating || s.unsettled) {
            snprintf(what, bytes,
                     "tablet %d..%d: %s, %zu to apply, %llu active, %llu preparing, %llu prepared, %llu promised, "
                     "%llu coordinating, %llu unsettled",
                     t->lo, t->hi, t->opening ? "opening" : "open", t->entries - t->applied,
                     (unsigned long long)s.active, (unsigned long long)s.preparing, (unsigned long long)s.prepared,
                     (unsigned long long)s.promised, (unsigned long long)s.coordinating,
                     (unsigned long long)s.unsettled);
            return false;
        }
        struct lock_stats ls;
        lock_stats(site_locks(t->site), &ls);
        if (ls.locks || ls.waits || ls.txns) {
            snprintf(what, bytes, "tablet %d..%d: %llu locks are left", t->lo, t->hi, (unsigned long long)ls.locks);
            return false;
        }
    }
    snprintf(what, bytes, "a client never got an answer");
    return !clients;
}

/* N-15: whoever does not know asks every tablet by token. */
static void resolve(struct tw *w) {
    for (size_t i = 0; i < w->unresolved_count; i++) {
        struct unresolved *u = &w->unresolved[i];
        bool committed = false;
        int64_t ts = 0;
        for (int k = 0; k < TABLETS_MAX; k++)
            if (w->tablet[k].used && site_status(w->tablet[k].site, &u->token, INT64_MAX, &ts) == TXN_COMMITTED) {
                committed = true;
                break;
            }
        struct fate *f = fate_of(w, &u->token.id);
        if (committed != f->committed)
            break_(w, "N-15: the status of a token says %s", committed ? "committed" : "aborted");
        if (committed)
            hist_commit(w->history, u->hist, ts, INT64_MAX);
        else
            hist_abort(w->history, u->hist, w->now);
        w->stats.resolved++;
    }
}

bool tw_settle(struct tw *w) {
    char what[300] = "";
    struct hist_verdict v;
    int64_t until = w->now + 60 * SECOND;
    w->calm = true;
    while (w->now < until && !w->broken[0] && !quiet(w, what, sizeof what))
        for (int i = 0; i < 64 && !w->broken[0]; i++)
            step(w);
    if (!w->broken[0] && !quiet(w, what, sizeof what))
        break_(w, "LIVE: %s", what);
    for (int i = 0; i < TABLETS_MAX && !w->broken[0]; i++)
        if (w->tablet[i].used) {
            struct site *s = rebuild(w, &w->tablet[i]);
            check_replicas(w, &w->tablet[i], w->tablet[i].site, s);
            site_free(s);
        }
    if (!w->broken[0])
        resolve(w);
    if (!w->broken[0] && !hist_check_replay(w->history, &v))
        break_(w, "history, %s: %s", v.anomaly, v.text);
    if (!w->broken[0] && !hist_check_cycles(w->history, &v))
        break_(w, "history, %s: %s", v.anomaly, v.text);
    return !w->broken[0];
}

const char *tw_broken(const struct tw *w) {
    return w->broken[0] ? w->broken : NULL;
}

void tw_stats(const struct tw *w, struct tw_stats *ret) {
    *ret = w->stats;
}
