/* SPDX-License-Identifier: Apache-2.0 */
/* ext.c: errors of functions as text, and back. */
#include "shard/store/ext.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEPARATOR = 0x1f };

int ext_error_print(const struct err *err, char to[static EXT_ERROR_BYTES]) {
    int n = snprintf(to, EXT_ERROR_BYTES, "%s:%s", err_sqlstate(err), err_message(err));
    if (err->detail[0] || err->hint[0] || err->rc != RC_SQL)
        n = snprintf(to, EXT_ERROR_BYTES, "%s:%s%c%s%c%s%c%d", err_sqlstate(err), err_message(err), SEPARATOR,
                     err->detail, SEPARATOR, err->hint, SEPARATOR, err->rc);
    return n < EXT_ERROR_BYTES ? n : EXT_ERROR_BYTES - 1;
}

/* Cuts the text at the next separator; what follows it, or NULL. */
static char *cut(char *text) {
    char *at = text ? strchr(text, SEPARATOR) : NULL;
    if (at)
        *at++ = '\0';
    return at;
}

bool ext_error_parse(const char *text, struct err *ret) {
    char all[EXT_ERROR_BYTES], state[6] = {0};
    if (strlen(text) <= 6 || text[5] != ':')
        return false;
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)text[i]) && !isupper((unsigned char)text[i]))
            return false;
    memcpy(state, text, 5);
    snprintf(all, sizeof all, "%s", text + 6);
    char *detail = cut(all), *hint = cut(detail), *code = cut(hint);
    long rc = code ? strtol(code, NULL, 10) : RC_SQL;
    err_set(ret, rc > 0 && rc < RC_COUNT ? (enum rc)rc : RC_SQL, "%s", all);
    err_state(ret, state);
    if (detail)
        err_detail(ret, "%s", detail);
    if (hint)
        err_hint(ret, "%s", hint);
    return true;
}
