/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.h: everything outside of one store, behind one table of functions.
 *
 * A store (reactor, log, tablets) never calls the operating system: it asks its env for the time, timers, randomness,
 * files, streams and threads. There are two envs. env_real (shard/runtime) is libevent, sockets and files; env_sim
 * (geo-sim/sim) is one thread with virtual time, a simulated network and simulated disks, where everything that happens
 * is a pure function of a seed. So the simulator runs the very code that production runs.
 *
 * Promise     Callbacks come on the env's own thread, one at a time, never from inside the call that asked for them.
 *             After each batch of callbacks the env calls the turn function (env->on_turn), where the reactor runs its
 *             fibers: callbacks note what happened, fibers do the work.
 * Relies on   nothing above it.
 * Threads     Everything only on the env's own thread, except env_post (any thread) and where a function says otherwise.
 * Ownership   Requests (struct env_io, env_job, env_post, timer) live in the caller's objects and belong to the env from
 *             the call until the callback.
 *
 * Durability, the same in both worlds: what was written is readable at once, but survives a crash only after a sync that
 * was asked for after the write has called back with RC_OK. Unsynced bytes may survive, be lost or be torn at any 512-byte
 * boundary. A created, renamed or removed name is durable only after env_dir_sync of its directory. After a failed sync
 * the state of that file is unknown: it must not be synced again as if nothing had happened (rule P-30).
 */
#ifndef MERIDIAN_BASE_ENV_H
#define MERIDIAN_BASE_ENV_H

#include <sys/uio.h>

#include "truetime/base/chaos.h"
#include "truetime/base/diag.h"
#include "truetime/base/err.h"
#include "truetime/base/metric.h"
#include "truetime/base/timerq.h"

enum { ENV_ADDR_BYTES = 128, ENV_PATH_BYTES = 512, ENV_SECTOR_BYTES = 512, ENV_BOOT_ID_BYTES = 64 };

struct env;
struct env_file;
struct env_dir_lock;
struct env_stream;
struct env_listener;
struct env_tls;

enum env_clock {
    ENV_CLOCK_MONO,        /* CLOCK_MONOTONIC: timers and deadlines */
    ENV_CLOCK_RAW,         /* CLOCK_MONOTONIC_RAW: the oscillator itself, for truetime */
    ENV_CLOCK_BOOT,        /* CLOCK_BOOTTIME: also counts suspend */
    ENV_CLOCK_REAL,        /* CLOCK_REALTIME: for people and time sources, never for decisions */
    ENV_CLOCK_REAL_COARSE, /* the same as of the last tick (up to 10 ms ago), for a fraction of the price */
};

/* Something to run on another env's thread. */
struct env_post {
    void (*fn)(struct env_post *p);
    struct env_post *next;
};

/* Which of a store's two I/O threads does it: the log must never queue behind a bulky sync. */
enum env_lane { ENV_LANE_LOG, ENV_LANE_BULK, ENV_LANES };

enum env_io_kind {
    ENV_IO_WRITE_SYNC, /* write iov at off, then make the file durable; requests that wait meanwhile share the sync */
    ENV_IO_SYNC,       /* make the file durable */
    ENV_IO_DIR_SYNC,   /* make the names in directory path durable; "" = the one that relative paths begin in */
    ENV_IO_ALLOCATE, /* write zeros in [off, off + bytes), then make them durable: later writes there change no metadata */
};

struct env_io {
    void (*on_done)(struct env_io *io);
    void *ctx;
    enum env_io_kind kind;
    enum env_lane lane;
    struct env_file *file; /* unless DIR_SYNC; stays open until on_done */
    const char *path;      /* DIR_SYNC; stays valid until on_done */
    int64_t off, bytes;
    const struct iovec *iov; /* the array and its bytes stay unchanged until on_done */
    int iov_count;
    enum rc rc;           /* for on_done: RC_OK, RC_IO, RC_NOSPACE, RC_SHUTDOWN */
    int os_errno;         /* 0 where there is none */
    struct env_post post; /* the env's own from here */
    struct env_io *next;
    void *priv;
};

/* A function that needs 64 MiB of stack (libpg_query's parser). */
struct env_job {
    void (*run)(struct env_job *job); /* on another thread: touches nothing but the job's own memory */
    void (*on_done)(struct env_job *job);
    void *ctx;
    struct env_post post;
    struct env_job *next;
};

enum env_open {
    ENV_OPEN_CREATE = 1,    /* make it if it is not there */
    ENV_OPEN_EXCLUSIVE = 2, /* with CREATE: RC_EXISTS if it is */
    ENV_OPEN_READONLY = 4,
    ENV_OPEN_TRUNCATE = 8,
};

/* A stretch of memory shared with other processes of this machine, mapped from a file. */
struct env_page {
    struct env *env;
    void *memory;
    size_t bytes;
    bool writer;
};

/* An attached System V shared memory segment. */
struct env_shm {
    struct env *env;
    void *memory;
    size_t bytes; /* of the segment: at least what was asked for */
};

/* What the kernel's clock discipline says of CLOCK_REALTIME (adjtimex(2) without changing anything). */
struct env_adjtime {
    int state;  /* its return value: TIME_OK ... TIME_ERROR; -1: the call failed */
    int status; /* STA_ bits */
    int64_t maxerror_us, esterror_us;
    int tai; /* TAI - UTC, seconds; 0 = nobody told the kernel */
};

/* What becomes of a stream. Any may be NULL. */
struct env_stream_events {
    void (*on_open)(void *ctx); /* connected; after env_stream_tls: the handshake is done */
    /* Bytes, or the end, have come since the last read that returned less than it could. Told once, not again and again:
     * who takes over a stream reads first. */
    void (*on_readable)(void *ctx);
    void (*on_writable)(void *ctx); /* room again after a write that took less than it was given */
    /* Could not be opened, or broke; the reason for people. Reads and writes return RC_CLOSED from now on. The owner still
     * calls env_stream_close. An orderly end from the peer is no on_broken: the read says RC_CLOSED. */
    void (*on_broken)(void *ctx, enum rc rc, const char *why);
};

/* A datagram client of one server. Any callback may close the socket. */
typedef void env_on_dgram(void *ctx);
struct env_dgram;

typedef void env_on_accept(void *ctx, struct env_stream *stream); /* takes stream */
typedef void env_on_frame(void *ctx, const char *from, uint16_t to_store, const void *frame, size_t bytes);
typedef void env_on_name(void *ctx, const char *name);

enum { ENV_TLS_BINDING_BYTES = 64 };

struct env_tls_conf {
    const char *cert_file, *key_file; /* PEM; both NULL for a client without a certificate */
    const char *ca_file;              /* PEM; NULL: the peer is not verified */
    bool require_peer;                /* server: the client must show a certificate that ca_file vouches for */
};

struct env_ops {
    int64_t (*clock_ns)(struct env *env, enum env_clock clock);
    void (*timer_set)(struct env *env, struct timer *t, int64_t due_ns);
    void (*timer_cancel)(struct env *env, struct timer *t);
    uint64_t (*random)(struct env *env);
    void (*secret)(struct env *env, void *to, size_t bytes);
    void (*post)(struct env *to, struct env_post *p);
    void (*big_stack)(struct env *env, struct env_job *job);

    enum rc (*file_open)(struct env *env, const char *path, unsigned flags, struct env_file **ret, struct err *err);
    void (*file_close)(struct env_file *f);
    enum rc (*file_read)(struct env_file *f, void *to, size_t bytes, int64_t off, size_t *ret_bytes, struct err *err);
    enum rc (*file_write)(struct env_file *f, const void *from, size_t bytes, int64_t off, struct err *err);
    enum rc (*file_truncate)(struct env_file *f, int64_t bytes, struct err *err);
    enum rc (*file_size)(struct env_file *f, int64_t *ret_bytes, struct err *err);
    void (*io_submit)(struct env *env, struct env_io *io);
    enum rc (*rename)(struct env *env, const char *from, const char *to, struct err *err);
    enum rc (*unlink)(struct env *env, const char *path, struct err *err);
    enum rc (*mkdir)(struct env *env, const char *path, struct err *err);
    enum rc (*rmdir)(struct env *env, const char *path, struct err *err);
    enum rc (*dir_list)(struct env *env, const char *path, env_on_name *on_name, void *ctx, struct err *err);
    enum rc (*dir_lock)(struct env *env, const char *path, struct env_dir_lock **ret, struct err *err);
    void (*dir_unlock)(struct env_dir_lock *lock);
    enum rc (*disk_free)(struct env *env, const char *path, int64_t *ret_bytes, struct err *err);

    enum rc (*listen)(struct env *env, const char *addr, env_on_accept *on_accept, void *ctx, struct env_listener **ret,
                      struct err *err);
    const char *(*listener_addr)(struct env_listener *l);
    void (*listener_close)(struct env_listener *l);
    enum rc (*connect)(struct env *env, const char *addr, struct env_stream **ret, struct err *err);
    void (*stream_events)(struct env_stream *s, const struct env_stream_events *events, void *ctx);
    enum rc (*stream_read)(struct env_stream *s, void *to, size_t bytes, size_t *ret_bytes);
    enum rc (*stream_write)(struct env_stream *s, const struct iovec *iov, int count, size_t *ret_bytes);
    void (*stream_pause)(struct env_stream *s, bool pause);
    const char *(*stream_peer)(struct env_stream *s);
    void (*stream_move)(struct env_stream *s, struct env *to, env_on_accept *on_arrive, void *ctx);
    void (*stream_close)(struct env_stream *s);
    enum rc (*tls_new)(struct env *env, const struct env_tls_conf *conf, struct env_tls **ret, struct err *err);
    void (*tls_free)(struct env_tls *tls);
    size_t (*tls_binding)(struct env_tls *tls, uint8_t to[ENV_TLS_BINDING_BYTES]);
    enum rc (*stream_tls)(struct env_stream *s, struct env_tls *tls, bool server, struct err *err);

    enum rc (*page_map)(struct env *env, const char *path, size_t bytes, bool writer, struct env_page **ret,
                        struct err *err);
    void (*page_unmap)(struct env_page *page);
    enum rc (*shm_attach)(struct env *env, int32_t key, size_t bytes, unsigned create_mode, struct env_shm **ret,
                          struct err *err);
    void (*shm_detach)(struct env_shm *shm);
    void (*adjtime)(struct env *env, struct env_adjtime *ret);
    enum rc (*dgram_open)(struct env *env, const char *addr, env_on_dgram *on_readable, void *ctx,
                          struct env_dgram **ret, struct err *err);
    enum rc (*dgram_send)(struct env_dgram *d, const void *from, size_t bytes, struct err *err);
    enum rc (*dgram_recv)(struct env_dgram *d, void *to, size_t bytes, size_t *ret_bytes, struct err *err);
    void (*dgram_close)(struct env_dgram *d);
    enum rc (*boot_id)(struct env *env, char *ret, size_t bytes, struct err *err);
    /* A measurement of true time, by the simulator's own knowledge; NULL in env_real. */
    enum rc (*true_time)(struct env *env, unsigned unit, int64_t *ret_true_ns, int64_t *ret_bound_ns, struct err *err);

    /* The simulator's datagrams; NULL in env_real. */
    enum rc (*frame_listen)(struct env *env, const char *addr, env_on_frame *on_frame, void *ctx, struct err *err);
    void (*frame_send)(struct env *env, const char *to, uint16_t to_store, const struct iovec *iov, int count);
};

struct env {
    const struct env_ops *ops;
    struct chaos *chaos; /* NULL in production */
    struct diag diag;
    struct metrics metrics;
    uint16_t store, store_count; /* which store of its process this is */
    struct env *const *siblings; /* all of them, by store number, itself included */
    /* Set by the reactor: run what is ready; true = call again without waiting. */
    bool (*on_turn)(void *ctx);
    void *turn_ctx;
};

/* ---- time, randomness, threads ---------------------------------------------------------------------------------- */

static inline int64_t env_clock_ns(struct env *env, enum env_clock clock) {
    return env->ops->clock_ns(env, clock);
}

/* Nanoseconds of CLOCK_MONOTONIC: the scale of every deadline and timer. */
static inline int64_t env_now_ns(struct env *env) {
    return env->ops->clock_ns(env, ENV_CLOCK_MONO);
}

/* Fires once at or after due_ns (ENV_CLOCK_MONO). Cannot fail. The timer was timer_init'ed. */
static inline void env_timer_set(struct env *env, struct timer *t, int64_t due_ns) {
    env->ops->timer_set(env, t, due_ns);
}

static inline void env_timer_cancel(struct env *env, struct timer *t) {
    env->ops->timer_cancel(env, t);
}

/* For jitter and ids; not for secrets. */
static inline uint64_t env_random(struct env *env) {
    return env->ops->random(env);
}

/* Unpredictable bytes, for nonces and keys. */
static inline void env_secret(struct env *env, void *to, size_t bytes) {
    env->ops->secret(env, to, bytes);
}

/* Runs p->fn(p) on env `to`'s thread, soon, in the order of posting per sender. Any thread. Cannot fail. */
static inline void env_post(struct env *to, struct env_post *p) {
    to->ops->post(to, p);
}

/* Runs job->run on a 64 MiB stack elsewhere, then job->on_done here. */
static inline void env_big_stack(struct env *env, struct env_job *job) {
    env->ops->big_stack(env, job);
}

static inline bool env_chance(struct env *env, const char *place) {
    return chaos_chance(env->chaos, place);
}

static inline bool env_mutant(struct env *env, const char *rule) {
    return chaos_mutant(env->chaos, rule);
}

static inline void env_probe(struct env *env, const char *what) {
    chaos_probe(env->chaos, what);
}

/* The head of every env's file, stream, listener and datagram socket: who serves it. */
struct env_handle {
    struct env *env;
};

static inline struct env *env_of(const void *handle) {
    return ((const struct env_handle *)handle)->env;
}

/* ---- clocks and what tells the time ----------------------------------------------------------------------------- */

/* Maps `bytes` of the file for all processes of this machine that map it. The writer makes the file if it is not there,
 * lengthens it if it is short, and is the only one (RC_BUSY while another process holds it); a reader maps it read-only and
 * gets RC_NOTFOUND or, where the file is too short, RC_CORRUPT. The file must never be shortened. */
static inline enum rc env_page_map(struct env *env, const char *path, size_t bytes, bool writer, struct env_page **ret,
                                   struct err *err) {
    return env->ops->page_map(env, path, bytes, writer, ret, err);
}

static inline void env_page_unmap(struct env_page *page) {
    if (page)
        page->env->ops->page_unmap(page);
}

/* Attaches the System V segment of that key. create_mode 0: read-only, and it must be there (RC_NOTFOUND); else it is made
 * with these permission bits if it is not there, and attached for writing. RC_PERMISSION; RC_INVAL: it is smaller. The
 * segment outlives everybody who attached it. Only the caller's discipline makes access to it orderly. */
static inline enum rc env_shm_attach(struct env *env, int32_t key, size_t bytes, unsigned create_mode,
                                     struct env_shm **ret, struct err *err) {
    return env->ops->shm_attach(env, key, bytes, create_mode, ret, err);
}

static inline void env_shm_detach(struct env_shm *shm) {
    if (shm)
        shm->env->ops->shm_detach(shm);
}

static inline void env_adjtime(struct env *env, struct env_adjtime *ret) {
    env->ops->adjtime(env, ret);
}

/* A datagram socket that talks to one server: "unix:PATH" (binds a socket of its own beside PATH, writable for all, removed
 * at the close) or "udp:HOST:PORT" with a numeric HOST. on_readable follows each time a datagram may have come. */
static inline enum rc env_dgram_open(struct env *env, const char *addr, env_on_dgram *on_readable, void *ctx,
                                     struct env_dgram **ret, struct err *err) {
    return env->ops->dgram_open(env, addr, on_readable, ctx, ret, err);
}

/* Never waits. RC_UNREACHABLE: nobody listens there (any more); open anew to reach a successor. */
static inline enum rc env_dgram_send(struct env_dgram *d, const void *from, size_t bytes, struct err *err) {
    return env_of(d)->ops->dgram_send(d, from, bytes, err);
}

/* One datagram, cut off at `bytes`. RC_OK with *ret_bytes = 0: none there. RC_UNREACHABLE: what was sent was refused. */
static inline enum rc env_dgram_recv(struct env_dgram *d, void *to, size_t bytes, size_t *ret_bytes, struct err *err) {
    return env_of(d)->ops->dgram_recv(d, to, bytes, ret_bytes, err);
}

static inline void env_dgram_close(struct env_dgram *d) {
    if (d)
        env_of(d)->ops->dgram_close(d);
}

/* Names this boot of this machine and its time namespace: within one such id ENV_CLOCK_RAW of all processes is one scale. */
static inline enum rc env_boot_id(struct env *env, char *ret, size_t bytes, struct err *err) {
    return env->ops->boot_id(env, ret, bytes, err);
}

/* True time within +-*ret_bound_ns, as simulated master `unit` measures it now. RC_UNSUPPORTED outside of a simulation;
 * RC_UNREACHABLE: that master is lost. */
static inline enum rc env_true_time(struct env *env, unsigned unit, int64_t *ret_true_ns, int64_t *ret_bound_ns,
                                    struct err *err) {
    if (!env->ops->true_time)
        return err_set(err, RC_UNSUPPORTED, "the clock source \"sim\" is only there in a simulation");
    return env->ops->true_time(env, unit, ret_true_ns, ret_bound_ns, err);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* flags: enum env_open. RC_NOTFOUND, RC_EXISTS, RC_PERMISSION, RC_LIMIT (no descriptor left), RC_IO. */
static inline enum rc env_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret,
                                    struct err *err) {
    return env->ops->file_open(env, path, flags, ret, err);
}

/* NULL is fine. No request on the file may be under way. */
static inline void env_file_close(struct env_file *f) {
    if (f)
        env_of(f)->ops->file_close(f);
}

/* *ret_bytes < bytes only at the end of the file. Blocks on the disk where the page is not in memory. */
static inline enum rc env_file_read(struct env_file *f, void *to, size_t bytes, int64_t off, size_t *ret_bytes,
                                    struct err *err) {
    return env_of(f)->ops->file_read(f, to, bytes, off, ret_bytes, err);
}

/* All or an error; after RC_NOSPACE or RC_IO any part may have been written. */
static inline enum rc env_file_write(struct env_file *f, const void *from, size_t bytes, int64_t off, struct err *err) {
    return env_of(f)->ops->file_write(f, from, bytes, off, err);
}

static inline enum rc env_file_truncate(struct env_file *f, int64_t bytes, struct err *err) {
    return env_of(f)->ops->file_truncate(f, bytes, err);
}

static inline enum rc env_file_size(struct env_file *f, int64_t *ret_bytes, struct err *err) {
    return env_of(f)->ops->file_size(f, ret_bytes, err);
}

/* Starts io; its on_done always comes, with RC_SHUTDOWN when the env stops first. One lane serves its requests in order. */
static inline void env_io_submit(struct env *env, struct env_io *io) {
    env->ops->io_submit(env, io);
}

/* Replaces what was at `to`, atomically. */
static inline enum rc env_rename(struct env *env, const char *from, const char *to, struct err *err) {
    return env->ops->rename(env, from, to, err);
}

static inline enum rc env_unlink(struct env *env, const char *path, struct err *err) {
    return env->ops->unlink(env, path, err);
}

/* RC_EXISTS if it is there. */
static inline enum rc env_mkdir(struct env *env, const char *path, struct err *err) {
    return env->ops->mkdir(env, path, err);
}

static inline enum rc env_rmdir(struct env *env, const char *path, struct err *err) {
    return env->ops->rmdir(env, path, err);
}

/* Calls on_name for each entry, in name order, without "." and "..". */
static inline enum rc env_dir_list(struct env *env, const char *path, env_on_name *on_name, void *ctx,
                                   struct err *err) {
    return env->ops->dir_list(env, path, on_name, ctx, err);
}

/* Takes the directory for this process: RC_BUSY while another has it. */
static inline enum rc env_dir_lock(struct env *env, const char *path, struct env_dir_lock **ret, struct err *err) {
    return env->ops->dir_lock(env, path, ret, err);
}

static inline void env_dir_unlock(struct env_dir_lock *lock) {
    if (lock)
        env_of(lock)->ops->dir_unlock(lock);
}

/* Bytes that this process may still use on the disk that holds path. */
static inline enum rc env_disk_free(struct env *env, const char *path, int64_t *ret_bytes, struct err *err) {
    return env->ops->disk_free(env, path, ret_bytes, err);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

/* addr: "HOST:PORT" (port 0: any free one), "[IPV6]:PORT", or "fd:N", a listening socket inherited from the parent. */
static inline enum rc env_listen(struct env *env, const char *addr, env_on_accept *on_accept, void *ctx,
                                 struct env_listener **ret, struct err *err) {
    return env->ops->listen(env, addr, on_accept, ctx, ret, err);
}

/* "HOST:PORT" with the real port; lives as long as the listener. */
static inline const char *env_listener_addr(struct env_listener *l) {
    return env_of(l)->ops->listener_addr(l);
}

static inline void env_listener_close(struct env_listener *l) {
    if (l)
        env_of(l)->ops->listener_close(l);
}

/* Begins to connect; on_open or on_broken follows. RC_INVAL: not an address. */
static inline enum rc env_connect(struct env *env, const char *addr, struct env_stream **ret, struct err *err) {
    return env->ops->connect(env, addr, ret, err);
}

/* Sets who hears of the stream. An accepted stream without events holds its bytes back. */
static inline void env_stream_events(struct env_stream *s, const struct env_stream_events *events, void *ctx) {
    env_of(s)->ops->stream_events(s, events, ctx);
}

/* RC_OK with *ret_bytes = 0: nothing there now, on_readable follows. RC_CLOSED: orderly end, or broken. */
static inline enum rc env_stream_read(struct env_stream *s, void *to, size_t bytes, size_t *ret_bytes) {
    return env_of(s)->ops->stream_read(s, to, bytes, ret_bytes);
}

/* Takes what fits now. *ret_bytes less than given: on_writable follows. RC_CLOSED: broken. */
static inline enum rc env_stream_write(struct env_stream *s, const struct iovec *iov, int count, size_t *ret_bytes) {
    return env_of(s)->ops->stream_write(s, iov, count, ret_bytes);
}

/* While paused there is no on_readable: the peer feels it through the window. */
static inline void env_stream_pause(struct env_stream *s, bool pause) {
    env_of(s)->ops->stream_pause(s, pause);
}

/* The peer's address, for people. */
static inline const char *env_stream_peer(struct env_stream *s) {
    return env_of(s)->ops->stream_peer(s);
}

/* Gives s to another store of this process: it calls on_arrive on its thread. s is gone here. */
static inline void env_stream_move(struct env_stream *s, struct env *to, env_on_accept *on_arrive, void *ctx) {
    env_of(s)->ops->stream_move(s, to, on_arrive, ctx);
}

/* Bytes that a write took are still delivered if the peer reads them. NULL is fine. No callback comes any more. */
static inline void env_stream_close(struct env_stream *s) {
    if (s)
        env_of(s)->ops->stream_close(s);
}

/* A TLS context, for all stores of the process. */
static inline enum rc env_tls_new(struct env *env, const struct env_tls_conf *conf, struct env_tls **ret,
                                  struct err *err) {
    return env->ops->tls_new(env, conf, ret, err);
}

static inline void env_tls_free(struct env *env, struct env_tls *tls) {
    if (tls)
        env->ops->tls_free(tls);
}

/* The hash of the own certificate as RFC 5929's tls-server-end-point wants it; 0: there is none. */
static inline size_t env_tls_binding(struct env *env, struct env_tls *tls, uint8_t to[ENV_TLS_BINDING_BYTES]) {
    return tls ? env->ops->tls_binding(tls, to) : 0;
}

/* From now on s speaks TLS: no plain byte may have been read beyond what the peer sent before. on_open follows. */
static inline enum rc env_stream_tls(struct env_stream *s, struct env_tls *tls, bool server, struct err *err) {
    return env_of(s)->ops->stream_tls(s, tls, server, err);
}

#endif
