/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/spans.h"

#include <stdlib.h>

void spans_init(struct spans *s) {
    *s = (struct spans){0};
}

void spans_done(struct spans *s) {
    for (size_t i = 0; i < s->count; i++)
        free((void *)(uintptr_t)s->item[i].start.p);
    free(s->item);
    spans_init(s);
}

bool span_meet(const struct txn_span *a, const struct txn_span *b, struct txn_span *ret) {
    struct txn_span m = {txn_key_cmp(a->start, b->start) > 0 ? a->start : b->start,
                         txn_end_cmp(a->end, b->end) < 0 ? a->end : b->end};
    if (!txn_key_before_end(m.start, m.end))
        return false;
    *ret = m;
    return true;
}

enum rc spans_add(struct spans *s, const struct txn_span *span) {
    if (s->count >= SPANS_MAX)
        return RC_LIMIT;
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        struct txn_span *item = realloc(s->item, cap * sizeof *item);
        if (!item)
            return RC_NOMEM;
        s->item = item;
        s->cap = cap;
    }
    uint8_t *bytes = malloc(span->start.n + span->end.n + 1);
    if (!bytes)
        return RC_NOMEM;
    if (span->start.n)
        memcpy(bytes, span->start.p, span->start.n);
    if (span->end.n)
        memcpy(bytes + span->start.n, span->end.p, span->end.n);
    struct txn_span *to = &s->item[s->count++];
    to->start.p = bytes;
    to->start.n = span->start.n;
    to->end = (struct txn_key){to->start.p + to->start.n, span->end.n};
    return RC_OK;
}

enum rc spans_subtract(struct spans *s, const struct txn_span *span) {
    for (size_t i = 0; i < s->count;) {
        struct txn_span whole = s->item[i], gone;
        if (!span_meet(&whole, span, &gone)) {
            i++;
            continue;
        }
        struct txn_span left = {whole.start, gone.start}, right = {gone.end, whole.end};
        enum rc rc = RC_OK;
        size_t count = s->count;
        if (txn_key_cmp(whole.start, gone.start) < 0)
            rc = spans_add(s, &left);
        if (!rc && gone.end.n && txn_end_cmp(gone.end, whole.end) < 0)
            rc = spans_add(s, &right);
        if (rc) {
            while (s->count > count)
                free((void *)(uintptr_t)s->item[--s->count].start.p);
            return rc;
        }
        free((void *)(uintptr_t)whole.start.p);
        s->item[i] = s->item[--s->count]; /* what came there is outside of span, or looked at next */
    }
    return RC_OK;
}
