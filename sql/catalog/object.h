/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h: what the catalog keeps: databases, schemas, tables, sequences and roles, in memory and as bytes.
 *
 * Promise     An object is immutable and counted. Its bytes (the body of a row of system.objects) begin with a format number;
 *             reading believes none of them: counts, places and lengths are checked, and what a later version has put behind
 *             what we know is ignored. What was accepted encodes to the same bytes again.
 * Relies on   catalog.h for tables, table.h for what tablets know of them.
 * Threads     the reactor's own.
 */
#ifndef MERIDIAN_SQL_CATALOG_OBJECT_H
#define MERIDIAN_SQL_CATALOG_OBJECT_H

#include "sql/catalog/catalog.h"

/* On disk: never renumber. */
enum cat_kind {
    CAT_OBJECT_VERSION = 0, /* the row of id 0: `changed` is the catalog's version */
    CAT_OBJECT_DATABASE = 1,
    CAT_OBJECT_SCHEMA = 2,
    CAT_OBJECT_TABLE = 3,
    CAT_OBJECT_SEQUENCE = 4,
    CAT_OBJECT_ROLE = 5,
    CAT_OBJECT_KINDS
};

enum { CAT_OBJECT_BYTES_MAX = 1 << 20, CAT_COMMENT_BYTES_MAX = 4096, CAT_VERIFIER_BYTES = 256 };

/* Ids that every cluster has. User objects begin at CAT_ID_USER. */
enum {
    CAT_ID_PG_CATALOG = 11,
    CAT_ID_PG_TOAST = 99,
    CAT_ID_PUBLIC = 2200,          /* of the database meridian */
    CAT_ID_PUBLIC_POSTGRES = 2201, /* of the database postgres */
    CAT_ID_MERIDIAN_SCHEMA = 12000,
    CAT_ID_INFORMATION_SCHEMA = 12001,
    CAT_ID_DATABASE_POSTGRES = 5,
    CAT_ID_DATABASE_MERIDIAN = 6,
    CAT_ID_ROLE_MERIDIAN = 10,
};

struct cat_sequence {
    int64_t start, increment, min, max, cache;
    uint8_t type; /* COL_INT2, COL_INT4, COL_INT8 */
    bool cycle;
    uint32_t owner_table, owner_column; /* serial: it goes with that column; 0: nobody's */
};

struct cat_role {
    bool login, superuser, createdb, createrole;
    char verifier[CAT_VERIFIER_BYTES]; /* SCRAM's; "" = no password */
};

/* Of the schema public in a new database, as PostgreSQL has it: pg_dump tells of no other. */
#define CAT_PUBLIC_COMMENT "standard public schema"

struct cat_object {
    uint32_t refs;
    uint32_t id;
    uint8_t kind; /* enum cat_kind */
    bool dropped; /* kept, so that caches notice */
    uint32_t database, schema, owner;
    uint64_t changed; /* the catalog's version when it became so */
    char name[CAT_NAME_BYTES_MAX + 1];
    const char *comment; /* NULL = none; of tables: the table's */
    union {
        const struct cat_table *table; /* a reference */
        struct cat_sequence sequence;
        struct cat_role role;
    };
};

/* A counted copy; a table's reference is taken anew. */
enum rc cat_object_new(const struct cat_object *from, struct cat_object **ret, struct err *err) MUST_CHECK;
struct cat_object *cat_object_ref(struct cat_object *o);
void cat_object_unref(struct cat_object *o); /* NULL is fine */

/* The body: everything that is no column of system.objects of its own; nothing for a dropped object. buf_rc tells. */
void cat_object_encode(const struct cat_object *o, struct buf *to);
/* head: the columns (id, kind, database, schema, name, changed). RC_CORRUPT, RC_UNSUPPORTED: a newer format. */
enum rc cat_object_decode(const struct cat_object *head, const void *body, size_t bytes, struct cat_object **ret,
                          struct err *err) MUST_CHECK;

#endif
