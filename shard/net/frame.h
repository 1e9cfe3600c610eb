/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h: the unit that nodes exchange, as bytes. Pure: no env, no memory of its own.
 *
 *     offset  bytes  field         little-endian
 *     0       4      length        of the whole frame, this header included
 *     4       4      head_crc      CRC32C of bytes 0 .. 3 and 8 .. 51
 *     8       4      payload_crc   CRC32C of bytes 52 .. length - 1
 *     12      2      type          message type of the payload: which service
 *     14      1      kind          enum frame_kind
 *     15      1      flags         FRAME_FLAG_...; a receiver ignores bits that it does not know
 *     16      2      to_store      the store of the receiving node
 *     18      2      from_store    the store of the sending node
 *     20      8      id            ties an answer, a cancel or a stream frame to what it belongs to
 *     28      8      timeout_ns    how long the sender still waits; 0 = for ever
 *     36      8      earliest      the sender's clock interval when the frame left (rule C-4); both 0 = the sender has
 *     44      8      latest        no synchronised clock
 *     52      ...    payload       protobuf; stream frames put 8 bytes of their own before it (stream.c)
 *
 * Why two     With one checksum over all, a length damaged into a larger one would only be found out when that many
 * checksums   bytes have come: meanwhile the connection swallows every frame, and the pings among them keep it alive.
 *             So the header vouches for itself before anybody waits for what it announces.
 *
 * Promise     frame_parse reads nothing outside the bytes that it was given, believes no length before it was
 *             checked, and gives the payload in place. What it takes as FRAME_OK has the checksums its sender
 *             computed. A length out of bounds is judged as soon as its four bytes are there: nobody has to buffer a
 *             frame that will be refused.
 * Relies on   crc32c.
 * Threads     any.
 */
#ifndef MERIDIAN_NET_FRAME_H
#define MERIDIAN_NET_FRAME_H

#include "truetime/base/check.h"

enum {
    FRAME_HEAD_BYTES = 52,
    FRAME_PAYLOAD_BYTES_MAX = 4 << 20,       /* on an ordinary connection */
    FRAME_BULK_PAYLOAD_BYTES_MAX = 16 << 20, /* on a bulk connection */
};

enum frame_kind {
    FRAME_REQUEST = 1,
    FRAME_RESPONSE,
    FRAME_ERROR,  /* a response that is a Status */
    FRAME_ONEWAY, /* nobody waits for an answer */
    FRAME_CANCEL, /* who asked request `id` no longer waits */
    FRAME_STREAM_OPEN,
    FRAME_STREAM_CHUNK,
    FRAME_STREAM_CREDIT,
    FRAME_STREAM_END,
    FRAME_STREAM_RESET,
    FRAME_HELLO,
    FRAME_PING,
    FRAME_PONG,
    FRAME_BYE, /* nothing more from here on this connection; an answer of the same kind ends it */
    FRAME_KIND_END,
};

enum { FRAME_FLAG_OPENER = 1 }; /* stream frames: the sender opened the stream, so the id is one of its own */

struct frame {
    uint16_t type;
    uint8_t kind, flags;
    uint16_t to_store, from_store;
    uint64_t id, timeout_ns;
    int64_t earliest, latest;
    const uint8_t *payload; /* in place */
    size_t payload_bytes;
};

enum frame_status {
    FRAME_OK,
    FRAME_MORE,     /* a good start: *ret_bytes are needed in all */
    FRAME_SHORT,    /* the length is less than a header's */
    FRAME_OVERSIZE, /* the payload is larger than allowed */
    FRAME_BAD_CRC,
    FRAME_BAD_KIND,
    FRAME_STATUSES,
};

const char *frame_status_text(enum frame_status s); /* "bad checksum" */
const char *frame_kind_name(unsigned kind);         /* "request"; "?" */

/* Looks at the first frame of p[0 .. bytes). FRAME_OK: *ret is it and *ret_bytes its length. FRAME_MORE: *ret_bytes
 * is how many bytes must be there before it makes sense to ask again (more than `bytes`). Anything else: the stream
 * of bytes is damaged and cannot be read on. */
enum frame_status frame_parse(const void *p, size_t bytes, size_t payload_bytes_max, struct frame *ret,
                              size_t *ret_bytes) MUST_CHECK;

/* Writes the header of a frame with f->payload_bytes of payload, which the caller puts behind it. The frame may not
 * leave before frame_seal. */
void frame_put_head(uint8_t *to, const struct frame *f);

/* Sets the interval and the checksums of the frame at p. Returns its length. */
size_t frame_seal(uint8_t *p, int64_t earliest, int64_t latest);

/* The length field of the frame at p. */
size_t frame_length(const uint8_t *p);

#endif
