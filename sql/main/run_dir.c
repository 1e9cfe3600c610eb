/* SPDX-License-Identifier: Apache-2.0 */
/* run_dir.c: a directory of the user's own. */
#include "sql/main/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum rc run_dir(char *ret, size_t bytes, struct err *err) {
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    int n;
    if (geteuid() == 0)
        n = snprintf(ret, bytes, "/run/meridian");
    else if (xdg && xdg[0] == '/')
        n = snprintf(ret, bytes, "%s/meridian", xdg);
    else
        n = snprintf(ret, bytes, "/tmp/meridian-%u", (unsigned)geteuid());
    if (n < 0 || (size_t)n >= bytes)
        return err_set(err, RC_LIMIT, "path too long: XDG_RUNTIME_DIR");
    if (mkdir(ret, 0755) && errno != EEXIST)
        return err_errno(err, errno, "make directory %s", ret);
    if (lstat(ret, &st))
        return err_errno(err, errno, "stat %s", ret);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(err, RC_PERMISSION, "%s is not a directory of this user alone", ret);
    return RC_OK;
}
