/* SPDX-License-Identifier: Apache-2.0 */
/*
 * participant.h: one transaction at one tablet, from its first lock to its end.
 *
 *     ACTIVE ----> PREPARING ----> PREPARED <---> RESOLVING ----> COMMITTED | ABORTED      it writes: state in the log
 *        |------------------------> PROMISED ------------------->     "     |    "         it only reads (T-7)
 *        |------------------------> FROZEN --------------------->     "     |    "         this tablet coordinates it
 *        |------------------------------------------------------>                ABORTED
 *
 *   ACTIVE     has locks and an overlay in the leader's memory; dies with its leadership, its gateway, or a wound
 *   FROZEN     the coordinator's own part: its lock set is fixed until the decision
 *   PREPARING  its Prepare record is proposed
 *   PREPARED   that is applied: only the coordinator decides (T-9); the only state that a new leader finds again (T-11)
 *   PROMISED   holds its read locks until told, and is worth nothing beyond s_allowed
 *   RESOLVING  its Outcome record is proposed
 *   COMMITTED, ABORTED   over; only a mark that the attempt is done remains (T-13)
 *
 * Promise     part_move is the one door; what each state must have is checked there.
 * Relies on   site.c, which is the only caller.
 * Threads     the tablet's reactor.
 */
#ifndef MERIDIAN_TXN_PARTICIPANT_H
#define MERIDIAN_TXN_PARTICIPANT_H

#include "truetime/base/ilist.h"
#include "truetime/base/map.h"
#include "txn/site.h"

enum part_state {
    PART_ACTIVE,
    PART_FROZEN,
    PART_PREPARING,
    PART_PREPARED,
    PART_PROMISED,
    PART_RESOLVING,
    PART_COMMITTED,
    PART_ABORTED,
    PART_STATES
};
const char *part_state_name(enum part_state state);

struct part {
    struct map_node by_id;
    struct ilist all, voted; /* voted: PREPARED, PROMISED, RESOLVING: who asks when it hears nothing */
    struct txn_ref ref;
    enum part_state state;
    uint32_t requests, running;
    bool commits;           /* the one that runs brings the commit: it counts only if it comes through */
    struct arena arena;     /* of rec */
    struct txn_record rec;  /* PREPARING and later: the Prepare record; PROMISED: its anchor */
    int64_t s_prepare;      /* PREPARED, RESOLVING: the record's timestamp */
    struct txn_window vote; /* PROMISED */
    int64_t ask_ns;
    enum txn_verdict told; /* what the coordinator said while PREPARING or RESOLVING */
    int64_t told_s;
};

struct part *part_find(const struct site *s, const struct txn_id *id);
struct part *part_new(struct site *s, const struct txn_ref *ref, enum part_state state); /* NULL: no memory */
void part_move(struct site *s, struct part *p, enum part_state to);
/* COMMITTED or ABORTED: locks go (the floor first: S-7), the overlay goes, a mark stays; p is gone. */
void part_end(struct site *s, struct part *p, enum txn_verdict verdict, int64_t ts, const struct txn_why *why,
              const struct txn_facts *f);
/* An active one is aborted here; its gateway hears of it. */
void part_lose(struct site *s, struct part *p, const struct txn_why *why, bool tell, const struct txn_facts *f);
/* Checks what T-1 asks of one that wants to commit, and freezes its locks. False: *ret_why. mine: its entry in the
 * list. */
bool part_ready(struct site *s, struct part *p, const struct txn_part *mine, const struct txn_facts *f,
                struct txn_why *ret_why);

void part_on_prepare(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void part_on_outcome(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void part_on_rollback(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void part_refused(struct site *s, struct part *p, enum txn_record_type type, const struct txn_facts *f);
enum rc part_apply_prepare(struct site *s, const struct txn_record *r, int64_t ts, const struct txn_facts *f,
                           struct err *err) MUST_CHECK;
enum rc part_apply_outcome(struct site *s, const struct txn_record *r, const struct txn_facts *f,
                           struct site_effect *ret, struct err *err) MUST_CHECK;
void part_tick(struct site *s, const struct txn_facts *f);
/* The lock set of x as it is to be logged (T-11), in the arena. RC_NOMEM. */
enum rc part_grants(struct lock_txn *x, struct arena *a, struct lock_grant **ret, size_t *ret_n) MUST_CHECK;

#endif
