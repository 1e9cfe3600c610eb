/* SPDX-License-Identifier: Apache-2.0 */
/*
 * emulator.h: the link emulator: one process that carries the packets between the namespaces of a world, each through the line
 * that the topology describes (linkq.h).
 *
 *     geo-main-us: wan0 ---read--->  linkq: loss, rate, delay, jitter, cut  ---write---> wan0 :geo-main-eu
 *
 * Promise     It changes nothing in a packet. It runs before everything else on the machine where it may (SCHED_FIFO), and keeps
 *             account of how late it was: a run whose worst lateness is too large can be called void. It ends on SIGTERM, and its
 *             devices end with it.
 * Control     datagrams on the Unix socket `control` in the world's directory, each answered by one: a statement of a topology
 *             (link, oneway, cut, heal) -> "ok" or what is wrong; "stats" -> name=value, one a line; "reset" -> "ok", and the
 *             figures of stats begin anew; "quit" -> "ok".
 * Relies on   the namespaces being there; /dev/net/tun; root.
 * Threads     one.
 */
#ifndef MERIDIAN_GEO_EMULATOR_H
#define MERIDIAN_GEO_EMULATOR_H

#include "geo-sim/netns/plan.h"

/* Runs until it is told to end. dir: the world's; control_path: the socket in it. ready_fd gets "ready\n" once packets are
 * carried, and is closed. */
enum rc emulator_run(const char *world, const char *control_path, struct topo *t, int ready_fd,
                     struct err *err) MUST_CHECK;

/* The other side of the control socket: sends and waits for the answer. own_path: where the answer comes to. RC_UNREACHABLE. */
enum { EMULATOR_ANSWER_BYTES = 1024 };
enum rc emulator_ask(const char *control_path, const char *own_path, const char *text,
                     char ret_answer[EMULATOR_ANSWER_BYTES], struct err *err) MUST_CHECK;

#endif
