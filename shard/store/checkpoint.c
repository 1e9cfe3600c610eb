/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c: makes a database file durable without a sync inside SQLite.
 *
 * SQLite in WAL mode with synchronous=NORMAL syncs at three moments: the WAL before it copies frames to the database file
 * ("backfill"), the database file when all frames are copied, and the WAL's header when it begins again at its start. Each
 * would stop the reactor, so our xSync does nothing, and this file puts the syncs where fibers can wait for them.
 *
 * A round, while others read and commit:
 *
 *     1  pin      a connection opens a read transaction on the newest commit and reads the marker in it
 *     2  sync     the WAL, and once its name. The marker is durable.
 *     3  backfill SQLite's passive checkpoint copies frames up to the pin; it never goes beyond a reader. Between two pages
 *                 the fiber yields when its share of the turn is over, which bounds the step (below).
 *     4  sync     the database file
 *     5  unpin
 *
 * A reset, when the caller wants the WAL short again: rounds until little is left, then with new writers kept out ("held")
 *
 *     6  a round for the rest, again until no reader is in the way
 *     7  SQLite's truncating checkpoint, which sets the index of the WAL to empty and truncates the file; our xTruncate
 *        overwrites the header with zeros instead, so that the blocks stay
 *     8  sync     the WAL: the old header cannot come back
 *     9  writers go on
 *     10 what the WAL file has beyond what the caller wants to keep is cut off, in steps
 *
 * Without holding writers back the WAL would never begin again under load: SQLite allows it only when all frames are copied,
 * and during the two syncs of a round new ones come.
 *
 * Invariants. What must hold for a power loss at any moment to leave a database that recovers to a committed state not older
 * than the last marker. "Durable": as env.h says; unsynced sectors may have any of their old and new contents.
 *
 *   K1  The database file is written in step 3 only.
 *   K2  A frame is copied only when it, all before it and the name of the WAL are durable. So whatever part of the copy a
 *       power loss keeps, recovery finds at least the frames that were copied and reads those pages from the WAL.
 *       Committed frames are not overwritten before a reset, so durable ones stay so.
 *   K3  The WAL is reset only when every write to the database file is followed by a good sync (and all frames are copied:
 *       SQLite checks that itself). So the old frames are not needed any more.
 *   K4  The first frame of the next generation is written only after the loss of the old header is durable. Otherwise a power
 *       loss could keep the old header and first frames but lose later ones, overwritten: recovery would take the database
 *       back to the first transactions of the old generation, over a file that holds the last ones (SQLite's ticket
 *       ff5be73dee; it syncs the new header there, in a commit).
 *   K5  What a killed process wrote is in the page cache and looks as if it were durable. The next process syncs the WAL when
 *       it opens the file: a blank header that it saw (K4) does not vanish with a power loss later. Everything else is
 *       counted as unsynced in a new process: K2 begins with only what this sync covered, and recovery sets the number of
 *       copied frames to 0, so a backfill is made again before K3 can hold.
 *   K6  After a failed sync nothing is written to the file any more, by any connection, until it is removed (P-30).
 *
 * Who could break them, and why not:
 *   - A writer resets the WAL by itself at the first write after a complete backfill; so does a checkpoint in mode RESTART.
 *     Both ask for READ1..READ4 exclusively, and the gate gives that to step 7 only (K3). A writer that is refused goes on
 *     appending. After step 7 the index is empty and the next writer starts at frame 1; it cannot before step 9, and the
 *     gate of the header stands behind (K4).
 *   - The last sqlite3_close copies and deletes the WAL: switched off (NO_CKPT_ON_CLOSE), and K1's gate and xDelete refuse.
 *     So do they an automatic checkpoint (switched off too), a PRAGMA wal_checkpoint, a change of journal_mode. A close
 *     leaves the WAL as it is; the next open recovers from it.
 *   - A backfill beyond the pin: the pin holds a read mark, not READ0, when there is something to copy, and passive
 *     checkpoints stop at the lowest mark; K2's gate stands behind. With READ0 everything was copied already.
 *   - Recovery copies nothing. It takes the longest valid prefix of frames: all that are durable, and maybe more. More is
 *     fine: frames are in the order of commits. A frame of an older generation is never valid behind a newer header, whose
 *     salts differ.
 *   - A reset that fails half-way (step 7 wrote no blank header): the index is empty, the file is not, nothing may be
 *     written (K4's gate) until a later checkpoint has written it.
 *   - What SQLite returns is never taken for durability: steps 2, 4 and 8 count bytes and writes at the files (vfs_file.c).
 *     How many frames are copied is read from the index for deciding what to do next, not for K1 to K4.
 *   - SQLite before 3.51.3 can damage a database when one connection resets the WAL while another begins a checkpoint. Here
 *     both are the same fiber.
 *
 * The bound of a step. A passive checkpoint begins with sorting the WAL's index (0.3 ms for 16,000 frames); then it is one
 * read and one write a page, and xWrite yields between pages. The connection is the checkpoint's own, SQLite holds no mutex
 * in there, and its protocol allows a checkpointer that stops for any time in the middle: others see CKPT and READ0 taken,
 * read from the WAL and append to it. Frames count as copied only at the end of the call: cut short, it begins anew.
 * (Not chosen: a write that fails after a budget, since all the progress would be lost; pins at successive commits, since
 * there are only four read marks; copying by ourselves, which would be SQLite's checkpoint written again.)
 */
#include "shard/store/checkpoint.h"

#include <string.h>

#include "shard/runtime/wait.h"
#include "shard/store/vfs_internal.h"

enum { ROUNDS_MAX = 4, TAIL_FRAMES_MAX = 256, WAL_KEEP_BYTES = 16 << 20, TRIM_STEP_BYTES = 4 << 20 };

struct checkpoint {
    struct reactor *r;
    struct dbfile *f;
    sqlite3 *copier, *pin;
    struct handle *copier_db;
    const struct vfs_checkpoint *how;
    struct vfs_checkpoint_result out;
};

static enum rc begin(struct checkpoint *c, struct vfs *v, const char *path, struct err *err) WAITS;
static enum rc run(struct checkpoint *c, struct err *err) WAITS;
static void end(struct checkpoint *c);
static enum rc round_run(struct checkpoint *c, struct err *err) WAITS;
static enum rc reset_run(struct checkpoint *c, struct err *err) WAITS;
static enum rc finish_blank(struct checkpoint *c, struct err *err) WAITS;
static void trim(struct checkpoint *c) WAITS;

enum rc vfs_checkpoint(struct reactor *r, struct vfs *v, const char *path, const struct vfs_checkpoint *how,
                       struct vfs_checkpoint_result *ret, struct err *err) {
    struct checkpoint c = {.r = r, .how = how};
    enum rc rc = begin(&c, v, path, err);
    if (!rc)
        rc = run(&c, err);
    end(&c);
    if (rc) {
        err_wrap(err, "checkpoint of %.200s", path);
        return rc;
    }
    counter_inc(&v->stats.checkpoints);
    *ret = c.out;
    return RC_OK;
}

enum rc vfs_write_wait(struct reactor *r, sqlite3 *db, int64_t deadline) {
    struct dbfile *f = vfs_handle(db)->file;
    while (f->holder) {
        enum rc rc = waitq_wait(r, &f->changed, deadline);
        if (rc)
            return rc;
    }
    return f->failed || f->blank != BLANK_NONE ? RC_IO : RC_OK;
}

/* ---- what the locks say ------------------------------------------------------------------------------------------ */

static bool marks_in_use(const struct dbfile *f) {
    for (int i = SHM_READ1; i < SHM_READ0 + SHM_READ_COUNT; i++)
        if (f->slot[i] != 0)
            return true;
    return false;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static struct handle *wal_handle(sqlite3 *db) {
    sqlite3_file *file = NULL;
    CHECK(sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK);
    struct handle *h = (struct handle *)file;
    return h->base.pMethods == &vfs_handle_methods && h->kind == HANDLE_WAL ? h : NULL;
}

static enum rc begin(struct checkpoint *c, struct vfs *v, const char *path, struct err *err) {
    enum rc rc = vfs_open_bare(c->r, v, path, &c->copier, err);
    if (rc)
        return rc;
    struct dbfile *f = vfs_handle(c->copier)->file;
    if (f->checkpointing)
        return err_set(err, RC_BUSY, "another one is under way");
    f->checkpointing = true;
    c->f = f;
    c->copier_db = vfs_handle(c->copier);
    rc = vfs_exec(c->copier, "PRAGMA user_version", "open the WAL", err); /* opens the WAL */
    if (!rc && !wal_handle(c->copier))
        rc = err_set(err, RC_CORRUPT, "not in WAL mode: not one of our databases");
    if (!rc)
        rc = vfs_open_bare(c->r, v, path, &c->pin, err);
    if (!rc && f->failed)
        rc = err_set(err, RC_IO, "refused since a sync of it failed (%s)", rc_text(f->failed));
    return rc;
}

static void end(struct checkpoint *c) {
    if (c->f)
        c->f->checkpointing = false;
    vfs_close(c->pin);
    vfs_close(c->copier);
}

/* New writers wait (vfs_write_wait), or find the lock taken. */
static void hold(struct checkpoint *c, bool on) {
    c->f->holder = on ? c->copier_db : NULL;
    if (!on)
        dbfile_changed(c->f);
}

static enum rc run(struct checkpoint *c, struct err *err) {
    struct dbfile *f = c->f;
    hold(c, f->blank != BLANK_NONE);
    enum rc rc = finish_blank(c, err);
    hold(c, false);
    for (int i = 0; !rc && i < ROUNDS_MAX; i++) {
        rc = round_run(c, err);
        if (!c->how->reset_wait_ns || c->out.backfilled < c->out.frames ||
            dbfile_frames(f) - c->out.frames <= TAIL_FRAMES_MAX)
            break;
    }
    if (rc || !c->how->reset_wait_ns || c->out.backfilled < c->out.frames)
        return rc;
    if (dbfile_frames(f) > 0)
        rc = reset_run(c, err);
    if (!rc && c->out.reset)
        trim(c);
    return rc;
}

/* Step 10. To free half a gigabyte at once would keep the reactor for a tenth of a second. */
static void trim(struct checkpoint *c) {
    int64_t keep = c->how->wal_keep_bytes ? c->how->wal_keep_bytes : WAL_KEEP_BYTES;
    while (dbfile_trim_wal(c->f, keep, TRIM_STEP_BYTES))
        if (fiber_yield(c->r) != RC_OK)
            return; /* the next reset goes on with it */
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

/* Step 1. No wait from the snapshot to the marker. */
static enum rc pin_take(struct checkpoint *c, struct err *err) {
    int64_t marker = c->out.marker;
    enum rc rc = vfs_exec(c->pin, "BEGIN; PRAGMA user_version", "take a snapshot", err);
    if (rc)
        return rc;
    c->out.frames = dbfile_frames(c->f);
    c->out.backfilled = dbfile_backfilled(c->f);
    if (c->out.backfilled < c->out.frames)
        CHECK(vfs_handle(c->pin)->shared & ~(1u << SHM_READ0)); /* a mark: nothing is copied beyond it */
    if (c->how->on_pin)
        rc = c->how->on_pin(c->pin, c->how->ctx, &marker, err);
    if (!rc)
        c->out.marker = marker;
    return rc;
}

static void pin_drop(struct checkpoint *c) {
    if (!sqlite3_get_autocommit(c->pin)) /* should memory lack even for that, the close ends it */
        (void)sqlite3_exec(c->pin, "ROLLBACK", NULL, NULL, NULL);
}

/* Step 3. */
static enum rc backfill(struct checkpoint *c, struct err *err) WAITS {
    struct dbfile *f = c->f;
    f->backfill_db = c->copier_db;
    f->backfill_wal = wal_handle(c->copier);
    f->backfiller = c->r;
    int code = sqlite3_wal_checkpoint_v2(c->copier, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    f->backfill_db = f->backfill_wal = NULL;
    f->backfiller = NULL;
    return code == SQLITE_OK ? RC_OK : err_sqlite(err, c->copier, "backfill");
}

static enum rc round_pinned(struct checkpoint *c, struct err *err) WAITS {
    enum rc rc = dbfile_sync_wal(c->r, c->f, err);
    if (rc)
        return rc;
    if (c->how->on_durable)
        c->how->on_durable(c->out.marker, c->how->ctx);
    rc = c->out.backfilled < c->out.frames ? backfill(c, err) : RC_OK;
    if (!rc)
        rc = dbfile_sync_db(c->r, c->f, err);
    c->out.backfilled = dbfile_backfilled(c->f);
    return rc;
}

static enum rc round_run(struct checkpoint *c, struct err *err) {
    enum rc rc = pin_take(c, err);
    if (!rc)
        rc = round_pinned(c, err);
    pin_drop(c);
    return rc;
}

/* ---- a reset ----------------------------------------------------------------------------------------------------- */

/* Waits for any lock to be given back; *ret_over: the time for that is over. */
static enum rc wait_change(struct checkpoint *c, int64_t deadline, bool *ret_over) WAITS {
    enum rc rc = waitq_wait(c->r, &c->f->changed, deadline);
    if (rc == RC_TIMEOUT && fiber_deadline(c->r) > deadline) {
        *ret_over = true;
        return RC_OK;
    }
    return rc;
}

/* Step 6: until all is copied and nobody reads from the WAL. New readers then read from the database file alone. */
static enum rc drain(struct checkpoint *c, int64_t deadline, bool *ret_over, struct err *err) WAITS {
    struct dbfile *f = c->f;
    enum rc rc = RC_OK;
    while (!rc && !*ret_over && f->slot[SHM_WRITE] != 0)
        rc = wait_change(c, deadline, ret_over);
    while (!rc && !*ret_over) {
        rc = round_run(c, err);
        if (rc)
            return rc;
        if (dbfile_backfilled(f) == dbfile_frames(f) && !marks_in_use(f))
            return RC_OK;
        rc = wait_change(c, deadline, ret_over);
    }
    return rc ? err_set(err, rc, "%s", rc_text(rc)) : RC_OK;
}

/* Steps 7 and 8. */
static enum rc begin_again(struct checkpoint *c, struct err *err) WAITS {
    struct dbfile *f = c->f;
    CHECK(f->db_writes == f->db_synced); /* K3 */
    f->resetter = c->copier_db;
    int code = sqlite3_wal_checkpoint_v2(c->copier, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    f->resetter = NULL;
    if (f->blank == BLANK_NONE) /* SQLite has not got that far: a reader has come */
        return code == SQLITE_OK || code == SQLITE_BUSY ? RC_OK : err_sqlite(err, c->copier, "reset of the WAL");
    enum rc rc = finish_blank(c, err);
    if (rc)
        return rc;
    c->out.reset = true;
    c->out.frames = c->out.backfilled = 0;
    counter_inc(&f->vfs->stats.resets);
    return RC_OK;
}

/* Step 8; and step 7 again if it had stopped half-way, for until then nobody can write. */
static enum rc finish_blank(struct checkpoint *c, struct err *err) {
    struct dbfile *f = c->f;
    if (f->blank == BLANK_NONE)
        return RC_OK;
    if (f->blank == BLANK_WANTED && dbfile_blank_wal(f) != RC_OK)
        return err_set(err, f->last_err.rc, "%s", f->last_err.message);
    return dbfile_sync_wal(c->r, f, err);
}

static enum rc reset_run(struct checkpoint *c, struct err *err) {
    struct dbfile *f = c->f;
    bool over = false;
    int64_t began = reactor_now(c->r), deadline = reactor_deadline(c->r, c->how->reset_wait_ns);
    hold(c, true);
    enum rc rc = drain(c, deadline, &over, err);
    if (over)
        env_probe(f->vfs->env, "checkpoint: no reset, readers in the way");
    else if (!rc)
        rc = begin_again(c, err);
    hold(c, false);
    c->out.held_ns = reactor_now(c->r) - began;
    hist_add(&f->vfs->stats.hold_ns, c->out.held_ns);
    return rc;
}
