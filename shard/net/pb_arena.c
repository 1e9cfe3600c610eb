/* SPDX-License-Identifier: Apache-2.0 */
/* pb_arena.c: a ProtobufCAllocator on an arena, which also remembers whether memory was the reason for a failure. */
#include "shard/net/pb_arena.h"

struct source {
    struct arena *arena;
    bool full;
};

static void *source_alloc(void *ctx, size_t bytes) {
    struct source *s = ctx;
    void *p = arena_alloc(s->arena, bytes);
    s->full |= p == NULL;
    return p;
}

static void source_free(void *ctx, void *p) {
    (void)ctx, (void)p; /* goes with the arena */
}

enum rc pb_unpack(const ProtobufCMessageDescriptor *type, struct arena *a, const void *p, size_t bytes,
                  ProtobufCMessage **ret) {
    static const uint8_t nothing;
    struct source s = {.arena = a};
    ProtobufCAllocator allocator = {source_alloc, source_free, &s};
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, bytes, bytes ? p : &nothing);
    if (!m)
        return s.full ? RC_NOMEM : RC_PROTOCOL;
    *ret = m;
    return RC_OK;
}

void pb_pack(const ProtobufCMessage *m, struct buf *b) {
    size_t bytes = pb_bytes(m);
    uint8_t *to = buf_reserve(b, bytes);
    if (!to)
        return;
    size_t packed = protobuf_c_message_pack(m, to);
    CHECKF(packed == bytes, "packed=%zu promised=%zu", packed, bytes);
    buf_commit(b, bytes);
}
