/* SPDX-License-Identifier: Apache-2.0 */
/* placement.c: see placement.h. */
#include "shard/node/placement.h"

#include <string.h>

#include "shard/store/key.h"

static const char default_name[] = "default";

static enum rc check_list(char *const *v, size_t n, const char *what, struct err *err) {
    if (n > PLACEMENT_LIST_MAX)
        return err_set(err, RC_INVAL, "a placement with %zu %s; at most %d", n, what, PLACEMENT_LIST_MAX);
    for (size_t i = 0; i < n; i++)
        if (!v[i][0] || strlen(v[i]) >= PLACEMENT_NAME_BYTES || strchr(v[i], ','))
            return err_set(err, RC_INVAL, "\"%.80s\" is no name for %s", v[i], what);
    return RC_OK;
}

enum rc placement_check(const Node__Placement *p, struct err *err) {
    if (!p->name[0] || strlen(p->name) >= PLACEMENT_NAME_BYTES)
        return err_set(err, RC_INVAL, "a placement's name has 1 to %d bytes", PLACEMENT_NAME_BYTES - 1);
    if (p->voters > PLACEMENT_VOTERS_MAX || (p->voters && p->voters % 2 == 0)) {
        err_set(err, RC_INVAL, "a placement with %u voters", p->voters);
        err_hint(err, "Give 1, 3, 5 or 7: an even number outlives no more failures than the odd one below it.");
        return RC_INVAL;
    }
    enum rc rc = check_list(p->region, p->n_region, "regions", err);
    if (!rc)
        rc = check_list(p->zone, p->n_zone, "zones", err);
    if (!rc)
        rc = check_list(p->leader, p->n_leader, "leaders' regions", err);
    if (!rc)
        rc = check_list(p->read, p->n_read, "read replicas' regions", err);
    if (!rc && p->no_read && p->n_read)
        rc = err_set(err, RC_INVAL, "a placement with read replicas in %zu regions and in none", p->n_read);
    return rc;
}

static bool listed(char *const *v, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i], name) == 0)
            return true;
    return false;
}

bool placement_allows(const Node__Placement *p, const Node__Node *n) {
    return !p || ((!p->n_region || listed(p->region, p->n_region, n->region)) &&
                  (!p->n_zone || listed(p->zone, p->n_zone, n->zone)));
}

bool placement_reads(const Node__Placement *p, const Node__Node *n) {
    if (!p || !p->n_read)
        return (!p || !p->no_read) && placement_allows(p, n);
    return listed(p->read, p->n_read, n->region);
}

size_t placement_rank(const Node__Placement *p, const Node__Node *n) {
    size_t i = 0;
    while (p && i < p->n_leader && strcmp(p->leader[i], n->region) != 0)
        i++;
    return i;
}

static const Node__Placement *by_name(const Node__Answer *all, const char *name) {
    for (size_t i = 0; i < all->n_placements; i++)
        if (strcmp(all->placements[i]->name, name) == 0)
            return all->placements[i];
    return NULL;
}

static enum rc borders(uint64_t group, struct buf *first, struct buf *end, struct err *err) {
    buf_reset(first, KEY_BYTES_MAX);
    buf_reset(end, KEY_BYTES_MAX);
    enum rc rc = key_put_table(first, (uint32_t)group, err);
    return rc ? rc : key_prefix_end(end, key_of_buf(first), err);
}

const Node__Placement *placement_of(const Node__Answer *all, struct mvcc_bytes start, struct mvcc_bytes end) {
    struct buf first, last;
    const Node__Placement *ret = by_name(all, default_name);
    buf_init(&first, KEY_BYTES_MAX);
    buf_init(&last, KEY_BYTES_MAX);
    for (size_t i = 0; i < all->n_placed; i++) {
        if (!end.n || borders(all->placed[i]->group, &first, &last, NULL) != RC_OK ||
            key_compare(key_of(start.p, start.n), key_of_buf(&first)) < 0 ||
            key_compare(key_of(end.p, end.n), key_of_buf(&last)) > 0)
            continue;
        const Node__Placement *p = by_name(all, all->placed[i]->placement);
        ret = p ? p : ret;
        break;
    }
    buf_done(&first);
    buf_done(&last);
    return ret;
}

static bool strictly_inside(struct mvcc_bytes start, struct mvcc_bytes end, const struct buf *k) {
    return key_compare(key_of_buf(k), key_of(start.p, start.n)) > 0 &&
           (!end.n || key_compare(key_of_buf(k), key_of(end.p, end.n)) < 0);
}

enum rc placement_border(const Node__Answer *all, struct mvcc_bytes start, struct mvcc_bytes end, struct buf *ret,
                         struct err *err) {
    struct buf first, last;
    enum rc rc = RC_OK;
    buf_init(&first, KEY_BYTES_MAX);
    buf_init(&last, KEY_BYTES_MAX);
    buf_reset(ret, KEY_BYTES_MAX);
    for (size_t i = 0; i < all->n_placed && !rc && !ret->len; i++) {
        rc = borders(all->placed[i]->group, &first, &last, err);
        if (!rc && strictly_inside(start, end, &first))
            buf_put(ret, first.data, first.len);
        else if (!rc && strictly_inside(start, end, &last))
            buf_put(ret, last.data, last.len);
    }
    buf_done(&first);
    buf_done(&last);
    return rc ? rc : buf_rc(ret);
}
