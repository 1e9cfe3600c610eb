/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h: a whole cluster in one thread and virtual time, replayed exactly from a seed.
 *
 * A simulated node is a process (program.h) with its stores' envs, a disk, a clock and a place in the network. Nothing
 * happens between events; an event is a timer, a message, an I/O that ended, a fault, or a test's own callback. Time jumps
 * from one event to the next.
 *
 * Promise     The order of events and everything a node can observe is a pure function of the seed and of the calls made
 *             here: sim_trace gives a hash over all of it, and the same seed gives the same hash.
 * Relies on   programs that reach the outside only through their env.
 * Threads     one.
 * Limits      code takes no virtual time: a loop that waits for the clock without parking never ends.
 */
#ifndef MERIDIAN_SIM_H
#define MERIDIAN_SIM_H

#include "shard/runtime/program.h"
#include "truetime/base/rng.h"

struct sim;
struct sim_node;

enum { SIM_NODES_MAX = 64, SIM_NAME_BYTES = 16 };
#define SIM_EPOCH_NS INT64_C(1767225600000000000) /* true time when a simulation starts: 2026-01-01T00:00:00Z */

struct sim_conf {
    uint64_t seed;
    enum diag_level level; /* below it lines are neither printed nor part of the trace */
    bool print;            /* diagnostics to standard error, with the true time in front */
    const char *mutant;    /* the rule to break, or NULL */
};

struct sim *sim_new(const struct sim_conf *conf); /* NULL: out of memory */
void sim_free(struct sim *s);                     /* crashes what still runs, checks that nothing leaked */
uint64_t sim_seed(const struct sim *s);
/* Virtual nanoseconds since the start; the true time is SIM_EPOCH_NS + sim_now. */
int64_t sim_now(const struct sim *s);
static inline int64_t sim_true_ns(const struct sim *s) {
    return SIM_EPOCH_NS + sim_now(s);
}
/* For workloads and faults made by a test: separate from the world's own, so that one does not shift the other. */
struct rng *sim_rng(struct sim *s);
uint64_t sim_events(const struct sim *s);
uint64_t sim_trace(const struct sim *s);
/* A test's own observations become part of the trace. */
void sim_trace_mix(struct sim *s, uint64_t x);

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* One event; false when there is none. */
bool sim_step(struct sim *s);
/* All events up to and including virtual time until_ns, which it then is. */
void sim_run(struct sim *s, int64_t until_ns);
/* Until pred says true (asked after each event) or until_ns; returns the last answer. */
bool sim_run_until(struct sim *s, bool (*pred)(void *ctx), void *ctx, int64_t until_ns);
/* Called after every event: the checks of invariants. */
void sim_on_event(struct sim *s, void (*fn)(void *ctx), void *ctx);

/* A callback of the test at a virtual time; it must not be freed before. */
struct sim_call {
    struct timer timer;
    struct sim *sim;
    void (*fn)(void *ctx);
    void *ctx;
};
void sim_call_at(struct sim *s, struct sim_call *call, int64_t at_ns, void (*fn)(void *ctx), void *ctx);
void sim_call_cancel(struct sim_call *call);

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* name is its host in addresses ("n1:7433"). program and arg stay the caller's. */
struct sim_node *sim_node_new(struct sim *s, const char *name, uint16_t stores, const struct program *program,
                              void *arg);
enum rc sim_node_start(struct sim_node *n, struct err *err) MUST_CHECK;
/* Asks the program to end, as SIGTERM does; it does so in the events that follow. */
void sim_node_stop(struct sim_node *n);

enum sim_crash {
    SIM_KILL, /* kill -9: what was written stays in the page cache; peers get a reset */
    SIM_POWER, /* power loss: unsynced writes and names are lost, kept or torn; peers hear nothing. The machine boots anew:
                * RAW, MONO and BOOT start again, REAL goes on (a battery) */
};
void sim_node_crash(struct sim_node *n, enum sim_crash how);
/* Dies at its io_count-th next I/O operation (1 = the next), before or within it: any point between two writes. */
void sim_node_crash_at_io(struct sim_node *n, enum sim_crash how, uint64_t io_count);
bool sim_node_running(const struct sim_node *n);
uint32_t sim_node_incarnation(const struct sim_node *n); /* counts starts */
uint16_t sim_node_id(const struct sim_node *n);          /* 0, 1, ... in order of creation */
const char *sim_node_name(const struct sim_node *n);
struct sim_node *sim_node_at(struct sim *s, uint16_t id);
uint16_t sim_nodes(const struct sim *s);
struct env *sim_node_env(struct sim_node *n, uint16_t store); /* while it runs */
void *sim_node_state(struct sim_node *n);                     /* what boot made; NULL while it does not run */
uint64_t sim_node_io_count(const struct sim_node *n);         /* I/O operations of this incarnation */

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

enum sim_pause {
    SIM_STALL,   /* SIGSTOP, or a busy machine: clocks go on */
    SIM_SUSPEND, /* laptop lid: MONO and RAW stand still, BOOT and REAL go on */
    SIM_VM,      /* hypervisor: every clock stands still, nothing inside can tell */
};
void sim_node_pause(struct sim_node *n, enum sim_pause how, int64_t ns);
/* The oscillator runs this many parts per billion too fast. */
void sim_clock_drift(struct sim_node *n, int64_t ppb);
/* `date -s`: REAL jumps. */
void sim_clock_step(struct sim_node *n, int64_t ns);
/* What a clock of the node says now. */
int64_t sim_clock_read(const struct sim_node *n, enum env_clock clock);

/* ---- what tells a node the time ----------------------------------------------------------------------------------- */

/* What env_true_time says on this node as master `unit`: true time + lie, with an error uniform in +-jitter. */
struct sim_truth {
    int64_t bound_ns, jitter_ns; /* the bound that it claims (100 us), the error that it has (80 us) */
    int64_t lie_ns;
    bool lost;
};
enum { SIM_TRUTHS = 8 };
struct sim_truth *sim_truth(struct sim_node *n, unsigned unit);
/* The memory of the node's System V segment of that key, made if it is not there: for a simulated master, another process of
 * the same machine, that writes when its test says so. It survives kills; after a power loss it is there again, zeroed, when
 * somebody calls this. */
void *sim_shm(struct sim_node *n, int32_t key, size_t bytes);
/* Answers datagrams that the node sends to addr: fn runs at the virtual time at which the server reads the request, up to
 * delay_ns after it was sent, and the reply arrives up to delay_ns later. It returns the reply's bytes, 0 = no answer. A NULL
 * fn: nobody is there. At most SIM_SERVERS of them. */
enum { SIM_SERVERS = 4 };
typedef size_t sim_serve_fn(void *ctx, const void *request, size_t bytes, void *reply, size_t cap);
void sim_serve(struct sim_node *n, const char *addr, int64_t delay_ns, sim_serve_fn *fn, void *ctx);
/* What the node's kernel says of its clock; unsynchronised at first. */
struct env_adjtime *sim_adjtime(struct sim_node *n);

/* ---- network ----------------------------------------------------------------------------------------------------- */

struct sim_link {
    int64_t latency_ns;  /* one way */
    int64_t jitter_ns;   /* mean of the exponential part on top */
    double loss;         /* of a frame; a stream's bytes come a retransmission later instead */
    double duplicate;    /* frames only */
    double reorder;      /* frames only: this part comes up to 20 latencies late */
    double corrupt;      /* a flipped bit: frames, and bytes of a stream (a bad switch behind the checksum) */
    int64_t bytes_per_s; /* 0 = unlimited */
    bool cut;
};
/* The direction from a to b. A node's link to itself is a loopback. */
struct sim_link *sim_link(struct sim_node *a, struct sim_node *b);
void sim_link_both(struct sim_node *a, struct sim_node *b, const struct sim_link *link);
/* Every link between different nodes, present and future. */
void sim_links_all(struct sim *s, const struct sim_link *link);
/* Cuts or heals both directions between every node of the set and every node outside; bit i = node i. */
void sim_partition(struct sim *s, uint64_t nodes, bool cut);
void sim_heal(struct sim *s);
/* Breaks every established stream between two nodes, as a reset does. */
void sim_reset_streams(struct sim_node *a, struct sim_node *b);

/* ---- disks ------------------------------------------------------------------------------------------------------- */

struct sim_disk_faults {
    double read_eio, write_eio, sync_eio; /* of one operation; a failed sync leaves its data never to become durable */
    int64_t sync_ns, sync_jitter_ns;      /* of one sync: fixed part, and mean of the exponential part */
    int64_t hang_until_ns;                /* syncs under way and to come end after this virtual time */
    int64_t capacity_bytes;               /* writes beyond it fail with RC_NOSPACE; 0 = unlimited */
};
struct sim_disk_faults *sim_disk_faults(struct sim_node *n);
/* Flips a bit of stored data; false if there is no such byte. */
bool sim_disk_flip(struct sim_node *n, const char *path, int64_t off, unsigned bit);
/* Throws everything away: a new, empty disk. The node must not run. */
void sim_disk_wipe(struct sim_node *n);
/* Calls fn for every file of the node, in name order. */
void sim_disk_each(struct sim_node *n, void (*fn)(void *ctx, const char *path, int64_t bytes), void *ctx);
/* Copies a stored file out, for looking at it; returns its size, or -1. */
int64_t sim_disk_copy(struct sim_node *n, const char *path, void *to, size_t bytes);

/* ---- chaos ------------------------------------------------------------------------------------------------------- */

/* How often env_chance(place) is true; otherwise a seed enables a quarter of all places at a small rate of its own. */
void sim_chance(struct sim *s, const char *place, double p);
/* All places not named: off. */
void sim_chance_off(struct sim *s);
uint64_t sim_probe(const struct sim *s, const char *what); /* how often it was hit */
void sim_probes_each(const struct sim *s, void (*fn)(void *ctx, const char *what, uint64_t hits), void *ctx);

#endif
