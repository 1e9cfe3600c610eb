/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c: pages, inodes, names and their journal. */
#include "geo-sim/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "truetime/base/ilist.h"

struct page {
    uint32_t refs;
    uint8_t data[DISK_PAGE_BYTES];
};

/* A file's bytes at one time: NULL pages are zeros. */
struct content {
    struct page **pages;
    size_t count;
    int64_t size;
};

struct inode {
    uint32_t refs; /* names, open handles, syncs under way */
    struct disk *disk;
    struct content cur, dur;
    bool *dirty; /* by page of cur: the next sync takes it */
    size_t dirty_count;
    bool size_dirty;
    uint64_t synced; /* number of the last sync that ended */
    uint64_t syncs;  /* of the last that began */
    struct ilist link;
};

struct name {
    char *path;
    struct inode *inode; /* NULL: a directory */
};

struct names {
    struct name *v;
    size_t count, cap;
};

enum op_kind { OP_SET, OP_REMOVE, OP_RENAME };

/* A change of names that no directory sync has covered yet. */
struct op {
    enum op_kind kind;
    char *path, *to;
    struct inode *inode;
    struct ilist link;
};

struct disk {
    struct names cur, dur;
    struct ilist ops;    /* oldest first */
    struct ilist inodes; /* all that are referenced */
    int64_t pages_used;  /* of current contents */
    uint32_t refs;       /* the owner, and each inode */
};

struct disk_sync {
    struct inode *inode;
    struct page **pages; /* with indexes, those that were dirty */
    size_t *indexes;
    size_t count;
    int64_t size;
    uint64_t number;
};

static void *must(void *p) {
    CHECK(p);
    return p;
}

/* ---- pages and contents ------------------------------------------------------------------------------------------ */

static struct page *page_ref(struct page *p) {
    if (p)
        p->refs++;
    return p;
}

static void page_unref(struct page *p) {
    if (p && --p->refs == 0)
        free(p);
}

static void content_resize(struct content *c, size_t count) {
    for (size_t i = count; i < c->count; i++)
        page_unref(c->pages[i]);
    if (count != c->count) {
        c->pages = must(realloc(c->pages, (count ? count : 1) * sizeof(struct page *)));
        for (size_t i = c->count; i < count; i++)
            c->pages[i] = NULL;
    }
    c->count = count;
}

static void content_done(struct content *c) {
    content_resize(c, 0);
    free(c->pages);
}

static void content_copy(struct content *to, const struct content *from) {
    content_resize(to, 0);
    content_resize(to, from->count);
    for (size_t i = 0; i < from->count; i++)
        to->pages[i] = page_ref(from->pages[i]);
    to->size = from->size;
}

/* A page of its own at index i, to write into. */
static struct page *page_own(struct page **at) {
    struct page *old = *at;
    if (old && old->refs == 1)
        return old;
    struct page *p = must(calloc(1, sizeof *p));
    p->refs = 1;
    if (old) {
        memcpy(p->data, old->data, sizeof p->data);
        page_unref(old);
    }
    *at = p;
    return p;
}

static struct page *page_at(const struct content *c, size_t i) {
    return i < c->count ? c->pages[i] : NULL;
}

/* ---- inodes ------------------------------------------------------------------------------------------------------ */

static struct inode *inode_new(struct disk *d) {
    struct inode *i = must(calloc(1, sizeof *i));
    i->refs = 1;
    i->disk = d;
    d->refs++;
    ilist_init(&i->link);
    ilist_push_back(&d->inodes, &i->link);
    return i;
}

static struct inode *inode_ref(struct inode *i) {
    if (i)
        i->refs++;
    return i;
}

static void disk_unref(struct disk *d) {
    if (--d->refs == 0)
        free(d);
}

static void cur_resize(struct inode *i, size_t count) {
    size_t old = i->cur.count;
    for (size_t p = count; p < old; p++) {
        i->disk->pages_used -= i->cur.pages[p] != NULL;
        i->dirty_count -= i->dirty[p];
    }
    content_resize(&i->cur, count);
    if (count != old)
        i->dirty = must(realloc(i->dirty, (count ? count : 1) * sizeof(bool)));
    for (size_t p = old; p < count; p++)
        i->dirty[p] = false;
}

void inode_unref(struct inode *i) {
    if (!i || --i->refs > 0)
        return;
    struct disk *d = i->disk;
    cur_resize(i, 0);
    content_done(&i->cur);
    content_done(&i->dur);
    free(i->dirty);
    ilist_del(&i->link);
    free(i);
    disk_unref(d);
}

int64_t inode_size(const struct inode *i) {
    return i->cur.size;
}

size_t inode_read(const struct inode *i, void *to, size_t bytes, int64_t off) {
    uint8_t *out = to;
    size_t done = 0;
    if (off >= i->cur.size)
        return 0;
    if ((int64_t)bytes > i->cur.size - off)
        bytes = (size_t)(i->cur.size - off);
    while (done < bytes) {
        size_t at = (size_t)off % DISK_PAGE_BYTES, n = DISK_PAGE_BYTES - at;
        const struct page *p = page_at(&i->cur, (size_t)off / DISK_PAGE_BYTES);
        if (n > bytes - done)
            n = bytes - done;
        if (p)
            memcpy(out + done, p->data + at, n);
        else
            memset(out + done, 0, n);
        done += n;
        off += (int64_t)n;
    }
    return done;
}

int64_t inode_grow_bytes(const struct inode *i, size_t bytes, int64_t off) {
    int64_t grow = 0;
    if (bytes)
        for (size_t p = (size_t)off / DISK_PAGE_BYTES; p <= ((size_t)off + bytes - 1) / DISK_PAGE_BYTES; p++)
            grow += page_at(&i->cur, p) ? 0 : DISK_PAGE_BYTES;
    return grow;
}

static struct page *write_page(struct inode *i, size_t index) {
    i->disk->pages_used += i->cur.pages[index] == NULL;
    if (!i->dirty[index]) {
        i->dirty[index] = true;
        i->dirty_count++;
    }
    return page_own(&i->cur.pages[index]);
}

void inode_write(struct inode *i, const void *from, size_t bytes, int64_t off) {
    const uint8_t *in = from;
    if (!bytes)
        return;
    size_t last = ((size_t)off + bytes - 1) / DISK_PAGE_BYTES;
    if (last >= i->cur.count)
        cur_resize(i, last + 1);
    while (bytes > 0) {
        size_t at = (size_t)off % DISK_PAGE_BYTES, n = DISK_PAGE_BYTES - at;
        if (n > bytes)
            n = bytes;
        memcpy(write_page(i, (size_t)off / DISK_PAGE_BYTES)->data + at, in, n);
        in += n;
        off += (int64_t)n;
        bytes -= n;
    }
    if (off > i->cur.size) {
        i->cur.size = off;
        i->size_dirty = true;
    }
}

void inode_truncate(struct inode *i, int64_t bytes) {
    size_t count = ((size_t)bytes + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES, at = (size_t)bytes % DISK_PAGE_BYTES;
    if (bytes < i->cur.size && at && page_at(&i->cur, count - 1))
        memset(write_page(i, count - 1)->data + at, 0, DISK_PAGE_BYTES - at);
    cur_resize(i, count);
    i->size_dirty |= i->cur.size != bytes;
    i->cur.size = bytes;
}

int64_t disk_used(const struct disk *d) {
    return d->pages_used * DISK_PAGE_BYTES;
}

/* ---- syncs ------------------------------------------------------------------------------------------------------- */

struct disk_sync *disk_sync_begin(struct inode *i) {
    struct disk_sync *s = must(calloc(1, sizeof *s));
    s->inode = inode_ref(i);
    s->size = i->cur.size;
    s->number = ++i->syncs;
    s->pages = must(calloc(i->dirty_count + 1, sizeof(struct page *)));
    s->indexes = must(calloc(i->dirty_count + 1, sizeof *s->indexes));
    for (size_t p = 0; p < i->cur.count && i->dirty_count > 0; p++)
        if (i->dirty[p]) {
            s->pages[s->count] = page_ref(i->cur.pages[p]);
            s->indexes[s->count++] = p;
            i->dirty[p] = false;
            i->dirty_count--;
        }
    i->size_dirty = false;
    return s;
}

static void sync_free(struct disk_sync *s) {
    for (size_t p = 0; p < s->count; p++)
        page_unref(s->pages[p]);
    free(s->pages);
    free(s->indexes);
    inode_unref(s->inode);
    free(s);
}

void disk_sync_end(struct disk_sync *s) {
    struct content *dur = &s->inode->dur;
    /* Two lanes may sync one file at a time: what a younger sync made durable stays. */
    if (s->number > s->inode->synced) {
        size_t count = ((size_t)s->size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;
        s->inode->synced = s->number;
        dur->size = s->size;
        content_resize(dur, count);
    }
    for (size_t p = 0; p < s->count; p++)
        if (s->indexes[p] < dur->count) {
            page_unref(dur->pages[s->indexes[p]]);
            dur->pages[s->indexes[p]] = page_ref(s->pages[p]);
        }
    sync_free(s);
}

void disk_sync_fail(struct disk_sync *s) {
    sync_free(s); /* the pages are marked clean: no later sync takes them */
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Index of path, or where it belongs with *ret_found false. */
static size_t names_find(const struct names *n, const char *path, bool *ret_found) {
    size_t lo = 0, hi = n->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(n->v[mid].path, path);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = false;
    return lo;
}

static void names_set(struct names *n, const char *path, struct inode *inode) {
    bool found;
    size_t i = names_find(n, path, &found);
    if (found) {
        inode_ref(inode);
        inode_unref(n->v[i].inode);
        n->v[i].inode = inode;
        return;
    }
    if (n->count == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 16;
        n->v = must(realloc(n->v, n->cap * sizeof *n->v));
    }
    memmove(n->v + i + 1, n->v + i, (n->count - i) * sizeof *n->v);
    n->v[i] = (struct name){must(strdup(path)), inode_ref(inode)};
    n->count++;
}

static void names_remove(struct names *n, const char *path) {
    bool found;
    size_t i = names_find(n, path, &found);
    if (!found)
        return;
    inode_unref(n->v[i].inode);
    free(n->v[i].path);
    n->count--;
    memmove(n->v + i, n->v + i + 1, (n->count - i) * sizeof *n->v);
}

static void names_done(struct names *n) {
    while (n->count)
        names_remove(n, n->v[n->count - 1].path);
    free(n->v);
    *n = (struct names){0};
}

static struct name *lookup(struct disk *d, const char *path) {
    bool found;
    size_t i = names_find(&d->cur, path, &found);
    return found ? &d->cur.v[i] : NULL;
}

static size_t parent_len(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool in_dir(const char *path, const char *dir, size_t dir_len) {
    return parent_len(path) == dir_len && strncmp(path, dir, dir_len) == 0;
}

/* The directory that holds path is there. */
static bool parent_exists(struct disk *d, const char *path) {
    char dir[1024];
    size_t n = parent_len(path);
    if (n == 0)
        return true;
    if (n >= sizeof dir)
        return false;
    memcpy(dir, path, n);
    dir[n] = '\0';
    struct name *e = lookup(d, dir);
    return e && !e->inode;
}

static void apply(struct names *n, const struct op *op) {
    bool found;
    size_t i;
    switch (op->kind) {
    case OP_SET:
        names_set(n, op->path, op->inode);
        break;
    case OP_REMOVE:
        names_remove(n, op->path);
        break;
    case OP_RENAME:
        i = names_find(n, op->path, &found);
        if (found) {
            struct inode *inode = inode_ref(n->v[i].inode);
            names_remove(n, op->path);
            names_set(n, op->to, inode);
            inode_unref(inode);
        }
        break;
    }
}

static void op_free(struct op *op) {
    ilist_del(&op->link);
    inode_unref(op->inode);
    free(op->path);
    free(op->to);
    free(op);
}

static void change(struct disk *d, enum op_kind kind, const char *path, const char *to, struct inode *inode) {
    struct op *op = must(calloc(1, sizeof *op));
    op->kind = kind;
    op->path = must(strdup(path));
    op->to = to ? must(strdup(to)) : NULL;
    op->inode = inode_ref(inode);
    ilist_init(&op->link);
    ilist_push_back(&d->ops, &op->link);
    apply(&d->cur, op);
}

struct disk *disk_new(void) {
    struct disk *d = must(calloc(1, sizeof *d));
    d->refs = 1;
    ilist_init(&d->ops);
    ilist_init(&d->inodes);
    return d;
}

void disk_free(struct disk *d) {
    if (!d)
        return;
    ilist_for_each(it, &d->ops)
        op_free(ilist_entry(it, struct op, link));
    names_done(&d->cur);
    names_done(&d->dur);
    disk_unref(d);
}

enum rc disk_open(struct disk *d, const char *path, bool create, bool exclusive, struct inode **ret) {
    struct name *e = lookup(d, path);
    if (e && !e->inode)
        return RC_INVAL;
    if (e && create && exclusive)
        return RC_EXISTS;
    if (!e) {
        if (!create || !parent_exists(d, path))
            return RC_NOTFOUND;
        struct inode *i = inode_new(d);
        change(d, OP_SET, path, NULL, i);
        *ret = i; /* the first reference is the caller's */
        return RC_OK;
    }
    *ret = inode_ref(e->inode);
    return RC_OK;
}

static bool has_children(struct disk *d, const char *path) {
    size_t n = strlen(path);
    for (size_t i = 0; i < d->cur.count; i++)
        if (in_dir(d->cur.v[i].path, path, n))
            return true;
    return false;
}

enum rc disk_rename(struct disk *d, const char *from, const char *to) {
    struct name *e = lookup(d, from), *old = lookup(d, to);
    if (!e || !parent_exists(d, to))
        return RC_NOTFOUND;
    if ((old && !old->inode) || (!e->inode && has_children(d, from)))
        return RC_UNSUPPORTED; /* directories with entries are not moved by anything we write */
    if (strcmp(from, to) != 0)
        change(d, OP_RENAME, from, to, NULL);
    return RC_OK;
}

enum rc disk_unlink(struct disk *d, const char *path) {
    struct name *e = lookup(d, path);
    if (!e)
        return RC_NOTFOUND;
    if (!e->inode)
        return RC_INVAL;
    change(d, OP_REMOVE, path, NULL, NULL);
    return RC_OK;
}

enum rc disk_mkdir(struct disk *d, const char *path) {
    if (lookup(d, path))
        return RC_EXISTS;
    if (!parent_exists(d, path))
        return RC_NOTFOUND;
    change(d, OP_SET, path, NULL, NULL);
    return RC_OK;
}

enum rc disk_rmdir(struct disk *d, const char *path) {
    struct name *e = lookup(d, path);
    if (!e || e->inode)
        return RC_NOTFOUND;
    if (has_children(d, path))
        return RC_BUSY;
    change(d, OP_REMOVE, path, NULL, NULL);
    return RC_OK;
}

enum rc disk_list(struct disk *d, const char *path, void (*on_name)(void *ctx, const char *name), void *ctx) {
    size_t n = strlen(path);
    struct name *e = lookup(d, path);
    if (n && (!e || e->inode))
        return RC_NOTFOUND;
    /* on_name may change the directory: names are gathered first. */
    char **found = must(calloc(d->cur.count + 1, sizeof(char *)));
    size_t count = 0;
    for (size_t i = 0; i < d->cur.count; i++)
        if (in_dir(d->cur.v[i].path, path, n))
            found[count++] = must(strdup(d->cur.v[i].path + (n ? n + 1 : 0)));
    for (size_t i = 0; i < count; i++) {
        on_name(ctx, found[i]);
        free(found[i]);
    }
    free(found);
    return RC_OK;
}

enum rc disk_sync_dir(struct disk *d, const char *path) {
    size_t n = strlen(path);
    struct name *e = lookup(d, path);
    if (n && (!e || e->inode))
        return RC_NOTFOUND;
    ilist_for_each(it, &d->ops) {
        struct op *op = ilist_entry(it, struct op, link);
        if (in_dir(op->path, path, n) || (op->to && in_dir(op->to, path, n))) {
            apply(&d->dur, op);
            op_free(op);
        }
    }
    return RC_OK;
}

void disk_each(struct disk *d, void (*fn)(void *ctx, const char *path, struct inode *inode), void *ctx) {
    for (size_t i = 0; i < d->cur.count; i++)
        if (d->cur.v[i].inode)
            fn(ctx, d->cur.v[i].path, d->cur.v[i].inode);
}

/* ---- crashes ----------------------------------------------------------------------------------------------------- */

enum fate { FATE_LOST, FATE_KEPT, FATE_PAGES, FATE_SECTORS, FATES };

/* One page of unsynced data after the power went. */
static struct page *page_after(struct page *dur, struct page *cur, enum fate fate, struct rng *rng) {
    static const uint8_t zeros[DISK_PAGE_BYTES];
    if (dur == cur || fate == FATE_LOST || (fate == FATE_PAGES && rng_chance(rng, 0.5)))
        return page_ref(dur);
    if (fate != FATE_SECTORS)
        return page_ref(cur);
    struct page *p = must(calloc(1, sizeof *p));
    p->refs = 1;
    for (size_t at = 0; at < DISK_PAGE_BYTES; at += DISK_SECTOR_BYTES) {
        const struct page *from = rng_chance(rng, 0.5) ? cur : dur;
        memcpy(p->data + at, (from ? from->data : zeros) + at, DISK_SECTOR_BYTES);
    }
    return p;
}

static struct inode *inode_after(struct inode *i, struct disk *to, enum fate fate, struct rng *rng) {
    struct inode *n = inode_new(to);
    const struct content *a = &i->dur, *b = &i->cur;
    int64_t size = fate == FATE_LOST   ? a->size
                   : fate == FATE_KEPT ? b->size
                   : a->size < b->size ? rng_range(rng, a->size, b->size)
                                       : (rng_chance(rng, 0.5) ? a->size : b->size);
    size_t count = ((size_t)size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;
    cur_resize(n, count);
    for (size_t p = 0; p < count; p++) {
        n->cur.pages[p] = page_after(page_at(a, p), page_at(b, p), fate, rng);
        to->pages_used += n->cur.pages[p] != NULL;
    }
    n->cur.size = size;
    if (size % DISK_PAGE_BYTES && page_at(&n->cur, count - 1)) /* no stale bytes behind the end */
        memset(page_own(&n->cur.pages[count - 1])->data + size % DISK_PAGE_BYTES, 0,
               DISK_PAGE_BYTES - (size_t)size % DISK_PAGE_BYTES);
    content_copy(&n->dur, &n->cur);
    return n;
}

static struct inode *inode_fork(struct inode *i, struct disk *to) {
    struct inode *n = inode_new(to);
    cur_resize(n, i->cur.count);
    for (size_t p = 0; p < i->cur.count; p++) {
        n->cur.pages[p] = page_ref(i->cur.pages[p]);
        to->pages_used += n->cur.pages[p] != NULL;
        n->dirty[p] = i->dirty[p];
        /* A sync that was under way has not ended: what it took is to be synced again. */
        if (!n->dirty[p] && n->cur.pages[p] != page_at(&i->dur, p) && i->syncs != i->synced)
            n->dirty[p] = true;
        n->dirty_count += n->dirty[p];
    }
    n->cur.size = i->cur.size;
    n->size_dirty = i->size_dirty || i->cur.size != i->dur.size;
    content_copy(&n->dur, &i->dur);
    return n;
}

/* Old inodes to new ones, made on first sight. */
struct mapping {
    struct inode *from, *to;
};

struct translation {
    struct mapping *v;
    size_t count;
    struct disk *to;
    struct rng *rng; /* NULL: fork */
};

static struct inode *translate(struct translation *t, struct inode *i) {
    if (!i)
        return NULL;
    for (size_t k = 0; k < t->count; k++)
        if (t->v[k].from == i)
            return t->v[k].to;
    t->v = must(realloc(t->v, (t->count + 1) * sizeof *t->v));
    struct inode *n =
        t->rng ? inode_after(i, t->to, (enum fate)rng_below(t->rng, FATES), t->rng) : inode_fork(i, t->to);
    t->v[t->count++] = (struct mapping){i, n};
    return n;
}

static void translate_names(struct translation *t, struct names *to, const struct names *from) {
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->v[i].path, translate(t, from->v[i].inode));
}

static void translation_done(struct translation *t) {
    for (size_t k = 0; k < t->count; k++)
        inode_unref(t->v[k].to);
    free(t->v);
}

struct disk *disk_crash(struct disk *d, struct rng *rng) {
    struct disk *n = disk_new();
    struct translation t = {.to = n, .rng = rng};
    struct names survived = {0};
    size_t ops = 0;
    for (size_t i = 0; i < d->dur.count; i++)
        names_set(&survived, d->dur.v[i].path, d->dur.v[i].inode);
    ilist_for_each(it, &d->ops)
        ops++;
    size_t keep = rng_below(rng, ops + 1); /* file systems journal names in order */
    ilist_for_each(it, &d->ops) {
        if (keep-- == 0)
            break;
        apply(&survived, ilist_entry(it, struct op, link));
    }
    translate_names(&t, &n->cur, &survived);
    translate_names(&t, &n->dur, &survived);
    names_done(&survived);
    translation_done(&t);
    return n;
}

struct disk *disk_fork(struct disk *d) {
    struct disk *n = disk_new();
    struct translation t = {.to = n};
    translate_names(&t, &n->dur, &d->dur);
    translate_names(&t, &n->cur, &d->cur);
    ilist_for_each(it, &d->ops) {
        const struct op *op = ilist_entry(it, struct op, link);
        struct op *copy = must(calloc(1, sizeof *copy));
        copy->kind = op->kind;
        copy->path = must(strdup(op->path));
        copy->to = op->to ? must(strdup(op->to)) : NULL;
        copy->inode = inode_ref(translate(&t, op->inode));
        ilist_init(&copy->link);
        ilist_push_back(&n->ops, &copy->link);
    }
    translation_done(&t);
    return n;
}
