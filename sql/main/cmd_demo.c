/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_demo.c: `meridian demo`: three nodes on loopback in a temporary directory, then the shell on one of them.
 *
 * Everything is this program again: nodes are `meridian start`, the shell is `meridian sql` (or psql, where --psql asks for it). The
 * nodes end with the shell, whatever ends it, and their directory goes with them unless --keep.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sql/main/commands.h"
#include "truetime/base/check.h"

#define PATIENCE_SECONDS 1.2 /* the first answer is to come within two */

enum {
    EXIT_CONFIG = 1,
    NODES_MAX = 9,
    ADDR_BYTES = 128,
    PATH_BYTES = 512,
    READY_SECONDS = 60,
    STOP_SECONDS = 10,
    ARGS_MAX = 64,
};

struct demo_node {
    pid_t pid;
    int out; /* its standard output, until it is ready */
    char sql[ADDR_BYTES], rpc[ADDR_BYTES];
};

struct demo {
    char self[4096], dir[PATH_BYTES];
    const char *regions[NODES_MAX];
    const char *links;
    int nodes;
    bool psql, keep, quiet, wait;
    double began;
    struct demo_node node[NODES_MAX];
};

static const char help_text[] =
    "meridian demo: a cluster of three nodes on this machine, and the SQL shell on it\n"
    "\n"
    "usage: meridian demo [OPTION]... [-- OPTION OF THE SHELL...]\n"
    "       meridian demo < FILE.sql\n"
    "\n"
    "  --nodes N           how many nodes (3)\n"
    "  --test-links FILE   distances between them: a topology (docs/geo-sim.md)\n"
    "  --regions A,B,C     where they stand (us, eu, ap)\n"
    "  --psql              psql in place of our own shell\n"
    "  --keep              leave the directory with the nodes' data and logs\n"
    "  --wait              begin only when every tablet has its replicas on three nodes (it takes some seconds more)\n"
    "  --quiet             no words but the shell's\n"
    "\n"
    "The nodes end with the shell.\n";

static int complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int complain(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "meridian demo: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return EXIT_CONFIG;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- processes ------------------------------------------------------------------------------------------------------------ */

/* Its standard output comes through *ret_out; what it says besides goes to log. */
static pid_t spawn(const char *program, char *const *argv, const char *log, int *ret_out) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int to = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
            nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody outlives the demo */
        setpgid(0, 0);                    /* Ctrl-C is the shell's */
        dup2(nothing, STDIN_FILENO);
        dup2(pipes[1], STDOUT_FILENO);
        dup2(to, STDERR_FILENO);
        execv(program, argv);
        _exit(127);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return -1;
    }
    *ret_out = pipes[0];
    return pid;
}

static int start_node(struct demo *d, int i) {
    char data[PATH_BYTES + 32], log[PATH_BYTES + 32];
    char *argv[ARGS_MAX];
    int n = 0;
    snprintf(data, sizeof data, "%s/n%d", d->dir, i + 1);
    snprintf(log, sizeof log, "%s/n%d.log", d->dir, i + 1);
    const char *const fixed[] = {"meridian", "start",       "--data",   data,         "--rpc",   "127.0.0.1:0",
                                 "--sql",    "127.0.0.1:0", "--http",   "none",       "--clock", "host",
                                 "--stores", "1",           "--region", d->regions[i]};
    for (size_t k = 0; k < ARRAY_LEN(fixed); k++)
        argv[n++] = (char *)(uintptr_t)fixed[k];
    if (d->links) {
        argv[n++] = (char *)(uintptr_t) "--test-links";
        argv[n++] = (char *)(uintptr_t)d->links;
    }
    argv[n++] = (char *)(uintptr_t)(i == 0 ? "--bootstrap" : "--join");
    if (i > 0)
        argv[n++] = d->node[0].rpc;
    argv[n] = NULL;
    d->node[i].pid = spawn(d->self, argv, log, &d->node[i].out);
    return d->node[i].pid > 0 ? 0 : complain("node %d could not be started: %s", i + 1, strerror(errno));
}

/* Its "ready:" line. */
static int wait_ready(struct demo *d, int i) {
    char line[512] = "";
    size_t n = 0;
    double end = seconds() + READY_SECONDS;
    while (n + 1 < sizeof line && !memchr(line, '\n', n)) {
        struct pollfd p = {.fd = d->node[i].out, .events = POLLIN};
        if (poll(&p, 1, 100) < 0 && errno != EINTR)
            break;
        ssize_t got = p.revents ? read(d->node[i].out, line + n, sizeof line - 1 - n) : 0;
        if (p.revents && got <= 0)
            break;
        n += (size_t)got;
        if (seconds() > end)
            break;
    }
    line[n] = '\0';
    if (sscanf(line, "ready: sql=%127s rpc=%127s", d->node[i].sql, d->node[i].rpc) == 2)
        return 0;
    return complain("node %d did not get ready: its log is %s/n%d.log (--keep keeps it)", i + 1, d->dir, i + 1);
}

static bool replicated(struct demo *d) {
    char log[PATH_BYTES + 32], text[65536];
    char *argv[] = {(char *)(uintptr_t) "meridian",
                    (char *)(uintptr_t) "node",
                    (char *)(uintptr_t) "ls",
                    (char *)(uintptr_t) "--json",
                    (char *)(uintptr_t) "--rpc",
                    d->node[0].rpc,
                    NULL};
    int out, status;
    size_t n = 0;
    snprintf(log, sizeof log, "%s/demo.log", d->dir);
    pid_t pid = spawn(d->self, argv, log, &out);
    if (pid < 0)
        return false;
    for (ssize_t got; n + 1 < sizeof text && (got = read(out, text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = '\0';
    close(out);
    waitpid(pid, &status, 0);
    return strstr(text, "\"fully_replicated\":true") != NULL;
}

static int start_all(struct demo *d) {
    int code = start_node(d, 0);
    if (!code)
        code = wait_ready(d, 0);
    for (int i = 1; i < d->nodes && !code; i++)
        code = start_node(d, i);
    for (int i = 1; i < d->nodes && !code; i++)
        code = wait_ready(d, i);
    double end = seconds() + READY_SECONDS;
    while (!code && !replicated(d)) {
        struct timespec pause = {.tv_nsec = 30000000};
        /* It may be used meanwhile: voters join one by one, and what is committed is on a majority of those that are there. */
        if (!d->wait && seconds() > d->began + PATIENCE_SECONDS)
            return 0;
        if (seconds() > end)
            return complain("the cluster is not fully replicated after %d s", READY_SECONDS);
        nanosleep(&pause, NULL);
    }
    return code;
}

static void stop_all(struct demo *d) {
    double end = seconds() + STOP_SECONDS;
    for (int i = 0; i < d->nodes; i++)
        if (d->node[i].pid > 0)
            kill(d->node[i].pid, d->keep ? SIGTERM : SIGKILL); /* what goes with its directory need not hand over */
    for (int i = 0; i < d->nodes; i++) {
        int status;
        while (d->node[i].pid > 0 && waitpid(d->node[i].pid, &status, WNOHANG) == 0) {
            struct timespec pause = {.tv_nsec = 10000000};
            if (seconds() > end)
                kill(d->node[i].pid, SIGKILL);
            nanosleep(&pause, NULL);
        }
        if (d->node[i].pid > 0)
            close(d->node[i].out);
    }
}

/* ---- the shell --------------------------------------------------------------------------------------------------------------- */

static int run_shell(struct demo *d, int argc, char **argv) {
    char url[ADDR_BYTES + 64];
    char *args[ARGS_MAX];
    int n = 0, status;
    snprintf(url, sizeof url, "postgres://meridian@%s/meridian", d->node[0].sql);
    args[n++] = (char *)(uintptr_t)(d->psql ? "psql" : "meridian");
    if (!d->psql) {
        args[n++] = (char *)(uintptr_t) "sql";
        args[n++] = (char *)(uintptr_t) "--url";
    }
    args[n++] = url;
    for (int i = 0; i < argc && n + 1 < ARGS_MAX; i++)
        args[n++] = argv[i];
    args[n] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGINT, SIG_DFL);
        if (d->psql)
            execvp("psql", args);
        else
            execv(d->self, args);
        fprintf(stderr, "meridian demo: the shell cannot be run: %s\n", strerror(errno));
        _exit(EXIT_CONFIG);
    }
    if (pid < 0)
        return complain("the shell cannot be run: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CONFIG;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* ---- options ------------------------------------------------------------------------------------------------------------------ */

static int take_regions(struct demo *d, char *list) {
    char *save = NULL;
    int n = 0;
    for (char *at = strtok_r(list, ",", &save); at && n < NODES_MAX; at = strtok_r(NULL, ",", &save))
        d->regions[n++] = at;
    return n ? 0 : complain("--regions wants names with commas between them");
}

static int parse(struct demo *d, int argc, char **argv, int *ret_rest) {
    int i = 1, code = 0;
    for (; i < argc && !code; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--psql") == 0)
            d->psql = true;
        else if (strcmp(argv[i], "--keep") == 0)
            d->keep = true;
        else if (strcmp(argv[i], "--wait") == 0)
            d->wait = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            d->quiet = true;
        else if (strcmp(argv[i], "--nodes") == 0 && more) {
            char *end;
            long n = strtol(argv[++i], &end, 10);
            if (*end || n < 1 || n > NODES_MAX)
                code = complain("--nodes wants 1 to %d", NODES_MAX);
            d->nodes = (int)n;
        } else if (strcmp(argv[i], "--test-links") == 0 && more)
            d->links = argv[++i];
        else if (strcmp(argv[i], "--regions") == 0 && more)
            code = take_regions(d, argv[++i]);
        else
            code = complain("there is no option %s, or it wants a value", argv[i]);
    }
    *ret_rest = i;
    return code;
}

static int make_dir(struct demo *d) {
    const char *tmp = getenv("TMPDIR");
    snprintf(d->dir, sizeof d->dir, "%s/meridian-demo-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    return mkdtemp(d->dir) ? 0 : complain("%s: %s", d->dir, strerror(errno));
}

int cmd_demo(int argc, char **argv) {
    struct demo *d = calloc(1, sizeof *d);
    int rest;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help_text, stdout);
        free(d);
        return 0;
    }
    if (!d)
        return complain("out of memory");
    static const char *const regions[] = {"us", "eu", "ap"};
    for (int i = 0; i < NODES_MAX; i++)
        d->regions[i] = regions[i % 3];
    d->nodes = 3;
    d->began = seconds();
    ssize_t n = readlink("/proc/self/exe", d->self, sizeof d->self - 1);
    int code = n > 0 ? parse(d, argc, argv, &rest) : complain("cannot find my own path: %s", strerror(errno));
    if (!code)
        code = make_dir(d);
    if (code) {
        free(d);
        return code;
    }
    signal(SIGINT, SIG_IGN); /* the shell's business */
    signal(SIGPIPE, SIG_IGN);
    code = start_all(d);
    if (!code && !d->quiet && isatty(STDIN_FILENO))
        fprintf(stderr, "%d nodes serve; this is the shell on node 1. psql: postgres://meridian@%s/meridian\n",
                d->nodes, d->node[0].sql);
    if (!code)
        code = run_shell(d, argc - rest, argv + rest);
    stop_all(d);
    if (d->keep)
        fprintf(stderr, "meridian demo: data and logs are in %s\n", d->dir);
    else
        nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(d);
    return code;
}
