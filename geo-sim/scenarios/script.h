/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h: a scenario as a text that both back ends play: clients that work, faults at their times, and what must come of it.
 *
 *     format 1
 *     title The leader's region is lost
 *     about Its power fails; ...                 more lines are joined
 *     topology three-regions                     what it is played in, unless somebody asks for another
 *     home us-east                               who leads at first
 *     duration 40s
 *     clients 4                                  in each region
 *     keys 64
 *     think 100ms                                between a client's transactions, on average
 *     mix write 30 read 30 stale 20 rmw 20 transfer 0     in percent
 *     staleness 2s
 *     at 10s kill leader                         SET of the topology, a node, or "leader": the place of who leads
 *     at 25s restart dead
 *     expect gap 5s                              no longer time without a write that succeeds, anywhere
 *     expect near stale                          half of each region's reads of the past come from within it
 *     expect progress                            after the last step clients of every region go on
 *
 * Steps: kill, restart, pause, resume SET | cut SET SET [oneway] | heal | link SET SET ATTRIBUTE... | oneway SET SET ATTRIBUTE... |
 * masters REGION stop | masters REGION start | masters REGION lie DURATION COUNT | clock REGION off DURATION | clock REGION drift
 * NUMBERppm (the system clocks of its machines, their oscillators). In cut, "rest" is everybody but the first set.
 *
 * Promise     What parses can be played: steps are in the order of time and within the duration; what does not parse says where
 *             (NAME:LINE).
 * Threads     any.
 */
#ifndef MERIDIAN_GEO_SCRIPT_H
#define MERIDIAN_GEO_SCRIPT_H

#include "geo-sim/report/results.h"

enum { SCRIPT_STEPS_MAX = 32, SCRIPT_ARG_BYTES = 200 };

enum script_verb {
    SCRIPT_KILL,
    SCRIPT_RESTART,
    SCRIPT_PAUSE,
    SCRIPT_RESUME,
    SCRIPT_LINK, /* a statement of the topology; "leader" and "rest" are sets in it */
    SCRIPT_CLOCK_OFF,
    SCRIPT_CLOCK_DRIFT,
    SCRIPT_MASTERS_STOP,
    SCRIPT_MASTERS_START,
    SCRIPT_MASTERS_LIE,
};

struct script_step {
    int64_t at_ns;
    enum script_verb verb;
    char arg[SCRIPT_ARG_BYTES]; /* the set, the region, or the statement */
    int64_t lie_ns;             /* also how far a clock is off, and its drift in parts per billion */
    unsigned count;
    char text[SCRIPT_ARG_BYTES]; /* as it was written, for people */
};

struct script {
    char name[32], title[100], about[RESULTS_TEXT_BYTES], topology[32], home[TOPO_NAME_BYTES];
    int64_t duration_ns, think_ns, staleness_ns, gap_ns;
    unsigned clients, keys, mix[WORK_OPS];
    bool progress, near_stale;
    struct script_step step[SCRIPT_STEPS_MAX];
    unsigned steps;
};

/* RC_INVAL with NAME:LINE. */
enum rc script_parse(const char *name, const char *text, size_t bytes, struct script *ret, struct err *err) MUST_CHECK;
/* A LINK step's statement with the words "leader" and "rest" replaced by places. RC_LIMIT. */
enum rc script_statement(const struct script_step *s, const struct topo *t, int leader_place, char *to, size_t bytes,
                         struct err *err) MUST_CHECK;

/* Those that are shipped. */
struct story {
    const char *name;
    const unsigned char *text;
    size_t bytes;
};
const struct story *story_at(size_t i); /* NULL: there are no more */
const struct story *story_named(const char *name);

#endif
