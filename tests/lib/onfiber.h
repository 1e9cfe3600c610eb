/* SPDX-License-Identifier: Apache-2.0 */
/* onfiber.h: runs a test's body on a fiber of a real one-store process, and ends the process when the body returns. */
#ifndef MERIDIAN_TESTS_ONFIBER_H
#define MERIDIAN_TESTS_ONFIBER_H

#include "shard/runtime/fiber.h"

/* level: what of the diagnostics reaches standard error. */
void on_fiber(enum diag_level level, void (*body)(struct reactor *r));

#endif
