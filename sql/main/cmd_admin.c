/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_admin.c: `meridian node` and `meridian tablet`: what a cluster consists of, and moving it about. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/core.h"
#include "shard/node/node.h"
#include "shard/node/system.h"
#include "shard/store/key.h"
#include "sql/main/commands.h"
#include "sql/main/rpc_client.h"

enum { ARENA_BYTES_MAX = 64 << 20 };
static const int64_t PING_NS = 1000000000, CHANGE_NS = 70000000000;

struct admin {
    const char *command, *verb;
    const char *rpc;
    bool json;
    Node__AdminAsk ask;
    struct buf key;
};

static int complain(const struct admin *a, const struct err *err) {
    fprintf(stderr, "meridian %s: %s%s%s%s%s\n", a->command, err_message(err), err->detail[0] ? ": " : "", err->detail,
            err->hint[0] ? "\n  " : "", err->hint);
    return 1;
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

static enum rc list(struct rpc_client *c, struct arena *a, Node__Answer **ret, struct err *err) {
    ProtobufCMessage *m = NULL;
    Node__Ask *ask = arena_new(a, Node__Ask);
    if (!ask)
        return err_set(err, RC_NOMEM, "out of memory");
    node__ask__init(ask);
    ask->list = true;
    enum rc rc = rpc_call(c->rpc, c->to, NODE_TYPE_ASK, &ask->base, a, c->deadline, &m, err);
    *ret = (Node__Answer *)m;
    return rc;
}

/* How store 0 of a node is; NULL: it does not answer. */
static Node__Status *status_of(struct rpc_client *c, const char *addr, uint32_t number, struct arena *a) {
    ProtobufCMessage *m = NULL;
    Node__StatusAsk *ask = arena_new(a, Node__StatusAsk);
    struct store_addr to = {PEER_NODE_SEED + 1 + number, 0};
    if (!ask || !addr[0])
        return NULL;
    node__status_ask__init(ask);
    rpc_set_address(c->rpc, to.node, addr);
    int64_t deadline = reactor_deadline(c->reactor, PING_NS);
    return rpc_call(c->rpc, to, NODE_TYPE_STATUS, &ask->base, a, deadline, &m, NULL) == RC_OK ? (Node__Status *)m
                                                                                              : NULL;
}

/* ---- printing ---------------------------------------------------------------------------------------------------------- */

static void json_text(const char *s) {
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        if ((unsigned char)*s < 0x20)
            printf("\\u%04x", *s);
        else
            putchar(*s);
    }
    putchar('"');
}

static void key_text(ProtobufCBinaryData key, const char *nothing, struct buf *to) {
    buf_reset(to, 4096);
    if (key.len)
        key_print(key_of(key.data, key.len), to);
    else
        buf_puts(to, nothing);
}

static void members_text(const struct px_config *c, struct buf *to) {
    for (uint32_t i = 0; i < c->count; i++) {
        const struct px_member *m = &c->member[i];
        buf_printf(to, "%s%llu", i ? "," : "", (unsigned long long)(m->store >> 16));
        if (m->flags & PX_WITNESS)
            buf_puts(to, "w");
        else if (!px_is_voter(m))
            buf_puts(to, "r");
    }
    if (c->joint)
        buf_puts(to, " (changing)");
}

static void node_line(const struct admin *a, const Node__Node *n, const Node__Status *s, bool first) {
    if (!a->json) {
        printf("%-5u %-22s %-14s %-10s %-7u %-8s %-9s\n", n->node, n->rpc, n->region[0] ? n->region : "-",
               n->zone[0] ? n->zone : "-", n->stores, s ? "up" : "down", s ? s->clock_state : "-");
        return;
    }
    printf("%s{\"node\":%u,\"rpc\":", first ? "" : ",", n->node);
    json_text(n->rpc);
    printf(",\"sql\":");
    json_text(n->sql);
    printf(",\"http\":");
    json_text(n->http);
    printf(",\"region\":");
    json_text(n->region);
    printf(",\"zone\":");
    json_text(n->zone);
    printf(",\"stores\":%u,\"up\":%s,\"clock\":", n->stores, s ? "true" : "false");
    json_text(s ? s->clock_state : "");
    printf(",\"starts\":%llu}", (unsigned long long)n->starts);
}

static int node_ls(struct rpc_client *c, void *arg) {
    const struct admin *a = arg;
    struct arena mine;
    struct err err = {0};
    Node__Answer *l;
    arena_init(&mine, ARENA_BYTES_MAX);
    if (list(c, &mine, &l, &err)) {
        arena_done(&mine);
        return complain(a, &err);
    }
    if (a->json)
        printf("{\"cluster\":\"");
    else
        printf("cluster ");
    for (size_t i = 0; i < l->cluster.len; i++)
        printf("%02x", l->cluster.data[i]);
    if (a->json)
        printf("\",\"fully_replicated\":%s,\"read_replicas_complete\":%s,\"nodes\":[",
               node_fully_replicated(l) ? "true" : "false", node_reads_complete(l) ? "true" : "false");
    else
        printf(", %sfully replicated\n\n%-5s %-22s %-14s %-10s %-7s %-8s %-9s\n",
               node_fully_replicated(l) ? "" : "not yet ", "NODE", "RPC", "REGION", "ZONE", "STORES", "STATE", "CLOCK");
    for (size_t i = 0; i < l->n_nodes; i++) {
        struct arena answer;
        arena_init(&answer, ARENA_BYTES_MAX);
        node_line(a, l->nodes[i], status_of(c, l->nodes[i]->rpc, l->nodes[i]->node, &answer), i == 0);
        arena_done(&answer);
    }
    if (a->json)
        printf("]}\n");
    arena_done(&mine);
    return 0;
}

static void tablet_line(const struct admin *a, const Node__Tablet *t, bool first, struct buf *b) {
    struct px_config c = {0};
    struct buf members;
    IGNORE(px_config_decode(t->config.data, t->config.len, &c)); /* shown as it is: no members */
    buf_init(&members, 0);
    members_text(&c, &members);
    const char *who = buf_cstr(&members);
    if (a->json) {
        printf("%s{\"tablet\":%llu,\"generation\":%llu,\"leader\":%llu,\"members\":[", first ? "" : ",",
               (unsigned long long)t->tablet, (unsigned long long)t->generation, (unsigned long long)(t->leader >> 16));
        for (uint32_t i = 0; i < c.count; i++)
            printf("%s{\"node\":%llu,\"store\":%llu,\"replica\":%llu,\"voter\":%s,\"witness\":%s}", i ? "," : "",
                   (unsigned long long)(c.member[i].store >> 16), (unsigned long long)(c.member[i].store & 0xffff),
                   (unsigned long long)c.member[i].replica, px_is_voter(&c.member[i]) ? "true" : "false",
                   c.member[i].flags & PX_WITNESS ? "true" : "false");
        printf("],\"joint\":%s,\"start\":", c.joint ? "true" : "false");
        key_text(t->start, "", b);
        json_text(buf_cstr(b) ? (const char *)b->data : "");
        printf(",\"end\":");
        key_text(t->end, "", b);
        json_text(buf_cstr(b) ? (const char *)b->data : "");
        printf("}");
    } else {
        printf("%-7llu %-4llu %-7llu %-16s ", (unsigned long long)t->tablet, (unsigned long long)t->generation,
               (unsigned long long)(t->leader >> 16), who ? who : "?");
        key_text(t->start, "the beginning", b);
        printf("%s .. ", buf_cstr(b) ? (const char *)b->data : "?");
        key_text(t->end, "the end", b);
        printf("%s\n", buf_cstr(b) ? (const char *)b->data : "?");
    }
    buf_done(&members);
}

static int tablet_ls(struct rpc_client *c, void *arg) {
    const struct admin *a = arg;
    struct arena mine;
    struct err err = {0};
    struct buf b;
    Node__Answer *l;
    arena_init(&mine, ARENA_BYTES_MAX);
    if (list(c, &mine, &l, &err)) {
        arena_done(&mine);
        return complain(a, &err);
    }
    buf_init(&b, 0);
    if (a->json)
        printf("{\"fully_replicated\":%s,\"tablets\":[", node_fully_replicated(l) ? "true" : "false");
    else
        printf("%-7s %-4s %-7s %-16s %s\n", "TABLET", "GEN", "LEADER", "REPLICAS", "KEYS");
    for (size_t i = 0; i < l->n_tablets; i++)
        tablet_line(a, l->tablets[i], i == 0, &b);
    if (a->json)
        printf("]}\n");
    buf_done(&b);
    arena_done(&mine);
    return 0;
}

static int act(struct rpc_client *c, void *arg) {
    struct admin *a = arg;
    struct arena mine;
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    arena_init(&mine, ARENA_BYTES_MAX);
    a->ask.verb = (char *)(uintptr_t)a->verb;
    int64_t deadline = reactor_deadline(c->reactor, CHANGE_NS);
    enum rc rc = rpc_call(c->rpc, c->to, NODE_TYPE_ADMIN, &a->ask.base, &mine, deadline, &m, &err);
    if (!rc)
        printf("%s\n", ((Node__AdminAnswer *)m)->text);
    arena_done(&mine);
    return rc ? complain(a, &err) : 0;
}

/* ---- keys --------------------------------------------------------------------------------------------------------------- */

static bool key_part_text(const char **at, struct buf *key) {
    struct key_part part = {.col = col_of(COL_TEXT)};
    struct buf text;
    buf_init(&text, KEY_BYTES_MAX);
    const char *s = *at + 1;
    for (; *s && (*s != '\'' || s[1] == '\''); s++) {
        buf_putc(&text, (uint8_t)*s);
        s += *s == '\'';
    }
    struct value v = value_text((const char *)text.data, text.len);
    bool ok = *s == '\'' && !buf_rc(&text) && key_put(key, &part, &v, NULL) == RC_OK;
    *at = s + 1;
    buf_done(&text);
    return ok;
}

static bool key_part_int(const char **at, struct buf *key) {
    struct key_part part = {.col = col_of(COL_INT8)};
    char *end;
    struct value v = value_int(strtoll(*at, &end, 10));
    bool ok = end != *at && key_put(key, &part, &v, NULL) == RC_OK;
    *at = end;
    return ok;
}

static bool key_hex(const char *text, struct buf *key) {
    static const char digits[] = "0123456789abcdef";
    for (const char *s = text + 2;; s += 2) {
        if (*s == '\'')
            return s[1] == '\0' && key->len > 0;
        const char *hi = *s ? strchr(digits, *s) : NULL, *lo = hi && s[1] ? strchr(digits, s[1]) : NULL;
        if (!lo)
            return false;
        buf_putc(key, (uint8_t)((hi - digits) << 4 | (lo - digits)));
    }
}

/* As key_print shows it, where that tells the type. */
static bool parse_key(const char *text, struct buf *key) {
    buf_init(key, KEY_BYTES_MAX);
    if (text[0] == 'x' && text[1] == '\'')
        return key_hex(text, key) && !buf_rc(key);
    for (const char *at = text;; at++) {
        if (!(*at == '\'' ? key_part_text(&at, key) : key_part_int(&at, key)))
            return false;
        if (*at == '\0')
            return !buf_rc(key);
        if (*at != '/')
            return false;
    }
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

static bool number(const char *text, uint64_t *ret) {
    char *end;
    *ret = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static const char node_help[] = "meridian node: the nodes of a cluster\n\n"
                                "usage: meridian node ls [--rpc HOST:PORT] [--json]\n\n"
                                "  --rpc HOST:PORT   any node of the cluster (127.0.0.1:7433)\n";
static const char tablet_help[] =
    "meridian tablet: the tablets of a cluster\n\n"
    "usage: meridian tablet ls [--rpc HOST:PORT] [--json]\n"
    "       meridian tablet transfer-leader TABLET --to NODE [--rpc HOST:PORT]\n"
    "       meridian tablet move TABLET --from NODE --to NODE [--rpc HOST:PORT]\n"
    "       meridian tablet split TABLET [--key KEY] [--rpc HOST:PORT]\n\n"
    "ls shows each tablet's replicas by their nodes: 3 votes, 4r only serves reads, 5w only votes.\n\n"
    "  --key KEY         where the right half begins: the numbers and 'texts' of a key as\n"
    "                    tablet ls shows it, 16384/42/'ab', or x'HEX'; else in the middle\n"
    "  --rpc HOST:PORT   any node of the cluster (127.0.0.1:7433)\n";

static int parse(struct admin *a, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        uint64_t n;
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--json") == 0)
            a->json = true;
        else if (strcmp(argv[i], "--rpc") == 0 && more)
            a->rpc = argv[++i];
        else if (strcmp(argv[i], "--to") == 0 && more && number(argv[i + 1], &n))
            a->ask.to_node = (uint32_t)n, i++;
        else if (strcmp(argv[i], "--from") == 0 && more && number(argv[i + 1], &n))
            a->ask.from_node = (uint32_t)n, i++;
        else if (strcmp(argv[i], "--key") == 0 && more && !a->key.len) {
            if (!parse_key(argv[++i], &a->key)) {
                fprintf(stderr, "meridian %s: \"%s\" is no key; see meridian %s --help\n", a->command, argv[i],
                        a->command);
                return 1;
            }
            a->ask.key = (ProtobufCBinaryData){a->key.len, a->key.data};
        } else if (argv[i][0] != '-' && !a->verb)
            a->verb = argv[i];
        else if (a->verb && number(argv[i], &n))
            a->ask.tablet = n;
        else {
            fprintf(stderr, "meridian %s: \"%s\" is not understood; see meridian %s --help\n", a->command, argv[i],
                    a->command);
            return 1;
        }
    }
    return 0;
}

static int admin_main(int argc, char **argv, const char *command, const char *help) {
    struct admin a = {.command = command, .rpc = "127.0.0.1:7433"};
    node__admin_ask__init(&a.ask);
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
    if (parse(&a, argc, argv))
        return 1;
    bool tablet = strcmp(command, "tablet") == 0;
    if (a.verb && strcmp(a.verb, "ls") == 0)
        return rpc_client_run(command, a.rpc, tablet ? tablet_ls : node_ls, &a);
    bool moves = a.verb && strcmp(a.verb, "move") == 0;
    if (tablet && a.ask.tablet && a.verb && strcmp(a.verb, "split") == 0) {
        int rc = rpc_client_run(command, a.rpc, act, &a);
        buf_done(&a.key);
        return rc;
    }
    if (tablet && a.ask.tablet && a.ask.to_node &&
        (moves ? a.ask.from_node != 0 : a.verb && strcmp(a.verb, "transfer-leader") == 0))
        return rpc_client_run(command, a.rpc, act, &a);
    fputs(help, stderr);
    return 1;
}

int cmd_node(int argc, char **argv) {
    return admin_main(argc, argv, "node", node_help);
}

int cmd_tablet(int argc, char **argv) {
    return admin_main(argc, argv, "tablet", tablet_help);
}
