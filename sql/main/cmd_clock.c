/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_clock.c: `meridian clock`: looks at the clock, serves it to other processes, or pretends to be a time master.
 *
 * The poller and everything printed run on the loop of a one-store process; the main thread only waits for signals, so that
 * sockets and files are tidied up when somebody presses Ctrl-C.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shard/runtime/env_real.h"
#include "shard/runtime/env_real_skew.h"
#include "sql/main/clock_plot.h"
#include "sql/main/commands.h"
#include "sql/main/run_dir.h"
#include "truetime/master.h"
#include "truetime/poller.h"
#include "truetime/probe.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

enum { EXIT_CONFIG = 1, EXIT_NO_TIME = 3, PLOT_POINTS = 20000, TEXT_BYTES = 32 };

/* Until sources have spoken: a master may do so once a second. */
#define SETTLE_NS (3 * SEC)
#define LOOK_NS (20 * MS)
#define REFRESH_NS SEC
#define PLOT_NS (10 * SEC)

enum verb { VERB_STATUS, VERB_DAEMON, VERB_MASTER };

struct clock_command {
    enum verb verb;
    const char *spec_text, *page_path, *plot_path, *skew_path;
    const struct skew_page *skew; /* master: its machine's clocks are off, what it tells is not */
    bool json, watch;
    int64_t for_ns; /* 0 = not given */
    struct tt_master_conf master;
    char dir[ENV_PATH_BYTES - 64], page_default[ENV_PATH_BYTES];

    struct process *process;
    struct env *env;
    struct tt_probe *probe;
    struct tt_poller *poller;
    struct tt_clock clock;
    bool reading;
    struct tt_master *master_running;
    struct clock_plot plot;
    struct timer timer;
    int64_t began_ns, shown_ns;
    bool settled;
    int exit_code;
    _Atomic bool over;
};

static const char help_text[] =
    "meridian clock: the interval clock\n"
    "\n"
    "usage: meridian clock [status] [--clock SPEC | --page FILE] [--json] [--watch] [--plot FILE] [--for DUR]\n"
    "       meridian clock daemon [--clock SPEC] [--page FILE] [--for DUR]\n"
    "       meridian clock master --shm N [--offset DUR] [--jitter DUR] [--drift PPM] [--period DUR] [--lie DUR]\n"
    "                             [--lie-after DUR] [--stop-after DUR] [--leap 0|1|2|3] [--mode OCTAL] [--for DUR]\n"
    "\n"
    "status    shows the sources, what each says and how they agree, and the interval that they make\n"
    "  --clock SPEC      source{;source}[;f=N], source = shm:U[,err=500us] | chrony[:PATH] | kernel | host | "
    "fixed:DUR;\n"
    "                    without it: chrony if it answers, else host\n"
    "  --page FILE       show the clock that a daemon publishes in FILE instead\n"
    "  --json            one JSON object; with --watch one a second\n"
    "  --watch           again and again, until interrupted or for --for DUR\n"
    "  --plot FILE       draw the interval's width over --for DUR (10s) as SVG\n"
    "daemon    polls for other processes of this host, which map FILE (default: clock.page in /run/meridian or the "
    "user's\n"
    "          runtime directory); ends on SIGTERM\n"
    "master    a simulated time master: writes ntpd shared memory unit N, which meridian, chronyd and ntpd can read\n"
    "  --offset DUR      true time is the system clock plus this      --jitter DUR   one sigma of noise\n"
    "  --drift PPM       and runs this much faster                    --period DUR   between samples (250ms)\n"
    "  --lie DUR         and then a false amount on top               --lie-after DUR, --stop-after DUR  since the "
    "start\n"
    "\n"
    "exit status: 0 there is time; 3 the clock is not synchronised (status); 1 something was wrong with the command\n";

/* ---- options ----------------------------------------------------------------------------------------------------- */

enum {
    OPT_CLOCK = 256,
    OPT_PAGE,
    OPT_JSON,
    OPT_WATCH,
    OPT_PLOT,
    OPT_FOR,
    OPT_SHM,
    OPT_OFFSET,
    OPT_JITTER,
    OPT_DRIFT,
    OPT_PERIOD,
    OPT_LIE,
    OPT_LIE_AFTER,
    OPT_STOP_AFTER,
    OPT_LEAP,
    OPT_SKEW,
    OPT_MODE
};

#define FOR_STATUS (1u << VERB_STATUS)
#define FOR_DAEMON (1u << VERB_DAEMON)
#define FOR_MASTER (1u << VERB_MASTER)

static const struct {
    const char *name;
    bool value;
    unsigned verbs;
} options[] = {
    {"clock", true, FOR_STATUS | FOR_DAEMON},
    {"page", true, FOR_STATUS | FOR_DAEMON},
    {"json", false, FOR_STATUS},
    {"watch", false, FOR_STATUS},
    {"plot", true, FOR_STATUS},
    {"for", true, FOR_STATUS | FOR_MASTER | FOR_DAEMON},
    {"shm", true, FOR_MASTER},
    {"offset", true, FOR_MASTER},
    {"jitter", true, FOR_MASTER},
    {"drift", true, FOR_MASTER},
    {"period", true, FOR_MASTER},
    {"lie", true, FOR_MASTER},
    {"lie-after", true, FOR_MASTER},
    {"stop-after", true, FOR_MASTER},
    {"leap", true, FOR_MASTER},
    {"clock-skew", true, FOR_MASTER},
    {"mode", true, FOR_MASTER},
};
static_assert(ARRAY_LEN(options) == OPT_MODE - OPT_CLOCK + 1, "in the order of the enum");

static int complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int complain(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "meridian clock: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return EXIT_CONFIG;
}

static int complain_err(const struct err *err) {
    return complain("%s%s%s", err_message(err), err->hint[0] ? "\n  hint: " : "", err->hint);
}

static bool duration(const char *text, int64_t min_ns, int64_t *ret) {
    int64_t ns;
    if (!tt_duration_parse(text, &ns) || ns < min_ns)
        return false;
    *ret = ns;
    return true;
}

static bool number(const char *text, int base, long min, long max, long *ret) {
    char *end;
    errno = 0;
    long v = strtol(text, &end, base);
    if (end == text || *end || errno || v < min || v > max)
        return false;
    *ret = v;
    return true;
}

static int apply(struct clock_command *c, int opt, const char *value) {
    struct tt_master_conf *m = &c->master;
    long n = 0;
    bool ok = true;
    switch (opt) {
    case OPT_CLOCK:
        c->spec_text = value;
        break;
    case OPT_PAGE:
        c->page_path = value;
        break;
    case OPT_JSON:
        c->json = true;
        break;
    case OPT_WATCH:
        c->watch = true;
        break;
    case OPT_PLOT:
        c->plot_path = value;
        break;
    case OPT_FOR:
        ok = duration(value, MS, &c->for_ns);
        break;
    case OPT_SHM:
        ok = number(value, 10, 0, TT_SHM_UNITS - 1, &n);
        m->unit = (int)n;
        break;
    case OPT_OFFSET:
        ok = duration(value, INT64_MIN, &m->offset_ns);
        break;
    case OPT_JITTER:
        ok = duration(value, 0, &m->jitter_ns);
        break;
    case OPT_DRIFT:
        ok = number(value, 10, -1000000, 1000000, &n);
        m->drift_ppb = n * 1000;
        break;
    case OPT_PERIOD:
        ok = duration(value, MS, &m->period_ns);
        break;
    case OPT_LIE:
        ok = duration(value, INT64_MIN, &m->lie_ns);
        break;
    case OPT_LIE_AFTER:
        ok = duration(value, 0, &m->lie_after_ns);
        break;
    case OPT_STOP_AFTER:
        ok = duration(value, 1, &m->stop_after_ns);
        break;
    case OPT_LEAP:
        ok = number(value, 10, 0, 3, &n);
        m->leap = (int)n;
        break;
    case OPT_SKEW:
        c->skew_path = value;
        break;
    case OPT_MODE:
        ok = number(value, 8, 0400, 0777, &n);
        m->create_mode = (unsigned)n;
        break;
    default:
        break;
    }
    return ok ? 0 : complain("--%s: \"%s\" is not what it wants; see --help", options[opt - OPT_CLOCK].name, value);
}

static int parse(struct clock_command *c, int argc, char **argv) {
    static const char *const verbs[] = {"status", "daemon", "master"};
    int at = 1;
    if (argc > 1 && argv[1][0] != '-') {
        size_t v = 0;
        while (v < ARRAY_LEN(verbs) && strcmp(argv[1], verbs[v]) != 0)
            v++;
        if (v == ARRAY_LEN(verbs))
            return complain("there is no \"%s\"; there are status, daemon and master", argv[1]);
        c->verb = (enum verb)v;
        at = 2;
    }
    c->master.unit = -1;
    for (; at < argc; at++) {
        const char *name = argv[at], *value = strchr(name, '=');
        size_t len = value ? (size_t)(value - name) : strlen(name), o = 0;
        while (o < ARRAY_LEN(options) && !(strncmp(name, "--", 2) == 0 && strlen(options[o].name) == len - 2 &&
                                           strncmp(name + 2, options[o].name, len - 2) == 0))
            o++;
        if (o == ARRAY_LEN(options) || !(options[o].verbs & (1u << c->verb)))
            return complain("%s has no option \"%s\"; see --help", verbs[c->verb], name);
        if (!options[o].value && value)
            return complain("--%s takes no value", options[o].name);
        if (options[o].value && !value && at + 1 == argc)
            return complain("--%s wants a value", options[o].name);
        if (options[o].value)
            value = value ? value + 1 : argv[++at];
        int bad = apply(c, OPT_CLOCK + (int)o, value);
        if (bad)
            return bad;
    }
    if (c->verb == VERB_MASTER && c->master.unit < 0)
        return complain("master wants --shm N");
    if (c->verb == VERB_STATUS && c->spec_text && c->page_path)
        return complain("status takes --clock or --page, not both");
    return 0;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void json_string(const char *text) {
    putchar('"');
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", *text);
        else
            putchar(*text);
    putchar('"');
}

static void json_number(const char *key, int64_t v, bool known) {
    if (known)
        printf(",\"%s\":%" PRId64, key, v);
    else
        printf(",\"%s\":null", key);
}

static void print_json(const struct tt_status *st) {
    bool known = tt_is_known(st->now);
    printf("{\"status\":\"%s\"", tt_state_name(st->state));
    json_number("earliest_ns", st->now.earliest, known);
    json_number("latest_ns", st->now.latest, known);
    json_number("half_width_ns", st->half_width_ns, known);
    json_number("fix_half_width_ns", st->fix_half_ns, known);
    json_number("drift_growth_ns", st->growth_ns, known);
    json_number("fix_age_ns", st->fix_age_ns, st->fix_age_ns >= 0);
    printf(",\"reason\":");
    json_string(st->reason);
    printf(",\"n\":%" PRIu64 ",\"f\":%" PRIu64 ",\"fresh\":%" PRIu64 ",\"polls\":%" PRIu64 ",\"conflicts\":%" PRIu64
           ",\"epoch\":%" PRIu64 ",\"sources\":[",
           st->info.n, st->info.f, st->info.fresh, st->info.polls, st->info.conflicts, st->epoch);
    for (uint64_t i = 0; i < st->info.source_count; i++) {
        const struct tt_source_report *s = &st->info.sources[i];
        bool spoke = s->sampled_raw != 0;
        printf("%s{\"name\":", i ? "," : "");
        json_string(s->name);
        printf(",\"status\":\"%s\"", tt_verdict_name(s->verdict));
        json_number("offset_ns", s->offset_ns, spoke);
        json_number("bound_ns", s->bound_ns, spoke);
        json_number("age_ns", tt_status_age(st, s), spoke);
        printf(",\"samples\":%" PRIu64 ",\"detail\":", s->samples);
        json_string(s->detail);
        printf("}");
    }
    printf("]}\n");
}

static void utc(int64_t ns, char *to, size_t bytes) {
    time_t sec = ns / SEC;
    struct tm tm;
    char day[TEXT_BYTES];
    gmtime_r(&sec, &tm);
    strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(to, bytes, "%s.%09" PRId64, day, ns % SEC);
}

static void print_interval(const struct tt_status *st) {
    char half[TEXT_BYTES], fix[TEXT_BYTES], growth[TEXT_BYTES], age[TEXT_BYTES], from[64], to[64];
    if (!tt_is_known(st->now)) {
        printf("time      not known\n");
        return;
    }
    utc(st->now.earliest, from, sizeof from);
    utc(st->now.latest, to, sizeof to);
    printf("time      %s UTC at the earliest\n          %s UTC at the latest\n", from, to);
    printf("width     +-%s, of which %s came with the fix %s ago and %s by drift since\n",
           tt_duration_format(st->half_width_ns, half, sizeof half),
           tt_duration_format(st->fix_half_ns, fix, sizeof fix), tt_duration_format(st->fix_age_ns, age, sizeof age),
           tt_duration_format(st->growth_ns, growth, sizeof growth));
}

static void print_chrony(const struct clock_command *c, uint64_t source) {
    char name[64], offset[TEXT_BYTES], error[TEXT_BYTES];
    if (!c->poller || strncmp(tt_poller_source(c->poller, (unsigned)source)->spec.name, "chrony", 6) != 0)
        return;
    const struct tt_chrony_sources *list = tt_chrony_list(tt_poller_source(c->poller, (unsigned)source));
    for (uint32_t i = 0; i < list->count; i++) {
        const struct chrony_source *s = &list->source[i];
        printf("    %-24s %-11s stratum %u, reach %03o, last sample %us ago: %s +- %s\n",
               chrony_source_name(s, name, sizeof name), chrony_source_state_name(s->state), s->stratum,
               s->reachability, s->since_sample_s,
               tt_duration_format((int64_t)(s->offset_s * 1e9), offset, sizeof offset),
               tt_duration_format((int64_t)(s->error_s * 1e9), error, sizeof error));
    }
}

static void print_table(const struct clock_command *c, const struct tt_status *st) {
    printf("clock     %s: %s\n", tt_state_name(st->state), st->reason);
    print_interval(st);
    printf("sources   %" PRIu64 " of %" PRIu64 " fresh, %" PRIu64 " may lie; %" PRIu64 " polls, %" PRIu64
           " conflicts, %" PRIu64 " steps of the system clock\n\n",
           st->info.fresh, st->info.n, st->info.f, st->info.polls, st->info.conflicts, st->info.steps);
    printf("%-20s %-12s %14s %12s %12s %9s  %s\n", "SOURCE", "VERDICT", "OFFSET", "BOUND", "AGE", "SAMPLES", "");
    for (uint64_t i = 0; i < st->info.source_count; i++) {
        const struct tt_source_report *s = &st->info.sources[i];
        char offset[TEXT_BYTES] = "-", bound[TEXT_BYTES] = "-", age[TEXT_BYTES] = "-";
        if (s->sampled_raw) {
            tt_duration_format(s->offset_ns, offset, sizeof offset);
            tt_duration_format(s->bound_ns, bound, sizeof bound);
            tt_duration_format(tt_status_age(st, s), age, sizeof age);
        }
        printf("%-20s %-12s %14s %12s %12s %9" PRIu64 "  %s\n", s->name, tt_verdict_name(s->verdict), offset, bound,
               age, s->samples, s->detail);
        print_chrony(c, i);
    }
}

static void show(struct clock_command *c, const struct tt_status *st) {
    if (c->json)
        print_json(st);
    else {
        if (c->watch && isatty(STDOUT_FILENO))
            printf("\033[H\033[J");
        print_table(c, st);
        if (c->watch)
            printf("\n");
    }
    fflush(stdout);
    c->exit_code = tt_is_known(st->now) ? 0 : EXIT_NO_TIME;
}

/* ---- the loop's side --------------------------------------------------------------------------------------------- */

static void finish(struct clock_command *c, int code) {
    c->exit_code = code;
    atomic_store(&c->over, true);
}

static void fail(struct clock_command *c, const struct err *err) {
    finish(c, complain_err(err));
}

static void write_plot(struct clock_command *c, const struct tt_status *st) {
    struct err err = {0};
    struct clock_plot *p = &c->plot;
    size_t at = (size_t)snprintf(p->subtitle, sizeof p->subtitle, "sources: ");
    snprintf(p->title, sizeof p->title, "Width of the time interval%s%s", c->page_path ? ", clock of " : "",
             c->page_path ? c->page_path : "");
    for (uint64_t i = 0; i < st->info.source_count && at < sizeof p->subtitle; i++)
        at += (size_t)snprintf(p->subtitle + at, sizeof p->subtitle - at, "%s%s", i ? ", " : "",
                               st->info.sources[i].name);
    if (at < sizeof p->subtitle)
        snprintf(p->subtitle + at, sizeof p->subtitle - at, "; up to %" PRIu64 " may lie", st->info.f);
    if (clock_plot_write(p, c->plot_path, &err))
        finish(c, complain_err(&err));
}

static bool everybody_spoke(const struct tt_status *st) {
    for (uint64_t i = 0; i < st->info.source_count; i++)
        if (st->info.sources[i].verdict == TT_WAITING ||
            (st->info.sources[i].verdict == TT_ERROR && st->info.sources[i].samples == 0))
            return false;
    return st->info.source_count > 0;
}

static void on_look(void *ctx) {
    struct clock_command *c = ctx;
    struct tt_status st;
    int64_t now = env_now_ns(c->env), since = now - c->began_ns;
    tt_status(&c->clock, &st);
    if (c->plot_path)
        clock_plot_add(&c->plot, (struct clock_point){since, st.half_width_ns, st.state});
    if (!c->settled) /* the first words of the sources are waited for, not for ever */
        c->settled = c->page_path || (tt_is_known(st.now) && everybody_spoke(&st)) || since >= SETTLE_NS;
    int64_t until = c->for_ns ? c->for_ns : c->watch ? INT64_MAX : c->plot_path ? PLOT_NS : 0;
    bool last = c->settled && since >= until;
    if (c->settled && (last || (c->watch && now - c->shown_ns >= REFRESH_NS))) {
        c->shown_ns = now;
        show(c, &st);
    }
    if (last) {
        finish(c, c->exit_code);
        if (c->plot_path)
            write_plot(c, &st);
        return;
    }
    env_timer_set(c->env, &c->timer, now + LOOK_NS);
}

static void on_time_over(void *ctx) {
    finish(ctx, 0);
}

static void begin_reading(struct clock_command *c) {
    c->reading = true;
    c->began_ns = env_now_ns(c->env);
    timer_init(&c->timer, on_look, c);
    env_timer_set(c->env, &c->timer, c->began_ns);
}

static void begin_poller(struct clock_command *c, const char *spec_text) {
    struct tt_poller_conf conf = {.page_path = c->verb == VERB_DAEMON ? c->page_path : NULL};
    struct err err = {0};
    conf.sources.host_dir = c->dir;
    if (tt_spec_parse(spec_text, &conf.spec, &err) || tt_poller_new(c->env, &conf, &c->poller, &err)) {
        fail(c, &err);
        return;
    }
    if (c->verb == VERB_DAEMON) {
        fprintf(stderr, "clock daemon: %s, page %s\n", spec_text, c->page_path);
        if (c->for_ns) {
            timer_init(&c->timer, on_time_over, c);
            env_timer_set(c->env, &c->timer, env_now_ns(c->env) + c->for_ns);
        }
        return;
    }
    if (tt_clock_init(&c->clock, c->env, tt_poller_page(c->poller), &err))
        fail(c, &err);
    else
        begin_reading(c);
}

static void on_probed(void *ctx, bool chrony_answers) {
    struct clock_command *c = ctx;
    const char *text;
    struct err err = {0};
    tt_probe_free(c->probe);
    c->probe = NULL;
    /* Nobody connects to this command: only what is on this machine is told. */
    if (tt_spec_default(chrony_answers, true, &text, &err))
        fail(c, &err);
    else
        begin_poller(c, text);
}

/* A receiver knows the time whatever its machine's clock says. */
static int64_t unskewed(void *ctx, int64_t real_ns, int64_t raw_ns) {
    const struct clock_command *c = ctx;
    int64_t drift, offset;
    (void)raw_ns;
    skew_now(c->skew, &drift, &offset);
    return real_ns - drift - offset;
}

static enum rc begin(struct clock_command *c, struct err *err) {
    enum rc rc;
    if (c->verb == VERB_MASTER) {
        rc = c->skew_path ? skew_open(c->skew_path, &c->skew, err) : RC_OK;
        if (rc)
            return rc;
        if (c->skew) {
            c->master.truth = unskewed;
            c->master.truth_ctx = c;
        }
        rc = tt_master_new(c->env, &c->master, &c->master_running, err);
        if (!rc && c->for_ns) {
            timer_init(&c->timer, on_time_over, c);
            env_timer_set(c->env, &c->timer, env_now_ns(c->env) + c->for_ns);
        }
        return rc;
    }
    if (c->verb == VERB_STATUS && c->page_path) {
        rc = tt_clock_map(&c->clock, c->env, c->page_path, err);
        if (rc == RC_NOTFOUND)
            err_hint(err, "is \"meridian clock daemon --page %s\" running?", c->page_path);
        if (!rc)
            begin_reading(c);
        return rc;
    }
    if (!c->spec_text)
        return tt_probe_new(c->env, on_probed, c, &c->probe, err);
    begin_poller(c, c->spec_text);
    return RC_OK;
}

static enum rc boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct clock_command *c = arg;
    (void)count;
    c->env = stores[0];
    *ret_state = c;
    return begin(c, err);
}

static void stop(void *state, uint16_t store) {
    struct clock_command *c = state;
    (void)store;
    env_timer_cancel(c->env, &c->timer);
    tt_probe_free(c->probe);
    if (c->reading)
        tt_clock_done(&c->clock);
    tt_poller_free(c->poller);
    tt_master_free(c->master_running);
    c->master_running = NULL;
    skew_close(c->skew);
    c->skew = NULL;
}

static bool stopped(void *state, uint16_t store) {
    (void)state, (void)store;
    return true;
}

static void done(void *state) {
    (void)state;
}

/* ---- the main thread's side -------------------------------------------------------------------------------------- */

static int run(struct clock_command *c) {
    static const struct program program = {boot, stop, stopped, done};
    struct process_conf conf = {
        .stores = 1, .level = c->verb == VERB_DAEMON ? DIAG_INFO : DIAG_OFF, .skew = c->skew_path};
    struct timespec tick = {.tv_nsec = 20 * MS};
    struct err err = {0};
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    if (process_new(&conf, &c->process, &err))
        return complain_err(&err);
    int code = 0;
    if (process_start(c->process, &program, c, &err)) {
        code = complain_err(&err);
    } else {
        while (!atomic_load(&c->over) && sigtimedwait(&ends, NULL, &tick) < 0)
            ;
        process_stop(c->process);
        process_join(c->process);
        code = c->exit_code;
    }
    process_free(c->process);
    return code;
}

int cmd_clock(int argc, char **argv) {
    struct clock_command *c = calloc(1, sizeof *c);
    struct err err = {0};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help_text, stdout);
            free(c);
            return 0;
        }
    if (!c)
        return complain("out of memory");
    int code = parse(c, argc, argv);
    bool wants_dir = c->verb == VERB_DAEMON
                         ? !c->page_path || !c->spec_text || strstr(c->spec_text, "host")
                         : c->verb == VERB_STATUS && !c->page_path && (!c->spec_text || strstr(c->spec_text, "host"));
    if (!code && wants_dir && run_dir(c->dir, sizeof c->dir, &err))
        code = complain_err(&err);
    if (!code && c->verb == VERB_DAEMON && !c->page_path) {
        snprintf(c->page_default, sizeof c->page_default, "%s/clock.page", c->dir);
        c->page_path = c->page_default;
    }
    if (!code && c->plot_path && clock_plot_init(&c->plot, PLOT_POINTS))
        code = complain("out of memory");
    if (!code)
        code = run(c);
    clock_plot_done(&c->plot);
    free(c);
    return code;
}
