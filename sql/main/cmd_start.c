/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_start.c: `meridian start`: a node as a process.
 *
 * The stores run on their threads; the main one waits for signals. SIGTERM and SIGINT stop it cleanly (leaderships are handed
 * over); a second one ends it at once. Exit: 0 after a clean stop, 1 for what the user can mend, 2 for a broken disk or a lost
 * identity.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/node/node.h"
#include "shard/runtime/env_real.h"
#include "sql/main/commands.h"
#include "sql/main/run_dir.h"
#include "sql/main/test_links.h"
#include "sql/main/world_links.h"
#include "sql/run/sql_server.h"
#include "truetime/probe.h"
#include "txn/upper.h"

#define MS INT64_C(1000000)

enum { EXIT_CONFIG = 1, EXIT_BROKEN = 2, CORES_MAX = 8, REPAIR_AFTER_S_MAX = 366 * 86400 };

struct start {
    struct node_conf conf;
    struct node_upper upper;
    struct sql_server sql;
    const char *sql_addr, *sql_auth;
    bool sql_trust;
    struct env_tls_conf tls, sql_tls;
    const char *clock_text, *log_level, *links_path, *world_name, *skew_path;
    struct test_links *links;
    struct world_links world;
    char host_dir[ENV_PATH_BYTES];
    char joins[1024];
    long stores;
    struct process *process;
    struct env_post stop_post;
    _Atomic(struct node *) node;
    _Atomic int exit_code; /* -1: it runs */
    _Atomic bool stopped;
};

static const char help_text[] =
    "meridian start: runs a node\n"
    "\n"
    "usage: meridian start --data DIR --bootstrap            the first node of a new cluster\n"
    "       meridian start --data DIR --join HOST:PORT,...   one more\n"
    "       meridian start --data DIR                        again, with what DIR holds\n"
    "\n"
    "  --data DIR            where everything of the node lies\n"
    "  --rpc HOST:PORT       for other nodes and for commands (127.0.0.1:7433; port 0: any free one)\n"
    "  --sql HOST:PORT       for psql and every other client of PostgreSQL (127.0.0.1:7432)\n"
    "  --sql-auth trust|scram   whether passwords are asked for (trust on loopback, else scram)\n"
    "  --http HOST:PORT      /healthz and /metrics (127.0.0.1:7480)\n"
    "  --bootstrap           make a new cluster: only ever on its first node\n"
    "  --join HOST:PORT,...  members that can be asked\n"
    "  --region R --zone Z   where it stands: replicas are spread over regions, then zones\n"
    "  --repair-after SECONDS   a voter of a node that has been silent so long is replaced on another (300; 0: never)\n"
    "  --clock SPEC          how it knows the time (meridian clock --help); without it: chrony if it answers, else "
    "host\n"
    "  --stores N            reactors, one thread each; fixed at the first start (default: the cores, at most 8)\n"
    "  --tls-cert F --tls-key F --tls-ca F   mutual TLS between nodes\n"
    "  --test-links FILE     adds the send delays and cuts of a topology to what goes to other nodes, by their regions "
    "and\n"
    "                        zones: distances for nodes on one machine; the file may change while the node runs\n"
    "  --world NAME          stands in this world of meridian geo: meridian.links shows its lines, superusers change "
    "them\n"
    "  --clock-skew FILE     its system clock is off as FILE says, which meridian geo skew writes: for tests\n"
    "  --log LEVEL           debug, info, warn or error, on standard error (info)\n";

static int complain(const char *text) {
    fprintf(stderr, "meridian start: %s\n", text);
    return EXIT_CONFIG;
}

static int complain_err(const struct err *err) {
    fprintf(stderr, "meridian start: %s%s%s%s%s\n", err_message(err), err->detail[0] ? ": " : "", err->detail,
            err->hint[0] ? "\n  " : "", err->hint);
    return err->rc == RC_IO || err->rc == RC_CORRUPT || err->rc == RC_NOSPACE ? EXIT_BROKEN : EXIT_CONFIG;
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static int take_joins(struct start *s, const char *text) {
    char *save = NULL;
    if (strlen(text) >= sizeof s->joins)
        return complain("--join: too long");
    snprintf(s->joins, sizeof s->joins, "%s", text);
    for (char *at = strtok_r(s->joins, ",", &save); at; at = strtok_r(NULL, ",", &save)) {
        if (s->conf.joins == NODE_JOINS_MAX)
            return complain("--join: too many members");
        s->conf.join[s->conf.joins++] = at;
    }
    return s->conf.joins ? 0 : complain("--join wants HOST:PORT,...");
}

static int take_repair_after(struct node_conf *c, const char *text) {
    char *end;
    errno = 0;
    long s = strtol(text, &end, 10);
    if (errno || end == text || *end || s < 0 || s > REPAIR_AFTER_S_MAX)
        return complain("--repair-after wants a number of seconds, at most a year; 0: never");
    c->repair_after_ns = s ? s * 1000 * MS : -1;
    return 0;
}

static int take(struct start *s, const char *name, const char *value) {
    struct node_conf *c = &s->conf;
    const struct {
        const char *name;
        const char **to;
    } texts[] = {{"--data", &c->dir},
                 {"--rpc", &c->rpc_addr},
                 {"--http", &c->http_addr},
                 {"--sql", &s->sql_addr},
                 {"--sql-auth", &s->sql_auth},
                 {"--region", &c->region},
                 {"--zone", &c->zone},
                 {"--clock", &s->clock_text},
                 {"--tls-cert", &s->tls.cert_file},
                 {"--tls-key", &s->tls.key_file},
                 {"--tls-ca", &s->tls.ca_file},
                 {"--test-links", &s->links_path},
                 {"--world", &s->world_name},
                 {"--clock-skew", &s->skew_path},
                 {"--log", &s->log_level}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].to = value;
            return 0;
        }
    if (strcmp(name, "--join") == 0)
        return take_joins(s, value);
    if (strcmp(name, "--repair-after") == 0)
        return take_repair_after(c, value);
    if (strcmp(name, "--stores") == 0) {
        char *end;
        s->stores = strtol(value, &end, 10);
        return *end == '\0' && s->stores >= 1 && s->stores <= NODE_STORES_MAX ? 0 : complain("--stores wants 1 to 64");
    }
    fprintf(stderr, "meridian start: there is no option %s\n", name);
    return EXIT_CONFIG;
}

static bool name_ok(const char *text) {
    return !text ||
           (strlen(text) < NODE_NAME_BYTES && text[strcspn(text, " \t\r\n")] == '\0' && strcmp(text, "-") != 0);
}

static bool loopback(const char *addr) {
    return strncmp(addr, "127.", 4) == 0 || strncmp(addr, "[::1]", 5) == 0 || strncmp(addr, "localhost:", 10) == 0;
}

/* "fd:N": whoever made the socket has answered for it. */
static bool near(const char *addr) {
    return loopback(addr) || strncmp(addr, "fd:", 3) == 0;
}

static int sql_options(struct start *s) {
    if (strcmp(s->sql_addr, "none") == 0) {
        s->sql_addr = NULL;
        return 0;
    }
    if (s->sql_auth && strcmp(s->sql_auth, "trust") != 0 && strcmp(s->sql_auth, "scram") != 0)
        return complain("--sql-auth wants trust or scram");
    s->sql_trust = s->sql_auth ? strcmp(s->sql_auth, "trust") == 0 : near(s->sql_addr);
    if (!near(s->sql_addr) && s->sql_trust)
        return complain("--sql-auth trust is for loopback addresses: others want passwords");
    if (!near(s->sql_addr) && !s->conf.tls)
        return complain("an SQL address off loopback wants TLS: give --tls-cert, --tls-key and --tls-ca");
    return 0;
}

static int parse(struct start *s, int argc, char **argv) {
    s->conf.rpc_addr = "127.0.0.1:7433";
    s->conf.http_addr = "127.0.0.1:7480";
    s->sql_addr = "127.0.0.1:7432";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bootstrap") == 0) {
            s->conf.bootstrap = true;
            continue;
        }
        if (i + 1 == argc) {
            fprintf(stderr, "meridian start: %s wants a value, or is no option\n", argv[i]);
            return EXIT_CONFIG;
        }
        int code = take(s, argv[i], argv[i + 1]);
        if (code)
            return code;
        i++;
    }
    if (!s->conf.dir)
        return complain("--data DIR is missing");
    if (strlen(s->conf.dir) > ENV_PATH_BYTES / 2)
        return complain("--data: too long a path");
    if (!name_ok(s->conf.region) || !name_ok(s->conf.zone))
        return complain("--region and --zone are words of at most 63 characters");
    if (strcmp(s->conf.http_addr, "none") == 0)
        s->conf.http_addr = NULL;
    if (s->tls.cert_file || s->tls.key_file || s->tls.ca_file) {
        if (!s->tls.cert_file || !s->tls.key_file || !s->tls.ca_file)
            return complain("TLS wants all of --tls-cert, --tls-key and --tls-ca");
        s->tls.require_peer = true;
        s->conf.tls = &s->tls;
        /* Clients of SQL show a password, not a certificate. */
        s->sql_tls = (struct env_tls_conf){.cert_file = s->tls.cert_file, .key_file = s->tls.key_file};
    }
    int code = sql_options(s);
    if (code)
        return code;
    if (!s->stores) {
        s->stores = sysconf(_SC_NPROCESSORS_ONLN);
        s->stores = s->stores < 1 ? 1 : s->stores > CORES_MAX ? CORES_MAX : s->stores;
    }
    return 0;
}

/* ---- the default clock ------------------------------------------------------------------------------------------------ */

struct ask_chrony {
    struct process *process;
    struct tt_probe *probe;
    bool answers;
};

static void on_answer(void *ctx, bool answers) {
    struct ask_chrony *a = ctx;
    a->answers = answers;
    process_stop(a->process);
}

static enum rc ask_boot(struct env *const *stores, uint16_t count, void *arg, void **ret_state, struct err *err) {
    struct ask_chrony *a = arg;
    (void)count;
    *ret_state = a;
    return tt_probe_new(stores[0], on_answer, a, &a->probe, err);
}

static void ask_stop(void *state, uint16_t store) {
    (void)state, (void)store;
}

static bool ask_stopped(void *state, uint16_t store) {
    (void)state, (void)store;
    return true;
}

static void ask_done(void *state) {
    tt_probe_free(((struct ask_chrony *)state)->probe);
}

static enum rc chrony_answers(bool *ret, struct err *err) {
    static const struct program program = {ask_boot, ask_stop, ask_stopped, ask_done};
    struct process_conf conf = {.stores = 1, .level = DIAG_OFF};
    struct ask_chrony a = {0};
    enum rc rc = process_new(&conf, &a.process, err);
    if (rc)
        return rc;
    rc = process_run(a.process, &program, &a, err);
    process_free(a.process);
    *ret = a.answers;
    return rc;
}

static enum rc choose_clock(struct start *s, struct err *err) {
    const char *text = s->clock_text;
    enum rc rc = RC_OK;
    if (!text) {
        bool answers = false;
        rc = chrony_answers(&answers, err);
        if (!rc)
            rc = tt_spec_default(answers, loopback(s->conf.rpc_addr), &text, err);
    }
    if (!rc)
        rc = tt_spec_parse(text, &s->conf.clock, err);
    if (!rc && tt_has_kind(&s->conf.clock, TT_KIND_HOST)) {
        rc = run_dir(s->host_dir, sizeof s->host_dir, err);
        s->conf.host_dir = s->host_dir;
    }
    return rc;
}

/* ---- running ------------------------------------------------------------------------------------------------------------- */

static void on_ready(void *ctx, struct node *n) {
    struct start *s = ctx;
    atomic_store(&s->node, n);
    const char *http = node_http_addr(n);
    printf("ready: sql=%s rpc=%s http=%s\n", s->sql.addr[0] ? s->sql.addr : "-", node_rpc_addr(n), http ? http : "-");
    fflush(stdout);
}

static void on_failed(void *ctx, struct node *n, enum rc rc, const struct err *err) {
    struct start *s = ctx;
    int running = -1;
    (void)n, (void)rc;
    if (atomic_compare_exchange_strong(&s->exit_code, &running, complain_err(err)))
        process_stop(s->process);
}

static void on_stopped(void *ctx) {
    struct start *s = ctx;
    int running = -1;
    atomic_compare_exchange_strong(&s->exit_code, &running, 0);
    atomic_store(&s->stopped, true);
    process_stop(s->process);
}

/* On store 0. */
static void on_stop_post(struct env_post *p) {
    struct start *s = container_of(p, struct start, stop_post);
    node_stop(atomic_load(&s->node), on_stopped, s);
}

static int64_t on_send_delay(void *ctx, const char *from_region, const char *from_zone, const char *to_region,
                             const char *to_zone) {
    const struct start *s = ctx;
    return test_links_delay(s->links, from_region, from_zone, to_region, to_zone);
}

static enum rc open_links(struct start *s, struct err *err) {
    if (!s->links_path)
        return RC_OK;
    s->conf.send_delay = on_send_delay;
    enum rc rc = test_links_open(s->links_path, &s->links, err);
    if (!rc)
        fprintf(stderr, "meridian start: TEST LINKS: what goes to other nodes is delayed as %s says\n", s->links_path);
    return rc;
}

static void look_at_links(struct start *s) {
    struct err err = {0};
    if (s->links && test_links_refresh(s->links, &err))
        fprintf(stderr, "meridian start: test links stay as they are: %s\n", err_message(&err));
}

static int wait_for_end(struct start *s, const sigset_t *ends) {
    struct timespec tick = {.tv_nsec = 50 * MS};
    bool asked = false;
    while (atomic_load(&s->exit_code) < 0) {
        if (sigtimedwait(ends, NULL, &tick) < 0) {
            look_at_links(s);
            continue;
        }
        if (asked || !atomic_load(&s->node)) { /* impatient, or not begun */
            process_stop(s->process);
            return asked ? EXIT_CONFIG : 0;
        }
        asked = true;
        s->stop_post.fn = on_stop_post;
        env_post(process_env(s->process, 0), &s->stop_post);
    }
    return atomic_load(&s->exit_code);
}

static int run(struct start *s) {
    struct process_conf conf = {.stores = (uint16_t)s->stores, .level = DIAG_INFO, .skew = s->skew_path};
    struct err err = {0};
    sigset_t ends;
    if (s->log_level && !diag_level_parse(s->log_level, &conf.level))
        return complain("--log wants debug, info, warn, error or off");
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (open_links(s, &err) != RC_OK || choose_clock(s, &err) != RC_OK ||
        process_new(&conf, &s->process, &err) != RC_OK)
        return complain_err(&err);
    s->conf.stores = conf.stores;
    struct sql_server_conf sql = {.addr = s->sql_addr,
                                  .trust = s->sql_trust,
                                  .tls = s->conf.tls ? &s->sql_tls : NULL,
                                  .version = MERIDIAN_VERSION};
    if (s->world_name || s->links_path) {
        if (world_links_init(&s->world, s->world_name, s->links_path, &err) != RC_OK)
            return complain_err(&err);
        sql.world = &s->world.world;
    }
    sql_server_init(&s->sql, &sql);
    txn_upper_init(&s->upper, sql_server_above(&s->sql));
    s->conf.upper = &s->upper;
    s->conf.on_ready = on_ready;
    s->conf.on_failed = on_failed;
    s->conf.ctx = s;
    int code;
    if (process_start(s->process, &node_program, &s->conf, &err) != RC_OK) {
        code = complain_err(&err);
    } else {
        code = wait_for_end(s, &ends);
        process_join(s->process);
    }
    process_free(s->process);
    return code;
}

int cmd_start(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help_text, stdout);
            return 0;
        }
    struct start *s = calloc(1, sizeof *s);
    if (!s)
        return complain("out of memory");
    atomic_store(&s->exit_code, -1);
    int code = parse(s, argc, argv);
    if (!code)
        code = run(s);
    test_links_free(s->links);
    free(s);
    return code;
}
