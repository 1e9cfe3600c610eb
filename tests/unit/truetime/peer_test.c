/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that check each other (C-4): what is a contradiction, and who should step back. */
#include "truetime/peer.h"

#include "tests/lib/tap.h"
#include "tests/unit/truetime/ttsim.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

static void checks(void) {
    struct ttsim t;
    struct tt_peers ps;
    struct tt_peer a, b, c;
    ttsim_init(&t, 1, "sim", NULL);
    tt_peers_init(&ps, &t.clock);
    tt_peer_join(&ps, &a);
    tt_peer_join(&ps, &b);
    tt_peer_join(&ps, &c);
    EQ_INT(tt_check_peer(&ps, &a, (tt_interval){0, 1}, INT64_MIN), 0); /* we know nothing ourselves */
    ttsim_run(&t, 2 * SEC);
    tt_interval now = tt_now(&t.clock);
    EQ_INT(tt_check_peer(&ps, &a, TT_UNKNOWN, now.earliest), 0);
    EQ_INT(a.checks, 0);
    EQ_INT(tt_check_peer(&ps, &a, now, now.earliest), 0);
    EQ_INT(tt_check_peer(&ps, &a, (tt_interval){now.earliest - SEC, now.latest - SEC}, INT64_MIN),
           0); /* a slow message */
    EQ_INT(tt_check_peer(&ps, &a, (tt_interval){now.latest + 3 * MS, now.latest + 5 * MS}, INT64_MIN), 3 * MS);
    EQ_INT(tt_check_peer(&ps, &a, (tt_interval){now.earliest - 9 * MS, now.earliest - 2 * MS}, now.earliest), 2 * MS);
    EQ_INT(a.worst_ns, 3 * MS);
    EQ_INT(a.contradictions, 2);
    EQ_INT(counter_get(&ps.contradictions), 2);
    EQ_INT(gauge_get(&ps.worst_ns), 3 * MS);
    /* One of three: it is that one's trouble. Two of three: ours. */
    tt_check_peer(&ps, &b, now, INT64_MIN);
    tt_check_peer(&ps, &c, now, INT64_MIN);
    OK(!tt_peers_step_back(&ps));
    tt_check_peer(&ps, &b, (tt_interval){now.latest + SEC, now.latest + SEC}, INT64_MIN);
    OK(tt_peers_step_back(&ps));
    tt_check_peer(&ps, &b, now, INT64_MIN);
    OK(!tt_peers_step_back(&ps));
    /* Those not heard of for long do not count; a single peer proves nothing. */
    tt_check_peer(&ps, &b, (tt_interval){now.latest + SEC, now.latest + SEC}, INT64_MIN);
    OK(tt_peers_step_back(&ps));
    ttsim_run(&t, 11 * SEC);
    OK(!tt_peers_step_back(&ps));
    now = tt_now(&t.clock);
    tt_check_peer(&ps, &a, (tt_interval){now.latest + SEC, now.latest + SEC}, INT64_MIN);
    OK(!tt_peers_step_back(&ps));
    tt_peer_leave(&a);
    tt_peer_leave(&a);
    tt_peer_leave(&b);
    tt_peer_leave(&c);
    OK(!tt_peers_step_back(&ps));
    ttsim_done(&t);
}

int main(void) {
    RUN(checks);
    return tap_done();
}
