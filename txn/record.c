/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c: structs to protobuf and back. To encode, the protobuf structs are laid out in an arena and borrow the bytes
 * of ours; to decode, protobuf-c fills the arena, and ours borrow from that. Everything that is not a plain copy is a
 * check.
 */
#include "txn/record.h"

#include "shard/net/pb_arena.h"
#include "txn/txn.pb-c.h"

const char *txn_reason_text(enum txn_reason reason) {
    static const char *const text[TXN_REASONS] = {
        [TXN_REASON_NONE] = "no reason",
        [TXN_REASON_ROLLBACK] = "rolled back by the client",
        [TXN_REASON_LOCKS] = "its locks were lost",
        [TXN_REASON_TERM] = "the leader that held its locks leads no more",
        [TXN_REASON_REQUESTS] = "a request of it was lost",
        [TXN_REASON_WOUNDED] = "wounded by an older transaction while it was prepared",
        [TXN_REASON_TIMEOUT] = "a participant did not answer in time",
        [TXN_REASON_WINDOW] = "no commit time fits all participants",
        [TXN_REASON_HORIZON] = "it began before the horizon of remembered outcomes",
        [TXN_REASON_UNKNOWN] = "its commit did not come in time",
        [TXN_REASON_SPLIT] = "its tablet was split",
    };
    return text[reason];
}

const char *txn_verdict_name(enum txn_verdict v) {
    static const char *const name[TXN_VERDICTS] = {"undecided", "committed", "aborted", "expired"};
    return name[v];
}

const char *txn_msg_name(enum txn_msg_type type) {
    static const char *const name[TXN_MSG_TYPES] = {"?",      "commit",  "prepare", "rollback", "mark",
                                                    "vote",   "inquire", "outcome", "ack",      "wound",
                                                    "status", "done",    "wounded", "lost",     "token"};
    return name[type];
}

const char *txn_record_name(enum txn_record_type type) {
    static const char *const name[TXN_REC_TYPES] = {"?",       "prepare", "commit", "abort",
                                                    "outcome", "settled", "forget", "staged"};
    return name[type];
}

enum rc txn_why_err(const struct txn_why *why, struct err *err) {
    if (why->reason == TXN_REASON_LOCKS && why->lock.rule)
        return lock_why_err(RC_ABORTED, &why->lock, err);
    lock_why_err(RC_ABORTED, &why->lock, err); /* for detail and hint */
    if (err) {
        char detail[ERR_DETAIL_BYTES];
        memcpy(detail, err->detail, sizeof detail);
        err_set(err, RC_ABORTED, "the transaction was aborted: %s", txn_reason_text(why->reason));
        err_detail(err, "%s", detail);
        err_hint(err, "Retry the transaction.");
    }
    return RC_ABORTED;
}

/* ---- to protobuf ------------------------------------------------------------------------------------------------- */

/* An arena that ran out is remembered, and every constructor gives something to write into until then. */
struct enc {
    struct arena *a;
    bool nomem;
};

static void *take(struct enc *e, size_t bytes) {
    void *p = e->nomem ? NULL : arena_zalloc(e->a, bytes);
    e->nomem = e->nomem || !p;
    return p;
}

static ProtobufCBinaryData key_out(struct txn_key k) {
    return (ProtobufCBinaryData){k.n, (uint8_t *)(uintptr_t)k.p}; /* packing only reads */
}

static Txn__Id *id_out(struct enc *e, const struct txn_id *id) {
    Txn__Id *o = take(e, sizeof *o);
    if (!o || (!id->gateway && !id->incarnation && !id->counter))
        return NULL;
    txn__id__init(o);
    o->gateway = id->gateway;
    o->incarnation = id->incarnation;
    o->counter = id->counter;
    return o;
}

static Txn__Ref *ref_out(struct enc *e, const struct txn_ref *r) {
    Txn__Ref *o = take(e, sizeof *o);
    if (!o)
        return NULL;
    txn__ref__init(o);
    o->id = id_out(e, &r->id);
    o->age_ts = r->age.ts;
    o->age_gateway = r->age.gateway;
    o->age_counter = r->age.counter;
    o->began = r->began;
    return o;
}

static Txn__Span *span_out(struct enc *e, const struct txn_span *s) {
    Txn__Span *o = take(e, sizeof *o);
    if (!o)
        return NULL;
    txn__span__init(o);
    o->start = key_out(s->start);
    o->end = key_out(s->end);
    return o;
}

static Txn__Part **parts_out(struct enc *e, const struct txn_part *p, size_t n) {
    Txn__Part **list = take(e, (n + 1) * sizeof(*list)), *o = take(e, (n + 1) * sizeof *o);
    for (size_t i = 0; i < n && !e->nomem; i++) {
        list[i] = &o[i];
        txn__part__init(&o[i]);
        o[i].span = span_out(e, &p[i].span);
        o[i].generation = p[i].generation;
        o[i].term = p[i].term;
        o[i].requests = p[i].requests;
        o[i].writes = p[i].writes;
    }
    return list;
}

static Txn__Grant **grants_out(struct enc *e, const struct lock_grant *g, size_t n) {
    Txn__Grant **list = take(e, (n + 1) * sizeof(*list)), *o = take(e, (n + 1) * sizeof *o);
    for (size_t i = 0; i < n && !e->nomem; i++) {
        list[i] = &o[i];
        txn__grant__init(&o[i]);
        o[i].span = span_out(e, &g[i].span);
        o[i].mode = g[i].mode;
    }
    return list;
}

static Txn__Token *token_out(struct enc *e, const struct txn_token *t) {
    Txn__Token *o = take(e, sizeof *o);
    if (!o)
        return NULL;
    txn__token__init(o);
    o->id = id_out(e, &t->id);
    o->deadline = t->deadline;
    return o;
}

static Txn__Why *why_out(struct enc *e, const struct txn_why *w) {
    Txn__Why *o = take(e, sizeof *o);
    uint32_t kept = w->lock.key_bytes < LOCK_WHY_KEY_BYTES ? w->lock.key_bytes : LOCK_WHY_KEY_BYTES;
    if (!o || w->reason == TXN_REASON_NONE)
        return NULL;
    txn__why__init(o);
    o->reason = w->reason;
    o->rule = w->lock.rule;
    o->mode = w->lock.mode;
    o->by = id_out(e, &w->lock.by);
    o->held_ns = w->lock.held_ns;
    o->waited_ns = w->lock.waited_ns;
    o->key = key_out((struct txn_key){w->lock.key, kept});
    o->key_bytes = w->lock.key_bytes;
    return o;
}

static void record_out(struct enc *e, const struct txn_record *r, Txn__Record *o) {
    txn__record__init(o);
    o->type = r->type;
    o->ref = ref_out(e, &r->ref);
    o->generation = r->generation;
    o->anchor = key_out(r->anchor);
    o->n_parts = r->n_parts;
    o->parts = parts_out(e, r->parts, r->n_parts);
    o->n_grants = r->n_grants;
    o->grants = grants_out(e, r->grants, r->n_grants);
    o->writes = (ProtobufCBinaryData){r->writes.n, (uint8_t *)(uintptr_t)r->writes.p};
    o->s = r->s;
    o->s_allowed = r->s_allowed;
    o->committed = r->committed;
    o->token = token_out(e, &r->token);
    o->why = why_out(e, &r->why);
    o->horizon = r->horizon;
    o->token_horizon = r->token_horizon;
}

enum rc txn_record_encode(const struct txn_record *r, struct arena *a, struct buf *to) {
    struct enc e = {.a = a};
    Txn__Record o;
    record_out(&e, r, &o);
    if (e.nomem)
        return RC_NOMEM;
    pb_pack(&o.base, to);
    return buf_rc(to);
}

enum rc txn_msg_encode(const struct txn_msg *m, struct arena *a, struct buf *to) {
    struct enc e = {.a = a};
    Txn__Msg o;
    txn__msg__init(&o);
    o.type = m->type;
    o.ref = ref_out(&e, &m->ref);
    o.anchor = key_out(m->anchor);
    o.span = span_out(&e, &m->span);
    o.n_parts = m->n_parts;
    o.parts = parts_out(&e, m->parts, m->n_parts);
    o.s_min = m->s_min;
    o.s_allowed = m->s_allowed;
    o.verdict = m->verdict;
    o.token = token_out(&e, &m->token);
    o.why = why_out(&e, &m->why);
    o.read_only = m->read_only;
    if (e.nomem)
        return RC_NOMEM;
    pb_pack(&o.base, to);
    return buf_rc(to);
}

enum rc txn_state_encode(const struct txn_state *s, struct arena *a, struct buf *to) {
    struct enc e = {.a = a};
    Txn__State o;
    txn__state__init(&o);
    Txn__Record **list = take(&e, (s->n_prepared + s->n_outcomes + 1) * sizeof(*list));
    Txn__Record *rec = take(&e, (s->n_prepared + s->n_outcomes + 1) * sizeof *rec);
    for (size_t i = 0; i < s->n_prepared + s->n_outcomes && !e.nomem; i++) {
        list[i] = &rec[i];
        record_out(&e, i < s->n_prepared ? &s->prepared[i] : &s->outcomes[i - s->n_prepared], &rec[i]);
    }
    if (e.nomem)
        return RC_NOMEM;
    o.n_prepared = s->n_prepared;
    o.prepared = list;
    o.n_outcomes = s->n_outcomes;
    o.outcomes = list + s->n_prepared;
    o.horizon = s->horizon;
    o.token_horizon = s->token_horizon;
    o.floor = s->floor;
    pb_pack(&o.base, to);
    return buf_rc(to);
}

/* ---- from protobuf ----------------------------------------------------------------------------------------------- */

struct dec {
    struct arena *a;
    const char *bad; /* the first thing that is wrong */
    bool nomem;
};

static void wrong(struct dec *d, const char *what) {
    d->bad = d->bad ? d->bad : what;
}

static struct txn_key key_in(struct dec *d, ProtobufCBinaryData b) {
    if (b.len > TXN_KEY_BYTES_MAX + 1)
        wrong(d, "a key is too long");
    return (struct txn_key){b.data, b.len};
}

static struct txn_span span_in(struct dec *d, const Txn__Span *s, bool required) {
    struct txn_span span = {{NULL, 0}, {NULL, 0}};
    if (!s) {
        if (required)
            wrong(d, "a span is missing");
        return span;
    }
    span.start = key_in(d, s->start);
    span.end = key_in(d, s->end);
    if (span.start.n > TXN_KEY_BYTES_MAX || !txn_key_before_end(span.start, span.end))
        wrong(d, "a span is empty");
    return span;
}

static struct txn_id id_in(const Txn__Id *id) {
    return id ? (struct txn_id){id->gateway, id->incarnation, id->counter} : (struct txn_id){0, 0, 0};
}

static struct txn_ref ref_in(struct dec *d, const Txn__Ref *r, bool required) {
    struct txn_ref ref = {.began = 0};
    if (!r || !r->id) {
        if (required)
            wrong(d, "the transaction is not named");
        return ref;
    }
    ref.id = id_in(r->id);
    ref.age = (struct txn_age){r->age_ts, r->age_gateway, r->age_counter};
    ref.began = r->began;
    return ref;
}

static const struct txn_part *parts_in(struct dec *d, size_t n, Txn__Part **list) {
    struct txn_part *p;
    if (n > TXN_PARTS_MAX) {
        wrong(d, "too many participants");
        return NULL;
    }
    p = arena_array(d->a, n + 1, sizeof *p);
    if (!p) {
        d->nomem = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        p[i] = (struct txn_part){.span = span_in(d, list[i]->span, true),
                                 .generation = list[i]->generation,
                                 .term = list[i]->term,
                                 .requests = list[i]->requests,
                                 .writes = list[i]->writes};
    return p;
}

static const struct lock_grant *grants_in(struct dec *d, size_t n, Txn__Grant **list) {
    struct lock_grant *g;
    if (n > TXN_GRANTS_MAX) {
        wrong(d, "too many locks");
        return NULL;
    }
    g = arena_array(d->a, n + 1, sizeof *g);
    if (!g) {
        d->nomem = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i]->mode <= LOCK_NONE || list[i]->mode >= LOCK_MODES)
            wrong(d, "no such lock mode");
        g[i] = (struct lock_grant){span_in(d, list[i]->span, true), (enum lock_mode)list[i]->mode};
    }
    return g;
}

static struct txn_token token_in(const Txn__Token *t) {
    return t ? (struct txn_token){id_in(t->id), t->deadline} : (struct txn_token){{0, 0, 0}, 0};
}

static struct txn_why why_in(struct dec *d, const Txn__Why *w) {
    struct txn_why why = {.lock.held_ns = -1};
    if (!w)
        return (struct txn_why){.reason = TXN_REASON_NONE};
    if (w->reason >= TXN_REASONS || w->rule >= LOCK_RULES || w->mode >= LOCK_MODES || w->key.len > LOCK_WHY_KEY_BYTES ||
        w->key.len > w->key_bytes || (w->key.len < w->key_bytes && w->key.len < LOCK_WHY_KEY_BYTES)) {
        wrong(d, "no such reason");
        return why;
    }
    why.reason = (enum txn_reason)w->reason;
    why.lock.rule = (enum lock_rule)w->rule;
    why.lock.mode = (enum lock_mode)w->mode;
    why.lock.by = id_in(w->by);
    why.lock.held_ns = w->held_ns;
    why.lock.waited_ns = w->waited_ns;
    if (w->key.len)
        memcpy(why.lock.key, w->key.data, w->key.len);
    why.lock.key_bytes = w->key_bytes;
    return why;
}

static void record_in(struct dec *d, const Txn__Record *o, struct txn_record *ret) {
    *ret = (struct txn_record){.generation = o->generation, .s = o->s, .s_allowed = o->s_allowed};
    if (o->type < TXN_REC_PREPARE || o->type >= TXN_REC_STAGED) {
        wrong(d, o->type == TXN_REC_STAGED ? "a staged commit, which this version does not know" : "no such record");
        return;
    }
    ret->type = (enum txn_record_type)o->type;
    ret->ref = ref_in(d, o->ref, o->type != TXN_REC_FORGET);
    ret->anchor = key_in(d, o->anchor);
    ret->n_parts = o->n_parts;
    ret->parts = parts_in(d, o->n_parts, o->parts);
    ret->n_grants = o->n_grants;
    ret->grants = grants_in(d, o->n_grants, o->grants);
    if (o->writes.len > TXN_WRITES_BYTES_MAX)
        wrong(d, "too many writes");
    ret->writes = (struct txn_bytes){o->writes.data, o->writes.len};
    ret->committed = o->committed;
    ret->token = token_in(o->token);
    ret->why = why_in(d, o->why);
    ret->horizon = o->horizon;
    ret->token_horizon = o->token_horizon;
}

static enum rc verdict_of(const struct dec *d, enum rc bad, const char *what, struct err *err) {
    if (d->nomem)
        return err_set(err, RC_NOMEM, "out of memory");
    return d->bad ? err_set(err, bad, "%s: %s", what, d->bad) : RC_OK;
}

enum rc txn_record_decode(const void *p, size_t n, struct arena *a, struct txn_record *ret, struct err *err) {
    struct dec d = {.a = a};
    ProtobufCMessage *m;
    enum rc rc = pb_unpack(&txn__record__descriptor, a, p, n, &m);
    if (rc)
        return err_set(err, rc == RC_PROTOCOL ? RC_CORRUPT : rc, "a log entry of the transaction layer is damaged");
    record_in(&d, (const Txn__Record *)m, ret);
    return verdict_of(&d, RC_CORRUPT, "a log entry of the transaction layer", err);
}

enum rc txn_msg_decode(const void *p, size_t n, struct arena *a, struct txn_msg *ret, struct err *err) {
    struct dec d = {.a = a};
    ProtobufCMessage *pb;
    enum rc rc = pb_unpack(&txn__msg__descriptor, a, p, n, &pb);
    if (rc)
        return err_set(err, rc, "not a message of the transaction layer");
    const Txn__Msg *o = (const Txn__Msg *)pb;
    *ret = (struct txn_msg){.s_min = o->s_min, .s_allowed = o->s_allowed, .read_only = o->read_only};
    if (o->type < TXN_MSG_COMMIT || o->type >= TXN_MSG_TYPES || o->verdict >= TXN_VERDICTS)
        wrong(&d, "no such type");
    else
        ret->type = (enum txn_msg_type)o->type;
    ret->verdict = o->verdict < TXN_VERDICTS ? (enum txn_verdict)o->verdict : TXN_UNDECIDED;
    ret->ref = ref_in(&d, o->ref, o->type != TXN_MSG_STATUS && o->type != TXN_MSG_TOKEN);
    ret->anchor = key_in(&d, o->anchor);
    ret->span = span_in(&d, o->span, false);
    ret->n_parts = o->n_parts;
    ret->parts = parts_in(&d, o->n_parts, o->parts);
    ret->token = token_in(o->token);
    ret->why = why_in(&d, o->why);
    return verdict_of(&d, RC_PROTOCOL, "a message of the transaction layer", err);
}

enum rc txn_state_decode(const void *p, size_t n, struct arena *a, struct txn_state *ret, struct err *err) {
    struct dec d = {.a = a};
    ProtobufCMessage *m;
    enum rc rc = pb_unpack(&txn__state__descriptor, a, p, n, &m);
    if (rc)
        return err_set(err, rc == RC_PROTOCOL ? RC_CORRUPT : rc, "the transactions of a snapshot are damaged");
    const Txn__State *o = (const Txn__State *)m;
    *ret = (struct txn_state){.horizon = o->horizon, .token_horizon = o->token_horizon, .floor = o->floor};
    if (o->n_prepared > TXN_STATE_RECORDS_MAX || o->n_outcomes > TXN_STATE_RECORDS_MAX)
        return err_set(err, RC_CORRUPT, "the transactions of a snapshot: too many");
    ret->prepared = arena_array(a, o->n_prepared + 1, sizeof *ret->prepared);
    ret->outcomes = arena_array(a, o->n_outcomes + 1, sizeof *ret->outcomes);
    if (!ret->prepared || !ret->outcomes)
        return err_set(err, RC_NOMEM, "out of memory");
    for (; ret->n_prepared < o->n_prepared; ret->n_prepared++) {
        record_in(&d, o->prepared[ret->n_prepared], &ret->prepared[ret->n_prepared]);
        if (ret->prepared[ret->n_prepared].type != TXN_REC_PREPARE)
            wrong(&d, "not a prepared transaction");
    }
    for (; ret->n_outcomes < o->n_outcomes; ret->n_outcomes++) {
        struct txn_record *r = &ret->outcomes[ret->n_outcomes];
        record_in(&d, o->outcomes[ret->n_outcomes], r);
        if (r->type != TXN_REC_COMMIT && r->type != TXN_REC_ABORT)
            wrong(&d, "not an outcome");
    }
    return verdict_of(&d, RC_CORRUPT, "the transactions of a snapshot", err);
}
