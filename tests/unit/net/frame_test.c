/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/net/frame.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/buf.h"
#include "truetime/base/rng.h"

/* A sealed frame with a payload of n bytes 0, 1, 2, ...; the caller frees it. */
static uint8_t *make(size_t n, size_t *ret_bytes) {
    struct frame f = {.type = 77,
                      .kind = FRAME_REQUEST,
                      .flags = 0x81,
                      .to_store = 3,
                      .from_store = 4,
                      .id = 0x1122334455667788u,
                      .timeout_ns = 99,
                      .payload_bytes = n};
    uint8_t *p = malloc(FRAME_HEAD_BYTES + n);
    frame_put_head(p, &f);
    for (size_t i = 0; i < n; i++)
        p[FRAME_HEAD_BYTES + i] = (uint8_t)i;
    *ret_bytes = frame_seal(p, -5, INT64_MAX);
    return p;
}

/* What goes in comes out, the interval included, and the payload stays where it is. */
static void round_trip(void) {
    size_t bytes, used;
    uint8_t *p = make(10, &bytes);
    struct frame f;
    EQ_INT(bytes, FRAME_HEAD_BYTES + 10);
    EQ_INT(frame_length(p), bytes);
    EQ_INT(frame_parse(p, bytes, 10, &f, &used), FRAME_OK);
    EQ_INT(used, bytes);
    EQ_INT(f.type, 77);
    EQ_INT(f.kind, FRAME_REQUEST);
    EQ_INT(f.flags, 0x81);
    EQ_INT(f.to_store, 3);
    EQ_INT(f.from_store, 4);
    OK(f.id == 0x1122334455667788u);
    EQ_INT(f.timeout_ns, 99);
    EQ_INT(f.earliest, -5);
    EQ_INT(f.latest, INT64_MAX);
    OK(f.payload == p + FRAME_HEAD_BYTES);
    EQ_INT(f.payload_bytes, 10);
    free(p);
}

/* The bytes of the table in frame.h, so that a change of the format is a change of this test. */
static void format(void) {
    static const uint8_t want[] = {
        53,   0,    0,    0,                                                     /* length */
        0,    0,    0,    0,    0,    0,    0,    0,                             /* checksums, below */
        77,   0,    1,    0x81, 3,    0,    4,    0,                             /* type kind flags stores */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 99, 0, 0, 0, 0, 0, 0, 0, /* id, timeout */
        0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,                          /* earliest */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,                          /* latest */
        0,                                                                       /* payload */
    };
    size_t bytes;
    uint8_t *p = make(1, &bytes);
    EQ_INT(bytes, sizeof want);
    EQ_MEM(p, 4, want, 4);
    EQ_MEM(p + 12, bytes - 12, want + 12, sizeof want - 12);
    EQ_INT(get_u32le(p + 4), 0xa2aeaecd);
    EQ_INT(get_u32le(p + 8), 0x527d5351);
    free(p);
}

/* Every shorter start of a good frame asks for more: the header first, then the rest; and reads nothing behind its
 * end. */
static void truncations(void) {
    size_t bytes, need;
    uint8_t *p = make(100, &bytes);
    struct frame f;
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *exact = malloc(n ? n : 1); /* ASan watches its end */
        memcpy(exact, p, n);
        need = 0;
        if (!EQ_INT(frame_parse(exact, n, 4096, &f, &need), FRAME_MORE) || !OK(need > n) ||
            !EQ_INT(need, n < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : bytes))
            tap_note("at %zu", n);
        free(exact);
    }
    free(p);
}

/* A flipped bit anywhere never gives a frame; one in the header is found out before the payload is there. */
static void bit_flips(void) {
    size_t bytes, used, refused[FRAME_STATUSES] = {0};
    struct frame f;
    uint8_t *p = make(200, &bytes);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum frame_status s = frame_parse(p, bytes, 4096, &f, &used);
        OKF(s != FRAME_OK && s != FRAME_MORE, "bit %zu", bit);
        refused[s]++;
        s = frame_parse(p, FRAME_HEAD_BYTES, 4096, &f, &used);
        OKF((s == FRAME_MORE) == (bit >= FRAME_HEAD_BYTES * 8), "bit %zu", bit);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EQ_INT(frame_parse(p, bytes, 4096, &f, &used), FRAME_OK);
    OK(refused[FRAME_BAD_CRC] > 1500 && refused[FRAME_OVERSIZE] > 0);
    free(p);
}

/* A length that lies is found out from its four bytes alone. */
static void lengths(void) {
    uint8_t four[4];
    struct frame f;
    size_t need;
    for (uint32_t n = 0; n < FRAME_HEAD_BYTES; n++) {
        set_u32le(four, n);
        EQ_INT(frame_parse(four, 4, 1000, &f, &need), FRAME_SHORT);
    }
    set_u32le(four, FRAME_HEAD_BYTES + 1000);
    EQ_INT(frame_parse(four, 4, 1000, &f, &need), FRAME_MORE);
    EQ_INT(need, FRAME_HEAD_BYTES); /* until the header has vouched for it */
    set_u32le(four, FRAME_HEAD_BYTES + 1001);
    EQ_INT(frame_parse(four, 4, 1000, &f, &need), FRAME_OVERSIZE);
    set_u32le(four, UINT32_MAX);
    EQ_INT(frame_parse(four, 4, FRAME_BULK_PAYLOAD_BYTES_MAX, &f, &need), FRAME_OVERSIZE);
    EQ_STR(frame_status_text(FRAME_OVERSIZE), "oversize");
}

static void kinds(void) {
    size_t bytes, used;
    uint8_t *p = make(3, &bytes);
    struct frame f;
    for (unsigned kind = 0; kind < 256; kind++) {
        p[14] = (uint8_t)kind;
        frame_seal(p, 0, 0);
        bool known = kind > 0 && kind < FRAME_KIND_END;
        EQ_INT(frame_parse(p, bytes, 3, &f, &used), known ? FRAME_OK : FRAME_BAD_KIND);
        OK((strcmp(frame_kind_name(kind), "?") != 0) == known);
    }
    free(p);
}

/* Several frames in a row, cut anywhere: the reader gets each once, in order. */
static void sequences(void) {
    struct rng rng;
    struct buf all;
    rng_init(&rng, 7);
    buf_init(&all, 0);
    for (int i = 0; i < 50; i++) {
        size_t n = rng_below(&rng, 300);
        struct frame f = {.kind = FRAME_ONEWAY, .id = (uint64_t)i, .payload_bytes = n};
        uint8_t *to = buf_reserve(&all, FRAME_HEAD_BYTES + n);
        frame_put_head(to, &f);
        memset(to + FRAME_HEAD_BYTES, i, n);
        buf_commit(&all, frame_seal(to, 1, 2));
    }
    size_t at = 0, have = 0;
    uint64_t next = 0;
    while (next < 50) {
        struct frame f;
        size_t used;
        enum frame_status s = frame_parse(all.data + at, have - at, 4096, &f, &used);
        if (s == FRAME_MORE) {
            have += 1 + rng_below(&rng, 100);
            have = have < all.len ? have : all.len;
            continue;
        }
        if (!EQ_INT(s, FRAME_OK) || !EQ_INT(f.id, next))
            break;
        for (size_t i = 0; i < f.payload_bytes; i++)
            OK(f.payload[i] == (uint8_t)next);
        at += used;
        next++;
    }
    EQ_INT(at, all.len);
    buf_done(&all);
}

/* Random bytes: any answer but reading outside, and never a frame. */
static void garbage(void) {
    struct rng rng;
    rng_init(&rng, 8);
    for (int round = 0; round < 20000; round++) {
        size_t n = rng_below(&rng, 120), used;
        uint8_t *p = malloc(n ? n : 1);
        struct frame f;
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)rng_u64(&rng);
        if (n >= 4 && round % 2)
            set_u32le(p, (uint32_t)rng_below(&rng, 150));
        OK(frame_parse(p, n, 4096, &f, &used) != FRAME_OK);
        free(p);
    }
}

int main(void) {
    RUN(round_trip);
    RUN(format);
    RUN(truncations);
    RUN(bit_flips);
    RUN(lengths);
    RUN(kinds);
    RUN(sequences);
    RUN(garbage);
    return tap_done();
}
