/* SPDX-License-Identifier: Apache-2.0 */
/* sys.c: thin wrappers, each with the error that a person can use. */
#include "geo-sim/netns/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, WORDS_MAX = 48, SAID_BYTES = 256, LOCK_POLL_MS = 10, NOT_FOUND = 127 };

static const char netns_dir[] = "/run/netns";

void sys_sleep_ms(int ms) {
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

int64_t sys_now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* Everything until the end; keeps the first bytes, without the last newline. */
static void drain(int fd, char *said, size_t bytes) {
    char some[512];
    size_t at = 0;
    ssize_t n;
    while ((n = read(fd, some, sizeof some)) > 0 || (n < 0 && errno == EINTR))
        for (ssize_t i = 0; i < n && at + 1 < bytes; i++)
            said[at++] = some[i] == '\n' ? ' ' : some[i];
    while (at > 0 && said[at - 1] == ' ')
        at--;
    said[at] = '\0';
}

static void run_child(char **words, int out) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    execvp(words[0], words);
    _exit(NOT_FOUND);
}

enum rc sys_run(const char *line, struct err *err) {
    char copy[LINE_BYTES], said[SAID_BYTES], *words[WORDS_MAX + 1], *save = NULL;
    size_t count = 0;
    int pipe_fd[2], status = 0;
    if (strlen(line) >= sizeof copy)
        return err_set(err, RC_LIMIT, "a command of %zu bytes", strlen(line));
    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (count == WORDS_MAX)
            return err_set(err, RC_LIMIT, "a command of more than %d words", WORDS_MAX);
        words[count++] = w;
    }
    words[count] = NULL;
    if (count == 0)
        return err_set(err, RC_INVAL, "an empty command");
    if (pipe2(pipe_fd, O_CLOEXEC))
        return err_errno(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0)
        run_child(words, pipe_fd[1]);
    close(pipe_fd[1]);
    if (pid < 0) {
        int e = errno;
        close(pipe_fd[0]);
        return err_errno(err, e, "fork");
    }
    drain(pipe_fd[0], said, sizeof said);
    close(pipe_fd[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return RC_OK;
    bool missing = WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND;
    enum rc rc = missing ? err_set(err, RC_NOTFOUND, "%s is not installed", words[0])
                         : err_set(err, RC_IO, "\"%s\" failed: %s", line, said[0] ? said : "it said nothing");
    if (missing)
        err_hint(err, "apt-get install iproute2");
    return rc;
}

enum rc sys_capture(char *const *words, int netns_fd, struct buf *out, int *ret_code, struct err *err) {
    char some[4096];
    int pipe_fd[2], status = 0;
    ssize_t n;
    if (pipe2(pipe_fd, O_CLOEXEC))
        return err_errno(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(pipe_fd[1], 1);
        dup2(null, 2);
        if (netns_fd < 0 || setns(netns_fd, CLONE_NEWNET) == 0)
            execv(words[0], words);
        _exit(NOT_FOUND);
    }
    close(pipe_fd[1]);
    if (pid < 0) {
        close(pipe_fd[0]);
        return err_errno(err, errno, "fork");
    }
    while ((n = read(pipe_fd[0], some, sizeof some)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buf_put(out, some, (size_t)n);
    close(pipe_fd[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        return err_set(err, RC_NOTFOUND, "cannot run %s", words[0]);
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return buf_rc(out) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

enum rc sys_run_lines(const char *lines, struct err *err) {
    for (const char *at = lines; *at;) {
        char line[LINE_BYTES];
        size_t n = strcspn(at, "\n");
        if (n >= sizeof line)
            return err_set(err, RC_LIMIT, "a command of %zu bytes", n);
        snprintf(line, sizeof line, "%.*s", (int)n, at);
        enum rc rc = sys_run(line, err);
        if (rc)
            return rc;
        at += n + (at[n] == '\n');
    }
    return RC_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

enum rc sys_read_file(const char *path, struct buf *out, struct err *err) {
    char some[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    while ((n = read(fd, some, sizeof some)) > 0 && out->len <= SYS_FILE_BYTES_MAX)
        buf_put(out, some, (size_t)n);
    int e = errno;
    close(fd);
    if (n < 0)
        return err_errno(err, e, "read %s", path);
    if (out->len > SYS_FILE_BYTES_MAX)
        return err_set(err, RC_LIMIT, "%s is larger than %d bytes", path, SYS_FILE_BYTES_MAX);
    return buf_rc(out) ? err_set(err, RC_NOMEM, "out of memory") : RC_OK;
}

enum rc sys_write_file(const char *path, const void *data, size_t bytes, struct err *err) {
    char aside[SYS_PATH_BYTES + 8];
    snprintf(aside, sizeof aside, "%s.new", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "open %s", aside);
    size_t at = 0;
    while (at < bytes) {
        ssize_t n = write(fd, (const char *)data + at, bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        at += (size_t)n;
    }
    int e = errno;
    close(fd);
    if (at < bytes)
        return err_errno(err, e, "write %s", aside);
    return rename(aside, path) ? err_errno(err, errno, "rename %s", aside) : RC_OK;
}

enum rc sys_mkdirs(const char *path, struct err *err) {
    char part[SYS_PATH_BYTES];
    for (size_t i = 1; path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (mkdir(part, 0755) && errno != EEXIST)
            return err_errno(err, errno, "make directory %s", part);
    }
    return RC_OK;
}

static int is_entry(const struct dirent *e) {
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

void sys_each_name(const char *dir, void (*fn)(void *ctx, const char *name), void *ctx) {
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_entry, alphasort);
    for (int i = 0; names && i < n; i++) {
        fn(ctx, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

enum rc sys_lock(const char *path, int wait_ms, int *ret_fd, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOCK_POLL_MS) {
        if (waited >= wait_ms) {
            close(fd);
            return err_set(err, RC_BUSY, "%s is held by another process", path);
        }
        sys_sleep_ms(LOCK_POLL_MS);
    }
    *ret_fd = fd;
    return RC_OK;
}

pid_t sys_lock_holder(const char *path) {
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    bool held = flock(fd, LOCK_EX | LOCK_NB) != 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (!held || n <= 0)
        return 0;
    text[n] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 1 ? (pid_t)pid : 0;
}

bool sys_wait_unlocked(const char *path, int wait_ms) {
    for (int waited = 0; sys_lock_holder(path); waited += LOCK_POLL_MS) {
        if (waited >= wait_ms)
            return false;
        sys_sleep_ms(LOCK_POLL_MS);
    }
    return true;
}

/* ---- namespaces -------------------------------------------------------------------------------------------------- */

enum rc sys_netns_open(const char *name, int *ret_fd, struct err *err) {
    char path[SYS_PATH_BYTES];
    if (name)
        snprintf(path, sizeof path, "%s/%s", netns_dir, name);
    else
        snprintf(path, sizeof path, "/proc/self/ns/net");
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_errno(err, errno, "open network namespace %s", name ? name : "of this process") : RC_OK;
}

enum rc sys_netns_enter(int fd, struct err *err) {
    return setns(fd, CLONE_NEWNET) ? err_errno(err, errno, "enter a network namespace") : RC_OK;
}

struct prefixed {
    const char *prefix;
    void (*fn)(void *ctx, const char *name);
    void *ctx;
};

static void call_if_prefixed(void *ctx, const char *name) {
    struct prefixed *p = ctx;
    if (strncmp(name, p->prefix, strlen(p->prefix)) == 0)
        p->fn(p->ctx, name);
}

void sys_netns_each(const char *prefix, void (*fn)(void *ctx, const char *name), void *ctx) {
    struct prefixed p = {prefix, fn, ctx};
    sys_each_name(netns_dir, call_if_prefixed, &p);
}

struct signalling {
    struct stat ns;
    int signal, count;
};

static void signal_one(void *ctx, const char *name) {
    struct signalling *s = ctx;
    char path[SYS_PATH_BYTES];
    struct stat st;
    char *end;
    long pid = strtol(name, &end, 10);
    if (*end || pid <= 1 || pid == getpid())
        return;
    snprintf(path, sizeof path, "/proc/%ld/ns/net", pid);
    if (stat(path, &st) || st.st_ino != s->ns.st_ino || st.st_dev != s->ns.st_dev)
        return;
    s->count++;
    if (s->signal)
        kill((pid_t)pid, s->signal);
}

int sys_netns_signal(const char *name, int signal) {
    struct signalling s = {.signal = signal};
    char path[SYS_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", netns_dir, name);
    if (stat(path, &s.ns) == 0)
        sys_each_name("/proc", signal_one, &s);
    return s.count;
}
