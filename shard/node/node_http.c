/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_http.c: /healthz and /metrics, for probes and Prometheus: HTTP/1.1 GET, one answer a connection.
 *
 * /healthz says 200 "ok" while the node serves, else 503 and its state. /metrics is the Prometheus text of all stores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"

enum { REQUEST_BYTES_MAX = 8192, CLIENTS_MAX = 64, METRICS_BYTES_MAX = 16 << 20 };
static const int64_t CLIENT_NS = 10000000000;

struct client {
    struct node *n;
    struct fiber_stream fs;
};

static void respond(struct buf *b, int status, const char *reason, const char *type, const struct buf *body) {
    buf_printf(b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
               reason, type, body->len);
    buf_put(b, body->data, body->len);
}

static void metrics(struct node *n, struct buf *to) {
    const struct metrics *all[NODE_STORES_MAX];
    for (uint16_t i = 0; i < n->stores; i++)
        all[i] = &n->store[i].pub.env->metrics;
    metrics_dump(all, n->stores, to);
}

static void answer(struct node *n, const char *request, struct buf *out) {
    struct buf body;
    char path[256];
    buf_init(&body, METRICS_BYTES_MAX);
    static const char text[] = "text/plain; charset=utf-8";
    if (sscanf(request, "GET %255s HTTP/1.", path) != 1) {
        buf_puts(&body, "only GET\n");
        respond(out, 405, "Method Not Allowed", text, &body);
    } else if (strcmp(path, "/healthz") == 0) {
        bool ok = n->state == NODE_SERVING;
        buf_puts(&body, ok ? "ok\n" : "not serving\n");
        respond(out, ok ? 200 : 503, ok ? "OK" : "Service Unavailable", text, &body);
    } else if (strcmp(path, "/metrics") == 0) {
        metrics(n, &body);
        respond(out, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", &body);
    } else {
        buf_puts(&body, "there are /healthz and /metrics\n");
        respond(out, 404, "Not Found", text, &body);
    }
    buf_done(&body);
}

static void client_main(void *arg) {
    struct client *c = arg;
    struct reactor *r = c->n->store[0].pub.reactor;
    char request[REQUEST_BYTES_MAX + 1];
    size_t have = 0;
    int64_t deadline = reactor_deadline(r, CLIENT_NS);
    request[0] = '\0';
    while (!strstr(request, "\r\n\r\n") && have < REQUEST_BYTES_MAX) {
        size_t n = 0;
        if (fiber_stream_read(&c->fs, request + have, REQUEST_BYTES_MAX - have, deadline, &n) != RC_OK)
            break;
        have += n;
        request[have] = '\0';
    }
    if (strstr(request, "\r\n\r\n")) {
        struct buf out;
        buf_init(&out, METRICS_BYTES_MAX + 1024);
        answer(c->n, request, &out);
        if (buf_rc(&out) == RC_OK)
            IGNORE(fiber_stream_write(&c->fs, out.data, out.len, deadline)); /* whoever asked has gone */
        buf_done(&out);
    }
    fiber_stream_close(&c->fs);
    c->n->http_clients--;
    free(c);
}

static void on_accept(void *ctx, struct env_stream *stream) {
    struct node *n = ctx;
    struct client *c = n->http_clients < CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        env_stream_close(stream);
        return;
    }
    c->n = n;
    n->http_clients++;
    fiber_stream_init(&c->fs, n->store[0].pub.reactor, stream);
    if (fiber_spawn(n->store[0].pub.reactor, &n->store[0].fibers, FIBER_LARGE, "http", client_main, c) != RC_OK) {
        fiber_stream_close(&c->fs);
        n->http_clients--;
        free(c);
    }
}

enum rc node_http_open(struct node *n, struct err *err) {
    enum rc rc = env_listen(n->store[0].pub.env, n->conf->http_addr, on_accept, n, &n->http, err);
    if (!rc)
        snprintf(n->http_addr, sizeof n->http_addr, "%s", env_listener_addr(n->http));
    return rc;
}

void node_http_close(struct node *n) {
    env_listener_close(n->http);
    n->http = NULL;
}
