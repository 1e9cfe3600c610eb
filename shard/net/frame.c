/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c: loads and stores at the offsets of the table in frame.h. */
#include "shard/net/frame.h"

#include "truetime/base/buf.h"
#include "truetime/base/crc32c.h"

enum {
    OFF_LENGTH = 0,
    OFF_HEAD_CRC = 4,
    OFF_PAYLOAD_CRC = 8,
    OFF_TYPE = 12,
    OFF_KIND = 14,
    OFF_FLAGS = 15,
    OFF_TO_STORE = 16,
    OFF_FROM_STORE = 18,
    OFF_ID = 20,
    OFF_TIMEOUT = 28,
    OFF_EARLIEST = 36,
    OFF_LATEST = 44,
    OFF_END = 52,
};

static_assert((int)OFF_END == (int)FRAME_HEAD_BYTES, "the table and the constant agree");
static_assert(FRAME_PAYLOAD_BYTES_MAX <= FRAME_BULK_PAYLOAD_BYTES_MAX, "bulk frames are the larger ones");

const char *frame_status_text(enum frame_status s) {
    static const char *const texts[FRAME_STATUSES] = {
        [FRAME_OK] = "ok",
        [FRAME_MORE] = "incomplete",
        [FRAME_SHORT] = "length below that of a header",
        [FRAME_OVERSIZE] = "oversize",
        [FRAME_BAD_CRC] = "bad checksum",
        [FRAME_BAD_KIND] = "unknown kind",
    };
    return s < FRAME_STATUSES ? texts[s] : "?";
}

const char *frame_kind_name(unsigned kind) {
    static const char *const names[FRAME_KIND_END] = {
        [FRAME_REQUEST] = "request",
        [FRAME_RESPONSE] = "response",
        [FRAME_ERROR] = "error",
        [FRAME_ONEWAY] = "oneway",
        [FRAME_CANCEL] = "cancel",
        [FRAME_STREAM_OPEN] = "stream open",
        [FRAME_STREAM_CHUNK] = "stream chunk",
        [FRAME_STREAM_CREDIT] = "stream credit",
        [FRAME_STREAM_END] = "stream end",
        [FRAME_STREAM_RESET] = "stream reset",
        [FRAME_HELLO] = "hello",
        [FRAME_PING] = "ping",
        [FRAME_PONG] = "pong",
        [FRAME_BYE] = "bye",
    };
    return kind > 0 && kind < FRAME_KIND_END ? names[kind] : "?";
}

size_t frame_length(const uint8_t *p) {
    return get_u32le(p + OFF_LENGTH);
}

static uint32_t head_crc(const uint8_t *p) {
    return crc32c(crc32c(0, p, OFF_HEAD_CRC), p + OFF_PAYLOAD_CRC, FRAME_HEAD_BYTES - OFF_PAYLOAD_CRC);
}

enum frame_status frame_parse(const void *data, size_t bytes, size_t payload_bytes_max, struct frame *ret,
                              size_t *ret_bytes) {
    const uint8_t *p = data;
    if (bytes < OFF_LENGTH + sizeof(uint32_t)) {
        *ret_bytes = FRAME_HEAD_BYTES;
        return FRAME_MORE;
    }
    size_t length = frame_length(p);
    if (length < FRAME_HEAD_BYTES)
        return FRAME_SHORT;
    if (length - FRAME_HEAD_BYTES > payload_bytes_max)
        return FRAME_OVERSIZE;
    if (bytes < FRAME_HEAD_BYTES) {
        *ret_bytes = FRAME_HEAD_BYTES;
        return FRAME_MORE;
    }
    if (head_crc(p) != get_u32le(p + OFF_HEAD_CRC))
        return FRAME_BAD_CRC;
    if (bytes < length) {
        *ret_bytes = length;
        return FRAME_MORE;
    }
    if (crc32c(0, p + FRAME_HEAD_BYTES, length - FRAME_HEAD_BYTES) != get_u32le(p + OFF_PAYLOAD_CRC))
        return FRAME_BAD_CRC;
    if (p[OFF_KIND] == 0 || p[OFF_KIND] >= FRAME_KIND_END)
        return FRAME_BAD_KIND;
    *ret = (struct frame){
        .type = get_u16le(p + OFF_TYPE),
        .kind = p[OFF_KIND],
        .flags = p[OFF_FLAGS],
        .to_store = get_u16le(p + OFF_TO_STORE),
        .from_store = get_u16le(p + OFF_FROM_STORE),
        .id = get_u64le(p + OFF_ID),
        .timeout_ns = get_u64le(p + OFF_TIMEOUT),
        .earliest = (int64_t)get_u64le(p + OFF_EARLIEST),
        .latest = (int64_t)get_u64le(p + OFF_LATEST),
        .payload = p + FRAME_HEAD_BYTES,
        .payload_bytes = length - FRAME_HEAD_BYTES,
    };
    *ret_bytes = length;
    return FRAME_OK;
}

void frame_put_head(uint8_t *to, const struct frame *f) {
    CHECK(f->kind > 0 && f->kind < FRAME_KIND_END);
    CHECK(f->payload_bytes <= FRAME_BULK_PAYLOAD_BYTES_MAX);
    set_u32le(to + OFF_LENGTH, (uint32_t)(FRAME_HEAD_BYTES + f->payload_bytes));
    set_u32le(to + OFF_HEAD_CRC, 0);
    set_u32le(to + OFF_PAYLOAD_CRC, 0);
    set_u16le(to + OFF_TYPE, f->type);
    to[OFF_KIND] = f->kind;
    to[OFF_FLAGS] = f->flags;
    set_u16le(to + OFF_TO_STORE, f->to_store);
    set_u16le(to + OFF_FROM_STORE, f->from_store);
    set_u64le(to + OFF_ID, f->id);
    set_u64le(to + OFF_TIMEOUT, f->timeout_ns);
    set_u64le(to + OFF_EARLIEST, 0);
    set_u64le(to + OFF_LATEST, 0);
}

size_t frame_seal(uint8_t *p, int64_t earliest, int64_t latest) {
    size_t length = frame_length(p);
    CHECK(length >= FRAME_HEAD_BYTES);
    set_u64le(p + OFF_EARLIEST, (uint64_t)earliest);
    set_u64le(p + OFF_LATEST, (uint64_t)latest);
    set_u32le(p + OFF_PAYLOAD_CRC, crc32c(0, p + FRAME_HEAD_BYTES, length - FRAME_HEAD_BYTES));
    set_u32le(p + OFF_HEAD_CRC, head_crc(p));
    return length;
}
