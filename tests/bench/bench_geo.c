/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios in virtual time and how fast it passes; the emulated network: round trips measured beside those asked for, on an idle and on a busy machine, and what it carries. */
#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "geo-sim/netns/cluster.h"
#include "geo-sim/netns/linkq.h"
#include "geo-sim/scenarios/play.h"
#include "geo-sim/topology/worlds.h"
#include "tests/lib/bench.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { ROUNDS = 21, PACKETS = 200000, PORT = 7200, BUSY_MAX = 64 };

static const char world_name[] = "bench";

/* ---- the model alone --------------------------------------------------------------------------------------------- */

static double packet_ns(void) {
    static uint8_t packet[1500];
    struct topo_link l = {.delay_ns = 50 * MS, .jitter_ns = MS, .rate_bps = SEC};
    struct linkq *q;
    CHECK(linkq_new(2, 1, &q) == RC_OK);
    linkq_set(q, 0, 1, &l);
    int64_t began = bench_now_ns();
    for (int64_t i = 0; i < PACKETS; i++) {
        int64_t now = i * 15000; /* 100,000 packets a second: 3,300 are under way */
        CHECK(linkq_push(q, 0, 1, now, packet, sizeof packet) == LINKQ_TAKEN);
        struct linkq_packet *p;
        while ((p = linkq_pop(q, now)))
            free(p);
    }
    double ns = (double)(bench_now_ns() - began) / PACKETS;
    linkq_free(q);
    return ns;
}

static void model(void) {
    struct bench_figure f;
    for (int run = 0; run < BENCH_RUNS; run++)
        f.run[run] = packet_ns();
    bench_report("geo: emulator's model, a packet", &f, "ns", BENCH_SHOW, 0);
}

/* ---- the virtual back end ------------------------------------------------------------------------------------------ */

/* Five regions, ten clients in each, each about five transactions a second: one write and four reads of the past. */
static const char fifty_clients[] = "format 1\n"
                                    "title Fifty clients in five regions\n"
                                    "topology five-regions\n"
                                    "home us-east\n"
                                    "duration 20s\n"
                                    "clients 10\n"
                                    "keys 1000\n"
                                    "think 140ms\n"
                                    "mix write 20 stale 80\n"
                                    "staleness 2s\n"
                                    "expect gap 5s\n"
                                    "expect progress\n";

static struct topo *shipped(const char *name);

static void virtual_time(void) {
    struct bench_figure speed, rate, write, quorum, stale;
    for (int run = 0; run < BENCH_RUNS; run++) {
        struct script script;
        struct results *r;
        struct play_stats stats;
        struct err err = {0};
        struct topo *t = shipped("five-regions");
        CHECK(script_parse("fifty", fifty_clients, strlen(fifty_clients), &script, &err) == RC_OK);
        struct play_conf conf = {
            .script = &script, .topo = t, .seed = (uint64_t)run + 1, .topology_name = "five-regions"};
        int64_t began = bench_now_ns();
        CHECKF(play_script(&conf, &r, &stats, &err) == RC_OK, "%s", err_message(&err));
        speed.run[run] = (double)stats.virtual_ns / (double)(bench_now_ns() - began);
        rate.run[run] = (double)r->transactions / 20;
        write.run[run] = (double)results_quantile(&r->region[0].latency[WORK_WRITE], 0.5) / 1e6;
        quorum.run[run] = (double)topo_rtt_ns(t, 0, 4) / 1e6;
        double worst = 0;
        for (unsigned i = 0; i < t->regions; i++) {
            double p50 = (double)results_quantile(&r->region[i].latency[WORK_STALE], 0.5) / 1e6;
            worst = p50 > worst ? p50 : worst;
            for (unsigned j = 1; j < t->regions;
                 j++) /* the nearest voter is not known here: the nearest region is a bound */
                if ((double)topo_rtt_ns(t, 0, j) / 1e6 < quorum.run[run])
                    quorum.run[run] = (double)topo_rtt_ns(t, 0, j) / 1e6;
        }
        stale.run[run] = worst;
        CHECKF(r->failed == 0, "a check of the run failed");
        results_free(r);
        topo_free(t);
    }
    bench_report("geo: five-regions, 50 clients, virtual time", &speed, "x real time", BENCH_AT_LEAST, 20);
    bench_report("geo: five-regions, 50 clients, transactions", &rate, "/virtual s", BENCH_SHOW, 0);
    bench_compare("geo: virtual, a write in the leader's region", &write, "ms", "nearest region's round trip", &quorum,
                  BENCH_SHOW, 0);
    bench_report("geo: virtual, median read of the past, worst region", &stale, "ms", BENCH_SHOW, 0);
}

/* ---- worlds ------------------------------------------------------------------------------------------------------ */

static const char *self_path(char *to, size_t bytes) {
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    CHECK(n > 0);
    here[n] = '\0';
    snprintf(to, bytes, "%s/../../bin/meridian-geo", dirname(here));
    return to;
}

static bool raise_world(const struct topo *topology, struct geo_world *ret) {
    char self[4200];
    struct err err = {0};
    struct geo_removed removed;
    struct topo *t = malloc(sizeof *t);
    CHECK(t);
    *t = *topology;
    CHECKF(geo_world_down(world_name, &removed, &err) == RC_OK, "%s", err.message);
    enum geo_backend b = geo_world_probe_netem(world_name, &err) == RC_OK ? GEO_NETEM : GEO_TUN;
    if (geo_world_up(world_name, t, b, self_path(self, sizeof self), ret, &err) == RC_OK)
        return true;
    bench_note("geo: no world: %s", err_message(&err));
    return false;
}

static void lower_world(struct geo_world *w) {
    struct geo_removed removed;
    struct err err = {0};
    geo_world_close(w);
    CHECKF(geo_world_down(world_name, &removed, &err) == RC_OK, "%s", err.message);
}

static int64_t stat_of(const struct geo_world *w, const char *name) {
    char stats[1024], key[64];
    struct err err = {0};
    if (geo_world_ask(w, "stats", stats, &err))
        return -1;
    snprintf(key, sizeof key, "%s=", name);
    const char *at = strstr(stats, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* Medians of all pairs, and by how much the worst is off, as a share of what is allowed (2 % or 1 ms). */
static void round_trips(const struct geo_world *w, const char *name, bool each_pair) {
    struct ping_matrix *m = malloc(sizeof *m);
    static struct bench_figure got[TOPO_PLACES_MAX][TOPO_PLACES_MAX];
    struct bench_figure worst, late;
    const struct topo *t = w->topo;
    char line[128], answer[1024];
    struct err err = {0};
    CHECK(m);
    for (int run = 0; run < BENCH_RUNS; run++) {
        IGNORE(geo_world_ask(w, "reset", answer, &err)); /* with netem there is no emulator */
        CHECKF(ping_measure(w->name, t, ROUNDS, m, &err) == RC_OK, "%s", err.message);
        worst.run[run] = 0;
        for (unsigned a = 0; a < t->places; a++)
            for (unsigned b = a + 1; b < t->places; b++) {
                int64_t want = topo_rtt_ns(t, a, b), off = ping_median_ns(&m->pair[a][b]) - want;
                double share = (double)(off < 0 ? -off : off) / (double)(want / 50 > MS ? want / 50 : MS);
                worst.run[run] = share > worst.run[run] ? share : worst.run[run];
                got[a][b].run[run] = (double)ping_median_ns(&m->pair[a][b]) / 1e6;
            }
        late.run[run] = (double)stat_of(w, "late_worst_ns") / 1000;
    }
    for (unsigned a = 0; a < t->places && each_pair; a++)
        for (unsigned b = a + 1; b < t->places; b++) {
            struct bench_figure want;
            for (int run = 0; run < BENCH_RUNS; run++)
                want.run[run] = (double)topo_rtt_ns(t, a, b) / 1e6;
            snprintf(line, sizeof line, "geo: %s to %s", t->place[a].name, t->place[b].name);
            bench_compare(line, &got[a][b], "ms", "asked for", &want, BENCH_SHOW, 0);
        }
    snprintf(line, sizeof line, "geo: %s, worst of allowed", name);
    bench_report(line, &worst, "x", BENCH_AT_MOST, 1);
    if (w->backend == GEO_TUN) {
        snprintf(line, sizeof line, "geo: %s, worst lateness", name);
        bench_report(line, &late, "us", BENCH_AT_MOST, 1000);
    }
    free(m);
}

static struct topo *shipped(const char *name) {
    const struct topo_world *text = topo_world_named(name);
    struct topo *t;
    CHECK(text && topo_parse(name, (const char *)text->text, text->bytes, &t, NULL) == RC_OK);
    return t;
}

static void asked_and_measured(const char *name) {
    struct topo *t = shipped(name);
    struct geo_world w;
    if (raise_world(t, &w)) {
        bench_note("geo: %s, links by %s", name, geo_backend_name(w.backend));
        round_trips(&w, name, true);
        lower_world(&w);
    }
    topo_free(t);
}

/* The same while every core has more to do than it can: what the emulator's priority is for. */
static void on_a_busy_machine(void) {
    struct topo *t = shipped("three-regions");
    struct geo_world w;
    pid_t busy[BUSY_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN), count = 2 * cores < BUSY_MAX ? 2 * cores : BUSY_MAX;
    if (!raise_world(t, &w)) {
        topo_free(t);
        return;
    }
    for (long i = 0; i < count; i++) {
        busy[i] = fork();
        if (busy[i] == 0) {
            alarm(60); /* whatever becomes of us */
            for (volatile unsigned x = 0;; x++)
                ;
        }
    }
    char name[64];
    snprintf(name, sizeof name, "three-regions, %ld busy loops", count);
    round_trips(&w, name, false);
    for (long i = 0; i < count; i++)
        if (busy[i] > 0) {
            kill(busy[i], SIGKILL);
            waitpid(busy[i], NULL, 0);
        }
    lower_world(&w);
    topo_free(t);
}

static void up_time(void) {
    struct topo *t = shipped("five-regions");
    struct bench_figure f;
    for (int run = 0; run < BENCH_RUNS; run++) {
        struct geo_world w;
        int64_t began = bench_now_ns();
        if (!raise_world(t, &w)) {
            topo_free(t);
            return;
        }
        f.run[run] = (double)(bench_now_ns() - began) / 1e6;
        lower_world(&w);
    }
    bench_report("geo: five-regions, links up", &f, "ms", BENCH_AT_MOST, 1000);
    topo_free(t);
}

/* The whole: namespaces or not, links, masters, nodes, every tablet with its voters, and SELECT 1 where nodes speak SQL. */
static void database_up_time(const char *topology, const char *backend, double limit_s) {
    char self[4200], line[128];
    struct bench_figure f;
    self_path(self, sizeof self);
    for (int run = 0; run < BENCH_RUNS; run++) {
        char *const up[] = {self,
                            (char *)(uintptr_t) "up",
                            (char *)(uintptr_t)topology,
                            (char *)(uintptr_t) "--world",
                            (char *)(uintptr_t) "bench",
                            (char *)(uintptr_t) "--backend",
                            (char *)(uintptr_t)backend,
                            NULL};
        struct geo_removed removed;
        struct err err = {0};
        struct buf said;
        int code = 1;
        buf_init(&said, 1 << 20);
        int64_t began = bench_now_ns();
        enum rc rc = sys_capture(up, -1, &said, &code, &err);
        f.run[run] = (double)(bench_now_ns() - began) / 1e9;
        buf_done(&said);
        CHECKF(geo_world_down(world_name, &removed, &err) == RC_OK, "%s", err.message);
        if (rc || code) {
            bench_note("geo: %s does not come up on %s", topology, backend);
            return;
        }
    }
    snprintf(line, sizeof line, "geo: %s, database up, %s", topology, backend);
    bench_report(line, &f, "s", BENCH_AT_MOST, limit_s);
}

/* ---- what a line carries ------------------------------------------------------------------------------------------ */

/* Reads everything from one connection for a while, and says how many bytes a second came after the first half. */
static double receive(int listener, int64_t ns) {
    static uint8_t data[1 << 16];
    int fd = accept(listener, NULL, NULL);
    int64_t began = bench_now_ns(), bytes = 0, half = 0;
    while (fd >= 0 && bench_now_ns() - began < ns) {
        ssize_t n = recv(fd, data, sizeof data, 0);
        if (n <= 0)
            break;
        bytes += n;
        if (bench_now_ns() - began < ns / 2)
            half = bytes;
    }
    if (fd >= 0)
        close(fd);
    return (double)(bytes - half) / ((double)ns / 2e9);
}

static pid_t send_all(const struct geo_world *w, unsigned place, struct sockaddr_in to) {
    pid_t pid = fork();
    if (pid == 0) {
        static uint8_t data[1 << 16];
        struct err err = {0};
        alarm(60);
        if (geo_world_enter(w, place, &err) == RC_OK) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
                while (send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
                    ;
        }
        _exit(0);
    }
    return pid;
}

static double one_flow(const struct geo_world *w, uint16_t port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(topo_addr(w->topo, 1, 0))};
    struct err err = {0};
    int on = 1;
    int home, ns;
    char name[GEO_NETNS_BYTES];
    geo_netns_name(w->name, w->topo, 1, name);
    CHECK(sys_netns_open(NULL, &home, &err) == RC_OK && sys_netns_open(name, &ns, &err) == RC_OK);
    CHECK(sys_netns_enter(ns, &err) == RC_OK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
    CHECK(sys_netns_enter(home, &err) == RC_OK);
    pid_t pid = send_all(w, 0, at);
    double rate = receive(listener, 3 * SEC);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(listener);
    close(home);
    close(ns);
    return rate * 8 / 1e6;
}

static void throughput(void) {
    static const char text[] = "format 1\nregion a 1\nregion b 2\nlink a b rtt 1ms jitter 0 rate 1gbit\n";
    static const char *const lines[] = {"rtt 1ms", "rtt 35ms", "rtt 150ms"};
    struct topo *t;
    struct geo_world w;
    CHECK(topo_parse("t", text, strlen(text), &t, NULL) == RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct bench_figure f;
        struct err err = {0};
        char statement[64], name[64];
        snprintf(statement, sizeof statement, "link a b %s", lines[i]);
        CHECK(topo_apply(t, statement, &err) == RC_OK);
        if (!raise_world(t, &w))
            break;
        for (int run = 0; run < BENCH_RUNS; run++)
            f.run[run] = one_flow(&w, (uint16_t)(PORT + run));
        snprintf(name, sizeof name, "geo: TCP, one flow, 1 Gbit/s, %s", lines[i]);
        bench_report(name, &f, "Mbit/s", BENCH_SHOW, 0);
        lower_world(&w);
    }
    topo_free(t);
}

int main(void) {
    struct err err = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    model();
    virtual_time();
    database_up_time("three-regions", "loopback", 10);
    database_up_time("five-regions", "loopback", 10);
    if (geo_world_able(&err)) {
        bench_note("geo: the real network: %s", err_message(&err));
        return 0;
    }
    asked_and_measured("three-regions");
    asked_and_measured("five-regions");
    asked_and_measured("three-zones");
    on_a_busy_machine();
    up_time();
    database_up_time("five-regions", "auto", 10);
    throughput();
    return 0;
}
