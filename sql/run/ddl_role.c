/* SPDX-License-Identifier: Apache-2.0 */
/* ddl_role.c: CREATE, ALTER and DROP ROLE. A password is kept as SCRAM's verifier only. */
#include <stdio.h>
#include <string.h>

#include "sql/pgwire/scram.h"
#include "sql/run/ddl.h"

static enum rc superuser_only(struct ddl *d, const char *what, struct err *err) {
    struct cat_view v = ddl_view(d);
    const struct cat_object *me = cat_view_get(&v, d->s->role);
    if (me && (me->role.superuser || me->role.createrole))
        return RC_OK;
    return err_sql(err, "42501", "permission denied to %s", what);
}

enum rc ddl_role(struct ddl *d, const PgQuery__RoleSpec *r, uint32_t *ret, struct err *err) {
    struct cat_view v = ddl_view(d);
    if (r->roletype != PG_QUERY__ROLE_SPEC_TYPE__ROLESPEC_CSTRING) {
        *ret = d->s->role;
        return RC_OK;
    }
    const struct cat_object *o = cat_view_role(&v, r->rolename);
    if (!o)
        return err_sql(err, "42704", "role \"%.63s\" does not exist", r->rolename);
    *ret = o->id;
    return RC_OK;
}

static enum rc password(struct ddl *d, const PgQuery__DefElem *o, struct cat_role *r, struct err *err) {
    const char *text = sess_def_text(o);
    uint8_t salt[SCRAM_SALT_BYTES];
    if (!o->arg || !text[0]) {
        r->verifier[0] = '\0';
        if (o->arg)
            sess_notice(d->s, "NOTICE", "00000", "empty string is not a valid password, clearing password");
        return RC_OK;
    }
    if (scram_is_verifier(text)) {
        if (strlen(text) >= sizeof r->verifier)
            return err_set(err, RC_LIMIT, "the password's verifier is too long");
        memcpy(r->verifier, text, strlen(text) + 1);
        return RC_OK;
    }
    env_secret(d->s->e->env, salt, sizeof salt);
    return scram_verifier(text, salt, r->verifier, sizeof r->verifier, err);
}

static enum rc options(struct ddl *d, PgQuery__Node *const *option, size_t n, struct cat_role *r, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        const PgQuery__DefElem *o = option[i]->def_elem;
        const struct {
            const char *name;
            bool *to;
        } flags[] = {{"canlogin", &r->login},
                     {"superuser", &r->superuser},
                     {"createdb", &r->createdb},
                     {"createrole", &r->createrole}};
        bool known = strcmp(o->defname, "inherit") == 0 || strcmp(o->defname, "isreplication") == 0 ||
                     strcmp(o->defname, "bypassrls") == 0 || strcmp(o->defname, "connectionlimit") == 0 ||
                     strcmp(o->defname, "validUntil") == 0;
        if (strcmp(o->defname, "password") == 0) {
            enum rc rc = password(d, o, r, err);
            if (rc)
                return rc;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(flags) && !known; k++)
            if (strcmp(flags[k].name, o->defname) == 0) {
                *flags[k].to = !sess_def_is_false(o);
                known = true;
            }
        if (!known)
            return sess_unsupported(d->u->script, o->location, err, "the role option \"%.40s\" is not supported",
                                    o->defname);
    }
    return RC_OK;
}

enum rc ddl_create_role(struct ddl *d, const PgQuery__CreateRoleStmt *c, struct err *err) {
    struct cat_object o = {.kind = CAT_OBJECT_ROLE, .owner = d->s->role};
    struct cat_view v = ddl_view(d);
    enum rc rc = superuser_only(d, "create role", err);
    if (rc)
        return rc;
    if (strlen(c->role) > CAT_NAME_BYTES_MAX)
        return err_sql(err, "42622", "identifier \"%.63s...\" is too long", c->role);
    if (strncmp(c->role, "pg_", 3) == 0) {
        rc = err_sql(err, "42939", "role name \"%.63s\" is reserved", c->role);
        if (err)
            err_detail(err, "Role names starting with \"pg_\" are reserved.");
        return rc;
    }
    if (cat_view_role(&v, c->role))
        return err_sql(err, "42710", "role \"%.63s\" already exists", c->role);
    memcpy(o.name, c->role, strlen(c->role) + 1);
    o.role.login = c->stmt_type == PG_QUERY__ROLE_STMT_TYPE__ROLESTMT_USER;
    rc = options(d, c->options, c->n_options, &o.role, err);
    if (!rc)
        rc = cat_change_id(d->s->change, &o.id, err);
    return rc ? rc : ddl_put(d, &o, err);
}

enum rc ddl_alter_role(struct ddl *d, const PgQuery__AlterRoleStmt *c, struct err *err) {
    uint32_t id;
    enum rc rc = ddl_role(d, c->role, &id, err);
    if (!rc && id != d->s->role)
        rc = superuser_only(d, "alter role", err);
    if (rc)
        return rc;
    struct cat_view v = ddl_view(d);
    const struct cat_object *was = cat_view_get(&v, id), *me = cat_view_get(&v, d->s->role);
    if (!was || !me)
        return err_sql(err, "42704", "role %u does not exist", id);
    struct cat_object o = *was;
    rc = options(d, c->options, c->n_options, &o.role, err);
    if (!rc && !me->role.superuser &&
        (o.role.superuser != was->role.superuser || o.role.createrole != was->role.createrole))
        rc = err_sql(err, "42501", "must be superuser to alter superuser roles or change superuser attribute");
    return rc ? rc : ddl_put(d, &o, err);
}

enum rc ddl_drop_role(struct ddl *d, const PgQuery__DropRoleStmt *c, struct err *err) {
    enum rc rc = superuser_only(d, "drop role", err);
    for (size_t i = 0; i < c->n_roles && !rc; i++) {
        struct cat_view v = ddl_view(d);
        const char *name = c->roles[i]->role_spec->rolename;
        const struct cat_object *o = cat_view_role(&v, name);
        if (!o && c->missing_ok) {
            sess_notice(d->s, "NOTICE", "00000", "role \"%.63s\" does not exist, skipping", name);
            continue;
        }
        if (!o)
            return err_sql(err, "42704", "role \"%.63s\" does not exist", name);
        if (o->id == d->s->role)
            return err_sql(err, "55006", "current user cannot be dropped");
        if (o->id == CAT_ID_ROLE_MERIDIAN)
            return err_sql(err, "2BP01", "role \"%.63s\" is the system's", name);
        rc = ddl_drop_object(d, o, err);
    }
    return rc;
}
