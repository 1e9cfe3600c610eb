/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history_cycles.c: who must have come before whom, told by values alone.
 *
 * Lists: the longest list read of a key is the order of its versions (every other read must be the beginning of it). An
 * element names its writer. So: ww from each element's writer to the next one's, wr from the writer of the last element
 * read to the reader, rw from the reader to the writer of the element behind the last one read.
 *
 * Registers: a value names its writer. A transaction that reads v and then writes v' to the same key made v' out of v,
 * so v' is the version behind v: ww. Two transactions that both made the next version out of v lost an update. Reading
 * v gives wr from its writer and rw to the writer of the version behind v; reading nothing gives rw to every writer of
 * the key.
 *
 * Real time: a chain of as many nodes as there are ends; each transaction points to the node of its end, and the last
 * node before its begin points to it. So n log n edges say what n^2 would.
 *
 * A strongly connected set of more than one transaction is an anomaly; the shortest cycle through one of its edges
 * names it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "geo-sim/check/history_internal.h"
#include "truetime/base/map.h"

enum edge_kind { EDGE_WW, EDGE_WR, EDGE_RW, EDGE_RT };

struct edge {
    uint32_t from, to;
    enum edge_kind kind;
    uint64_t key;
};

/* One value written to one key. */
struct version {
    struct map_node by_value;
    uint64_t key;
    int64_t value;
    uint32_t txn;
    uint32_t next; /* writer of the version behind it, + 1 */
    bool final;    /* the last one its transaction wrote to the key */
};

struct key_info {
    struct map_node by_key;
    uint64_t key;
    size_t longest_op; /* + 1: the longest list read */
    uint32_t *writer;  /* transactions that wrote a register here */
    size_t writers, writer_cap;
    uint32_t first; /* who made the first version out of nothing, + 1 */
};

struct graph {
    struct history *h;
    struct hist_verdict *v;
    struct map versions, keys;
    struct edge *edge;
    size_t edges, edge_cap;
    uint32_t nodes; /* transactions, then nodes of the real-time chain */
    uint32_t *head, *next_edge;
    bool bad;
};

static struct version *version_find(struct graph *g, uint64_t key, int64_t value) {
    uint64_t hash = hash_u64(key * 31 + (uint64_t)value);
    for (struct map_node *n = map_first(&g->versions, hash); n; n = map_next(n)) {
        struct version *w = container_of(n, struct version, by_value);
        if (w->key == key && w->value == value)
            return w;
    }
    return NULL;
}

static struct key_info *key_find(struct graph *g, uint64_t key) {
    for (struct map_node *n = map_first(&g->keys, hash_u64(key)); n; n = map_next(n))
        if (container_of(n, struct key_info, by_key)->key == key)
            return container_of(n, struct key_info, by_key);
    struct key_info *k = calloc(1, sizeof *k);
    CHECK(k);
    k->key = key;
    map_put(&g->keys, &k->by_key, hash_u64(key));
    return k;
}

static void edge_add(struct graph *g, uint32_t from, uint32_t to, enum edge_kind kind, uint64_t key) {
    if (from == to)
        return;
    g->edge = hist_room(g->edge, g->edges, &g->edge_cap, sizeof *g->edge);
    g->edge[g->edges++] = (struct edge){from, to, kind, key};
}

static void bad(struct graph *g, const char *anomaly, uint32_t t, uint64_t key, int64_t value, uint32_t other) {
    if (g->bad)
        return;
    g->bad = true;
    hist_verdict(g->v, anomaly, "transaction %u, key %llu, value %lld, of transaction %u", t, (unsigned long long)key,
                 (long long)value, other);
}

/* Every version that anybody wrote, also who aborted: to recognise what nobody may see. */
static void gather_versions(struct graph *g) {
    struct history *h = g->h;
    for (uint32_t t = 0; t < h->txns; t++)
        HIST_EACH_OP(h, t, o) {
            if (o->kind != HIST_WRITE && o->kind != HIST_APPEND)
                continue;
            CHECKF(!version_find(g, o->key, o->value), "value %lld was written to key %llu twice", (long long)o->value,
                   (unsigned long long)o->key);
            struct version *w = calloc(1, sizeof *w);
            CHECK(w);
            *w = (struct version){.key = o->key, .value = o->value, .txn = t, .final = true};
            for (const struct hist_op *q = o->next ? &h->op[o->next - 1] : NULL; q;
                 q = q->next ? &h->op[q->next - 1] : NULL)
                if (q->kind == o->kind && q->key == o->key)
                    w->final = false;
            map_put(&g->versions, &w->by_value, hash_u64(o->key * 31 + (uint64_t)o->value));
        }
}

static bool own_write_before(struct history *h, uint32_t t, const struct hist_op *read) {
    HIST_EACH_OP(h, t, o) {
        if (o == read)
            return false;
        if (o->key == read->key && (o->kind == HIST_WRITE || o->kind == HIST_APPEND))
            return true;
    }
    return false;
}

/* The version t saw; NULL: nothing, or it was impossible (then g->bad). */
static struct version *seen(struct graph *g, uint32_t t, uint64_t key, int64_t value) {
    struct version *w = value ? version_find(g, key, value) : NULL;
    if (!value)
        return NULL;
    if (!w) {
        bad(g, "garbage read", t, key, value, t);
        return NULL;
    }
    struct hist_txn *by = &g->h->txn[w->txn];
    by->seen = true;
    if (by->status == HIST_ABORTED)
        bad(g, "G1a aborted read", t, key, value, w->txn);
    else if (!w->final && w->txn != t)
        bad(g, "G1b intermediate read", t, key, value, w->txn);
    return w;
}

static bool counts(const struct hist_txn *x) {
    return x->status == HIST_COMMITTED || ((x->status == HIST_UNKNOWN || x->status == HIST_OPEN) && x->seen);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static void longest_lists(struct graph *g) {
    struct history *h = g->h;
    for (size_t i = 0; i < h->ops; i++) {
        const struct hist_op *o = &h->op[i];
        if (o->kind != HIST_READ_LIST || h->txn[o->txn].status != HIST_COMMITTED || own_write_before(h, o->txn, o))
            continue;
        struct key_info *k = key_find(g, o->key);
        if (!k->longest_op || h->op[k->longest_op - 1].count < o->count)
            k->longest_op = i + 1;
    }
}

static void list_edges(struct graph *g) {
    struct history *h = g->h;
    map_for_each(it, &g->keys) {
        struct key_info *k = container_of(it, struct key_info, by_key);
        if (!k->longest_op)
            continue;
        const struct hist_op *o = &h->op[k->longest_op - 1];
        struct version *before = NULL;
        for (size_t i = 0; i < o->count; i++) {
            struct version *w = version_find(g, k->key, h->value[o->first + i]);
            if (!w) {
                bad(g, "garbage read", o->txn, k->key, h->value[o->first + i], o->txn);
                return;
            }
            h->txn[w->txn].seen = true;
            if (h->txn[w->txn].status == HIST_ABORTED)
                bad(g, "G1a aborted read", o->txn, k->key, w->value, w->txn);
            if (before)
                edge_add(g, before->txn, w->txn, EDGE_WW, k->key);
            before = w;
        }
    }
    for (size_t i = 0; i < h->ops; i++) {
        const struct hist_op *o = &h->op[i];
        if (o->kind != HIST_READ_LIST || h->txn[o->txn].status != HIST_COMMITTED || own_write_before(h, o->txn, o))
            continue;
        const struct hist_op *longest = &h->op[key_find(g, o->key)->longest_op - 1];
        const int64_t *mine = h->value + o->first, *all = h->value + longest->first;
        for (size_t e = 0; e < o->count; e++)
            if (mine[e] != all[e]) {
                bad(g, "incompatible order", o->txn, o->key, mine[e], longest->txn);
                return;
            }
        struct version *last = o->count ? seen(g, o->txn, o->key, mine[o->count - 1]) : NULL;
        if (last)
            edge_add(g, last->txn, o->txn, EDGE_WR, o->key);
        if (o->count < longest->count) {
            struct version *behind = version_find(g, o->key, all[o->count]);
            if (behind)
                edge_add(g, o->txn, behind->txn, EDGE_RW, o->key);
        }
    }
}

/* What a transaction wrote itself it must see, as it was last. */
static void own_reads(struct graph *g) {
    struct history *h = g->h;
    for (size_t i = 0; i < h->ops && !g->bad; i++) {
        const struct hist_op *o = &h->op[i];
        int64_t own = 0, saw = o->value;
        if (h->txn[o->txn].status != HIST_COMMITTED || (o->kind != HIST_READ && o->kind != HIST_READ_LIST))
            continue;
        if (o->kind == HIST_READ_LIST)
            saw = o->count ? h->value[o->first + o->count - 1] : 0;
        HIST_EACH_OP(h, o->txn, q) {
            if (q == o)
                break;
            if (q->key == o->key && (q->kind == HIST_WRITE || q->kind == HIST_APPEND))
                own = q->value;
        }
        if (own && own != saw)
            bad(g, "internal", o->txn, o->key, saw, o->txn);
    }
}

/* ---- registers --------------------------------------------------------------------------------------------------- */

/* t read `value` before it wrote to the key: its (final) write is the version behind. */
static void made_of(struct graph *g, uint32_t t, uint64_t key, int64_t value) {
    uint32_t *next = NULL;
    struct version *w = value ? version_find(g, key, value) : NULL;
    if (value && (!w || w->txn == t))
        return;
    next = value ? &w->next : &key_find(g, key)->first;
    if (*next && *next != t + 1 && counts(&g->h->txn[*next - 1]))
        bad(g, "lost update", t, key, value, *next - 1);
    *next = t + 1;
    if (w)
        edge_add(g, w->txn, t, EDGE_WW, key);
}

static bool writes_after(struct history *h, const struct hist_op *read, uint64_t key) {
    for (const struct hist_op *q = read->next ? &h->op[read->next - 1] : NULL; q;
         q = q->next ? &h->op[q->next - 1] : NULL)
        if (q->kind == HIST_WRITE && q->key == key)
            return true;
    return false;
}

/* Single reads and the keys of a range alike. */
static void each_register_read(struct graph *g,
                               void (*fn)(struct graph *g, const struct hist_op *o, uint64_t key, int64_t value)) {
    struct history *h = g->h;
    for (size_t i = 0; i < h->ops; i++) {
        const struct hist_op *o = &h->op[i];
        if (!counts(&h->txn[o->txn]))
            continue;
        if (o->kind == HIST_READ && !own_write_before(h, o->txn, o))
            fn(g, o, o->key, o->value);
        for (uint64_t key = o->key; o->kind == HIST_READ_RANGE && key <= o->last; key++) {
            struct hist_op as_read = *o;
            int64_t value = 0;
            bool own = false;
            as_read.key = key;
            HIST_EACH_OP(h, o->txn, q) {
                if (q == o)
                    break;
                own = own || (q->kind == HIST_WRITE && q->key == key);
            }
            for (size_t k = 0; k < o->count; k++)
                if (h->pair[o->first + k].key == key)
                    value = h->pair[o->first + k].value;
            if (!own)
                fn(g, &as_read, key, value);
        }
    }
}

static void see(struct graph *g, const struct hist_op *o, uint64_t key, int64_t value) {
    seen(g, o->txn, key, value);
}

static void make_order(struct graph *g, const struct hist_op *o, uint64_t key, int64_t value) {
    if (writes_after(g->h, o, key))
        made_of(g, o->txn, key, value);
}

static void read_edges(struct graph *g, const struct hist_op *o, uint64_t key, int64_t value) {
    if (value) {
        struct version *w = version_find(g, key, value);
        if (!w)
            return;
        edge_add(g, w->txn, o->txn, EDGE_WR, key);
        if (w->next)
            edge_add(g, o->txn, w->next - 1, EDGE_RW, key);
        return;
    }
    struct key_info *k = key_find(g, key);
    for (size_t i = 0; i < k->writers; i++)
        edge_add(g, o->txn, k->writer[i], EDGE_RW, key);
}

static void register_edges(struct graph *g) {
    struct history *h = g->h;
    each_register_read(g, see);
    for (size_t i = 0; i < h->ops; i++)
        if (h->op[i].kind == HIST_WRITE && counts(&h->txn[h->op[i].txn])) {
            struct key_info *k = key_find(g, h->op[i].key);
            k->writer = hist_room(k->writer, k->writers, &k->writer_cap, sizeof *k->writer);
            k->writer[k->writers++] = h->op[i].txn;
        }
    each_register_read(g, make_order);
    each_register_read(g, read_edges);
}

/* ---- real time --------------------------------------------------------------------------------------------------- */

struct moment {
    int64_t at;
    uint32_t t;
    bool ends;
};

static int moment_cmp(const void *pa, const void *pb) {
    const struct moment *a = pa, *b = pb;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    if (a->ends != b->ends)
        return a->ends ? 1 : -1; /* at one instant: at the same time */
    return a->t < b->t ? -1 : a->t > b->t;
}

static void real_time_edges(struct graph *g) {
    struct history *h = g->h;
    struct moment *m = calloc(2 * h->txns + 1, sizeof *m);
    size_t n = 0;
    uint32_t last = 0;
    bool any = false;
    CHECK(m);
    for (uint32_t t = 0; t < h->txns; t++) {
        if (!counts(&h->txn[t]) || h->txn[t].stale)
            continue;
        m[n++] = (struct moment){h->txn[t].begin_ns, t, false};
        if (h->txn[t].status == HIST_COMMITTED)
            m[n++] = (struct moment){h->txn[t].end_ns, t, true};
    }
    qsort(m, n, sizeof *m, moment_cmp);
    for (size_t i = 0; i < n; i++) {
        if (m[i].ends) {
            uint32_t node = g->nodes++;
            edge_add(g, m[i].t, node, EDGE_RT, 0);
            if (any)
                edge_add(g, last, node, EDGE_RT, 0);
            last = node;
            any = true;
        } else if (any) {
            edge_add(g, last, m[i].t, EDGE_RT, 0);
        }
    }
    free(m);
}

/* ---- cycles ------------------------------------------------------------------------------------------------------ */

static void index_edges(struct graph *g) {
    g->head = calloc(g->nodes + 1, sizeof *g->head);
    g->next_edge = calloc(g->edges + 1, sizeof *g->next_edge);
    CHECK(g->head && g->next_edge);
    for (size_t i = 0; i < g->edges; i++) {
        g->next_edge[i] = g->head[g->edge[i].from];
        g->head[g->edge[i].from] = (uint32_t)i + 1;
    }
}

/* Tarjan's algorithm with a stack of its own: component number of each node, from 1. Returns the number of components.
 * */
static uint32_t components(struct graph *g, uint32_t *comp) {
    uint32_t n = g->nodes, *low = calloc(n + 1, 4), *index = calloc(n + 1, 4), *stack = calloc(n + 1, 4),
             *path = calloc(n + 1, 4), *at = calloc(n + 1, 4), count = 0, clock = 0, top = 0;
    CHECK(low && index && stack && path && at);
    for (uint32_t root = 0; root < n; root++) {
        uint32_t depth = 0;
        if (index[root])
            continue;
        path[depth++] = root;
        index[root] = low[root] = ++clock;
        stack[top++] = root;
        at[root] = g->head[root];
        while (depth) {
            uint32_t v = path[depth - 1];
            if (at[v]) {
                uint32_t w = g->edge[at[v] - 1].to;
                at[v] = g->next_edge[at[v] - 1];
                if (!index[w]) {
                    index[w] = low[w] = ++clock;
                    stack[top++] = w;
                    at[w] = g->head[w];
                    path[depth++] = w;
                } else if (!comp[w] && index[w] < low[v]) {
                    low[v] = index[w];
                }
                continue;
            }
            depth--;
            if (depth && low[v] < low[path[depth - 1]])
                low[path[depth - 1]] = low[v];
            if (low[v] == index[v]) {
                count++;
                do {
                    comp[stack[--top]] = count;
                } while (stack[top] != v);
            }
        }
    }
    free(low);
    free(index);
    free(stack);
    free(path);
    free(at);
    return count;
}

/* The shortest way inside the component from edge e's end back to its beginning; edges (+ 1) in via, by node reached.
 * */
static bool way_back(struct graph *g, const uint32_t *comp, const struct edge *e, uint32_t *via, uint32_t *queue) {
    uint32_t head = 0, tail = 0;
    memset(via, 0, (g->nodes + 1) * sizeof *via);
    queue[tail++] = e->to;
    while (head < tail) {
        uint32_t v = queue[head++];
        for (uint32_t i = g->head[v]; i; i = g->next_edge[i - 1]) {
            uint32_t w = g->edge[i - 1].to;
            if (comp[w] != comp[e->from] || via[w] || w == e->to)
                continue;
            via[w] = i;
            if (w == e->from)
                return true;
            queue[tail++] = w;
        }
    }
    return false;
}

static void name_cycle(struct graph *g, const struct edge *e, const uint32_t *via) {
    static const char *const name[] = {"ww", "wr", "rw", "rt"};
    int kinds[4] = {0};
    char text[900] = "", anomaly[48];
    size_t at = 0;
    const struct edge *step = e;
    uint32_t chain[64] = {0}, n = 0, v = e->from;
    while (v != e->to && n < 63) { /* backwards */
        chain[n++] = via[v];
        v = g->edge[via[v] - 1].from;
    }
    for (uint32_t i = n + 1; i > 0; i--) {
        step = i == n + 1 ? e : &g->edge[chain[i - 1] - 1];
        bool rt = step->kind == EDGE_RT;
        if (!rt || step->from < g->h->txns)
            kinds[step->kind]++;
        if (step->from < g->h->txns && at + 60 < sizeof text)
            at += (size_t)snprintf(text + at, sizeof text - at, "%u -%s%s%llu-> ", step->from, name[step->kind],
                                   rt ? "" : ":", (unsigned long long)step->key);
    }
    snprintf(anomaly, sizeof anomaly, "%s%s",
             kinds[EDGE_RW] > 1    ? "G2"
             : kinds[EDGE_RW] == 1 ? "G-single"
             : kinds[EDGE_WR]      ? "G1c"
                                   : "G0",
             kinds[EDGE_RT] ? " with real time" : "");
    hist_verdict(g->v, anomaly, "%s%u", text, e->from < g->h->txns ? e->from : e->to);
}

/* The cycle that says most: without real time if there is one, with few rw. */
static void find_cycle(struct graph *g) {
    static const enum edge_kind order[] = {EDGE_WW, EDGE_WR, EDGE_RW};
    uint32_t *comp = calloc(g->nodes + 1, 4), *via = calloc(g->nodes + 1, 4), *queue = calloc(g->nodes + 1, 4);
    CHECK(comp && via && queue);
    index_edges(g);
    components(g, comp);
    for (size_t k = 0; k < ARRAY_LEN(order) && !g->bad; k++)
        for (size_t i = 0; i < g->edges && !g->bad; i++) {
            const struct edge *e = &g->edge[i];
            if (e->kind == order[k] && comp[e->from] == comp[e->to] && way_back(g, comp, e, via, queue)) {
                g->bad = true;
                name_cycle(g, e, via);
            }
        }
    free(comp);
    free(via);
    free(queue);
}

bool hist_check_cycles(struct history *h, struct hist_verdict *ret) {
    struct graph g = {.h = h, .v = ret, .nodes = (uint32_t)h->txns};
    map_init(&g.versions);
    map_init(&g.keys);
    gather_versions(&g);
    longest_lists(&g);
    own_reads(&g);
    if (!g.bad)
        list_edges(&g);
    if (!g.bad)
        register_edges(&g);
    if (!g.bad)
        real_time_edges(&g);
    if (!g.bad)
        find_cycle(&g);
    map_for_each(it, &g.versions)
        free(container_of(it, struct version, by_value));
    map_for_each(it, &g.keys) {
        struct key_info *k = container_of(it, struct key_info, by_key);
        free(k->writer);
        free(k);
    }
    map_done(&g.versions);
    map_done(&g.keys);
    free(g.edge);
    free(g.head);
    free(g.next_edge);
    return !g.bad;
}
