/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c: see utf8.h. */
#include "sql/parse/utf8.h"

#include <stdint.h>

/* The bytes that may follow a lead byte, and how many of them: RFC 3629's table of well-formed sequences. */
static size_t sequence(const uint8_t *p, size_t n) {
    uint8_t lo = 0x80, hi = 0xbf;
    size_t more = p[0] < 0x80   ? 0
                  : p[0] < 0xc2 ? SIZE_MAX
                  : p[0] < 0xe0 ? 1
                  : p[0] < 0xf0 ? 2
                  : p[0] < 0xf5 ? 3
                                : SIZE_MAX;
    if (p[0] == 0 || more == SIZE_MAX || more >= n)
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0;
    if (p[0] == 0xed)
        hi = 0x9f;
    if (p[0] == 0xf0)
        lo = 0x90;
    if (p[0] == 0xf4)
        hi = 0x8f;
    for (size_t i = 1; i <= more; i++, lo = 0x80, hi = 0xbf)
        if (p[i] < lo || p[i] > hi)
            return 0;
    return more + 1;
}

bool utf8_valid(const char *text, size_t n, size_t *ret_bad) {
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < n;) {
        size_t len = sequence(p + i, n - i);
        if (len == 0) {
            *ret_bad = i;
            return false;
        }
        i += len;
    }
    return true;
}
