/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_dir.h: where this user's processes keep what lives as long as the machine runs: the host clock's offset, a clock
 * daemon's page.
 *
 * Promise     root: /run/meridian. Others: $XDG_RUNTIME_DIR/meridian, else /tmp/meridian-UID. The directory is made if it is
 *             not there; one that somebody else owns, or that others can write to, is refused.
 * Threads     any.
 */
#ifndef MERIDIAN_SQL_RUN_DIR_H
#define MERIDIAN_SQL_RUN_DIR_H

#include "truetime/base/err.h"

enum rc run_dir(char *ret, size_t bytes, struct err *err) MUST_CHECK;

#endif
