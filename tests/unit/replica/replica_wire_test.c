/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/replica/wire.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/rng.h"

enum { SELF = 0x10000, PEER = 0x20000 };

static struct px_config config3(void) {
    struct px_config c = {.epoch = 7, .count = 3};
    for (uint32_t i = 0; i < 3; i++)
        c.member[i] = (struct px_member){(px_store)(i + 1) << 16, i + 1, PX_OLD};
    return c;
}

static struct px_value *value(enum px_kind kind, const void *data, size_t bytes, struct px_ballot origin) {
    struct px_value *v = px_value_new(kind, data, bytes);
    CHECK(v);
    v->ts = 1234567890123456789;
    v->origin = origin;
    return v;
}

/* Packs what o holds and gives back the only message in it, unpacked into a. */
static const Replica__Batch *through(struct replica_out *o, struct arena *a) {
    struct buf b;
    ProtobufCMessage *m = NULL;
    buf_init(&b, 0);
    pb_pack(&o->batch.base, &b);
    OK(buf_rc(&b) == RC_OK);
    OK(pb_unpack(&replica__batch__descriptor, a, b.data, b.len, &m) == RC_OK);
    buf_done(&b);
    return (const Replica__Batch *)(const void *)m;
}

static bool same_ballot(const struct px_ballot *a, const struct px_ballot *b) {
    return px_ballot_cmp(a, b) == 0;
}

static void eq_msg(const struct px_msg *a, const struct px_msg *b) {
    EQ_INT(a->type, b->type);
    EQ_INT(a->group, b->group);
    EQ_INT(a->from_replica, b->from_replica);
    EQ_INT(a->to_replica, b->to_replica);
    EQ_INT(a->config_epoch, b->config_epoch);
    OK(same_ballot(&a->ballot, &b->ballot) && same_ballot(&a->asked, &b->asked) && same_ballot(&a->prior, &b->prior) &&
       same_ballot(&a->former, &b->former));
    EQ_INT(a->slot, b->slot);
    EQ_INT(a->commit, b->commit);
    EQ_INT(a->truncated, b->truncated);
    EQ_INT(a->last, b->last);
    EQ_INT(a->support_epoch, b->support_epoch);
    EQ_INT(a->until, b->until);
    EQ_INT(a->more, b->more);
    EQ_INT(a->unsynced, b->unsynced);
    EQ_INT(a->config != NULL, b->config != NULL);
    if (!EQ_INT(a->entries, b->entries))
        return;
    for (size_t i = 0; i < a->entries; i++) {
        const struct px_value *x = a->entry[i].value, *y = b->entry[i].value;
        EQ_INT(a->entry[i].slot, b->entry[i].slot);
        OK(same_ballot(&a->entry[i].ballot, &b->entry[i].ballot) && same_ballot(&x->origin, &y->origin));
        EQ_INT(x->kind, y->kind);
        EQ_INT(x->ts, y->ts);
        EQ_MEM(x->data, x->bytes, y->data, y->bytes);
    }
}

/* A Promise and an Accept with all their fields come out as they went in. */
static void round_trip(void) {
    struct px_config c = config3();
    struct px_ballot mine = {5, SELF, 3}, theirs = {9, PEER, 4}, old = {2, PEER, 1};
    int64_t floor = 77;
    uint8_t enc[512];
    size_t enc_bytes = px_config_encode(&c, enc, sizeof enc);
    struct px_entry e[4] = {{11, theirs, value(PX_COMMAND, "hello", 5, theirs)},
                            {12, theirs, value(PX_COMMAND, "", 0, old)},
                            {13, theirs, value(PX_START, &floor, 8, old)},
                            {14, theirs, value(PX_CONFIG, enc, enc_bytes, theirs)}};
    struct px_msg accept = {.type = PX_MSG_ACCEPT,
                            .group = ((uint64_t)1 << 56) - 1,
                            .from = PEER,
                            .to = SELF,
                            .from_replica = 2,
                            .to_replica = UINT64_MAX,
                            .incarnation = 4,
                            .config_epoch = 7,
                            .ballot = theirs,
                            .commit = 10,
                            .support_epoch = UINT64_MAX,
                            .entry = e,
                            .entries = 4};
    struct px_msg promise = accept;
    promise.type = PX_MSG_PROMISE;
    promise.ballot = mine;
    promise.former = old;
    promise.slot = 12;
    promise.last = 14;
    promise.truncated = 3;
    promise.until = INT64_MAX;
    promise.more = true;
    for (int i = 0; i < 4; i++)
        e[i].ballot = i ? old : (struct px_ballot){4, PEER, 1};
    e[0].value->origin = old;
    e[3].value->origin = old;
    struct px_msg refuse = {.type = PX_MSG_REFUSE,
                            .group = 1,
                            .from = PEER,
                            .to = SELF,
                            .ballot = old,
                            .asked = mine,
                            .incarnation = 4,
                            .config = &c,
                            .unsynced = true};
    const struct px_msg *all[] = {&promise, &refuse, &accept};
    for (int i = 0; i < 3; i++) {
        struct replica_out o;
        struct replica_in in;
        struct arena a;
        if (i == 2)
            for (int k = 0; k < 4; k++)
                e[k].ballot = theirs;
        arena_init(&a, 1 << 20);
        replica_out_init(&o);
        OK(replica_out_empty(&o));
        OK(replica_out_message(&o, all[i]) == RC_OK);
        o.batch.incarnation = 4;
        const Replica__Batch *b = through(&o, &a);
        EQ_INT(b->n_message, 1);
        EQ_INT(replica_in_message(b->message[0], PEER, SELF, b->incarnation, &a, &in), RC_OK);
        eq_msg(&in.m, all[i]);
        EQ_INT(in.m.incarnation, 4);
        replica_in_clear(&in);
        replica_out_done(&o);
        arena_done(&a);
    }
    for (int i = 0; i < 4; i++) {
        EQ_INT(e[i].value->refs, 1); /* nobody kept one */
        px_value_unref(e[i].value);
    }
}

static Replica__Ballot ballot_pb(uint64_t round, px_store store) {
    Replica__Ballot b = REPLICA__BALLOT__INIT;
    b.round = round;
    b.store = store;
    b.incarnation = 1;
    return b;
}

static enum rc judge(const Replica__Message *m) {
    struct arena a;
    struct replica_in in;
    arena_init(&a, 1 << 20);
    enum rc rc = replica_in_message(m, PEER, SELF, 1, &a, &in);
    if (rc == RC_OK)
        replica_in_clear(&in);
    arena_done(&a);
    return rc;
}

/* What no peer of ours sends does not reach the core. */
static void hostile(void) {
    Replica__Ballot theirs = ballot_pb(3, PEER), mine = ballot_pb(3, SELF), high = ballot_pb(4, PEER),
                    none = ballot_pb(0, PEER);
    Replica__Entry one = REPLICA__ENTRY__INIT, two = REPLICA__ENTRY__INIT, *entries[2] = {&one, &two};
    Replica__Message m = REPLICA__MESSAGE__INIT;
    one.slot = 5;
    one.kind = two.kind = PX_COMMAND;
    two.slot = 6;
    m.type = PX_MSG_ACCEPT;
    m.group = 1;
    m.ballot = &theirs;
    m.entry = entries;
    m.n_entry = 2;
    EQ_INT(judge(&m), RC_OK);
#define BAD(change, undo)                                                                                              \
    do {                                                                                                               \
        change;                                                                                                        \
        EQ_INT(judge(&m), RC_PROTOCOL);                                                                                \
        undo;                                                                                                          \
        EQ_INT(judge(&m), RC_OK);                                                                                      \
    } while (0)
    BAD(m.type = 0, m.type = PX_MSG_ACCEPT);
    BAD(m.type = PX_MSG_TYPES, m.type = PX_MSG_ACCEPT);
    BAD(m.type = PX_MSG_ACK, m.type = PX_MSG_ACCEPT); /* entries where none belong */
    BAD(m.group = (uint64_t)1 << 56, m.group = 1);
    BAD(m.ballot = &mine, m.ballot = &theirs); /* proposes in our name */
    BAD(m.ballot = NULL, m.ballot = &theirs);
    BAD(two.slot = 7, two.slot = 6); /* a hole */
    BAD(two.slot = 5, two.slot = 6); /* twice */
    BAD(one.slot = 0, one.slot = 5);
    BAD(one.kind = 0, one.kind = PX_COMMAND);
    BAD(one.kind = PX_RELEASE + 1, one.kind = PX_COMMAND);
    BAD(one.kind = PX_START, one.kind = PX_COMMAND);  /* without its floor */
    BAD(one.kind = PX_CONFIG, one.kind = PX_COMMAND); /* without a configuration */
    BAD(one.ballot = &high, one.ballot = NULL);       /* accepted above the ballot of the message */
    BAD(one.origin = &high, one.origin = NULL);       /* proposed after it was accepted */
    BAD(one.ballot = &none, one.ballot = NULL);
    BAD(m.commit = UINT64_MAX, m.commit = 0);
    BAD(m.config = ((ProtobufCBinaryData){4, (uint8_t *)"abcd"}), m.config = ((ProtobufCBinaryData){0}));
    BAD(entries[1] = NULL, entries[1] = &two);
    m.n_entry = 0;
    m.type = PX_MSG_PREPARE;
    EQ_INT(judge(&m), RC_PROTOCOL); /* no configuration, no slot */
}

static void supports(void) {
    Replica__Support s = REPLICA__SUPPORT__INIT;
    struct support_msg m;
    s.type = SUPPORT_ASK;
    s.epoch = 9;
    s.until = 100;
    OK(replica_in_support(&s, PEER, SELF, 3, &m));
    OK(m.from == PEER && m.to == SELF && m.incarnation == 3 && m.epoch == 9 && m.until == 100);
    s.type = 0;
    OK(!replica_in_support(&s, PEER, SELF, 3, &m));
    s.type = 4;
    OK(!replica_in_support(&s, PEER, SELF, 3, &m));
    s.type = SUPPORT_GRANT;
    s.until = -1;
    OK(!replica_in_support(&s, PEER, SELF, 3, &m));
}

/* Everything that goes into a batch is in it, and a cleared one is empty. */
static void batches(void) {
    struct replica_out o;
    struct arena a;
    struct support_msg s = {SUPPORT_ASK, SELF, PEER, 1, 5, 6};
    arena_init(&a, 8 << 20);
    replica_out_init(&o);
    for (uint64_t i = 0; i < 1000; i++) {
        struct px_msg ack = {.type = PX_MSG_ACK, .group = i + 1, .ballot = {1, PEER, 1}, .slot = i};
        OK(replica_out_message(&o, &ack) == RC_OK);
        OK(replica_out_support(&o, &s) == RC_OK);
        OK(replica_out_want(&o, i) == RC_OK);
    }
    const Replica__Batch *b = through(&o, &a);
    EQ_INT(b->n_message, 1000);
    EQ_INT(b->n_support, 1000);
    EQ_INT(b->n_want_snapshot, 1000);
    EQ_INT(b->message[999]->group, 1000);
    EQ_INT(b->want_snapshot[998], 998);
    replica_out_clear(&o);
    OK(replica_out_empty(&o));
    EQ_INT(pb_bytes(&o.batch.base), 0);
    replica_out_done(&o);
    arena_done(&a);
}

static void states(void) {
    struct replica_state s = {.applied = 5, .origin = {1, 2, 3}, .floor = -1, .config = config3()}, back;
    uint8_t b[REPLICA_STATE_BYTES_MAX];
    size_t n = replica_state_encode(&s, b);
    OK(replica_state_decode(b, n, &back) == RC_OK);
    OK(back.applied == 5 && back.floor == -1 && back.config.epoch == 7 && same_ballot(&back.origin, &s.origin));
    for (size_t i = 0; i < n; i++)
        EQ_INT(replica_state_decode(b, i, &back), RC_PROTOCOL);
    s.config.count = PX_MEMBERS_MAX;
    for (uint32_t i = 0; i < PX_MEMBERS_MAX; i++)
        s.config.member[i] = (struct px_member){i + 1, i, PX_OLD};
    n = replica_state_encode(&s, b);
    OK(n <= REPLICA_STATE_BYTES_MAX && replica_state_decode(b, n, &back) == RC_OK);
}

int main(void) {
    RUN(round_trip);
    RUN(hostile);
    RUN(supports);
    RUN(batches);
    RUN(states);
    return tap_done();
}
