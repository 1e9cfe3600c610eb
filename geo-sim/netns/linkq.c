/* SPDX-License-Identifier: Apache-2.0 */
/* linkq.c: one binary heap by due time for all directions, and what each direction remembers of its line. */
#include "geo-sim/netns/linkq.h"

#include <stdlib.h>

#include "truetime/base/rng.h"

#define SEC INT64_C(1000000000)
#define QUEUE_NS (SEC / 5)
#define UNLIMITED_BYTES_MAX (INT64_C(64) << 20)
#define DIRECTION_BYTES_MIN (INT64_C(256) << 10)
#define ALL_BYTES_MAX (INT64_C(256) << 20)

enum { HEAP_FIRST = 1024 };

struct direction {
    struct topo_link link;
    int64_t free_ns; /* when the sender's line has sent what it has */
    int64_t last_due_ns;
    int64_t bytes_max;
    struct linkq_counts counts;
};

struct linkq {
    unsigned places;
    struct rng rng;
    uint64_t next_number;
    int64_t bytes;
    struct linkq_packet **heap; /* [0] is due first; children of i: 2 i + 1 and 2 i + 2 */
    size_t count, cap;
    struct direction direction[]; /* [from * places + to] */
};

enum rc linkq_new(unsigned places, uint64_t seed, struct linkq **ret) {
    CHECK(places <= TOPO_PLACES_MAX);
    struct linkq *q = calloc(1, sizeof *q + sizeof q->direction[0] * places * places);
    if (!q)
        return RC_NOMEM;
    q->places = places;
    rng_init(&q->rng, seed);
    for (unsigned i = 0; i < places * places; i++)
        q->direction[i].bytes_max = UNLIMITED_BYTES_MAX;
    *ret = q;
    return RC_OK;
}

void linkq_free(struct linkq *q) {
    if (!q)
        return;
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i]);
    free(q->heap);
    free(q);
}

static struct direction *direction_of(const struct linkq *q, unsigned from, unsigned to) {
    CHECK(from < q->places && to < q->places);
    return (struct direction *)&q->direction[from * q->places + to];
}

void linkq_set(struct linkq *q, unsigned from, unsigned to, const struct topo_link *link) {
    struct direction *d = direction_of(q, from, to);
    d->link = *link;
    d->bytes_max = UNLIMITED_BYTES_MAX;
    if (link->rate_bps > 0) {
        __int128 bytes = (__int128)(link->rate_bps / 8) * (link->delay_ns + 4 * link->jitter_ns + QUEUE_NS) / SEC;
        d->bytes_max = bytes < DIRECTION_BYTES_MIN ? DIRECTION_BYTES_MIN
                       : bytes > ALL_BYTES_MAX     ? ALL_BYTES_MAX
                                                   : (int64_t)bytes;
    }
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static bool comes_before(const struct linkq_packet *a, const struct linkq_packet *b) {
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->number < b->number);
}

static bool grow(struct linkq *q) {
    size_t cap = q->cap ? 2 * q->cap : HEAP_FIRST;
    struct linkq_packet **heap = realloc(q->heap, cap * sizeof *heap);
    if (!heap)
        return false;
    q->heap = heap;
    q->cap = cap;
    return true;
}

static void heap_put(struct linkq *q, struct linkq_packet *p) {
    size_t i = q->count++;
    for (; i > 0 && comes_before(p, q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = p;
}

static struct linkq_packet *heap_take(struct linkq *q) {
    struct linkq_packet *top = q->heap[0], *last = q->heap[--q->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->count)
            break;
        if (child + 1 < q->count && comes_before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!comes_before(q->heap[child], last))
            break;
        q->heap[i] = q->heap[child];
        i = child;
    }
    if (q->count > 0)
        q->heap[i] = last;
    return top;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* When a packet that is sent at now_ns arrives; moves the line on. */
static int64_t due_of(struct linkq *q, struct direction *d, int64_t now_ns, size_t bytes) {
    const struct topo_link *l = &d->link;
    int64_t sent = d->free_ns > now_ns ? d->free_ns : now_ns, due;
    if (l->rate_bps > 0)
        sent += (int64_t)((__int128)bytes * 8 * SEC / l->rate_bps);
    d->free_ns = l->rate_bps > 0 ? sent : now_ns;
    if (rng_chance(&q->rng, l->reorder_ppm / 1e6)) {
        d->counts.reordered++;
        return sent;
    }
    due = sent + l->delay_ns;
    if (l->jitter_ns > 0)
        due += (int64_t)rng_normal(&q->rng, 0, (double)l->jitter_ns);
    if (due < sent)
        due = sent;
    if (due < d->last_due_ns)
        due = d->last_due_ns;
    d->last_due_ns = due;
    return due;
}

static enum linkq_verdict verdict_of(struct linkq *q, const struct direction *d, size_t bytes) {
    if (d->link.cut)
        return LINKQ_CUT;
    if (rng_chance(&q->rng, d->link.loss_ppm / 1e6))
        return LINKQ_LOST;
    if (d->counts.queued_bytes + (int64_t)bytes > d->bytes_max || q->bytes + (int64_t)bytes > ALL_BYTES_MAX)
        return LINKQ_FULL;
    return LINKQ_TAKEN;
}

enum linkq_verdict linkq_push(struct linkq *q, unsigned from, unsigned to, int64_t now_ns, const void *data,
                              size_t bytes) {
    struct direction *d = direction_of(q, from, to);
    CHECK(from != to && bytes <= LINKQ_PACKET_BYTES_MAX);
    enum linkq_verdict v = verdict_of(q, d, bytes);
    struct linkq_packet *p = NULL;
    if (v == LINKQ_TAKEN) {
        p = q->count < q->cap || grow(q) ? malloc(sizeof *p + bytes) : NULL;
        v = p ? LINKQ_TAKEN : LINKQ_NOMEM;
    }
    d->counts.of[v]++;
    if (!p)
        return v;
    *p = (struct linkq_packet){.due_ns = due_of(q, d, now_ns, bytes),
                               .number = q->next_number++,
                               .from = (uint16_t)from,
                               .to = (uint16_t)to,
                               .bytes = (uint32_t)bytes};
    memcpy(p->data, data, bytes);
    d->counts.queued_bytes += (int64_t)bytes;
    q->bytes += (int64_t)bytes;
    heap_put(q, p);
    return LINKQ_TAKEN;
}

int64_t linkq_due(const struct linkq *q) {
    return q->count ? q->heap[0]->due_ns : LINKQ_NEVER;
}

struct linkq_packet *linkq_pop(struct linkq *q, int64_t now_ns) {
    if (linkq_due(q) > now_ns)
        return NULL;
    struct linkq_packet *p = heap_take(q);
    struct direction *d = direction_of(q, p->from, p->to);
    d->counts.queued_bytes -= p->bytes;
    q->bytes -= p->bytes;
    d->counts.delivered++;
    CHECK(d->counts.queued_bytes >= 0 && q->bytes >= 0);
    return p;
}

const struct linkq_counts *linkq_counts(const struct linkq *q, unsigned from, unsigned to) {
    return &direction_of(q, from, to)->counts;
}

int64_t linkq_queued_bytes(const struct linkq *q) {
    return q->bytes;
}
