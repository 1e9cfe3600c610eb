/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: values are checked and kept in one form; transactions end them as PostgreSQL does. */
#include "sql/run/guc.h"

#include <string.h>

#include "tests/lib/tap.h"

static const char *shown(const struct guc_vars *g, const char *name) {
    static char text[8192];
    guc_show(g, name, text, sizeof text);
    return text;
}

static void values_are_checked(void) {
    struct guc_vars *g = guc_new();
    struct err err = {0};
    EQ_INT(guc_set(g, "statement_timeout", "5s", GUC_SESSION, &err), RC_OK);
    EQ_STR(shown(g, "statement_timeout"), "5s");
    EQ_INT(guc_int(g, "statement_timeout"), 5000);
    EQ_INT(guc_set(g, "STATEMENT_TIMEOUT", "1500", GUC_SESSION, &err), RC_OK);
    EQ_STR(shown(g, "statement_timeout"), "1500ms");
    EQ_INT(guc_set(g, "statement_timeout", "5 parsecs", GUC_SESSION, &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "22023");
    EQ_INT(guc_set(g, "statement_timeout", "-1", GUC_SESSION, &err), RC_SQL);
    EQ_INT(guc_set(g, "jit", "tru", GUC_SESSION, &err), RC_OK);
    EQ_STR(guc_get(g, "jit"), "on");
    EQ_INT(guc_set(g, "jit", "maybe", GUC_SESSION, &err), RC_SQL);
    EQ_INT(guc_set(g, "nonsense", "1", GUC_SESSION, &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "42704");
    EQ_INT(guc_set(g, "server_version", "16", GUC_SESSION, &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "55P02");
    EQ_INT(guc_set(g, "client_encoding", "latin1", GUC_SESSION, &err), RC_SQL);
    EQ_STR(err_sqlstate(&err), "0A000");
    EQ_INT(guc_set(g, "client_encoding", "utf-8", GUC_SESSION, &err), RC_OK);
    EQ_STR(guc_get(g, "client_encoding"), "UTF8");
    EQ_INT(guc_set(g, "transaction_isolation", "read committed", GUC_SESSION, &err), RC_OK);
    EQ_STR(guc_get(g, "transaction_isolation"), "read committed");
    EQ_INT(guc_set(g, "app.tenant", "7", GUC_SESSION, &err), RC_OK);
    EQ_STR(guc_get(g, "app.tenant"), "7");
    EQ_INT(guc_set(g, "meridian.typo", "7", GUC_SESSION, &err), RC_SQL);
    guc_free(g);
}

static void transactions_end_them(void) {
    struct guc_vars *g = guc_new();
    struct err err;
    OK(!guc_set(g, "work_mem", "1MB", GUC_SESSION, &err));
    guc_end(g, true);
    EQ_STR(shown(g, "work_mem"), "1MB");

    OK(!guc_set(g, "work_mem", "2MB", GUC_SESSION, &err));
    OK(!guc_set(g, "work_mem", "3MB", GUC_LOCAL, &err));
    EQ_STR(shown(g, "work_mem"), "3MB");
    guc_end(g, true);
    EQ_STR(shown(g, "work_mem"), "2MB");

    OK(!guc_set(g, "work_mem", "4MB", GUC_LOCAL, &err));
    OK(!guc_set(g, "work_mem", "5MB", GUC_SESSION, &err));
    guc_end(g, true);
    EQ_STR(shown(g, "work_mem"), "5MB");

    OK(!guc_set(g, "work_mem", "6MB", GUC_SESSION, &err));
    size_t mark = guc_mark(g);
    OK(!guc_set(g, "work_mem", "7MB", GUC_LOCAL, &err));
    guc_rollback_to(g, mark);
    EQ_STR(shown(g, "work_mem"), "6MB");
    guc_end(g, false);
    EQ_STR(shown(g, "work_mem"), "5MB");
    OK(!guc_set(g, "work_mem", NULL, GUC_SESSION, &err));
    guc_end(g, true);
    EQ_STR(shown(g, "work_mem"), "64MB");
    guc_free(g);
}

static void clients_are_told_of_changes(void) {
    struct guc_vars *g = guc_new();
    struct guc_info info;
    struct err err;
    size_t at = 0, n = 0;
    while (guc_next_report(g, &at, &info))
        n++;
    OK(n >= 12);
    at = 0;
    OK(!guc_next_report(g, &at, &info));
    OK(!guc_set(g, "application_name", "me", GUC_SESSION, &err));
    at = 0;
    OK(guc_next_report(g, &at, &info));
    EQ_STR(info.name, "application_name");
    EQ_STR(info.value, "me");
    at = 0;
    OK(!guc_next_report(g, &at, &info));
    guc_end(g, false);
    at = 0;
    OK(guc_next_report(g, &at, &info));
    EQ_STR(info.value, "");
    guc_free(g);
}

static void names_are_sorted(void) {
    struct guc_vars *g = guc_new();
    for (size_t i = 1; i < guc_count(g); i++)
        OKF(strcasecmp(guc_at(g, i - 1).name, guc_at(g, i).name) < 0, "%s before %s", guc_at(g, i - 1).name,
            guc_at(g, i).name);
    guc_free(g);
}

int main(void) {
    RUN(values_are_checked);
    RUN(transactions_end_them);
    RUN(clients_are_told_of_changes);
    RUN(names_are_sorted);
    return tap_done();
}
