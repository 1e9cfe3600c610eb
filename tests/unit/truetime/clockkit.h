/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clockkit.h: real time sources for tests and benchmarks on this machine: units of ntpd's shared memory that nobody else uses,
 * removed when the process ends in whatever way, and a real chronyd that reads one, without any privilege over the system
 * clock and with files of its own.
 */
#ifndef MERIDIAN_TESTS_CLOCKKIT_H
#define MERIDIAN_TESTS_CLOCKKIT_H

#include <sys/types.h>

#include "shard/runtime/fiber.h"
#include "truetime/shmseg.h"

enum { CLOCKKIT_UNITS = 4, CLOCKKIT_PATIENCE_S = 120 };

void clockkit_take_units(int ret_unit[CLOCKKIT_UNITS]);
void clockkit_remove_units(const int unit[CLOCKKIT_UNITS]);

/* Starts `chronyd -x` on a unit and waits until its socket is there. dir: one of the test's own. ret_socket: its path. NULL,
 * or why there is no chronyd: a reason to skip. */
const char *clockkit_chronyd(struct reactor *r, const char *dir, int unit, pid_t *ret_pid, char ret_socket[256]) WAITS;

#endif
