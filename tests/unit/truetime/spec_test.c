/* SPDX-License-Identifier: Apache-2.0 */
/* What a user may write after --clock, and what is said about the rest. */
#include "truetime/spec.h"

#include <string.h>

#include "tests/lib/tap.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static struct tt_spec good(const char *text) {
    struct tt_spec s;
    struct err err = {0};
    memset(&s, 0, sizeof s);
    OKF(tt_spec_parse(text, &s, &err) == RC_OK, "\"%s\": %s", text, err.message);
    return s;
}

static void what_is_written(void) {
    struct tt_spec s = good("shm:0,err=250us;shm:1;shm:255");
    EQ_INT(s.n, 3);
    EQ_INT(s.f, 1);
    EQ_INT(s.sources[0].kind, TT_KIND_SHM);
    EQ_INT(s.sources[0].err_ns, 250 * US);
    EQ_INT(s.sources[1].err_ns, 500 * US);
    EQ_INT(s.sources[2].unit, 255);
    EQ_STR(s.sources[0].name, "shm:0");
    EQ_INT(s.drift_ppb, 200000);
    EQ_INT(s.poll_ns, 250 * MS);
    EQ_INT(s.void_ns, 2 * SEC);
    EQ_INT(s.eps_max_ns, 10 * MS);
    s = good("chrony");
    EQ_STR(s.sources[0].addr, "unix:/run/chrony/chronyd.sock");
    EQ_INT(s.f, 0);
    EQ_INT(s.eps_max_ns, 250 * MS);
    EQ_STR(good("chrony:/tmp/a.sock").sources[0].addr, "unix:/tmp/a.sock");
    EQ_STR(good("chrony:udp:127.0.0.1:323").sources[0].addr, "udp:127.0.0.1:323");
    EQ_INT(good("kernel").sources[0].kind, TT_KIND_KERNEL);
    s = good("host");
    EQ_INT(s.sources[0].kind, TT_KIND_HOST);
    EQ_INT(s.drift_ppb, 0);
    s = good("fixed:50ms");
    EQ_INT(s.sources[0].err_ns, 50 * MS);
    EQ_INT(s.eps_max_ns, 200 * MS); /* or it could never be used */
    s = good("sim;sim;sim");
    EQ_INT(s.sources[2].unit, 2);
    EQ_INT(good("sim:5").sources[0].unit, 5);
    s = good("shm:1;shm:2;shm:3;shm:4;shm:5;f=1");
    EQ_INT(s.f, 1);
    EQ_INT(good("shm:1;shm:2;shm:3;shm:4;shm:5").f, 2);
    EQ_INT(good("shm:1;shm:2").f, 0);
    s = good("shm:1;drift=50ppm;max_eps=2.5ms;poll=1s;void=10s");
    EQ_INT(s.drift_ppb, 50000);
    EQ_INT(s.eps_max_ns, 2500 * US);
    EQ_INT(s.poll_ns, SEC);
    EQ_INT(s.void_ns, 10 * SEC);
    EQ_INT(good("shm:1;poll=5s").void_ns, 20 * SEC);
    EQ_INT(good("chrony;max_eps=5ms").eps_max_ns, 5 * MS);
}

static void what_is_not(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "empty part"},
        {";", "empty part"},
        {"shm:0;", "empty part"},
        {"gps", "no such source"},
        {"shm", "no such source"},
        {"shm:", "unit from 0 to 255"},
        {"shm:256", "unit from 0 to 255"},
        {"shm:-1", "unit from 0 to 255"},
        {"shm:1x", "unit from 0 to 255"},
        {"shm:1,err=0us", "above 0"},
        {"shm:1,err=2s", "up to 1s"},
        {"shm:1,err=5", "err=DUR"},
        {"shm:1,jitter=5us", "err=DUR"},
        {"shm:1;shm:1", "same source twice"},
        {"chrony:", "path of a socket"},
        {"chrony:udp:127.0.0.1", "udp:HOST:PORT"},
        {"kernel:1", "no such source"},
        {"host;shm:1", "host stands alone"},
        {"fixed", "no such source"},
        {"fixed:", "a duration"},
        {"fixed:0ms", "above 0"},
        {"fixed:5", "a duration"},
        {"sim:x", "unit"},
        {"f=1", "names no source"},
        {"shm:1;f=1", "f must be smaller"},
        {"shm:1;f=x", "wants a number"},
        {"shm:1;drift=200", "ppm"},
        {"shm:1;drift=0ppm", "1ppm to 1000ppm"},
        {"shm:1;drift=1001ppm", "1ppm to 1000ppm"},
        {"shm:1;max_eps=1us", "max_eps= wants"},
        {"shm:1;poll=1ms", "poll= wants"},
        {"shm:1;poll=2s;void=3s", "twice poll="},
        {"shm:1;speed=3", "no such option"},
        {"shm:0;shm:1;shm:2;shm:3;shm:4;shm:5;shm:6;shm:7;shm:8;shm:9;shm:10;shm:11;shm:12;shm:13;shm:14;shm:15;shm:16",
         "16 at most"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct tt_spec s = {.n = 77};
        struct err err = {0};
        OKF(tt_spec_parse(bad[i].text, &s, &err) == RC_INVAL, "\"%s\" parses", bad[i].text);
        OKF(strstr(err.message, bad[i].says) != NULL, "\"%s\": \"%s\", wanted \"%s\"", bad[i].text, err.message,
            bad[i].says);
        EQ_INT(s.n, 77); /* untouched */
    }
}

static void durations(void) {
    static const struct {
        const char *text;
        int64_t ns;
    } good_ones[] = {
        {"0s", 0},        {"1ns", 1},      {"500us", 500 * US}, {"1.5ms", 1500 * US}, {"-3s", -3 * SEC},
        {"+2s", 2 * SEC}, {"0.25us", 250}, {"2m", 120 * SEC},   {"1h", 3600 * SEC},   {"1.000000001s", SEC + 1}};
    static const char *const bad_ones[] = {
        "", "s", "5", "5 s", "5.s", ".5s", "1e3s", "--1s", "5sec", "99999999999999s", "5us ", "0x5s"};
    char text[32];
    for (size_t i = 0; i < ARRAY_LEN(good_ones); i++) {
        int64_t ns = -77;
        OKF(tt_duration_parse(good_ones[i].text, &ns), "%s", good_ones[i].text);
        EQ_INT(ns, good_ones[i].ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_ones); i++) {
        int64_t ns = -77;
        OKF(!tt_duration_parse(bad_ones[i], &ns) && ns == -77, "\"%s\"", bad_ones[i]);
    }
    EQ_STR(tt_duration_format(999, text, sizeof text), "999 ns");
    EQ_STR(tt_duration_format(512 * US, text, sizeof text), "512.0 us");
    EQ_STR(tt_duration_format(-1250 * US, text, sizeof text), "-1.250 ms");
    EQ_STR(tt_duration_format(3 * SEC, text, sizeof text), "3.000 s");
    EQ_STR(tt_duration_format(INT64_MAX, text, sizeof text), "unknown");
}

static void without_a_spec(void) {
    const char *text = NULL;
    struct err err = {0};
    OK(tt_spec_default(true, false, &text, &err) == RC_OK);
    EQ_STR(text, "chrony");
    OK(tt_spec_default(true, true, &text, &err) == RC_OK);
    EQ_STR(text, "chrony");
    OK(tt_spec_default(false, true, &text, &err) == RC_OK);
    EQ_STR(text, "host");
    OK(tt_spec_default(false, false, &text, &err) == RC_INVAL);
    OK(strstr(err.message, "--clock") != NULL);
}

int main(void) {
    RUN(what_is_written);
    RUN(what_is_not);
    RUN(durations);
    RUN(without_a_spec);
    return tap_done();
}
