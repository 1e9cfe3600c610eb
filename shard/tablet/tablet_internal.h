/* SPDX-License-Identifier: Apache-2.0 */
/* tablet_internal.h: what the files of shard/tablet share. */
#ifndef MERIDIAN_TABLET_INTERNAL_H
#define MERIDIAN_TABLET_INTERNAL_H

#include "shard/tablet/closed.h"
#include "shard/tablet/tablet.h"
#include "truetime/base/map.h"

struct tablets {
    struct reactor *reactor;
    struct env *env;
    struct tablets_conf conf;
    struct tablets_stats stats;
    struct replicas *rs;
    struct map map;           /* by id */
    struct tablet **by_start; /* those that hold a range, in its order */
    size_t ranges, ranges_cap;
    struct ilist dirty; /* something was applied since the last checkpoint */
    struct fiber_group fibers;
    struct waitq housekeeper;
    struct closed *closed;
    struct tablet_lost *lost;
    size_t n_lost, lost_cap;
    struct ilist reading; /* tablets whose followers' reads wait for safe time */
    bool started, stopping;
    char dir[VFS_PATH_BYTES_MAX];
};

struct tablet {
    struct map_node node;
    struct ilist dirty_link, reading_link;
    struct tablets *ts;
    uint64_t id, replica_id;
    char path[VFS_PATH_BYTES_MAX];
    struct mvcc *m; /* NULL while a snapshot replaces it */
    struct replica *rep;
    void *upper;
    bool suspect; /* applying met damage */
    bool damaged; /* its file is: it is being given up */
    bool leading, indexed, removed, locked, checkpoint_soon;
    bool draining; /* tablet_drain has begun, and tablet_reopen has not ended it */
    int64_t lead_floor;
    px_slot closed_last; /* what was assigned at the last tick of closed.h */
    int64_t dirty_since; /* monotonic */
    int64_t gc_at;
    int64_t gc_after;                  /* TrueTime: nothing can be removed before, as far as is known; 0: look */
    uint32_t users;                    /* fibers that use it across waits */
    struct waitq idle, lock, progress; /* users are gone; tablet_unlock; something was applied */
    struct arena scratch;              /* of a run that is applied */
    struct load *load;                 /* a snapshot that comes in */
    struct half *half;                 /* the right half that is being built */
    bool splitting;                    /* tablets_split is at work on it */
    bool split_begun;                  /* tablet_ops.split_begin was called, and nothing has ended it */
};

/* What waits for a proposal of ours: apply tells it the outcome. */
struct tablet_own {
    enum rc rc;
    struct err err;
    void *upper;
};

/* tablet.c */
struct tablet *tablet_new(struct tablets *ts, uint64_t id, uint64_t replica_id, struct err *err);
enum rc tablet_open(struct tablet *t, struct replica_conf *conf, struct err *err) WAITS MUST_CHECK;
enum rc tablet_reopen(struct tablet *t, struct err *err) WAITS MUST_CHECK;
void tablet_free(struct tablet *t);
void tablet_use(struct tablet *t);
void tablet_release(struct tablet *t);
/* Waits until nobody uses it; from here until tablet_reopen nobody else begins to. Whoever uses a tablet across a wait must hear
 * of the end: of `progress` or `lock`, of its leadership, of its proposal, or of its own deadline. */
void tablet_drain(struct tablet *t) WAITS;
void tablet_index(struct tablet *t); /* its range has changed */
void tablet_unindex(struct tablet *t);
void tablet_dirty(struct tablet *t);
enum rc tablet_upper_open(struct tablet *t, struct err *err);
void tablet_upper_close(struct tablet *t);
struct mvcc_bytes tablet_ballot_bytes(const struct px_ballot *b, uint8_t to[24]);
enum rc tablet_state_from(const struct mvcc_state *s, const char *what, struct replica_state *ret, struct err *err);
enum rc tablet_state_read(const struct mvcc *m, struct replica_state *ret, struct err *err);
/* The floor that an entry leaves behind: a function of the log alone, since every replica stores it (N-4). */
int64_t tablet_entry_floor(const struct px_value *v);

/* In the store's map, also one that is being made or removed. */
struct tablet *tablets_find_any(struct tablets *ts, uint64_t id);
/* All of them, in any order; fn must neither wait nor make or remove tablets. */
void tablets_each_any(struct tablets *ts, void (*fn)(void *ctx, struct tablet *t), void *ctx);
/* Reads that wait for safe time look again. */
void tablets_wake_readers(struct tablets *ts);
/* Opens its file and checks whose it is; t->m. */
enum rc tablet_open_file(struct tablet *t, struct err *err) WAITS MUST_CHECK;
/* The replica, on an open file; conf->state is filled in. */
enum rc tablet_join(struct tablet *t, struct replica_conf *conf, struct err *err) MUST_CHECK;

/* tablet_lost.c */
#define TABLET_DAMAGED_SUFFIX ".damaged"
/* Says that a file is damaged and puts it aside: the replica is over, its group is to replace it. t->rep is NULL. */
enum rc tablets_lose(struct tablets *ts, uint64_t id, uint64_t replica, const char *path, const char *why,
                     struct err *err) WAITS MUST_CHECK;
/* The store's log is damaged (why): is it given up here, durably? Only if every tablet has a quorum without this store. */
enum rc tablets_give_up_log(struct tablets *ts, const char *why, struct err *err) WAITS MUST_CHECK;
/* A log was given up, and what it had promised for is not buried yet: then everything here is lost. */
enum rc tablets_log_was_lost(struct tablets *ts, bool *ret, struct err *err) WAITS MUST_CHECK;
enum rc tablets_log_buried(struct tablets *ts, struct err *err) WAITS MUST_CHECK;
/* Its name was found at the start. */
enum rc tablets_lost_add(struct tablets *ts, uint64_t id, uint64_t replica, struct err *err) MUST_CHECK;
/* t's file cannot be read any more: gives the replica up, on a fiber of its own. */
void tablet_give_up(struct tablet *t, const char *why);

/* tablet_split.c */
extern const struct rpc_service tablets_split_service;
/* The slot of a split, wholly: with what must be durable before it. */
enum rc tablet_apply_split(struct tablet *t, const struct replica_entry *e, const struct command *c,
                           struct err *err) WAITS MUST_CHECK;
/* Drops the half that is being built, if there is one; waits for its builder. */
void tablet_half_drop(struct tablet *t) WAITS;
/* The same when no fiber runs any more: its file stays for the next start to sweep. */
void tablet_half_free(struct tablet *t);
/* tablet_ops.split_cancel, if there is anything to cancel. */
void tablet_split_cancel(struct tablet *t);
#define TABLET_HALF_SUFFIX ".half"

/* split_point.c */
/* A key that cuts the tablet's data into about equal parts, at the beginning of a root row or of a table group. RC_INVAL: it
 * has none (too little in it, or one root row). */
enum rc tablet_split_point(struct tablet *t, struct buf *ret, struct err *err) WAITS MUST_CHECK;
/* Is this a key between two root rows, inside of the tablet? What lies behind a whole root key is cut off. RC_INVAL. */
enum rc tablet_split_key(struct tablet *t, struct buf *key, struct err *err) MUST_CHECK;

/* tablet_sm.c */
extern const struct replica_sm_ops tablet_sm_ops;

/* tablet_image.c */
enum rc tablet_image_open(void *sm, struct replica_state *ret, void **ret_image, struct err *err) WAITS;
enum rc tablet_image_read(void *sm, void *image, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                          struct err *err) WAITS;
void tablet_image_close(void *sm, void *image);
enum rc tablet_load_begin(void *sm, uint64_t image, const struct replica_state *state, uint64_t *ret_have,
                          struct err *err) WAITS;
enum rc tablet_load_write(void *sm, uint64_t off, const void *data, size_t bytes, struct err *err) WAITS;
enum rc tablet_load_end(void *sm, bool commit, struct err *err) WAITS;
void tablet_load_drop(struct tablet *t);

/* tablet_keep.c */
void tablets_housekeeper(void *arg);
enum rc tablet_checkpoint(struct tablet *t, bool reset, struct err *err) WAITS;

#endif
