/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: what holds together is copied whole, what does not is refused; the catalog in memory that other tests use. */
#include "sql/catalog/catalog.h"

#include <string.h>

#include "tests/lib/memcat.h"
#include "tests/lib/tap.h"

static void a_copy_stands_alone(void) {
    struct memcat *m = memcat_new();
    memcat_table(m, "t", "a int4 not null, b varchar(10) default 'x,y', c numeric(10,2), d int4[]", "a desc");
    memcat_check(m, "t", "t_b_check", "b <> 'z'");
    memcat_index(m, "t", "t_b", "b, c desc", "c > 0", MEMCAT_UNIQUE);
    const struct cat_table *t = memcat_index(m, "t", "t_c", "c", NULL, MEMCAT_GLOBAL | MEMCAT_UNIQUE);
    struct cat_table *copy;
    struct err err;
    EQ_INT(cat_table_new(t, &copy, &err), RC_OK);
    const struct table *store = copy->store;
    memcat_free(m);

    EQ_STR(copy->name, "t");
    EQ_STR(copy->schema_name, "public");
    EQ_STR(copy->key_name, "t_pkey");
    EQ_INT(copy->version, 4);
    EQ_INT(copy->columns, 4);
    EQ_STR(copy->column[1].default_sql, "'x,y'");
    EQ_INT(col_length_max(&copy->column[1].type), 10);
    EQ_INT(copy->column[3].type.elem, COL_INT4);
    EQ_INT(copy->keys, 1);
    OK(copy->key[0].desc);
    EQ_INT(copy->indexes, 2);
    EQ_STR(copy->index[0].where_sql, "c > 0");
    OK(copy->index[0].part[1].desc);
    EQ_INT(copy->index[1].store->n_key, 1);
    EQ_STR(copy->check[0].sql, "b <> 'z'");
    EQ_INT(store->n_cols, 4);
    EQ_INT(store->n_indexes, 1);
    EQ_INT(cat_column_find(copy, "d"), 3);
    EQ_INT(cat_column_find(copy, "e"), -1);
    OK(cat_table_ref(copy) == copy);
    cat_table_unref(copy);
    EQ_INT(copy->refs, 1);
    cat_table_unref(copy);
    cat_table_unref(NULL);
}

/* Each change of a good descriptor that breaks it. */
static void what_does_not_hold_together_is_refused(void) {
    struct memcat *m = memcat_new();
    memcat_table(m, "t", "a int4 not null, b text", "a");
    const struct cat_table *good = memcat_index(m, "t", "t_b", "b", NULL, 0);
    struct cat_column column[2];
    struct cat_index index[1];
    struct cat_part part[1];
    for (int what = 0; what < 14; what++) {
        struct cat_table t = *good, *ret = NULL;
        struct err err;
        memcpy(column, good->column, sizeof column);
        memcpy(index, good->index, sizeof index);
        part[0] = good->index[0].part[0];
        index[0].part = part;
        t.column = column;
        t.index = index;
        if (what == 0)
            t.name = "";
        else if (what == 1)
            t.id = 0;
        else if (what == 2)
            t.version = 0;
        else if (what == 3)
            t.kind = 'x';
        else if (what == 4)
            column[1].name = "a";
        else if (what == 5)
            column[1].id = column[0].id;
        else if (what == 6)
            column[1].type.type = 99;
        else if (what == 7)
            column[1].identity = 'a';
        else if (what == 8)
            t.store = NULL;
        else if (what == 9)
            t.columns = 1;
        else if (what == 10)
            part[0].col = 2;
        else if (what == 11)
            column[1].dropped = true;
        else if (what == 12)
            index[0].parts = 0;
        else
            t.name = "a_name_that_is_longer_than_the_sixty_three_bytes_that_names_may_have";
        OKF(cat_table_new(&t, &ret, &err) == RC_INVAL && !ret, "change %d", what);
    }
    memcat_free(m);
}

static void looking_up(void) {
    struct memcat *m = memcat_new();
    struct cat_source *s = memcat_source(m);
    memcat_table(m, "t", "a int4", NULL);
    memcat_table(m, "pg_catalog.pg_class", "oid oid not null, relname name", NULL);
    const struct cat_table *t;
    struct cat_schema schema;
    EQ_INT(s->ops->table(s, MEMCAT_PUBLIC, "t", &t, NULL), RC_OK);
    OK(t && t->columns == 2 && t->column[1].hidden);
    cat_table_unref(t);
    EQ_INT(s->ops->table(s, MEMCAT_PUBLIC, "pg_class", &t, NULL), RC_OK);
    OK(!t);
    EQ_INT(s->ops->table(s, MEMCAT_PG_CATALOG, "pg_class", &t, NULL), RC_OK);
    OK(t && t->kind == CAT_SYSTEM);
    uint32_t id = t->id;
    cat_table_unref(t);
    EQ_INT(s->ops->table_by_id(s, id, &t, NULL), RC_OK);
    EQ_STR(t->name, "pg_class");
    cat_table_unref(t);
    EQ_INT(s->ops->schema(s, "public", &schema, NULL), RC_OK);
    EQ_INT(schema.id, MEMCAT_PUBLIC);
    EQ_INT(s->ops->schema(s, "nowhere", &schema, NULL), RC_OK);
    EQ_INT(schema.id, 0);
    memcat_free(m);
}

int main(void) {
    RUN(a_copy_stands_alone);
    RUN(what_does_not_hold_together_is_refused);
    RUN(looking_up);
    return tap_done();
}
