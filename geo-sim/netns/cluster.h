/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.h: what lives in a world: real nodes (`meridian start`) in the seats of its topology, and the time masters of its
 * regions (`meridian clock master`).
 *
 *     host loopback    127.0.0.1:7432  ->  SQL of us-east-1 (the socket is opened here and handed over: --sql fd:N)
 *     us-east's place  us-east-1: meridian start --rpc 10.77.1.1:7433 --clock "shm:U;shm:U+1;shm:U+2" ...
 *                      three masters that write the units U, U+1, U+2 of ntpd's shared memory
 *     loopback world   the same with --rpc 127.0.0.1:PORT and --test-links WORLD/world.topo
 *
 * Promise     up returns when every node serves and every tablet has its voters, or leaves nothing behind. What is started
 *             carries the world's name in its environment, so geo_sweep_processes finds all of it, and only that, whatever
 *             became of its maker.
 * Relies on   the program `meridian` beside this one; geo_world_enter.
 * Threads     the main one.
 *
 * WORLD/cluster holds what is here read and written: one line a node and a master (cluster.c).
 */
#ifndef MERIDIAN_GEO_CLUSTER_H
#define MERIDIAN_GEO_CLUSTER_H

#include "geo-sim/netns/launcher.h"
#include "geo-sim/netns/world.h"

enum {
    GEO_NODES_MAX = 64,
    GEO_RPC_BYTES = 32,
    GEO_SQL_PORT = 7432,
    GEO_HTTP_PORT = 7480,
    GEO_RPC_PORT = 7433,
    GEO_LOOPBACK_RPC_PORT = 7533,
    GEO_OTHER_PORTS_MAX = 1024
};

struct geo_node {
    char name[TOPO_PLACE_BYTES + 4]; /* "us-east-1" */
    unsigned place, index;
    pid_t pid;     /* 0: was never started */
    uint64_t born; /* its start time as /proc tells it: a number that is given anew is somebody else */
    char rpc[GEO_RPC_BYTES];
    unsigned sql_port, http_port; /* on the host's loopback */
    bool paused;
};

struct geo_master {
    unsigned region, k;
    int unit;
    pid_t pid;
    uint64_t born;
    int64_t offset_ns; /* the time that it tells is off by so much */
};

/* A region's chronyd, where its nodes ask one (chrony.h). */
struct geo_chronyd {
    unsigned region;
    pid_t pid;
    uint64_t born;
};

struct geo_cluster {
    const struct geo_world *world;
    char program[SYS_PATH_BYTES]; /* meridian */
    char data[SYS_PATH_BYTES];
    unsigned stores, nodes, masters, others;
    unsigned other_port[GEO_OTHER_PORTS_MAX]; /* of other worlds, whose nodes may be dead at the moment */
    struct geo_node node[GEO_NODES_MAX];
    struct geo_master master[TOPO_REGIONS_MAX * TOPO_MASTERS_MAX];
    struct geo_chronyd chronyd[TOPO_REGIONS_MAX];
    unsigned chronyds;
};

/* data: NULL = a directory of this user's under /var/tmp; removed by down. w outlives the cluster. */
enum rc geo_cluster_up(const struct geo_world *w, const char *data, unsigned stores, struct geo_cluster **ret,
                       struct err *err) MUST_CHECK;
/* Until every region that is to have a read replica of each tablet has one; RC_TIMEOUT. */
enum rc geo_cluster_await_reads(const struct geo_cluster *c, struct err *err) MUST_CHECK;
/* RC_NOTFOUND: the world has none. */
enum rc geo_cluster_open(const struct geo_world *w, struct geo_cluster **ret, struct err *err) MUST_CHECK;
void geo_cluster_free(struct geo_cluster *c); /* it goes on; NULL is fine */
enum rc geo_cluster_save(const struct geo_cluster *c, struct err *err) MUST_CHECK;

bool geo_process_alive(pid_t pid, uint64_t born);
static inline bool geo_node_alive(const struct geo_node *n) {
    return geo_process_alive(n->pid, n->born);
}
/* The nodes of a SET of the topology, or one by its name: bit i = node i. */
enum rc geo_cluster_match(const struct geo_cluster *c, const char *set, uint64_t *ret, struct err *err) MUST_CHECK;

/* SIGKILL and the like to each of the nodes; those that are dead are passed over. SIGSTOP and SIGCONT are remembered. */
enum rc geo_cluster_signal(struct geo_cluster *c, uint64_t nodes, int signal, struct err *err) MUST_CHECK;
/* Waits until these have ended. RC_TIMEOUT. */
enum rc geo_cluster_await_end(const struct geo_cluster *c, uint64_t nodes, int wait_ms, struct err *err) MUST_CHECK;
/* Starts those of the nodes that do not run, with what they had before. wait: until they serve. */
enum rc geo_cluster_start(struct geo_cluster *c, uint64_t nodes, bool wait, struct err *err) MUST_CHECK;
enum rc geo_cluster_await_ready(struct geo_cluster *c, uint64_t nodes, int wait_ms, struct err *err) MUST_CHECK;

/* The first `count` masters of a region end, or (re)start telling a time that is off by offset_ns. count 0: all. */
enum rc geo_masters_stop(struct geo_cluster *c, unsigned region, unsigned count, struct err *err) MUST_CHECK;
enum rc geo_masters_set(struct geo_cluster *c, unsigned region, unsigned count, int64_t offset_ns,
                        struct err *err) MUST_CHECK;

/* The system clocks of a region's machines: how far REALTIME is off from now on, how fast the oscillator goes; NULL: as it is.
 * RC_UNSUPPORTED where nodes do not get the time from masters that they read themselves. */
enum rc geo_clocks_set(struct geo_cluster *c, unsigned region, const int64_t *off_ns, const int64_t *rate_ppb,
                       struct err *err) MUST_CHECK;

/* Runs `meridian WORD...` where node i is; its standard output. words ends with NULL. RC_IO: it failed. */
enum rc geo_cluster_ask(const struct geo_cluster *c, unsigned node, const char *const *words, struct buf *out,
                        struct err *err) MUST_CHECK;

/* What the cluster says of itself, by the first node that answers: the number of each node, and how many tablets it leads. */
struct geo_seen {
    bool known;
    unsigned number[GEO_NODES_MAX], leads[GEO_NODES_MAX];
    bool up[GEO_NODES_MAX];
    char clock[GEO_NODES_MAX][16];
};
void geo_cluster_look(const struct geo_cluster *c, struct geo_seen *ret);

/* Processes that were started for the world that is remembered in dir: SIGTERM, wait_ms later SIGKILL. How many there were. */
unsigned geo_sweep_processes(const char *dir, int wait_ms);
/* The nodes' data and the masters' memory, as dir/cluster names them. */
void geo_sweep_files(const char *dir);

#endif
