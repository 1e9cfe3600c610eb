/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h: is there a chronyd that answers? For the default of --clock (tt_spec_default).
 *
 * Promise     on_answer is called once, from the loop: true as soon as chronyd has answered anything (synchronised or not) at
 *             its Unix socket or at its port on loopback, false after half a second without a word.
 * Relies on   env: timers, datagrams.
 * Threads     its env's.
 */
#ifndef MERIDIAN_TRUETIME_PROBE_H
#define MERIDIAN_TRUETIME_PROBE_H

#include "truetime/base/env.h"

struct tt_probe;

enum rc tt_probe_new(struct env *env, void (*on_answer)(void *ctx, bool answers), void *ctx, struct tt_probe **ret,
                     struct err *err) MUST_CHECK;
void tt_probe_free(struct tt_probe *p); /* NULL is fine; also from on_answer */

#endif
