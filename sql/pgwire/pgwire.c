/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgwire.c: the listener, the stores' sessions, and cancel requests, which come on a connection of their own to store 0 and
 * name a session by (pid, secret). The pid says the store, so the request can be posted to it.
 */
#include "sql/pgwire/pgwire.h"

#include <stdlib.h>

#include "sql/pgwire/pgconn.h"

enum { SESSIONS_MAX = 4096, HELD_BYTES_MAX = 1 << 30 };

static void on_arrive(void *ctx, struct env_stream *stream) {
    struct pgwire *w = ctx;
    struct pgconn *c = w->stopping ? NULL : calloc(1, sizeof *c);
    if (!c) {
        counter_inc(&w->stats.refused);
        env_stream_close(stream);
        return;
    }
    c->w = w;
    buf_init(&c->in, PG_MESSAGE_BYTES_MAX + PGCONN_OUT_BYTES);
    buf_init(&c->out, PG_MESSAGE_BYTES_MAX + PGCONN_OUT_BYTES);
    ilist_init(&c->link);
    map_init(&c->statements);
    map_init(&c->portals);
    fiber_group_init(&c->work);
    fiber_stream_init(&c->fs, w->reactor, stream);
    if (fiber_spawn(w->reactor, &w->fibers, FIBER_SMALL, "sql session", pgconn_main, c) != RC_OK) {
        counter_inc(&w->stats.refused);
        fiber_stream_close(&c->fs);
        free(c);
        return;
    }
    ilist_push_back(&w->conns, &c->link);
    counter_inc(&w->stats.accepted);
}

static void on_accept(void *ctx, struct env_stream *stream) {
    struct pgwire *w = ctx;
    uint16_t to = w->next_store;
    w->next_store = (uint16_t)((to + 1) % w->store_count);
    if (w->stores[to] == w)
        on_arrive(w, stream);
    else
        env_stream_move(stream, w->stores[to]->env, on_arrive, w->stores[to]);
}

enum rc pgwire_new(struct reactor *r, const struct pgwire_conf *conf, struct pgwire **ret, struct err *err) {
    struct pgwire *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, RC_NOMEM, "out of memory");
    w->reactor = r;
    w->env = reactor_env(r);
    w->conf = *conf;
    if (w->conf.sessions_max == 0)
        w->conf.sessions_max = SESSIONS_MAX;
    if (w->conf.held_max == 0)
        w->conf.held_max = HELD_BYTES_MAX;
    fiber_group_init(&w->fibers);
    ilist_init(&w->conns);
    *ret = w;
    return RC_OK;
}

void pgwire_add_metrics(struct pgwire *w) {
    struct pgwire_stats *s = &w->stats;
    const struct metric list[] = {
        {.name = "meridian_sql_connections_total", .help = "Connections accepted.", .value = &s->accepted},
        {.name = "meridian_sql_refused_total", .help = "Connections turned away.", .value = &s->refused},
        {.name = "meridian_sql_failed_logins_total", .help = "Logins that failed.", .value = &s->failed_logins},
        {.name = "meridian_sql_cancels_total", .help = "Cancel requests obeyed.", .value = &s->cancels},
        {.name = "meridian_sql_statements_total", .help = "Statements executed.", .value = &s->queries},
        {.name = "meridian_sql_messages_total", .help = "Messages from clients.", .value = &s->messages},
        {.name = "meridian_sql_bytes_in_total", .help = "Bytes from clients.", .value = &s->bytes_in},
        {.name = "meridian_sql_bytes_out_total", .help = "Bytes to clients.", .value = &s->bytes_out},
        {.name = "meridian_sql_protocol_errors_total", .help = "Broken messages.", .value = &s->protocol_errors},
        {.name = "meridian_sql_sessions", .help = "Sessions now.", .kind = METRIC_GAUGE, .value = &s->sessions},
        {.name = "meridian_sql_held_bytes",
         .help = "What sessions' statements, portals and messages hold.",
         .kind = METRIC_GAUGE,
         .value = &s->held_bytes},
    };
    static_assert(ARRAY_LEN(list) == ARRAY_LEN(w->metric), "one entry each");
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        w->metric[i] = list[i];
        w->metric[i].labels = "";
        w->metric[i].scale = 1;
        metrics_add(&w->env->metrics, &w->metric[i]);
    }
}

void pgwire_link(struct pgwire *const *stores, uint16_t count) {
    for (uint16_t i = 0; i < count; i++) {
        stores[i]->stores = stores;
        stores[i]->store_count = count;
    }
}

enum rc pgwire_listen(struct pgwire *w, const char *addr, struct err *err) {
    CHECK(w->stores && !w->listener);
    return env_listen(w->env, addr, on_accept, w, &w->listener, err);
}

const char *pgwire_addr(const struct pgwire *w) {
    return w->listener ? env_listener_addr(w->listener) : NULL;
}

const struct pgwire_stats *pgwire_stats(const struct pgwire *w) {
    return &w->stats;
}

void pgwire_stop(struct pgwire *w) {
    if (w->stopping)
        return;
    w->stopping = true;
    env_listener_close(w->listener);
    w->listener = NULL;
    ilist_for_each(it, &w->conns) {
        struct pgconn *c = container_of(it, struct pgconn, link);
        fiber_group_cancel(&c->work);
        if (!waitq_empty(&c->fs.writers)) /* it reads too slowly to be told */
            fiber_stream_break(&c->fs, RC_SHUTDOWN, "the node stops");
    }
    fiber_group_cancel(&w->fibers);
}

bool pgwire_idle(const struct pgwire *w) {
    return w->fibers.count == 0;
}

void pgwire_free(struct pgwire *w) {
    if (!w)
        return;
    CHECK(pgwire_idle(w));
    free(w);
}
