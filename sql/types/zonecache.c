/* SPDX-License-Identifier: Apache-2.0 */
/* zonecache.c: a name is matched folder by folder against what the directories list. */
#include "sql/types/zonecache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct zone_cache {
    struct env *env;
    const char *dir;
    struct arena arena;
    const struct zone *utc;
    const struct zone *zone[ZONE_CACHE_MAX];
    size_t n;
};

enum rc zone_cache_new(struct env *env, const char *dir, struct zone_cache **ret) {
    struct zone_cache *c = calloc(1, sizeof *c);
    if (!c)
        return RC_NOMEM;
    c->env = env;
    c->dir = dir;
    arena_init(&c->arena, 0);
    c->utc = zone_fixed(&c->arena, "UTC", 0);
    if (!c->utc) {
        zone_cache_free(c);
        return RC_NOMEM;
    }
    *ret = c;
    return RC_OK;
}

void zone_cache_free(struct zone_cache *c) {
    if (!c)
        return;
    arena_done(&c->arena);
    free(c);
}

const struct zone *zone_cache_utc(const struct zone_cache *c) {
    return c->utc;
}

/* The entry that a part of a name means: the same letters, the very same ones before others. */
struct match {
    const char *part;
    size_t bytes;
    char found[ZONE_NAME_BYTES];
};

static void look(void *ctx, const char *name) {
    struct match *m = ctx;
    if (strlen(name) != m->bytes || strncasecmp(name, m->part, m->bytes) != 0)
        return;
    if (!*m->found || memcmp(name, m->part, m->bytes) == 0)
        memcpy(m->found, name, m->bytes + 1);
}

/* The name as the files spell it. */
static bool spell(struct zone_cache *c, const char *name, char to[static ZONE_NAME_BYTES]) {
    char path[ENV_PATH_BYTES];
    size_t used = 0;
    for (const char *part = name;;) {
        struct match m = {.part = part, .bytes = strcspn(part, "/")};
        int n = snprintf(path, sizeof path, "%s%s%.*s", c->dir, used ? "/" : "", (int)used, to);
        if (n < 0 || (size_t)n >= sizeof path || env_dir_list(c->env, path, look, &m, NULL) || !*m.found)
            return false;
        memcpy(to + used, m.found, m.bytes + 1);
        used += m.bytes;
        if (!part[m.bytes])
            return true;
        to[used++] = '/';
        part += m.bytes + 1;
    }
}

static const struct zone *load(struct zone_cache *c, const char *name) {
    char path[ENV_PATH_BYTES];
    struct env_file *f;
    const struct zone *z = NULL;
    size_t bytes = 0;
    int n = snprintf(path, sizeof path, "%s/%s", c->dir, name);
    if (n < 0 || (size_t)n >= sizeof path || env_file_open(c->env, path, ENV_OPEN_READONLY, &f, NULL))
        return NULL;
    void *data = malloc(ZONE_FILE_BYTES_MAX);
    /* what is no zone's file (zone.tab, a directory) is refused here */
    if (data && (env_file_read(f, data, ZONE_FILE_BYTES_MAX, 0, &bytes, NULL) ||
                 zone_parse(&c->arena, name, data, bytes, &z, NULL)))
        z = NULL;
    free(data);
    env_file_close(f);
    return z;
}

const struct zone *zone_cache_find(void *cache, const char *name) {
    struct zone_cache *c = cache;
    char spelled[ZONE_NAME_BYTES];
    if (!zone_name_valid(name, strlen(name)))
        return NULL;
    if (strcasecmp(name, "utc") == 0)
        return c->utc;
    for (size_t i = 0; i < c->n; i++)
        if (strcasecmp(zone_name(c->zone[i]), name) == 0)
            return c->zone[i];
    if (c->n == ZONE_CACHE_MAX || !spell(c, name, spelled))
        return NULL;
    const struct zone *z = load(c, spelled);
    if (z)
        c->zone[c->n++] = z;
    return z;
}
