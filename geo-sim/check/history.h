/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h: what clients saw of a database, and two checkers that tell whether any strictly serializable database
 * could have shown them that.
 *
 *     uint32_t t = hist_begin(h, session, now);  hist_read(h, t, key, value);  hist_write(h, t, key, value);
 *     hist_commit(h, t, ts, now);
 *     if (!hist_check_replay(h, &v) || !hist_check_cycles(h, &v)) ... v.text says what was seen and why it cannot be
 *
 * Promise     hist_check_replay believes the timestamps: it replays all committed transactions in their order against a
 *             model and compares every read; and it checks that who ended before another began has the smaller
 *             timestamp. hist_check_cycles believes no timestamp: it derives from the values who must have come before
 *             whom (ww, wr, rw, real time) and looks for a cycle. Both take time about linear in the history (times log
 *             n).
 * Relies on   each value written to a key, and each element appended to a list, being unique for that key and not 0. A
 *             value of 0 read means "nothing there". A key is either a register or a list, not both. Registers are not
 *             deleted.
 * Threads     one.
 * Source      Adya, "Weak consistency", 1999 (the anomalies); Kingsbury, Alvaro, "Elle", VLDB 2020 (inferring
 *             dependencies); Biswas, Enea, "On the complexity of checking transactional consistency", 2019 (why unique
 *             values matter).
 */
#ifndef MERIDIAN_GEO_HISTORY_H
#define MERIDIAN_GEO_HISTORY_H

#include "truetime/base/check.h"

struct history;

struct hist_verdict {
    char anomaly[48]; /* "lost update", "G0", "G1c", "G-single", "G2", "... with real time", "replay", "real time" */
    char text[1024];  /* transactions and values, for people */
};

struct hist_pair {
    uint64_t key;
    int64_t value;
};

struct history *hist_new(void);
void hist_free(struct history *h);

/* Real time, of one scale for all sessions. Returns the transaction's number. */
uint32_t hist_begin(struct history *h, uint32_t session, int64_t begin_ns);
void hist_read(struct history *h, uint32_t t, uint64_t key, int64_t value);
void hist_write(struct history *h, uint32_t t, uint64_t key, int64_t value);
void hist_append(struct history *h, uint32_t t, uint64_t key, int64_t element);
void hist_read_list(struct history *h, uint32_t t, uint64_t key, const int64_t *elements, size_t count);
/* All registers with first <= key <= last that were there; those not listed were not (phantoms). */
void hist_read_range(struct history *h, uint32_t t, uint64_t first, uint64_t last, const struct hist_pair *pairs,
                     size_t count);
void hist_commit(struct history *h, uint32_t t, int64_t ts, int64_t end_ns);
/* stale: it asked for the past, so real time does not bind it. */
void hist_commit_read_only(struct history *h, uint32_t t, int64_t ts, bool stale, int64_t end_ns);
/* It only read, and nobody knows at which timestamp: the replay leaves it out, the cycles do not. */
void hist_commit_untimed(struct history *h, uint32_t t, int64_t end_ns);
void hist_abort(struct history *h, uint32_t t, int64_t end_ns);
/* Its client does not know. It counts once somebody sees what it wrote (cycles), or never (replay: resolve it before).
 * */
void hist_unknown(struct history *h, uint32_t t);

/* False: it cannot be. ret may be NULL. */
bool hist_check_replay(struct history *h, struct hist_verdict *ret);
bool hist_check_cycles(struct history *h, struct hist_verdict *ret);

size_t hist_count(const struct history *h);

#endif
