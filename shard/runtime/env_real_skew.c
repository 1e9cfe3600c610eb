/* SPDX-License-Identifier: Apache-2.0 */
/* env_real_skew.c: a page under a sequence lock. */
#include "shard/runtime/env_real_skew.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SPINS_MAX = 100000 };

struct skew_page {
    _Atomic uint64_t seq;                                     /* odd: being written */
    _Atomic int64_t base_ns, drifted_ns, rate_ppb, offset_ns; /* drifted: by the time base, of the kernel's RAW */
};

struct values {
    int64_t base_ns, drifted_ns, rate_ppb, offset_ns;
};

static int64_t raw_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A writer that died in the middle leaves an odd number: what is there then has to do. */
static struct values read_page(const struct skew_page *p) {
    struct skew_page *q = (struct skew_page *)(uintptr_t)p;
    struct values v = {0};
    for (int i = 0; i < SPINS_MAX; i++) {
        uint64_t before = atomic_load(&q->seq);
        v = (struct values){atomic_load(&q->base_ns), atomic_load(&q->drifted_ns), atomic_load(&q->rate_ppb),
                            atomic_load(&q->offset_ns)};
        if (!(before & 1) && atomic_load(&q->seq) == before)
            break;
    }
    return v;
}

static int64_t drift_at(const struct values *v, int64_t raw) {
    return v->base_ns ? v->drifted_ns + (int64_t)((__int128)(raw - v->base_ns) * v->rate_ppb / 1000000000) : 0;
}

void skew_now(const struct skew_page *p, int64_t *ret_drift_ns, int64_t *ret_offset_ns) {
    struct values v = read_page(p);
    *ret_drift_ns = v.rate_ppb || v.drifted_ns ? drift_at(&v, raw_ns()) : 0;
    *ret_offset_ns = v.offset_ns;
}

static enum rc map(const char *path, int flags, struct skew_page **ret, struct err *err) {
    struct stat st;
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    bool writer = (flags & O_ACCMODE) == O_RDWR;
    if (fstat(fd, &st) || (writer && ftruncate(fd, sizeof(struct skew_page)))) {
        int e = errno;
        close(fd);
        return err_errno(err, e, "open %s", path);
    }
    if (!writer && st.st_size < (off_t)sizeof(struct skew_page)) {
        close(fd);
        return err_set(err, RC_INVAL, "%s does not say how clocks are off", path);
    }
    void *at = mmap(NULL, sizeof(struct skew_page), PROT_READ | (writer ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    int e = errno;
    close(fd);
    if (at == MAP_FAILED)
        return err_errno(err, e, "map %s", path);
    *ret = at;
    return RC_OK;
}

enum rc skew_open(const char *path, const struct skew_page **ret, struct err *err) {
    struct skew_page *p;
    enum rc rc = map(path, O_RDONLY, &p, err);
    if (!rc)
        *ret = p;
    return rc;
}

void skew_close(const struct skew_page *p) {
    if (p)
        munmap((void *)(uintptr_t)p, sizeof *p);
}

enum rc skew_set(const char *path, const int64_t *real_off_ns, const int64_t *rate_ppb, struct err *err) {
    struct skew_page *p;
    enum rc rc = map(path, O_RDWR | O_CREAT, &p, err);
    if (rc)
        return rc;
    struct values v = read_page(p);
    int64_t now = raw_ns(), drifted = drift_at(&v, now);
    atomic_store(&p->seq, atomic_load(&p->seq) | 1);
    atomic_store(&p->base_ns, now);
    atomic_store(&p->drifted_ns, drifted);
    if (rate_ppb)
        atomic_store(&p->rate_ppb, *rate_ppb);
    if (real_off_ns)
        atomic_store(&p->offset_ns, *real_off_ns - drifted);
    atomic_fetch_add(&p->seq, 1);
    skew_close(p);
    return RC_OK;
}
