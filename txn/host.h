/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h: the site on a tablet: what joins the pure core of two-phase commit (site.h) to a replica, its file, the network and
 * the clock.
 *
 *     entry of the log --apply--> site_apply --> rows, sections of the same slot
 *     a message or a request  --> the site   --> host_drain: floors, proposals, messages, locks, in the site's order
 *
 * Promise     What the site knows and a successor must know lies in sections, changed in the slot that changed it: one for each
 *             prepared transaction and each outcome (P-8, P-10). After any call of the site everything that it wants is done in
 *             the same turn (docs/transactions.md, "what the tablet layer does"). Messages go to whoever owns a key now; they
 *             may be lost, and are sent again by those who need an answer.
 * Relies on   tablet.h, directory.h, rpc.h; client.h takes what is for a gateway of this store.
 * Threads     the store's own. A struct txn_host * is good until the next wait, unless host_ref holds it: then look at `closed`.
 *
 * Sections:  "txn/p/ID" a prepared transaction (record.h, its timestamp in s), "txn/o/ID" an outcome, "txn/h" the horizons
 * (8 + 8 bytes, little-endian); ID: gateway, incarnation, counter in hex.
 *
 * Commands of ours. COMMAND_UPPER: 8 bytes, little-endian, the time that gates it (T-4; INT64_MIN: none), then the record.
 * COMMAND_UPPER + 1: a piece of a transaction's writes that do not fit into one entry: id (3 x 8), number (4), bytes: it becomes
 * section "txn/w/ID/NUMBER" until the transaction has ended. COMMAND_UPPER + 2: id, count (4): the pieces below it go.
 *
 * The bytes that a record calls its writes: varint n, then n changes of tables, each: kind 1, varint length, descriptor; or kind
 * 2, varint table: it is dropped. Behind them row images (mvcc_mutations_encode), or nothing. Or: varint HOST_IN_PIECES, varint
 * count: the same bytes, in so many pieces.
 */
#ifndef MERIDIAN_TXN_HOST_H
#define MERIDIAN_TXN_HOST_H

#include "shard/node/node.h"
#include "truetime/base/map.h"
#include "txn/overlay.h"
#include "txn/site.h"

enum {
    HOST_TYPE_ENVELOPE = 160, /* numbers of message types */
    HOST_TYPE_EXEC = 161,
    HOST_TYPE_SCAN = 162,
    HOST_TYPE_ALIVE = 163,
    HOST_TYPE_SAFE = 164,
    HOST_TYPE_STATUS = 165,
    HOST_HOPS_MAX = 3,
    HOST_INBOX_MAX = 65536, /* messages of the own store that wait for their turn */
    /* Of a transaction on one tablet, encoded: in one entry; in all (it is applied in one turn, which must stay short); a piece */
    HOST_WRITES_BYTES_MAX = REPLICA_COMMAND_BYTES_MAX - (256 << 10),
    HOST_WRITES_TOTAL_MAX = 32 << 20,
    HOST_PIECE_BYTES = 1 << 20,
    HOST_IN_PIECES = 1 << 20,
};

struct txn_client;

/* Where the time of a commit's or prepare's entry went, with DONE and VOTE. */
enum host_time { HOST_TIME_QUEUE, HOST_TIME_FSYNC, HOST_TIME_QUORUM, HOST_TIME_WAIT, HOST_TIME_APPLY, HOST_TIMES };
enum { HOST_VOTES_MAX = 8, HOST_NOTES = 64 };
struct host_times {
    int64_t ns[HOST_TIMES];
    int64_t
        before_ns;  /* from the arrival of COMMIT or PREPARE to the entry's proposal: a coordinator waits for votes */
    int64_t all_ns; /* from the arrival to the answer; 0: not known */
};

/* A vote as its coordinator saw it. */
struct host_vote {
    px_store store;
    uint64_t tablet;
    int64_t at_ns; /* it came, since COMMIT did; before it: negative */
    struct host_times times;
};

/* What a tablet remembers of a commit that is under way, for whoever asks where the time went: a place by hash, so that a later one
 * may take it. Nothing but traces relies on it. */
struct host_note {
    struct txn_id id;
    uint64_t tablet;
    int64_t arrived_ns; /* COMMIT or PREPARE, the first of them; 0: not yet */
    uint32_t votes;
    struct host_vote vote[HOST_VOTES_MAX];
};

/* Rows that a fragment may be reading: whoever writes meanwhile makes a copy. */
struct guest_rows {
    struct txn_overlay *overlay;
    uint32_t refs;
};

/* A change of a table, taken into effect by the commit. */
struct guest_table {
    uint64_t seq, id;
    struct table *table; /* NULL: dropped */
};

/* What a transaction has written on a tablet. */
struct guest {
    struct map_node node;
    struct txn_id id;
    struct guest_rows *rows; /* NULL: none yet */
    uint64_t *seq;           /* the gateway's number of each write in rows, ascending */
    size_t seqs, seqs_cap;
    struct guest_table *tables;
    size_t n_tables, tables_cap;
    uint32_t pieces; /* its writes are in the log already, in so many */
    bool broken;     /* memory ran out in an undo */
};

struct txn_host {
    struct txn_hosts *all;
    struct ilist link;
    struct tablet *tablet;
    uint64_t id;
    struct site *site;
    struct map guests, waits;
    struct ilist proposals;
    struct waitq safe; /* something was decided: who waits for a timestamp looks again */
    uint64_t next_request;
    uint32_t refs;
    int64_t pledged; /* what the group was told last */
    bool closed;     /* the tablet has let go of it */
    bool draining, split_begun;
    bool pieces;          /* there may be some that nobody needs */
    uint64_t cut_for;     /* the generation for which the site was cut, until its slot is applied; 0: none */
    struct arena scratch; /* of an apply */
    struct buf buf;
};

struct txn_hosts_stats {
    struct counter messages_in, messages_out, messages_local, forwarded, bounced, unroutable, refused;
    struct counter requests, waits, sections;
    struct hist lock_wait_ns;
};

struct txn_hosts {
    struct node_store *store;
    struct reactor *reactor;
    struct env *env;
    struct txn_client *client; /* takes messages to this store as a gateway; NULL: they are dropped */
    void (*to_gateway)(struct txn_client *c, const struct txn_msg *m, const struct host_times *times,
                       const struct host_vote *votes, size_t n_votes);
    struct ilist hosts;
    struct fiber_group fibers;
    struct waitq ticker, mail;
    struct ilist inbox;
    size_t inbox_count;
    struct ilist held; /* outcomes that nobody waits for, until something else goes into the log (host_mail.c) */
    size_t held_count;
    int64_t held_until;
    bool logged;     /* a record that somebody waits for has just gone into the log */
    int64_t wake_ns; /* of the ticker */
    struct host_note note[HOST_NOTES];
    struct txn_hosts_stats stats;
    bool stopping;
};

extern const struct tablet_ops txn_tablet_ops; /* ctx: points to a struct txn_hosts * */

/* Registers the messages and starts the fibers. */
enum rc txn_hosts_new(struct node_store *s, struct txn_hosts **ret, struct err *err) MUST_CHECK;
void txn_hosts_stop(struct txn_hosts *hs);
bool txn_hosts_idle(const struct txn_hosts *hs);
void txn_hosts_free(struct txn_hosts *hs); /* idle, no tablet is left; NULL is fine */

/* The tablet's, if it is here and open. */
struct txn_host *host_find(struct txn_hosts *hs, uint64_t tablet);
void host_ref(struct txn_host *h);
void host_unref(struct txn_host *h);
bool host_leads(struct txn_host *h);
struct txn_facts host_facts(struct txn_host *h);
/* Does what the site wants: after every call of it. */
void host_drain(struct txn_host *h);
/* What was kept back for company goes on its way: something is about to go into the log, or somebody waits. */
void hosts_release(struct txn_hosts *hs);
/* Somebody began something here: the ticker is to look. */
void host_poke(struct txn_host *h);
/* Takes the lock; waits for it if it must (*ret_waits). f: facts of this turn. RC_ABORTED, RC_TIMEOUT, RC_MOVED, ...: err says who was in the way. */
enum rc host_lock(struct txn_host *h, const struct txn_id *id, const struct txn_span *span, enum lock_mode mode,
                  int64_t deadline, const struct txn_facts *f, bool *ret_waits, int64_t *ret_waited,
                  struct err *err) WAITS MUST_CHECK;

/* ---- a transaction's own writes ---- */

struct guest *guest_find(struct txn_host *h, const struct txn_id *id);
struct guest *guest_get(struct txn_host *h, const struct txn_id *id); /* NULL: no memory */
void guest_free(struct txn_host *h, struct guest *g);
/* For a fragment that runs: what there is now, NULL if nothing. */
struct guest_rows *guest_pin(struct guest *g);
void guest_rows_unref(struct guest_rows *r); /* NULL is fine */
/* A write, numbered seq. values as mvcc_mutation has them. */
enum rc guest_write(struct txn_host *h, struct guest *g, uint64_t seq, struct table *t, bool deletes,
                    const struct value *values, uint16_t n, struct err *err) MUST_CHECK;
/* t NULL: table id is dropped. Takes a reference. */
enum rc guest_change_table(struct guest *g, uint64_t seq, uint64_t id, struct table *t) MUST_CHECK;
/* Nothing written after seq remains. */
void guest_undo(struct txn_host *h, struct guest *g, uint64_t seq);
/* What the record's writes are, appended; nothing if it only read. */
enum rc guest_encode(struct guest *g, const struct txn_span *range, struct buf *to) MUST_CHECK;

/* To whoever owns key; or to the gateway of that store if not 0. Never waits; may be lost. */
void hosts_send(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const void *msg, size_t bytes);
/* Encodes m. */
void hosts_send_msg(struct txn_hosts *hs, struct txn_key key, uint64_t gateway, const struct txn_msg *m);

#endif
