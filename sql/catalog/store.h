/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h: the catalog in the system tablet, and a store's copy of it.
 *
 *     system.objects     10  id, kind, database, schema, name, changed, body
 *     system.sequences   11  id, value                          the last value that a block of numbers reaches
 *
 * Row 0 of system.objects has in `changed` the catalog's version: the number of transactions that have changed it. Each other
 * row has there the version that wrote it, so a copy is brought up to date by one scan over what is newer. Dropped objects stay
 * as rows without a body: a copy must hear of them.
 *
 * Promise     cat_cache_refresh returns what was committed when it was called, at the least (a strong read). A change is seen
 *             whole or not at all. Changes are serial in the whole cluster: whoever makes one holds system.objects locked
 *             (LOCK_UPDATE) from cat_change_begin until its transaction ends, and has read it under that lock, so two
 *             gateways cannot both take a name. A cluster without a catalog gets its first objects by whoever asks first.
 * Relies on   txn/client.h.
 * Threads     the store's own.
 */
#ifndef MERIDIAN_SQL_CATALOG_STORE_H
#define MERIDIAN_SQL_CATALOG_STORE_H

#include "sql/catalog/object.h"
#include "txn/client.h"

struct cat_cache;

enum { CAT_OBJECTS_MAX = 1000000, CAT_CHANGES_MAX = 10000 };

enum rc cat_cache_new(struct node_store *s, struct txn_client *txns, struct cat_cache **ret,
                      struct err *err) MUST_CHECK;
void cat_cache_free(struct cat_cache *c);              /* NULL is fine */
uint64_t cat_cache_version(const struct cat_cache *c); /* 0: never read */
/* Up to date as of now. deadline: monotonic. */
enum rc cat_cache_refresh(struct cat_cache *c, int64_t deadline, struct err *err) WAITS MUST_CHECK;

/* ---- a transaction's own changes ---------------------------------------------------------------------------------- */

/* What a transaction has changed and not committed yet: later statements of it see that in front of the copy. */
struct cat_change;

/* Locks the catalog for t and reads what the copy lacks. t must be a read-write transaction that has not failed. */
enum rc cat_change_begin(struct cat_cache *c, struct txn *t, struct cat_change **ret, struct err *err) WAITS MUST_CHECK;
/* The object is to be so from now on (o->dropped: gone); o is copied, its `changed` is set. Written to t at once. */
enum rc cat_change_put(struct cat_change *ch, const struct cat_object *o, struct err *err) WAITS MUST_CHECK;
/* A number that was never given to an object before. */
enum rc cat_change_id(struct cat_change *ch, uint32_t *ret, struct err *err) WAITS MUST_CHECK;
/* Back to what it was when size was told: after txn_rollback_to. */
size_t cat_change_size(const struct cat_change *ch);
void cat_change_cut(struct cat_change *ch, size_t size);
/* The i-th change, in the order made: the last one of an object's id counts. */
const struct cat_object *cat_change_at(const struct cat_change *ch, size_t i);
/* Its transaction has ended: the copy learns of it if it was committed. Frees ch; NULL is fine. */
void cat_change_end(struct cat_change *ch, bool committed);

/* ---- looking up --------------------------------------------------------------------------------------------------- */

/* change may be NULL. */
struct cat_view {
    struct cat_cache *cache;
    struct cat_change *change;
};

/* Borrowed until the next wait; NULL: there is none. Names of tables and sequences share one space, as in PostgreSQL. */
const struct cat_object *cat_view_get(const struct cat_view *v, uint32_t id);
const struct cat_object *cat_view_database(const struct cat_view *v, const char *name);
const struct cat_object *cat_view_role(const struct cat_view *v, const char *name);
const struct cat_object *cat_view_schema(const struct cat_view *v, uint32_t database, const char *name);
/* A table, a view or a sequence. */
const struct cat_object *cat_view_relation(const struct cat_view *v, uint32_t schema, const char *name);
/* The table that has an index of that name, or an index with that id; *ret_index: its place. */
const struct cat_object *cat_view_index(const struct cat_view *v, uint32_t schema, const char *name,
                                        uint16_t *ret_index);
const struct cat_object *cat_view_index_by_id(const struct cat_view *v, uint32_t id, uint16_t *ret_index);

/* All objects of a kind, by id, with references: the list stays good over waits. database 0: all. RC_NOMEM. */
struct cat_list {
    struct cat_object **v;
    size_t n;
};
enum rc cat_view_list(const struct cat_view *v, enum cat_kind kind, uint32_t database, struct cat_list *ret,
                      struct err *err) MUST_CHECK;
void cat_list_done(struct cat_list *l);

/* ---- sequences ------------------------------------------------------------------------------------------------------ */

/* The next value, out of a block of this store's; a block is taken in a transaction of its own, as PostgreSQL's nextval is
 * never rolled back. 2200H: it has reached its end. */
enum rc cat_sequence_next(struct cat_cache *c, const struct cat_object *seq, int64_t deadline, int64_t *ret,
                          struct err *err) WAITS MUST_CHECK;
/* setval: is_called false: the next one is value itself. Blocks of other stores go on. */
enum rc cat_sequence_set(struct cat_cache *c, const struct cat_object *seq, int64_t value, bool is_called,
                         int64_t deadline, struct err *err) WAITS MUST_CHECK;
/* The last value given to any block; false: none yet. */
enum rc cat_sequence_last(struct cat_cache *c, const struct cat_object *seq, int64_t deadline, int64_t *ret,
                          bool *ret_called, struct err *err) WAITS MUST_CHECK;

#endif
