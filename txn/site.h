/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.h: a tablet's part in transactions: its leader's locks and active transactions, what is prepared in it, what it
 * coordinates, which outcomes it remembers. Two-phase commit, as a pure core.
 *
 *     site_request(s, &ref, ...); site_lock(...); ... site_request_end(...)   a transaction's fragment runs here
 *     site_message(s, &msg, &facts)                                           from gateways and other tablets
 *     site_apply(s, &record, ts, &facts, &effect)                             a log entry, on every replica
 *     site_tick(s, &facts)                                                    by site_wake_ns
 *     while (site_next(s, &out)) ...                                          behind each of these: what to do, in order
 *
 * Promise     A1  all participants of a transaction end with the same outcome and timestamp (INV-2PC).
 *             A2  that timestamp lies in every participant's [s_min, s_allowed], above everything that each of the
 *                 writing ones had assigned, served or promised when it prepared (T-2, T-3, T-8).
 *             A3  a participant that prepared holds exactly the locks of its record until it knows the outcome, whoever
 *                 leads (T-11); one that only reads holds them as long as it leads, and promises no longer (T-7).
 *             A4  who answered "committed" or "aborted" to a client has it in its log, applied (N-8).
 *             A5  nothing is decided twice, whatever messages come late, twice or never (T-10, T-13, N-7).
 *             A6  bounded: sites refuse what exceeds their limits.
 * Relies on   the caller: entries are applied in slot order, each once, COMMIT and OUTCOME only after txn_record_gate
 *             has passed (T-4); FLOOR is obeyed before anything behind it in the queue; a PROPOSE is proposed in the
 *             same turn with its timestamp, or reported by site_refused; site_lead_begin only when everything chosen is
 *             applied (P-5), with a term that no other leadership of this tablet or its ancestors had; site_lead_end
 *             when it leads no more.
 * Threads     the tablet's reactor. No call waits.
 * Source      Gray, "Notes on data base operating systems", 1978; Mohan, Lindsay, Obermarck, "Transaction management in
 *             the R* distributed database management system", 1986 (presumed abort); Corbett et al., "Spanner", 2012,
 *             section 4.2.1. docs/transactions.md has the whole story with pictures.
 */
#ifndef MERIDIAN_TXN_SITE_H
#define MERIDIAN_TXN_SITE_H

#include "txn/record.h"
#include "txn/timestamp.h"

struct site_limits { /* zeros: defaults */
    struct lock_limits lock;
    uint32_t coordinating; /* undecided transactions that this tablet coordinates; 64 Ki */
    uint32_t outcomes;     /* remembered: 1 Mi */
    uint32_t done;         /* attempts whose end is remembered here, to refuse what comes late; 64 Ki */
    uint32_t out;          /* things to do that nobody has taken; 1 Mi */
    int64_t ask_ns;        /* a prepared one that hears nothing asks after this, and again; 1 s */
    int64_t retry_ns;      /* a coordinator repeats Prepare and outcomes after this; 300 ms */
    int64_t vote_ns;       /* and gives up after this; 10 s */
    /* Outcomes, for late messages; 1 h. An attempt that takes longer cannot commit. When `outcomes` of them are nearly
     * reached, the oldest eighth of what may be forgotten goes, and with it what tokens of that age could ask for:
     * "expired". */
    int64_t remember_ns;
    int64_t remember_token_ns; /* and for tokens: 7 days (N-15) */
};

struct site_init {
    struct txn_span range; /* copied */
    uint64_t generation;
    struct site_limits limits;
    uint64_t seed;
    struct chaos *chaos;
    /* The row images that the transaction has in its overlay here, as they are to be logged; nothing: it only read. */
    void (*writes)(void *ctx, const struct txn_id *id, struct buf *to);
    void *ctx;
};

struct site;

enum rc site_new(const struct site_init *init, struct site **ret) MUST_CHECK;
void site_free(struct site *s); /* NULL is fine */

/* This replica leads from now on: locks of prepared transactions are taken (T-11), outcomes that were not acknowledged
 * will be sent again (T-12). RC_CORRUPT, RC_NOMEM: it must not open. */
enum rc site_lead_begin(struct site *s, uint64_t term, const struct txn_facts *f, struct err *err) MUST_CHECK;
/* It leads no more: everything that is not in the log is forgotten, waiting requests get no event. Harmless twice. */
void site_lead_end(struct site *s);
bool site_leads(const struct site *s);
uint64_t site_term(const struct site *s);
struct txn_span site_range(const struct site *s); /* borrowed until a split */
uint64_t site_generation(const struct site *s);
/* How many requests of the transaction were begun here, if it is still active; false: it is not, any more or yet. */
bool site_active(const struct site *s, const struct txn_id *id, uint32_t *ret_requests);

/* ---- fragments --------------------------------------------------------------------------------------------------- */

/* A request of the transaction begins to run here. seq: how many it has had here before, which must agree. RC_ABORTED:
 * that attempt is over here, or what it had here is lost; RC_UNREACHABLE: does not lead; RC_OVERLOAD. */
enum rc site_request(struct site *s, const struct txn_ref *ref, uint32_t seq, const struct txn_facts *f,
                     struct err *err) MUST_CHECK;
/* As lock_acquire; the answer to a wait comes as SITE_OUT_LOCK. */
enum rc site_lock(struct site *s, const struct txn_id *id, const struct txn_span *span, enum lock_mode mode,
                  uint64_t request, int64_t deadline_ns, const struct txn_facts *f, bool *ret_waits,
                  struct err *err) MUST_CHECK;
/* As lock_escalate: one span in place of the many locks that site_lock refused with RC_LIMIT. */
enum rc site_escalate(struct site *s, const struct txn_id *id, const struct txn_span *span, uint64_t request,
                      int64_t deadline_ns, const struct txn_facts *f, bool *ret_waits, struct err *err) MUST_CHECK;
/* The fiber that waits for request is gone; no SITE_OUT_LOCK comes, unless it is in the queue already. */
void site_cancel(struct site *s, const struct txn_id *id, uint64_t request, const struct txn_facts *f);
void site_request_end(struct site *s, const struct txn_id *id, const struct txn_facts *f);
/* The same for one that carried a commit or a prepare and did not get so far: it does not count, so that no copy of that message
 * can take the transaction for complete (T-1). */
/* That request brings the commit or the prepare along: if the tablet is split before it is through, neither half counts it. */
void site_request_commits(struct site *s, const struct txn_id *id);
void site_request_void(struct site *s, const struct txn_id *id, const struct txn_facts *f);
/* The gateway was heard of. */
void site_alive(struct site *s, const struct txn_id *id, const struct txn_facts *f);
struct lock_table *site_locks(struct site *s); /* to look in; NULL: does not lead */

/* ---- messages and time ------------------------------------------------------------------------------------------- */

/* Whatever does not concern keys of this tablet is ignored: the caller routes by anchor or span first. */
void site_message(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void site_tick(struct site *s, const struct txn_facts *f);
int64_t site_wake_ns(const struct site *s);

/* N-15, for the owner of the token's anchor, or without one for every tablet: safe: the safe time of this replica for
 * all of its range. UNDECIDED: ask again when the safe time is at the deadline. */
enum txn_verdict site_status(const struct site *s, const struct txn_token *token, int64_t safe, int64_t *ret_s);

/* ---- the log ----------------------------------------------------------------------------------------------------- */

struct site_effect {
    bool writes; /* make row versions of `images` at `ts`, as far as they lie in this tablet's range */
    int64_t ts;
    struct txn_bytes images; /* borrowed from the site until its next call */
};

/* An entry of the log with its newly assigned timestamp (0: none). RC_CORRUPT: the tablet cannot go on; RC_NOMEM: the
 * same, until it is applied again. The effect is to become durable with the entry. */
enum rc site_apply(struct site *s, const struct txn_record *r, int64_t ts, const struct txn_facts *f,
                   struct site_effect *ret, struct err *err) MUST_CHECK;
/* A PROPOSE was not taken (no lease that far, too much in flight): it is tried again, or given up. */
void site_refused(struct site *s, const struct txn_id *id, enum txn_record_type type, const struct txn_facts *f);

enum site_out_type {
    SITE_OUT_FLOOR = 1, /* raise the group's floor to ts, before anything behind this (S-7) */
    SITE_OUT_PROPOSE,   /* record `bytes`; ts != 0: with a new timestamp >= ts, exact: == ts */
    SITE_OUT_SEND,      /* message `bytes` to the owner of `key`, or to `gateway` if not 0; not before tt_after(ts) */
    SITE_OUT_LOCK,      /* lock: GRANTED or REFUSED, of a waiting request */
    SITE_OUT_DROP,      /* id is over here: drop its overlay */
};

struct site_out {
    enum site_out_type type;
    struct txn_id id;
    enum txn_record_type record;
    int64_t ts;
    bool exact;
    int64_t gate;          /* PROPOSE: txn_record_gate of the record */
    enum txn_msg_type msg; /* SEND */
    uint64_t gateway;
    struct txn_key key;
    const uint8_t *bytes;
    size_t n;
    struct lock_event lock;
};

/* False: nothing left. What *ret points to lives until the next call of any kind. */
bool site_next(struct site *s, struct site_out *ret);

/* The replicated state piece by piece, for who keeps each piece by itself instead of site_save: what site_load would want in
 * `prepared` (with its timestamp in s) and `outcomes`. RC_NOTFOUND; RC_NOMEM. Borrowed from the site and the arena. */
enum rc site_prepared(const struct site *s, const struct txn_id *id, struct txn_record *ret) MUST_CHECK;
enum rc site_outcome(const struct site *s, const struct txn_id *id, struct arena *a, struct txn_record *ret) MUST_CHECK;
void site_horizons(const struct site *s, int64_t *ret_horizon, int64_t *ret_token_horizon);
/* Which outcomes a FORGET record with these horizons will drop; fn must not call the site. */
void site_forgets(const struct site *s, int64_t horizon, int64_t token_horizon,
                  void (*fn)(void *ctx, const struct txn_id *id), void *ctx);
/* Every prepared transaction and outcome that is remembered. */
void site_each(const struct site *s, void (*fn)(void *ctx, const struct txn_id *id, bool prepared), void *ctx);

/* ---- timestamps -------------------------------------------------------------------------------------------------- */

/* Everything that this leader has chosen, promised or learnt is at or below (S-1). */
int64_t site_floor(const struct site *s);
/* The largest s_allowed that was given and is not settled: part of s_max at hand-over (N-3); INT64_MIN: none. */
int64_t site_promised(const struct site *s);
/* Reads of span at or above this must wait: an undecided transaction may still write there. INT64_MAX: none.
 * */
int64_t site_safe_below(const struct site *s, const struct txn_span *span);

/* ---- splits and snapshots ---------------------------------------------------------------------------------------- */

/* A split at key is about to be proposed: from now until site_split or site_split_cancel nothing is prepared or
 * committed, and what is being coordinated across key is aborted (N-6). */
void site_split_begin(struct site *s, struct txn_key key, const struct txn_facts *f);
void site_split_cancel(struct site *s, const struct txn_facts *f);
/* The split is applied, on every replica: *ret_right is [key, end). If s leads, so does *ret_right, with the same term.
 * */
enum rc site_split(struct site *s, struct txn_key key, uint64_t left_generation, uint64_t right_generation,
                   const struct txn_facts *f, struct site **ret_right, struct err *err) MUST_CHECK;

/* Whom to ask for row images from now on: the right half of a split begins with its parent's. */
void site_set_ctx(struct site *s, void *ctx);

/* What is replicated, for a snapshot; the same bytes on every replica at the same slot. */
enum rc site_save(const struct site *s, struct buf *to) MUST_CHECK;
/* Into a new site that has applied nothing. */
enum rc site_load(struct site *s, const void *p, size_t n, struct err *err) MUST_CHECK;

/* ---- looking in -------------------------------------------------------------------------------------------------- */

struct site_stats {
    uint64_t active, preparing, prepared, promised, coordinating, outcomes, unsettled, done; /* now */
    uint64_t committed_one, committed_two, aborted, asked, fenced, wounded_prepared;
};
void site_stats(const struct site *s, struct site_stats *ret);
/* CHECKs what must hold between locks, participants, coordinators and outcomes. Slow: for tests. */
void site_check(struct site *s);

#endif
