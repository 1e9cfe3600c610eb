/* SPDX-License-Identifier: Apache-2.0 */
#include "truetime/base/crc32c.h"

#include <string.h>

#include "tests/lib/tap.h"

/* The vectors of RFC 3720, B.4. */
static void rfc_vectors(void) {
    uint8_t b[32];
    memset(b, 0, sizeof b);
    EQ_INT(crc32c(0, b, sizeof b), 0x8a9136aau);
    memset(b, 0xff, sizeof b);
    EQ_INT(crc32c(0, b, sizeof b), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    EQ_INT(crc32c(0, b, sizeof b), 0x46dd794eu);
    EQ_INT(crc32c(0, "123456789", 9), 0xe3069283u);
    EQ_INT(crc32c(0, "", 0), 0);
}

static void carries_on(void) {
    const char *s = "the quick brown fox jumps over the lazy dog, twice over and over";
    for (size_t cut = 0; cut <= strlen(s); cut++)
        EQ_INT(crc32c(crc32c(0, s, cut), s + cut, strlen(s) - cut), crc32c(0, s, strlen(s)));
}

int main(void) {
    RUN(rfc_vectors);
    RUN(carries_on);
    return tap_done();
}
