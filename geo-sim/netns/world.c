/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.c: making, changing and removing worlds.
 *
 * What could be left over after a crash is found by name, not by memory: the names are written into the world's directory first,
 * then made; and down looks at the machine (namespaces that begin with geo-WORLD-, whoever holds emulator.lock), not at a list.
 */
#include "geo-sim/netns/world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "geo-sim/netns/cluster.h"
#include "geo-sim/netns/emulator.h"

enum { LOCK_WAIT_MS = 10000, END_WAIT_MS = 3000, END_POLL_MS = 20, READY_WAIT_MS = 10000 };

/* Where this user's worlds are remembered. */
void geo_worlds_dir(char to[SYS_PATH_BYTES / 4]) {
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0)
        snprintf(to, SYS_PATH_BYTES / 4, "/run/meridian-geo");
    else if (xdg && xdg[0] == '/' && strlen(xdg) < SYS_PATH_BYTES / 4 - sizeof "/meridian-geo")
        snprintf(to, SYS_PATH_BYTES / 4, "%s/meridian-geo", xdg);
    else
        snprintf(to, SYS_PATH_BYTES / 4, "/tmp/meridian-geo-%u", (unsigned)geteuid());
}

static void dir_of(const char *name, char *to, size_t bytes) {
    char all[SYS_PATH_BYTES / 4];
    geo_worlds_dir(all);
    snprintf(to, bytes, "%s/%s", all, name);
}

/* In a place where everybody may write, it must be this user's own. */
static enum rc check_dir(const char *dir, struct err *err) {
    struct stat st;
    if (lstat(dir, &st))
        return err_errno(err, errno, "look at %s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(err, RC_PERMISSION, "%s is not a directory of this user alone", dir);
    return RC_OK;
}

static void path_in(const char *dir, const char *file, char to[SYS_PATH_BYTES]) {
    snprintf(to, SYS_PATH_BYTES, "%s/%s", dir, file);
}

/* ---- what is needed ---------------------------------------------------------------------------------------------- */

enum rc geo_world_able(struct err *err) {
    if (geteuid() != 0) {
        enum rc rc = err_set(err, RC_PERMISSION, "network namespaces need root");
        err_hint(err, "run it as root (sudo meridian geo ...), or with --backend loopback; \"meridian sim\" needs no "
                      "privileges either");
        return rc;
    }
    return sys_run("ip -V", err);
}

enum rc geo_world_probe_netem(const char *name, struct err *err) {
    struct buf plan;
    buf_init(&plan, 0);
    geo_plan_probe(name, &plan);
    const char *text = buf_cstr(&plan);
    if (!text) {
        buf_done(&plan);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    const char *last = strstr(text, "ip netns del");
    size_t head = last ? (size_t)(last - text) : 0;
    plan.data[head > 0 ? head - 1 : 0] = '\0';
    enum rc rc = sys_run_lines((const char *)plan.data, err);
    struct err ignored = {0};
    if (last)
        IGNORE(sys_run_lines(last, &ignored)); /* it may not be there if the first line failed */
    buf_done(&plan);
    return rc;
}

/* ---- remembering ------------------------------------------------------------------------------------------------- */

static enum rc save(const struct geo_world *w, struct err *err) {
    char path[SYS_PATH_BYTES];
    struct buf text;
    buf_init(&text, 0);
    topo_print(w->topo, &text);
    path_in(w->dir, "world.topo", path);
    enum rc rc =
        buf_rc(&text) ? err_set(err, RC_NOMEM, "out of memory") : sys_write_file(path, text.data, text.len, err);
    buf_done(&text);
    if (rc)
        return rc;
    const char *backend = geo_backend_name(w->backend);
    path_in(w->dir, "backend", path);
    return sys_write_file(path, backend, strlen(backend), err);
}

static enum rc load(struct geo_world *w, struct err *err) {
    char path[SYS_PATH_BYTES];
    struct buf text;
    buf_init(&text, 0);
    path_in(w->dir, "backend", path);
    enum rc rc = sys_read_file(path, &text, err);
    if (!rc) {
        const char *name = buf_cstr(&text);
        w->backend = GEO_TUN;
        for (int b = 0; name && b < GEO_BACKENDS; b++)
            if (strcmp(name, geo_backend_name((enum geo_backend)b)) == 0)
                w->backend = (enum geo_backend)b;
        buf_reset(&text, 4096);
        path_in(w->dir, "world.topo", path);
        rc = sys_read_file(path, &text, err);
    }
    if (!rc)
        rc = topo_parse(path, (const char *)text.data, text.len, &w->topo, err);
    buf_done(&text);
    return rc;
}

static enum rc lock_world(struct geo_world *w, struct err *err) {
    char path[SYS_PATH_BYTES];
    path_in(w->dir, "lock", path);
    enum rc rc = sys_lock(path, LOCK_WAIT_MS, &w->lock, err);
    return rc == RC_BUSY ? err_set(err, RC_BUSY, "somebody else is working on world %s", w->name) : rc;
}

static enum rc begin(const char *name, struct geo_world *w, struct err *err) {
    *w = (struct geo_world){.lock = -1};
    if (!geo_world_valid(name))
        return err_set(err, RC_INVAL, "\"%.40s\" is no name of a world: small letters and digits, %d at most", name,
                       GEO_WORLD_BYTES - 1);
    snprintf(w->name, sizeof w->name, "%s", name);
    dir_of(name, w->dir, sizeof w->dir);
    return RC_OK;
}

enum rc geo_world_open(const char *name, bool for_change, struct geo_world *ret, struct err *err) {
    struct geo_world w;
    char path[SYS_PATH_BYTES];
    enum rc rc = begin(name, &w, err);
    if (rc)
        return rc;
    path_in(w.dir, "world.topo", path);
    if (access(path, F_OK)) {
        rc = err_set(err, RC_NOTFOUND, "world %s is not up", name);
        err_hint(err, "meridian geo up TOPOLOGY");
        return rc;
    }
    if (for_change)
        rc = lock_world(&w, err);
    if (!rc)
        rc = load(&w, err);
    if (!rc && w.backend != GEO_LOOPBACK)
        rc = for_change ? geo_world_able(err) : RC_OK;
    if (rc)
        geo_world_close(&w);
    else
        *ret = w;
    return rc;
}

void geo_world_close(struct geo_world *w) {
    topo_free(w->topo);
    w->topo = NULL;
    if (w->lock >= 0)
        close(w->lock);
    w->lock = -1;
}

/* ---- the emulator ------------------------------------------------------------------------------------------------ */

pid_t geo_world_emulator(const struct geo_world *w) {
    char path[SYS_PATH_BYTES];
    path_in(w->dir, "emulator.lock", path);
    return sys_lock_holder(path);
}

enum rc geo_world_ask(const struct geo_world *w, const char *text, char ret_answer[1024], struct err *err) {
    char control[SYS_PATH_BYTES], own[SYS_PATH_BYTES], file[32];
    static_assert(EMULATOR_ANSWER_BYTES == 1024, "as promised");
    if (w->backend != GEO_TUN)
        return err_set(err, RC_UNSUPPORTED, "with netem the kernel carries the packets");
    if (!geo_world_emulator(w)) {
        enum rc rc = err_set(err, RC_UNREACHABLE, "the link emulator of world %s is dead", w->name);
        err_hint(err, "meridian geo down, then up again; %s/emulator.log may tell why", w->dir);
        return rc;
    }
    snprintf(file, sizeof file, "ask.%d", (int)getpid());
    path_in(w->dir, "control", control);
    path_in(w->dir, file, own);
    return emulator_ask(control, own, text, ret_answer, err);
}

enum rc geo_world_emulate(const char *name, int ready_fd, struct err *err) {
    struct geo_world w;
    char path[SYS_PATH_BYTES], text[32];
    int lock = -1;
    enum rc rc = begin(name, &w, err);
    if (!rc)
        rc = load(&w, err);
    path_in(w.dir, "emulator.lock", path);
    if (!rc)
        rc = sys_lock(path, 0, &lock, err);
    if (!rc) {
        int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
        if (ftruncate(lock, 0) || write(lock, text, (size_t)n) != n)
            rc = err_errno(err, errno, "write %s", path);
    }
    path_in(w.dir, "control", path);
    if (!rc)
        rc = emulator_run(name, path, w.topo, ready_fd, err);
    if (rc) { /* whoever waits is told why */
        IGNORE(write(ready_fd, err_message(err), strlen(err_message(err))));
        close(ready_fd);
    }
    if (lock >= 0)
        close(lock);
    geo_world_close(&w);
    return rc;
}

static void become_emulator(const struct geo_world *w, const char *self, int ready_fd) {
    char log[SYS_PATH_BYTES], fd_text[16];
    path_in(w->dir, "emulator.log", log);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    setsid();
    dup2(null, 0);
    dup2(out >= 0 ? out : null, 1);
    dup2(out >= 0 ? out : null, 2);
    fcntl(ready_fd, F_SETFD, 0);
    snprintf(fd_text, sizeof fd_text, "%d", ready_fd);
    execl(self, "meridian-geo", "_emulate", w->name, fd_text, (char *)NULL);
    _exit(127);
}

/* Reads what the emulator says when it is ready, or why it is not. */
static enum rc await_ready(int fd, struct err *err) {
    char said[256];
    size_t at = 0;
    int64_t until = sys_now_ns() + (int64_t)READY_WAIT_MS * 1000000;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left_ms = (until - sys_now_ns()) / 1000000;
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0)
            return err_set(err, RC_TIMEOUT, "the link emulator does not start");
        ssize_t n = read(fd, said + at, sizeof said - 1 - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    said[at] = '\0';
    if (strcmp(said, "ready\n") == 0)
        return RC_OK;
    return err_set(err, RC_IO, "the link emulator: %s", at ? said : "it ended without a word");
}

/* Its parent is nobody who would have to wait for it: a child in between ends at once. */
static enum rc start_emulator(const struct geo_world *w, const char *self, struct err *err) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC))
        return err_errno(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            become_emulator(w, self, ready[1]);
        _exit(0);
    }
    close(ready[1]);
    enum rc rc = pid < 0 ? err_errno(err, errno, "fork") : RC_OK;
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (!rc)
        rc = await_ready(ready[0], err);
    close(ready[0]);
    return rc;
}

static bool stop_emulator(const struct geo_world *w) {
    char path[SYS_PATH_BYTES];
    pid_t pid = geo_world_emulator(w);
    if (!pid)
        return false;
    path_in(w->dir, "emulator.lock", path);
    kill(pid, SIGTERM);
    if (!sys_wait_unlocked(path, END_WAIT_MS)) {
        kill(pid, SIGKILL);
        sys_wait_unlocked(path, END_WAIT_MS);
    }
    return true;
}

/* ---- up and down ------------------------------------------------------------------------------------------------- */

static void count_one(void *ctx, const char *name) {
    (void)name;
    ++*(unsigned *)ctx;
}

static unsigned count_namespaces(const char *world) {
    char prefix[GEO_NETNS_BYTES];
    unsigned count = 0;
    geo_netns_prefix(world, prefix);
    sys_netns_each(prefix, count_one, &count);
    return count;
}

static enum rc run_plan(struct buf *plan, struct err *err) {
    const char *text = buf_cstr(plan);
    enum rc rc = text ? sys_run_lines(text, err) : err_set(err, RC_NOMEM, "out of memory");
    buf_reset(plan, 1 << 16);
    return rc;
}

static enum rc build(struct geo_world *w, const char *self, struct err *err) {
    struct buf plan;
    buf_init(&plan, 0);
    geo_plan_begin(w->backend, w->name, w->topo, &plan);
    enum rc rc = run_plan(&plan, err);
    if (!rc && w->backend == GEO_TUN)
        rc = start_emulator(w, self, err);
    geo_plan_finish(w->backend, w->name, w->topo, &plan);
    if (!rc)
        rc = run_plan(&plan, err);
    buf_done(&plan);
    return rc;
}

bool geo_world_exists(const char *name) {
    struct geo_world w;
    char path[SYS_PATH_BYTES];
    struct err ignored = {0};
    if (begin(name, &w, &ignored))
        return false;
    path_in(w.dir, "world.topo", path);
    return access(path, F_OK) == 0 || (geteuid() == 0 && count_namespaces(name) > 0);
}

enum rc geo_world_up(const char *name, struct topo *t, enum geo_backend b, const char *self, struct geo_world *ret,
                     struct err *err) {
    struct geo_world w;
    char path[SYS_PATH_BYTES];
    enum rc rc = begin(name, &w, err);
    w.topo = t;
    w.backend = b;
    if (!rc)
        rc = sys_mkdirs(w.dir, err);
    if (!rc)
        rc = check_dir(w.dir, err);
    if (!rc) {
        char all[SYS_PATH_BYTES / 4];
        geo_worlds_dir(all);
        rc = check_dir(all, err);
    }
    if (!rc)
        rc = lock_world(&w, err);
    if (rc) {
        geo_world_close(&w);
        return rc;
    }
    path_in(w.dir, "world.topo", path);
    if (access(path, F_OK) == 0 || (b != GEO_LOOPBACK && count_namespaces(name) > 0)) {
        rc = err_set(err, RC_EXISTS, "world %s is up already, or something of it is left", name);
        err_hint(err, "meridian geo down%s%s", strcmp(name, "main") ? " --world " : "",
                 strcmp(name, "main") ? name : "");
        geo_world_close(&w);
        return rc;
    }
    rc = save(&w, err);
    if (!rc && b != GEO_LOOPBACK)
        rc = build(&w, self, err);
    if (!rc) {
        *ret = w;
        return RC_OK;
    }
    geo_world_close(&w);
    struct geo_removed removed;
    struct err ignored = {0};
    IGNORE(geo_world_down(name, &removed, &ignored)); /* the first error is the one that counts */
    return rc;
}

struct sweep {
    struct geo_removed *removed;
    enum rc rc;
    struct err *err;
    char names[TOPO_PLACES_MAX + 2][GEO_NETNS_BYTES];
    unsigned count;
};

static void note_name(void *ctx, const char *name) {
    struct sweep *s = ctx;
    if (s->count < ARRAY_LEN(s->names) && strlen(name) < GEO_NETNS_BYTES)
        snprintf(s->names[s->count++], GEO_NETNS_BYTES, "%s", name);
}

static int signal_all(const struct sweep *s, int signal) {
    int count = 0;
    for (unsigned i = 0; i < s->count; i++)
        count += sys_netns_signal(s->names[i], signal);
    return count;
}

/* Processes first get the chance to end well. */
static void end_processes(struct sweep *s) {
    int count = signal_all(s, SIGTERM);
    s->removed->processes += (unsigned)count;
    for (int waited = 0; count > 0 && waited < END_WAIT_MS; waited += END_POLL_MS) {
        sys_sleep_ms(END_POLL_MS);
        count = signal_all(s, 0);
    }
    if (count > 0)
        signal_all(s, SIGKILL);
}

static void delete_namespaces(struct sweep *s) {
    char line[GEO_NETNS_BYTES + 32];
    for (unsigned i = 0; i < s->count; i++) {
        struct err err = {0};
        snprintf(line, sizeof line, "ip netns del %s", s->names[i]);
        enum rc rc = sys_run(line, &err);
        if (!rc)
            s->removed->namespaces++;
        else if (!s->rc)
            s->rc = err_set(s->err, rc, "%s", err_message(&err));
    }
}

static void remove_name(void *ctx, const char *name) {
    char path[SYS_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    unlink(path);
}

/* With all that lies in it: nobody else puts anything there. */
static bool remove_directory(const char *dir) {
    sys_each_name(dir, remove_name, (void *)dir);
    return rmdir(dir) == 0;
}

enum rc geo_world_down(const char *name, struct geo_removed *ret, struct err *err) {
    struct geo_world w;
    char prefix[GEO_NETNS_BYTES];
    *ret = (struct geo_removed){.processes = 0};
    struct sweep s = {.removed = ret, .err = err};
    enum rc rc = begin(name, &w, err);
    if (rc)
        return rc;
    struct stat st;
    bool there = stat(w.dir, &st) == 0;
    if (there && (rc = lock_world(&w, err)))
        return rc;
    geo_netns_prefix(name, prefix);
    ret->processes = geo_sweep_processes(w.dir, END_WAIT_MS);
    if (geteuid() == 0)
        sys_netns_each(prefix, note_name, &s);
    end_processes(&s);
    ret->emulator = there && stop_emulator(&w);
    delete_namespaces(&s);
    if (there && !s.rc) {
        geo_sweep_files(w.dir);
        ret->directory = remove_directory(w.dir);
    }
    geo_world_close(&w);
    return s.rc;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static enum rc change_netem(const struct geo_world *w, const struct topo *before, struct err *err) {
    struct buf plan;
    buf_init(&plan, 0);
    for (unsigned i = 0; i < w->topo->places; i++)
        for (unsigned j = 0; j < w->topo->places; j++)
            if (i != j && !topo_link_equal(&w->topo->link[i][j], &before->link[i][j]))
                geo_plan_link(w->name, w->topo, i, j, &plan);
    enum rc rc = run_plan(&plan, err);
    buf_done(&plan);
    return rc;
}

enum rc geo_world_change(struct geo_world *w, const char *statement, struct err *err) {
    char answer[EMULATOR_ANSWER_BYTES];
    struct topo *before = malloc(sizeof *before);
    CHECK(w->lock >= 0);
    if (!before)
        return err_set(err, RC_NOMEM, "out of memory");
    *before = *w->topo;
    enum rc rc = topo_apply(w->topo, statement, err);
    if (!rc && w->backend == GEO_NETEM) {
        rc = change_netem(w, before, err);
    } else if (!rc && w->backend == GEO_TUN) {
        rc = geo_world_ask(w, statement, answer, err);
        if (!rc && strcmp(answer, "ok") != 0)
            rc = err_set(err, RC_IO, "the link emulator: %s", answer);
    }
    if (!rc)
        rc = save(w, err);
    free(before);
    return rc;
}

enum rc geo_world_enter(const struct geo_world *w, unsigned place, struct err *err) {
    char ns[GEO_NETNS_BYTES];
    int fd;
    if (w->backend == GEO_LOOPBACK)
        return RC_OK;
    geo_netns_name(w->name, w->topo, place, ns);
    enum rc rc = sys_netns_open(ns, &fd, err);
    if (rc)
        return rc;
    rc = sys_netns_enter(fd, err);
    close(fd);
    return rc;
}
