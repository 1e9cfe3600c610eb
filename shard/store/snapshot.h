/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h: a tablet's file as a stream of bytes, and back.
 *
 * Promise     An image is a consistent copy of the file at an applied slot; it reads the same however often, from any offset,
 *             while the tablet goes on. Every chunk of it carries a checksum that ties it to its place in this image. A loaded
 *             file exists under its name only when it is whole and durable, holds what the head of the image says, and
 *             belongs to the tablet that was asked for; before that there is only path.load.
 * Relies on   SQLite's backup interface; room on the disk for a copy of the file while an image is open.
 * Threads     the reactor's own, on large fibers; the copy yields about each millisecond.
 * Source      https://sqlite.org/backup.html; rules P-10, Q-13, Q-14.
 *
 * A file is loaded under a name that was not used before: the caller's manifest then switches from the old one to it in one
 * durable step, and removes the old one. Nothing is ever renamed over a database whose WAL may still be there.
 *
 * The stream, integers little-endian (docs/formats.md):
 *
 *     head    64 bytes    "mrdnsnap", format (4), page bytes (4), image number (8), file bytes (8), tablet (8), slot (8),
 *                         checksum of the rows (8), zeros (4), CRC32C of the 60 bytes before (4)
 *     chunk   16 + n      place from 0 (8), n (4), CRC32C of image number, place, n and the n bytes (4), bytes
 *
 * Each chunk holds SNAPSHOT_CHUNK_BYTES of the file, but for the last one.
 */
#ifndef MERIDIAN_STORE_SNAPSHOT_H
#define MERIDIAN_STORE_SNAPSHOT_H

#include "shard/store/mvcc.h"

enum {
    SNAPSHOT_FORMAT = 1,
    SNAPSHOT_HEAD_BYTES = 64,
    SNAPSHOT_CHUNK_HEAD_BYTES = 16,
    SNAPSHOT_CHUNK_BYTES = 64 << 10,
};

struct snapshot_image;

/* Commits the open batch and copies the file. number: of the image, unique among those of this tablet on this store; it names
 * the copy (path.image<number>). */
enum rc snapshot_open(struct mvcc *m, uint64_t number, struct snapshot_image **ret, struct err *err) WAITS MUST_CHECK;
/* Removes the copy. NULL is fine. The tablet may be closed already. */
void snapshot_close(struct snapshot_image *x);
/* Which state it is: pointers live as long as the image. */
const struct mvcc_state *snapshot_state(const struct snapshot_image *x);
uint64_t snapshot_bytes(const struct snapshot_image *x); /* of the whole stream */
/* Up to cap bytes from off on; at the end *ret_bytes is 0. */
enum rc snapshot_read(struct snapshot_image *x, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                      struct err *err) MUST_CHECK;

struct snapshot_load;

/* Begins to load an image of this tablet for the new name path. What an earlier try left there is dropped. */
enum rc snapshot_load_begin(struct mvcc_store *s, const char *path, uint64_t tablet, struct snapshot_load **ret,
                            struct err *err) MUST_CHECK;
/* The next bytes of the stream, any number of them. RC_CORRUPT: not what an image would go on with; the load is lost. */
enum rc snapshot_load_write(struct snapshot_load *l, const void *bytes, size_t n, struct err *err) MUST_CHECK;
/* So much of the stream has come. */
uint64_t snapshot_load_have(const struct snapshot_load *l);
/* The stream is over. RC_OK: the tablet's file is there, whole and durable, and *ret_slot is its slot. verify: its rows are
 * read and compared with its checksum too. RC_CORRUPT: something was missing or wrong, and no file is there. */
enum rc snapshot_load_end(struct snapshot_load *l, bool verify, int64_t *ret_slot, struct err *err) WAITS MUST_CHECK;
/* Also after snapshot_load_end. NULL is fine. */
void snapshot_load_free(struct snapshot_load *l);

/* Removes what images and loads of this file a former process left: names in its directory. */
enum rc snapshot_sweep(struct mvcc_store *s, const char *path, struct err *err) MUST_CHECK;

#endif
