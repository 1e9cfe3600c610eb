/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c: images of tablets' files. The header has the format. */
#include "shard/store/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "shard/store/mvcc_internal.h"
#include "truetime/base/crc32c.h"

enum {
    BACKUP_PAGES = 32,
    SUFFIX_BYTES = 32,
    HEAD_CRC_AT = 60,
    CHUNK_WHOLE = SNAPSHOT_CHUNK_HEAD_BYTES + SNAPSHOT_CHUNK_BYTES
};

static const char magic[8] = {'m', 'r', 'd', 'n', 's', 'n', 'a', 'p'};

struct snapshot_image {
    struct mvcc_store *s;
    char path[VFS_PATH_BYTES_MAX];
    struct env_file *file;
    uint64_t number, file_bytes;
    struct mvcc_state state;
    struct buf owned; /* what state points to */
    uint8_t head[SNAPSHOT_HEAD_BYTES];
    uint64_t chunk_place; /* of the chunk in memory; UINT64_MAX: none */
    size_t chunk_bytes;
    uint8_t chunk[CHUNK_WHOLE];
};

static uint64_t stream_bytes(uint64_t file_bytes) {
    uint64_t chunks = (file_bytes + SNAPSHOT_CHUNK_BYTES - 1) / SNAPSHOT_CHUNK_BYTES;
    return SNAPSHOT_HEAD_BYTES + file_bytes + chunks * SNAPSHOT_CHUNK_HEAD_BYTES;
}

static uint32_t chunk_crc(uint64_t number, const uint8_t *head, const uint8_t *bytes, size_t n) {
    uint8_t image[8];
    set_u64le(image, number);
    return crc32c(crc32c(crc32c(0, image, sizeof image), head, 12), bytes, n);
}

/* ---- the copy ---------------------------------------------------------------------------------------------------- */

struct copying {
    struct mvcc_store *s;
    sqlite3 *from;
};

static enum rc copy_pages(sqlite3 *to, void *ctx, struct err *err) WAITS {
    struct copying *c = ctx;
    int code = SQLITE_OK;
    enum rc rc = RC_OK;
    sqlite3_backup *b = sqlite3_backup_init(to, "main", c->from, "main");
    if (!b)
        return err_sqlite(err, to, "begin a copy");
    while (!rc && (code = sqlite3_backup_step(b, BACKUP_PAGES)) == SQLITE_OK)
        if (fiber_slice_over(c->s->r))
            rc = fiber_yield(c->s->r);
    int end = sqlite3_backup_finish(b);
    if (rc)
        return err_set(err, rc, "%s", rc_text(rc));
    if (code != SQLITE_DONE || end != SQLITE_OK)
        return err_sqlite(err, to, "copy pages");
    return RC_OK;
}

static struct mvcc_bytes own(struct buf *to, struct mvcc_bytes from) {
    size_t at = to->len;
    if (from.n)
        buf_put(to, from.p, from.n);
    return (struct mvcc_bytes){(const void *)(uintptr_t)at, from.n}; /* its address comes when all is there */
}

static enum rc own_state(struct snapshot_image *x, const struct mvcc_state *from) {
    struct mvcc_bytes *all[] = {&x->state.ballot, &x->state.start, &x->state.end, &x->state.config};
    x->state = *from;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        *all[i] = own(&x->owned, *all[i]);
    for (size_t i = 0; i < ARRAY_LEN(all) && !buf_rc(&x->owned); i++)
        all[i]->p = all[i]->n ? x->owned.data + (uintptr_t)all[i]->p : NULL;
    return buf_rc(&x->owned);
}

static void put_head(struct snapshot_image *x) {
    memcpy(x->head, magic, sizeof magic);
    set_u32le(x->head + 8, SNAPSHOT_FORMAT);
    set_u32le(x->head + 12, VFS_PAGE_BYTES);
    set_u64le(x->head + 16, x->number);
    set_u64le(x->head + 24, x->file_bytes);
    set_u64le(x->head + 32, x->state.tablet);
    set_u64le(x->head + 40, (uint64_t)x->state.slot);
    set_u64le(x->head + 48, x->state.checksum);
    set_u32le(x->head + 56, 0);
    set_u32le(x->head + HEAD_CRC_AT, crc32c(0, x->head, HEAD_CRC_AT));
}

static enum rc make_copy(struct snapshot_image *x, struct mvcc *m, struct err *err) WAITS {
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_reader_open(m, &rd, err);
    if (rc)
        return rc;
    if (own_state(x, &m->state)) /* nothing waited since the pin */
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    struct copying c = {x->s, rd->conn.db};
    if (!rc)
        rc = vfs_create(x->s->r, x->s->v, x->path, copy_pages, &c, err);
    mvcc_reader_close(rd);
    return rc;
}

enum rc snapshot_open(struct mvcc *m, uint64_t number, struct snapshot_image **ret, struct err *err) {
    struct snapshot_image *x = calloc(1, sizeof *x);
    int64_t bytes = 0;
    if (!x)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    x->s = m->s;
    x->number = number;
    x->chunk_place = UINT64_MAX;
    buf_init(&x->owned, 0);
    enum rc rc = RC_OK;
    int n = snprintf(x->path, sizeof x->path, "%s.image%" PRIu64, m->path, number);
    if (n < 0 || (size_t)n >= sizeof x->path)
        rc = err_set(err, RC_LIMIT, "path too long: %.100s...", m->path);
    if (!rc)
        rc = make_copy(x, m, err);
    if (!rc)
        rc = env_file_open(x->s->env, x->path, ENV_OPEN_READONLY, &x->file, err);
    if (!rc)
        rc = env_file_size(x->file, &bytes, err);
    x->file_bytes = (uint64_t)bytes;
    put_head(x);
    if (rc) {
        err_wrap(err, "image of %.200s", m->path);
        snapshot_close(x);
        return rc;
    }
    *ret = x;
    return RC_OK;
}

void snapshot_close(struct snapshot_image *x) {
    if (!x)
        return;
    if (x->file) {
        char wal[ENV_PATH_BYTES];
        env_file_close(x->file);
        IGNORE(env_unlink(x->s->env, x->path, NULL)); /* what stays is swept at the next start */
        snprintf(wal, sizeof wal, "%s-wal", x->path);
        IGNORE(env_unlink(x->s->env, wal, NULL));
    }
    buf_done(&x->owned);
    free(x);
}

const struct mvcc_state *snapshot_state(const struct snapshot_image *x) {
    return &x->state;
}

uint64_t snapshot_bytes(const struct snapshot_image *x) {
    return stream_bytes(x->file_bytes);
}

static enum rc read_chunk(struct snapshot_image *x, uint64_t place, struct err *err) {
    uint64_t at = place * SNAPSHOT_CHUNK_BYTES;
    size_t want = x->file_bytes - at < SNAPSHOT_CHUNK_BYTES ? (size_t)(x->file_bytes - at) : SNAPSHOT_CHUNK_BYTES;
    size_t got = 0;
    uint8_t *bytes = x->chunk + SNAPSHOT_CHUNK_HEAD_BYTES;
    x->chunk_place = UINT64_MAX;
    enum rc rc = env_file_read(x->file, bytes, want, (int64_t)at, &got, err);
    if (!rc && got != want)
        rc = err_set(err, RC_CORRUPT, "%.200s became shorter", x->path);
    if (rc)
        return rc;
    set_u64le(x->chunk, place);
    set_u32le(x->chunk + 8, (uint32_t)want);
    set_u32le(x->chunk + 12, chunk_crc(x->number, x->chunk, bytes, want));
    x->chunk_place = place;
    x->chunk_bytes = want + SNAPSHOT_CHUNK_HEAD_BYTES;
    return RC_OK;
}

enum rc snapshot_read(struct snapshot_image *x, uint64_t off, void *to, size_t cap, size_t *ret_bytes,
                      struct err *err) {
    size_t done = 0;
    while (done < cap && off < snapshot_bytes(x)) {
        const uint8_t *from = x->head;
        uint64_t at = off, n = SNAPSHOT_HEAD_BYTES;
        if (off >= SNAPSHOT_HEAD_BYTES) {
            uint64_t place = (off - SNAPSHOT_HEAD_BYTES) / CHUNK_WHOLE;
            enum rc rc = place == x->chunk_place ? RC_OK : read_chunk(x, place, err);
            if (rc)
                return rc;
            from = x->chunk;
            at = off - SNAPSHOT_HEAD_BYTES - place * CHUNK_WHOLE;
            n = x->chunk_bytes;
        }
        size_t part = n - at < cap - done ? (size_t)(n - at) : cap - done;
        memcpy((uint8_t *)to + done, from + at, part);
        done += part;
        off += part;
    }
    *ret_bytes = done;
    return RC_OK;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

struct snapshot_load {
    struct mvcc_store *s;
    char path[VFS_PATH_BYTES_MAX], temp[VFS_PATH_BYTES_MAX];
    struct env_file *file;
    uint64_t tablet, have;
    bool lost; /* something was wrong */
    /* from the head */
    uint64_t number, file_bytes, checksum, written;
    int64_t slot;
    uint8_t part[CHUNK_WHOLE]; /* of the head or a chunk */
    size_t n_part;
};

static enum rc bad(struct snapshot_load *l, const char *what, struct err *err) {
    l->lost = true;
    err_set(err, RC_CORRUPT, "image of tablet %" PRIu64 ": %s", l->tablet, what);
    err_detail(err, "at byte %" PRIu64 " of the stream", l->have);
    return RC_CORRUPT;
}

enum rc snapshot_load_begin(struct mvcc_store *s, const char *path, uint64_t tablet, struct snapshot_load **ret,
                            struct err *err) {
    struct snapshot_load *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    l->s = s;
    l->tablet = tablet;
    enum rc rc = RC_OK;
    snprintf(l->path, sizeof l->path, "%s", path);
    int n = snprintf(l->temp, sizeof l->temp, "%s.load", path);
    if (n < 0 || (size_t)n >= sizeof l->temp)
        rc = err_set(err, RC_LIMIT, "path too long: %.100s...", path);
    if (!rc)
        rc = env_file_open(s->env, l->temp, ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &l->file, err);
    if (rc) {
        snapshot_load_free(l);
        return rc;
    }
    *ret = l;
    return RC_OK;
}

static enum rc take_head(struct snapshot_load *l, struct err *err) {
    const uint8_t *h = l->part;
    if (memcmp(h, magic, sizeof magic) != 0 || get_u32le(h + HEAD_CRC_AT) != crc32c(0, h, HEAD_CRC_AT))
        return bad(l, "its head is damaged", err);
    if (get_u32le(h + 8) != SNAPSHOT_FORMAT || get_u32le(h + 12) != VFS_PAGE_BYTES)
        return bad(l, "a format that this build does not read", err);
    l->number = get_u64le(h + 16);
    l->file_bytes = get_u64le(h + 24);
    l->slot = (int64_t)get_u64le(h + 40);
    l->checksum = get_u64le(h + 48);
    if (get_u64le(h + 32) != l->tablet)
        return bad(l, "it is another tablet's", err);
    if (l->file_bytes == 0 || l->file_bytes % VFS_PAGE_BYTES || l->file_bytes > INT64_MAX / 2)
        return bad(l, "no number of pages", err);
    return RC_OK;
}

/* How many bytes the part under way must have; known step by step. */
static size_t part_bytes(const struct snapshot_load *l) {
    if (l->number == 0 && l->file_bytes == 0)
        return SNAPSHOT_HEAD_BYTES;
    uint64_t left = l->file_bytes - l->written;
    return SNAPSHOT_CHUNK_HEAD_BYTES + (left < SNAPSHOT_CHUNK_BYTES ? (size_t)left : SNAPSHOT_CHUNK_BYTES);
}

static enum rc take_chunk(struct snapshot_load *l, struct err *err) {
    const uint8_t *bytes = l->part + SNAPSHOT_CHUNK_HEAD_BYTES;
    size_t n = l->n_part - SNAPSHOT_CHUNK_HEAD_BYTES;
    if (get_u64le(l->part) != l->written / SNAPSHOT_CHUNK_BYTES || get_u32le(l->part + 8) != n)
        return bad(l, "a chunk is not in its place", err);
    if (get_u32le(l->part + 12) != chunk_crc(l->number, l->part, bytes, n))
        return bad(l, "a chunk is damaged", err);
    enum rc rc = env_file_write(l->file, bytes, n, (int64_t)l->written, err);
    if (rc)
        l->lost = true;
    else
        l->written += n;
    return rc;
}

enum rc snapshot_load_write(struct snapshot_load *l, const void *bytes, size_t n, struct err *err) {
    const uint8_t *from = bytes;
    if (l->lost)
        return err_set(err, RC_CORRUPT, "image of tablet %" PRIu64 ": an earlier part was wrong", l->tablet);
    while (n > 0) {
        bool head = l->file_bytes == 0;
        if (!head && l->written == l->file_bytes)
            return bad(l, "it goes on behind its end", err);
        size_t want = part_bytes(l), part = want - l->n_part < n ? want - l->n_part : n;
        memcpy(l->part + l->n_part, from, part);
        l->n_part += part;
        l->have += part;
        from += part;
        n -= part;
        if (l->n_part < want)
            break;
        enum rc rc = head ? take_head(l, err) : take_chunk(l, err);
        if (rc)
            return rc;
        l->n_part = 0;
    }
    return RC_OK;
}

uint64_t snapshot_load_have(const struct snapshot_load *l) {
    return l->have;
}

static enum rc check_loaded(struct snapshot_load *l, bool verify, struct err *err) WAITS {
    struct mvcc *m = NULL;
    struct mvcc_reader *rd = NULL;
    enum rc rc = mvcc_open(l->s, l->path, &m, err);
    if (rc)
        return rc;
    if (m->state.tablet != l->tablet || m->state.slot != l->slot || m->state.checksum != l->checksum)
        rc = bad(l, "the file is not what the head says", err); /* */
    if (!rc && verify)
        rc = mvcc_reader_open(m, &rd, err);
    if (!rc && verify)
        rc = mvcc_verify(rd, false, err);
    mvcc_reader_close(rd);
    mvcc_close(m);
    return rc;
}

enum rc snapshot_load_end(struct snapshot_load *l, bool verify, int64_t *ret_slot, struct err *err) {
    if (l->lost || l->file_bytes == 0 || l->written != l->file_bytes)
        return bad(l, "it is not whole", err);
    env_file_close(l->file);
    l->file = NULL;
    l->lost = true; /* one end only */
    enum rc rc = vfs_adopt(l->s->r, l->s->v, l->temp, l->path, err);
    if (rc) {
        IGNORE(env_unlink(l->s->env, l->temp, NULL)); /* as far as it goes */
        return rc;
    }
    rc = check_loaded(l, verify, err);
    if (rc) {
        IGNORE(vfs_remove(l->s->r, l->s->v, l->path, NULL)); /* no manifest names it */
        return rc;
    }
    *ret_slot = l->slot;
    return RC_OK;
}

void snapshot_load_free(struct snapshot_load *l) {
    if (!l)
        return;
    if (l->file) {
        env_file_close(l->file);
        IGNORE(env_unlink(l->s->env, l->temp, NULL)); /* what stays is swept at the next start */
    }
    free(l);
}

/* ---- sweeping ---------------------------------------------------------------------------------------------------- */

struct sweep {
    const char *prefix; /* of names */
    struct buf names;   /* each with its zero */
};

static void on_name(void *ctx, const char *name) {
    struct sweep *s = ctx;
    size_t n = strlen(s->prefix);
    if (strncmp(name, s->prefix, n) == 0 && (strncmp(name + n, ".image", 6) == 0 || strncmp(name + n, ".load", 5) == 0))
        buf_put(&s->names, name, strlen(name) + 1);
}

enum rc snapshot_sweep(struct mvcc_store *s, const char *path, struct err *err) {
    char dir[ENV_PATH_BYTES], name[ENV_PATH_BYTES * 2];
    const char *slash = strrchr(path, '/');
    struct sweep w = {.prefix = slash ? slash + 1 : path};
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    buf_init(&w.names, 0);
    enum rc rc = env_dir_list(s->env, dir, on_name, &w, err);
    if (!rc && buf_rc(&w.names))
        rc = err_set(err, RC_NOMEM, "%s", rc_text(RC_NOMEM));
    for (size_t at = 0; at < w.names.len && !rc; at += strlen((const char *)w.names.data + at) + 1) {
        snprintf(name, sizeof name, "%s/%s", dir, (const char *)w.names.data + at);
        rc = env_unlink(s->env, name, err);
    }
    buf_done(&w.names);
    return rc;
}
