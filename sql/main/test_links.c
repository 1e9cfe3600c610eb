/* SPDX-License-Identifier: Apache-2.0 */
/* test_links.c: reads what delays in a topology; see test_links.h. */
#include "sql/main/test_links.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/net/peer.h"
#include "truetime/spec.h"

enum { PLACES_MAX = 64, NAME_BYTES = 24, WORDS_MAX = 40, LINE_BYTES = 4096, PATH_BYTES = 1024 };

struct place {
    char region[NAME_BYTES], zone[NAME_BYTES];
};

struct links {
    unsigned places;
    struct place place[PLACES_MAX];
    int64_t delay[PLACES_MAX][PLACES_MAX];
    bool cut[PLACES_MAX][PLACES_MAX];
};

struct test_links {
    char path[PATH_BYTES];
    struct stat seen;
    unsigned places;
    struct place place[PLACES_MAX];
    _Atomic int64_t delay[PLACES_MAX][PLACES_MAX]; /* PEER_DELAY_CUT where it is cut */
};

/* ---- one line ----------------------------------------------------------------------------------------------------- */

static unsigned split(char *line, char *word[WORDS_MAX]) {
    unsigned n = 0;
    char *save = NULL;
    line[strcspn(line, "#\n")] = '\0';
    for (char *at = strtok_r(line, " \t\r=", &save); at && n < WORDS_MAX; at = strtok_r(NULL, " \t\r=", &save))
        word[n++] = at;
    return n;
}

/* The places of a SET: bit i = place i; 0 = there is none of that name. */
static uint64_t match(const struct links *l, const char *set) {
    uint64_t all = 0;
    for (const char *at = set;; at++) {
        size_t n = strcspn(at, ",");
        uint64_t some = 0;
        for (unsigned i = 0; i < l->places; i++) {
            char full[2 * NAME_BYTES];
            const struct place *p = &l->place[i];
            snprintf(full, sizeof full, "%s.%s", p->region, p->zone);
            bool whole = strlen(p->region) == n && strncmp(at, p->region, n) == 0;
            bool exact = strlen(full) == n && strncmp(at, full, n) == 0;
            if (whole || exact || (n == 1 && at[0] == '*'))
                some |= UINT64_C(1) << i;
        }
        if (!some)
            return 0;
        all |= some;
        at += n;
        if (!*at)
            return all;
    }
}

static bool add_place(struct links *l, const char *region, const char *zone) {
    if (l->places == PLACES_MAX || strlen(region) >= NAME_BYTES || strlen(zone) >= NAME_BYTES)
        return false;
    struct place *p = &l->place[l->places++];
    snprintf(p->region, sizeof p->region, "%s", region);
    snprintf(p->zone, sizeof p->zone, "%s", zone);
    return true;
}

static const char *do_region(struct links *l, char *const *word, unsigned n) {
    unsigned i = 3, zones = 0;
    if (n < 3)
        return "region wants a name and a number";
    if (n > 3 && strcmp(word[3], "zones") == 0)
        for (i = 4; i < n && strcmp(word[i], "nodes") != 0 && strcmp(word[i], "at") != 0; i++, zones++)
            if (!add_place(l, word[1], word[i]))
                return "too many places, or too long a name";
    return zones || add_place(l, word[1], "a") ? NULL : "too many places, or too long a name";
}

static void set_delay(struct links *l, uint64_t from, uint64_t to, int64_t ns) {
    for (unsigned i = 0; i < l->places; i++)
        for (unsigned j = 0; j < l->places; j++)
            if (i != j && from >> i & 1 && to >> j & 1)
                l->delay[i][j] = ns;
}

static void set_cut(struct links *l, uint64_t from, uint64_t to, bool cut) {
    for (unsigned i = 0; i < l->places; i++)
        for (unsigned j = 0; j < l->places; j++)
            if (i != j && from >> i & 1 && to >> j & 1)
                l->cut[i][j] = cut;
}

static const char *do_pair(struct links *l, char *const *word, unsigned n) {
    uint64_t from = n > 2 ? match(l, word[1]) : 0, to = n > 2 ? match(l, word[2]) : 0;
    bool cuts = strcmp(word[0], "cut") == 0, heals = strcmp(word[0], "heal") == 0;
    bool one_way = strcmp(word[0], "oneway") == 0;
    if (!from || !to)
        return "two regions or zones are wanted that the file has";
    if (cuts || heals)
        one_way = n > 3 && strcmp(word[3], "oneway") == 0;
    if (cuts || heals) {
        set_cut(l, from, to, cuts);
        if (!one_way)
            set_cut(l, to, from, cuts);
        return NULL;
    }
    for (unsigned i = 3; i + 1 < n; i += 2) {
        int64_t ns;
        bool rtt = strcmp(word[i], "rtt") == 0;
        if (!rtt && strcmp(word[i], "delay") != 0)
            continue;
        if (!tt_duration_parse(word[i + 1], &ns) || ns < 0)
            return "a duration is wanted, such as 90ms";
        set_delay(l, from, to, rtt ? ns / 2 : ns);
        if (!one_way)
            set_delay(l, to, from, rtt ? ns / 2 : ns);
    }
    return NULL;
}

static const char *do_zones(struct links *l, char *const *word, unsigned n) {
    int64_t ns;
    if (n < 2 || !tt_duration_parse(word[1], &ns) || ns < 0)
        return "zone-rtt wants a duration, such as 0.9ms";
    for (unsigned i = 0; i < l->places; i++)
        for (unsigned j = 0; j < l->places; j++)
            if (i != j && strcmp(l->place[i].region, l->place[j].region) == 0)
                l->delay[i][j] = ns / 2;
    return NULL;
}

static const char *do_line(struct links *l, char *line) {
    static const char *const others[] = {"format", "subnet", "default", "clock", "master"};
    static const char *const pairs[] = {"link", "oneway", "cut", "heal"};
    char *word[WORDS_MAX];
    unsigned n = split(line, word);
    if (n == 0)
        return NULL;
    if (strcmp(word[0], "region") == 0)
        return do_region(l, word, n);
    if (strcmp(word[0], "zone-rtt") == 0)
        return do_zones(l, word, n);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (strcmp(word[0], pairs[i]) == 0)
            return do_pair(l, word, n);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(word[0], others[i]) == 0)
            return NULL;
    return "a statement of a topology is wanted";
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

static enum rc read_links(const char *path, struct links *ret, struct err *err) {
    char line[LINE_BYTES];
    const char *wrong = NULL;
    unsigned number = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, errno, "open %s", path);
    *ret = (struct links){.places = 0};
    while (!wrong && fgets(line, sizeof line, f)) {
        number++;
        wrong = strlen(line) + 1 == sizeof line ? "too long a line" : do_line(ret, line);
    }
    bool failed = ferror(f) != 0;
    fclose(f);
    if (wrong)
        return err_set(err, RC_INVAL, "%s:%u: %s", path, number, wrong);
    return failed ? err_set(err, RC_IO, "read %s", path) : RC_OK;
}

static void take_over(struct test_links *l, const struct links *from) {
    for (unsigned i = 0; i < l->places; i++)
        for (unsigned j = 0; j < l->places; j++)
            atomic_store(&l->delay[i][j], from->cut[i][j] ? PEER_DELAY_CUT : from->delay[i][j]);
}

enum rc test_links_open(const char *path, struct test_links **ret, struct err *err) {
    struct test_links *l = calloc(1, sizeof *l);
    struct links *first = malloc(sizeof *first);
    enum rc rc = l && first ? RC_OK : err_set(err, RC_NOMEM, "out of memory");
    if (!rc && snprintf(l->path, sizeof l->path, "%s", path) >= (int)sizeof l->path)
        rc = err_set(err, RC_LIMIT, "%.100s...: too long a path", path);
    if (!rc && stat(path, &l->seen))
        rc = err_errno(err, errno, "open %s", path);
    if (!rc)
        rc = read_links(path, first, err);
    if (!rc) {
        l->places = first->places;
        memcpy(l->place, first->place, sizeof l->place);
        take_over(l, first);
        *ret = l;
    } else {
        free(l);
    }
    free(first);
    return rc;
}

void test_links_free(struct test_links *l) {
    free(l);
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

enum rc test_links_refresh(struct test_links *l, struct err *err) {
    struct stat now;
    if (stat(l->path, &now) || same_file(&now, &l->seen))
        return RC_OK; /* it may be gone: what was read stays */
    l->seen = now;
    struct links *next = malloc(sizeof *next);
    enum rc rc = next ? read_links(l->path, next, err) : err_set(err, RC_NOMEM, "out of memory");
    if (!rc && (next->places != l->places || memcmp(next->place, l->place, sizeof l->place) != 0))
        rc = err_set(err, RC_INVAL, "%s: regions and zones cannot change while a node runs", l->path);
    if (!rc)
        take_over(l, next);
    free(next);
    return rc;
}

static int place_of(const struct test_links *l, const char *region, const char *zone) {
    for (unsigned i = 0; i < l->places; i++)
        if (strcmp(l->place[i].region, region) == 0 && (!zone[0] || strcmp(l->place[i].zone, zone) == 0))
            return (int)i;
    return -1;
}

int64_t test_links_delay(const struct test_links *l, const char *from_region, const char *from_zone,
                         const char *to_region, const char *to_zone) {
    int from = place_of(l, from_region, from_zone), to = place_of(l, to_region, to_zone);
    return from < 0 || to < 0 || from == to ? 0 : atomic_load(&l->delay[from][to]);
}
