/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_wire.c: any bytes as the payload of a Hello or a Status, unpacked into a small arena. The first byte chooses.
 * What unpacks packs again, and unpacks to the same bytes; but for fields that we do not know, of which protobuf-c
 * keeps some that it would itself refuse (a field number 0 in two bytes).
 */
#include <string.h>

#include "shard/net/pb_arena.h"
#include "shard/net/status.h"

enum { ARENA_BYTES = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pack_again(const ProtobufCMessage *m, struct arena *a) {
    ProtobufCMessage *again = NULL;
    struct buf one, two;
    buf_init(&one, 0);
    buf_init(&two, 0);
    pb_pack(m, &one);
    CHECK(buf_rc(&one) == RC_OK && one.len == pb_bytes(m));
    enum rc rc = pb_unpack(m->descriptor, a, one.data, one.len, &again);
    CHECK(rc == RC_OK || rc == RC_NOMEM);
    if (rc == RC_OK) {
        pb_pack(again, &two);
        CHECK(one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
    }
    buf_done(&one);
    buf_done(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    if (size == 0)
        return 0;
    bool hello = data[0] & 1;
    arena_init(&a, ARENA_BYTES);
    enum rc rc = pb_unpack(hello ? &wire__hello__descriptor : &wire__status__descriptor, &a, data + 1, size - 1, &m);
    CHECK(a.bytes <= ARENA_BYTES);
    CHECK(rc == RC_OK || rc == RC_PROTOCOL || rc == RC_NOMEM);
    if (rc == RC_OK) {
        m->n_unknown_fields = 0;
        if (hello && ((Wire__Hello *)m)->refusal)
            ((Wire__Hello *)m)->refusal->base.n_unknown_fields = 0;
        pack_again(m, &a);
    }
    if (!hello) {
        rc = status_parse(data + 1, size - 1, &err);
        CHECK(rc != RC_OK && err.rc == rc);
        CHECK(memchr(err.message, '\0', sizeof err.message) && memchr(err.detail, '\0', sizeof err.detail) &&
              memchr(err.hint, '\0', sizeof err.hint));
    } else if (rc == RC_OK && ((Wire__Hello *)m)->refusal) {
        CHECK(status_to_err(((Wire__Hello *)m)->refusal, &err) != RC_OK);
    }
    arena_done(&a);
    return 0;
}
