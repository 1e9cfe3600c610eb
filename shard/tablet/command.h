/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h: what a tablet's log entries say: the bytes of a command.
 *
 * Promise     Whatever bytes come, reading a command stays inside of them and inside of its limits. A command names the
 *             generation of the tablet that its proposer knew: applied under another one it does nothing, on every replica
 *             alike (M-3).
 * Relies on   rowbatch.h for values, table.h for descriptors.
 * Threads     any.
 *
 *     0    1  version (1)
 *     1    1  kind
 *     2    6  zero
 *     8    8  generation, little-endian
 *     16      body
 *
 *     COMMAND_ROWS       row images (mvcc_mutations_encode) of one commit, at the entry's own timestamp
 *     COMMAND_TABLE      a descriptor (table_encode): makes the table or takes it to a later version
 *     COMMAND_DROP       varint table
 *     COMMAND_GC_RAISE   8: threshold
 *     COMMAND_GC_DELETE  varint table, 8: below_hi
 *     COMMAND_RANGE      varint n, start; varint n, end; 8: the new generation
 *     COMMAND_SPLIT      varint n, key; 8: the new generation of both; 8: the right half's tablet; 8: s_max of the leader that
 *                        proposes it; varint n, the right group's first configuration (px_config_encode)
 *     COMMAND_UPPER ..   the layer above's own
 */
#ifndef MERIDIAN_TABLET_COMMAND_H
#define MERIDIAN_TABLET_COMMAND_H

#include "shard/store/gc.h"
#include "shard/store/rowbatch.h"

enum command_kind {
    COMMAND_ROWS = 1,
    COMMAND_TABLE = 2,
    COMMAND_DROP = 3,
    COMMAND_GC_RAISE = 4,
    COMMAND_GC_DELETE = 5,
    COMMAND_RANGE = 6,
    COMMAND_SPLIT = 7,
    COMMAND_UPPER = 64,
    COMMAND_KIND_MAX = 127,
};

enum { COMMAND_VERSION = 1, COMMAND_HEAD_BYTES = 16 };

struct command {
    uint8_t kind;
    uint64_t generation;
    struct mvcc_bytes body; /* borrowed */
};

/* ---- writing ---------------------------------------------------------------------------------------------------- */

void command_begin(struct buf *b, enum command_kind kind, uint64_t generation);
void command_put_bytes(struct buf *b, struct mvcc_bytes bytes); /* varint length, bytes */

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* RC_CORRUPT; RC_UNSUPPORTED: a later version's. */
enum rc command_parse(const void *p, size_t n, struct command *ret, struct err *err) MUST_CHECK;
/* A varint length and so many bytes, at most max, borrowed. */
enum rc command_bytes(struct rd *r, size_t max, struct mvcc_bytes *ret, struct err *err) MUST_CHECK;

#endif
