/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_real_stream.c: TCP streams of a real process, with or without TLS.
 *
 * Sockets are non-blocking and watched by libevent; reads and writes go straight to the socket (or through OpenSSL), with no
 * buffer between: who writes too much is told so. We use libevent's events, not its bufferevents, because a stream must
 * move between the loops of two stores, which a bufferevent with TLS cannot. Events are edge-triggered: a reader that is
 * busy elsewhere does not make the loop spin.
 *
 *     states:  RESOLVING -> CONNECTING -> [HANDSHAKE] -> OPEN -> BROKEN
 *     accepted:                           OPEN -> [HANDSHAKE] -> OPEN -> BROKEN
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/runtime/env_real_internal.h"

enum { ACCEPTS_PER_TURN = 64, WHY_BYTES = 160, BACKLOG = 512 };
enum state { RESOLVING, CONNECTING, HANDSHAKE, OPEN, BROKEN };

struct resolve;

struct env_stream {
    struct env_handle handle;
    int fd;
    enum state state;
    bool paused, want_write;
    bool end_seen; /* the peer has ended; the kernel tells it once, perhaps together with bytes that come before it */
    struct event *read_event, *write_event;
    const struct env_stream_events *events;
    void *ctx;
    SSL *ssl;
    struct resolve *resolve; /* while RESOLVING: told to forget us if we close */
    struct env_post later;   /* a break, or an arrival, to be told from the loop */
    bool later_pending, closed;
    enum rc broken_rc;
    char why[WHY_BYTES];
    env_on_accept *on_arrive; /* while moving */
    void *arrive_ctx;
    struct ilist link; /* env_real.streams */
    char peer[ENV_ADDR_BYTES];
};

struct env_listener {
    struct env_handle handle;
    int fd;
    struct event *event;
    env_on_accept *on_accept;
    void *ctx;
    char addr[ENV_ADDR_BYTES];
};

struct env_tls {
    struct env_handle handle;
    SSL_CTX *ctx;
};

struct resolve {
    struct env_job job;
    struct env_stream *stream; /* NULL: it was closed meanwhile */
    char host[ENV_ADDR_BYTES], port[16];
    struct addrinfo *found;
    int error;
};

static struct env_real *real_of(const void *handle) {
    return (struct env_real *)env_of(handle);
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* "HOST:PORT" or "[V6]:PORT" apart. */
static bool split_addr(const char *addr, char *host, size_t host_bytes, char *port, size_t port_bytes) {
    const char *colon = strrchr(addr, ':');
    if (!colon || !colon[1] || strlen(colon + 1) >= port_bytes ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
        return false;
    size_t n = (size_t)(colon - addr);
    if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']') {
        addr++;
        n -= 2;
    } else if (memchr(addr, ':', n)) {
        return false; /* an IPv6 address needs brackets */
    }
    if (n == 0 || n >= host_bytes)
        return false;
    memcpy(host, addr, n);
    host[n] = '\0';
    snprintf(port, port_bytes, "%s", colon + 1);
    return true;
}

static void format_addr(const struct sockaddr *sa, socklen_t len, char *to, size_t bytes) {
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(sa, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(to, bytes, "unknown");
    else
        snprintf(to, bytes, sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- breaking ---------------------------------------------------------------------------------------------------- */

static void stream_free(struct env_stream *s) {
    if (s->ssl)
        SSL_free(s->ssl);
    free(s);
}

static void stream_unwatch(struct env_stream *s) {
    if (s->read_event)
        event_free(s->read_event);
    if (s->write_event)
        event_free(s->write_event);
    s->read_event = s->write_event = NULL;
}

static void on_later_broken(struct env_post *p) {
    struct env_stream *s = container_of(p, struct env_stream, later);
    s->later_pending = false;
    if (s->closed)
        stream_free(s);
    else if (s->events && s->events->on_broken)
        s->events->on_broken(s->ctx, s->broken_rc, s->why);
}

/* Tells the owner from the loop, never from inside its own call. */
static void stream_break(struct env_stream *s, enum rc rc, const char *why) {
    if (s->state == BROKEN)
        return;
    s->state = BROKEN;
    s->broken_rc = rc;
    snprintf(s->why, sizeof s->why, "%s: %s", s->peer, why);
    stream_unwatch(s);
    s->later_pending = true;
    s->later.fn = on_later_broken;
    env_post(env_of(s), &s->later);
}

static void stream_break_errno(struct env_stream *s, int e) {
    char text[96];
    enum rc rc = rc_from_errno(e);
    if (rc != RC_UNREACHABLE && rc != RC_TIMEOUT && rc != RC_NOMEM)
        rc = s->state == CONNECTING ? RC_UNREACHABLE : RC_CLOSED;
    stream_break(s, rc, strerror_r(e, text, sizeof text));
}

static void stream_break_tls(struct env_stream *s, const char *doing) {
    char text[96] = "connection closed", why[WHY_BYTES];
    unsigned long e = ERR_peek_error();
    if (e)
        ERR_error_string_n(e, text, sizeof text);
    long verify = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    snprintf(why, sizeof why, "TLS %s: %s%s%s", doing, text, verify != X509_V_OK ? ": " : "",
             verify != X509_V_OK ? X509_verify_cert_error_string(verify) : "");
    ERR_clear_error();
    stream_break(s, RC_CLOSED, why);
}

/* ---- readiness --------------------------------------------------------------------------------------------------- */

static void watch_write(struct env_stream *s, bool on) {
    if (s->want_write == on || !s->write_event)
        return;
    s->want_write = on;
    if (on)
        CHECK(event_add(s->write_event, NULL) == 0);
    else
        event_del(s->write_event);
}

static void handshake(struct env_stream *s) {
    ERR_clear_error();
    int n = SSL_do_handshake(s->ssl);
    if (n == 1) {
        s->state = OPEN;
        watch_write(s, false);
        /* Data may have come with the last handshake record, and edges are not repeated. */
        if (!s->paused)
            event_active(s->read_event, EV_READ, 0);
        if (s->events && s->events->on_open)
            s->events->on_open(s->ctx); /* may close s */
        return;
    }
    switch (SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        watch_write(s, false);
        break;
    case SSL_ERROR_WANT_WRITE:
        watch_write(s, true);
        break;
    default:
        stream_break_tls(s, "handshake");
    }
}

static void on_fd_readable(evutil_socket_t fd, short what, void *ctx) {
    struct env_stream *s = ctx;
    (void)fd;
    s->end_seen |= (what & EV_CLOSED) != 0;
    if (s->state == HANDSHAKE)
        handshake(s);
    else if (s->state == OPEN && !s->paused && s->events && s->events->on_readable)
        s->events->on_readable(s->ctx);
}

static void on_fd_writable(evutil_socket_t fd, short what, void *ctx) {
    struct env_stream *s = ctx;
    (void)fd, (void)what;
    if (s->state == CONNECTING) {
        int e = 0;
        socklen_t n = sizeof e;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &n);
        if (e) {
            stream_break_errno(s, e);
            return;
        }
        s->state = OPEN;
        watch_write(s, false);
        if (!s->paused)
            CHECK(event_add(s->read_event, NULL) == 0);
        if (s->events && s->events->on_open)
            s->events->on_open(s->ctx);
    } else if (s->state == HANDSHAKE) {
        handshake(s);
    } else if (s->state == OPEN) {
        watch_write(s, false);
        if (s->events && s->events->on_writable)
            s->events->on_writable(s->ctx);
    }
}

static enum rc stream_watch(struct env_stream *s) {
    struct event_base *base = real_of(s)->base;
    s->read_event = event_new(base, s->fd, EV_READ | EV_CLOSED | EV_PERSIST | EV_ET, on_fd_readable, s);
    s->write_event = event_new(base, s->fd, EV_WRITE | EV_PERSIST | EV_ET, on_fd_writable, s);
    s->want_write = false;
    return s->read_event && s->write_event ? RC_OK : RC_NOMEM;
}

static struct env_stream *stream_new(struct env *env, int fd, enum state state) {
    struct env_stream *s = calloc(1, sizeof *s);
    if (s) {
        s->handle.env = env;
        s->fd = fd;
        s->state = state;
        ilist_init(&s->link);
        ilist_push_back(&((struct env_real *)env)->streams, &s->link);
    }
    return s;
}

static void set_socket_options(int fd) {
    int one = 1; /* small frames leave at once: we coalesce ourselves; failure only costs latency */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void on_accept_ready(evutil_socket_t lfd, short what, void *ctx) {
    struct env_listener *l = ctx;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int fd = accept4(lfd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                diag_warn(&env_of(l)->diag, "net: accept failed", "addr=%s error=\"%s\"", l->addr, strerror(errno));
            return;
        }
        struct env_stream *s = stream_new(env_of(l), fd, OPEN);
        set_socket_options(fd);
        if (!s || stream_watch(s)) {
            diag_warn(&env_of(l)->diag, "net: accept failed", "addr=%s error=\"out of memory\"", l->addr);
            if (s)
                env_stream_close(s);
            else
                close(fd);
            return;
        }
        format_addr((struct sockaddr *)&sa, len, s->peer, sizeof s->peer);
        l->on_accept(l->ctx, s);
    }
}

static int listen_on(const char *addr, struct err *err) {
    char host[ENV_ADDR_BYTES], port[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    if (strncmp(addr, "fd:", 3) == 0) {
        char *end;
        long fd = strtol(addr + 3, &end, 10);
        int yes = 0;
        socklen_t n = sizeof yes;
        if (end == addr + 3 || *end || fd < 0 || fd > INT32_MAX ||
            getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) || !yes) {
            err_set(err, RC_INVAL, "%s is not an inherited listening socket", addr);
            return -1;
        }
        return (int)fd;
    }
    if (!split_addr(addr, host, sizeof host, port, sizeof port)) {
        err_set(err, RC_INVAL, "\"%s\" is not an address; write HOST:PORT", addr);
        return -1;
    }
    int e = getaddrinfo(host, port, &hints, &found);
    if (e) {
        err_set(err, RC_INVAL, "cannot resolve \"%s\": %s", host, gai_strerror(e));
        return -1;
    }
    int fd = -1, one = 1, bad = 0;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            bad = errno;
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
            bad = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        err_errno(err, bad, "listen on %s", addr);
    return fd;
}

enum rc real_listen(struct env *env, const char *addr, env_on_accept *on_accept, void *ctx, struct env_listener **ret,
                    struct err *err) {
    struct err local;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (!err)
        err = &local;
    int fd = listen_on(addr, err);
    if (fd < 0)
        return err->rc;
    struct env_listener *l = calloc(1, sizeof *l);
    evutil_make_socket_nonblocking(fd);
    if (l)
        l->event = event_new(((struct env_real *)env)->base, fd, EV_READ | EV_PERSIST, on_accept_ready, l);
    if (!l || !l->event || event_add(l->event, NULL)) {
        if (l && l->event)
            event_free(l->event);
        free(l);
        close(fd);
        return err_set(err, RC_NOMEM, "out of memory");
    }
    l->handle.env = env;
    l->fd = fd;
    l->on_accept = on_accept;
    l->ctx = ctx;
    if (getsockname(fd, (struct sockaddr *)&sa, &len))
        snprintf(l->addr, sizeof l->addr, "%.*s", ENV_ADDR_BYTES - 1, addr);
    else
        format_addr((struct sockaddr *)&sa, len, l->addr, sizeof l->addr);
    *ret = l;
    return RC_OK;
}

const char *real_listener_addr(struct env_listener *l) {
    return l->addr;
}

void real_listener_close(struct env_listener *l) {
    event_free(l->event);
    close(l->fd);
    free(l);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void start_connect(struct env_stream *s, const struct addrinfo *a) {
    s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->state = CONNECTING;
    if (s->fd < 0) {
        stream_break_errno(s, errno);
        return;
    }
    set_socket_options(s->fd);
    if (stream_watch(s)) {
        stream_break_errno(s, ENOMEM);
        return;
    }
    if (connect(s->fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
        stream_break_errno(s, errno);
    else
        watch_write(s, true); /* also when connected at once: on_open comes from the loop */
}

static void resolve_run(struct env_job *job) {
    struct resolve *r = container_of(job, struct resolve, job);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    r->error = getaddrinfo(r->host, r->port, &hints, &r->found);
}

static void resolve_done(struct env_job *job) {
    struct resolve *r = container_of(job, struct resolve, job);
    struct env_stream *s = r->stream;
    if (s) {
        s->resolve = NULL;
        if (r->error)
            stream_break(s, RC_UNREACHABLE, gai_strerror(r->error));
        else
            start_connect(s, r->found);
    }
    if (r->found)
        freeaddrinfo(r->found);
    free(r);
}

enum rc real_connect(struct env *env, const char *addr, struct env_stream **ret, struct err *err) {
    char host[ENV_ADDR_BYTES], port[16];
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!split_addr(addr, host, sizeof host, port, sizeof port))
        return err_set(err, RC_INVAL, "\"%s\" is not an address; write HOST:PORT", addr);
    struct env_stream *s = stream_new(env, -1, RESOLVING);
    if (!s)
        return err_set(err, RC_NOMEM, "out of memory");
    snprintf(s->peer, sizeof s->peer, "%s", addr);
    if (getaddrinfo(host, port, &hints, &found) == 0) {
        start_connect(s, found);
        freeaddrinfo(found);
    } else { /* a name: looking it up may block, so not here */
        struct resolve *r = calloc(1, sizeof *r);
        if (!r) {
            env_stream_close(s);
            return err_set(err, RC_NOMEM, "out of memory");
        }
        snprintf(r->host, sizeof r->host, "%s", host);
        snprintf(r->port, sizeof r->port, "%s", port);
        r->stream = s;
        r->job.run = resolve_run;
        r->job.on_done = resolve_done;
        s->resolve = r;
        env_big_stack(env, &r->job);
    }
    *ret = s;
    return RC_OK;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

void real_stream_events(struct env_stream *s, const struct env_stream_events *events, void *ctx) {
    s->events = events;
    s->ctx = ctx;
    if (s->state == OPEN && s->read_event && !s->paused)
        CHECK(event_add(s->read_event, NULL) == 0);
}

static enum rc tls_read(struct env_stream *s, char *to, size_t bytes, size_t *ret_bytes) {
    size_t at = 0;
    while (at < bytes) {
        ERR_clear_error();
        int want = bytes - at > INT32_MAX ? INT32_MAX : (int)(bytes - at);
        int n = SSL_read(s->ssl, to + at, want);
        if (n > 0) {
            at += (size_t)n;
            continue;
        }
        int e = SSL_get_error(s->ssl, n);
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
            break;
        if (at > 0) { /* the end, or an error, shows again at the next read, for which nobody else calls */
            event_active(s->read_event, EV_READ, 0);
            break;
        }
        if (e != SSL_ERROR_ZERO_RETURN)
            stream_break_tls(s, "read");
        return RC_CLOSED;
    }
    *ret_bytes = at;
    return RC_OK;
}

enum rc real_stream_read(struct env_stream *s, void *to, size_t bytes, size_t *ret_bytes) {
    *ret_bytes = 0;
    if (s->state == BROKEN)
        return RC_CLOSED;
    if (s->state != OPEN || bytes == 0)
        return RC_OK;
    if (s->ssl)
        return tls_read(s, to, bytes, ret_bytes);
    ssize_t n;
    do
        n = recv(s->fd, to, bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return RC_CLOSED;
    if (n < 0) {
        if (errno == EAGAIN)
            return RC_OK;
        stream_break_errno(s, errno);
        return RC_CLOSED;
    }
    *ret_bytes = (size_t)n;
    if (s->end_seen && (size_t)n < bytes) /* what is left to tell is the end: nothing else will call for a read */
        event_active(s->read_event, EV_READ, 0);
    return RC_OK;
}

static enum rc tls_write(struct env_stream *s, const struct iovec *iov, int count, size_t *ret_bytes) {
    size_t total = 0;
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < iov[i].iov_len;) {
            ERR_clear_error();
            size_t left = iov[i].iov_len - at;
            int n = SSL_write(s->ssl, (char *)iov[i].iov_base + at, left > INT32_MAX ? INT32_MAX : (int)left);
            if (n <= 0) {
                int e = SSL_get_error(s->ssl, n);
                if (e != SSL_ERROR_WANT_WRITE && e != SSL_ERROR_WANT_READ) {
                    stream_break_tls(s, "write");
                    return RC_CLOSED;
                }
                watch_write(s, true);
                *ret_bytes = total;
                return RC_OK;
            }
            at += (size_t)n;
            total += (size_t)n;
        }
    *ret_bytes = total;
    return RC_OK;
}

enum rc real_stream_write(struct env_stream *s, const struct iovec *iov, int count, size_t *ret_bytes) {
    *ret_bytes = 0;
    if (s->state == BROKEN)
        return RC_CLOSED;
    if (s->state != OPEN)
        return RC_OK; /* on_writable is not promised before on_open */
    if (s->ssl)
        return tls_write(s, iov, count, ret_bytes);
    size_t want = 0;
    for (int i = 0; i < count; i++)
        want += iov[i].iov_len;
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        stream_break_errno(s, errno);
        return RC_CLOSED;
    }
    *ret_bytes = n > 0 ? (size_t)n : 0;
    if (*ret_bytes < want)
        watch_write(s, true);
    return RC_OK;
}

void real_stream_pause(struct env_stream *s, bool pause) {
    if (s->paused == pause)
        return;
    s->paused = pause;
    if (s->state != OPEN || !s->read_event)
        return;
    if (pause) {
        event_del(s->read_event);
        return;
    }
    CHECK(event_add(s->read_event, NULL) == 0);
    if (s->ssl && SSL_has_pending(s->ssl))
        event_active(s->read_event, EV_READ, 0);
}

const char *real_stream_peer(struct env_stream *s) {
    return s->peer;
}

static void on_arrived(struct env_post *p) {
    struct env_stream *s = container_of(p, struct env_stream, later);
    s->later_pending = false;
    ilist_push_back(&real_of(s)->streams, &s->link);
    if (stream_watch(s))
        stream_break_errno(s, ENOMEM);
    s->on_arrive(s->arrive_ctx, s);
}

void real_stream_move(struct env_stream *s, struct env *to, env_on_accept *on_arrive, void *ctx) {
    CHECK(s->state == OPEN && !s->later_pending);
    stream_unwatch(s);
    ilist_del(&s->link);
    s->events = NULL;
    s->handle.env = to;
    s->on_arrive = on_arrive;
    s->arrive_ctx = ctx;
    s->later_pending = true;
    s->later.fn = on_arrived;
    env_post(to, &s->later);
}

void real_stream_close(struct env_stream *s) {
    stream_unwatch(s);
    ilist_del(&s->link);
    if (s->resolve)
        s->resolve->stream = NULL;
    if (s->ssl && s->state == OPEN) {
        ERR_clear_error();
        SSL_shutdown(s->ssl); /* one try: the peer learns of an orderly end if there is room */
        ERR_clear_error();
    }
    if (s->fd >= 0)
        close(s->fd);
    s->events = NULL;
    s->closed = true;
    if (!s->later_pending)
        stream_free(s);
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

static enum rc tls_error(struct err *err, const char *what, const char *file) {
    char text[160] = "unknown reason";
    unsigned long e = ERR_peek_last_error();
    if (e)
        ERR_error_string_n(e, text, sizeof text);
    ERR_clear_error();
    return err_set(err, RC_INVAL, "TLS: %s %s: %s", what, file ? file : "", text);
}

enum rc real_tls_new(struct env *env, const struct env_tls_conf *conf, struct env_tls **ret, struct err *err) {
    struct env_tls *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, RC_NOMEM, "out of memory");
    t->handle.env = env;
    t->ctx = SSL_CTX_new(TLS_method());
    enum rc rc = RC_OK;
    if (!t->ctx)
        rc = tls_error(err, "cannot start", NULL);
    if (!rc && !SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION))
        rc = tls_error(err, "cannot set the protocol version", NULL);
    if (!rc && conf->cert_file && SSL_CTX_use_certificate_chain_file(t->ctx, conf->cert_file) != 1)
        rc = tls_error(err, "cannot use certificate", conf->cert_file);
    if (!rc && conf->key_file && SSL_CTX_use_PrivateKey_file(t->ctx, conf->key_file, SSL_FILETYPE_PEM) != 1)
        rc = tls_error(err, "cannot use key", conf->key_file);
    if (!rc && conf->cert_file && conf->key_file && SSL_CTX_check_private_key(t->ctx) != 1)
        rc = tls_error(err, "the key does not fit certificate", conf->cert_file);
    if (!rc && conf->ca_file && SSL_CTX_load_verify_locations(t->ctx, conf->ca_file, NULL) != 1)
        rc = tls_error(err, "cannot use CA", conf->ca_file);
    if (rc) {
        SSL_CTX_free(t->ctx);
        free(t);
        return rc;
    }
    if (conf->ca_file)
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | (conf->require_peer ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    *ret = t;
    return RC_OK;
}

void real_tls_free(struct env_tls *tls) {
    SSL_CTX_free(tls->ctx); /* counted: streams that still use it keep it */
    free(tls);
}

/* The hash of the certificate's signature, but nothing weaker than SHA-256. */
size_t real_tls_binding(struct env_tls *tls, uint8_t *to) {
    X509 *cert = SSL_CTX_get0_certificate(tls->ctx);
    int digest = NID_undef;
    unsigned n = 0;
    if (!cert || OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL) != 1 || digest == NID_undef)
        return 0;
    const EVP_MD *md = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
    return md && EVP_MD_get_size(md) <= ENV_TLS_BINDING_BYTES && X509_digest(cert, md, to, &n) == 1 ? n : 0;
}

enum rc real_stream_tls(struct env_stream *s, struct env_tls *tls, bool server, struct err *err) {
    CHECK(!s->ssl);
    if (s->state != OPEN)
        return err_set(err, RC_CLOSED, "%s: connection closed", s->peer);
    s->ssl = SSL_new(tls->ctx);
    if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1)
        return tls_error(err, "cannot start a session", NULL);
    if (server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    s->state = HANDSHAKE;
    if (!s->paused)
        CHECK(event_add(s->read_event, NULL) == 0);
    watch_write(s, true); /* the first step comes from the loop */
    return RC_OK;
}
