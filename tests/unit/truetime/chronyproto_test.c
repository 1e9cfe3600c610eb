/* SPDX-License-Identifier: Apache-2.0 */
/* chronyd's command protocol: packets taken from a real chronyd 4.3, and everything that can be wrong with one. */
#include "truetime/chronyproto.h"

#include <math.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "truetime/base/buf.h"

static void tracking_packet(uint8_t a[CHRONY_PACKET_BYTES], uint32_t sequence) {
    memset(a, 0, CHRONY_PACKET_BYTES);
    a[0] = 6;
    a[1] = 2;
    set_u16be(a + 4, 33);
    set_u16be(a + 6, 5);
    set_u32be(a + 16, sequence);
    set_u32be(a + 28, 0x47505300);
    set_u16be(a + 52, 1);
    set_u32be(a + 60, 1790000000);
    set_u32be(a + 64, 123456789);
    set_u32be(a + 68, 0x02800000); /* 2^(1 - 25) x 0x800000 = 0.5 */
    set_u32be(a + 92, 0xfc800000); /* 2^(-2 - 25) x 0x800000 = 0.0625 */
    set_u32be(a + 96, 0x02800000);
    set_u32be(a + 100, 0x04800000); /* 1 */
}

static void requests(void) {
    uint8_t q[CHRONY_PACKET_BYTES];
    EQ_INT(chrony_request(q, CHRONY_TRACKING, 0x01020304, 0), 104);
    static const uint8_t head[20] = {6, 1, 0, 0, 0, 33, 0, 0, 1, 2, 3, 4};
    EQ_MEM(q, 20, head, 20);
    for (int i = 20; i < 104; i++)
        EQ_INT(q[i], 0);
    EQ_INT(chrony_request(q, CHRONY_COUNT, 1, 0), 32);
    EQ_INT(chrony_request(q, CHRONY_SOURCE, 1, 5), 76);
    EQ_INT(get_u32be(q + 20), 5);
}

static void floats(void) {
    OK(chrony_float(0) == 0);
    OK(chrony_float(0x02800000) == 0.5);
    OK(chrony_float(0x04800000) == 1);
    OK(chrony_float(0x05800000) == -1); /* the sign is the coefficient's */
    OK(chrony_float(0xfc800000) == ldexp(0x800000, -27));
    OK(chrony_float(0x01ffffff) == -ldexp(1, -25));
    OK(isfinite(chrony_float(0x7effffff)) && isfinite(chrony_float(0x7fffffff)) && isfinite(chrony_float(0x80ffffff)));
}

static void tracking(void) {
    uint8_t a[CHRONY_PACKET_BYTES + 1];
    struct chrony_tracking t;
    struct err err = {0};
    char text[32];
    tracking_packet(a, 7);
    OK(chrony_is_reply(a, 104, 7));
    OK(!chrony_is_reply(a, 104, 8) && !chrony_is_reply(a, 27, 7));
    OK(chrony_parse_tracking(a, 104, 7, &t, &err) == RC_OK);
    EQ_INT(t.ref_time_ns, INT64_C(1790000000123456789));
    OK(t.correction_s == 0.5 && t.root_dispersion_s == 0.5 && t.update_interval_s == 1);
    EQ_STR(chrony_refid_format(t.ref_id, text, sizeof text), "GPS");
    EQ_STR(chrony_refid_format(0x7f7f0101, text, sizeof text), "7F7F0101");
    EQ_STR(chrony_refid_format(0, text, sizeof text), "00000000");
    EQ_STR(chrony_refid_format(0x41004200, text, sizeof text), "41004200");
    set_u32be(a + 56, 0x7fffffff); /* "no high seconds" */
    OK(chrony_parse_tracking(a, 104, 7, &t, &err) == RC_OK);
    EQ_INT(t.ref_time_ns, INT64_C(1790000000123456789));
}

static void wrong_packets(void) {
    uint8_t a[CHRONY_PACKET_BYTES + 8] = {0};
    struct chrony_tracking t = {.stratum = 77};
    struct err err = {0};
#define REFUSED(change, bytes, text)                                                                                   \
    tracking_packet(a, 7);                                                                                             \
    change;                                                                                                            \
    OKF(chrony_parse_tracking(a, bytes, 7, &t, &err) != RC_OK && strstr(err.message, text), "%s: \"%s\"", #change,     \
        err.message);                                                                                                  \
    EQ_INT(t.stratum, 77)
    REFUSED((void)0, 0, "0 bytes");
    REFUSED((void)0, 27, "27 bytes");
    REFUSED((void)0, 103, "103 bytes");
    REFUSED((void)0, 105, "105 bytes");
    REFUSED(a[0] = 5, 104, "version 5");
    REFUSED(a[1] = 1, 104, "not a reply");
    REFUSED(a[2] = 1, 104, "not a reply");
    REFUSED(a[5] = 34, 104, "not a reply");
    REFUSED(a[7] = 6, 104, "reply 6");
    REFUSED(a[9] = 2, 104, "not authorised");
    REFUSED(a[9] = 18, 104, "status 18");
    REFUSED(a[19] = 8, 104, "another request");
    REFUSED(set_u32be(a + 64, 1000000000), 104, "no time");
    REFUSED(set_u32be(a + 56, 0x10000000), 104, "no time");
#undef REFUSED
    for (size_t n = 0; n < 104; n++) { /* cut off anywhere */
        tracking_packet(a, 7);
        OK(chrony_parse_tracking(a, n, 7, &t, &err) == RC_PROTOCOL);
    }
}

static void sources(void) {
    uint8_t a[76] = {6, 2, 0, 0, 0, 15, 0, 3};
    struct chrony_source s;
    char text[64];
    set_u32be(a + 16, 9);
    set_u32be(a + 28, 0x50505331);
    set_u16be(a + 44, 1);
    set_u16be(a + 52, CHRONY_FALSETICKER);
    set_u16be(a + 54, 2);
    set_u16be(a + 58, 0377);
    set_u32be(a + 60, 3);
    OK(chrony_parse_source(a, 76, 9, &s, NULL) == RC_OK);
    EQ_STR(chrony_source_name(&s, text, sizeof text), "PPS1");
    EQ_STR(chrony_source_state_name(s.state), "falseticker");
    EQ_INT(s.since_sample_s, 3);
    set_u16be(a + 54, 0);
    OK(chrony_parse_source(a, 76, 9, &s, NULL) == RC_OK);
    EQ_STR(chrony_source_name(&s, text, sizeof text), "80.80.83.49");
    set_u16be(a + 44, 2);
    OK(chrony_parse_source(a, 76, 9, &s, NULL) == RC_OK);
    EQ_STR(chrony_source_name(&s, text, sizeof text), "5050:5331:0:0:0:0:0:0");
    OK(chrony_parse_source(a, 75, 9, &s, NULL) == RC_PROTOCOL);
    EQ_STR(chrony_source_state_name(99), "?");
    uint8_t c[32] = {6, 2, 0, 0, 0, 14, 0, 2};
    uint32_t count = 0;
    set_u32be(c + 28, 4);
    OK(chrony_parse_count(c, 32, 0, &count, NULL) == RC_OK);
    EQ_INT(count, 4);
    OK(chrony_parse_count(c, 31, 0, &count, NULL) == RC_PROTOCOL);
}

int main(void) {
    RUN(requests);
    RUN(floats);
    RUN(tracking);
    RUN(wrong_packets);
    RUN(sources);
    return tap_done();
}
