/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/memcat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TABLES_MAX = 200, WORD_BYTES = 64, FIRST_SEQUENCE = 100 };

struct memcat {
    struct cat_source source; /* first */
    struct arena arena;       /* of what is only needed while a descriptor is made */
    uint32_t next_id;
    const struct cat_table *table[TABLES_MAX];
    size_t tables;
    /* Older versions, which tests may still hold. */
    const struct cat_table *old[TABLES_MAX];
    size_t olds;
};

static void *take(struct memcat *m, size_t count, size_t size) {
    void *p = arena_zalloc(&m->arena, count * size + 1);
    CHECK(p);
    return p;
}

static char *text_of(struct memcat *m, const char *from, size_t n) {
    char *s = take(m, n + 1, 1);
    memcpy(s, from, n);
    return s;
}

/* ---- descriptions ------------------------------------------------------------------------------------------------ */

static const char *skip(const char *s) {
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

static bool word(const char **s, const char *want) {
    const char *at = skip(*s);
    size_t n = strlen(want);
    if (strncasecmp(at, want, n) != 0 || isalnum((unsigned char)at[n]) || at[n] == '_')
        return false;
    *s = skip(at + n);
    return true;
}

static void name_of(const char **s, char ret[static WORD_BYTES]) {
    size_t n = 0;
    *s = skip(*s);
    while (isalnum((unsigned char)**s) || **s == '_' || (n && **s == '"') || (!n && **s == '"')) {
        CHECK(n < WORD_BYTES - 1);
        if (**s != '"')
            ret[n++] = **s;
        (*s)++;
    }
    ret[n] = 0;
    CHECKF(n, "a name is missing at: %s", *s);
    *s = skip(*s);
}

static const struct {
    const char *name;
    uint8_t type;
} type_names[] = {
    {"bool", COL_BOOL},           {"boolean", COL_BOOL},      {"int2", COL_INT2},
    {"smallint", COL_INT2},       {"int4", COL_INT4},         {"int", COL_INT4},
    {"integer", COL_INT4},        {"serial", COL_INT4},       {"int8", COL_INT8},
    {"bigint", COL_INT8},         {"float4", COL_FLOAT4},     {"real", COL_FLOAT4},
    {"float8", COL_FLOAT8},       {"numeric", COL_NUMERIC},   {"text", COL_TEXT},
    {"name", COL_TEXT},           {"varchar", COL_VARCHAR},   {"char", COL_CHAR},
    {"bytea", COL_BYTEA},         {"date", COL_DATE},         {"time", COL_TIME},
    {"timestamp", COL_TIMESTAMP}, {"uuid", COL_UUID},         {"timestamptz", COL_TIMESTAMPTZ},
    {"json", COL_JSON},           {"interval", COL_INTERVAL}, {"oid", COL_OID},
    {"jsonb", COL_JSONB},
};

static struct col type_of(const char **s) {
    char name[WORD_BYTES];
    struct col c = col_of(COL_NONE);
    name_of(s, name);
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (strcasecmp(type_names[i].name, name) == 0)
            c = col_of(type_names[i].type);
    CHECKF(c.type, "no such type: %s", name);
    if (**s == '(') {
        char *end;
        long a = strtol(*s + 1, &end, 10), b = 0;
        if (*end == ',')
            b = strtol(end + 1, &end, 10);
        CHECK(*end == ')');
        *s = end + 1;
        c = c.type == COL_NUMERIC                         ? col_numeric((int)a, (int)b)
            : c.type == COL_VARCHAR || c.type == COL_CHAR ? col_length(c.type, (int)a)
                                                          : (struct col){.type = c.type, .typmod = (int32_t)a};
    } else if (c.type == COL_CHAR) {
        c = col_length(COL_CHAR, 1);
    }
    if (strncmp(*s, "[]", 2) == 0) {
        *s += 2;
        c = col_array_of(c);
    }
    *s = skip(*s);
    return c;
}

/* To the comma that ends the column, or the end. */
static const char *expression_end(const char *s) {
    int depth = 0;
    bool quoted = false;
    for (; *s; s++) {
        if (*s == '\'')
            quoted = !quoted;
        else if (!quoted && *s == '(')
            depth++;
        else if (!quoted && *s == ')')
            depth--;
        else if (!quoted && depth == 0 && *s == ',')
            break;
    }
    return s;
}

static void column_of(struct memcat *m, const char *table, const char **s, struct cat_column *c) {
    char name[WORD_BYTES];
    name_of(s, name);
    c->name = text_of(m, name, strlen(name));
    bool serial = strncasecmp(*s, "serial", 6) == 0;
    c->type = type_of(s);
    if (serial) {
        c->not_null = true;
        c->sequence = FIRST_SEQUENCE + c->id;
        c->default_sql = arena_printf(&m->arena, "nextval('%s_%s_seq'::regclass)", table, name);
        CHECK(c->default_sql);
    }
    for (;;) {
        if (word(s, "not")) {
            CHECK(word(s, "null"));
            c->not_null = true;
        } else if (word(s, "identity")) {
            c->identity = word(s, "always") ? 'a' : 'd';
            if (c->identity == 'd')
                CHECK(word(s, "by") && word(s, "default"));
            c->sequence = FIRST_SEQUENCE + c->id;
            c->not_null = true;
        } else if (word(s, "default")) {
            const char *end = expression_end(*s);
            c->default_sql = text_of(m, *s, (size_t)(end - *s));
            *s = end;
        } else {
            break;
        }
    }
}

static uint16_t parts_of(struct memcat *m, const struct cat_table *t, const char *s, struct cat_part **ret) {
    uint16_t n = 0;
    *ret = take(m, TABLE_KEY_MAX, sizeof **ret);
    do {
        char name[WORD_BYTES];
        CHECK(n < TABLE_KEY_MAX);
        name_of(&s, name);
        int col = cat_column_find(t, name);
        CHECKF(col >= 0, "no such column: %s", name);
        (*ret)[n++] = (struct cat_part){.col = (uint16_t)col, .desc = word(&s, "desc")};
    } while (*s++ == ',');
    return n;
}

/* ---- stores ---------------------------------------------------------------------------------------------------------- */

static struct table_part *store_parts(struct memcat *m, const struct cat_part *p, uint16_t n) {
    struct table_part *to = take(m, n, sizeof *to);
    for (uint16_t i = 0; i < n; i++)
        to[i] = (struct table_part){.col = p[i].col, .desc = p[i].desc};
    return to;
}

static struct table *store_of(struct memcat *m, const struct cat_table *t) {
    struct table_col *cols = take(m, t->columns, sizeof *cols);
    struct table_index *index = take(m, t->indexes, sizeof *index);
    struct table s = {.id = t->id, .group = t->id, .version = t->version, .n_cols = t->columns, .n_key = t->keys};
    for (uint16_t i = 0; i < t->columns; i++)
        cols[i] = (struct table_col){.id = t->column[i].id,
                                     .col = t->column[i].type,
                                     .not_null = t->column[i].not_null,
                                     .hidden = t->column[i].hidden,
                                     .missing = value_null()};
    for (uint16_t i = 0; i < t->indexes; i++)
        if (t->index[i].kind == CAT_INDEX_LOCAL)
            index[s.n_indexes++] = (struct table_index){.id = t->index[i].id,
                                                        .n_parts = t->index[i].parts,
                                                        .parts = store_parts(m, t->index[i].part, t->index[i].parts)};
    s.cols = cols;
    s.key = store_parts(m, t->key, t->keys);
    s.indexes = index;
    struct table *ret;
    struct err err;
    CHECKF(table_new(&s, &ret, &err) == RC_OK, "%s", err_message(&err));
    return ret;
}

/* A global index is a table of its own: the parts, then the rest of the key. */
static struct table *index_store(struct memcat *m, const struct cat_table *t, const struct cat_index *x) {
    struct table_col *cols = take(m, (size_t)x->parts + t->keys, sizeof *cols);
    struct table_part *key = take(m, (size_t)x->parts + t->keys, sizeof *key);
    struct table s = {.id = x->id, .group = x->id, .version = 1};
    for (uint16_t i = 0; i < x->parts + t->keys; i++) {
        const struct cat_part *p = i < x->parts ? &x->part[i] : &t->key[i - x->parts];
        const struct cat_column *c = &t->column[p->col];
        bool there = false;
        for (uint16_t j = 0; j < s.n_cols; j++)
            there = there || cols[j].id == c->id;
        if (there)
            continue;
        cols[s.n_cols] = (struct table_col){
            .id = c->id, .col = c->type, .not_null = c->not_null, .hidden = c->hidden, .missing = value_null()};
        if (i < x->parts || !x->unique)
            key[s.n_key++] = (struct table_part){.col = s.n_cols, .desc = p->desc};
        s.n_cols++;
    }
    s.cols = cols;
    s.key = key;
    struct table *ret;
    struct err err;
    CHECKF(table_new(&s, &ret, &err) == RC_OK, "%s", err_message(&err));
    return ret;
}

/* ---- the catalog ------------------------------------------------------------------------------------------------------ */

static const struct cat_table *find(struct memcat *m, uint32_t schema, const char *name) {
    for (size_t i = 0; i < m->tables; i++)
        if (m->table[i]->schema == schema && strcmp(m->table[i]->name, name) == 0)
            return m->table[i];
    return NULL;
}

static enum rc source_table(struct cat_source *s, uint32_t schema, const char *name, const struct cat_table **ret,
                            struct err *err) {
    (void)err;
    const struct cat_table *t = find((struct memcat *)s, schema, name);
    *ret = t ? cat_table_ref(t) : NULL;
    return RC_OK;
}

static enum rc source_by_id(struct cat_source *s, uint32_t id, const struct cat_table **ret, struct err *err) {
    struct memcat *m = (struct memcat *)s;
    (void)err;
    *ret = NULL;
    for (size_t i = 0; i < m->tables && !*ret; i++)
        if (m->table[i]->id == id)
            *ret = cat_table_ref(m->table[i]);
    return RC_OK;
}

/* Tables, their indexes, and the sequences of serial columns (t_col_seq). */
static enum rc source_relation(struct cat_source *s, uint32_t schema, const char *name, uint32_t *ret,
                               struct err *err) {
    struct memcat *m = (struct memcat *)s;
    (void)err;
    *ret = 0;
    for (size_t i = 0; i < m->tables && !*ret; i++) {
        const struct cat_table *t = m->table[i];
        if (t->schema != schema)
            continue;
        if (strcmp(t->name, name) == 0)
            *ret = t->id;
        for (uint16_t k = 0; k < t->indexes && !*ret; k++)
            if (strcmp(t->index[k].name, name) == 0)
                *ret = t->index[k].id;
        for (uint16_t k = 0; k < t->columns && !*ret; k++) {
            char seq[3 * CAT_NAME_BYTES_MAX];
            snprintf(seq, sizeof seq, "%s_%s_seq", t->name, t->column[k].name);
            if (t->column[k].sequence && strcmp(seq, name) == 0)
                *ret = t->column[k].sequence;
        }
    }
    return RC_OK;
}

static const struct {
    const char *name;
    uint32_t id;
} schemas[] = {
    {"pg_catalog", MEMCAT_PG_CATALOG}, {"public", MEMCAT_PUBLIC}, {"information_schema", MEMCAT_INFORMATION_SCHEMA}};

static enum rc source_schema(struct cat_source *s, const char *name, struct cat_schema *ret, struct err *err) {
    (void)s;
    (void)err;
    *ret = (struct cat_schema){0};
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++)
        if (strcmp(schemas[i].name, name) == 0) {
            ret->id = schemas[i].id;
            snprintf(ret->name, sizeof ret->name, "%s", name);
        }
    return RC_OK;
}

static const struct cat_source_ops ops = {
    .table = source_table, .table_by_id = source_by_id, .schema = source_schema, .relation = source_relation};

struct memcat *memcat_new(void) {
    struct memcat *m = calloc(1, sizeof *m);
    CHECK(m);
    m->source = (struct cat_source){.ops = &ops, .version = 1};
    m->next_id = CAT_ID_USER;
    arena_init(&m->arena, 0);
    return m;
}

void memcat_free(struct memcat *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->tables; i++)
        cat_table_unref(m->table[i]);
    for (size_t i = 0; i < m->olds; i++)
        cat_table_unref(m->old[i]);
    arena_done(&m->arena);
    free(m);
}

struct cat_source *memcat_source(struct memcat *m) {
    return &m->source;
}

static const struct cat_table *put(struct memcat *m, struct cat_table *t) {
    struct cat_table *made;
    struct err err;
    struct table *store = t->kind == CAT_TABLE ? store_of(m, t) : NULL;
    t->store = store;
    CHECKF(cat_table_new(t, &made, &err) == RC_OK, "%s: %s", t->name, err_message(&err));
    table_unref(store);
    m->source.version++;
    for (size_t i = 0; i < m->tables; i++)
        if (m->table[i]->id == made->id) {
            CHECK(m->olds < TABLES_MAX);
            m->old[m->olds++] = m->table[i];
            m->table[i] = made;
            return made;
        }
    CHECK(m->tables < TABLES_MAX);
    m->table[m->tables++] = made;
    return made;
}

/* Room is left for one more. */
static struct cat_column *columns_of(struct memcat *m, struct cat_table *t, const char *columns) {
    struct cat_column *c = take(m, TABLE_COLUMNS_MAX, sizeof *c);
    const char *s = skip(columns);
    while (*s) {
        CHECK(t->columns < TABLE_COLUMNS_MAX - 1);
        c[t->columns].id = t->columns + 1U;
        column_of(m, t->name, &s, &c[t->columns++]);
        CHECKF(*s == ',' || !*s, "what is this: %s", s);
        if (*s == ',')
            s = skip(s + 1);
    }
    t->column = c;
    return c;
}

const struct cat_table *memcat_table(struct memcat *m, const char *name, const char *columns, const char *key) {
    const char *dot = strchr(name, '.');
    struct cat_table t = {.id = m->next_id++, .schema = MEMCAT_PUBLIC, .version = 1, .kind = CAT_TABLE, .owner = 10};
    t.schema_name = "public";
    t.name = dot ? dot + 1 : name;
    for (size_t i = 0; dot && i < ARRAY_LEN(schemas); i++)
        if (strncmp(schemas[i].name, name, (size_t)(dot - name)) == 0) {
            t.schema = schemas[i].id;
            t.schema_name = schemas[i].name;
        }
    if (t.schema != MEMCAT_PUBLIC)
        t.kind = CAT_SYSTEM;
    CHECK(!find(m, t.schema, t.name));
    struct cat_column *c = columns_of(m, &t, columns);
    if (t.kind == CAT_TABLE && !key) {
        struct cat_part *p = take(m, 1, sizeof *p);
        p->col = t.columns++;
        c[p->col] = (struct cat_column){.name = "_key",
                                        .id = t.columns,
                                        .type = col_of(COL_UUID),
                                        .not_null = true,
                                        .hidden = true,
                                        .default_sql = "gen_random_uuid()"};
        t.key = p;
        t.keys = 1;
    } else if (t.kind == CAT_TABLE) {
        struct cat_part *p;
        t.keys = parts_of(m, &t, key, &p);
        t.key = p;
        t.key_name = arena_printf(&m->arena, "%s_pkey", t.name);
        CHECK(t.key_name);
        for (uint16_t i = 0; i < t.keys; i++)
            c[p[i].col].not_null = true;
    }
    return put(m, &t);
}

const struct cat_table *memcat_view(struct memcat *m, const char *name, const char *columns, const char *sql) {
    struct cat_table t = {.id = m->next_id++, .schema = MEMCAT_PUBLIC, .version = 1, .kind = CAT_VIEW, .owner = 10};
    t.schema_name = "public";
    t.name = name;
    t.view_sql = sql;
    columns_of(m, &t, columns);
    return put(m, &t);
}

const struct cat_table *memcat_find(struct memcat *m, const char *name) {
    for (size_t i = 0; i < m->tables; i++)
        if (strcmp(m->table[i]->name, name) == 0)
            return m->table[i];
    return NULL;
}

static struct cat_table next_version(struct memcat *m, const char *table) {
    const struct cat_table *t = memcat_find(m, table);
    CHECKF(t, "no such table: %s", table);
    struct cat_table n = *t;
    n.version++;
    return n;
}

const struct cat_table *memcat_index(struct memcat *m, const char *table, const char *name, const char *columns,
                                     const char *where, unsigned flags) {
    struct cat_table t = next_version(m, table);
    struct cat_index *x = take(m, t.indexes + 1U, sizeof *x), *new = &x[t.indexes];
    struct cat_part *p;
    if (t.indexes)
        memcpy(x, t.index, t.indexes * sizeof *x);
    *new = (struct cat_index){.name = name,
                              .id = m->next_id++,
                              .kind = flags & MEMCAT_GLOBAL ? CAT_INDEX_GLOBAL : CAT_INDEX_LOCAL,
                              .state = CAT_PUBLIC,
                              .unique = flags & MEMCAT_UNIQUE,
                              .constraint = flags & MEMCAT_CONSTRAINT,
                              .where_sql = where};
    new->parts = parts_of(m, &t, columns, &p);
    new->part = p;
    struct table *store = flags & MEMCAT_GLOBAL ? index_store(m, &t, new) : NULL;
    new->store = store;
    t.index = x;
    t.indexes++;
    const struct cat_table *made = put(m, &t);
    table_unref(store);
    return made;
}

const struct cat_table *memcat_check(struct memcat *m, const char *table, const char *name, const char *sql) {
    struct cat_table t = next_version(m, table);
    struct cat_check *c = take(m, t.checks + 1U, sizeof *c);
    if (t.checks)
        memcpy(c, t.check, t.checks * sizeof *c);
    c[t.checks++] = (struct cat_check){.name = name, .sql = sql, .validated = true};
    t.check = c;
    return put(m, &t);
}
