/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h: a disk in memory that knows what a power loss would leave of it. A pure data structure: no time, no faults of its
 * own; sim_file.c decides when and what.
 *
 * Promise     Each file has its current bytes (what reads see) and its durable bytes (what was synced). disk_crash makes
 *             the disk that the next boot finds: durable bytes, with each 512-byte sector written since the last sync kept,
 *             lost or mixed by the rng, and a prefix of the name changes that no directory sync covered.
 * Relies on   malloc; running out of memory stops the simulation (CHECK).
 *
 * Pages of 4 KiB are shared by count between current, durable, snapshots of syncs under way and crash images, and copied
 * when written: a crash image of a large disk costs only the pointers.
 */
#ifndef MERIDIAN_SIM_DISK_H
#define MERIDIAN_SIM_DISK_H

#include "truetime/base/err.h"
#include "truetime/base/rng.h"

enum { DISK_PAGE_BYTES = 4096, DISK_SECTOR_BYTES = 512 };

struct disk;
struct inode;
struct disk_sync; /* what a sync under way will make durable */

struct disk *disk_new(void);
void disk_free(struct disk *d);

/* Names. Directories are entries too; the root "" is always there. RC_NOTFOUND, RC_EXISTS, RC_INVAL. */
enum rc disk_open(struct disk *d, const char *path, bool create, bool exclusive, struct inode **ret); /* counted */
enum rc disk_rename(struct disk *d, const char *from, const char *to);
enum rc disk_unlink(struct disk *d, const char *path);
enum rc disk_mkdir(struct disk *d, const char *path);
enum rc disk_rmdir(struct disk *d, const char *path);
enum rc disk_list(struct disk *d, const char *path, void (*on_name)(void *ctx, const char *name), void *ctx);
enum rc disk_sync_dir(struct disk *d, const char *path);
void disk_each(struct disk *d, void (*fn)(void *ctx, const char *path, struct inode *inode), void *ctx);

/* Contents. */
void inode_unref(struct inode *i);
int64_t inode_size(const struct inode *i);
size_t inode_read(const struct inode *i, void *to, size_t bytes, int64_t off);
/* Bytes that the write would newly occupy; for a full disk. */
int64_t inode_grow_bytes(const struct inode *i, size_t bytes, int64_t off);
void inode_write(struct inode *i, const void *from, size_t bytes, int64_t off);
void inode_truncate(struct inode *i, int64_t bytes);
int64_t disk_used(const struct disk *d);

/* A sync makes durable what was written before disk_sync_begin, at disk_sync_end. disk_sync_fail: none of it ever becomes
 * durable, although reads still see it (what kernels do after a failed write-back). */
struct disk_sync *disk_sync_begin(struct inode *i);
void disk_sync_end(struct disk_sync *s);
void disk_sync_fail(struct disk_sync *s);

/* The disk after a power loss now. d itself goes on for whoever still has its inodes. */
struct disk *disk_crash(struct disk *d, struct rng *rng);
/* The disk after a kill: the same bytes and names, nothing made durable by it. */
struct disk *disk_fork(struct disk *d);

#endif
