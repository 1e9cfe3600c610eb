/* SPDX-License-Identifier: Apache-2.0 */
/* Topologies: what parses, what does not and at which column it says so, changes, printing, and the shipped worlds. */
#include "geo-sim/topology/topo.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

static const char world[] = "format 1\n"
                            "# a comment\n"
                            "subnet 10.80.0.0/16\n"
                            "region us-east 1 zones a b nodes 2 at 37.37 -79.82\n"
                            "region eu-west 7\t# another\n"
                            "region ap 3 nodes 30\n"
                            "zone-rtt 0.9ms jitter 0.1ms\n"
                            "link us-east eu-west rtt 90ms loss=0.01%\n"
                            "link us-east,eu-west ap rtt 200ms jitter 2ms rate 20mbit reorder 0.5%\n"
                            "default jitter 1% rate 1gbit\n"
                            "oneway us-east.b eu-west delay 60ms\n"
                            "cut ap us-east.a oneway\n"
                            "clock ap offset -250ms drift -150ppm by chronyd\n"
                            "master ap 3 period 1s jitter 1ms err 5ms\n"
                            "master us-east 2\n";

static struct topo *parse(const char *text) {
    struct topo *t = NULL;
    struct err err = {0};
    OKF(topo_parse("w.topo", text, strlen(text), &t, &err) == RC_OK, "%s", err.message);
    return t;
}

static void all_statements(void) {
    struct topo *t = parse(world);
    char addr[TOPO_ADDR_BYTES];
    if (!t)
        return;
    EQ_INT(t->regions, 3);
    EQ_INT(t->places, 4);
    EQ_STR(t->place[0].name, "us-east.a");
    EQ_STR(t->place[2].name, "eu-west");
    EQ_INT(topo_find(t, "us-east.b"), 1);
    EQ_INT(topo_find(t, "us-east"), -1);
    EQ_INT(topo_find(t, "ap"), 3);
    OK(t->region[0].on_map && t->region[0].latitude == 37.37 && t->region[0].longitude == -79.82);
    EQ_INT(topo_nodes(t, 1), 2);
    EQ_INT(topo_nodes(t, 2), 1);
    EQ_STR(topo_addr_format(topo_addr(t, 1, 1), addr), "10.80.1.34");
    EQ_STR(topo_addr_format(topo_addr(t, 2, 0), addr), "10.80.7.1");
    EQ_INT(topo_place_of(t, topo_addr(t, 3, 29)), 3);
    EQ_INT(topo_place_of(t, topo_addr(t, 1, 0)), 1);
    EQ_INT(topo_place_of(t, topo_addr(t, 0, 0) + 64), -1);
    EQ_INT(topo_place_of(t, 10u << 24 | 77u << 16 | 257), -1);
    /* A link takes what it does not say from the default, wherever that stands. */
    EQ_INT(t->link[0][2].delay_ns, 45 * MS);
    EQ_INT(t->link[2][0].delay_ns, 45 * MS);
    EQ_INT(t->link[0][2].jitter_ns, 450 * US);
    EQ_INT(t->link[0][2].loss_ppm, 100);
    EQ_INT(t->link[0][2].rate_bps, 1000 * MS);
    EQ_INT(t->link[3][2].rate_bps, 20 * MS);
    EQ_INT(t->link[3][2].jitter_ns, 2 * MS);
    EQ_INT(t->link[3][2].reorder_ppm, 5000);
    EQ_INT(t->link[0][1].delay_ns, 450 * US);
    EQ_INT(t->link[1][0].jitter_ns, 100 * US);
    EQ_INT(t->link[1][2].delay_ns, 60 * MS);
    EQ_INT(t->link[2][1].delay_ns, 45 * MS);
    EQ_INT(t->link[1][2].jitter_ns, 600 * US);
    EQ_INT(t->link[1][2].loss_ppm, 100);
    EQ_INT(topo_rtt_ns(t, 1, 2), 105 * MS);
    OK(t->link[3][0].cut && !t->link[0][3].cut && !t->link[3][1].cut);
    EQ_INT(t->region[2].clock_offset_ns, -250 * MS);
    EQ_INT(t->region[2].clock_drift_ppb, -150000);
    OK(t->region[2].chronyd && !t->region[0].chronyd);
    EQ_INT(t->region[2].masters, 3);
    EQ_INT(t->region[2].master_period_ns, 1000 * MS);
    EQ_INT(t->region[0].master_err_ns, 500 * US);
    topo_free(t);
}

static void prints_what_it_is(void) {
    struct topo *t = parse(world), *again = NULL;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 0);
    topo_print(t, &out);
    OKF(topo_parse("printed", (const char *)out.data, out.len, &again, &err) == RC_OK, "%s", err.message);
    OK(again && topo_equal(t, again));
    if (again)
        again->link[1][0].jitter_ns++;
    OK(again && !topo_equal(t, again));
    topo_free(again);
    topo_free(t);
    buf_done(&out);
}

/* Each message names the line and the column of the word that is wrong. */
static void refusals(void) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "w.topo:1:1: the first line must be \"format 1\""},
        {"region a 1\n", "w.topo:1:1: the first line must be \"format 1\""},
        {"format 2\n", "w.topo:1:8: format: a number from 1 to 1"},
        {"format 1\n", "w.topo:1:1: names no region"},
        {"format 1 please\n", "w.topo:1:10: unknown word \"please\""},
        {"format 1\nformat 1\n", "w.topo:2:1: unknown word \"format\""},
        {"format 1\nzone a\n", "w.topo:2:1: unknown word \"zone\""},
        {"format 1\nsubnet 8.8.0.0/16\nregion a 1\n", "w.topo:2:8: a private network"},
        {"format 1\nsubnet 10.1.0.0/24\n", "w.topo:2:8: a private network"},
        {"format 1\nregion a 1\nsubnet 10.1.0.0/16\n", "w.topo:3:1: the subnet is named once"},
        {"format 1\nregion\n", "w.topo:2:7: here a name is missing"},
        {"format 1\nregion Us 1\n", "w.topo:2:8: \"Us\" is no name of a region"},
        {"format 1\nregion us- 1\n", "w.topo:2:8: \"us-\" is no name"},
        {"format 1\nregion us-east-with-a-name 1\n", "w.topo:2:8: \"us-east-with-a-name\" is no name"},
        {"format 1\nregion a 0\n", "w.topo:2:10: its number: a number from 1 to 254 is wanted, not \"0\""},
        {"format 1\nregion a 255\n", "w.topo:2:10: its number"},
        {"format 1\nregion a 1\nregion a 2\n", "w.topo:3:8: region a is named twice"},
        {"format 1\nregion a 1\n  region b 1\n", "w.topo:3:12: number 1 is a's"},
        {"format 1\nregion a 1 zones\n", "w.topo:2:12: zones: at least one"},
        {"format 1\nregion a 1 zones a-b\n", "w.topo:2:18: \"a-b\" is no name of a zone"},
        {"format 1\nregion a 1 zones a b a\n", "w.topo:2:22: zone \"a\" is named twice"},
        {"format 1\nregion a 1 zones a b c d e f g h i\n", "w.topo:2:34: too many zones"},
        {"format 1\nregion a 1 nodes 31\n", "w.topo:2:18: nodes: a number from 1 to 30"},
        {"format 1\nregion a 1 nodes 1 nodes 1\n", "w.topo:2:20: unknown word \"nodes\""},
        {"format 1\nregion a 1 at 91 0\n", "w.topo:2:15: latitude"},
        {"format 1\nregion a 1 at 9 180.5\n", "w.topo:2:17: longitude"},
        {"format 1\nregion a 1\nregion b 2\n", "w.topo:3:1: how far a is from b is not said: a link line"},
        {"format 1\nregion a 1 zones x y\n", "w.topo:2:1: how far a.x is from a.y is not said: zone-rtt"},
        {"format 1\nregion a 1\nregion b 2\noneway a b delay 1ms\n", "w.topo:4:1: how far b is from a"},
        {"format 1\nregion a 1\nlink a b rtt 1ms\n", "w.topo:3:8: there is no region or zone \"b\""},
        {"format 1\nregion a 1\nlink a a rtt 1ms\n", "w.topo:3:8: a place has no link to itself"},
        {"format 1\nregion a 1\nregion b 2\nlink a b\n", "w.topo:4:1: this line says nothing"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt\n", "w.topo:4:13: here rtt is missing"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1\n", "w.topo:4:14: rtt: a duration such as 1.5ms"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt -1ms\n", "w.topo:4:14: rtt: a duration"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 3m\n", "w.topo:4:14: rtt: a duration"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 99999999999999999999s\n", "w.topo:4:14: rtt: a duration"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms delay 2ms\n", "w.topo:4:18: \"delay\" is said twice"},
        {"format 1\nregion a 1\nregion b 2\noneway a b rtt 1ms\n", "w.topo:4:12: unknown word \"rtt\""},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms loss 101%\n", "w.topo:4:23: loss: a percentage"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms loss 1\n", "w.topo:4:23: loss: a percentage"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms loss 0.00001%\n", "w.topo:4:23: loss: a percentage"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms rate 5\n", "w.topo:4:23: rate: 1kbit to"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms rate 5tbit\n", "w.topo:4:23: rate: 1kbit to"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms rate 0gbit\n", "w.topo:4:23: rate: 1kbit to"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms rate 2000gbit\n", "w.topo:4:23: rate: 1kbit to"},
        {"format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms\nlink b a rtt 2ms\n",
         "w.topo:5:1: b and a have a link already, from line 4"},
        {"format 1\nregion a 1\nregion b 2\ncut a b both\n", "w.topo:4:9: unknown word \"both\""},
        {"format 1\nregion a 1\ndefault loss 0\ndefault loss 0\n", "w.topo:4:1: the defaults are named twice"},
        {"format 1\nregion a 1\ndefault rtt 1ms\n", "w.topo:3:9: unknown word \"rtt\""},
        {"format 1\nregion a 1\nzone-rtt 1ms\nzone-rtt 1ms\n", "w.topo:4:1: zone-rtt is named twice"},
        {"format 1\nregion a 1\nclock b offset 1ms\n", "w.topo:3:7: there is no region \"b\""},
        {"format 1\nregion a 1\nclock a drift 1001ppm\n", "w.topo:3:15: drift: up to 1000ppm"},
        {"format 1\nregion a 1\nclock a drift ppm\n", "w.topo:3:15: drift: up to 1000ppm"},
        {"format 1\nregion a 1\nclock a by sundial\n", "w.topo:3:12: by: chronyd or masters"},
        {"format 1\nregion a 1\nmaster a 9\n", "w.topo:3:10: how many: a number from 1 to 8"},
        {"format 1\nregion a 1\nmaster a 1 err 0\n", "w.topo:3:16: err: a duration"},
        {"format 1\nregion a 1\nmaster a 1\nmaster a 1\n", "w.topo:4:8: the masters of a are named twice"},
        {"format 1\nregion \x01 1\n", "w.topo:2:8: a character that does not belong here (0x01)"},
        {"format 1\nregion a 1 zones 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
         "w.topo:2:90: too many words"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct topo *t = NULL;
        struct err err = {0};
        OKF(topo_parse("w.topo", cases[i].text, strlen(cases[i].text), &t, &err) != RC_OK, "parsed: %s", cases[i].text);
        OKF(strncmp(err.message, cases[i].says, strlen(cases[i].says)) == 0, "got \"%s\", wanted \"%s\"", err.message,
            cases[i].says);
        OK(t == NULL);
    }
}

static void limits(void) {
    struct topo *t = NULL;
    struct err err = {0};
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "format 1\nzone-rtt 1ms\n");
    for (int i = 1; i <= TOPO_REGIONS_MAX; i++)
        buf_printf(&b, "region r%d %d zones a b\n", i, i);
    buf_puts(&b, "link * * rtt 10ms\n");
    OKF(topo_parse("w", (const char *)b.data, b.len, &t, &err) == RC_OK, "%s", err.message);
    EQ_INT(t ? t->places : 0, TOPO_PLACES_MAX);
    if (t) { /* the line for all says how far zones are apart too, over zone-rtt */
        EQ_INT(topo_rtt_ns(t, 0, 1), 10 * MS);
        for (unsigned i = 0; i < t->regions; i++)
            OK(topo_master_unit(i, TOPO_MASTERS_MAX - 1) < 256);
        EQ_INT(topo_master_unit(0, 0), 248);
        EQ_INT(topo_master_unit(31, 7), 7);
    }
    topo_free(t);
    t = NULL;
    buf_puts(&b, "region one-more 99\n");
    EQ_INT(topo_parse("w", (const char *)b.data, b.len, &t, &err), RC_LIMIT);
    buf_reset(&b, 0);
    buf_puts(&b, "format 1\nzone-rtt 1ms\n");
    for (int i = 1; i <= 9; i++)
        buf_printf(&b, "region r%d %d zones a b c d e f g h\n", i, i);
    EQ_INT(topo_parse("w", (const char *)b.data, b.len, &t, &err), RC_LIMIT);
    EQ_STR(err.message, "w:11:1: too many zones, 64 at most in all");
    char *big = calloc(1, TOPO_TEXT_BYTES_MAX + 1);
    EQ_INT(topo_parse("w", big, TOPO_TEXT_BYTES_MAX + 1, &t, &err), RC_LIMIT);
    free(big);
    buf_done(&b);
}

static bool apply(struct topo *t, const char *statement) {
    struct err err = {0};
    return OKF(topo_apply(t, statement, &err) == RC_OK, "%s: %s", statement, err.message);
}

static void changes(void) {
    struct topo *t = parse(world), *before = parse(world);
    struct err err = {0};
    apply(t, "link us-east eu-west rtt=120ms");
    EQ_INT(t->link[0][2].delay_ns, 60 * MS);
    EQ_INT(t->link[0][2].loss_ppm, 100); /* as it was */
    apply(t, "oneway eu-west us-east.a loss 100% jitter 10%");
    EQ_INT(t->link[2][0].loss_ppm, 1000000);
    EQ_INT(t->link[2][0].jitter_ns, 6 * MS);
    EQ_INT(t->link[0][2].loss_ppm, 100);
    apply(t, "cut eu-west *");
    for (unsigned i = 0; i < t->places; i++)
        OK(i == 2 || (t->link[i][2].cut && t->link[2][i].cut));
    OK(!t->link[0][1].cut && topo_is_cut(t, 2, 0));
    apply(t, "heal * eu-west oneway");
    OK(!t->link[0][2].cut && t->link[2][0].cut);
    apply(t, "heal * *");
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = 0; j < t->places; j++)
            OK(!t->link[i][j].cut);
    /* What is wrong changes nothing, and says no line. */
    topo_free(before);
    before = parse(world);
    topo_free(t);
    t = parse(world);
    static const char *const bad[] = {"link us-east mars rtt 1ms",
                                      "link us-east eu-west rtt 1ms loss lots",
                                      "region x 9",
                                      "cut us-east ap twoway",
                                      "",
                                      "cut us-east",
                                      "link eu-west eu-west rtt 1ms"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OK(topo_apply(t, bad[i], &err) == RC_INVAL);
    OK(topo_equal(t, before));
    OK(topo_apply(t, "cut us-east mars", &err) == RC_INVAL);
    EQ_STR(err.message, "there is no region or zone \"mars\"");
    topo_free(t);
    topo_free(before);
}

static void sets(void) {
    struct topo *t = parse(world);
    topo_set s = 0;
    struct err err = {0};
    OK(topo_match(t, "*", &s, &err) == RC_OK && s == 15);
    OK(topo_match(t, "us-east", &s, &err) == RC_OK && s == 3);
    OK(topo_match(t, "us-east.b,ap", &s, &err) == RC_OK && s == 10);
    OK(topo_match(t, "eu-west.a", &s, &err) == RC_OK && s == 4); /* its only zone may be named */
    EQ_INT(topo_match(t, "us-east,", &s, &err), RC_NOTFOUND);
    EQ_INT(topo_match(t, "", &s, &err), RC_NOTFOUND);
    EQ_INT(topo_match(t, "us-east.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w", &s, &err), RC_NOTFOUND);
    topo_free(t);
}

/* The worlds that are shipped. */
static void shipped(void) {
    static const struct {
        const char *name;
        unsigned regions, places, nodes;
        int64_t longest_rtt_ms;
    } worlds[] = {{"one-host", 1, 1, 3, 0},       {"three-zones", 1, 3, 3, 0}, {"three-regions", 3, 3, 3, 242},
                  {"five-regions", 5, 5, 5, 275}, {"flaky-wan", 3, 3, 3, 265}, {"satellite", 3, 3, 3, 645}};
    for (size_t w = 0; w < ARRAY_LEN(worlds); w++) {
        char path[512];
        static char text[8192];
        struct topo *t = NULL;
        struct err err = {0};
        snprintf(path, sizeof path, "%s/%s.topo", WORLDS, worlds[w].name);
        FILE *f = fopen(path, "r");
        if (!OKF(f, "%s is missing", path))
            continue;
        size_t n = fread(text, 1, sizeof text, f);
        fclose(f);
        OKF(topo_parse(worlds[w].name, text, n, &t, &err) == RC_OK, "%s", err.message);
        if (!t)
            continue;
        unsigned nodes = 0;
        int64_t longest = 0;
        for (unsigned i = 0; i < t->places; i++) {
            nodes += topo_nodes(t, i);
            for (unsigned j = 0; j < i; j++)
                longest = topo_rtt_ns(t, i, j) > longest ? topo_rtt_ns(t, i, j) : longest;
        }
        EQ_INT(t->regions, worlds[w].regions);
        EQ_INT(t->places, worlds[w].places);
        EQ_INT(nodes, worlds[w].nodes);
        EQ_INT(longest / MS, worlds[w].longest_rtt_ms);
        topo_free(t);
    }
}

int main(void) {
    RUN(all_statements);
    RUN(prints_what_it_is);
    RUN(refusals);
    RUN(limits);
    RUN(changes);
    RUN(sets);
    RUN(shipped);
    return tap_done();
}
