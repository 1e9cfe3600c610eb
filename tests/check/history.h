/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h: the checkers of what clients saw, which are part of geo-sim (geo-sim/check/history.h).
 *
 * Threads     as there.
 */
#ifndef MERIDIAN_TESTS_HISTORY_H
#define MERIDIAN_TESTS_HISTORY_H

#include "geo-sim/check/history.h"

#endif
