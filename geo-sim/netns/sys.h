/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h: what meridian-geo does to this machine: commands, small files, locks, network namespaces.
 *
 * Promise     Nothing is touched but what the caller names. Commands are run without a shell; what one of them said is in the
 *             error's detail.
 * Relies on   ip(8) and tc(8), /proc, /run/netns as ip-netns(8) keeps it; root.
 * Threads     the main one: the network namespace is changed for the thread that calls.
 */
#ifndef MERIDIAN_GEO_SYS_H
#define MERIDIAN_GEO_SYS_H

#include <sys/types.h>

#include "truetime/base/buf.h"

enum { SYS_PATH_BYTES = 256, SYS_FILE_BYTES_MAX = 1 << 20 };

/* One command line, words parted by single blanks; waits for its end. RC_NOTFOUND: no such program; RC_IO: it failed. */
enum rc sys_run(const char *line, struct err *err) MUST_CHECK;
/* Many, until one fails. */
enum rc sys_run_lines(const char *lines, struct err *err) MUST_CHECK;

/* The same for words, with all that it says on standard output; *ret_code: its exit status, no error here. netns_fd: a network
 * * namespace to run it in, or -1. */
enum rc sys_capture(char *const *words, int netns_fd, struct buf *out, int *ret_code, struct err *err) MUST_CHECK;

enum rc sys_read_file(const char *path, struct buf *out, struct err *err) MUST_CHECK;
/* Replaces the file as a whole. */
enum rc sys_write_file(const char *path, const void *data, size_t bytes, struct err *err) MUST_CHECK;
/* Makes the directories of a path, with mode 0755; those that are there are fine. */
enum rc sys_mkdirs(const char *path, struct err *err) MUST_CHECK;
/* Calls fn for each name in a directory but "." and ".."; none if it is not there. fn may remove what it is told of. */
void sys_each_name(const char *dir, void (*fn)(void *ctx, const char *name), void *ctx);

/* Takes an exclusive lock on a file, made where it is missing. RC_BUSY: somebody else has it after wait_ms. */
enum rc sys_lock(const char *path, int wait_ms, int *ret_fd, struct err *err) MUST_CHECK;
/* The process that locked path and wrote its number there; 0 = nobody holds it. */
pid_t sys_lock_holder(const char *path);
/* Waits until nobody holds the lock; false after wait_ms. */
bool sys_wait_unlocked(const char *path, int wait_ms);

/* ---- namespaces -------------------------------------------------------------------------------------------------- */

/* A descriptor of the named one; name NULL: of the one that this process is in. */
enum rc sys_netns_open(const char *name, int *ret_fd, struct err *err) MUST_CHECK;
enum rc sys_netns_enter(int fd, struct err *err) MUST_CHECK;
/* Calls fn for each namespace whose name begins with prefix. */
void sys_netns_each(const char *prefix, void (*fn)(void *ctx, const char *name), void *ctx);
/* Sends a signal (0: none) to each process in the namespace but this one; returns how many there are. */
int sys_netns_signal(const char *name, int signal);

void sys_sleep_ms(int ms);
int64_t sys_now_ns(void); /* CLOCK_MONOTONIC */

#endif
