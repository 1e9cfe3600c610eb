/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/buf.h"

#include "tests/lib/tap.h"

static void grows_and_reads_back(void) {
    struct buf b;
    struct rd r;
    buf_init(&b, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        buf_put_u32le(&b, i);
        buf_put_u16be(&b, (uint16_t)i);
        buf_put_u64be(&b, (uint64_t)i << 40);
    }
    EQ_INT(buf_rc(&b), RC_OK);
    rd_init(&r, b.data, b.len);
    bool same = true;
    for (uint32_t i = 0; i < 1000; i++)
        same &= rd_u32le(&r) == i && rd_u16be(&r) == (uint16_t)i && rd_u64be(&r) == (uint64_t)i << 40;
    OK(same);
    EQ_INT(rd_left(&r), 0);
    EQ_INT(rd_rc(&r), RC_OK);
    buf_done(&b);
}

/* Past its limit a buffer remembers the failure and stays as it was. */
static void limit_is_sticky(void) {
    struct buf b;
    buf_init(&b, 10);
    buf_puts(&b, "12345678");
    EQ_INT(buf_rc(&b), RC_OK);
    buf_puts(&b, "abc");
    EQ_INT(buf_rc(&b), RC_LIMIT);
    buf_puts(&b, "x");
    EQ_INT(b.len, 8);
    buf_reset(&b, 100);
    buf_puts(&b, "x");
    EQ_INT(buf_rc(&b), RC_OK);
    EQ_STR(buf_cstr(&b), "x");
    buf_done(&b);
}

/* A cursor past its end gives zeros and says so; it does not move on. */
static void cursor_never_overruns(void) {
    static const uint8_t bytes[] = {1, 2, 3};
    struct rd r;
    rd_init(&r, bytes, sizeof bytes);
    EQ_INT(rd_u16le(&r), 0x0201);
    EQ_INT(rd_u16le(&r), 0);
    OK(r.bad);
    EQ_INT(rd_u8(&r), 0);
    EQ_INT(rd_rc(&r), RC_PROTOCOL);
    rd_init(&r, bytes, 0);
    OK(rd_bytes(&r, 0) != NULL);
    OK(rd_bytes(&r, SIZE_MAX) == NULL);
}

static void consume_and_printf(void) {
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "%0500d", 7);
    EQ_INT(b.len, 500);
    buf_consume(&b, 499);
    EQ_STR(buf_cstr(&b), "7");
    buf_consume(&b, 1);
    EQ_INT(b.len, 0);
    buf_done(&b);
}

int main(void) {
    RUN(grows_and_reads_back);
    RUN(limit_is_sticky);
    RUN(cursor_never_overruns);
    RUN(consume_and_printf);
    return tap_done();
}
