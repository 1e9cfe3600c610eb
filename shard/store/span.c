/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.c: the three operations on two sets are one sweep over their boundaries in order, which asks at each whether the
 * result is entered or left there. Boundaries that coincide are passed together, so spans that touch become one.
 */
#include "shard/store/span.h"

#include <stdlib.h>

/* Where one end's boundary stands: no end is after every key. */
static int compare_ends(struct key a, struct key b) {
    if (!a.bytes || !b.bytes)
        return !a.bytes - !b.bytes;
    return key_compare(a, b);
}

/* A start against an end. */
static int compare_start_end(struct key start, struct key end) {
    return end.bytes ? key_compare(start, end) : -1;
}

/* ---- one span ---------------------------------------------------------------------------------------------------- */

static enum rc keep(struct arena *a, enum rc rc, struct buf *b, struct key *ret) {
    const void *p = rc ? NULL : arena_copy(a, b->data, b->len);
    if (!rc && !p)
        rc = RC_NOMEM;
    if (!rc)
        *ret = key_of(p, b->len);
    buf_done(b);
    return rc;
}

enum rc span_point(struct arena *a, struct key k, struct span *ret) {
    struct buf b;
    struct key end;
    buf_init(&b, 0);
    enum rc rc = keep(a, key_successor(&b, k, NULL), &b, &end);
    if (!rc)
        *ret = (struct span){k, end};
    return rc;
}

enum rc span_prefix(struct arena *a, struct key prefix, struct span *ret) {
    struct buf b;
    struct key end;
    buf_init(&b, 0);
    enum rc rc = keep(a, key_prefix_end(&b, prefix, NULL), &b, &end);
    if (!rc)
        *ret = (struct span){prefix, end};
    return rc;
}

enum rc span_copy(struct arena *a, struct span s, struct span *ret) {
    const void *start = arena_copy(a, s.start.p, s.start.bytes), *end = arena_copy(a, s.end.p, s.end.bytes);
    if (!start || !end)
        return RC_NOMEM;
    *ret = (struct span){key_of(start, s.start.bytes), key_of(end, s.end.bytes)};
    return RC_OK;
}

bool span_empty(struct span s) {
    return compare_start_end(s.start, s.end) >= 0;
}

bool span_same(struct span a, struct span b) {
    return key_compare(a.start, b.start) == 0 && compare_ends(a.end, b.end) == 0;
}

int span_side(struct span s, struct key k) {
    if (key_compare(k, s.start) < 0)
        return -1;
    return compare_start_end(k, s.end) < 0 ? 0 : 1;
}

bool span_has(struct span s, struct key k) {
    return !span_empty(s) && span_side(s, k) == 0;
}

bool span_covers(struct span outer, struct span inner) {
    if (span_empty(inner))
        return true;
    return key_compare(outer.start, inner.start) <= 0 && compare_ends(inner.end, outer.end) <= 0;
}

struct span span_intersect(struct span a, struct span b) {
    return (struct span){
        key_compare(a.start, b.start) < 0 ? b.start : a.start,
        compare_ends(a.end, b.end) < 0 ? a.end : b.end,
    };
}

bool span_overlaps(struct span a, struct span b) {
    return !span_empty(span_intersect(a, b));
}

void span_print(struct span s, struct buf *out) {
    buf_putc(out, '[');
    if (s.start.bytes)
        key_print(s.start, out);
    else
        buf_putc(out, '-');
    buf_puts(out, ", ");
    if (s.end.bytes)
        key_print(s.end, out);
    else
        buf_putc(out, '-');
    buf_putc(out, ')');
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static struct span *room_for(struct arena *a, size_t n, enum rc *ret_rc, struct err *err) {
    if (n > SPAN_SET_MAX) {
        *ret_rc = err_set(err, RC_LIMIT, "more than %d spans of keys", SPAN_SET_MAX);
        return NULL;
    }
    struct span *v = arena_array(a, n ? n : 1, sizeof *v);
    *ret_rc = v ? RC_OK : err_set(err, RC_NOMEM, "spans: out of memory");
    return v;
}

static int by_start(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    return key_compare(x->start, y->start);
}

enum rc span_set_of(struct arena *a, const struct span *v, size_t n, struct span_set *ret, struct err *err) {
    enum rc rc;
    struct span *w = room_for(a, n, &rc, err);
    if (!w)
        return rc;
    size_t used = 0, last = 0;
    for (size_t i = 0; i < n; i++)
        if (!span_empty(v[i]))
            w[used++] = v[i];
    qsort(w, used, sizeof *w, by_start);
    for (size_t i = 1; i < used; i++) {
        if (compare_start_end(w[i].start, w[last].end) > 0)
            w[++last] = w[i];
        else if (compare_ends(w[i].end, w[last].end) > 0)
            w[last].end = w[i].end;
    }
    *ret = (struct span_set){w, used ? last + 1 : 0};
    return RC_OK;
}

enum rc span_set_copy(struct arena *a, struct span_set s, struct span_set *ret, struct err *err) {
    enum rc rc;
    struct span *w = room_for(a, s.n, &rc, err);
    if (!w)
        return rc;
    for (size_t i = 0; i < s.n; i++)
        if (span_copy(a, s.v[i], &w[i]))
            return err_set(err, RC_NOMEM, "spans: out of memory");
    *ret = (struct span_set){w, s.n};
    return RC_OK;
}

/* The boundaries of a set, one after the other: start, end, start, end, ... */
struct sweep {
    struct span_set s;
    size_t i; /* boundaries passed: inside when odd */
};

static bool sweep_done(const struct sweep *w) {
    return w->i == 2 * w->s.n;
}

static struct key sweep_at(const struct sweep *w) {
    const struct span *s = &w->s.v[w->i / 2];
    return w->i % 2 ? s->end : s->start;
}

/* Which of the two next boundaries comes first: < 0 x's, > 0 y's, 0 both. */
static int sweep_order(const struct sweep *x, const struct sweep *y) {
    if (sweep_done(x) || sweep_done(y))
        return sweep_done(x) ? 1 : -1;
    bool x_end = x->i % 2, y_end = y->i % 2;
    struct key kx = sweep_at(x), ky = sweep_at(y);
    if (x_end && y_end)
        return compare_ends(kx, ky);
    if (x_end)
        return -compare_start_end(ky, kx);
    return y_end ? compare_start_end(kx, ky) : key_compare(kx, ky);
}

/* truth[in x][in y]: is such a key in the result? */
static enum rc combine(struct arena *a, struct span_set x, struct span_set y, const bool truth[2][2],
                       struct span_set *ret, struct err *err) {
    enum rc rc;
    struct span *w = room_for(a, x.n + y.n, &rc, err);
    if (!w)
        return rc;
    struct sweep sx = {x, 0}, sy = {y, 0};
    size_t n = 0;
    bool inside = false;
    while (!sweep_done(&sx) || !sweep_done(&sy)) {
        int order = sweep_order(&sx, &sy);
        struct key k = sweep_at(order <= 0 ? &sx : &sy);
        sx.i += order <= 0;
        sy.i += order >= 0;
        bool now = truth[sx.i % 2][sy.i % 2];
        if (now && !inside)
            w[n].start = k;
        else if (!now && inside)
            w[n++].end = k;
        inside = now;
    }
    CHECK(!inside && n <= x.n + y.n);
    *ret = (struct span_set){w, n};
    return RC_OK;
}

enum rc span_set_union(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret, struct err *err) {
    static const bool either[2][2] = {{false, true}, {true, true}};
    return combine(a, x, y, either, ret, err);
}

enum rc span_set_intersect(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret,
                           struct err *err) {
    static const bool both[2][2] = {{false, false}, {false, true}};
    return combine(a, x, y, both, ret, err);
}

enum rc span_set_subtract(struct arena *a, struct span_set x, struct span_set y, struct span_set *ret,
                          struct err *err) {
    static const bool only_x[2][2] = {{false, false}, {true, false}};
    return combine(a, x, y, only_x, ret, err);
}

enum rc span_set_split(struct arena *a, struct span_set s, struct key k, struct span_set *ret_left,
                       struct span_set *ret_right, struct err *err) {
    struct span from = {k, {NULL, 0}};
    struct span_set right, left;
    enum rc rc = span_set_intersect(a, s, (struct span_set){&from, 1}, &right, err);
    if (!rc)
        rc = span_set_subtract(a, s, (struct span_set){&from, 1}, &left, err);
    if (rc)
        return rc;
    *ret_left = left;
    *ret_right = right;
    return RC_OK;
}

/* The first span that does not end before or at k, or n. */
static size_t find(struct span_set s, struct key k) {
    size_t lo = 0, hi = s.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_start_end(k, s.v[mid].end) >= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool span_set_has(struct span_set s, struct key k) {
    size_t i = find(s, k);
    return i < s.n && span_has(s.v[i], k);
}

bool span_set_covers(struct span_set s, struct span inner) {
    if (span_empty(inner))
        return true;
    size_t i = find(s, inner.start);
    return i < s.n && span_covers(s.v[i], inner);
}

bool span_set_overlaps(struct span_set s, struct span other) {
    size_t i = find(s, other.start);
    return i < s.n && span_overlaps(s.v[i], other);
}

bool span_set_same(struct span_set x, struct span_set y) {
    if (x.n != y.n)
        return false;
    for (size_t i = 0; i < x.n; i++)
        if (!span_same(x.v[i], y.v[i]))
            return false;
    return true;
}

bool span_set_valid(struct span_set s) {
    for (size_t i = 0; i < s.n; i++) {
        if (span_empty(s.v[i]))
            return false;
        if (i && compare_start_end(s.v[i].start, s.v[i - 1].end) <= 0)
            return false;
    }
    return s.n <= SPAN_SET_MAX;
}
