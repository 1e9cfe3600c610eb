/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chrony.c: its configuration. A bound of each reference clock is its declared precision; maxclockerror makes chronyd's own estimate of
 * the oscillator a bound too (truetime/chronyproto.h says what is made of its answers). It polls four times a second: usable after
 * eight.
 */
#include "geo-sim/netns/chrony.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_BYTES = 1024 };

enum rc chrony_program(char to[SYS_PATH_BYTES], struct err *err) {
    static const char *const places[] = {"/usr/sbin/chronyd", "/usr/local/sbin/chronyd", "/sbin/chronyd"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0) {
            snprintf(to, SYS_PATH_BYTES, "%s", places[i]);
            return RC_OK;
        }
    enum rc rc = err_set(err, RC_NOTFOUND, "chronyd is not installed");
    err_hint(err, "apt-get install chrony");
    return rc;
}

enum rc chrony_socket(const char *dir, char to[CHRONY_SOCKET_BYTES], struct err *err) {
    if (snprintf(to, CHRONY_SOCKET_BYTES, "%s/s", dir) >= CHRONY_SOCKET_BYTES)
        return err_set(err, RC_LIMIT, "%.60s...: too long a path for chronyd's socket (--data)", dir);
    return RC_OK;
}

enum rc chrony_configure(const char *dir, const struct chrony_master *master, unsigned masters, struct err *err) {
    char path[SYS_PATH_BYTES], socket[CHRONY_SOCKET_BYTES], names[NAMES_BYTES];
    struct passwd pw, *me = NULL;
    struct buf b;
    enum rc rc = chrony_socket(dir, socket, err);
    if (!rc)
        rc = sys_mkdirs(dir, err);
    if (!rc && chmod(dir, 0700)) /* else chronyd makes no socket there */
        rc = err_errno(err, errno, "chmod %s", dir);
    if (rc)
        return rc;
    if (getpwuid_r(geteuid(), &pw, names, sizeof names, &me))
        me = NULL;
    buf_init(&b, 1 << 16);
    for (unsigned i = 0; i < masters; i++)
        buf_printf(&b, "refclock SHM %d:perm=0600 refid M%u poll 0 dpoll -2 precision %.9f\n", master[i].unit, i + 1,
                   (double)master[i].err_ns / 1e9);
    buf_printf(&b, "bindcmdaddress %s\npidfile %s/pid\ncmdport 0\nport 0\nuser %s\nmaxclockerror 50\n", socket, dir,
               me ? me->pw_name : "root");
    snprintf(path, sizeof path, "%s/conf", dir);
    rc = buf_rc(&b) ? err_set(err, RC_NOMEM, "out of memory") : sys_write_file(path, b.data, b.len, err);
    buf_done(&b);
    return rc;
}
