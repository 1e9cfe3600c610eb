/* SPDX-License-Identifier: Apache-2.0 */
/* env_real_internal.h: what env_real's files share. Nobody else includes it. */
#ifndef MERIDIAN_RUNTIME_ENV_REAL_INTERNAL_H
#define MERIDIAN_RUNTIME_ENV_REAL_INTERNAL_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include "shard/runtime/env_real.h"
#include "truetime/base/ilist.h"
#include "truetime/base/rng.h"

/* A thread that takes whatever has gathered and serves it: serve(owner, first) gets a list linked by post.next. */
struct lane {
    struct env_real *owner;
    void (*serve)(struct env_real *owner, struct env_post *first);
    size_t stack_bytes; /* 0 = the system's default */
    const char *name;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    pthread_t thread;
    struct env_post *first, **last;
    bool started, stop;
};

struct env_real {
    struct env env; /* first */
    struct process *process;
    struct event_base *base;
    struct event *wake_event, *timer_event;
    int wake_fd, timer_fd;
    int64_t timer_armed_ns; /* what timer_fd is set to; INT64_MAX = not */
    struct timerq timers;
    struct rng rng;
    _Atomic(struct env_post *) posts; /* newest first */
    _Atomic bool asleep;              /* in, or about to enter, a blocking poll */
    _Atomic bool stop;
    bool stop_seen;
    struct lane lanes[ENV_LANES], jobs;
    struct ilist streams; /* of this store: closed at the end */
};

void lane_init(struct lane *l, struct env_real *owner, const char *name, size_t stack_bytes,
               void (*serve)(struct env_real *owner, struct env_post *first));
void lane_submit(struct lane *l, struct env_post *p);
void lane_done(struct lane *l);

/* env_real_file.c */
void real_io_serve(struct env_real *owner, struct env_post *first);
enum rc real_file_open(struct env *, const char *, unsigned, struct env_file **, struct err *);
void real_file_close(struct env_file *);
enum rc real_file_read(struct env_file *, void *, size_t, int64_t, size_t *, struct err *);
enum rc real_file_write(struct env_file *, const void *, size_t, int64_t, struct err *);
enum rc real_file_truncate(struct env_file *, int64_t, struct err *);
enum rc real_file_size(struct env_file *, int64_t *, struct err *);
void real_io_submit(struct env *, struct env_io *);
enum rc real_rename(struct env *, const char *, const char *, struct err *);
enum rc real_unlink(struct env *, const char *, struct err *);
enum rc real_mkdir(struct env *, const char *, struct err *);
enum rc real_rmdir(struct env *, const char *, struct err *);
enum rc real_dir_list(struct env *, const char *, env_on_name *, void *, struct err *);
enum rc real_dir_lock(struct env *, const char *, struct env_dir_lock **, struct err *);
void real_dir_unlock(struct env_dir_lock *);
enum rc real_disk_free(struct env *, const char *, int64_t *, struct err *);

/* env_real_clock.c */
enum rc real_page_map(struct env *, const char *, size_t, bool, struct env_page **, struct err *);
void real_page_unmap(struct env_page *);
enum rc real_shm_attach(struct env *, int32_t, size_t, unsigned, struct env_shm **, struct err *);
void real_shm_detach(struct env_shm *);
void real_adjtime(struct env *, struct env_adjtime *);
enum rc real_boot_id(struct env *, char *, size_t, struct err *);
enum rc real_dgram_open(struct env *, const char *, env_on_dgram *, void *, struct env_dgram **, struct err *);
enum rc real_dgram_send(struct env_dgram *, const void *, size_t, struct err *);
enum rc real_dgram_recv(struct env_dgram *, void *, size_t, size_t *, struct err *);
void real_dgram_close(struct env_dgram *);

/* env_real_stream.c */
enum rc real_listen(struct env *, const char *, env_on_accept *, void *, struct env_listener **, struct err *);
const char *real_listener_addr(struct env_listener *);
void real_listener_close(struct env_listener *);
enum rc real_connect(struct env *, const char *, struct env_stream **, struct err *);
void real_stream_events(struct env_stream *, const struct env_stream_events *, void *);
enum rc real_stream_read(struct env_stream *, void *, size_t, size_t *);
enum rc real_stream_write(struct env_stream *, const struct iovec *, int, size_t *);
void real_stream_pause(struct env_stream *, bool);
const char *real_stream_peer(struct env_stream *);
void real_stream_move(struct env_stream *, struct env *, env_on_accept *, void *);
void real_stream_close(struct env_stream *);
enum rc real_tls_new(struct env *, const struct env_tls_conf *, struct env_tls **, struct err *);
void real_tls_free(struct env_tls *);
size_t real_tls_binding(struct env_tls *, uint8_t *);
enum rc real_stream_tls(struct env_stream *, struct env_tls *, bool, struct err *);

#endif
