/* SPDX-License-Identifier: Apache-2.0 */
/* tablet_internal.h: what the files of shard/tablet share. */
#ifndef MERIDIAN_TABLET_INTERNAL_H
#define MERIDIAN_TABLET_INTERNAL_H

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
    bool started, stopping;
    char dir[VFS_PATH_BYTES_MAX];
};

struct tablet {
    struct map_node node;
    struct ilist dirty_link;
    struct tablets *ts;
    uint64_t id, replica_id;
    char path[VFS_PATH_BYTES_MAX];
    struct mvcc *m; /* NULL while a snapshot replaces it */
    struct replica *rep;
    void *upper;
    bool leading, indexed, removed, locked;
    int64_t lead_floor;
    int64_t dirty_since; /* monotonic */
    int64_t gc_at;
    uint32_t users;                    /* fibers that use it across waits */
    struct waitq idle, lock, progress; /* users are gone; tablet_unlock; something was applied */
    struct arena scratch;              /* of a run that is applied */
    struct load *load;                 /* a snapshot that comes in */
};

/* What waits for a proposal of ours: apply tells it the outcome. */
struct tablet_own {
    enum rc rc;
    struct err err;
    void *upper;
};

/* tablet.c */
struct tablet *tablet_new(struct tablets *ts, uint64_t id, uint64_t replica_id, struct err *err);
enum rc tablet_open(struct tablet *t, bool lead, struct err *err) WAITS MUST_CHECK;
enum rc tablet_reopen(struct tablet *t, struct err *err) WAITS MUST_CHECK;
void tablet_free(struct tablet *t);
void tablet_use(struct tablet *t);
void tablet_release(struct tablet *t);
/* Waits until nobody uses it. */
void tablet_drain(struct tablet *t) WAITS;
void tablet_index(struct tablet *t); /* its range has changed */
void tablet_unindex(struct tablet *t);
void tablet_dirty(struct tablet *t);
enum rc tablet_upper_open(struct tablet *t, struct err *err);
void tablet_upper_close(struct tablet *t);
struct mvcc_bytes tablet_ballot_bytes(const struct px_ballot *b, uint8_t to[24]);
enum rc tablet_state_read(const struct mvcc *m, struct replica_state *ret, struct err *err);
/* The floor that an entry leaves behind: a function of the log alone, since every replica stores it (N-4). */
int64_t tablet_entry_floor(const struct px_value *v);

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
