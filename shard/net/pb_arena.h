/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_arena.h: protobuf-c on our memory: unpack into an arena, pack straight to where the bytes go.
 *
 * Promise     pb_unpack takes all memory from the arena, so a message is dropped with it and never freed by itself; the
 *             arena's limit bounds what a small payload can blow up to. It copies: the payload may go afterwards.
 * Relies on   protobuf-c checking every length. It recurses once per nested message, so a .proto whose messages come
 *             off a wire must not nest in themselves: the schema bounds the depth, and a fiber's stack is small.
 * Threads     any.
 */
#ifndef MERIDIAN_NET_PB_ARENA_H
#define MERIDIAN_NET_PB_ARENA_H

#include <protobuf-c/protobuf-c.h>

#include "truetime/base/arena.h"
#include "truetime/base/buf.h"

/* RC_PROTOCOL: the bytes are no such message; RC_NOMEM: the arena is full. */
enum rc pb_unpack(const ProtobufCMessageDescriptor *type, struct arena *a, const void *p, size_t bytes,
                  ProtobufCMessage **ret) MUST_CHECK;

static inline size_t pb_bytes(const ProtobufCMessage *m) {
    return protobuf_c_message_get_packed_size(m);
}

/* Packs m behind what b holds; failures are remembered by b (buf_rc). */
void pb_pack(const ProtobufCMessage *m, struct buf *b);

#endif
