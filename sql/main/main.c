/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the program `meridian`: finds the subcommand and runs it.
 *
 * A subcommand is a function here, or a program `meridian-NAME` beside this one (as git runs git-NAME), so that the layers
 * above sql/ can have commands too.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sql/main/commands.h"
#include "truetime/base/check.h"
#include "txn/api/meridian.h"

enum { EXIT_USAGE = 1 };

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv); /* NULL: the program meridian-NAME */
    bool own_help;                     /* it answers --help itself */
};

static int run_version(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("meridian %s\n", meridian_version());
    return 0;
}

static const struct command commands[] = {
    {"clock", "the interval clock: status, daemon, simulated time master", cmd_clock, true},
    {"demo", "three nodes on this machine, and the SQL shell on them", cmd_demo, true},
    {"geo", "regions on this machine, with the distances between them (meridian-geo)", NULL, false},
    {"log", "the write-ahead log: dump it for people", cmd_log, true},
    {"node", "the nodes of a cluster", cmd_node, true},
    {"sim", "a simulated cluster in virtual time (meridian-sim)", NULL, false},
    {"sql", "the SQL shell", cmd_sql, true},
    {"start", "runs a node", cmd_start, true},
    {"tablet", "the tablets of a cluster: list, split, move, transfer leadership", cmd_tablet, true},
    {"version", "print the version", run_version, false},
};

static void print_help(FILE *to) {
    fprintf(to, "meridian: a geo-distributed, strictly serializable SQL database\n\n"
                "usage: meridian COMMAND [OPTION]...\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\n\"meridian COMMAND --help\" tells more of a command.\n");
}

/* Replaces this process by the program that stands beside it. */
static int run_sibling(const char *name, char **argv) {
    char self[4096], path[4096 + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) {
        fprintf(stderr, "meridian: cannot find my own path: %s\n", strerror(errno));
        return EXIT_USAGE;
    }
    self[n] = '\0';
    snprintf(path, sizeof path, "%s/meridian-%s", dirname(self), name);
    execv(path, argv);
    fprintf(stderr, "meridian: cannot run %s: %s\n", path, strerror(errno));
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0) {
            if (!commands[i].run)
                return run_sibling(name, argv + 1);
            if (!commands[i].own_help && argc > 2 && strcmp(argv[2], "--help") == 0) {
                printf("meridian %s: %s\n", commands[i].name, commands[i].help);
                return 0;
            }
            return commands[i].run(argc - 1, argv + 1);
        }
    fprintf(stderr, "meridian: there is no command \"%s\"; \"meridian --help\" lists them\n", name);
    return EXIT_USAGE;
}
