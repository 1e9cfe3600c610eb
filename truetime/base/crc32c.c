/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.c: ISA-L takes an int length and no final inversion; both are put right here. */
#include "truetime/base/crc32c.h"

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t before, const void *p, size_t n) {
    enum { STEP = 1 << 30 };
    uint32_t crc = ~before;
    const uint8_t *at = p;
    while (n > 0) {
        size_t m = n < STEP ? n : STEP;
        /* The parameter lacks a const in the library's header; the function only reads. */
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)m, crc);
        at += m;
        n -= m;
    }
    return ~crc;
}
