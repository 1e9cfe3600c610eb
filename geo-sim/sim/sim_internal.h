/* SPDX-License-Identifier: Apache-2.0 */
/* sim_internal.h: what the simulator's files share. Nobody else includes it. */
#ifndef MERIDIAN_SIM_INTERNAL_H
#define MERIDIAN_SIM_INTERNAL_H

#include "geo-sim/sim/disk.h"
#include "geo-sim/sim/sim.h"
#include "truetime/base/ilist.h"
#include "truetime/base/map.h"

enum { LISTENERS_MAX = 16 };

struct sim_env;

/* An event of an env: its handler runs as that env's thread would, unless the node is paused. */
struct sim_event {
    struct timer timer;
    struct sim_env *env;
    void (*fn)(struct sim_env *e, struct sim_event *ev);
    const char *kind;
};

struct sim_lane {
    struct env_io *first, **last; /* waiting */
    struct env_io *batch;         /* under way */
    struct disk_sync **syncs;     /* of the batch, one a file */
    size_t sync_count;
    struct sim_event done;
};

struct sim_env {
    struct env env; /* first */
    struct sim *sim;
    struct sim_node *node;
    struct timerq timers;
    struct sim_event tick, posted, again, job_done;
    struct env_post *posts, **posts_last;
    struct env_job *jobs, **jobs_last;
    struct sim_lane lanes[ENV_LANES];
    bool stopping, in_turn;
};

struct sim_clock {
    int64_t base_true; /* sim_now when the present rate began */
    int64_t base_raw;  /* RAW then */
    int64_t ppb;
    int64_t boot_off, real_off; /* BOOT - RAW, REAL - RAW */
    int64_t frozen_until;       /* SUSPEND and VM: RAW stands still until this virtual time */
    bool suspended;             /* frozen by SUSPEND: BOOT and REAL go on */
};

/* A frame handler or a stream listener of a node, by port and store. */
struct sim_port {
    uint16_t port;
    struct sim_env *env;
    env_on_frame *on_frame;
    void *frame_ctx;
    struct env_listener *listener;
};

/* Memory that outlives a process of the node: a mapped file, or a System V segment. */
struct sim_memory {
    struct ilist link;
    char path[ENV_PATH_BYTES]; /* of a page */
    int32_t key;               /* of a segment */
    size_t bytes;
    unsigned users;
    bool writer;  /* somebody maps it for writing */
    bool ghost;   /* of a dead incarnation: freed with its last user */
    bool present; /* a segment that somebody has made since the power came on */
    void *memory;
};

struct sim_server {
    char addr[ENV_ADDR_BYTES]; /* "" = free */
    int64_t delay_ns;
    sim_serve_fn *fn;
    void *ctx;
};

struct sim_node {
    struct sim *sim;
    uint16_t id, stores;
    char name[SIM_NAME_BYTES];
    const struct program *program;
    void *arg, *state;
    struct sim_env *envs; /* while it runs, and while a dead incarnation is taken down */
    struct env **siblings;
    struct disk *disk;  /* what the next incarnation finds, once crashed */
    struct disk *ghost; /* what the present one sees after its crash, else NULL */
    struct sim_disk_faults faults;
    struct sim_clock clock;
    int64_t paused_until;
    uint32_t incarnation;
    bool running, crashed, stopping, powered_off;
    enum sim_crash crash_how;
    uint64_t io_count, crash_at_io;
    struct sim_call stop_poll;
    struct sim_port ports[LISTENERS_MAX];
    uint16_t next_port;
    struct ilist files, locks, streams;
    struct ilist pages, segments; /* struct sim_memory */
    struct ilist dgrams;
    struct sim_server servers[SIM_SERVERS];
    struct sim_truth truths[SIM_TRUTHS];
    struct env_adjtime adjtime;
    uint32_t boots;
};

struct sim_place {
    struct map_node node;
    const char *name;
    double p;
    uint64_t hits;
};

struct sim {
    struct sim_conf conf;
    struct timerq queue;
    int64_t now;
    uint64_t events, trace;
    struct rng world, workload, chaos_rng;
    struct chaos chaos;
    struct map places, probes; /* by name */
    bool chance_off;
    struct sim_node *nodes[SIM_NODES_MAX];
    uint16_t node_count;
    struct sim_node *doomed; /* crashed within this event: to be taken down after it */
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_link link_default;
    struct ilist frames; /* datagrams under way */
    struct ilist conns;
    void (*on_event)(void *ctx);
    void *on_event_ctx;
};

/* sim.c */
void sim_mix(struct sim *s, uint64_t x);
void sim_event_init(struct sim_event *ev, struct sim_env *e, const char *kind,
                    void (*fn)(struct sim_env *e, struct sim_event *ev));
void sim_event_set(struct sim_event *ev, int64_t at);
static inline void sim_event_cancel(struct sim *s, struct sim_event *ev) {
    timerq_cancel(&s->queue, &ev->timer);
}
/* Counts an I/O of the node; true when the node is dead, so that the effect must not happen. */
bool sim_io(struct sim_node *n);

/* sim_env.c */
extern const struct env_ops sim_ops;
void sim_env_init(struct sim_env *e, struct sim_node *n, uint16_t store);
void sim_env_done(struct sim_env *e);
/* Runs the reactor after something happened in e. */
void sim_env_turn(struct sim_env *e);
/* One step of a dead env towards its end; false when nothing moved. */
bool sim_env_drain(struct sim_env *e);
int64_t sim_clock_at(const struct sim_node *n, enum env_clock clock, int64_t t);
void sim_clock_start(struct sim_node *n);
void sim_clock_reboot(struct sim_node *n);

/* sim_clock.c */
enum rc sim_page_map(struct env *, const char *, size_t, bool, struct env_page **, struct err *);
void sim_page_unmap(struct env_page *);
enum rc sim_shm_attach(struct env *, int32_t, size_t, unsigned, struct env_shm **, struct err *);
void sim_shm_detach(struct env_shm *);
void sim_adjtime_get(struct env *, struct env_adjtime *);
enum rc sim_dgram_open(struct env *, const char *, env_on_dgram *, void *, struct env_dgram **, struct err *);
enum rc sim_dgram_send(struct env_dgram *, const void *, size_t, struct err *);
enum rc sim_dgram_recv(struct env_dgram *, void *, size_t, size_t *, struct err *);
void sim_dgram_close(struct env_dgram *);
enum rc sim_boot_id(struct env *, char *, size_t, struct err *);
enum rc sim_true_time(struct env *, unsigned, int64_t *, int64_t *, struct err *);
void sim_time_init(struct sim_node *n);
void sim_time_node_down(struct sim_node *n, enum sim_crash how);
void sim_time_done(struct sim_node *n);

/* sim_file.c */
enum rc sim_file_open(struct env *, const char *, unsigned, struct env_file **, struct err *);
void sim_file_close(struct env_file *);
enum rc sim_file_read(struct env_file *, void *, size_t, int64_t, size_t *, struct err *);
enum rc sim_file_write(struct env_file *, const void *, size_t, int64_t, struct err *);
enum rc sim_file_truncate(struct env_file *, int64_t, struct err *);
enum rc sim_file_size(struct env_file *, int64_t *, struct err *);
void sim_io_submit(struct env *, struct env_io *);
enum rc sim_rename(struct env *, const char *, const char *, struct err *);
enum rc sim_unlink(struct env *, const char *, struct err *);
enum rc sim_mkdir(struct env *, const char *, struct err *);
enum rc sim_rmdir(struct env *, const char *, struct err *);
enum rc sim_dir_list(struct env *, const char *, env_on_name *, void *, struct err *);
enum rc sim_dir_lock(struct env *, const char *, struct env_dir_lock **, struct err *);
void sim_dir_unlock(struct env_dir_lock *);
enum rc sim_disk_free_bytes(struct env *, const char *, int64_t *, struct err *);
void sim_lane_init(struct sim_env *e, struct sim_lane *l);
bool sim_lane_abort(struct sim_env *e, struct sim_lane *l); /* answers everything RC_SHUTDOWN */
struct disk *sim_node_disk(struct sim_node *n);

/* sim_net.c */
enum rc sim_listen(struct env *, const char *, env_on_accept *, void *, struct env_listener **, struct err *);
const char *sim_listener_addr(struct env_listener *);
void sim_listener_close(struct env_listener *);
enum rc sim_connect(struct env *, const char *, struct env_stream **, struct err *);
void sim_stream_events(struct env_stream *, const struct env_stream_events *, void *);
enum rc sim_stream_read(struct env_stream *, void *, size_t, size_t *);
enum rc sim_stream_write(struct env_stream *, const struct iovec *, int, size_t *);
void sim_stream_pause(struct env_stream *, bool);
const char *sim_stream_peer(struct env_stream *);
void sim_stream_move(struct env_stream *, struct env *, env_on_accept *, void *);
void sim_stream_close(struct env_stream *);
enum rc sim_tls_new(struct env *, const struct env_tls_conf *, struct env_tls **, struct err *);
void sim_tls_free(struct env_tls *);
size_t sim_tls_binding(struct env_tls *, uint8_t *);
enum rc sim_stream_tls(struct env_stream *, struct env_tls *, bool, struct err *);
enum rc sim_frame_listen(struct env *, const char *, env_on_frame *, void *, struct err *);
void sim_frame_send(struct env *, const char *, uint16_t, const struct iovec *, int);
void sim_net_node_down(struct sim_node *n, enum sim_crash how);
bool sim_net_drain(struct sim_env *e);
void sim_net_done(struct sim *s);

#endif
