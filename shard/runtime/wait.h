/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h: the env's callbacks as straight-line calls for fibers.
 *
 * Promise     Each call parks the fiber until the env answers. The file calls are shielded: the env reads the caller's
 *             memory until it is done, so they cannot be cut short (an env that stops answers RC_SHUTDOWN at once).
 * Threads     the reactor's own; only on fibers.
 */
#ifndef MERIDIAN_RUNTIME_WAIT_H
#define MERIDIAN_RUNTIME_WAIT_H

#include "shard/runtime/fiber.h"

/* Writes and makes durable what was written to f before, with the requests of others that wait meanwhile. */
enum rc file_write_sync(struct reactor *r, enum env_lane lane, struct env_file *f, const struct iovec *iov, int count,
                        int64_t off, struct err *err) WAITS MUST_CHECK;
enum rc file_sync(struct reactor *r, enum env_lane lane, struct env_file *f, struct err *err) WAITS MUST_CHECK;
enum rc dir_sync(struct reactor *r, const char *path, struct err *err) WAITS MUST_CHECK;
enum rc file_allocate(struct reactor *r, struct env_file *f, int64_t off, int64_t bytes,
                      struct err *err) WAITS MUST_CHECK;
/* Writes a small file so that after a crash either the old or the new contents are there: temporary name, sync, rename,
 * directory sync. dir is the directory, name the entry in it. */
enum rc file_replace(struct reactor *r, const char *dir, const char *name, const void *data, size_t bytes,
                     struct err *err) WAITS MUST_CHECK;
/* Runs run(arg) on a 64 MiB stack. */
enum rc big_stack_run(struct reactor *r, void (*run)(void *arg), void *arg) WAITS MUST_CHECK;

/* A stream for one reading and one writing fiber. */
struct fiber_stream {
    struct reactor *reactor;
    struct env_stream *stream;
    struct waitq readers, writers, opener;
    bool readable, writable, open, broken;
    enum rc broken_rc;
    char why[128];
};

/* Takes stream. fs stays where it is until fiber_stream_close. */
void fiber_stream_init(struct fiber_stream *fs, struct reactor *r, struct env_stream *stream);
void fiber_stream_close(struct fiber_stream *fs);
/* Whoever waits for fs, or will, gets rc: how the owner's owner ends a stream that a fiber still uses. */
void fiber_stream_break(struct fiber_stream *fs, enum rc rc, const char *why);
/* Until a connect or a handshake is done. */
enum rc fiber_stream_wait_open(struct fiber_stream *fs, int64_t deadline, struct err *err) WAITS MUST_CHECK;
/* At least one byte, at most `bytes`. RC_CLOSED: the peer is done. */
enum rc fiber_stream_read(struct fiber_stream *fs, void *to, size_t bytes, int64_t deadline,
                          size_t *ret_bytes) WAITS MUST_CHECK;
/* All of it. */
enum rc fiber_stream_write(struct fiber_stream *fs, const void *from, size_t bytes, int64_t deadline) WAITS MUST_CHECK;
enum rc fiber_stream_tls(struct fiber_stream *fs, struct env_tls *tls, bool server, int64_t deadline,
                         struct err *err) WAITS MUST_CHECK;

#endif
