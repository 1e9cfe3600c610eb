/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_identity.c: two small text files in the data directory.
 *
 *     identity   meridian 1 / cluster HEX / node N / stores N / starts N / region R / zone Z / crc32c HEX (of the lines before)
 *     peers      node N ADDR, root STORE ...: hints only
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/node/node_internal.h"
#include "truetime/base/crc32c.h"

enum { FILE_BYTES_MAX = 64 << 10 };

static enum rc file_text(struct env *env, const char *dir, const char *name, char *to, size_t cap, struct err *err) {
    char path[ENV_PATH_BYTES];
    struct env_file *f;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    enum rc rc = env_file_open(env, path, ENV_OPEN_READONLY, &f, err);
    if (rc)
        return rc;
    rc = env_file_read(f, to, cap - 1, 0, &n, err);
    env_file_close(f);
    to[rc ? 0 : n] = '\0';
    return rc;
}

static bool hex_parse(const char *text, uint8_t *to, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        unsigned x;
        if (sscanf(text + 2 * i, "%2x", &x) != 1)
            return false;
        to[i] = (uint8_t)x;
    }
    return true;
}

enum rc identity_read(struct env *env, const char *dir, struct identity *ret, struct err *err) {
    char text[1024], hex[2 * CLUSTER_BYTES + 1], region[NODE_NAME_BYTES + 1], zone[NODE_NAME_BYTES + 1];
    unsigned node, stores, crc;
    unsigned long long starts;
    int body = 0, end = 0;
    enum rc rc = file_text(env, dir, "identity", text, sizeof text, err);
    if (rc)
        return rc;
    /* A region or zone may be empty: told as "-". */
    int n = sscanf(text,
                   "meridian 1\ncluster %32s\nnode %u\nstores %u\nstarts %llu\nregion %64s\nzone %64s\n%ncrc32c %x\n%n",
                   hex, &node, &stores, &starts, region, zone, &body, &crc, &end);
    struct identity id = {.node = node, .stores = (uint16_t)stores, .starts = starts};
    if (n != 7 || end == 0 || crc != crc32c(0, text, (size_t)body) || !hex_parse(hex, id.cluster, CLUSTER_BYTES) ||
        node == 0 || node >= PEER_NODE_SEED || stores == 0 || stores > NODE_STORES_MAX ||
        strlen(region) >= NODE_NAME_BYTES || strlen(zone) >= NODE_NAME_BYTES) {
        err_set(err, RC_CORRUPT, "%s/identity is damaged", dir);
        err_hint(err, "If the disk was lost, give the node an empty directory and let it join anew.");
        return RC_CORRUPT;
    }
    snprintf(id.region, sizeof id.region, "%s", strcmp(region, "-") == 0 ? "" : region);
    snprintf(id.zone, sizeof id.zone, "%s", strcmp(zone, "-") == 0 ? "" : zone);
    *ret = id;
    return RC_OK;
}

enum rc identity_write(struct reactor *r, const char *dir, const struct identity *id, struct err *err) {
    char text[1024], hex[2 * CLUSTER_BYTES + 1];
    for (size_t i = 0; i < CLUSTER_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", id->cluster[i]);
    int n = snprintf(text, sizeof text, "meridian 1\ncluster %s\nnode %u\nstores %u\nstarts %llu\nregion %s\nzone %s\n",
                     hex, id->node, id->stores, (unsigned long long)id->starts, id->region[0] ? id->region : "-",
                     id->zone[0] ? id->zone : "-");
    CHECK(n > 0 && (size_t)n < sizeof text - 32);
    n += snprintf(text + n, sizeof text - (size_t)n, "crc32c %08x\n", crc32c(0, text, (size_t)n));
    return file_replace(r, dir, "identity", text, (size_t)n, err);
}

void peers_read(struct env *env, const char *dir, struct directory *d) {
    char *text = malloc(FILE_BYTES_MAX);
    uint64_t root[DIRECTORY_ROOT_MAX];
    size_t roots = 0;
    if (!text || file_text(env, dir, "peers", text, FILE_BYTES_MAX, NULL) != RC_OK) {
        free(text);
        return;
    }
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned node;
        unsigned long long store;
        char addr[ADDR_BYTES];
        if (sscanf(line, "node %u %127s", &node, addr) == 2) {
            Node__Node desc = NODE__NODE__INIT, *list = &desc;
            Node__Answer a = NODE__ANSWER__INIT;
            desc.node = node;
            desc.rpc = addr;
            a.n_nodes = 1;
            a.nodes = &list;
            directory_learn(d, &a);
        } else if (sscanf(line, "root %llu", &store) == 1 && roots < DIRECTORY_ROOT_MAX) {
            root[roots++] = store;
        }
    }
    if (roots)
        directory_set_root(d, root, roots);
    free(text);
}

void peers_write(struct reactor *r, const char *dir, const struct directory *d, uint64_t *written) {
    struct buf b;
    uint64_t root[DIRECTORY_ROOT_MAX];
    struct err err = {0};
    buf_init(&b, FILE_BYTES_MAX - 1);
    for (size_t i = 0; i < directory_nodes(d); i++) {
        const Node__Node *n = directory_node_at(d, i);
        buf_printf(&b, "node %u %s\n", n->node, n->rpc);
    }
    size_t roots = directory_root(d, root, DIRECTORY_ROOT_MAX);
    for (size_t i = 0; i < roots; i++)
        buf_printf(&b, "root %llu\n", (unsigned long long)root[i]);
    uint64_t hash = buf_rc(&b) ? 0 : hash_bytes(b.data, b.len, 0) | 1;
    enum rc rc = buf_rc(&b);
    if (!rc && hash != *written) {
        rc = file_replace(r, dir, "peers", b.data, b.len, &err);
        *written = rc ? 0 : hash;
    }
    if (rc && rc != RC_SHUTDOWN && rc != RC_CANCELLED)
        diag_warn(&reactor_env(r)->diag, "node: addresses of peers not written", "reason=\"%s\"", err_message(&err));
    buf_done(&b);
}
