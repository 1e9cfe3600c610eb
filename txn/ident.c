/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/ident.h"

#include <stdio.h>

const char *txn_id_name(const struct txn_id *id, char to[TXN_NAME_BYTES]) {
    snprintf(to, TXN_NAME_BYTES, "%llu.%u:%llu:%llu", (unsigned long long)(id->gateway >> 16),
             (unsigned)(id->gateway & 0xffff), (unsigned long long)id->incarnation, (unsigned long long)id->counter);
    return to;
}

const char *txn_key_name(struct txn_key key, char *to, size_t bytes) {
    static const char digit[] = "0123456789abcdef";
    size_t at = 0;
    CHECK(bytes >= 8);
    to[at++] = 'x';
    for (size_t i = 0; i < key.n; i++) {
        if (at + 6 > bytes) {
            memcpy(to + at, "...", 3);
            at += 3;
            break;
        }
        to[at++] = digit[key.p[i] >> 4];
        to[at++] = digit[key.p[i] & 15];
    }
    to[at] = '\0';
    return to;
}
