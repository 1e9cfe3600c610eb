/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testnode.h: nodes for the network's tests: several real processes (program.h) in one test program, on 127.0.0.1,
 * each with its stores' rpc and the same few services.
 *
 *     struct testnode *a = testnode_start(&(struct testnode_conf){.node = 1});
 *     struct testnode *b = testnode_start(&(struct testnode_conf){.node = 2, .stores = 2});
 *     testnode_meet(a, b);
 *     testnode_run(a, body, b);       body(rpc of a's store 0, b) on a fiber; returns when it does
 *     testnode_stop(b), testnode_stop(a);
 *
 * Assertions are made in bodies and by the main thread, which waits meanwhile: never two at once.
 */
#ifndef MERIDIAN_TESTS_TESTNODE_H
#define MERIDIAN_TESTS_TESTNODE_H

#include <stdatomic.h>

#include "shard/net/rpc.h"
#include "shard/net/stream.h"
#include "tests/unit/net/echo.pb-c.h"

enum { TESTNODE_STORES_MAX = 4, TESTNODE_DIAG_BYTES = 1 << 16 };
enum { MS = 1000000, SECOND = 1000000000 };

/* Message types. */
enum {
    TYPE_ECHO = 1,     /* call: data comes back; sleeps, fails, blows up as asked */
    TYPE_NOTE = 2,     /* one-way, on a fiber */
    TYPE_NOTE_NOW = 3, /* one-way, direct */
    TYPE_UPLOAD = 4,   /* stream: reads all, answers with one chunk: the bytes as u64; Ask.sleep_ns before each read */
    TYPE_DOWNLOAD = 5, /* stream: writes Ask.answer_bytes in chunks of 10,000 */
    TYPE_JOIN = 6,     /* call, also for strangers */
    TYPE_ABROAD = 7,   /* known here as a client only */
    TYPE_FEW = 8,      /* call: at most two at once */
    TYPE_BIG = 9,      /* call, on a large fiber */
};

struct testnode_conf {
    uint32_t node;
    uint16_t stores;             /* 0 = 1 */
    const char *cluster;         /* NULL = "c1"; "" = none yet */
    const char *scale;           /* NULL = "tai" */
    uint64_t incarnation;        /* 0 = 1 */
    const char *listen;          /* NULL = 127.0.0.1:0 */
    const char *cert, *key, *ca; /* files in tap_dir(); NULL: no TLS */
    struct rpc_conf rpc;         /* limits and times, 0 = defaults; but dead_ns: a minute */
    bool clock;                  /* intervals: [1000 * node, 1000 * node + 500] */
};

struct testnode {
    struct testnode_conf conf;
    struct process *process;
    struct env_tls *tls;
    struct reactor *reactor[TESTNODE_STORES_MAX];
    struct rpc *rpc[TESTNODE_STORES_MAX];
    char addr[ENV_ADDR_BYTES];
    _Atomic uint64_t notes, notes_now, note_sum, cancelled, started, intervals, last_interval_node;
    _Atomic int64_t last_earliest;
    _Atomic bool note_from_fiber;
    int diag_pipe[2];
    char diag[TESTNODE_DIAG_BYTES]; /* filled by testnode_diag */
    size_t diag_bytes;
};

struct testnode *testnode_start(const struct testnode_conf *conf);
void testnode_stop(struct testnode *n); /* and frees */
/* n learns an address. */
void testnode_tell(struct testnode *n, uint32_t node, const char *addr);
/* Each learns the other's address. */
void testnode_meet(struct testnode *a, struct testnode *b);
/* body(rpc of store `store`, arg) on a large fiber of the node. */
void testnode_run_on(struct testnode *n, uint16_t store, void (*body)(struct rpc *rpc, void *arg), void *arg);
void testnode_run(struct testnode *n, void (*body)(struct rpc *rpc, void *arg), void *arg);
/* All diagnostics so far. */
const char *testnode_diag(struct testnode *n);
/* Whether they say `what` within 10 s. */
bool testnode_says(struct testnode *n, const char *what);
/* How often `what` stands in text. */
int testnode_count(const char *text, const char *what);

/* The rpc of the services: register the test services on rpc for node n. */
void testnode_services(struct rpc *rpc, struct testnode *n);

/* Waits on a fiber until *v >= want, for 10 s at most. */
bool wait_for(struct rpc *rpc, _Atomic uint64_t *v, uint64_t want);
bool wait_until(struct rpc *rpc, bool (*pred)(void *arg), void *arg);

/* One echo; returns the outcome. data may be NULL. */
enum rc echo(struct rpc *rpc, struct store_addr to, const char *data, int64_t deadline_ns, struct err *err);
/* The same with all of Ask; the answer's data must be the request's. *ret (may be NULL) lies in a. */
enum rc ask(struct rpc *rpc, struct store_addr to, uint16_t type, const Netcheck__Ask *ask, struct arena *a,
            int64_t deadline_ns, const Netcheck__Answer **ret, struct err *err);
enum rc note(struct rpc *rpc, struct store_addr to, uint16_t type, int64_t value);

/* Makes ca.pem, n.pem + n.key (good), evil.pem + evil.key (self-signed) in tap_dir(). */
void make_certs(void);

/* ---- a peer made by hand, with blocking sockets ---- */

int raw_connect(const char *addr);
int raw_listen(char *ret_addr, size_t bytes);
bool raw_write(int fd, const void *p, size_t bytes);
/* Reads until `bytes` are there, the end, or 10 s. */
size_t raw_read(int fd, void *to, size_t bytes);
/* Whether the other side ends the connection within 10 s; reads and drops what comes. */
bool raw_ended(int fd);
/* [Preamble and] Hello of node `node` for store 0 of `to_node`. Returns bytes put into to. */
size_t raw_hello(uint8_t *to, uint32_t node, uint32_t to_node, const char *cluster, bool preamble);
size_t raw_hello_bulk(uint8_t *to, uint32_t node, uint32_t to_node);
/* A whole frame. */
size_t raw_frame(uint8_t *to, uint8_t kind, uint16_t type, uint64_t id, const void *payload, size_t bytes);

#endif
