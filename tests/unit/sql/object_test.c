/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the catalog as bytes: they come back as they were; bytes from anywhere are refused or hold together. */
#include "sql/catalog/object.h"

#include <string.h>

#include "tests/lib/memcat.h"
#include "tests/lib/tap.h"

static struct cat_object head_of(const struct cat_object *o) {
    struct cat_object h = {
        .id = o->id, .kind = o->kind, .database = o->database, .schema = o->schema, .changed = o->changed};
    memcpy(h.name, o->name, sizeof h.name);
    return h;
}

static struct cat_object *again(const struct cat_object *o, struct buf *bytes) {
    struct cat_object h = head_of(o), *back = NULL;
    struct buf second;
    struct err err = {0};
    cat_object_encode(o, bytes);
    EQ_INT(buf_rc(bytes), RC_OK);
    EQ_INT(cat_object_decode(&h, bytes->data, bytes->len, &back, &err), RC_OK);
    if (!back) {
        tap_diag("%s: %s", err.message, err.detail);
        return NULL;
    }
    buf_init(&second, 0);
    cat_object_encode(back, &second);
    EQ_MEM(second.data, second.len, bytes->data, bytes->len);
    buf_done(&second);
    return back;
}

static struct cat_object table_object(struct memcat *m) {
    memcat_table(m, "t", "a int4 not null, b varchar(10) default 'x,y', c numeric(10,2), d int4[]", "a desc");
    memcat_check(m, "t", "t_b_check", "b <> 'z'");
    memcat_index(m, "t", "t_b", "b, c desc", "c > 0", MEMCAT_UNIQUE);
    const struct cat_table *t = memcat_index(m, "t", "t_c", "c", NULL, MEMCAT_GLOBAL | MEMCAT_UNIQUE);
    struct cat_object o = {.id = t->id,
                           .kind = CAT_OBJECT_TABLE,
                           .database = 6,
                           .schema = t->schema,
                           .owner = 10,
                           .changed = 77,
                           .name = "t",
                           .comment = "a table",
                           .table = t};
    return o;
}

static void a_table_comes_back(void) {
    struct memcat *m = memcat_new();
    struct cat_object o = table_object(m);
    struct buf b;
    buf_init(&b, 0);
    struct cat_object *back = again(&o, &b);
    if (back) {
        const struct cat_table *t = back->table;
        EQ_STR(t->name, "t");
        EQ_STR(t->schema_name, o.table->schema_name);
        EQ_STR(t->comment, "a table");
        EQ_INT(t->columns, 4);
        EQ_STR(t->column[1].default_sql, "'x,y'");
        EQ_INT(t->column[2].type.typmod, o.table->column[2].type.typmod);
        OK(t->key[0].desc);
        EQ_INT(t->indexes, 2);
        EQ_STR(t->index[0].where_sql, "c > 0");
        OK(t->index[1].store != NULL);
        EQ_STR(t->check[0].sql, "b <> 'z'");
        EQ_INT(back->owner, 10);
    }
    cat_object_unref(back);
    buf_done(&b);
    memcat_free(m);
}

static void the_small_ones_come_back(void) {
    struct cat_object o = {.id = 20000, .kind = CAT_OBJECT_SEQUENCE, .database = 6, .schema = 2200, .name = "s"};
    struct buf b;
    o.sequence = (struct cat_sequence){.start = 5,
                                       .increment = -2,
                                       .min = -100,
                                       .max = 100,
                                       .cache = 7,
                                       .type = COL_INT2,
                                       .cycle = true,
                                       .owner_table = 3,
                                       .owner_column = 4};
    buf_init(&b, 0);
    struct cat_object *back = again(&o, &b);
    if (back) {
        EQ_INT(back->sequence.increment, -2);
        EQ_INT(back->sequence.owner_column, 4);
        OK(back->sequence.cycle);
    }
    cat_object_unref(back);
    buf_reset(&b, 0);
    struct cat_object r = {.id = 20001, .kind = CAT_OBJECT_ROLE, .name = "r"};
    r.role = (struct cat_role){.login = true, .createdb = true, .verifier = "SCRAM-SHA-256$..."};
    back = again(&r, &b);
    if (back) {
        OK(back->role.login && back->role.createdb && !back->role.superuser);
        EQ_STR(back->role.verifier, "SCRAM-SHA-256$...");
    }
    cat_object_unref(back);
    struct cat_object h = head_of(&r);
    struct err err;
    EQ_INT(cat_object_decode(&h, "", 0, &back, &err), RC_OK);
    OK(back->dropped);
    cat_object_unref(back);
    buf_done(&b);
}

/* Every byte in turn is changed in several ways, and every beginning is tried. */
static void no_bytes_are_believed(void) {
    struct memcat *m = memcat_new();
    struct cat_object o = table_object(m), h = head_of(&o);
    struct buf b;
    size_t taken = 0, refused = 0;
    buf_init(&b, 0);
    cat_object_encode(&o, &b);
    for (size_t i = 1; i < b.len; i++) {
        struct cat_object *back;
        struct err err;
        EQ_INT(cat_object_decode(&h, b.data, i, &back, &err) == RC_OK, false);
    }
    for (size_t i = 0; i < b.len; i++)
        for (int k = 0; k < 4; k++) {
            static const uint8_t with[] = {0x01, 0x80, 0xff, 0x7f};
            struct cat_object *back;
            struct err err;
            b.data[i] ^= with[k];
            if (cat_object_decode(&h, b.data, b.len, &back, &err) == RC_OK) {
                taken++;
                cat_object_unref(back);
            } else {
                refused++;
            }
            b.data[i] ^= with[k];
        }
    OKF(refused > taken, "%zu taken, %zu refused", taken, refused);
    buf_done(&b);
    memcat_free(m);
}

int main(void) {
    RUN(a_table_comes_back);
    RUN(the_small_ones_come_back);
    RUN(no_bytes_are_believed);
    return tap_done();
}
