/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meridian.h: Meridian as a library.
 *
 * For now it tells its version; the transaction API comes with the SQL engine.
 */
#ifndef MERIDIAN_H
#define MERIDIAN_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MERIDIAN_API __attribute__((visibility("default")))
#else
#define MERIDIAN_API
#endif

/* "MAJOR.MINOR.PATCH" of the library in use; static. */
MERIDIAN_API const char *meridian_version(void);

#ifdef __cplusplus
}
#endif

#endif
