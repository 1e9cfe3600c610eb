/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: `meridian-geo`, which `meridian geo` runs: the network of a topology on this machine.
 *
 * Each verb reads its own words; what is wrong is one sentence on standard error and exit status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "geo-sim/netns/verbs.h"
#include "geo-sim/topology/worlds.h"
#include "truetime/spec.h"

static const char help_text[] =
    "meridian geo: a database over regions on this machine, with the distances between them\n"
    "\n"
    "usage: meridian geo up TOPOLOGY [--backend auto|netem|tun|loopback] [--stores N] [--data DIR] [--no-nodes]\n"
    "                      [--clocks masters|chronyd] [--no-verify] [--print]\n"
    "       meridian geo status [--json]\n"
    "       meridian geo links\n"
    "       meridian geo set SET SET ATTRIBUTE=VALUE... [--one-way]\n"
    "       meridian geo partition SET [SET] [--one-way]\n"
    "       meridian geo heal [SET [SET]] [--one-way]\n"
    "       meridian geo kill|restart|pause|resume NODE|SET\n"
    "       meridian geo skew REGION [offset=DURATION|stop] [masters=N] [clock=DURATION] [drift=NUMBERppm]\n"
    "       meridian geo run SCENARIO [--seed N] [--out RESULTS.json]\n"
    "       meridian geo report RESULTS [--out FILE.html|FILE.svg]\n"
    "       meridian geo verify [--rounds N]\n"
    "       meridian geo exec PLACE COMMAND [ARGUMENT]...\n"
    "       meridian geo down [--all]\n"
    "all of them: [--world NAME], default main\n"
    "\n"
    "up         makes the network and checks the round trips between all places, then starts a node in each seat of "
    "the\n"
    "           topology, time masters in each region, and waits until every tablet has its voters. TOPOLOGY is a file "
    "or\n"
    "           one of those that are shipped (below). Links: netem, the kernel's own delays, where it has them; tun, "
    "a\n"
    "           user-space emulator; loopback, without root or namespaces: the nodes hold back what they send (delays "
    "and\n"
    "           cuts; no jitter, loss or rate); auto: the first of these that works. --no-nodes: only the network.\n"
    "           --print only shows the commands.\n"
    "           --clocks chronyd: nodes ask a chronyd of their region, which follows the time masters; masters: they "
    "read\n"
    "           the masters' memory themselves (default: what the topology says)\n"
    "status     who is where, SQL and HTTP ports on this host's loopback, who leads, and the delays as they are now\n"
    "links      each direction: what is asked for, and the round trip as it is at this moment\n"
    "set        changes links while they are used: rtt=120ms delay=60ms jitter=1% loss=0.5% reorder=0.1% rate=20mbit;\n"
    "           SET is REGION, REGION.ZONE, several with commas, or '*'; --one-way: only from the first to the second\n"
    "partition  nothing passes between the first SET and the second (default: everybody else)\n"
    "heal       undoes partitions (default: all)\n"
    "kill       SIGKILL. restart: ends nodes cleanly if they run, and starts them. pause, resume: SIGSTOP, SIGCONT\n"
    "skew       what the time masters of a region tell is off from now on; offset=0: again as it should be; stop: "
    "they\n"
    "           end. masters=N: only the first N of them. clock=: how far the system clock of the region's machines is "
    "off\n"
    "           from now on; drift=: how fast their oscillators go\n"
    "run        plays a scenario (meridian sim --help lists them) on the world that is up: clients over SQL in each "
    "region,\n"
    "           faults at their times, a verdict; exit status 1 if something did not hold. --out: results and a page\n"
    "report     makes a page of a results file (meridian sim SCENARIO --out RESULTS): HTML, or only the map as SVG\n"
    "verify     measures the round trips and compares them with those asked for; exit status 1 if one is off by more "
    "than\n"
    "           2 % or 1 ms\n"
    "exec       runs a command in a place's namespace\n"
    "down       removes everything that bears the world's name, also after a crash\n"
    "\n"
    "links, set, partition and heal work with --file TOPOLOGY too, on a file that nodes follow (meridian start "
    "--test-links).\n"
    "netem and tun need root and iproute2. shipped topologies:";

int geo_complain(const struct err *err) {
    fprintf(stderr, "meridian geo: %s\n", err_message(err));
    if (err->hint[0])
        fprintf(stderr, "  hint: %s\n", err->hint);
    return EXIT_FAILED;
}

int geo_misused(const char *what, const char *word) {
    fprintf(stderr, "meridian geo: %s%s%s%s; see meridian geo --help\n", what, word ? " \"" : "", word ? word : "",
            word ? "\"" : "");
    return EXIT_FAILED;
}

static void print_help(FILE *to) {
    fputs(help_text, to);
    for (size_t i = 0; topo_world_at(i); i++)
        fprintf(to, " %s", topo_world_at(i)->name);
    fputc('\n', to);
}

/* ---- up ---------------------------------------------------------------------------------------------------------- */

enum rc geo_read_topology(const char *name, struct topo **ret, struct err *err) {
    const struct topo_world *shipped = strchr(name, '/') ? NULL : topo_world_named(name);
    if (shipped)
        return topo_parse(name, (const char *)shipped->text, shipped->bytes, ret, err);
    struct buf text;
    buf_init(&text, 0);
    enum rc rc = sys_read_file(name, &text, err);
    if (rc == RC_NOTFOUND)
        err_hint(err, "a file, or a shipped one: meridian geo --help lists them");
    if (!rc)
        rc = topo_parse(name, (const char *)text.data, text.len, ret, err);
    buf_done(&text);
    return rc;
}

/* The best that this machine and user can do; *ret_why: why it is not namespaces. */
static enum rc choose_backend(const struct options *o, enum geo_backend *ret, struct err *ret_why, struct err *err) {
    struct err why = {0};
    bool automatic = strcmp(o->backend, "auto") == 0;
    for (int b = 0; b < GEO_BACKENDS && !automatic; b++)
        if (strcmp(o->backend, geo_backend_name((enum geo_backend)b)) == 0) {
            *ret = (enum geo_backend)b;
            if (*ret == GEO_LOOPBACK)
                return RC_OK;
            enum rc rc = geo_world_able(err);
            if (rc || *ret == GEO_TUN || !(rc = geo_world_probe_netem(o->world, &why)))
                return rc;
            return err_set(err, rc, "no netem here: %s", err_message(&why));
        }
    if (!automatic)
        return err_set(err, RC_INVAL, "--backend wants auto, netem, tun or loopback, not \"%s\"", o->backend);
    if (geo_world_able(ret_why)) {
        *ret = GEO_LOOPBACK;
    } else if (geo_world_probe_netem(o->world, &why) == RC_OK) {
        *ret = GEO_NETEM;
    } else if (access("/dev/net/tun", R_OK | W_OK) == 0) {
        *ret = GEO_TUN;
    } else {
        *ret = GEO_LOOPBACK;
        err_set(ret_why, RC_UNSUPPORTED, "neither netem nor /dev/net/tun is here");
    }
    return RC_OK;
}

static const char *verdict_text(enum ping_verdict v) {
    static const char *const texts[] = {"ok", "OFF", "NO ANSWER", "NOT CUT"};
    return texts[v];
}

/* Measures and prints; false if a pair is not as asked for. */
static enum rc verify(const struct geo_world *w, unsigned rounds, bool *ret_good, struct err *err) {
    struct ping_matrix *m = malloc(sizeof *m);
    if (!m)
        return err_set(err, RC_NOMEM, "out of memory");
    enum rc rc = ping_measure(w->name, w->topo, rounds, m, err);
    unsigned bad = 0, pairs = 0;
    if (!rc && w->topo->places > 1)
        printf("%-23s %-23s %10s %10s %10s %10s %6s  %s\n", "BETWEEN", "AND", "ASKED", "MEDIAN", "OFF", "ALLOWED",
               "LOST", "");
    for (unsigned a = 0; a < w->topo->places && !rc; a++)
        for (unsigned b = a + 1; b < w->topo->places; b++) {
            char want[TEXT_BYTES], got[TEXT_BYTES] = "-", off[TEXT_BYTES] = "-", allowed[TEXT_BYTES];
            int64_t off_ns, allowed_ns;
            const struct ping_pair *p = &m->pair[a][b];
            enum ping_verdict v = ping_judge(w->topo, a, b, p, &off_ns, &allowed_ns);
            if (p->came) {
                tt_duration_format(ping_median_ns(p), got, sizeof got);
                tt_duration_format(off_ns, off, sizeof off);
            }
            printf("%-23s %-23s %10s %10s %10s %10s %5.1f%%  %s%s\n", w->topo->place[a].name, w->topo->place[b].name,
                   tt_duration_format(topo_rtt_ns(w->topo, a, b), want, sizeof want), got, off,
                   tt_duration_format(allowed_ns, allowed, sizeof allowed),
                   p->sent ? 100.0 * (p->sent - p->came) / p->sent : 0.0, verdict_text(v),
                   topo_is_cut(w->topo, a, b) ? " (cut)" : "");
            bad += v != PING_OK;
            pairs++;
        }
    free(m);
    *ret_good = bad == 0;
    if (!rc && pairs)
        printf("%u of %u round trips are as asked for\n", pairs - bad, pairs);
    return rc;
}

static int print_plan(enum geo_backend b, const char *world, const struct topo *t) {
    struct buf plan;
    buf_init(&plan, 0);
    geo_plan_begin(b, world, t, &plan);
    if (b == GEO_TUN)
        buf_puts(&plan, "# the emulator opens wan0 in each namespace\n");
    geo_plan_finish(b, world, t, &plan);
    const char *text = buf_cstr(&plan);
    if (text)
        fputs(text, stdout);
    buf_done(&plan);
    return text ? 0 : EXIT_FAILED;
}

static void print_where(const struct geo_world *w) {
    printf("world %s is up: %u places, ", w->name, w->topo->places);
    if (w->backend == GEO_NETEM)
        printf("links by the kernel's netem\n");
    else if (w->backend == GEO_TUN)
        printf("links by the user-space emulator over TUN (pid %d)\n", (int)geo_world_emulator(w));
    else
        printf("on plain loopback: the nodes hold back what they send (--test-links)\n");
}

/* After a failure: the first error is the one that counts. */
static void take_down(const char *world) {
    struct geo_removed removed;
    struct err ignored = {0};
    IGNORE(geo_world_down(world, &removed, &ignored));
}

static int run_up(const struct options *o, const char *self) {
    struct geo_world w;
    struct topo *t;
    struct err err = {0}, why = {0};
    enum geo_backend b = GEO_TUN;
    bool good = true;
    if (o->words != 1)
        return geo_misused("up wants one topology", NULL);
    if (geo_read_topology(o->word[0], &t, &err))
        return geo_complain(&err);
    if (o->print) {
        int code = !geo_world_valid(o->world)
                       ? geo_misused("no name of a world", o->world)
                       : print_plan(strcmp(o->backend, "netem") ? GEO_TUN : GEO_NETEM, o->world, t);
        topo_free(t);
        return code;
    }
    if (o->clocks && strcmp(o->clocks, "chronyd") != 0 && strcmp(o->clocks, "masters") != 0) {
        topo_free(t);
        return geo_misused("--clocks wants masters or chronyd, not", o->clocks);
    }
    for (unsigned i = 0; i < t->regions && o->clocks; i++)
        t->region[i].chronyd = strcmp(o->clocks, "chronyd") == 0;
    if (choose_backend(o, &b, &why, &err)) {
        topo_free(t);
        return geo_complain(&err);
    }
    if (why.rc)
        printf("%s: no namespaces; delays and cuts are made inside the nodes\n", err_message(&why));
    if (geo_world_up(o->world, t, b, self, &w, &err))
        return geo_complain(&err);
    enum rc rc = o->no_verify || b == GEO_LOOPBACK ? RC_OK : verify(&w, PING_ROUNDS, &good, &err);
    if (!rc && good)
        print_where(&w);
    fflush(stdout);
    int code = rc ? geo_complain(&err) : !good ? EXIT_FAILED : o->no_nodes ? 0 : geo_up_nodes(&w, o);
    geo_world_close(&w);
    if (code)
        take_down(o->world);
    if (!good)
        fprintf(stderr,
                "meridian geo: the network is not as asked for, and was removed again (--no-verify keeps it)\n");
    return code;
}

/* up takes seconds and makes a lot: a child does it, so that whoever interrupts it finds nothing left of it. */
static int run_up_or_nothing(const struct options *o, const char *self) {
    sigset_t events, before;
    bool was_there = !geo_world_valid(o->world) || geo_world_exists(o->world), interrupted = false;
    int status = 0;
    sigemptyset(&events);
    sigaddset(&events, SIGINT);
    sigaddset(&events, SIGTERM);
    sigaddset(&events, SIGHUP);
    sigaddset(&events, SIGCHLD);
    sigprocmask(SIG_BLOCK, &events, &before);
    pid_t child = was_there || o->print ? -1 : fork();
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child <= 0) { /* also without a child: then an interrupt leaves something for `down` */
        sigprocmask(SIG_SETMASK, &before, NULL);
        return run_up(o, self);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        int sig = sigwaitinfo(&events, NULL);
        if (sig <= 0 || sig == SIGCHLD)
            continue;
        interrupted = true;
        kill(child, SIGKILL); /* what it leaves is found by its name */
    }
    if (!interrupted && WIFEXITED(status))
        return WEXITSTATUS(status);
    take_down(o->world);
    fprintf(stderr, "meridian geo: interrupted; what was made of world %s was removed again\n", o->world);
    return EXIT_FAILED;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

/* The value of a name in the emulator's answer, or "?". */
static void value_of(const char *stats, const char *name, char to[TEXT_BYTES]) {
    size_t n = strlen(name);
    snprintf(to, TEXT_BYTES, "?");
    for (const char *at = stats; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            snprintf(to, TEXT_BYTES, "%.*s", (int)strcspn(at + n + 1, "\n"), at + n + 1);
}

static void print_emulator(const struct geo_world *w) {
    char stats[1024], late[TEXT_BYTES], average[TEXT_BYTES], packets[TEXT_BYTES], real[TEXT_BYTES], over[TEXT_BYTES];
    struct err err = {0};
    if (geo_world_ask(w, "stats", stats, &err)) {
        printf("links     DEAD: %s\n", err_message(&err));
        return;
    }
    value_of(stats, "late_worst_ns", late);
    value_of(stats, "late_average_ns", average);
    value_of(stats, "late_over_1ms", over);
    value_of(stats, "packets", packets);
    value_of(stats, "realtime", real);
    printf("links     user-space emulator over TUN, pid %d, %s\n", (int)geo_world_emulator(w),
           strcmp(real, "yes") == 0 ? "SCHED_FIFO" : "NOT in real time: delays suffer when the machine is busy");
    printf("lateness  worst %s, average %s, over %s packets; %s of them more than 1 ms late\n",
           tt_duration_format(strtoll(late, NULL, 10), stats, TEXT_BYTES),
           tt_duration_format(strtoll(average, NULL, 10), stats + 100, TEXT_BYTES), packets, over);
}

static void print_matrix(const struct topo *t) {
    printf("\none-way delay, ms, from the row to the column (cut: nothing passes)\n%-24s", "");
    for (unsigned j = 0; j < t->places; j++)
        printf(" %11.11s", t->place[j].name);
    printf("\n");
    for (unsigned i = 0; i < t->places; i++) {
        printf("%-24s", t->place[i].name);
        for (unsigned j = 0; j < t->places; j++) {
            const struct topo_link *l = &t->link[i][j];
            if (i == j)
                printf(" %11s", "-");
            else if (l->cut)
                printf(" %11s", "cut");
            else
                printf(" %11.3f", (double)l->delay_ns / 1e6);
        }
        printf("\n");
    }
}

static void print_json(const struct geo_world *w) {
    const struct topo *t = w->topo;
    char stats[1024] = "", value[TEXT_BYTES], ns[GEO_NETNS_BYTES], addr[TOPO_ADDR_BYTES];
    struct err err = {0};
    bool alive = w->backend == GEO_TUN && geo_world_ask(w, "stats", stats, &err) == RC_OK;
    printf("{\"world\":\"%s\",\"backend\":\"%s\"", w->name, geo_backend_name(w->backend));
    if (w->backend == GEO_TUN) {
        static const char *const names[] = {"packets", "late_worst_ns", "late_average_ns", "late_over_1ms", "lost",
                                            "cut",     "full"};
        value_of(stats, "realtime", value);
        printf(",\"emulator\":{\"alive\":%s,\"pid\":%d,\"realtime\":%s", alive ? "true" : "false",
               (int)geo_world_emulator(w), strcmp(value, "yes") == 0 ? "true" : "false");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            value_of(stats, names[i], value);
            printf(",\"%s\":%s", names[i], alive ? value : "null");
        }
        printf("}");
    }
    printf(",\"places\":[");
    for (unsigned i = 0; i < t->places; i++) {
        const struct topo_region *r = &t->region[t->place[i].region];
        geo_netns_name(w->name, t, i, ns);
        printf("%s{\"name\":\"%s\",\"region\":\"%s\",\"zone\":\"%s\",\"netns\":\"%s\",\"nodes\":[", i ? "," : "",
               t->place[i].name, r->name, r->zone[t->place[i].zone], ns);
        for (unsigned k = 0; k < topo_nodes(t, i); k++)
            printf("%s\"%s\"", k ? "," : "", topo_addr_format(topo_addr(t, i, k), addr));
        printf("]}");
    }
    printf("],\"links\":[");
    bool first = true;
    for (unsigned i = 0; i < t->places; i++)
        for (unsigned j = 0; j < t->places; j++) {
            const struct topo_link *l = &t->link[i][j];
            if (i == j)
                continue;
            printf("%s{\"from\":\"%s\",\"to\":\"%s\",\"delay_ns\":%" PRId64 ",\"jitter_ns\":%" PRId64
                   ",\"loss_ppm\":%d,\"reorder_ppm\":%d,\"rate_bps\":%" PRId64 ",\"cut\":%s}",
                   first ? "" : ",", t->place[i].name, t->place[j].name, l->delay_ns, l->jitter_ns, l->loss_ppm,
                   l->reorder_ppm, l->rate_bps, l->cut ? "true" : "false");
            first = false;
        }
    printf("]");
    geo_json_nodes(w);
    printf("}\n");
}

static int run_status(const struct options *o) {
    struct geo_world w;
    struct err err = {0};
    char ns[GEO_NETNS_BYTES], addr[TOPO_ADDR_BYTES];
    if (geo_world_open(o->world, false, &w, &err))
        return geo_complain(&err);
    if (o->json) {
        print_json(&w);
        geo_world_close(&w);
        return 0;
    }
    printf("world     %s\n", w.name);
    if (w.backend == GEO_TUN)
        print_emulator(&w);
    else if (w.backend == GEO_NETEM)
        printf("links     the kernel's netem\n");
    else
        printf("links     plain loopback, delays and cuts inside the nodes (--test-links)\n");
    geo_print_nodes(&w);
    if (w.backend != GEO_LOOPBACK)
        printf("\n%-24s %-40s %s\n", "PLACE", "NAMESPACE", "ADDRESSES OF ITS NODES");
    for (unsigned i = 0; w.backend != GEO_LOOPBACK && i < w.topo->places; i++) {
        geo_netns_name(w.name, w.topo, i, ns);
        printf("%-24s %-40s", w.topo->place[i].name, ns);
        for (unsigned k = 0; k < topo_nodes(w.topo, i); k++)
            printf(" %s", topo_addr_format(topo_addr(w.topo, i, k), addr));
        printf("\n");
    }
    if (w.topo->places > 1)
        print_matrix(w.topo);
    geo_world_close(&w);
    return 0;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static int run_verify(const struct options *o) {
    struct geo_world w;
    struct err err = {0};
    bool good = false;
    enum rc rc = geo_world_open(o->world, false, &w, &err);
    if (rc)
        return geo_complain(&err);
    if (w.backend == GEO_LOOPBACK)
        rc = err_set(&err, RC_UNSUPPORTED, "on plain loopback there is no network to measure");
    else
        rc = geo_world_able(&err);
    if (!rc)
        rc = verify(&w, o->rounds, &good, &err);
    if (!rc && w.backend == GEO_TUN)
        print_emulator(&w);
    geo_world_close(&w);
    return rc ? geo_complain(&err) : good ? 0 : EXIT_FAILED;
}

static int run_exec(const struct options *o) {
    struct geo_world w;
    struct err err = {0};
    if (o->words != 1 || !o->rest || !o->rest[0])
        return geo_misused("exec wants a place and a command", NULL);
    enum rc rc = geo_world_open(o->world, false, &w, &err);
    if (rc)
        return geo_complain(&err);
    if (w.backend != GEO_LOOPBACK)
        rc = geo_world_able(&err);
    int place = topo_find(w.topo, o->word[0]);
    if (!rc && place < 0)
        rc = err_set(&err, RC_NOTFOUND, "world %s has no place \"%s\"", w.name, o->word[0]);
    else if (!rc)
        rc = geo_world_enter(&w, (unsigned)place, &err);
    geo_world_close(&w);
    if (rc)
        return geo_complain(&err);
    execvp(o->rest[0], o->rest);
    rc = err_errno(&err, errno, "run %s", o->rest[0]);
    return geo_complain(&err);
}

static int down_one(const char *world, bool quiet) {
    struct geo_removed r;
    struct err err = {0};
    if (geo_world_down(world, &r, &err))
        return geo_complain(&err);
    bool nothing = !r.processes && !r.namespaces && !r.emulator && !r.directory;
    if (nothing && !quiet)
        printf("world %s: nothing was there\n", world);
    else if (!nothing)
        printf("world %s: removed %u namespaces, %u processes%s\n", world, r.namespaces, r.processes,
               r.emulator ? ", the emulator" : "");
    return 0;
}

struct worlds {
    char name[64][GEO_WORLD_BYTES];
    unsigned count;
};

static void note_name(void *ctx, const char *name) {
    struct worlds *all = ctx;
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->name[i], name) == 0)
            return;
    if (geo_world_valid(name) && all->count < ARRAY_LEN(all->name))
        snprintf(all->name[all->count++], GEO_WORLD_BYTES, "%s", name);
}

static void note_world(void *ctx, const char *netns) {
    char name[GEO_WORLD_BYTES];
    size_t n = strcspn(netns + strlen("geo-"), "-");
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, netns + strlen("geo-"));
    note_name(ctx, name);
}

static int run_down(const struct options *o) {
    struct worlds all = {.count = 0};
    char dir[SYS_PATH_BYTES / 4];
    if (!o->all)
        return down_one(o->world, false);
    geo_worlds_dir(dir);
    sys_each_name(dir, note_name, &all);
    if (geteuid() == 0)
        sys_netns_each("geo-", note_world, &all);
    int code = 0;
    for (unsigned i = 0; i < all.count; i++)
        code |= down_one(all.name[i], true);
    return code;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static int take_number(const char *name, const char *text, long min, long max, unsigned *to) {
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < min || n > max) {
        fprintf(stderr, "meridian geo: %s wants %ld to %ld, not \"%s\"; see meridian geo --help\n", name, min, max,
                text);
        return EXIT_FAILED;
    }
    *to = (unsigned)n;
    return 0;
}

static int parse(struct options *o, bool exec, int argc, char **argv) {
    static const char *const flags[] = {"--json",     "--all",   "--one-way", "--no-verify",
                                        "--no-nodes", "--print", "--lines"};
    bool *const set[] = {&o->json, &o->all, &o->one_way, &o->no_verify, &o->no_nodes, &o->print, &o->lines};
    static const char *const values[] = {"--world", "--backend", "--data", "--out", "--seed", "--file", "--clocks"};
    const char **const to[] = {&o->world, &o->backend, &o->data, &o->out, &o->seed, &o->file, &o->clocks};
    for (int i = 0; i < argc; i++) {
        size_t f = 0, v = 0;
        while (f < ARRAY_LEN(flags) && strcmp(argv[i], flags[f]) != 0)
            f++;
        while (v < ARRAY_LEN(values) && strcmp(argv[i], values[v]) != 0)
            v++;
        bool rounds = strcmp(argv[i], "--rounds") == 0, stores = strcmp(argv[i], "--stores") == 0;
        int bad = 0;
        if (f < ARRAY_LEN(flags)) {
            *set[f] = true;
        } else if ((v < ARRAY_LEN(values) || rounds || stores) && i + 1 == argc) {
            return geo_misused("a value is missing behind", argv[i]);
        } else if (v < ARRAY_LEN(values)) {
            *to[v] = argv[++i];
        } else if (rounds) {
            bad = take_number("--rounds", argv[++i], 3, PING_ROUNDS_MAX, &o->rounds);
        } else if (stores) {
            bad = take_number("--stores", argv[++i], 1, 64, &o->stores);
        } else if (strncmp(argv[i], "--", 2) == 0) {
            return geo_misused("there is no option", argv[i]);
        } else if (o->words == WORDS_MAX) {
            return geo_misused("too many words", NULL);
        } else {
            o->word[o->words++] = argv[i];
            if (exec) { /* the rest is the command's own */
                o->rest = argv + i + 1;
                return 0;
            }
        }
        if (bad)
            return bad;
    }
    return 0;
}

static int emulate(int argc, char **argv) {
    struct err err = {0};
    char *end;
    long fd = argc == 4 ? strtol(argv[3], &end, 10) : -1;
    if (fd < 3 || fd > 1000000 || *end)
        return geo_misused("_emulate is run by up", NULL);
    return geo_world_emulate(argv[2], (int)fd, &err) ? geo_complain(&err) : 0;
}

int main(int argc, char **argv) {
    struct options o = {.world = "main", .backend = "auto", .rounds = PING_ROUNDS, .stores = 1};
    const char *verb = argc > 1 ? argv[1] : "--help";
    for (int i = 1; i < argc && strcmp(verb, "exec") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(stdout);
            return 0;
        }
    if (argc < 2) {
        print_help(stderr);
        return EXIT_FAILED;
    }
    if (strcmp(verb, "_emulate") == 0)
        return emulate(argc, argv);
    int bad = parse(&o, strcmp(verb, "exec") == 0, argc - 2, argv + 2);
    if (bad)
        return bad;
    if (strcmp(verb, "up") == 0)
        return run_up_or_nothing(&o, "/proc/self/exe");
    if (strcmp(verb, "status") == 0)
        return run_status(&o);
    if (strcmp(verb, "set") == 0)
        return geo_run_set(&o);
    if (strcmp(verb, "partition") == 0 || strcmp(verb, "heal") == 0)
        return geo_run_partition(&o, verb[0] == 'p');
    if (strcmp(verb, "links") == 0)
        return geo_run_links(&o);
    if (strcmp(verb, "run") == 0)
        return geo_run_scenario(&o);
    if (strcmp(verb, "report") == 0)
        return geo_run_report(&o);
    if (strcmp(verb, "kill") == 0)
        return geo_run_kill(&o);
    if (strcmp(verb, "restart") == 0)
        return geo_run_restart(&o);
    if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0)
        return geo_run_pause(&o, verb[0] == 'p');
    if (strcmp(verb, "skew") == 0)
        return geo_run_skew(&o);
    if (strcmp(verb, "verify") == 0)
        return run_verify(&o);
    if (strcmp(verb, "exec") == 0)
        return run_exec(&o);
    if (strcmp(verb, "down") == 0)
        return o.words ? geo_misused("down takes no words: --world NAME", NULL) : run_down(&o);
    return geo_misused("there is no verb", verb);
}
