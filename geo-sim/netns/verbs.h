/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs.h: what the verbs of `meridian geo` share: the words of the command line, and how they complain.
 *
 * Promise     What is wrong is one sentence on standard error and exit status 1.
 * Threads     the main one.
 */
#ifndef MERIDIAN_GEO_VERBS_H
#define MERIDIAN_GEO_VERBS_H

#include "geo-sim/netns/cluster.h"

enum { EXIT_FAILED = 1, TEXT_BYTES = 32, STATEMENT_BYTES = 2048, WORDS_MAX = 16 };

struct options {
    const char *world, *backend, *data, *out, *seed, *file, *clocks;
    bool json, all, one_way, no_verify, no_nodes, print, lines;
    unsigned rounds, stores;
    const char *word[WORDS_MAX];
    unsigned words;
    char **rest; /* exec: the command */
};

int geo_complain(const struct err *err);
int geo_misused(const char *what, const char *word);
enum rc geo_read_topology(const char *name, struct topo **ret, struct err *err) MUST_CHECK;

/* verbs_cluster.c */
int geo_up_nodes(const struct geo_world *w, const struct options *o);
void geo_print_nodes(const struct geo_world *w);
/* Puts ,"nodes":[...],"masters":[...] if there are any. */
void geo_json_nodes(const struct geo_world *w);
int geo_run_kill(const struct options *o);
int geo_run_restart(const struct options *o);
int geo_run_pause(const struct options *o, bool pause);
int geo_run_skew(const struct options *o);

/* verbs_links.c */
int geo_run_links(const struct options *o);
int geo_run_set(const struct options *o);
int geo_run_partition(const struct options *o, bool cut);

/* verbs_run.c */
int geo_run_report(const struct options *o);
int geo_run_scenario(const struct options *o);
/* The page of the results, or with a name that ends in .svg the map alone. */
enum rc geo_write_report(const char *json, size_t bytes, const char *path, struct err *err) MUST_CHECK;

#endif
