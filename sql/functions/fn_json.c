/* SPDX-License-Identifier: Apache-2.0 */
/* fn_json.c: looking into json and jsonb, changing jsonb, comparing it, and what it is as other types. */
#include "sql/functions/fn_json.h"

#include <string.h>

/* ---- loading and giving ---------------------------------------------------------------------------------------------- */

enum rc fn_json_load(struct arena *a, const struct col *c, const struct value *v, struct js **ret, struct err *err) {
    return js_parse(a, v->p, v->bytes, c->type == COL_JSONB, ret, err);
}

static enum rc give_printed(const struct fn_env *env, const struct js *j, enum value_kind kind, struct value *ret,
                            struct err *err) {
    struct buf b;
    fn_buf(&b);
    js_print(j, &b);
    return fn_give(env, &b, kind, ret, err);
}

enum rc fn_json_give(const struct fn_env *env, const struct js *j, uint16_t from, uint16_t type, struct value *ret,
                     struct err *err) {
    if (type == COL_TEXT && j->kind == JS_NULL) {
        *ret = value_null();
        return RC_OK;
    }
    if (type == COL_TEXT && j->kind == JS_STRING)
        return fn_give_text(env, j->p, j->n, ret, err);
    if (from == COL_JSON && j->text)
        return fn_give_text(env, j->text, j->text_bytes, ret, err);
    return give_printed(env, j, type == COL_JSONB ? VALUE_BLOB : VALUE_TEXT, ret, err);
}

static enum rc load(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t i,
                    struct js **ret, struct err *err) {
    return fn_json_load(env->arena, &call->arg[i], &arg[i], ret, err);
}

static enum rc give(const struct fn_env *env, const struct fn_call *call, const struct js *j, struct value *ret,
                    struct err *err) {
    return fn_json_give(env, j, call->arg[0].type, call->ret.type, ret, err);
}

/* ---- -> ->> #> #>> --------------------------------------------------------------------------------------------------- */

static struct js *element(const struct js *j, int64_t at) {
    if (j->kind != JS_ARRAY)
        return NULL;
    if (at < 0)
        at += j->n;
    return at >= 0 && at < j->n ? j->item[at] : NULL;
}

/* "12" as a place in an array. */
static bool place_of(const char *p, size_t n, int64_t *ret) {
    int64_t v = 0;
    size_t i = n > 0 && (p[0] == '-' || p[0] == '+');
    bool any = false;
    for (; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || v > INT32_MAX)
            return false;
        v = v * 10 + (p[i] - '0');
        any = true;
    }
    *ret = n > 0 && p[0] == '-' ? -v : v;
    return any && v <= INT32_MAX;
}

static enum rc found(const struct fn_env *env, const struct fn_call *call, const struct js *j, struct value *ret,
                     struct err *err) {
    *ret = value_null();
    return j ? give(env, call, j, ret, err) : RC_OK;
}

FN_IMPL(field) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    return rc ? rc : found(env, call, js_get(j, arg[1].p, arg[1].bytes), ret, err);
}

FN_IMPL(at_place) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc && j->kind < JS_ARRAY && call->arg[0].type == COL_JSONB) /* an array of one, to jsonb */
        return found(env, call, arg[1].i == 0 || arg[1].i == -1 ? j : NULL, ret, err);
    return rc ? rc : found(env, call, element(j, arg[1].i), ret, err);
}

static struct js *step(const struct js *j, const struct value *name) {
    int64_t at;
    if (j->kind == JS_OBJECT)
        return js_get(j, name->p, name->bytes);
    return j->kind == JS_ARRAY && place_of(name->p, name->bytes, &at) ? element(j, at) : NULL;
}

/* The path is an array of text, or the arguments from the second on. */
FN_IMPL(by_path) {
    struct js *j;
    FN_UNUSED;
    *ret = value_null();
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (call->arg[1].type != COL_ARRAY) {
        for (size_t i = 1; i < args && j && !rc; i++)
            j = arg[i].kind == VALUE_TEXT ? step(j, &arg[i]) : NULL;
        return rc || !j ? rc : give(env, call, j, ret, err);
    }
    struct fn_elements e;
    if (!rc)
        rc = fn_elements_begin(&e, &call->arg[1], &arg[1], err);
    while (!rc && j && e.left) {
        struct value name;
        rc = fn_elements_next(&e, env->arena, &name, err);
        if (!rc)
            j = name.kind == VALUE_TEXT ? step(j, &name) : NULL;
    }
    return rc || !j ? rc : give(env, call, j, ret, err);
}

/* ---- what it is ------------------------------------------------------------------------------------------------------ */

static const char *kind_name(const struct js *j) {
    static const char *const names[] = {[JS_NULL] = "null",    [JS_STRING] = "string", [JS_NUMBER] = "number",
                                        [JS_BOOL] = "boolean", [JS_ARRAY] = "array",   [JS_OBJECT] = "object"};
    return names[j->kind];
}

FN_IMPL(type_of) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    return rc ? rc : fn_give_text(env, kind_name(j), strlen(kind_name(j)), ret, err);
}

FN_IMPL(array_length) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc && j->kind != JS_ARRAY)
        rc = err_sql(err, "22023", "cannot get array length of a %s", j->kind == JS_OBJECT ? "non-array" : "scalar");
    return rc ? rc : fn_int(ret, j->n);
}

/* ---- comparison ------------------------------------------------------------------------------------------------------ */

static enum rc two(const struct fn_env *env, const struct fn_call *call, const struct value *arg, struct js **x,
                   struct js **y, struct err *err) {
    enum rc rc = load(env, call, arg, 0, x, err);
    return rc ? rc : load(env, call, arg, 1, y, err);
}

#define COMPARE(name_, op_)                                                                                            \
    FN_IMPL(name_) {                                                                                                   \
        struct js *x, *y;                                                                                              \
        FN_UNUSED;                                                                                                     \
        enum rc rc = two(env, call, arg, &x, &y, err);                                                                 \
        return rc ? rc : fn_bool(ret, js_compare(x, y) op_ 0);                                                         \
    }
COMPARE(is_ne, !=)
COMPARE(is_lt, <)
COMPARE(is_gt, >)
COMPARE(is_le, <=)
COMPARE(is_ge, >=)
COMPARE(is_eq, ==)

FN_IMPL(compare) {
    struct js *x, *y;
    FN_UNUSED;
    enum rc rc = two(env, call, arg, &x, &y, err);
    int c = rc ? 0 : js_compare(x, y);
    return rc ? rc : fn_int(ret, c < 0 ? -1 : c > 0);
}

static bool contains(const struct js *a, const struct js *b);

static bool has_element(const struct js *a, const struct js *b) {
    for (uint32_t i = 0; i < a->n; i++)
        if (b->kind < JS_ARRAY ? js_equal(a->item[i], b) : a->item[i]->kind == b->kind && contains(a->item[i], b))
            return true;
    return false;
}

static bool contains(const struct js *a, const struct js *b) {
    if (a->kind != b->kind)
        return false;
    if (a->kind < JS_ARRAY)
        return js_equal(a, b);
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->kind == JS_ARRAY && !has_element(a, b->item[i]))
            return false;
        struct js *mine = b->kind == JS_OBJECT ? js_get(a, b->key[i]->p, b->key[i]->n) : NULL;
        if (b->kind == JS_OBJECT && (!mine || !contains(mine, b->item[i])))
            return false;
    }
    return true;
}

/* An array contains a scalar that it has, at the top only. */
static bool contains_top(const struct js *a, const struct js *b) {
    return a->kind == JS_ARRAY && b->kind < JS_ARRAY ? has_element(a, b) : contains(a, b);
}

FN_IMPL(does_contain) {
    struct js *x, *y;
    FN_UNUSED;
    enum rc rc = two(env, call, arg, &x, &y, err);
    return rc ? rc : fn_bool(ret, contains_top(x, y));
}

FN_IMPL(is_contained) {
    struct js *x, *y;
    FN_UNUSED;
    enum rc rc = two(env, call, arg, &x, &y, err);
    return rc ? rc : fn_bool(ret, contains_top(y, x));
}

static bool exists(const struct js *j, const struct value *name) {
    if (j->kind == JS_OBJECT)
        return js_get(j, name->p, name->bytes) != NULL;
    if (j->kind == JS_STRING)
        return j->n == name->bytes && memcmp(j->p, name->p, j->n) == 0;
    for (uint32_t i = 0; j->kind == JS_ARRAY && i < j->n; i++)
        if (j->item[i]->kind == JS_STRING && exists(j->item[i], name))
            return true;
    return false;
}

FN_IMPL(has_key) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    return rc ? rc : fn_bool(ret, exists(j, &arg[1]));
}

static enum rc has_keys(const struct fn_env *env, const struct fn_call *call, const struct value *arg, bool all,
                        struct value *ret, struct err *err) {
    struct js *j;
    struct fn_elements e;
    bool result = all;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc)
        rc = fn_elements_begin(&e, &call->arg[1], &arg[1], err);
    while (!rc && e.left && result == all) {
        struct value name;
        rc = fn_elements_next(&e, env->arena, &name, err);
        if (!rc && name.kind == VALUE_TEXT)
            result = exists(j, &name);
    }
    return rc ? rc : fn_bool(ret, result);
}

FN_IMPL(has_any) {
    FN_UNUSED;
    return has_keys(env, call, arg, false, ret, err);
}

FN_IMPL(has_all) {
    FN_UNUSED;
    return has_keys(env, call, arg, true, ret, err);
}

/* ---- changing -------------------------------------------------------------------------------------------------------- */

static void add(struct js *to, struct js *key, struct js *item) {
    to->item[to->n] = item;
    if (to->kind == JS_OBJECT)
        to->key[to->n] = key;
    to->n++;
}

static void add_all(struct js *to, const struct js *from) {
    for (uint32_t i = 0; i < from->n; i++)
        add(to, from->kind == JS_OBJECT ? from->key[i] : NULL, from->item[i]);
}

FN_IMPL(concat) {
    struct js *x, *y;
    FN_UNUSED;
    enum rc rc = two(env, call, arg, &x, &y, err);
    if (rc)
        return rc;
    bool objects = x->kind == JS_OBJECT && y->kind == JS_OBJECT;
    struct js *j = js_room(env->arena, objects ? JS_OBJECT : JS_ARRAY, (size_t)x->n + y->n + 2);
    if (!j)
        return fn_no_memory(err);
    if (objects || x->kind == JS_ARRAY)
        add_all(j, x);
    else
        add(j, NULL, x);
    if (objects || y->kind == JS_ARRAY)
        add_all(j, y);
    else
        add(j, NULL, y);
    if (objects)
        js_sort(j);
    return give(env, call, j, ret, err);
}

static enum rc no_scalar(const struct js *j, const char *what, struct err *err) {
    return j->kind < JS_ARRAY ? err_sql(err, "22023", "cannot %s scalar", what) : RC_OK;
}

static enum rc without_names(const struct fn_env *env, struct js *j, const struct value *name, size_t names,
                             struct js **ret, struct err *err) {
    struct js *to = js_room(env->arena, j->kind, j->n);
    if (!to)
        return fn_no_memory(err);
    for (uint32_t i = 0; i < j->n; i++) {
        const struct js *s = j->kind == JS_OBJECT ? j->key[i] : j->item[i];
        bool gone = false;
        for (size_t k = 0; k < names && !gone; k++)
            gone = s->kind == JS_STRING && name[k].kind == VALUE_TEXT && s->n == name[k].bytes &&
                   memcmp(s->p, name[k].p, s->n) == 0;
        if (!gone)
            add(to, j->kind == JS_OBJECT ? j->key[i] : NULL, j->item[i]);
    }
    *ret = to;
    return RC_OK;
}

/* The names of an array of text. */
static enum rc names_of(const struct fn_env *env, const struct fn_call *call, const struct value *arg, size_t i,
                        struct value **ret, size_t *ret_n, struct err *err) {
    struct fn_elements e;
    enum rc rc = fn_elements_begin(&e, &call->arg[i], &arg[i], err);
    if (rc)
        return rc;
    if (e.shape.n > 1)
        return err_sql(err, "2202E", "wrong number of array subscripts");
    struct value *v = arena_array(env->arena, e.left + 1, sizeof *v);
    if (!v)
        return fn_no_memory(err);
    size_t n = 0;
    while (e.left && !rc)
        rc = fn_elements_next(&e, env->arena, &v[n++], err);
    *ret = v;
    *ret_n = n;
    return rc;
}

FN_IMPL(delete_name) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc)
        rc = no_scalar(j, "delete from", err);
    if (!rc)
        rc = without_names(env, j, &arg[1], 1, &j, err);
    return rc ? rc : give(env, call, j, ret, err);
}

FN_IMPL(delete_names) {
    struct js *j;
    struct value *name = NULL;
    size_t n;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc)
        rc = names_of(env, call, arg, 1, &name, &n, err);
    if (!rc)
        rc = no_scalar(j, "delete from", err);
    if (!rc)
        rc = without_names(env, j, name, n, &j, err);
    return rc ? rc : give(env, call, j, ret, err);
}

static void remove_at(struct js *j, int64_t at) {
    if (at < 0)
        at += j->n;
    if (at < 0 || at >= j->n)
        return;
    for (uint32_t i = (uint32_t)at; i + 1 < j->n; i++) {
        j->item[i] = j->item[i + 1];
        if (j->kind == JS_OBJECT)
            j->key[i] = j->key[i + 1];
    }
    j->n--;
}

FN_IMPL(delete_place) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc)
        rc = no_scalar(j, "delete from", err);
    if (!rc && j->kind == JS_OBJECT)
        rc = err_sql(err, "22023", "cannot delete from object using integer index");
    if (!rc)
        remove_at(j, arg[1].i);
    return rc ? rc : give(env, call, j, ret, err);
}

/* What is done at the end of a path. */
enum { PATH_DELETE = 1, PATH_REPLACE = 2, PATH_CREATE = 4, PATH_BEFORE = 8, PATH_AFTER = 16, PATH_FILL = 32 };

struct path {
    const struct fn_env *env;
    const struct value *name;
    size_t names;
    struct js *item;
    unsigned what;
    struct err *err;
};

static enum rc insert_at(const struct path *p, struct js *j, uint32_t at, struct js *key) {
    struct js *to = js_room(p->env->arena, j->kind, (size_t)j->n + 1);
    if (!to)
        return fn_no_memory(p->err);
    for (uint32_t i = 0; i <= j->n; i++) {
        if (i == at)
            add(to, key, p->item);
        if (i < j->n)
            add(to, j->kind == JS_OBJECT ? j->key[i] : NULL, j->item[i]);
    }
    j->item = to->item;
    j->key = to->key;
    j->n = to->n;
    return RC_OK;
}

static enum rc walk_path(const struct path *p, struct js *j, size_t level);

static enum rc path_object(const struct path *p, struct js *j, size_t level) {
    const struct value *name = &p->name[level];
    bool last = level + 1 == p->names;
    for (uint32_t i = 0; i < j->n; i++) {
        if (j->key[i]->n != name->bytes || memcmp(j->key[i]->p, name->p, name->bytes) != 0)
            continue;
        if (!last)
            return walk_path(p, j->item[i], level + 1);
        if (p->what & (PATH_BEFORE | PATH_AFTER)) {
            enum rc rc = err_sql(p->err, "22023", "cannot replace existing key");
            err_hint(p->err, "Try using the function jsonb_set to replace key value.");
            return rc;
        }
        if (p->what & PATH_DELETE)
            remove_at(j, i);
        else
            j->item[i] = p->item;
        return RC_OK;
    }
    if (!last || !(p->what & (PATH_CREATE | PATH_BEFORE | PATH_AFTER)))
        return RC_OK;
    struct js *key = js_string(p->env->arena, name->p, name->bytes);
    if (!key)
        return fn_no_memory(p->err);
    enum rc rc = insert_at(p, j, j->n, key);
    js_sort(j);
    return rc;
}

static enum rc path_array(const struct path *p, struct js *j, size_t level) {
    const struct value *name = &p->name[level];
    bool last = level + 1 == p->names;
    int64_t at;
    if (!place_of(name->p, name->bytes, &at))
        return err_sql(p->err, "22P02", "path element at position %zu is not an integer: \"%.*s\"", level + 1,
                       (int)(name->bytes < 200 ? name->bytes : 200), (const char *)name->p);
    bool before_all = at < 0 && -at > j->n;
    if (at < 0)
        at += j->n;
    if (at >= 0 && at < j->n) {
        if (!last)
            return walk_path(p, j->item[at], level + 1);
        if (p->what & PATH_DELETE)
            remove_at(j, at);
        else if (p->what & (PATH_BEFORE | PATH_AFTER))
            return insert_at(p, j, (uint32_t)at + !!(p->what & PATH_AFTER), NULL);
        else
            j->item[at] = p->item;
        return RC_OK;
    }
    if (!last || !(p->what & (PATH_CREATE | PATH_BEFORE | PATH_AFTER)))
        return RC_OK;
    return insert_at(p, j, before_all ? 0 : j->n, NULL);
}

static enum rc walk_path(const struct path *p, struct js *j, size_t level) {
    if (p->name[level].kind == VALUE_NULL)
        return err_sql(p->err, "22004", "path element at position %zu is null", level + 1);
    return j->kind == JS_OBJECT ? path_object(p, j, level) : j->kind == JS_ARRAY ? path_array(p, j, level) : RC_OK;
}

static enum rc at_path(const struct fn_env *env, const struct fn_call *call, const struct value *arg, unsigned what,
                       struct value *ret, struct err *err) {
    struct path p = {.env = env, .what = what, .err = err};
    struct value *name = NULL;
    struct js *j;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc)
        rc = names_of(env, call, arg, 1, &name, &p.names, err);
    if (!rc && !(what & PATH_DELETE))
        rc = load(env, call, arg, 2, &p.item, err);
    if (!rc)
        rc = no_scalar(j, what & PATH_DELETE ? "delete path in" : "set path in", err);
    p.name = name;
    if (!rc && p.names > 0 && !(j->n == 0 && !(what & (PATH_CREATE | PATH_BEFORE | PATH_AFTER))))
        rc = walk_path(&p, j, 0);
    return rc ? rc : give(env, call, j, ret, err);
}

FN_IMPL(delete_path) {
    FN_UNUSED;
    return at_path(env, call, arg, PATH_DELETE, ret, err);
}

FN_IMPL(set) {
    FN_UNUSED;
    return at_path(env, call, arg, args < 4 || arg[3].i ? PATH_REPLACE | PATH_CREATE : PATH_REPLACE, ret, err);
}

FN_IMPL(insert) {
    FN_UNUSED;
    return at_path(env, call, arg, args > 3 && arg[3].i ? PATH_AFTER : PATH_BEFORE, ret, err);
}

static struct js *without_nulls(struct arena *a, struct js *j) {
    if (j->kind < JS_ARRAY)
        return j;
    struct js *to = js_room(a, j->kind, j->n);
    for (uint32_t i = 0; to && i < j->n; i++) {
        struct js *item = without_nulls(a, j->item[i]);
        if (!item)
            return NULL;
        if (j->kind == JS_ARRAY || item->kind != JS_NULL)
            add(to, j->kind == JS_OBJECT ? j->key[i] : NULL, item);
    }
    return to;
}

FN_IMPL(strip_nulls) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (!rc && !(j = without_nulls(env->arena, j)))
        rc = fn_no_memory(err);
    return rc ? rc : give(env, call, j, ret, err);
}

static void put_pretty(const struct js *j, int level, struct buf *b) {
    bool object = j->kind == JS_OBJECT;
    if (j->kind < JS_ARRAY) {
        js_print(j, b);
        return;
    }
    buf_putc(b, object ? '{' : '[');
    for (uint32_t i = 0; i < j->n; i++) {
        buf_printf(b, "%s\n%*s", i ? "," : "", (level + 1) * 4, "");
        if (object) {
            js_print_string(j->key[i]->p, j->key[i]->n, b);
            buf_puts(b, ": ");
        }
        put_pretty(j->item[i], level + 1, b);
    }
    buf_printf(b, "\n%*s%c", level * 4, "", object ? '}' : ']');
}

FN_IMPL(pretty) {
    struct js *j;
    struct buf b;
    FN_UNUSED;
    enum rc rc = load(env, call, arg, 0, &j, err);
    if (rc)
        return rc;
    fn_buf(&b);
    put_pretty(j, 0, &b);
    return fn_give(env, &b, VALUE_TEXT, ret, err);
}

/* ---- casts ----------------------------------------------------------------------------------------------------------- */

static enum rc cast_load(const struct fn_env *env, const struct fn_call *call, const struct value *arg,
                         enum js_kind want, const char *type, struct js **ret, struct err *err) {
    enum rc rc = load(env, call, arg, 0, ret, err);
    if (rc || (*ret)->kind == want)
        return rc;
    const char *what = (*ret)->kind < JS_ARRAY ? kind_name(*ret) : "array or object";
    what = (*ret)->kind == JS_ARRAY ? "array" : (*ret)->kind == JS_OBJECT ? "object" : what;
    if (what[0] == 'n' && what[2] == 'm')
        what = "numeric";
    return err_sql(err, "22023", "cannot cast jsonb %s to type %s", what, type);
}

FN_IMPL(to_bool) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = cast_load(env, call, arg, JS_BOOL, "boolean", &j, err);
    return rc ? rc : fn_bool(ret, j->b);
}

FN_IMPL(to_numeric) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = cast_load(env, call, arg, JS_NUMBER, "numeric", &j, err);
    return rc ? rc : fn_give_text(env, j->p, j->n, ret, err);
}

static enum rc to_int(const struct fn_env *env, const struct fn_call *call, const struct value *arg, int64_t min,
                      int64_t max, const char *type, struct value *ret, struct err *err) {
    struct js *j;
    struct dec d;
    int64_t i = 0;
    enum rc rc = cast_load(env, call, arg, JS_NUMBER, type, &j, err);
    if (rc)
        return rc;
    dec_init(&d);
    rc = dec_parse(&d, j->p, j->n, COL_TYPMOD_NONE, err);
    if (!rc)
        rc = dec_to_int(&d, min, max, type, &i, err);
    dec_done(&d);
    return rc ? rc : fn_int(ret, i);
}

FN_IMPL(to_int2) {
    FN_UNUSED;
    return to_int(env, call, arg, INT16_MIN, INT16_MAX, "smallint", ret, err);
}

FN_IMPL(to_int4) {
    FN_UNUSED;
    return to_int(env, call, arg, INT32_MIN, INT32_MAX, "integer", ret, err);
}

FN_IMPL(to_int8) {
    FN_UNUSED;
    return to_int(env, call, arg, INT64_MIN, INT64_MAX, "bigint", ret, err);
}

static enum rc to_float(const struct fn_env *env, const struct fn_call *call, const struct value *arg, bool small,
                        struct value *ret, struct err *err) {
    struct js *j;
    struct dec d;
    double r = 0;
    float f = 0;
    enum rc rc = cast_load(env, call, arg, JS_NUMBER, small ? "real" : "double precision", &j, err);
    if (rc)
        return rc;
    dec_init(&d);
    rc = dec_parse(&d, j->p, j->n, COL_TYPMOD_NONE, err);
    if (!rc)
        rc = small ? dec_to_float(&d, &f, err) : dec_to_double(&d, &r, err);
    dec_done(&d);
    if (!rc)
        *ret = value_float(small ? (double)f : r);
    return rc;
}

FN_IMPL(to_float4) {
    FN_UNUSED;
    return to_float(env, call, arg, true, ret, err);
}

FN_IMPL(to_float8) {
    FN_UNUSED;
    return to_float(env, call, arg, false, ret, err);
}

/* json's text is jsonb's, and the other way round. */
FN_IMPL(json_to_jsonb) {
    struct js *j;
    FN_UNUSED;
    enum rc rc = js_parse(env->arena, arg[0].p, arg[0].bytes, true, &j, err);
    return rc ? rc : give_printed(env, j, VALUE_BLOB, ret, err);
}

FN_IMPL(jsonb_to_json) {
    FN_UNUSED;
    return fn_give_text(env, arg[0].p, arg[0].bytes, ret, err);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

enum rc fn_json_rows_open(const struct fn_env *env, const struct fn *f, const struct fn_call *call,
                          const struct value *arg, struct fn_json_rows *ret, struct err *err) {
    bool elements = strstr(f->name, "array_elements") != NULL, keys = strstr(f->name, "object_keys") != NULL;
    bool jsonb = call->arg[0].type == COL_JSONB;
    *ret = (struct fn_json_rows){.from = call->arg[0].type, .keys = !elements};
    enum rc rc = load(env, call, arg, 0, &ret->of, err);
    if (rc)
        return rc;
    enum js_kind kind = ret->of->kind;
    ret->type = keys ? 0 : elements ? call->ret.type : f->second;
    if (kind == (elements ? JS_ARRAY : JS_OBJECT))
        return RC_OK;
    if (elements)
        return err_sql(err, "22023",
                       kind == JS_OBJECT && !jsonb ? "cannot call %s on a non-array"
                       : kind == JS_OBJECT         ? "cannot extract elements from an object"
                       : jsonb                     ? "cannot extract elements from a scalar"
                                                   : "cannot call %s on a scalar",
                       f->name);
    if (keys)
        return err_sql(err, "22023", "cannot call %s on %s", f->name, kind == JS_ARRAY ? "an array" : "a scalar");
    if (jsonb)
        return err_sql(err, "22023", "cannot call %s on a non-object", f->name);
    return err_sql(err, "22023",
                   kind == JS_ARRAY ? "cannot deconstruct an array as an object" : "cannot deconstruct a scalar");
}

enum rc fn_json_rows_next(struct fn_json_rows *r, const struct fn_env *env, struct value *first, struct value *second,
                          bool *ret_end, struct err *err) {
    *ret_end = r->at == r->of->n;
    if (*ret_end)
        return RC_OK;
    uint32_t i = r->at++;
    struct js *item = r->of->item[i];
    enum rc rc = RC_OK;
    if (r->keys)
        rc = fn_give_text(env, r->of->key[i]->p, r->of->key[i]->n, first, err);
    if (!rc && r->type)
        rc = fn_json_give(env, item, r->from, r->type, r->keys ? second : first, err);
    return rc;
}

#define TEXTS FN_ARRAY_OF(COL_TEXT)

/* Rows of a path as an array, as operators take it, and as arguments, stand for PostgreSQL's one variadic function. */
static const struct fn fns[] = {
    FN(2580, "float8", NULL, STRICT, COL_FLOAT8, to_float8, COL_JSONB),
    FN(3207, "jsonb_array_length", NULL, STRICT, COL_INT4, array_length, COL_JSONB),
    FN(3210, "jsonb_typeof", NULL, STRICT, COL_TEXT, type_of, COL_JSONB),
    FN(3214, "jsonb_object_field_text", "->>", STRICT, COL_TEXT, field, COL_JSONB, COL_TEXT),
    FN(3215, "jsonb_array_element", "->", STRICT, COL_JSONB, at_place, COL_JSONB, COL_INT4),
    FN(3216, "jsonb_array_element_text", "->>", STRICT, COL_TEXT, at_place, COL_JSONB, COL_INT4),
    FN(3262, "jsonb_strip_nulls", NULL, STRICT, COL_JSONB, strip_nulls, COL_JSONB),
    FN(3301, "jsonb_concat", "||", STRICT, COL_JSONB, concat, COL_JSONB, COL_JSONB),
    FN(3302, "jsonb_delete", "-", STRICT, COL_JSONB, delete_name, COL_JSONB, COL_TEXT),
    FN(3303, "jsonb_delete", "-", STRICT, COL_JSONB, delete_place, COL_JSONB, COL_INT4),
    FN(3304, "jsonb_delete_path", "#-", STRICT, COL_JSONB, delete_path, COL_JSONB, TEXTS),
    FN(3305, "jsonb_set", NULL, STRICT, COL_JSONB, set, COL_JSONB, TEXTS, COL_JSONB, COL_BOOL),
    FN(3306, "jsonb_pretty", NULL, STRICT, COL_TEXT, pretty, COL_JSONB),
    FN(3449, "numeric", NULL, STRICT, COL_NUMERIC, to_numeric, COL_JSONB),
    FN(3450, "int2", NULL, STRICT, COL_INT2, to_int2, COL_JSONB),
    FN(3451, "int4", NULL, STRICT, COL_INT4, to_int4, COL_JSONB),
    FN(3452, "int8", NULL, STRICT, COL_INT8, to_int8, COL_JSONB),
    FN(3453, "float4", NULL, STRICT, COL_FLOAT4, to_float4, COL_JSONB),
    FN(3478, "jsonb_object_field", "->", STRICT, COL_JSONB, field, COL_JSONB, COL_TEXT),
    FN(3556, "bool", NULL, STRICT, COL_BOOL, to_bool, COL_JSONB),
    FN(3579, "jsonb_insert", NULL, STRICT, COL_JSONB, insert, COL_JSONB, TEXTS, COL_JSONB, COL_BOOL),
    FN(3947, "json_object_field", "->", STRICT, COL_JSON, field, COL_JSON, COL_TEXT),
    FN(3948, "json_object_field_text", "->>", STRICT, COL_TEXT, field, COL_JSON, COL_TEXT),
    FN(3949, "json_array_element", "->", STRICT, COL_JSON, at_place, COL_JSON, COL_INT4),
    FN(3950, "json_array_element_text", "->>", STRICT, COL_TEXT, at_place, COL_JSON, COL_INT4),
    FN(3956, "json_array_length", NULL, STRICT, COL_INT4, array_length, COL_JSON),
    FN(3968, "json_typeof", NULL, STRICT, COL_TEXT, type_of, COL_JSON),
    FN(4038, "jsonb_ne", "<>", STRICT, COL_BOOL, is_ne, COL_JSONB, COL_JSONB),
    FN(4039, "jsonb_lt", "<", STRICT, COL_BOOL, is_lt, COL_JSONB, COL_JSONB),
    FN(4040, "jsonb_gt", ">", STRICT, COL_BOOL, is_gt, COL_JSONB, COL_JSONB),
    FN(4041, "jsonb_le", "<=", STRICT, COL_BOOL, is_le, COL_JSONB, COL_JSONB),
    FN(4042, "jsonb_ge", ">=", STRICT, COL_BOOL, is_ge, COL_JSONB, COL_JSONB),
    FN(4043, "jsonb_eq", "=", STRICT, COL_BOOL, is_eq, COL_JSONB, COL_JSONB),
    FN(4044, "jsonb_cmp", NULL, STRICT, COL_INT4, compare, COL_JSONB, COL_JSONB),
    FN(4046, "jsonb_contains", "@>", STRICT, COL_BOOL, does_contain, COL_JSONB, COL_JSONB),
    FN(4047, "jsonb_exists", "?", STRICT, COL_BOOL, has_key, COL_JSONB, COL_TEXT),
    FN(4048, "jsonb_exists_any", "?|", STRICT, COL_BOOL, has_any, COL_JSONB, TEXTS),
    FN(4049, "jsonb_exists_all", "?&", STRICT, COL_BOOL, has_all, COL_JSONB, TEXTS),
    FN(4050, "jsonb_contained", "<@", STRICT, COL_BOOL, is_contained, COL_JSONB, COL_JSONB),
    FN(12200, "jsonb_set", NULL, STRICT, COL_JSONB, set, COL_JSONB, TEXTS, COL_JSONB),
    FN(12201, "jsonb_insert", NULL, STRICT, COL_JSONB, insert, COL_JSONB, TEXTS, COL_JSONB),
    FN(12202, "json_extract_path", NULL, STRICT | VARIADIC, COL_JSON, by_path, COL_JSON, COL_TEXT),
    FN(12203, "json_extract_path_text", NULL, STRICT | VARIADIC, COL_TEXT, by_path, COL_JSON, COL_TEXT),
    FN(12204, "jsonb_extract_path", NULL, STRICT | VARIADIC, COL_JSONB, by_path, COL_JSONB, COL_TEXT),
    FN(12205, "jsonb_extract_path_text", NULL, STRICT | VARIADIC, COL_TEXT, by_path, COL_JSONB, COL_TEXT),
    FN(12206, "$jsonb", NULL, STRICT, COL_JSONB, json_to_jsonb, COL_JSON),
    FN(12207, "$json", NULL, STRICT, COL_JSON, jsonb_to_json, COL_JSONB),
    FN(12208, "jsonb_extract_path", "#>", STRICT, COL_JSONB, by_path, COL_JSONB, TEXTS),
    FN(12213, "jsonb_delete", "-", STRICT, COL_JSONB, delete_names, COL_JSONB, TEXTS),
    FN(12214, "jsonb_extract_path_text", "#>>", STRICT, COL_TEXT, by_path, COL_JSONB, TEXTS),
    FN(12215, "json_extract_path", "#>", STRICT, COL_JSON, by_path, COL_JSON, TEXTS),
    FN(12216, "json_extract_path_text", "#>>", STRICT, COL_TEXT, by_path, COL_JSON, TEXTS),
};

const struct fn_table fn_table_json = {fns, ARRAY_LEN(fns)};
