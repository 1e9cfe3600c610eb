/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/exec/scratch.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scratch {
    struct env *env;
    char dir[ENV_PATH_BYTES];
    uint64_t made;
    unsigned attached;
    struct scratch_stats stats;
};

struct scratch_vfs {
    sqlite3_vfs base;
    char name[40];
    struct scratch *s;
    int64_t bytes, max;
    bool full;
    struct err err; /* rc: what a file said last */
};

/* A sqlite3_file. */
struct scratch_file {
    sqlite3_file base; /* first */
    struct scratch_vfs *v;
    struct env_file *f;
    uint64_t number;
    int64_t bytes;
};

static void path_of(const struct scratch *s, uint64_t number, char to[ENV_PATH_BYTES]) {
    snprintf(to, ENV_PATH_BYTES, "%s/%" PRIu64, s->dir, number);
}

static int failed(struct scratch_vfs *v, enum rc rc, int code) {
    v->err.rc = rc;
    return rc == RC_NOSPACE ? SQLITE_FULL : rc == RC_NOMEM ? SQLITE_NOMEM : code;
}

/* ---- a file -------------------------------------------------------------------------------------------------------- */

static void size_is(struct scratch_file *h, int64_t bytes) {
    gauge_add(&h->v->s->stats.in_use, bytes - h->bytes);
    h->v->bytes += bytes - h->bytes;
    h->bytes = bytes;
}

static int on_close(sqlite3_file *base) {
    struct scratch_file *h = (struct scratch_file *)base;
    char path[ENV_PATH_BYTES];
    struct err err;
    size_is(h, 0);
    env_file_close(h->f);
    path_of(h->v->s, h->number, path);
    IGNORE(env_unlink(h->v->s->env, path, &err)); /* else the next process removes it */
    return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *to, int bytes, sqlite3_int64 off) {
    struct scratch_file *h = (struct scratch_file *)base;
    size_t got = 0;
    enum rc rc = env_file_read(h->f, to, (size_t)bytes, off, &got, &h->v->err);
    if (rc)
        return failed(h->v, rc, SQLITE_IOERR_READ);
    if (got == (size_t)bytes)
        return SQLITE_OK;
    memset((uint8_t *)to + got, 0, (size_t)bytes - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *base, const void *from, int bytes, sqlite3_int64 off) {
    struct scratch_file *h = (struct scratch_file *)base;
    struct scratch_vfs *v = h->v;
    int64_t end = off + bytes, more = end > h->bytes ? end - h->bytes : 0;
    if (v->max > 0 && v->bytes + more > v->max) {
        v->full = true;
        return SQLITE_FULL;
    }
    enum rc rc = env_file_write(h->f, from, (size_t)bytes, off, &v->err);
    if (rc)
        return failed(v, rc, SQLITE_IOERR_WRITE);
    counter_add(&v->s->stats.bytes, (uint64_t)bytes);
    if (more > 0)
        size_is(h, end);
    return SQLITE_OK;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 bytes) {
    struct scratch_file *h = (struct scratch_file *)base;
    enum rc rc = env_file_truncate(h->f, bytes, &h->v->err);
    if (rc)
        return failed(h->v, rc, SQLITE_IOERR_TRUNCATE);
    size_is(h, bytes);
    return SQLITE_OK;
}

static int on_sync(sqlite3_file *base, int flags) {
    (void)base, (void)flags;
    return SQLITE_OK;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *ret) {
    *ret = ((struct scratch_file *)base)->bytes;
    return SQLITE_OK;
}

static int on_lock(sqlite3_file *base, int level) {
    (void)base, (void)level;
    return SQLITE_OK;
}

static int on_check_reserved(sqlite3_file *base, int *ret) {
    (void)base;
    *ret = 0;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int op, void *arg) {
    (void)base, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *base) {
    (void)base;
    return ENV_SECTOR_BYTES;
}

static int on_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

/* ---- a statement's vfs ---------------------------------------------------------------------------------------------- */

/* Temporary files alone have no name. */
static int on_open(sqlite3_vfs *base, const char *name, sqlite3_file *to, int flags, int *ret_flags) {
    struct scratch_vfs *v = base->pAppData;
    struct scratch_file *h = (struct scratch_file *)to;
    char path[ENV_PATH_BYTES];
    *h = (struct scratch_file){.v = v};
    if (name)
        return SQLITE_CANTOPEN;
    h->number = ++v->s->made;
    path_of(v->s, h->number, path);
    enum rc rc = env_file_open(v->s->env, path, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &h->f, &v->err);
    if (rc)
        return failed(v, rc, SQLITE_CANTOPEN);
    counter_inc(&v->s->stats.files);
    h->base.pMethods = &file_methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *base, const char *name, int sync_dir) {
    (void)base, (void)name, (void)sync_dir;
    return SQLITE_OK;
}

static int on_access(sqlite3_vfs *base, const char *name, int what, int *ret) {
    (void)base, (void)name, (void)what;
    *ret = 0;
    return SQLITE_OK;
}

static int on_full_pathname(sqlite3_vfs *base, const char *name, int bytes, char *to) {
    (void)base;
    return snprintf(to, (size_t)bytes, "%s", name) < bytes ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int on_randomness(sqlite3_vfs *base, int bytes, char *to) {
    struct scratch_vfs *v = base->pAppData;
    for (int i = 0; i < bytes; i += 8) {
        uint64_t x = env_random(v->s->env);
        memcpy(to + i, &x, (size_t)(bytes - i < 8 ? bytes - i : 8));
    }
    return bytes;
}

static int on_sleep(sqlite3_vfs *base, int microseconds) {
    (void)base;
    return microseconds;
}

static int on_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret) {
    static const int64_t EPOCH_MS = INT64_C(210866760000000); /* of 1970, as SQLite counts days */
    struct scratch_vfs *v = base->pAppData;
    *ret = EPOCH_MS + env_clock_ns(v->s->env, ENV_CLOCK_REAL) / 1000000;
    return SQLITE_OK;
}

static int on_current_time(sqlite3_vfs *base, double *ret) {
    sqlite3_int64 ms = 0;
    int code = on_current_time_ms(base, &ms);
    *ret = (double)ms / 86400000.0;
    return code;
}

static int on_last_error(sqlite3_vfs *base, int bytes, char *to) {
    (void)base;
    if (bytes > 0)
        to[0] = '\0';
    return 0;
}

enum rc scratch_attach(struct scratch *s, int64_t max, struct scratch_vfs **ret) {
    struct scratch_vfs *v = calloc(1, sizeof *v);
    if (!v)
        return RC_NOMEM;
    v->s = s;
    v->max = max;
    snprintf(v->name, sizeof v->name, "meridian-scratch-%p", (void *)v);
    v->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct scratch_file),
        .mxPathname = ENV_PATH_BYTES,
        .zName = v->name,
        .pAppData = v,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_pathname,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_current_time,
        .xGetLastError = on_last_error,
        .xCurrentTimeInt64 = on_current_time_ms,
    };
    if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
        free(v);
        return RC_NOMEM;
    }
    s->attached++;
    *ret = v;
    return RC_OK;
}

void scratch_detach(struct scratch_vfs *v) {
    if (!v)
        return;
    CHECK(v->bytes == 0);
    sqlite3_vfs_unregister(&v->base);
    v->s->attached--;
    free(v);
}

const char *scratch_name(const struct scratch_vfs *v) {
    return v->name;
}

enum rc scratch_failed(const struct scratch_vfs *v, struct err *err) {
    if (v->full) {
        err_set(err, RC_LIMIT, "the statement's temporary files exceed temp_file_limit (%" PRId64 " kB)", v->max >> 10);
        err_state(err, "53400");
        return RC_LIMIT;
    }
    if (v->err.rc && err)
        *err = v->err;
    return v->err.rc;
}

/* ---- a store's ------------------------------------------------------------------------------------------------------- */

struct leftovers {
    struct scratch *s;
    enum rc rc;
};

static void remove_one(void *ctx, const char *name) {
    struct leftovers *l = ctx;
    char path[ENV_PATH_BYTES];
    struct err err;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", l->s->dir, name) >= sizeof path)
        return;
    enum rc rc = env_unlink(l->s->env, path, &err);
    l->rc = rc ? rc : l->rc;
}

enum rc scratch_new(struct env *env, const char *dir, struct scratch **ret, struct err *err) {
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    s->env = env;
    enum { NUMBER_BYTES = 24 };
    enum rc rc = snprintf(s->dir, sizeof s->dir, "%s", dir) < (int)sizeof s->dir - NUMBER_BYTES
                     ? env_mkdir(env, dir, err)
                     : err_set(err, RC_LIMIT, "the path of the directory for temporary files is too long");
    struct leftovers l = {s, RC_OK};
    if (rc == RC_OK || rc == RC_EXISTS)
        rc = env_dir_list(env, dir, remove_one, &l, err);
    if (!rc && l.rc)
        rc = err_set(err, l.rc, "temporary files of an earlier process cannot be removed from %s", dir);
    if (rc)
        free(s);
    else
        *ret = s;
    return rc;
}

void scratch_free(struct scratch *s) {
    if (!s)
        return;
    CHECK(s->attached == 0);
    free(s);
}

const struct scratch_stats *scratch_stats(const struct scratch *s) {
    return &s->stats;
}
