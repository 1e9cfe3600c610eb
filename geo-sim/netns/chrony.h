/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chrony.h: an unmodified chronyd for a region, which listens to the region's time masters and never touches the system clock (-x).
 * The region's nodes ask it over its command socket, as they would ask the chronyd of a machine of their own.
 *
 *     masters --ntpd's shared memory--> chronyd -x -f DIR/conf --DIR/s (command socket)--> nodes: --clock chrony:DIR/s
 *
 * Promise     Its configuration, its socket and what it says lie in DIR, which is its own. It serves no NTP and takes no commands
 *             but over that socket.
 * Relies on   chronyd (Debian's package chrony).
 * Threads     the main one.
 */
#ifndef MERIDIAN_GEO_CHRONY_H
#define MERIDIAN_GEO_CHRONY_H

#include "geo-sim/netns/sys.h"

enum { CHRONY_SOCKET_BYTES = 100 }; /* what fits into a socket's address, with room for the asker's own */

/* One of its reference clocks. */
struct chrony_master {
    int unit;
    int64_t err_ns; /* bound */
};

/* Where chronyd is. RC_NOTFOUND with a hint. */
enum rc chrony_program(char to[SYS_PATH_BYTES], struct err *err) MUST_CHECK;
/* The socket of the one that lives in dir. RC_LIMIT: dir is too long. */
enum rc chrony_socket(const char *dir, char to[CHRONY_SOCKET_BYTES], struct err *err) MUST_CHECK;
/* Makes dir and the configuration in it, for masters in ntpd's shared memory. */
enum rc chrony_configure(const char *dir, const struct chrony_master *master, unsigned masters,
                         struct err *err) MUST_CHECK;

#endif
