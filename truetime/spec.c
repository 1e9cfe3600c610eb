/* SPDX-License-Identifier: Apache-2.0 */
/* spec.c: cuts a SPEC at ';', each part at its first ':' or '=', and says what it cannot read. */
#include "truetime/spec.h"

#include <stdio.h>
#include <string.h>

enum { PART_BYTES = 192, UNIT_MAX = 255, PARTS_MAX = 32 };

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

#define ERR_DEFAULT_NS (500 * US)
#define EPS_DEFAULT_NS (10 * MS)
#define EPS_NETWORK_NS (250 * MS)

struct parse {
    struct tt_spec spec;
    bool f_given, eps_given, void_given;
    struct err *err;
};

/* ---- durations --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {{"ns", 1}, {"us", US}, {"ms", MS}, {"s", SEC}, {"m", 60 * SEC}, {"h", 3600 * SEC}};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool tt_duration_parse(const char *text, int64_t *ret_ns) {
    bool minus = *text == '-';
    const char *s = text + (minus || *text == '+');
    int64_t whole = 0, fraction = 0, scale = 1;
    if (!is_digit(*s))
        return false;
    for (; is_digit(*s); s++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *s - '0', &whole))
            return false;
    if (*s == '.') {
        if (!is_digit(*++s))
            return false;
        for (; is_digit(*s); s++)
            if (scale < SEC) {
                fraction = fraction * 10 + (*s - '0');
                scale *= 10;
            }
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(s, units[i].name) == 0) {
            if (__builtin_mul_overflow(whole, units[i].ns, &whole))
                return false;
            fraction = (int64_t)((__int128)fraction * units[i].ns / scale);
            if (__builtin_add_overflow(whole, fraction, &whole))
                return false;
            *ret_ns = minus ? -whole : whole;
            return true;
        }
    return false;
}

const char *tt_duration_format(int64_t ns, char *to, size_t bytes) {
    double v = (double)ns, a = v < 0 ? -v : v;
    if (ns == INT64_MAX)
        snprintf(to, bytes, "unknown");
    else if (a < 1e3)
        snprintf(to, bytes, "%lld ns", (long long)ns);
    else if (a < 1e6)
        snprintf(to, bytes, a < 1e5 ? "%.2f us" : "%.1f us", v / 1e3);
    else if (a < 1e9)
        snprintf(to, bytes, a < 1e8 ? "%.3f ms" : "%.1f ms", v / 1e6);
    else
        snprintf(to, bytes, a < 1e11 ? "%.3f s" : "%.0f s", v / 1e9);
    return to;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static bool small_number(const char *text, int max, int *ret) {
    int v = 0;
    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++) {
        v = v * 10 + (*text - '0');
        if (v > max)
            return false;
    }
    *ret = v;
    return *text == '\0';
}

static enum rc bad(struct parse *p, const char *part, const char *what) {
    enum rc rc = err_set(p->err, RC_INVAL, "clock: \"%s\": %s", part, what);
    err_hint(p->err, "SPEC = source{;source}[;f=N], source = shm:U[,err=500us] | chrony[:PATH] | kernel | host | "
                     "fixed:DUR | sim");
    return rc;
}

static enum rc parse_shm(struct parse *p, const char *part, char *value, struct tt_source_spec *s) {
    char *comma = strchr(value, ',');
    s->err_ns = ERR_DEFAULT_NS;
    if (comma) {
        *comma = '\0';
        if (strncmp(comma + 1, "err=", 4) != 0 || !tt_duration_parse(comma + 5, &s->err_ns) || s->err_ns <= 0 ||
            s->err_ns > SEC)
            return bad(p, part, "after the comma comes err=DUR, above 0 and up to 1s");
    }
    if (!small_number(value, UNIT_MAX, &s->unit))
        return bad(p, part, "shm: wants a unit from 0 to 255");
    snprintf(s->name, sizeof s->name, "shm:%d", s->unit);
    return RC_OK;
}

static enum rc parse_chrony(struct parse *p, const char *part, const char *value, struct tt_source_spec *s) {
    if (!value) {
        snprintf(s->addr, sizeof s->addr, "%s", TT_CHRONY_ADDR);
        return RC_OK;
    }
    bool udp = strncmp(value, "udp:", 4) == 0;
    if (!*value || (udp && !strchr(value + 4, ':')))
        return bad(p, part, "chrony: wants the path of a socket or udp:HOST:PORT");
    int n = snprintf(s->addr, sizeof s->addr, "%s%s", udp ? "" : "unix:", value);
    return n < (int)sizeof s->addr ? RC_OK : bad(p, part, "that path is too long");
}

static enum rc parse_source(struct parse *p, const char *part, const char *word, char *value) {
    struct tt_source_spec s = {.unit = -1};
    enum rc rc = RC_OK;
    snprintf(s.name, sizeof s.name, "%s", part);
    if (strcmp(word, "shm") == 0 && value) {
        s.kind = TT_KIND_SHM;
        rc = parse_shm(p, part, value, &s);
    } else if (strcmp(word, "chrony") == 0) {
        s.kind = TT_KIND_CHRONY;
        rc = parse_chrony(p, part, value, &s);
    } else if (strcmp(word, "kernel") == 0 && !value) {
        s.kind = TT_KIND_KERNEL;
    } else if (strcmp(word, "host") == 0 && !value) {
        s.kind = TT_KIND_HOST;
    } else if (strcmp(word, "fixed") == 0 && value) {
        s.kind = TT_KIND_FIXED;
        if (!tt_duration_parse(value, &s.err_ns) || s.err_ns <= 0 || s.err_ns > 3600 * SEC)
            rc = bad(p, part, "fixed: wants a duration above 0 and up to 1h");
    } else if (strcmp(word, "sim") == 0) {
        s.kind = TT_KIND_SIM;
        if (value && !small_number(value, UNIT_MAX, &s.unit))
            rc = bad(p, part, "sim: wants a unit from 0 to 255");
    } else {
        rc = bad(p, part, "there is no such source");
    }
    if (!rc && p->spec.n == TT_SOURCES_MAX)
        rc = bad(p, part, "too many sources, 16 at most");
    if (!rc)
        p->spec.sources[p->spec.n++] = s;
    return rc;
}

static enum rc parse_option(struct parse *p, const char *part, const char *word, char *value) {
    struct tt_spec *s = &p->spec;
    int number;
    if (strcmp(word, "f") == 0) {
        if (!small_number(value, TT_SOURCES_MAX, &number))
            return bad(p, part, "f= wants a number");
        s->f = (unsigned)number;
        p->f_given = true;
    } else if (strcmp(word, "drift") == 0) {
        size_t n = strlen(value);
        if (n <= 3 || strcmp(value + n - 3, "ppm") != 0)
            return bad(p, part, "drift= wants a number of ppm");
        value[n - 3] = '\0';
        if (!small_number(value, TT_DRIFT_PPB_MAX / 1000, &number) || number == 0)
            return bad(p, part, "drift= wants 1ppm to 1000ppm");
        s->drift_ppb = number * 1000;
    } else if (strcmp(word, "max_eps") == 0) {
        if (!tt_duration_parse(value, &s->eps_max_ns) || s->eps_max_ns < 10 * US || s->eps_max_ns > 3600 * SEC)
            return bad(p, part, "max_eps= wants 10us to 1h");
        p->eps_given = true;
    } else if (strcmp(word, "poll") == 0) {
        if (!tt_duration_parse(value, &s->poll_ns) || s->poll_ns < 10 * MS || s->poll_ns > 60 * SEC)
            return bad(p, part, "poll= wants 10ms to 60s");
    } else if (strcmp(word, "void") == 0) {
        if (!tt_duration_parse(value, &s->void_ns) || s->void_ns < 20 * MS || s->void_ns > 3600 * SEC)
            return bad(p, part, "void= wants 20ms to 1h");
        p->void_given = true;
    } else {
        return bad(p, part, "there is no such option");
    }
    return RC_OK;
}

static enum rc parse_part(struct parse *p, const char *part) {
    char word[PART_BYTES];
    snprintf(word, sizeof word, "%s", part);
    size_t n = strcspn(word, ":=");
    char sign = word[n], *value = sign ? word + n + 1 : NULL;
    word[n] = '\0';
    return sign == '=' ? parse_option(p, part, word, value) : parse_source(p, part, word, value);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

bool tt_has_kind(const struct tt_spec *spec, enum tt_kind kind) {
    for (unsigned i = 0; i < spec->n; i++)
        if (spec->sources[i].kind == kind)
            return true;
    return false;
}

static enum rc check_whole(struct parse *p, const char *text) {
    struct tt_spec *s = &p->spec;
    int64_t err_max = 0;
    int sims = 0;
    if (s->n == 0)
        return bad(p, text, "names no source");
    for (unsigned i = 0; i < s->n; i++) {
        struct tt_source_spec *a = &s->sources[i];
        if (a->kind == TT_KIND_SIM && a->unit < 0)
            a->unit = sims;
        sims += a->kind == TT_KIND_SIM;
        err_max = a->err_ns > err_max ? a->err_ns : err_max;
        for (unsigned j = 0; j < i; j++)
            if (s->sources[j].kind == a->kind && s->sources[j].unit == a->unit && a->kind != TT_KIND_CHRONY)
                return bad(p, text, "names the same source twice");
    }
    if (tt_has_kind(s, TT_KIND_HOST)) {
        if (s->n > 1)
            return bad(p, text, "host stands alone: it is a scale of its own");
        s->drift_ppb = 0;
        s->void_ns = p->void_given ? s->void_ns : 60 * SEC;
    }
    if (!p->f_given)
        s->f = (s->n - 1) / 2;
    if (s->f >= s->n)
        return bad(p, text, "f must be smaller than the number of sources");
    if (!p->void_given && s->void_ns < 4 * s->poll_ns)
        s->void_ns = 4 * s->poll_ns;
    if (s->void_ns < 2 * s->poll_ns)
        return bad(p, text, "void= must be at least twice poll=");
    if (!p->eps_given && (tt_has_kind(s, TT_KIND_CHRONY) || tt_has_kind(s, TT_KIND_KERNEL)))
        s->eps_max_ns = EPS_NETWORK_NS;
    if (!p->eps_given && s->eps_max_ns < 4 * err_max)
        s->eps_max_ns = 4 * err_max;
    return RC_OK;
}

enum rc tt_spec_parse(const char *text, struct tt_spec *ret, struct err *err) {
    struct parse p = {
        .spec = {.drift_ppb = 200000, .poll_ns = 250 * MS, .void_ns = 2 * SEC, .eps_max_ns = EPS_DEFAULT_NS},
        .err = err};
    const char *at = text;
    for (int parts = 0;; parts++) {
        char part[PART_BYTES];
        size_t n = strcspn(at, ";");
        if (n >= sizeof part || parts == PARTS_MAX)
            return bad(&p, "...", n >= sizeof part ? "a part is too long" : "too many parts");
        snprintf(part, sizeof part, "%.*s", (int)n, at);
        enum rc rc = part[0] ? parse_part(&p, part) : bad(&p, text, "an empty part");
        if (rc)
            return rc;
        if (!at[n])
            break;
        at += n + 1;
    }
    enum rc rc = check_whole(&p, text);
    if (!rc)
        *ret = p.spec;
    return rc;
}

enum rc tt_spec_default(bool chrony_answers, bool all_loopback, const char **ret_text, struct err *err) {
    if (!chrony_answers && !all_loopback) {
        enum rc rc = err_set(err, RC_INVAL,
                             "no clock: chronyd does not answer, and nodes on other machines need a clock with "
                             "a bound: give --clock");
        err_hint(err, "run chronyd, or say for example --clock \"shm:0;shm:1;shm:2\"");
        return rc;
    }
    *ret_text = chrony_answers ? "chrony" : "host";
    return RC_OK;
}
