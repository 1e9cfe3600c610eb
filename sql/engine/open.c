/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c: meridian_open_abi: which engine a URL means.
 *
 * It lies here, above the API, because the engines do; txn/api knows only their table of functions.
 */
#include <string.h>

#include "sql/engine/embedded.h"
#include "sql/engine/remote.h"

int meridian_open_abi(const char *url, int abi, meridian **ret) {
    static const char *const remote[] = {"meridian://", "postgres://", "postgresql://"};
    for (size_t i = 0; url && i < sizeof remote / sizeof remote[0]; i++)
        if (strncmp(url, remote[i], strlen(remote[i])) == 0)
            return api_open(&remote_ops, remote_open, url, abi, NULL, ret);
    if (url && strncmp(url, "file:", 5) == 0)
        return api_open(&embedded_ops, embedded_open, url, abi, NULL, ret);
    return api_open(NULL, NULL, url, abi, "a URL begins with meridian://, postgres://, postgresql:// or file:", ret);
}
