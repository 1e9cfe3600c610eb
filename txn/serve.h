/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h: what a tablet does for gateways: one request of a transaction, or one read at a timestamp.
 *
 *     check the tablet's generation, its leader, the versions of tables     RC_MOVED, RC_NOT_LEADER, RC_STALE: nothing was done
 *     take locks on spans and on the keys of writes                         waits
 *     put writes into the overlay, all of them or none
 *     run the fragment over overlay and rows
 *     hand a message to the site: COMMIT, PREPARE
 *
 * Promise     exec_answer tells what was done whatever the return code: `executed` counts as one of the transaction's requests on
 *             that tablet, `wrote`: its writes are in the overlay. Rows come while the locks are held (K-6); if the transaction
 *             was lost meanwhile the answer is RC_ABORTED, whatever came before.
 * Relies on   host.h, tablet.h.
 * Threads     the store's own, on large fibers.
 *
 * Writes as bytes, one after the other: varint number, kind (1 byte: enum txn_write_kind + 1; or 16: table, 17: drop), then
 * varint table, varint version, varint n, n values (rowbatch.h); for a table: varint length, descriptor; for a drop: varint table.
 */
#ifndef MERIDIAN_TXN_SERVE_H
#define MERIDIAN_TXN_SERVE_H

#include "txn/client.h"
#include "txn/host.h"
#include "txn/serve.pb-c.h"

enum { WRITE_TABLE = 16, WRITE_DROP = 17, EXEC_WRITES_MAX = 1 << 20 };

struct exec_ask {
    uint64_t tablet, generation;
    const struct txn_ref *ref; /* NULL: read-only */
    uint32_t seq;
    int64_t lock_wait_ns;
    bool undo; /* first: nothing written after undo_to remains */
    uint64_t undo_to;
    struct txn_bytes writes;
    const struct txn_table *tables;
    size_t n_tables;
    const struct span *spans;
    size_t n_spans;
    enum lock_mode lock;
    enum txn_wait wait;              /* for the spans' locks; those of writes are always waited for */
    const struct fragment *fragment; /* NULL: only locks and writes */
    const struct value *params;
    bool whole; /* the spans must lie in the tablet, else what does not is not asked of it */
    uint64_t rows_max;
    uint32_t batch_rows, batch_bytes;
    struct txn_msg *then;       /* NULL: nothing */
    bool then_fill;             /* its only part is this tablet */
    enum tablet_read_mode mode; /* read-only */
    int64_t ts, wait_ns;
};

struct exec_answer {
    bool executed, wrote, lost;
    uint32_t requests;
    uint64_t term, generation, conflict;
    px_store leader; /* as far as it is known there; 0: not */
    int64_t ts;      /* read-only: at which it read; 0: at the newest, which was everything */
    uint64_t rows;
    int64_t lock_ns, sqlite_ns, host_ns;
};

typedef enum rc exec_on_batch(struct mvcc_bytes batch, bool last, void *ctx, struct err *err);

/* On this store. */
enum rc serve_exec(struct txn_hosts *hs, const struct exec_ask *ask, exec_on_batch *on_batch, void *ctx,
                   int64_t deadline, struct exec_answer *ret, struct err *err) WAITS MUST_CHECK;

/* For the wire. */
enum rc serve_pack(const struct exec_ask *ask, uint64_t bytes_max, struct arena *a, Serve__Exec **ret) MUST_CHECK;
/* The next batch of a stream of rows (HOST_TYPE_SCAN), or its end: *ret_end, in a. */
enum rc serve_stream_next(struct rpc_stream *s, struct buf *batch, struct arena *a, int64_t deadline,
                          Serve__ExecAnswer **ret_end, struct err *err) WAITS MUST_CHECK;
/* The tablet as it is here, for directories; what it points to lies in a. NULL: no memory, or nothing to tell. */
Serve__Tablet *serve_describe(struct tablet *t, struct arena *a);
void serve_learn(struct directory *d, const Serve__Tablet *t);

#endif
