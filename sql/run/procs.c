/* SPDX-License-Identifier: Apache-2.0 */
/* procs.c: functions as pg_catalog tells of them: what they take and give, and what \sf shows. */
#include <string.h>

#include "sql/run/sess_internal.h"

static const struct fn *find(uint32_t oid) {
    const struct fn *f = fn_by_id(oid);
    if (f && f->oid == oid)
        return f;
    for (size_t i = 0; i < fn_count(); i++)
        if (fn_at(i)->oid == oid)
            return fn_at(i);
    return NULL;
}

static void type_name(uint16_t type, struct buf *to) {
    static const struct {
        uint16_t type;
        const char *name;
    } others[] = {{FN_ANY, "\"any\""},
                  {FN_ANYELEMENT, "anyelement"},
                  {FN_ANYARRAY, "anyarray"},
                  {FN_ANYNONARRAY, "anynonarray"},
                  {FN_ANYCOMPATIBLE, "anycompatible"},
                  {FN_ANYCOMPATIBLEARRAY, "anycompatiblearray"},
                  {FN_NAME, "name"},
                  {FN_REGCLASS, "regclass"},
                  {FN_REGTYPE, "regtype"},
                  {FN_REGPROC, "regproc"},
                  {FN_REGNAMESPACE, "regnamespace"},
                  {FN_REGROLE, "regrole"},
                  {FN_RECORD, "record"},
                  {FN_VOID, "void"},
                  {FN_UNKNOWN, "unknown"}};
    char name[COL_NAME_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].type == type) {
            buf_puts(to, others[i].name);
            return;
        }
    struct col c = col_of((enum col_type)(type & 0xff));
    c.elem = (uint8_t)(type >> 8);
    buf_puts(to, col_valid(&c, NULL) == RC_OK ? col_name(&c, name) : "???");
}

bool proc_arguments(uint32_t oid, struct buf *to) {
    const struct fn *f = find(oid);
    if (!f)
        return false;
    for (size_t i = 0; i < f->args; i++) {
        size_t at = i < ARRAY_LEN(f->arg) ? i : ARRAY_LEN(f->arg) - 1;
        buf_printf(to, "%s%s", i ? ", " : "", f->variadic && i + 1u == f->args ? "VARIADIC " : "");
        type_name(f->arg[at], to);
    }
    return true;
}

bool proc_result(uint32_t oid, struct buf *to) {
    const struct fn *f = find(oid);
    if (!f)
        return false;
    buf_puts(to, f->kind == FN_SET ? "SETOF " : "");
    type_name(f->ret, to);
    return true;
}

bool proc_definition(uint32_t oid, struct buf *to, struct err *err) {
    const struct fn *f = find(oid);
    if (!f)
        return false;
    if (f->kind == FN_AGGREGATE) {
        err_sql(err, "42809", "\"%s\" is an aggregate function", f->name);
        return false;
    }
    buf_printf(to, "CREATE OR REPLACE FUNCTION pg_catalog.%s(", f->name);
    (void)proc_arguments(oid, to); /* it is there */
    buf_puts(to, ")\n RETURNS ");
    (void)proc_result(oid, to);
    buf_printf(to, "\n LANGUAGE internal\n%s%s PARALLEL SAFE%s\nAS $function$%s$function$\n",
               f->kind == FN_WINDOW ? " WINDOW" : "",
               f->volatility == FN_IMMUTABLE ? " IMMUTABLE"
               : f->volatility == FN_STABLE  ? " STABLE"
                                             : "",
               f->strict ? " STRICT" : "", f->name);
    return true;
}
