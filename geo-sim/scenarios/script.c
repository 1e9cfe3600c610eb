/* SPDX-License-Identifier: Apache-2.0 */
/* script.c: reads scenarios, line by line. */
#include "geo-sim/scenarios/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/spec.h"

enum { WORDS_MAX = 24, LINE_BYTES = 600 };

struct reader {
    struct script *s;
    const char *wrong;
    char *word[WORDS_MAX];
    unsigned words;
    const char *rest; /* of the line, behind the first word */
};

static bool fail(struct reader *r, const char *what) {
    if (!r->wrong)
        r->wrong = what;
    return false;
}

static bool duration(struct reader *r, const char *text, int64_t *to) {
    return (tt_duration_parse(text, to) && *to >= 0) || fail(r, "a duration is wanted, such as 10s");
}

static bool number(struct reader *r, const char *text, long min, long max, unsigned *to) {
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < min || n > max)
        return fail(r, "a number is wanted, or another one");
    *to = (unsigned)n;
    return true;
}

static bool read_mix(struct reader *r) {
    static const char *const names[WORK_OPS] = {"write", "read", "stale", "rmw", "transfer"};
    unsigned sum = 0;
    memset(r->s->mix, 0, sizeof r->s->mix);
    for (unsigned i = 1; i + 1 < r->words; i += 2) {
        int op = 0;
        while (op < WORK_OPS && strcmp(names[op], r->word[i]) != 0)
            op++;
        if (op == WORK_OPS)
            return fail(r, "mix knows write, read, stale, rmw and transfer");
        if (!number(r, r->word[i + 1], 0, 100, &r->s->mix[op]))
            return false;
        sum += r->s->mix[op];
    }
    return sum == 100 || fail(r, "the mix is to make 100 in all");
}

static bool read_clock(struct reader *r, struct script_step *step) {
    static const char usage[] = "clock REGION off DURATION or drift NUMBERppm";
    char *end;
    if (r->words != 6 || strlen(r->word[3]) >= sizeof step->arg)
        return fail(r, usage);
    snprintf(step->arg, sizeof step->arg, "%s", r->word[3]);
    if (strcmp(r->word[4], "off") == 0) {
        step->verb = SCRIPT_CLOCK_OFF;
        return tt_duration_parse(r->word[5], &step->lie_ns) || strcmp(r->word[5], "0") == 0 || fail(r, usage);
    }
    double ppm = strtod(r->word[5], &end);
    step->verb = SCRIPT_CLOCK_DRIFT;
    step->lie_ns = (int64_t)(ppm * 1000);
    return (strcmp(r->word[4], "drift") == 0 && end != r->word[5] && strcmp(end, "ppm") == 0 && ppm >= -100000 &&
            ppm <= 100000) ||
           fail(r, usage);
}

static bool read_masters(struct reader *r, struct script_step *step) {
    if (r->words < 5)
        return fail(r, "masters REGION stop, start, or lie DURATION COUNT");
    snprintf(step->arg, sizeof step->arg, "%s", r->word[3]);
    if (strcmp(r->word[4], "stop") == 0) {
        step->verb = SCRIPT_MASTERS_STOP;
    } else if (strcmp(r->word[4], "start") == 0) {
        step->verb = SCRIPT_MASTERS_START;
    } else if (strcmp(r->word[4], "lie") == 0 && r->words == 7) {
        step->verb = SCRIPT_MASTERS_LIE;
        return (tt_duration_parse(r->word[5], &step->lie_ns) || fail(r, "a duration is wanted, such as 10ms")) &&
               number(r, r->word[6], 1, TOPO_MASTERS_MAX, &step->count);
    } else {
        return fail(r, "masters REGION stop, start, or lie DURATION COUNT");
    }
    return true;
}

static void join(struct reader *r, unsigned from, char *to, size_t bytes) {
    size_t at = 0;
    to[0] = '\0';
    for (unsigned i = from; i < r->words && at < bytes; i++)
        at += (size_t)snprintf(to + at, bytes - at, "%s%s", i > from ? " " : "", r->word[i]);
}

static bool read_step(struct reader *r) {
    static const char *const verbs[] = {"kill", "restart", "pause", "resume"};
    static const char *const links[] = {"cut", "heal", "link", "oneway"};
    struct script *s = r->s;
    if (r->words < 3)
        return fail(r, "at TIME VERB...");
    if (s->steps == SCRIPT_STEPS_MAX)
        return fail(r, "too many steps");
    struct script_step *step = &s->step[s->steps];
    *step = (struct script_step){.at_ns = 0};
    if (!duration(r, r->word[1], &step->at_ns))
        return false;
    if (s->steps && step->at_ns < s->step[s->steps - 1].at_ns)
        return fail(r, "steps are to be in the order of time");
    s->steps++;
    join(r, 2, step->text, sizeof step->text);
    if (strcmp(r->word[2], "clock") == 0)
        return read_clock(r, step);
    if (strcmp(r->word[2], "masters") == 0)
        return read_masters(r, step);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(r->word[2], verbs[i]) == 0) {
            step->verb = (enum script_verb)(SCRIPT_KILL + i);
            snprintf(step->arg, sizeof step->arg, "%s", r->words == 4 ? r->word[3] : "");
            return r->words == 4 || fail(r, "one SET is wanted");
        }
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (strcmp(r->word[2], links[i]) == 0) {
            step->verb = SCRIPT_LINK;
            if (r->words == 3 && strcmp(r->word[2], "heal") == 0)
                snprintf(step->arg, sizeof step->arg, "heal * *");
            else
                join(r, 2, step->arg, sizeof step->arg);
            return true;
        }
    return fail(r, "there is no such step");
}

static bool read_expect(struct reader *r) {
    if (r->words == 2 && strcmp(r->word[1], "progress") == 0) {
        r->s->progress = true;
        return true;
    }
    if (r->words == 3 && strcmp(r->word[1], "near") == 0 && strcmp(r->word[2], "stale") == 0) {
        r->s->near_stale = true;
        return true;
    }
    if (r->words == 3 && strcmp(r->word[1], "gap") == 0)
        return duration(r, r->word[2], &r->s->gap_ns);
    return fail(r, "expect gap DURATION, near stale, or progress");
}

static bool read_text(struct reader *r, char *to, size_t bytes, bool more) {
    size_t at = more ? strlen(to) : 0;
    if (strlen(r->rest) + at + 2 > bytes)
        return fail(r, "too long a text");
    snprintf(to + at, bytes - at, "%s%s", at ? " " : "", r->rest);
    return true;
}

static bool read_line(struct reader *r) {
    struct script *s = r->s;
    const char *w = r->word[0];
    if (strcmp(w, "title") == 0)
        return read_text(r, s->title, sizeof s->title, false);
    if (strcmp(w, "about") == 0)
        return read_text(r, s->about, sizeof s->about, true);
    if (strcmp(w, "at") == 0)
        return read_step(r);
    if (strcmp(w, "mix") == 0)
        return read_mix(r);
    if (strcmp(w, "expect") == 0)
        return read_expect(r);
    if (r->words != 2)
        return fail(r, "one value is wanted");
    const char *v = r->word[1];
    if (strcmp(w, "format") == 0)
        return strcmp(v, "1") == 0 || fail(r, "only format 1 is known");
    if (strcmp(w, "topology") == 0 || strcmp(w, "home") == 0) {
        bool home = w[0] == 'h';
        char *to = home ? s->home : s->topology;
        size_t bytes = home ? sizeof s->home : sizeof s->topology;
        snprintf(to, bytes, "%s", v);
        return strlen(v) < bytes || fail(r, "too long a name");
    }
    if (strcmp(w, "duration") == 0)
        return duration(r, v, &s->duration_ns);
    if (strcmp(w, "think") == 0)
        return duration(r, v, &s->think_ns);
    if (strcmp(w, "staleness") == 0)
        return duration(r, v, &s->staleness_ns);
    if (strcmp(w, "clients") == 0)
        return number(r, v, 1, 100, &s->clients);
    if (strcmp(w, "keys") == 0)
        return number(r, v, 1, 100000, &s->keys);
    return fail(r, "there is no such statement");
}

static void split(struct reader *r, char *line, char *copy) {
    char *save = NULL;
    line[strcspn(line, "#\r")] = '\0';
    size_t n = strlen(line);
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        line[--n] = '\0';
    snprintf(copy, LINE_BYTES, "%s", line);
    r->rest = copy + strspn(copy, " \t");
    r->rest += strcspn(r->rest, " \t");
    r->rest += strspn(r->rest, " \t");
    r->words = 0;
    for (char *at = strtok_r(line, " \t", &save); at && r->words < WORDS_MAX; at = strtok_r(NULL, " \t", &save))
        r->word[r->words++] = at;
}

static bool whole(struct reader *r) {
    const struct script *s = r->s;
    if (!s->title[0] || !s->topology[0])
        return fail(r, "title and topology are wanted");
    if (s->duration_ns < 1000000000 || s->duration_ns > INT64_C(3600000000000))
        return fail(r, "a duration from 1s to an hour is wanted");
    if (s->steps && s->step[s->steps - 1].at_ns >= s->duration_ns)
        return fail(r, "a step lies behind the end");
    unsigned sum = 0;
    for (int op = 0; op < WORK_OPS; op++)
        sum += s->mix[op];
    return sum == 100 || fail(r, "a mix is wanted");
}

enum rc script_parse(const char *name, const char *text, size_t bytes, struct script *ret, struct err *err) {
    struct script s = {.clients = 2, .keys = 64, .think_ns = 100000000, .staleness_ns = 2000000000};
    struct reader r = {.s = &s};
    unsigned line_number = 0;
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    snprintf(s.name, sizeof s.name, "%.*s", (int)strcspn(base, "."), base);
    for (size_t at = 0; at < bytes && !r.wrong;) {
        char line[LINE_BYTES], copy[LINE_BYTES];
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t n = end ? (size_t)(end - text) - at : bytes - at;
        line_number++;
        if (n >= sizeof line) {
            fail(&r, "too long a line");
            break;
        }
        memcpy(line, text + at, n);
        line[n] = '\0';
        at += n + 1;
        split(&r, line, copy);
        if (r.words)
            read_line(&r);
    }
    if (r.wrong)
        return err_set(err, RC_INVAL, "%s:%u: %s", name, line_number, r.wrong);
    if (!whole(&r))
        return err_set(err, RC_INVAL, "%s: %s", name, r.wrong);
    *ret = s;
    return RC_OK;
}

/* All places but those of the set, as a set. */
static bool rest_of(const struct topo *t, const char *set, char *to, size_t bytes) {
    topo_set in;
    struct err ignored = {0};
    size_t at = 0;
    to[0] = '\0';
    if (topo_match(t, set, &in, &ignored))
        return false;
    for (unsigned i = 0; i < t->places && at < bytes; i++)
        if (!(in >> i & 1))
            at += (size_t)snprintf(to + at, bytes - at, "%s%s", at ? "," : "", t->place[i].name);
    return at > 0 && at < bytes;
}

enum rc script_statement(const struct script_step *s, const struct topo *t, int leader_place, char *to, size_t bytes,
                         struct err *err) {
    char copy[SCRIPT_ARG_BYTES], rest[512], *save = NULL;
    const char *first = "";
    size_t at = 0;
    unsigned n = 0;
    snprintf(copy, sizeof copy, "%s", s->arg);
    for (char *w = strtok_r(copy, " ", &save); w && at < bytes; w = strtok_r(NULL, " ", &save), n++) {
        const char *put = w;
        if (strcmp(w, "leader") == 0) {
            if (leader_place < 0)
                return err_set(err, RC_NOTFOUND, "nobody leads");
            put = t->place[leader_place].name;
        } else if (strcmp(w, "rest") == 0) {
            if (!rest_of(t, first, rest, sizeof rest))
                return err_set(err, RC_NOTFOUND, "there is nobody but \"%s\"", first);
            put = rest;
        }
        if (n == 1)
            first = put;
        at += (size_t)snprintf(to + at, bytes - at, "%s%s", n ? " " : "", put);
    }
    return at < bytes ? RC_OK : err_set(err, RC_LIMIT, "too long a statement: %s", s->arg);
}
