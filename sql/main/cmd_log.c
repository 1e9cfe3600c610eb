/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_log.c: `meridian log dump DIR`: a write-ahead log for people.
 *
 * DIR is the log's own directory, or one that has logs below it (a data directory): then each is shown under its path. It only
 * reads, takes no lock, and may look at the log of a running node: what that one writes meanwhile may then look torn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/wal.h"
#include "shard/runtime/env_real.h"
#include "sql/main/commands.h"

enum { EXIT_CONFIG = 1, EXIT_DAMAGED = 2, DEPTH_MAX = 3, DIRS_MAX = 4096 };

static const char help_text[] =
    "meridian log: the write-ahead log\n"
    "\n"
    "usage: meridian log dump DIR\n"
    "\n"
    "dump      prints every segment and every record of the log in DIR, damaged places included; or, if DIR is a data\n"
    "          directory, of each log below it. The node need not run. docs/formats.md tells what the lines say.\n"
    "\n"
    "exit status: 0 the log is whole; 2 a place is damaged (the line says DAMAGED); 1 something was wrong with the "
    "command\n";

/* Directories found, each a string of its own. */
struct finding {
    struct env *env;
    char *dir[DIRS_MAX];
    size_t count;
    bool too_many;
    const char *path; /* being listed */
    int depth;
    bool log;
    char *below[DIRS_MAX];
    size_t below_count;
};

static int complain(const char *what, const struct err *err) {
    fprintf(stderr, "meridian log: %s%s%s\n", what, err ? ": " : "", err ? err_message(err) : "");
    return EXIT_CONFIG;
}

static bool is_segment(const char *name) {
    size_t n = strlen(name);
    return n == 12 && strspn(name, "0123456789") == 8 && strcmp(name + 8, ".wal") == 0;
}

static void on_name(void *ctx, const char *name) {
    struct finding *f = ctx;
    char path[ENV_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", f->path, name);
    f->log |= is_segment(name);
    if (n < 0 || (size_t)n >= sizeof path || f->depth == DEPTH_MAX)
        return;
    if (f->below_count == DIRS_MAX || !(f->below[f->below_count] = strdup(path)))
        f->too_many = true;
    else
        f->below_count++;
}

static void nothing(void *ctx, const char *name) {
    (void)ctx, (void)name;
}

/* Notes path if it holds a log, else looks below it. */
static enum rc find(struct finding *f, const char *path, int depth, struct err *err) {
    size_t first = f->below_count;
    f->path = path;
    f->depth = depth;
    f->log = false;
    enum rc rc = env_dir_list(f->env, path, on_name, f, err);
    if (!rc && f->log) {
        if (f->count == DIRS_MAX || !(f->dir[f->count] = strdup(path)))
            f->too_many = true;
        else
            f->count++;
    }
    bool log = f->log;
    for (size_t i = first; i < f->below_count; i++) /* what cannot be listed is no directory, or not ours to see */
        if (!rc && !log && env_dir_list(f->env, f->below[i], nothing, NULL, NULL) == RC_OK) {
            size_t end = f->below_count;
            IGNORE(find(f, f->below[i], depth + 1, NULL));
            f->below_count = end;
        }
    for (size_t i = first; i < f->below_count; i++)
        free(f->below[i]);
    f->below_count = first;
    return rc;
}

static void on_line(void *ctx, const char *text) {
    bool *damaged = ctx;
    *damaged |= strstr(text, " DAMAGED") != NULL;
    puts(text);
}

static int dump(struct env *env, const char *dir) {
    struct finding *f = calloc(1, sizeof *f);
    struct err err = {0};
    bool damaged = false;
    if (!f)
        return complain("out of memory", NULL);
    f->env = env;
    enum rc rc = find(f, dir, 0, &err);
    int status = rc ? complain("cannot look for the log", &err) : 0;
    if (!rc && f->count == 0) {
        fprintf(stderr, "meridian log: there is no log in %s or below it\n", dir);
        status = EXIT_CONFIG;
    }
    if (f->too_many)
        status = complain("too many directories", NULL);
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->dir[i], dir) != 0)
            printf("== %s\n", f->dir[i]);
        if (!status && wal_dump(env, f->dir[i], on_line, &damaged, &err))
            status = complain(f->dir[i], &err);
        free(f->dir[i]);
    }
    free(f);
    return status ? status : damaged ? EXIT_DAMAGED : 0;
}

int cmd_log(int argc, char **argv) {
    struct process_conf conf = {.stores = 1, .level = DIAG_WARN};
    struct process *p;
    struct err err = {0};
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help_text, stdout);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "dump") == 0 && strcmp(argv[2], "--help") == 0) {
        fputs(help_text, stdout);
        return 0;
    }
    if (argc != 3 || strcmp(argv[1], "dump") != 0)
        return complain("usage: meridian log dump DIR (\"meridian log --help\" tells more)", NULL);
    if (process_new(&conf, &p, &err)) /* for its files: nothing runs */
        return complain("start", &err);
    int status = dump(process_env(p, 0), argv[2]);
    process_free(p);
    return status;
}
