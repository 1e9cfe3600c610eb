/* SPDX-License-Identifier: Apache-2.0 */
/* version.c: the version that CMakeLists.txt gives the project. */
#include "txn/api/meridian.h"

const char *meridian_version(void) {
    return MERIDIAN_VERSION;
}
