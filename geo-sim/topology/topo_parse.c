/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topo_parse.c: reads a topology, line by line, word by word.
 *
 * Links may stand before the defaults that complete them, so each direction remembers which of its attributes a line has given;
 * what is still open at the end takes the default, and what has no delay then is an error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/topology/topo.h"
#include "truetime/spec.h"

enum {
    NUMBER_MAX = 254, /* of a region */
    WORD_SHOWN = 40,
    PPM_ALL = 1000000,
    DRIFT_PPB_MAX = 1000000, /* 1000 ppm */
    UNITS_OF_RATE = 4
};
#define DELAY_NS_MAX INT64_C(60000000000)
#define CLOCK_NS_MAX INT64_C(86400000000000)
#define RATE_BPS_MAX INT64_C(1000000000000)
#define MASTER_PERIOD_NS INT64_C(250000000)
#define MASTER_JITTER_NS INT64_C(100000)
#define MASTER_ERR_NS INT64_C(500000)

enum attribute { ATTR_DELAY = 1, ATTR_JITTER = 2, ATTR_LOSS = 4, ATTR_REORDER = 8, ATTR_RATE = 16 };

/* What a line says about a direction. */
struct attrs {
    unsigned given; /* enum attribute */
    int64_t delay_ns, jitter_ns, rate_bps;
    int32_t jitter_ppm; /* of the delay, where the jitter is a percentage */
    bool jitter_is_share;
    int32_t loss_ppm, reorder_ppm;
};

struct word {
    const char *at;
    unsigned len, column;
};

struct parse {
    const char *name;
    unsigned line; /* 0: a single statement, without a file */
    struct topo *t;
    struct err *err;
    struct word word[TOPO_WORDS_MAX];
    unsigned words, next;
    bool format_seen, subnet_seen, default_seen, zone_rtt_seen;
    struct attrs otherwise, between_zones;
    unsigned link_line[TOPO_PLACES_MAX][TOPO_PLACES_MAX];
    struct attrs attrs[TOPO_PLACES_MAX][TOPO_PLACES_MAX]; /* [from][to], as the file gives them */
};

/* ---- words ------------------------------------------------------------------------------------------------------- */

static enum rc wrong_at(struct parse *p, unsigned column, enum rc rc, const char *fmt, ...) PRINTF_LIKE(4, 5);
static enum rc wrong_at(struct parse *p, unsigned column, enum rc rc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    IGNORE(err_setv(p->err, rc, fmt, ap));
    va_end(ap);
    if (p->line && p->err)
        IGNORE(err_wrap(p->err, "%s:%u:%u", p->name, p->line, column));
    return rc;
}

#define WRONG(p, word, ...) wrong_at((p), (word)->column, RC_INVAL, __VA_ARGS__)

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '=' || c == '\r';
}

static enum rc split(struct parse *p, const char *line, size_t bytes) {
    p->words = p->next = 0;
    for (size_t i = 0; i < bytes;) {
        if (line[i] == '#')
            break;
        if (is_blank(line[i])) {
            i++;
            continue;
        }
        size_t from = i;
        while (i < bytes && !is_blank(line[i]) && line[i] != '#') {
            if ((unsigned char)line[i] < 0x21 || (unsigned char)line[i] > 0x7e)
                return wrong_at(p, (unsigned)i + 1, RC_INVAL, "a character that does not belong here (0x%02x)",
                                (unsigned char)line[i]);
            i++;
        }
        if (p->words == TOPO_WORDS_MAX)
            return wrong_at(p, (unsigned)from + 1, RC_LIMIT, "too many words in a line, %d at most", TOPO_WORDS_MAX);
        p->word[p->words++] = (struct word){line + from, (unsigned)(i - from), (unsigned)from + 1};
    }
    return RC_OK;
}

static bool is(const struct word *w, const char *text) {
    return w->len == strlen(text) && memcmp(w->at, text, w->len) == 0;
}

static int shown(const struct word *w) {
    return w->len < WORD_SHOWN ? (int)w->len : WORD_SHOWN;
}

/* A word as text; longer ones are cut, which no valid one of that size is. */
static void text_of(const struct word *w, char *to, size_t bytes) {
    snprintf(to, bytes, "%.*s", (int)w->len, w->at);
}

static const struct word *peek(const struct parse *p) {
    return p->next < p->words ? &p->word[p->next] : NULL;
}

static enum rc take(struct parse *p, const char *what, const struct word **ret) {
    const struct word *w = peek(p);
    if (!w) {
        const struct word *last = &p->word[p->words - 1];
        return wrong_at(p, last->column + last->len, RC_INVAL, "here %s is missing", what);
    }
    p->next++;
    *ret = w;
    return RC_OK;
}

static enum rc at_end(struct parse *p) {
    const struct word *w = peek(p);
    return w ? WRONG(p, w, "unknown word \"%.*s\"", shown(w), w->at) : RC_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static enum rc take_number(struct parse *p, const char *what, unsigned min, unsigned max, unsigned *ret) {
    const struct word *w;
    unsigned v = 0;
    enum rc rc = take(p, what, &w);
    if (rc)
        return rc;
    bool ok = w->len <= 6;
    for (unsigned i = 0; i < w->len && ok; i++) {
        ok = w->at[i] >= '0' && w->at[i] <= '9';
        v = v * 10 + (unsigned)(w->at[i] - '0');
    }
    if (!ok || v < min || v > max)
        return WRONG(p, w, "%s: a number from %u to %u is wanted, not \"%.*s\"", what, min, max, shown(w), w->at);
    *ret = v;
    return RC_OK;
}

static bool duration_of(const struct word *w, int64_t min, int64_t max, int64_t *ret) {
    char text[32];
    int64_t ns;
    if (w->len >= sizeof text)
        return false;
    text_of(w, text, sizeof text);
    if (strcmp(text, "0") == 0)
        ns = 0;
    else if (!tt_duration_parse(text, &ns))
        return false;
    if (ns < min || ns > max)
        return false;
    *ret = ns;
    return true;
}

static enum rc take_duration(struct parse *p, const char *what, int64_t min, int64_t max, int64_t *ret) {
    const struct word *w;
    char from[32], to[32];
    enum rc rc = take(p, what, &w);
    if (rc)
        return rc;
    if (!duration_of(w, min, max, ret))
        return WRONG(p, w, "%s: a duration such as 1.5ms is wanted, from %s to %s, not \"%.*s\"", what,
                     tt_duration_format(min, from, sizeof from), tt_duration_format(max, to, sizeof to), shown(w),
                     w->at);
    return RC_OK;
}

/* Digits, and up to `fraction` more behind a point, as an integer of that many decimal places. len: of the word in front of
 * its unit. */
static bool decimal_of(const char *at, unsigned len, unsigned fraction, int64_t *ret) {
    int64_t v = 0;
    unsigned i = 0, whole = 0, places = 0;
    for (; i < len && at[i] >= '0' && at[i] <= '9' && whole < 12; i++, whole++)
        v = v * 10 + (at[i] - '0');
    if (whole == 0)
        return false;
    if (i < len && at[i] == '.')
        for (i++; i < len && at[i] >= '0' && at[i] <= '9' && places < fraction; i++, places++)
            v = v * 10 + (at[i] - '0');
    for (; places < fraction; places++)
        v *= 10;
    *ret = v;
    return i == len;
}

/* "1%", "0.01%", "0": parts per million. */
static bool share_of(const struct word *w, int32_t *ret) {
    int64_t v;
    if (is(w, "0")) {
        *ret = 0;
        return true;
    }
    if (w->len < 2 || w->at[w->len - 1] != '%' || !decimal_of(w->at, w->len - 1, 4, &v) || v > PPM_ALL)
        return false;
    *ret = (int32_t)v;
    return true;
}

static enum rc take_share(struct parse *p, const char *what, int32_t *ret) {
    const struct word *w;
    enum rc rc = take(p, what, &w);
    if (!rc && !share_of(w, ret))
        rc = WRONG(p, w, "%s: a percentage from 0%% to 100%% is wanted, such as 0.1%%, not \"%.*s\"", what, shown(w),
                   w->at);
    return rc;
}

static enum rc take_rate(struct parse *p, int64_t *ret) {
    static const struct {
        const char *unit;
        int64_t bps;
    } units[UNITS_OF_RATE] = {{"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}, {"bit", 1}};
    const struct word *w;
    int64_t v;
    enum rc rc = take(p, "a rate", &w);
    if (rc)
        return rc;
    if (is(w, "unlimited")) {
        *ret = 0;
        return RC_OK;
    }
    for (int u = 0; u < UNITS_OF_RATE; u++) {
        unsigned n = (unsigned)strlen(units[u].unit);
        if (w->len <= n || memcmp(w->at + w->len - n, units[u].unit, n) != 0)
            continue;
        if (!decimal_of(w->at, w->len - n, 3, &v))
            break;
        __int128 bps = (__int128)v * units[u].bps / 1000;
        if (bps < 1000 || bps > RATE_BPS_MAX)
            break;
        *ret = (int64_t)bps;
        return RC_OK;
    }
    return WRONG(p, w, "rate: 1kbit to 1000gbit or \"unlimited\" is wanted, not \"%.*s\"", shown(w), w->at);
}

static bool is_name(const struct word *w, size_t bytes, bool dashes) {
    if (w->len >= bytes || w->at[0] < 'a' || w->at[0] > 'z' || w->at[w->len - 1] == '-')
        return false;
    for (unsigned i = 0; i < w->len; i++) {
        char c = w->at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && dashes)))
            return false;
    }
    return true;
}

static enum rc take_set(struct parse *p, topo_set *ret) {
    const struct word *w;
    char text[256];
    struct err why = {0};
    enum rc rc = take(p, "a region", &w);
    if (rc)
        return rc;
    if (w->len >= sizeof text)
        return WRONG(p, w, "that list is too long");
    text_of(w, text, sizeof text);
    if (topo_match(p->t, text, ret, &why))
        return WRONG(p, w, "%s", err_message(&why));
    return RC_OK;
}

static enum rc take_region(struct parse *p, struct topo_region **ret) {
    const struct word *w;
    enum rc rc = take(p, "a region", &w);
    for (unsigned i = 0; i < p->t->regions && !rc; i++)
        if (is(w, p->t->region[i].name)) {
            *ret = &p->t->region[i];
            return RC_OK;
        }
    return rc ? rc : WRONG(p, w, "there is no region \"%.*s\"", shown(w), w->at);
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

static enum rc take_jitter(struct parse *p, struct attrs *a) {
    const struct word *w = peek(p);
    a->jitter_is_share = w && w->len > 0 && w->at[w->len - 1] == '%';
    if (a->jitter_is_share)
        return take_share(p, "jitter", &a->jitter_ppm);
    return take_duration(p, "jitter", 0, DELAY_NS_MAX, &a->jitter_ns);
}

static enum rc take_attrs(struct parse *p, unsigned allowed, bool rtt_allowed, struct attrs *ret) {
    struct attrs a = {.given = 0};
    while (peek(p)) {
        const struct word *w = &p->word[p->next++];
        unsigned bit;
        enum rc rc;
        if (rtt_allowed && is(w, "rtt")) {
            bit = ATTR_DELAY;
            rc = take_duration(p, "rtt", 0, 2 * DELAY_NS_MAX, &a.delay_ns);
            a.delay_ns /= 2;
        } else if (is(w, "delay") && allowed & ATTR_DELAY) {
            bit = ATTR_DELAY;
            rc = take_duration(p, "delay", 0, DELAY_NS_MAX, &a.delay_ns);
        } else if (is(w, "jitter") && allowed & ATTR_JITTER) {
            bit = ATTR_JITTER;
            rc = take_jitter(p, &a);
        } else if (is(w, "loss") && allowed & ATTR_LOSS) {
            bit = ATTR_LOSS;
            rc = take_share(p, "loss", &a.loss_ppm);
        } else if (is(w, "reorder") && allowed & ATTR_REORDER) {
            bit = ATTR_REORDER;
            rc = take_share(p, "reorder", &a.reorder_ppm);
        } else if (is(w, "rate") && allowed & ATTR_RATE) {
            bit = ATTR_RATE;
            rc = take_rate(p, &a.rate_bps);
        } else {
            return WRONG(p, w, "unknown word \"%.*s\"", shown(w), w->at);
        }
        if (rc)
            return rc;
        if (a.given & bit)
            return WRONG(p, w, "\"%.*s\" is said twice", shown(w), w->at);
        a.given |= bit;
    }
    *ret = a;
    return RC_OK;
}

/* What b says replaces what a said. */
static void overlay(struct attrs *a, const struct attrs *b) {
    if (b->given & ATTR_DELAY)
        a->delay_ns = b->delay_ns;
    if (b->given & ATTR_JITTER) {
        a->jitter_ns = b->jitter_ns;
        a->jitter_ppm = b->jitter_ppm;
        a->jitter_is_share = b->jitter_is_share;
    }
    if (b->given & ATTR_LOSS)
        a->loss_ppm = b->loss_ppm;
    if (b->given & ATTR_REORDER)
        a->reorder_ppm = b->reorder_ppm;
    if (b->given & ATTR_RATE)
        a->rate_bps = b->rate_bps;
    a->given |= b->given;
}

static int64_t jitter_of(const struct attrs *a, int64_t delay_ns) {
    return a->jitter_is_share ? (int64_t)((__int128)delay_ns * a->jitter_ppm / PPM_ALL) : a->jitter_ns;
}

/* Of what a says, into a link that is complete already. */
static void change_link(struct topo_link *l, const struct attrs *a) {
    if (a->given & ATTR_DELAY)
        l->delay_ns = a->delay_ns;
    if (a->given & ATTR_JITTER)
        l->jitter_ns = jitter_of(a, l->delay_ns);
    if (a->given & ATTR_LOSS)
        l->loss_ppm = a->loss_ppm;
    if (a->given & ATTR_REORDER)
        l->reorder_ppm = a->reorder_ppm;
    if (a->given & ATTR_RATE)
        l->rate_bps = a->rate_bps;
}

static bool has(topo_set set, unsigned i) {
    return set >> i & 1;
}

/* Calls fn for each direction from one set to the other, and back unless it is only one way. */
static void each_direction(struct parse *p, topo_set from, topo_set to, bool back,
                           void (*fn)(struct parse *p, unsigned i, unsigned j, const void *arg), const void *arg) {
    for (unsigned i = 0; i < p->t->places; i++)
        for (unsigned j = 0; j < p->t->places; j++)
            if (i != j && ((has(from, i) && has(to, j)) || (back && has(from, j) && has(to, i))))
                fn(p, i, j, arg);
}

static void note_link(struct parse *p, unsigned i, unsigned j, const void *arg) {
    overlay(&p->attrs[i][j], arg);
    p->link_line[i][j] = p->line;
}

static void change_now(struct parse *p, unsigned i, unsigned j, const void *arg) {
    change_link(&p->t->link[i][j], arg);
}

static void set_cut(struct parse *p, unsigned i, unsigned j, const void *arg) {
    p->t->link[i][j].cut = *(const bool *)arg;
}

static enum rc take_two_sets(struct parse *p, topo_set *ret_from, topo_set *ret_to) {
    const struct word *second = p->words > 2 ? &p->word[2] : NULL;
    enum rc rc = take_set(p, ret_from);
    if (!rc)
        rc = take_set(p, ret_to);
    if (!rc && *ret_from == *ret_to && (*ret_from & (*ret_from - 1)) == 0)
        rc = WRONG(p, second, "a place has no link to itself");
    return rc;
}

static enum rc parse_link(struct parse *p, bool oneway) {
    unsigned all = ATTR_DELAY | ATTR_JITTER | ATTR_LOSS | ATTR_REORDER | ATTR_RATE;
    topo_set from, to;
    struct attrs a;
    enum rc rc = take_two_sets(p, &from, &to);
    if (!rc)
        rc = take_attrs(p, all, !oneway, &a);
    if (rc)
        return rc;
    if (a.given == 0)
        return WRONG(p, &p->word[0],
                     "this line says nothing about the link: give rtt, delay, jitter, loss, reorder or rate");
    if (p->line == 0) {
        each_direction(p, from, to, !oneway, change_now, &a);
        return RC_OK;
    }
    for (unsigned i = 0; i < p->t->places && !oneway; i++)
        for (unsigned j = 0; j < p->t->places; j++)
            if (i != j && has(from, i) && has(to, j) && p->link_line[i][j] && (a.given & p->attrs[i][j].given))
                return WRONG(p, &p->word[0], "%s and %s have a link already, from line %u", p->t->place[i].name,
                             p->t->place[j].name, p->link_line[i][j]);
    each_direction(p, from, to, !oneway, note_link, &a);
    return RC_OK;
}

static enum rc parse_cut(struct parse *p, bool cut) {
    topo_set from, to;
    enum rc rc = take_two_sets(p, &from, &to);
    if (rc)
        return rc;
    const struct word *w = peek(p);
    bool oneway = w && is(w, "oneway");
    p->next += oneway;
    rc = at_end(p);
    if (!rc)
        each_direction(p, from, to, !oneway, set_cut, &cut);
    return rc;
}

/* ---- regions ----------------------------------------------------------------------------------------------------- */

static enum rc parse_format(struct parse *p) {
    unsigned version;
    enum rc rc = take_number(p, "format", 1, 1, &version);
    p->format_seen = !rc;
    return rc ? rc : at_end(p);
}

static enum rc parse_subnet(struct parse *p) {
    const struct word *w;
    char text[32];
    unsigned a, b;
    int end = 0;
    enum rc rc = take(p, "a network", &w);
    if (rc)
        return rc;
    if (p->subnet_seen || p->t->regions)
        return WRONG(p, &p->word[0], "the subnet is named once, before the regions");
    text_of(w, text, sizeof text);
    if (w->len >= sizeof text || sscanf(text, "%3u.%3u.0.0/16%n", &a, &b, &end) != 2 || end != (int)w->len || b > 255 ||
        !(a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168)))
        return WRONG(p, w, "a private network A.B.0.0/16 is wanted, not \"%.*s\"", shown(w), w->at);
    p->t->subnet = a << 24 | b << 16;
    p->subnet_seen = true;
    return at_end(p);
}

static enum rc take_zones(struct parse *p, struct topo_region *r) {
    r->zones = 0;
    while (peek(p) && !is(peek(p), "nodes") && !is(peek(p), "at")) {
        const struct word *w = &p->word[p->next++];
        if (!is_name(w, TOPO_ZONE_BYTES, false))
            return WRONG(p, w, "\"%.*s\" is no name of a zone: a small letter, then letters and digits, %d at most",
                         shown(w), w->at, TOPO_ZONE_BYTES - 1);
        if (r->zones == TOPO_ZONES_MAX)
            return wrong_at(p, w->column, RC_LIMIT, "too many zones, %d at most in a region", TOPO_ZONES_MAX);
        for (unsigned z = 0; z < r->zones; z++)
            if (is(w, r->zone[z]))
                return WRONG(p, w, "zone \"%.*s\" is named twice", shown(w), w->at);
        text_of(w, r->zone[r->zones++], TOPO_ZONE_BYTES);
    }
    if (r->zones == 0)
        return WRONG(p, &p->word[p->next - 1], "zones: at least one name is wanted");
    return RC_OK;
}

static enum rc take_degrees(struct parse *p, const char *what, int64_t max, double *ret) {
    const struct word *w;
    int64_t v;
    enum rc rc = take(p, what, &w);
    if (rc)
        return rc;
    bool minus = w->at[0] == '-';
    if (!decimal_of(w->at + minus, w->len - minus, 6, &v) || v > max * 1000000)
        return WRONG(p, w, "%s: degrees from -%d to %d are wanted, not \"%.*s\"", what, (int)max, (int)max, shown(w),
                     w->at);
    *ret = (double)(minus ? -v : v) / 1e6;
    return RC_OK;
}

static enum rc take_place_on_map(struct parse *p, struct topo_region *r) {
    enum rc rc = take_degrees(p, "latitude", 90, &r->latitude);
    if (!rc)
        rc = take_degrees(p, "longitude", 180, &r->longitude);
    r->on_map = true;
    return rc;
}

static enum rc add_places(struct parse *p, const struct topo_region *r) {
    struct topo *t = p->t;
    for (unsigned z = 0; z < r->zones; z++) {
        if (t->places == TOPO_PLACES_MAX)
            return wrong_at(p, p->word[0].column, RC_LIMIT, "too many zones, %d at most in all", TOPO_PLACES_MAX);
        struct topo_place *place = &t->place[t->places++];
        *place = (struct topo_place){.region = (unsigned)(r - t->region), .zone = z};
        if (r->zones == 1)
            snprintf(place->name, sizeof place->name, "%s", r->name);
        else
            snprintf(place->name, sizeof place->name, "%s.%s", r->name, r->zone[z]);
    }
    return RC_OK;
}

static enum rc take_region_options(struct parse *p, struct topo_region *r) {
    bool zones = false, nodes = false;
    enum rc rc = RC_OK;
    while (!rc && peek(p)) {
        const struct word *w = &p->word[p->next++];
        if (is(w, "zones") && !zones) {
            zones = true;
            rc = take_zones(p, r);
        } else if (is(w, "nodes") && !nodes) {
            nodes = true;
            rc = take_number(p, "nodes", 1, TOPO_NODES_MAX, &r->nodes);
        } else if (is(w, "at") && !r->on_map) {
            rc = take_place_on_map(p, r);
        } else {
            rc = WRONG(p, w, "unknown word \"%.*s\"", shown(w), w->at);
        }
    }
    return rc;
}

static enum rc parse_region(struct parse *p) {
    struct topo *t = p->t;
    const struct word *name;
    enum rc rc = take(p, "a name", &name);
    if (rc)
        return rc;
    if (!is_name(name, TOPO_NAME_BYTES, true))
        return WRONG(p, name, "\"%.*s\" is no name of a region: a small letter, then letters, digits and -, %d at most",
                     shown(name), name->at, TOPO_NAME_BYTES - 1);
    if (t->regions == TOPO_REGIONS_MAX)
        return wrong_at(p, name->column, RC_LIMIT, "too many regions, %d at most", TOPO_REGIONS_MAX);
    struct topo_region *r = &t->region[t->regions];
    *r = (struct topo_region){.zones = 1, .zone = {"a"}, .nodes = 1, .first_place = t->places};
    text_of(name, r->name, sizeof r->name);
    const struct word *number = peek(p);
    rc = take_number(p, "its number", 1, NUMBER_MAX, &r->number);
    for (unsigned i = 0; i < t->regions && !rc; i++) {
        if (strcmp(t->region[i].name, r->name) == 0)
            rc = WRONG(p, name, "region %s is named twice", r->name);
        else if (t->region[i].number == r->number)
            rc = WRONG(p, number, "number %u is %s's", r->number, t->region[i].name);
    }
    if (!rc)
        rc = take_region_options(p, r);
    if (rc)
        return rc;
    t->regions++;
    return add_places(p, r);
}

static enum rc parse_clock(struct parse *p) {
    struct topo_region *r;
    enum rc rc = take_region(p, &r);
    while (!rc && peek(p)) {
        const struct word *w = &p->word[p->next++], *value = peek(p);
        if (is(w, "offset")) {
            rc = take_duration(p, "offset", -CLOCK_NS_MAX, CLOCK_NS_MAX, &r->clock_offset_ns);
        } else if (is(w, "by")) {
            const struct word *v;
            rc = take(p, "chronyd or masters", &v);
            if (!rc && !is(v, "chronyd") && !is(v, "masters"))
                return WRONG(p, v, "by: chronyd or masters is wanted, not \"%.*s\"", shown(v), v->at);
            r->chronyd = !rc && is(v, "chronyd");
        } else if (is(w, "drift")) {
            const struct word *v;
            int64_t n = 0;
            rc = take(p, "a drift", &v);
            if (rc)
                break;
            bool minus = v->at[0] == '-', ppb = v->len > 3 && memcmp(v->at + v->len - 3, "ppb", 3) == 0;
            bool ppm = v->len > 3 && memcmp(v->at + v->len - 3, "ppm", 3) == 0;
            if ((!ppb && !ppm) || v->len < 4u + minus || !decimal_of(v->at + minus, v->len - 3 - minus, 3, &n) ||
                (n = ppb ? n / 1000 : n) > DRIFT_PPB_MAX)
                return WRONG(p, value, "drift: up to 1000ppm is wanted, either way, not \"%.*s\"", shown(v), v->at);
            r->clock_drift_ppb = minus ? -n : n;
        } else {
            rc = WRONG(p, w, "unknown word \"%.*s\"", shown(w), w->at);
        }
    }
    return rc;
}

static enum rc parse_master(struct parse *p) {
    struct topo_region *r;
    unsigned count;
    enum rc rc = take_region(p, &r);
    if (rc)
        return rc;
    if (r->masters)
        return WRONG(p, &p->word[1], "the masters of %s are named twice", r->name);
    rc = take_number(p, "how many", 1, TOPO_MASTERS_MAX, &count);
    r->master_period_ns = MASTER_PERIOD_NS;
    r->master_jitter_ns = MASTER_JITTER_NS;
    r->master_err_ns = MASTER_ERR_NS;
    while (!rc && peek(p)) {
        const struct word *w = &p->word[p->next++];
        if (is(w, "period"))
            rc = take_duration(p, "period", 10000000, DELAY_NS_MAX, &r->master_period_ns);
        else if (is(w, "jitter"))
            rc = take_duration(p, "jitter", 0, 1000000000, &r->master_jitter_ns);
        else if (is(w, "err"))
            rc = take_duration(p, "err", 1000, 1000000000, &r->master_err_ns);
        else
            rc = WRONG(p, w, "unknown word \"%.*s\"", shown(w), w->at);
    }
    if (!rc)
        r->masters = count;
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static enum rc parse_default(struct parse *p) {
    if (p->default_seen)
        return WRONG(p, &p->word[0], "the defaults are named twice");
    p->default_seen = true;
    return take_attrs(p, ATTR_JITTER | ATTR_LOSS | ATTR_REORDER | ATTR_RATE, false, &p->otherwise);
}

static enum rc parse_zone_rtt(struct parse *p) {
    if (p->zone_rtt_seen)
        return WRONG(p, &p->word[0], "zone-rtt is named twice");
    p->zone_rtt_seen = true;
    int64_t rtt = 0;
    enum rc rc = take_duration(p, "zone-rtt", 0, DELAY_NS_MAX, &rtt);
    if (!rc)
        rc = take_attrs(p, ATTR_JITTER | ATTR_LOSS | ATTR_REORDER | ATTR_RATE, false, &p->between_zones);
    p->between_zones.delay_ns = rtt / 2;
    p->between_zones.given |= ATTR_DELAY;
    return rc;
}

/* link, oneway, cut and heal: the statements that may also come later. RC_NOTFOUND: it is none of them. */
static enum rc parse_change(struct parse *p, const struct word *verb) {
    if (is(verb, "link"))
        return parse_link(p, false);
    if (is(verb, "oneway"))
        return parse_link(p, true);
    if (is(verb, "cut"))
        return parse_cut(p, true);
    if (is(verb, "heal"))
        return parse_cut(p, false);
    return RC_NOTFOUND;
}

static enum rc parse_statement(struct parse *p) {
    const struct word *verb = &p->word[p->next++];
    if (is(verb, "format") && !p->format_seen)
        return parse_format(p);
    if (!p->format_seen)
        return WRONG(p, verb, "the first line must be \"format 1\"");
    if (is(verb, "subnet"))
        return parse_subnet(p);
    if (is(verb, "region"))
        return parse_region(p);
    if (is(verb, "default"))
        return parse_default(p);
    if (is(verb, "zone-rtt"))
        return parse_zone_rtt(p);
    if (is(verb, "clock"))
        return parse_clock(p);
    if (is(verb, "master"))
        return parse_master(p);
    enum rc rc = parse_change(p, verb);
    return rc == RC_NOTFOUND ? WRONG(p, verb, "unknown word \"%.*s\"", shown(verb), verb->at) : rc;
}

static enum rc complete(struct parse *p) {
    struct topo *t = p->t;
    p->words = 0;
    if (!p->format_seen)
        return wrong_at(p, 1, RC_INVAL, "the first line must be \"format 1\"");
    if (t->regions == 0)
        return wrong_at(p, 1, RC_INVAL, "names no region");
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = 0; j < t->places; j++) {
            struct attrs a = p->otherwise;
            bool near = t->place[i].region == t->place[j].region;
            if (i == j)
                continue;
            if (near && p->zone_rtt_seen)
                overlay(&a, &p->between_zones);
            overlay(&a, &p->attrs[i][j]);
            if (!(a.given & ATTR_DELAY))
                return wrong_at(p, 1, RC_INVAL,
                                near ? "how far %s is from %s is not said: zone-rtt is missing"
                                     : "how far %s is from %s is not said: a link line is missing",
                                t->place[i].name, t->place[j].name);
            struct topo_link *l = &t->link[i][j];
            bool cut = l->cut;
            *l = (struct topo_link){.cut = cut};
            change_link(l, &a);
        }
    return RC_OK;
}

static enum rc parse_all(struct parse *p, const char *text, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t len = end ? (size_t)(end - (text + at)) : bytes - at;
        p->line++;
        enum rc rc = split(p, text + at, len);
        if (!rc && p->words)
            rc = parse_statement(p);
        if (rc)
            return rc;
        at += len + 1;
    }
    if (p->line == 0)
        p->line = 1;
    return complete(p);
}

enum rc topo_parse(const char *name, const char *text, size_t bytes, struct topo **ret, struct err *err) {
    if (bytes > TOPO_TEXT_BYTES_MAX)
        return err_set(err, RC_LIMIT, "%s: a topology of %zu bytes; %d at most", name, bytes, TOPO_TEXT_BYTES_MAX);
    struct topo *t = calloc(1, sizeof *t);
    struct parse *p = calloc(1, sizeof *p);
    enum rc rc = t && p ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    if (!rc) {
        p->name = name;
        p->t = t;
        p->err = err;
        t->subnet = 10u << 24 | 77u << 16;
        rc = parse_all(p, text, bytes);
    }
    free(p);
    if (rc)
        free(t);
    else
        *ret = t;
    return rc;
}

enum rc topo_apply(struct topo *t, const char *statement, struct err *err) {
    struct parse *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    p->name = "";
    p->t = t;
    p->err = err;
    enum rc rc = split(p, statement, strlen(statement));
    if (!rc && p->words == 0)
        rc = err_set(err, RC_INVAL, "an empty statement");
    if (!rc) {
        const struct word *verb = &p->word[p->next++];
        rc = parse_change(p, verb);
        if (rc == RC_NOTFOUND)
            rc = err_set(err, RC_INVAL, "\"%.*s\" is none of link, oneway, cut, heal", shown(verb), verb->at);
    }
    free(p);
    return rc;
}
