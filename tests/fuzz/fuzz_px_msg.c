/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_px_msg.c: any bytes as a batch of Paxos messages. Each message is refused, or is one that the core can take: then it
 * survives being sent on, field by field. The bytes are also tried as a replica_state.
 */
#include <string.h>

#include "shard/replica/wire.h"

enum { ARENA_BYTES = 4 << 20, SELF = 0x10000, PEER = 0x20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct px_msg *m) {
    CHECK(m->type >= PX_MSG_PREPARE && m->type < PX_MSG_TYPES && m->entries <= REPLICA_ENTRIES_MAX);
    for (size_t i = 0; i < m->entries; i++) {
        const struct px_entry *e = &m->entry[i];
        CHECK(e->value && e->slot == m->entry[0].slot + i && e->slot > 0);
        CHECK(px_ballot_cmp(&e->ballot, &m->ballot) <= 0 && px_ballot_cmp(&e->value->origin, &e->ballot) <= 0);
    }
    if (m->config)
        CHECK(px_config_check(m->config, NULL) == RC_OK);
}

static bool same(const struct px_msg *a, const struct px_msg *b) {
    bool equal = a->type == b->type && a->group == b->group && a->from_replica == b->from_replica &&
                 a->to_replica == b->to_replica && a->config_epoch == b->config_epoch && a->slot == b->slot &&
                 a->commit == b->commit && a->truncated == b->truncated && a->last == b->last &&
                 a->support_epoch == b->support_epoch && a->until == b->until && a->more == b->more &&
                 a->unsynced == b->unsynced && a->entries == b->entries && !a->config == !b->config &&
                 px_ballot_cmp(&a->ballot, &b->ballot) == 0 && px_ballot_cmp(&a->asked, &b->asked) == 0 &&
                 px_ballot_cmp(&a->prior, &b->prior) == 0 && px_ballot_cmp(&a->former, &b->former) == 0;
    for (size_t i = 0; equal && i < a->entries; i++) {
        const struct px_value *x = a->entry[i].value, *y = b->entry[i].value;
        equal = a->entry[i].slot == b->entry[i].slot && x->bytes == y->bytes && x->kind == y->kind && x->ts == y->ts &&
                memcmp(x->data, y->data, x->bytes) == 0 &&
                px_ballot_cmp(&a->entry[i].ballot, &b->entry[i].ballot) == 0 &&
                px_ballot_cmp(&x->origin, &y->origin) == 0;
    }
    return equal;
}

static void send_on(const struct px_msg *m, struct arena *a) {
    struct replica_out out;
    struct replica_in in;
    struct buf b;
    ProtobufCMessage *pb = NULL;
    replica_out_init(&out);
    buf_init(&b, 0);
    CHECK(replica_out_message(&out, m) == RC_OK);
    pb_pack(&out.batch.base, &b);
    CHECK(buf_rc(&b) == RC_OK);
    enum rc rc = pb_unpack(&replica__batch__descriptor, a, b.data, b.len, &pb);
    if (rc == RC_OK) {
        const Replica__Batch *again = (const Replica__Batch *)(const void *)pb;
        rc = replica_in_message(again->message[0], PEER, SELF, 1, a, &in);
        CHECK(rc == RC_OK || rc == RC_NOMEM);
        if (rc == RC_OK) {
            CHECK(same(m, &in.m));
            replica_in_clear(&in);
        }
    } else {
        CHECK(rc == RC_NOMEM); /* the arena is full */
    }
    buf_done(&b);
    replica_out_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct replica_state state;
    ProtobufCMessage *pb = NULL;
    arena_init(&a, ARENA_BYTES);
    if (pb_unpack(&replica__batch__descriptor, &a, data, size, &pb) == RC_OK) {
        const Replica__Batch *batch = (const Replica__Batch *)(const void *)pb;
        for (size_t i = 0; i < batch->n_message; i++) {
            struct replica_in in;
            enum rc rc = replica_in_message(batch->message[i], PEER, SELF, 1, &a, &in);
            CHECK(rc == RC_OK || rc == RC_PROTOCOL || rc == RC_NOMEM);
            if (rc)
                continue;
            check(&in.m);
            send_on(&in.m, &a);
            replica_in_clear(&in);
        }
        for (size_t i = 0; i < batch->n_support; i++) {
            struct support_msg m;
            if (replica_in_support(batch->support[i], PEER, SELF, 1, &m))
                CHECK(m.until >= 0);
        }
    }
    if (replica_state_decode(data, size, &state) == RC_OK) {
        uint8_t to[REPLICA_STATE_BYTES_MAX];
        CHECK(replica_state_encode(&state, to) == size);
    }
    arena_done(&a);
    return 0;
}
