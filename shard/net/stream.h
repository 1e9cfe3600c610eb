/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h: bulk transfers between stores: chunks in order, both ways, with flow control, beside the ordinary traffic.
 *
 *     opener                                     service (rpc_service.stream)
 *     rpc_stream_open(type, request)   ------->  runs on a fiber
 *     rpc_stream_write ...             ------->  rpc_stream_read ...
 *     rpc_stream_end                   ------->  reads 0 bytes: the end
 *     rpc_stream_read ...              <-------  rpc_stream_write ...
 *     reads 0 bytes                    <-------  returns RC_OK
 *     rpc_stream_close
 *
 * Promise     A chunk is read as it was written, all of them in order, or the stream is broken and says why. The
 *             writer is never more than the window ahead of the reader: a slow reader stops it, and memory stays
 *             bounded. Either side may reset at any time; a broken connection resets.
 * Relies on   rpc.h; the bulk connection of the two stores, which never delays ordinary frames.
 * Threads     the store's own; one reading and one writing fiber per end.
 */
#ifndef MERIDIAN_NET_STREAM_H
#define MERIDIAN_NET_STREAM_H

#include "shard/net/rpc.h"

/* Opens a stream and waits until the other side has taken it. request: borrowed during the call. */
enum rc rpc_stream_open(struct rpc *rpc, struct store_addr to, uint16_t type, const ProtobufCMessage *request,
                        int64_t deadline, struct rpc_stream **ret, struct err *err) WAITS MUST_CHECK;
/* One chunk, 1 .. RPC_STREAM_CHUNK_BYTES_MAX bytes. RC_TIMEOUT, RC_CANCELLED: nothing of it was sent. */
enum rc rpc_stream_write(struct rpc_stream *s, const void *data, size_t bytes, int64_t deadline,
                         struct err *err) WAITS MUST_CHECK;
/* No more chunks from here. */
enum rc rpc_stream_end(struct rpc_stream *s, struct err *err) MUST_CHECK;
/* The next chunk, good until the next read or the close; *ret_bytes 0: the other side has ended. */
enum rc rpc_stream_read(struct rpc_stream *s, const void **ret_data, size_t *ret_bytes, int64_t deadline,
                        struct err *err) WAITS MUST_CHECK;
/* Tells the other side that and why it fails. rc is not RC_OK. */
void rpc_stream_reset(struct rpc_stream *s, enum rc rc, const struct err *err);
/* By the opener; resets what has not ended. NULL is fine. */
void rpc_stream_close(struct rpc_stream *s);

#endif
