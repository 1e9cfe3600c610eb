/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.h: one transaction at the tablet that owns its anchor key, from the commit message to the decision.
 *
 *     PREPARING ----> COMMITTING ----> COMMITTED      the record is applied; outcome.h remembers, participants are told
 *         |<------------- |                           (the proposal was not taken)
 *         |---------> ABORTING ------> ABORTED        the fence is applied: no late commit can revive it (T-10)
 *
 *   PREPARING   waits for votes. Nothing of it is in the log: if this leader dies, nothing has been decided
 *   COMMITTING  s is chosen, the Commit record proposed: nothing may abort it any more
 *   ABORTING    the Abort record is proposed
 *
 * A transaction of one tablet goes straight to COMMITTING (T-5).
 *
 * Promise     coord_move is the one door.
 * Relies on   site.c, which is the only caller.
 * Threads     the tablet's reactor.
 */
#ifndef MERIDIAN_TXN_COORDINATOR_H
#define MERIDIAN_TXN_COORDINATOR_H

#include "txn/outcome.h"
#include "txn/participant.h"

enum coord_state { COORD_PREPARING, COORD_COMMITTING, COORD_ABORTING, COORD_COMMITTED, COORD_ABORTED, COORD_STATES };
const char *coord_state_name(enum coord_state state);

struct coord {
    struct map_node by_id;
    struct ilist all;
    struct txn_ref ref;
    enum coord_state state;
    struct arena arena; /* of what follows */
    struct txn_key anchor;
    struct txn_part *parts; /* as the commit message listed them */
    size_t n_parts;
    struct txn_token token;
    struct spans need;   /* who has not voted */
    struct spans others; /* all participants but this tablet */
    struct txn_window votes;
    int64_t received; /* tt_now().latest when the commit message was here (T-3) */
    int64_t began_ns, retry_ns;
    bool has_client;    /* a gateway waits for DONE */
    struct txn_why why; /* of an abort */
};

/* A yes from a participant that heard of the commit before we did: it may be nearer to the gateway than we are. Kept for a while, else
 * the commit would wait for the vote to be asked for again. */
struct early_vote {
    struct ilist link;
    struct txn_id id;
    struct txn_window window;
    struct txn_span span; /* into bytes */
    uint8_t bytes[];
};

/* Forgets all but the youngest `keep` of them. */
void coord_drop_early(struct site *s, size_t keep);
struct coord *coord_find(const struct site *s, const struct txn_id *id);
void coord_free(struct site *s, struct coord *c);
void coord_move(struct site *s, struct coord *c, enum coord_state to);

void coord_on_commit(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void coord_on_vote(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void coord_on_inquire(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void coord_on_ack(struct site *s, const struct txn_msg *m, const struct txn_facts *f);
void coord_on_wound(struct site *s, const struct txn_ref *ref, const struct txn_why *why, const struct txn_facts *f);
void coord_abort(struct site *s, struct coord *c, const struct txn_why *why, const struct txn_facts *f);
void coord_refused(struct site *s, struct coord *c, enum txn_record_type type, const struct txn_facts *f);
enum rc coord_apply(struct site *s, const struct txn_record *r, const struct txn_facts *f, struct site_effect *ret,
                    struct err *err) MUST_CHECK;
/* The outcomes that participants have not acknowledged are this leader's to send. RC_NOMEM. */
enum rc coord_lead_begin(struct site *s, const struct txn_facts *f) MUST_CHECK;
void coord_tick(struct site *s, const struct txn_facts *f);
int64_t coord_wake_ns(const struct site *s);

#endif
