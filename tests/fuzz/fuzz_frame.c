/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_frame.c: any bytes as a row of frames.
 *
 * First as they are. Then with the checksum of each frame put right, so that the fuzzer gets past it: what is taken
 * as a frame must lie inside the bytes, and come out of the encoder as the same bytes again.
 */
#include <stdlib.h>
#include <string.h>

#include "shard/net/frame.h"
#include "truetime/base/buf.h"

enum { PAYLOAD_MAX = 4096, OFF_EARLIEST = 36, OFF_LATEST = 44 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_again(const uint8_t *p, const struct frame *f, size_t bytes) {
    uint8_t *again = malloc(bytes);
    CHECK(again);
    frame_put_head(again, f);
    if (f->payload_bytes)
        memcpy(again + FRAME_HEAD_BYTES, f->payload, f->payload_bytes);
    CHECK(frame_seal(again, f->earliest, f->latest) == bytes);
    CHECK(memcmp(again, p, bytes) == 0);
    free(again);
}

/* Reads frames until the bytes end or are no frames; repair: put each checksum right first. */
static void read_all(uint8_t *p, size_t size, bool repair) {
    size_t at = 0;
    for (;;) {
        struct frame f;
        size_t n = 0, left = size - at;
        size_t length = left >= FRAME_HEAD_BYTES ? frame_length(p + at) : 0;
        if (repair && length >= FRAME_HEAD_BYTES && length <= left)
            frame_seal(p + at, (int64_t)get_u64le(p + at + OFF_EARLIEST), (int64_t)get_u64le(p + at + OFF_LATEST));
        enum frame_status s = frame_parse(p + at, left, PAYLOAD_MAX, &f, &n);
        if (s == FRAME_MORE)
            CHECK(n > left && n <= FRAME_HEAD_BYTES + PAYLOAD_MAX);
        if (s != FRAME_OK) {
            CHECK(frame_status_text(s)[0]);
            return;
        }
        CHECK(n <= left && f.payload_bytes <= PAYLOAD_MAX && n == FRAME_HEAD_BYTES + f.payload_bytes);
        CHECK(f.payload == p + at + FRAME_HEAD_BYTES);
        CHECK(frame_kind_name(f.kind)[0] != '?');
        encode_again(p + at, &f, n);
        at += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    read_all(copy, size, false);
    read_all(copy, size, true);
    free(copy);
    return 0;
}
