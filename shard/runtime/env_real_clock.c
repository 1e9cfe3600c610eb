/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real_clock.c: what the interval clock needs of the system: shared pages and segments, the kernel's clock discipline,
 * datagrams to a time daemon, the boot's identity.
 *
 * A client of a Unix datagram socket must have a path of its own, or nobody can answer it (Linux's autobound abstract names
 * get no reply from chronyd). We bind it beside the server's, under the name that chronyc uses, since that is the directory
 * that a confined daemon (AppArmor, ProtectSystem) may write to: DIR/chronyc.PID-N.sock.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include "shard/runtime/env_real_internal.h"

enum { OWN_NAMES_MAX = 64 };

/* ---- pages ------------------------------------------------------------------------------------------------------- */

struct real_page {
    struct env_page page; /* first */
    int fd;               /* the writer's, which holds the lock; else -1 */
};

static int open_page(const char *path, bool writer) {
    return writer ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : open(path, O_RDONLY | O_CLOEXEC);
}

/* The writer's claim, and the length. */
static enum rc ready_page(int fd, const char *path, size_t bytes, bool writer, struct err *err) {
    struct stat st;
    if (writer && flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return err_set(err, RC_BUSY, "%s is written by another process", path);
        return err_errno(err, errno, "lock %s", path);
    }
    if (fstat(fd, &st))
        return err_errno(err, errno, "stat %s", path);
    if (st.st_size >= (off_t)bytes)
        return RC_OK;
    if (!writer)
        return err_set(err, RC_CORRUPT, "%s is too short: %lld bytes", path, (long long)st.st_size);
    return ftruncate(fd, (off_t)bytes) ? err_errno(err, errno, "lengthen %s", path) : RC_OK;
}

enum rc real_page_map(struct env *env, const char *path, size_t bytes, bool writer, struct env_page **ret,
                      struct err *err) {
    struct real_page *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, RC_NOMEM, "out of memory");
    int fd = open_page(path, writer);
    if (fd < 0) {
        int e = errno;
        free(p);
        return err_errno(err, e, "open %s", path);
    }
    p->page = (struct env_page){env, MAP_FAILED, bytes, writer};
    p->fd = fd;
    enum rc rc = ready_page(fd, path, bytes, writer, err);
    if (!rc) {
        p->page.memory = mmap(NULL, bytes, writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
        if (p->page.memory == MAP_FAILED)
            rc = err_errno(err, errno, "map %s", path);
    }
    if (rc || !writer) {
        close(fd);
        p->fd = -1;
    }
    if (rc)
        free(p);
    else
        *ret = &p->page;
    return rc;
}

void real_page_unmap(struct env_page *page) {
    struct real_page *p = container_of(page, struct real_page, page);
    munmap(page->memory, page->bytes);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

/* ---- System V segments ------------------------------------------------------------------------------------------- */

enum rc real_shm_attach(struct env *env, int32_t key, size_t bytes, unsigned create_mode, struct env_shm **ret,
                        struct err *err) {
    struct shmid_ds ds;
    int id = shmget(key, bytes, create_mode ? (int)(IPC_CREAT | (create_mode & 0777)) : 0);
    if (id < 0)
        return err_errno(err, errno, "shared memory segment 0x%x", (unsigned)key);
    struct env_shm *shm = calloc(1, sizeof *shm);
    if (!shm)
        return err_set(err, RC_NOMEM, "out of memory");
    void *memory = shmat(id, NULL, create_mode ? 0 : SHM_RDONLY);
    if (memory == (void *)-1) {
        int e = errno;
        free(shm);
        return err_errno(err, e, "attach shared memory segment 0x%x", (unsigned)key);
    }
    *shm = (struct env_shm){env, memory, shmctl(id, IPC_STAT, &ds) ? bytes : ds.shm_segsz};
    *ret = shm;
    return RC_OK;
}

void real_shm_detach(struct env_shm *shm) {
    shmdt(shm->memory);
    free(shm);
}

/* ---- the kernel's clock discipline, the boot --------------------------------------------------------------------- */

void real_adjtime(struct env *env, struct env_adjtime *ret) {
    struct timex tx = {.modes = 0};
    (void)env;
    int state = adjtimex(&tx);
    *ret = (struct env_adjtime){
        .state = state, .status = tx.status, .maxerror_us = tx.maxerror, .esterror_us = tx.esterror, .tai = tx.tai};
}

/* "UUID/NUMBER": a time namespace has a CLOCK_MONOTONIC_RAW of its own. */
enum rc real_boot_id(struct env *env, char *ret, size_t bytes, struct err *err) {
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char uuid[40] = "", space[64] = "";
    (void)env;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, uuid, sizeof uuid - 1);
    int e = errno;
    if (fd >= 0)
        close(fd);
    if (n < 36)
        return n < 0 ? err_errno(err, e, "read %s", path) : err_set(err, RC_IO, "%s is too short", path);
    uuid[36] = '\0';
    const char *number = "";
    if (readlink("/proc/self/ns/time", space, sizeof space - 1) > 0 && strchr(space, '[')) {
        space[strcspn(space, "]")] = '\0';
        number = strchr(space, '[') + 1;
    }
    int len = snprintf(ret, bytes, "%s/%s", uuid, number);
    return len > 0 && (size_t)len < bytes ? RC_OK : err_set(err, RC_LIMIT, "boot id too long");
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

struct env_dgram {
    struct env_handle handle;
    int fd;
    struct event *event;
    env_on_dgram *on_readable;
    void *ctx;
    char addr[ENV_ADDR_BYTES];
    char own[sizeof((struct sockaddr_un *)0)->sun_path]; /* the path that we bound, or "" */
};

static void on_dgram_ready(evutil_socket_t fd, short what, void *ctx) {
    struct env_dgram *d = ctx;
    (void)fd, (void)what;
    d->on_readable(d->ctx);
}

/* Whether nobody holds the socket at a path: its owner was killed. */
static bool socket_is_dead(const struct sockaddr_un *sun) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)sun, sizeof *sun) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead;
}

static enum rc bind_own(struct env_dgram *d, const char *server, struct err *err) {
    const char *slash = strrchr(server, '/');
    int dir = slash ? (int)(slash - server) : 1;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    for (int i = 0; i < OWN_NAMES_MAX; i++) {
        int n = snprintf(sun.sun_path, sizeof sun.sun_path, "%.*s/chronyc.%d-%d.sock", dir, slash ? server : ".",
                         (int)getpid(), i);
        if (n < 0 || (size_t)n >= sizeof sun.sun_path)
            return err_set(err, RC_LIMIT, "path too long for a socket: %s", server);
        int e = bind(d->fd, (struct sockaddr *)&sun, sizeof sun) ? errno : 0;
        if (e == EADDRINUSE && socket_is_dead(&sun) && unlink(sun.sun_path) == 0)
            e = bind(d->fd, (struct sockaddr *)&sun, sizeof sun) ? errno : 0;
        if (e == EADDRINUSE)
            continue;
        if (e)
            return err_errno(err, e, "bind %s", sun.sun_path);
        snprintf(d->own, sizeof d->own, "%s", sun.sun_path);
        /* The daemon runs as another user and must be able to answer. */
        return chmod(d->own, 0666) ? err_errno(err, errno, "chmod %s", d->own) : RC_OK;
    }
    return err_set(err, RC_LIMIT, "too many sockets beside %s", server);
}

static enum rc open_unix(struct env_dgram *d, const char *path, struct err *err) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sun.sun_path)
        return err_set(err, RC_LIMIT, "path too long for a socket: %s", path);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return err_errno(err, errno, "socket");
    if (connect(d->fd, (struct sockaddr *)&sun, sizeof sun)) /* before we leave anything beside it */
        return err_errno(err, errno, "connect to %s", path);
    return bind_own(d, path, err);
}

static enum rc open_udp(struct env_dgram *d, const char *addr, struct err *err) {
    const char *colon = strrchr(addr, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
    char host[ENV_ADDR_BYTES];
    size_t n = colon ? (size_t)(colon - addr) : 0;
    bool bracketed = n > 2 && addr[0] == '[' && addr[n - 1] == ']';
    if (n == 0 || n >= sizeof host)
        return err_set(err, RC_INVAL, "\"%s\" is not HOST:PORT", addr);
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n), addr + bracketed);
    if (getaddrinfo(host, colon + 1, &hints, &found))
        return err_set(err, RC_INVAL, "\"%s\" is not a numeric HOST:PORT", addr);
    d->fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int bad = d->fd < 0 || connect(d->fd, found->ai_addr, found->ai_addrlen) ? errno : 0;
    freeaddrinfo(found);
    return bad ? err_errno(err, bad, "connect to %s", addr) : RC_OK;
}

enum rc real_dgram_open(struct env *env, const char *addr, env_on_dgram *on_readable, void *ctx, struct env_dgram **ret,
                        struct err *err) {
    struct env_dgram *d = calloc(1, sizeof *d);
    enum rc rc;
    if (!d)
        return err_set(err, RC_NOMEM, "out of memory");
    d->handle.env = env;
    d->fd = -1;
    d->on_readable = on_readable;
    d->ctx = ctx;
    snprintf(d->addr, sizeof d->addr, "%s", addr);
    if (strncmp(addr, "unix:", 5) == 0)
        rc = open_unix(d, addr + 5, err);
    else if (strncmp(addr, "udp:", 4) == 0)
        rc = open_udp(d, addr + 4, err);
    else
        rc = err_set(err, RC_INVAL, "\"%s\" is neither unix:PATH nor udp:HOST:PORT", addr);
    if (!rc) {
        d->event = event_new(((struct env_real *)env)->base, d->fd, EV_READ | EV_PERSIST, on_dgram_ready, d);
        if (!d->event || event_add(d->event, NULL))
            rc = err_set(err, RC_NOMEM, "out of memory");
    }
    if (rc)
        real_dgram_close(d);
    else
        *ret = d;
    return rc;
}

static bool is_gone(int e) {
    return e == ECONNREFUSED || e == ENOENT || e == ECONNRESET || e == ENOTCONN;
}

enum rc real_dgram_send(struct env_dgram *d, const void *from, size_t bytes, struct err *err) {
    if (send(d->fd, from, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return RC_OK;
    if (is_gone(errno))
        return err_set(err, RC_UNREACHABLE, "%s: %s", d->addr, strerror(errno));
    return err_errno(err, errno, "send to %s", d->addr);
}

enum rc real_dgram_recv(struct env_dgram *d, void *to, size_t bytes, size_t *ret_bytes, struct err *err) {
    ssize_t n = recv(d->fd, to, bytes, MSG_DONTWAIT);
    if (n < 0 && is_gone(errno))
        return err_set(err, RC_UNREACHABLE, "%s: %s", d->addr, strerror(errno));
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return err_errno(err, errno, "receive from %s", d->addr);
    *ret_bytes = n > 0 ? (size_t)n : 0;
    return RC_OK;
}

void real_dgram_close(struct env_dgram *d) {
    if (d->event)
        event_free(d->event);
    if (d->fd >= 0)
        close(d->fd);
    if (d->own[0])
        unlink(d->own);
    free(d);
}
