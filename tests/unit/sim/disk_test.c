/* SPDX-License-Identifier: Apache-2.0 */
/* What a power loss may and may not leave on the simulated disk. */
#include "geo-sim/sim/disk.h"

#include <string.h>

#include "tests/lib/tap.h"

static struct inode *must_open(struct disk *d, const char *path) {
    struct inode *i = NULL;
    CHECK(disk_open(d, path, true, false, &i) == RC_OK);
    return i;
}

static void sync_now(struct inode *i) {
    disk_sync_end(disk_sync_begin(i));
}

/* Synced bytes under a synced name survive every crash; unsynced ones are each of: lost, kept, mixed by sector. */
static void synced_survives(void) {
    struct rng rng;
    bool lost = false, kept = false, mixed = false;
    rng_init(&rng, 1);
    for (int round = 0; round < 300; round++) {
        struct disk *d = disk_new();
        struct inode *i = must_open(d, "f");
        char a[8192], b[8192], got[8192];
        memset(a, 'a', sizeof a);
        memset(b, 'b', sizeof b);
        inode_write(i, a, sizeof a, 0);
        sync_now(i);
        OK(disk_sync_dir(d, "") == RC_OK);
        inode_write(i, b, sizeof b, 0);
        struct disk *after = disk_crash(d, &rng);
        struct inode *j = NULL;
        if (!OK(disk_open(after, "f", false, false, &j) == RC_OK))
            break;
        EQ_INT(inode_size(j), 8192);
        EQ_INT(inode_read(j, got, sizeof got, 0), 8192);
        int bs = 0;
        for (size_t k = 0; k < sizeof got; k += 512) {
            for (size_t m = 1; m < 512; m++)
                if (got[k + m] != got[k])
                    OKF(false, "sector %zu is torn inside", k / 512);
            bs += got[k] == 'b';
        }
        lost |= bs == 0;
        kept |= bs == 16;
        mixed |= bs > 0 && bs < 16 && bs != 8;
        /* The survivor counts as durable: a second crash changes nothing. */
        struct disk *again = disk_crash(after, &rng);
        struct inode *k2 = NULL;
        char got2[8192];
        OK(disk_open(again, "f", false, false, &k2) == RC_OK);
        inode_read(k2, got2, sizeof got2, 0);
        EQ_MEM(got2, sizeof got2, got, sizeof got);
        inode_unref(i);
        inode_unref(j);
        inode_unref(k2);
        disk_free(d);
        disk_free(after);
        disk_free(again);
    }
    OK(lost);
    OK(kept);
    OK(mixed);
}

/* A name is durable only after its directory was synced; a rename is old or new, never both or neither. */
static void names_need_a_directory_sync(void) {
    struct rng rng;
    int old = 0, fresh = 0, absent = 0, present = 0;
    rng_init(&rng, 2);
    for (int round = 0; round < 200; round++) {
        struct disk *d = disk_new();
        struct inode *a = must_open(d, "cur"), *b, *x;
        inode_write(a, "1", 1, 0);
        sync_now(a);
        OK(disk_sync_dir(d, "") == RC_OK);
        b = must_open(d, "cur.new");
        inode_write(b, "2", 1, 0);
        sync_now(b);
        OK(disk_rename(d, "cur.new", "cur") == RC_OK);
        struct disk *after = disk_crash(d, &rng);
        char c = 0;
        if (!OK(disk_open(after, "cur", false, false, &x) == RC_OK))
            break;
        inode_read(x, &c, 1, 0);
        old += c == '1';
        fresh += c == '2';
        inode_unref(x);
        disk_free(after);
        OK(disk_sync_dir(d, "") == RC_OK);
        after = disk_crash(d, &rng);
        OK(disk_open(after, "cur", false, false, &x) == RC_OK);
        inode_read(x, &c, 1, 0);
        EQ_INT(c, '2');
        inode_unref(x);
        disk_free(after);
        x = must_open(d, "later");
        inode_write(x, "3", 1, 0);
        sync_now(x); /* the bytes, not the name */
        inode_unref(x);
        after = disk_crash(d, &rng);
        if (disk_open(after, "later", false, false, &x) == RC_OK) {
            present++;
            inode_unref(x);
        } else {
            absent++;
        }
        disk_free(after);
        inode_unref(a);
        inode_unref(b);
        disk_free(d);
    }
    OK(old > 10 && fresh > 10);
    OK(absent > 10 && present > 10);
}

/* What is written while a sync is under way is not part of it. */
static void sync_takes_what_was_written_before(void) {
    struct rng rng;
    bool lost = false;
    rng_init(&rng, 3);
    for (int round = 0; round < 100; round++) {
        struct disk *d = disk_new();
        struct inode *i = must_open(d, "f"), *x;
        char c = 0;
        inode_write(i, "1", 1, 0);
        struct disk_sync *s = disk_sync_begin(i);
        inode_write(i, "2", 1, 0);
        disk_sync_end(s);
        OK(disk_sync_dir(d, "") == RC_OK);
        struct disk *after = disk_crash(d, &rng);
        OK(disk_open(after, "f", false, false, &x) == RC_OK);
        inode_read(x, &c, 1, 0);
        OK(c == '1' || c == '2');
        lost |= c == '1';
        inode_unref(x);
        disk_free(after);
        sync_now(i); /* now the second is durable too */
        after = disk_crash(d, &rng);
        OK(disk_open(after, "f", false, false, &x) == RC_OK);
        inode_read(x, &c, 1, 0);
        EQ_INT(c, '2');
        inode_unref(x);
        disk_free(after);
        inode_unref(i);
        disk_free(d);
    }
    OK(lost);
}

/* After a failed sync reads still see the data, but no later sync makes it durable (P-30). */
static void failed_sync_is_for_good(void) {
    struct rng rng;
    bool lost = false;
    rng_init(&rng, 4);
    for (int round = 0; round < 50; round++) {
        struct disk *d = disk_new();
        struct inode *i = must_open(d, "f"), *x;
        char c = 0;
        inode_write(i, "1", 1, 0);
        sync_now(i);
        OK(disk_sync_dir(d, "") == RC_OK);
        inode_write(i, "2", 1, 0);
        disk_sync_fail(disk_sync_begin(i));
        inode_read(i, &c, 1, 0);
        EQ_INT(c, '2');
        sync_now(i); /* reports success, as kernels do */
        struct disk *after = disk_crash(d, &rng);
        OK(disk_open(after, "f", false, false, &x) == RC_OK);
        inode_read(x, &c, 1, 0);
        lost |= c == '1';
        inode_unref(x);
        disk_free(after);
        inode_unref(i);
        disk_free(d);
    }
    OK(lost);
}

static void truncate_and_holes(void) {
    struct disk *d = disk_new();
    struct inode *i = must_open(d, "f");
    char got[16] = "xxxxxxxxxxxxxxx";
    inode_write(i, "abcdef", 6, 10000);
    EQ_INT(inode_size(i), 10006);
    EQ_INT(inode_read(i, got, 8, 9998), 8);
    EQ_MEM(got, 8, "\0\0abcdef", 8);
    EQ_INT(disk_used(d), 4096);
    EQ_INT(inode_grow_bytes(i, 1, 0), 4096);
    EQ_INT(inode_grow_bytes(i, 1, 10000), 0);
    inode_truncate(i, 10002);
    inode_truncate(i, 10006);
    EQ_INT(inode_read(i, got, 16, 9998), 8);
    EQ_MEM(got, 8, "\0\0ab\0\0\0\0", 8);
    inode_truncate(i, 0);
    EQ_INT(disk_used(d), 0);
    EQ_INT(inode_read(i, got, 16, 0), 0);
    inode_unref(i);
    disk_free(d);
}

static void count_name(void *ctx, const char *name) {
    strcat(strcat(ctx, name), " ");
}

static void directories(void) {
    struct disk *d = disk_new();
    struct inode *i;
    char names[100] = "";
    EQ_INT(disk_open(d, "d/f", true, false, &i), RC_NOTFOUND);
    EQ_INT(disk_mkdir(d, "d"), RC_OK);
    EQ_INT(disk_mkdir(d, "d"), RC_EXISTS);
    EQ_INT(disk_open(d, "d/f", true, false, &i), RC_OK);
    inode_unref(i);
    EQ_INT(disk_open(d, "d/f", true, true, &i), RC_EXISTS);
    EQ_INT(disk_open(d, "d", false, false, &i), RC_INVAL);
    EQ_INT(disk_mkdir(d, "d/e"), RC_OK);
    i = must_open(d, "d2");
    inode_unref(i);
    EQ_INT(disk_list(d, "d", count_name, names), RC_OK);
    EQ_STR(names, "e f ");
    names[0] = '\0';
    EQ_INT(disk_list(d, "", count_name, names), RC_OK);
    EQ_STR(names, "d d2 ");
    EQ_INT(disk_rmdir(d, "d"), RC_BUSY);
    EQ_INT(disk_unlink(d, "d/f"), RC_OK);
    EQ_INT(disk_unlink(d, "d/f"), RC_NOTFOUND);
    EQ_INT(disk_rmdir(d, "d/e"), RC_OK);
    EQ_INT(disk_rmdir(d, "d"), RC_OK);
    EQ_INT(disk_list(d, "d", count_name, names), RC_NOTFOUND);
    disk_free(d);
}

/* After a kill everything written is there, and still not durable. */
static void kill_keeps_the_page_cache(void) {
    struct rng rng;
    bool lost = false;
    rng_init(&rng, 5);
    for (int round = 0; round < 40; round++) {
        struct disk *d = disk_new();
        struct inode *i = must_open(d, "f"), *x;
        char c = 0;
        inode_write(i, "1", 1, 0);
        struct disk_sync *s = disk_sync_begin(i); /* under way when the process dies */
        struct disk *after = disk_fork(d);
        OK(disk_open(after, "f", false, false, &x) == RC_OK);
        inode_read(x, &c, 1, 0);
        EQ_INT(c, '1');
        struct disk *power = disk_crash(after, &rng);
        struct inode *y;
        if (disk_open(power, "f", false, false, &y) == RC_OK) {
            lost |= inode_size(y) == 0;
            inode_unref(y);
        } else {
            lost = true;
        }
        disk_free(power);
        sync_now(x);
        OK(disk_sync_dir(after, "") == RC_OK);
        power = disk_crash(after, &rng);
        OK(disk_open(power, "f", false, false, &y) == RC_OK);
        EQ_INT(inode_size(y), 1);
        inode_unref(y);
        disk_free(power);
        disk_sync_end(s);
        inode_unref(i);
        inode_unref(x);
        disk_free(d);
        disk_free(after);
    }
    OK(lost);
}

int main(void) {
    RUN(synced_survives);
    RUN(names_need_a_directory_sync);
    RUN(sync_takes_what_was_written_before);
    RUN(failed_sync_is_for_good);
    RUN(truncate_and_holes);
    RUN(directories);
    RUN(kill_keeps_the_page_cache);
    return tap_done();
}
