/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs_links.c: the verbs of `meridian geo` that show and change lines: links, set, partition, heal.
 *
 * They work on a world that is up or, with --file, on a topology file that nodes without a world read (--test-links): it is
 * replaced as a whole, under a lock on its directory. SQL's meridian.links and its functions come through here too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "geo-sim/netns/verbs.h"
#include "truetime/spec.h"

enum { LINK_ROUNDS = 5 };

/* Whose lines they are. */
struct target {
    const char *file; /* NULL: a world */
    struct geo_world world;
    struct topo *topo;
    int lock; /* of the file's directory */
};

static enum rc lock_directory(const char *file, int *ret, struct err *err) {
    char path[SYS_PATH_BYTES];
    if (strlen(file) >= sizeof path)
        return err_set(err, RC_LIMIT, "--file: too long a path");
    snprintf(path, sizeof path, "%s", file);
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX)) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return err_errno(err, e, "lock the directory of %s", file);
    }
    *ret = fd;
    return RC_OK;
}

static enum rc open_target(const struct options *o, bool for_change, struct target *ret, struct err *err) {
    struct buf text;
    *ret = (struct target){.file = o->file, .lock = -1};
    if (!o->file) {
        enum rc rc = geo_world_open(o->world, for_change, &ret->world, err);
        ret->topo = rc ? NULL : ret->world.topo;
        return rc;
    }
    enum rc rc = for_change ? lock_directory(o->file, &ret->lock, err) : RC_OK;
    buf_init(&text, 0);
    if (!rc)
        rc = sys_read_file(o->file, &text, err);
    if (!rc)
        rc = topo_parse(o->file, (const char *)text.data, text.len, &ret->topo, err);
    buf_done(&text);
    if (rc && ret->lock >= 0)
        close(ret->lock);
    return rc;
}

static void close_target(struct target *t) {
    if (!t->file) {
        geo_world_close(&t->world);
        return;
    }
    topo_free(t->topo);
    if (t->lock >= 0)
        close(t->lock);
}

static enum rc apply(struct target *t, const char *statement, struct err *err) {
    struct buf text;
    if (!t->file)
        return geo_world_change(&t->world, statement, err);
    enum rc rc = topo_apply(t->topo, statement, err);
    buf_init(&text, 0);
    topo_print(t->topo, &text);
    if (!rc)
        rc =
            buf_rc(&text) ? err_set(err, RC_NOMEM, "out of memory") : sys_write_file(t->file, text.data, text.len, err);
    buf_done(&text);
    return rc;
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

int geo_run_set(const struct options *o) {
    struct target t;
    struct err err = {0};
    char statement[STATEMENT_BYTES];
    size_t at = (size_t)snprintf(statement, sizeof statement, "%s", o->one_way ? "oneway" : "link");
    if (o->words < 3)
        return geo_misused("set wants two sets of places and at least one attribute", NULL);
    for (unsigned i = 0; i < o->words && at < sizeof statement; i++)
        at += (size_t)snprintf(statement + at, sizeof statement - at, " %s", o->word[i]);
    if (at >= sizeof statement)
        return geo_misused("that is too long", NULL);
    if (open_target(o, true, &t, &err))
        return geo_complain(&err);
    enum rc rc = apply(&t, statement, &err);
    close_target(&t);
    return rc ? geo_complain(&err) : 0;
}

/* Everybody who is not in the set, as a set. */
static enum rc others(const struct topo *t, const char *set, char *to, size_t bytes, struct err *err) {
    topo_set in;
    size_t at = 0;
    enum rc rc = topo_match(t, set, &in, err);
    if (rc)
        return rc;
    to[0] = '\0';
    for (unsigned i = 0; i < t->places && at < bytes; i++)
        if (!(in >> i & 1))
            at += (size_t)snprintf(to + at, bytes - at, "%s%s", at ? "," : "", t->place[i].name);
    if (at >= bytes)
        return err_set(err, RC_LIMIT, "too many places");
    return at ? RC_OK : err_set(err, RC_INVAL, "\"%.100s\" is everybody: there is nobody else", set);
}

int geo_run_partition(const struct options *o, bool cut) {
    struct target t;
    struct err err = {0};
    const char *verb = cut ? "cut" : "heal";
    if (o->words > 2 || (cut && o->words == 0))
        return geo_misused("one or two sets of places are wanted", NULL);
    if (open_target(o, true, &t, &err))
        return geo_complain(&err);
    enum rc rc = RC_OK;
    char rest[STATEMENT_BYTES / 2] = "", statement[2 * STATEMENT_BYTES];
    const char *from = o->words ? o->word[0] : "*", *to = o->words == 2 ? o->word[1] : rest;
    if (o->words == 0)
        to = "*";
    else if (o->words == 1)
        rc = others(t.topo, from, rest, sizeof rest, &err);
    int n = snprintf(statement, sizeof statement, "%s %s %s%s", verb, from, to, o->one_way ? " oneway" : "");
    if (!rc && n >= (int)sizeof statement)
        rc = err_set(&err, RC_LIMIT, "too many places");
    if (!rc && t.topo->places > 1)
        rc = apply(&t, statement, &err);
    close_target(&t);
    return rc ? geo_complain(&err) : 0;
}

/* ---- showing ------------------------------------------------------------------------------------------------------- */

static const struct ping_pair *pair_of(const struct ping_matrix *m, unsigned a, unsigned b) {
    return m ? &m->pair[a < b ? a : b][a < b ? b : a] : NULL;
}

/* The table that sql/run/world.h describes. */
static void print_lines(const struct topo *t, const struct ping_matrix *m, const char *backend) {
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = 0; j < t->places; j++) {
            const struct topo_link *l = &t->link[i][j];
            const struct ping_pair *p = pair_of(m, i, j);
            if (i != j)
                printf("%s\t%s\t%" PRId64 "\t%" PRId64 "\t%d\t%d\t%" PRId64 "\t%d\t%" PRId64 "\t%s\n", t->place[i].name,
                       t->place[j].name, l->delay_ns, l->jitter_ns, l->loss_ppm, l->reorder_ppm, l->rate_bps, l->cut,
                       p && p->came ? ping_median_ns(p) : -1, backend);
        }
}

static void print_table(const struct topo *t, const struct ping_matrix *m) {
    printf("%-23s %-23s %10s %10s %8s %8s %12s  %-5s %10s\n", "FROM", "TO", "DELAY", "JITTER", "LOSS", "REORDER",
           "RATE, BIT/S", "STATE", "MEASURED");
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = 0; j < t->places; j++) {
            const struct topo_link *l = &t->link[i][j];
            const struct ping_pair *p = pair_of(m, i, j);
            char delay[TEXT_BYTES], jitter[TEXT_BYTES], measured[TEXT_BYTES] = "-", rate[TEXT_BYTES] = "unlimited";
            if (i == j)
                continue;
            if (p && p->came)
                tt_duration_format(ping_median_ns(p), measured, sizeof measured);
            if (l->rate_bps)
                snprintf(rate, sizeof rate, "%" PRId64, l->rate_bps);
            printf("%-23s %-23s %10s %10s %7.4g%% %7.4g%% %12s  %-5s %10s\n", t->place[i].name, t->place[j].name,
                   tt_duration_format(l->delay_ns, delay, sizeof delay),
                   tt_duration_format(l->jitter_ns, jitter, sizeof jitter), l->loss_ppm / 1e4, l->reorder_ppm / 1e4,
                   rate, l->cut ? "cut" : "open", measured);
        }
    if (m)
        printf("MEASURED is the round trip, of %d probes\n", LINK_ROUNDS);
}

int geo_run_links(const struct options *o) {
    struct target t;
    struct err err = {0}, ignored = {0};
    struct ping_matrix *m = NULL;
    if (o->words)
        return geo_misused("links takes no words", NULL);
    if (open_target(o, false, &t, &err))
        return geo_complain(&err);
    bool network = !t.file && t.world.backend != GEO_LOOPBACK && geo_world_able(&ignored) == RC_OK;
    if (network && (m = malloc(sizeof *m)) && ping_measure(t.world.name, t.topo, LINK_ROUNDS, m, &ignored)) {
        free(m); /* without its figures the rest is still worth showing */
        m = NULL;
    }
    if (o->lines)
        print_lines(t.topo, m, t.file ? "test links" : geo_backend_name(t.world.backend));
    else
        print_table(t.topo, m);
    free(m);
    close_target(&t);
    return 0;
}
