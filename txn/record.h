/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h: what the transaction layer logs and sends, and how that becomes bytes.
 *
 * Promise     Records and messages are plain structs; encode and decode are each other's inverse. A decoder takes bytes
 *             from anywhere: it checks every length, count and enumerator, allocates from the arena it is given and
 *             nowhere else, and says RC_PROTOCOL (messages) or RC_CORRUPT (records, state). What a decoder has accepted
 *             holds together: a span is one, keys are not longer than TXN_KEY_BYTES_MAX.
 * Relies on   txn.proto; pb_arena.h.
 * Threads     any.
 */
#ifndef MERIDIAN_TXN_RECORD_H
#define MERIDIAN_TXN_RECORD_H

#include "truetime/base/arena.h"
#include "truetime/base/buf.h"
#include "txn/lock.h"

enum {
    TXN_PARTS_MAX = 4096,
    TXN_GRANTS_MAX = 1 << 20,
    TXN_WRITES_BYTES_MAX = 64 << 20,
    TXN_STATE_RECORDS_MAX = 1 << 22,
};

/* Why a transaction was aborted. On the wire: never renumber. */
enum txn_reason {
    TXN_REASON_NONE = 0,
    TXN_REASON_ROLLBACK = 1, /* the client wanted it */
    TXN_REASON_LOCKS = 2,    /* its locks were lost: wounded, idle, silent; why says more (T-1) */
    TXN_REASON_TERM = 3,     /* the leader that held its locks leads no more (T-1) */
    TXN_REASON_REQUESTS = 4, /* a participant has seen another number of requests than the gateway has sent */
    TXN_REASON_WOUNDED = 5,  /* prepared, and an older one wants its locks (K-3) */
    TXN_REASON_TIMEOUT = 6,  /* not all participants have voted in time */
    TXN_REASON_WINDOW = 7,   /* no timestamp fits all of [s_min, s_allowed] and the deadline (T-8, N-15) */
    TXN_REASON_HORIZON = 8,  /* the attempt began before the outcome horizon (N-7) */
    TXN_REASON_UNKNOWN = 9,  /* somebody asked, nobody had decided: presumed abort (T-10) */
    TXN_REASON_SPLIT = 10,   /* the tablet was split while it coordinated */
    TXN_REASONS
};
const char *txn_reason_text(enum txn_reason reason);

/* N-15: by which a client asks for the outcome; kept over retries. deadline: no commit after it. All zero: none. */
struct txn_token {
    struct txn_id id;
    int64_t deadline; /* INT64_MAX: none */
};

/* A participant, as the gateway knows it when it sends the commit (T-14). */
struct txn_part {
    struct txn_span span; /* of the tablet that executed for it */
    uint64_t generation;
    uint64_t term;     /* of the leader that granted its locks (T-1) */
    uint32_t requests; /* executed there */
    bool writes;
};

enum txn_verdict { TXN_UNDECIDED, TXN_COMMITTED, TXN_ABORTED, TXN_EXPIRED, TXN_VERDICTS };
const char *txn_verdict_name(enum txn_verdict v);

struct txn_why {
    enum txn_reason reason;
    struct lock_why lock;
};

enum txn_msg_type {
    TXN_MSG_COMMIT = 1, /* gateway to coordinator: ref, anchor, parts, token */
    TXN_MSG_PREPARE,    /* gateway or coordinator to participant: ref, anchor, span (the part's), parts */
    TXN_MSG_ROLLBACK,   /* gateway to participant: ref, span */
    TXN_MSG_MARK,       /* gateway to participant: it was wounded elsewhere; why */
    TXN_MSG_VOTE,    /* participant to coordinator: ref, anchor, span, verdict (ABORTED = no; why), s_min, s_allowed */
    TXN_MSG_INQUIRE, /* participant to coordinator: ref, anchor, span (T-9) */
    TXN_MSG_OUTCOME, /* coordinator to participant: ref, anchor, span, verdict, s_min = s */
    TXN_MSG_ACK,     /* participant to coordinator: ref, anchor, span: durable here */
    TXN_MSG_WOUND,   /* participant to coordinator: ref, anchor, why (K-3) */
    TXN_MSG_STATUS,  /* gateway to any tablet: token (N-15); s_min = the safe time that the asker wants at least */
    /* to the gateway */
    TXN_MSG_DONE,    /* ref, verdict, s_min = s, why: answer to COMMIT */
    TXN_MSG_WOUNDED, /* ref, span, why: marked there */
    TXN_MSG_LOST,    /* ref, span, why: aborted there before commit */
    TXN_MSG_TOKEN,   /* answer to STATUS: token, verdict, s_min = s */
    TXN_MSG_TYPES
};
const char *txn_msg_name(enum txn_msg_type type);

struct txn_msg {
    enum txn_msg_type type;
    struct txn_ref ref;
    struct txn_key anchor;
    struct txn_span span;
    const struct txn_part *parts;
    size_t n_parts;
    int64_t s_min, s_allowed;
    bool read_only; /* VOTE: its locks are promised until s_allowed, not logged (T-7) */
    enum txn_verdict verdict;
    struct txn_token token;
    struct txn_why why;
};

/* On disk: never renumber. 7 is reserved for STAGED (txn.proto). */
enum txn_record_type {
    TXN_REC_PREPARE = 1, /* participant: all but s; its timestamp is the entry's */
    TXN_REC_COMMIT = 2,  /* coordinator: ref, generation, anchor, parts (the others), writes, s = the entry's, token */
    TXN_REC_ABORT = 3,   /* coordinator: ref, anchor, why, token: the fence of T-10 */
    TXN_REC_OUTCOME = 4, /* participant: ref, committed, s (older than the entry's neighbours: R-5) */
    TXN_REC_SETTLED = 5, /* coordinator: ref: every participant has acknowledged */
    TXN_REC_FORGET = 6,  /* horizon, token_horizon */
    TXN_REC_STAGED = 7,  /* reserved */
    TXN_REC_TYPES
};
const char *txn_record_name(enum txn_record_type type);

struct txn_bytes {
    const uint8_t *p;
    size_t n;
};

struct txn_record {
    enum txn_record_type type;
    struct txn_ref ref;
    uint64_t generation;
    struct txn_key anchor;
    const struct txn_part *parts;
    size_t n_parts;
    const struct lock_grant *grants;
    size_t n_grants;
    struct txn_bytes writes; /* row images, as the tablet encodes them */
    int64_t s, s_allowed;
    bool committed;
    struct txn_token token;
    struct txn_why why;
    int64_t horizon, token_horizon;
};

/* Whether an entry with this record may be applied only after tt_after(s), on every replica (T-4): that s, or
 * INT64_MIN. */
static inline int64_t txn_record_gate(const struct txn_record *r) {
    return r->type == TXN_REC_COMMIT || (r->type == TXN_REC_OUTCOME && r->committed) ? r->s : INT64_MIN;
}

/* Appended to `to`; RC_NOMEM, RC_LIMIT. Temporary memory comes from the arena. */
enum rc txn_msg_encode(const struct txn_msg *m, struct arena *a, struct buf *to) MUST_CHECK;
enum rc txn_record_encode(const struct txn_record *r, struct arena *a, struct buf *to) MUST_CHECK;
/* What they return lies in the arena. RC_PROTOCOL or RC_CORRUPT; RC_NOMEM. */
enum rc txn_msg_decode(const void *p, size_t n, struct arena *a, struct txn_msg *ret, struct err *err) MUST_CHECK;
enum rc txn_record_decode(const void *p, size_t n, struct arena *a, struct txn_record *ret, struct err *err) MUST_CHECK;

/* The replicated state of a tablet (site.h). */
struct txn_state {
    struct txn_record *prepared, *outcomes;
    size_t n_prepared, n_outcomes;
    int64_t horizon, token_horizon, floor;
};
enum rc txn_state_encode(const struct txn_state *s, struct arena *a, struct buf *to) MUST_CHECK;
enum rc txn_state_decode(const void *p, size_t n, struct arena *a, struct txn_state *ret, struct err *err) MUST_CHECK;

/* An error for the person at the gateway: RC_ABORTED with reason, row, holder, waits. */
enum rc txn_why_err(const struct txn_why *why, struct err *err);

#endif
