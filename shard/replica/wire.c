/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/replica/wire.h"

#include <stdlib.h>
#include <string.h>

enum { OUT_KEPT = 1024, GROUP_BITS = 56, CONFIG_BYTES_MAX = 10 + 17 * PX_MEMBERS_MAX };

/* ---- out --------------------------------------------------------------------------------------------------------- */

void replica_out_init(struct replica_out *o) {
    *o = (struct replica_out){0};
    arena_init(&o->arena, 0);
    replica__batch__init(&o->batch);
}

void replica_out_clear(struct replica_out *o) {
    for (size_t i = 0; i < o->values; i++)
        px_value_unref(o->value[i]);
    if (o->values_cap > OUT_KEPT) {
        free(o->value);
        o->value = NULL;
        o->values_cap = 0;
    }
    if (o->arena.bytes > ARENA_CHUNK_BYTES_MAX)
        arena_done(&o->arena);
    else
        arena_reset(&o->arena);
    replica__batch__init(&o->batch);
    o->messages_cap = o->supports_cap = o->wants_cap = o->values = o->bytes = 0;
}

void replica_out_done(struct replica_out *o) {
    replica_out_clear(o);
    arena_done(&o->arena);
    free(o->value);
    o->value = NULL;
    o->values_cap = 0;
}

bool replica_out_empty(const struct replica_out *o) {
    return !o->batch.n_message && !o->batch.n_support && !o->batch.n_want_snapshot;
}

/* Room for one more element of `size` bytes in an array of n that lies in the arena. */
static bool room(struct replica_out *o, void *array, size_t n, size_t *cap, size_t size) {
    void *old;
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 8;
    void *p = arena_array(&o->arena, want, size);
    if (!p)
        return false;
    memcpy(&old, array, sizeof old);
    if (n)
        memcpy(p, old, n * size);
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static bool keep_value(struct replica_out *o, struct px_value *v) {
    if (o->values == o->values_cap) {
        size_t cap = o->values_cap ? o->values_cap * 2 : 64;
        struct px_value **p = realloc(o->value, cap * sizeof(*p));
        if (!p)
            return false;
        o->value = p;
        o->values_cap = cap;
    }
    o->value[o->values++] = px_value_ref(v);
    return true;
}

/* NULL for a zero ballot; *bad if there is no memory. */
static Replica__Ballot *ballot_out(struct replica_out *o, const struct px_ballot *b, bool *bad) {
    if (px_ballot_is_zero(b) && !b->store && !b->incarnation)
        return NULL;
    Replica__Ballot *r = arena_new(&o->arena, Replica__Ballot);
    if (!r) {
        *bad = true;
        return NULL;
    }
    replica__ballot__init(r);
    r->round = b->round;
    r->store = b->store;
    r->incarnation = b->incarnation;
    return r;
}

static Replica__Entry *entry_out(struct replica_out *o, const struct px_entry *e, const struct px_ballot *ballot,
                                 bool *bad) {
    Replica__Entry *r = arena_new(&o->arena, Replica__Entry);
    if (!r || !keep_value(o, e->value)) {
        *bad = true;
        return NULL;
    }
    replica__entry__init(r);
    r->slot = e->slot;
    r->kind = (uint32_t)e->value->kind;
    r->ts = e->value->ts;
    r->data = (ProtobufCBinaryData){e->value->bytes, e->value->data};
    if (px_ballot_cmp(&e->ballot, ballot) != 0)
        r->ballot = ballot_out(o, &e->ballot, bad);
    if (px_ballot_cmp(&e->value->origin, &e->ballot) != 0)
        r->origin = ballot_out(o, &e->value->origin, bad);
    return r;
}

static void config_out(struct replica_out *o, const struct px_config *c, ProtobufCBinaryData *ret, bool *bad) {
    uint8_t *p = arena_alloc(&o->arena, CONFIG_BYTES_MAX);
    if (!p) {
        *bad = true;
        return;
    }
    ret->data = p;
    ret->len = px_config_encode(c, p, CONFIG_BYTES_MAX);
}

enum rc replica_out_message(struct replica_out *o, const struct px_msg *m) {
    bool bad = false;
    size_t bytes = 0;
    Replica__Message *r = arena_new(&o->arena, Replica__Message);
    if (!r || !room(o, &o->batch.message, o->batch.n_message, &o->messages_cap, sizeof r))
        return RC_NOMEM;
    replica__message__init(r);
    r->type = (uint32_t)m->type;
    r->group = m->group;
    r->from_replica = m->from_replica;
    r->to_replica = m->to_replica;
    r->config_epoch = m->config_epoch;
    r->ballot = ballot_out(o, &m->ballot, &bad);
    r->asked = ballot_out(o, &m->asked, &bad);
    r->prior = ballot_out(o, &m->prior, &bad);
    r->former = ballot_out(o, &m->former, &bad);
    r->slot = m->slot;
    r->commit = m->commit;
    r->truncated = m->truncated;
    r->last = m->last;
    r->support_epoch = m->support_epoch;
    r->until = m->until;
    r->more = m->more;
    r->unsynced = m->unsynced;
    if (m->config)
        config_out(o, m->config, &r->config, &bad);
    if (m->entries) {
        r->entry = arena_array(&o->arena, m->entries, sizeof(*r->entry));
        bad |= !r->entry;
        for (; !bad && r->n_entry < m->entries; r->n_entry++) {
            r->entry[r->n_entry] = entry_out(o, &m->entry[r->n_entry], &m->ballot, &bad);
            bytes += m->entry[r->n_entry].value->bytes + 32;
        }
    }
    if (bad)
        return RC_NOMEM; /* what was put into the arena and the values goes with the batch */
    o->batch.message[o->batch.n_message++] = r;
    o->bytes += bytes + 96;
    return RC_OK;
}

enum rc replica_out_support(struct replica_out *o, const struct support_msg *m) {
    Replica__Support *r = arena_new(&o->arena, Replica__Support);
    if (!r || !room(o, &o->batch.support, o->batch.n_support, &o->supports_cap, sizeof r))
        return RC_NOMEM;
    replica__support__init(r);
    r->type = (uint32_t)m->type;
    r->epoch = m->epoch;
    r->until = m->until;
    o->batch.support[o->batch.n_support++] = r;
    return RC_OK;
}

enum rc replica_out_want(struct replica_out *o, uint64_t group) {
    if (!room(o, &o->batch.want_snapshot, o->batch.n_want_snapshot, &o->wants_cap, sizeof group))
        return RC_NOMEM;
    o->batch.want_snapshot[o->batch.n_want_snapshot++] = group;
    return RC_OK;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static struct px_ballot ballot_in(const Replica__Ballot *b) {
    return b ? (struct px_ballot){b->round, b->store, b->incarnation} : (struct px_ballot){0};
}

static enum rc entry_in(const Replica__Entry *e, const struct px_ballot *ballot, px_slot slot, struct px_entry *ret) {
    struct px_config c;
    if (!e || e->slot != slot || e->kind < PX_START || e->kind > PX_RELEASE || e->data.len > WAL_RECORD_BYTES_MAX / 2)
        return RC_PROTOCOL;
    if (e->kind == PX_CONFIG && px_config_decode(e->data.data, e->data.len, &c))
        return RC_PROTOCOL;
    if ((e->kind == PX_START || e->kind == PX_RELEASE) && e->data.len != sizeof(int64_t))
        return RC_PROTOCOL;
    struct px_ballot at = e->ballot ? ballot_in(e->ballot) : *ballot;
    struct px_ballot origin = e->origin ? ballot_in(e->origin) : at;
    /* A voter has nothing above what it promised, and nobody accepts what is proposed only later. */
    if (!at.round || px_ballot_cmp(&at, ballot) > 0 || !origin.round || px_ballot_cmp(&origin, &at) > 0)
        return RC_PROTOCOL;
    struct px_value *v = px_value_new((enum px_kind)e->kind, e->data.data, e->data.len);
    if (!v)
        return RC_NOMEM;
    v->ts = e->ts;
    v->origin = origin;
    *ret = (struct px_entry){slot, at, v};
    return RC_OK;
}

static enum rc entries_in(const Replica__Message *from, struct arena *a, struct replica_in *in) {
    if (from->n_entry > REPLICA_ENTRIES_MAX)
        return RC_PROTOCOL;
    in->entry = arena_array(a, from->n_entry, sizeof *in->entry);
    if (!in->entry)
        return RC_NOMEM;
    px_slot slot = from->entry[0] ? from->entry[0]->slot : 0;
    if (!slot || slot > UINT64_MAX / 2)
        return RC_PROTOCOL;
    for (size_t i = 0; i < from->n_entry; i++) {
        enum rc rc = entry_in(from->entry[i], &in->m.ballot, slot + i, &in->entry[i]);
        if (rc)
            return rc;
        in->m.entries++;
    }
    in->m.entry = in->entry;
    return RC_OK;
}

static bool numbers_in_range(const Replica__Message *m) {
    const px_slot most = UINT64_MAX / 2;
    bool prepares = m->type == PX_MSG_PREPARE || m->type == PX_MSG_FETCH;
    return m->type >= PX_MSG_PREPARE && m->type < PX_MSG_TYPES && m->group >> GROUP_BITS == 0 && m->slot < most &&
           m->commit < most && m->truncated < most && m->last < most && (!prepares || m->slot > 0) &&
           (m->n_entry == 0 || m->type == PX_MSG_ACCEPT || m->type == PX_MSG_PROMISE);
}

/* Only the owner of a ballot uses it to ask for something. */
static bool ballot_fits(const struct px_msg *m) {
    switch (m->type) {
    case PX_MSG_PREPARE:
    case PX_MSG_FETCH:
    case PX_MSG_ACCEPT:
    case PX_MSG_RESIGN:
    case PX_MSG_TAKE_OVER:
        return m->ballot.round > 0 && m->ballot.store == m->from;
    case PX_MSG_PROMISE:
    case PX_MSG_ACK:
        return m->ballot.round > 0 && m->ballot.store == m->to;
    default:
        return true;
    }
}

enum rc replica_in_message(const Replica__Message *from, px_store sender, px_store self, uint64_t incarnation,
                           struct arena *a, struct replica_in *ret) {
    struct replica_in in = {.m = {.type = (enum px_msg_type)from->type,
                                  .group = from->group,
                                  .from = sender,
                                  .to = self,
                                  .from_replica = from->from_replica,
                                  .to_replica = from->to_replica,
                                  .incarnation = incarnation,
                                  .config_epoch = from->config_epoch,
                                  .ballot = ballot_in(from->ballot),
                                  .asked = ballot_in(from->asked),
                                  .prior = ballot_in(from->prior),
                                  .former = ballot_in(from->former),
                                  .slot = from->slot,
                                  .commit = from->commit,
                                  .truncated = from->truncated,
                                  .last = from->last,
                                  .support_epoch = from->support_epoch,
                                  .until = from->until,
                                  .more = from->more,
                                  .unsynced = from->unsynced}};
    if (!numbers_in_range(from) || !ballot_fits(&in.m))
        return RC_PROTOCOL;
    bool wants_config = in.m.type == PX_MSG_PREPARE || in.m.type == PX_MSG_REMOVED;
    if (from->config.len == 0 ? wants_config
                              : px_config_decode(from->config.data, from->config.len, &in.config) != RC_OK)
        return RC_PROTOCOL;
    *ret = in;
    enum rc rc = from->n_entry ? entries_in(from, a, ret) : RC_OK;
    if (rc) {
        replica_in_clear(ret);
        return rc;
    }
    ret->m.config = from->config.len ? &ret->config : NULL;
    return RC_OK;
}

void replica_in_clear(struct replica_in *in) {
    for (size_t i = 0; i < in->m.entries; i++)
        px_value_unref(in->entry[i].value);
    in->m.entries = 0;
}

bool replica_in_support(const Replica__Support *from, px_store sender, px_store self, uint64_t incarnation,
                        struct support_msg *ret) {
    if (from->type < SUPPORT_ASK || from->type > SUPPORT_REFUSE || from->until < 0)
        return false;
    *ret = (struct support_msg){(enum support_msg_type)from->type, sender, self, incarnation, from->epoch, from->until};
    return true;
}
