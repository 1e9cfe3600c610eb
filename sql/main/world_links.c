/* SPDX-License-Identifier: Apache-2.0 */
/* world_links.c: runs meridian-geo and takes what it says. */
#include "sql/main/world_links.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ANSWER_MS = 20000, ANSWER_BYTES_MAX = 1 << 20, COMPLAINT_BYTES = 1024, ENDS = 2 };

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A node blocks the signals that end it, and shuts its ears to SIGPIPE: a child of its own must not. */
static int spawn(const char *program, char *const *words, const int out[ENDS], const int bad[ENDS], pid_t *ret) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, pipe_signal;
    sigemptyset(&none);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    int e = posix_spawn_file_actions_init(&files);
    if (e)
        return e;
    e = posix_spawnattr_init(&attr);
    if (!e) {
        e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        e = e ? e : posix_spawn_file_actions_adddup2(&files, out[1], 1);
        e = e ? e : posix_spawn_file_actions_adddup2(&files, bad[1], 2);
        e = e ? e : posix_spawnattr_setsigmask(&attr, &none);
        e = e ? e : posix_spawnattr_setsigdefault(&attr, &pipe_signal);
        e = e ? e : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        e = e ? e : posix_spawn(ret, program, &files, &attr, words, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return e;
}

/* Both pipes to their ends; false: not in time, or more than fits. */
static bool drain(int out, int bad, struct buf *ret, char complaint[COMPLAINT_BYTES]) {
    struct pollfd fds[] = {{out, POLLIN, 0}, {bad, POLLIN, 0}};
    int64_t until = now_ms() + ANSWER_MS, left;
    size_t said = 0;
    while ((fds[0].fd >= 0 || fds[1].fd >= 0) && (left = until - now_ms()) > 0) {
        char text[4096];
        if (poll(fds, 2, (int)left) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            ssize_t n = read(fds[i].fd, text, sizeof text);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0) {
                fds[i].fd = -1;
            } else if (i == 0) {
                buf_put(ret, text, (size_t)n);
            } else {
                size_t room = COMPLAINT_BYTES - 1 - said, some = (size_t)n < room ? (size_t)n : room;
                memcpy(complaint + said, text, some);
                said += some;
            }
        }
    }
    complaint[said] = '\0';
    return fds[0].fd < 0 && fds[1].fd < 0 && !buf_rc(ret);
}

/* What it complained of, without its own name in front: one line. */
static enum rc complained(char complaint[COMPLAINT_BYTES], struct err *err) {
    static const char self[] = "meridian geo: ";
    char *at = complaint, *hint;
    if (strncmp(at, self, sizeof self - 1) == 0)
        at += sizeof self - 1;
    hint = strstr(at, "\n  hint: ");
    enum rc rc = err_set(err, RC_INVAL, "%.*s", (int)strcspn(at, "\n"), *at ? at : "meridian-geo failed");
    if (hint)
        err_hint(err, "%.*s", (int)strcspn(hint + 9, "\n"), hint + 9);
    return rc;
}

static enum rc run(const struct world_links *w, const char *const *words, struct buf *ret, struct err *err) {
    char *argv[SQL_WORLD_WORDS_MAX + 4], complaint[COMPLAINT_BYTES] = "";
    int out[ENDS], bad[ENDS], status = 0;
    size_t n = 0;
    pid_t pid;
    argv[n++] = (char *)(uintptr_t)w->program;
    while (*words && n <= SQL_WORLD_WORDS_MAX)
        argv[n++] = (char *)(uintptr_t)*words++;
    argv[n++] = (char *)(uintptr_t)w->option;
    argv[n++] = (char *)(uintptr_t)w->target;
    argv[n] = NULL;
    if (pipe2(out, O_CLOEXEC))
        return err_errno(err, errno, "pipe");
    if (pipe2(bad, O_CLOEXEC)) {
        int e = errno;
        close(out[0]);
        close(out[1]);
        return err_errno(err, e, "pipe");
    }
    int e = spawn(w->program, argv, out, bad, &pid);
    close(out[1]);
    close(bad[1]);
    bool whole = !e && drain(out[0], bad[0], ret, complaint);
    close(out[0]);
    close(bad[0]);
    if (e)
        return err_errno(err, e, "run %s", w->program);
    if (!whole)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!whole)
        return err_set(err, RC_TIMEOUT, "meridian-geo does not answer");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? RC_OK : complained(complaint, err);
}

static enum rc links(void *ctx, struct buf *ret, struct err *err) {
    static const char *const words[] = {"links", "--lines", NULL};
    return run(ctx, words, ret, err);
}

static enum rc change(void *ctx, const char *const *words, struct err *err) {
    struct buf said;
    buf_init(&said, ANSWER_BYTES_MAX);
    enum rc rc = run(ctx, words, &said, err);
    buf_done(&said);
    return rc;
}

enum rc world_links_init(struct world_links *w, const char *world, const char *file, struct err *err) {
    static const char program[] = "meridian-geo";
    *w = (struct world_links){.option = world ? "--world" : "--file", .target = world ? world : file};
    w->world = (struct sql_world){links, change, w};
    ssize_t n = readlink("/proc/self/exe", w->program, sizeof w->program - sizeof program - 1);
    if (n < 0)
        return err_errno(err, errno, "find the program's own path");
    w->program[n] = '\0';
    char *slash = strrchr(w->program, '/');
    if (!slash)
        return err_set(err, RC_NOTFOUND, "the program's own path is not known: %.100s", w->program);
    memcpy(slash + 1, program, sizeof program);
    return RC_OK;
}
