/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_error.c: errors of the C API: their texts, and what a SQLSTATE means for whoever wants to go on.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truetime/base/check.h"
#include "txn/api/api.h"

static const struct {
    int code;
    const char *name, *text;
} codes[] = {
    {MERIDIAN_OK, "MERIDIAN_OK", ""},
    {MERIDIAN_ROW, "MERIDIAN_ROW", ""},
    {MERIDIAN_DONE, "MERIDIAN_DONE", ""},
    {MERIDIAN_COPY_IN, "MERIDIAN_COPY_IN", ""},
    {MERIDIAN_COPY_OUT, "MERIDIAN_COPY_OUT", ""},
    {MERIDIAN_ERROR, "MERIDIAN_ERROR", "error"},
    {MERIDIAN_MISUSE, "MERIDIAN_MISUSE", "the library was called in a way that cannot be meant"},
    {MERIDIAN_NOMEM, "MERIDIAN_NOMEM", "out of memory"},
    {MERIDIAN_RANGE, "MERIDIAN_RANGE", "there is no such parameter or column"},
    {MERIDIAN_MISMATCH, "MERIDIAN_MISMATCH", "the value cannot be had in that form"},
    {MERIDIAN_BUSY, "MERIDIAN_BUSY", "in use"},
    {MERIDIAN_ABORTED, "MERIDIAN_ABORTED", "the transaction was aborted"},
    {MERIDIAN_CANCELLED, "MERIDIAN_CANCELLED", "cancelled"},
    {MERIDIAN_UNAVAILABLE, "MERIDIAN_UNAVAILABLE", "no node can be reached"},
    {MERIDIAN_UNKNOWN, "MERIDIAN_UNKNOWN", "the connection was lost, and the outcome is not known"},
    {MERIDIAN_UNSUPPORTED, "MERIDIAN_UNSUPPORTED", "not supported"},
    {MERIDIAN_ABI_OTHER, "MERIDIAN_ABI_OTHER", "compiled against another meridian.h"},
    {MERIDIAN_LIMIT, "MERIDIAN_LIMIT", "a limit was exceeded"},
};

const char *meridian_code_name(int code) {
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "?";
}

const char *api_code_text(int code) {
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].code == code)
            return codes[i].text;
    return "";
}

static int retry_of(int code) {
    switch (code) {
    case MERIDIAN_ABORTED:
    case MERIDIAN_UNAVAILABLE:
        return MERIDIAN_RETRY_YES;
    case MERIDIAN_UNKNOWN:
        return MERIDIAN_RETRY_ASK;
    default:
        return MERIDIAN_RETRY_NO;
    }
}

void api_error_clear(struct api_error *err) {
    for (size_t i = 0; i < MERIDIAN_FIELDS; i++)
        free(err->field[i]);
    *err = (struct api_error){0};
}

void api_error_field(struct api_error *err, int field, const char *text) {
    char *copy = text ? strdup(text) : NULL;
    free(err->field[field]);
    err->field[field] = copy;
}

int api_error_set(struct api_error *err, int code, const char *state, const char *fmt, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    api_error_clear(err);
    err->code = code;
    err->retry = retry_of(code);
    snprintf(err->state, sizeof err->state, "%s", state);
    err->field[MERIDIAN_FIELD_MESSAGE] = text;
    api_error_field(err, MERIDIAN_FIELD_SEVERITY, "ERROR");
    return code;
}

/* What PostgreSQL's codes and ours tell of going on. Of class 08 the connection's owner knows more. */
int api_error_by_state(struct api_error *err, const char *state) {
    static const struct {
        const char *state;
        int code, retry;
    } known[] = {
        {"40001", MERIDIAN_ABORTED, MERIDIAN_RETRY_YES},     {"40P01", MERIDIAN_ABORTED, MERIDIAN_RETRY_YES},
        {"57014", MERIDIAN_CANCELLED, MERIDIAN_RETRY_NO},    {"0A000", MERIDIAN_UNSUPPORTED, MERIDIAN_RETRY_NO},
        {"57P01", MERIDIAN_UNAVAILABLE, MERIDIAN_RETRY_YES}, {"57P02", MERIDIAN_UNAVAILABLE, MERIDIAN_RETRY_YES},
        {"57P03", MERIDIAN_UNAVAILABLE, MERIDIAN_RETRY_YES}, {"53000", MERIDIAN_ERROR, MERIDIAN_RETRY_YES},
        {"53300", MERIDIAN_UNAVAILABLE, MERIDIAN_RETRY_YES}, {"08001", MERIDIAN_UNAVAILABLE, MERIDIAN_RETRY_YES},
        {"08006", MERIDIAN_UNKNOWN, MERIDIAN_RETRY_ASK},     {"40003", MERIDIAN_UNKNOWN, MERIDIAN_RETRY_ASK},
        {"55006", MERIDIAN_BUSY, MERIDIAN_RETRY_NO},
    };
    err->code = MERIDIAN_ERROR;
    err->retry = MERIDIAN_RETRY_NO;
    snprintf(err->state, sizeof err->state, "%s", state);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].state, state) == 0) {
            err->code = known[i].code;
            err->retry = known[i].retry;
        }
    return err->code;
}

const char *api_error_text(const struct api_error *err, int field) {
    if (!err->code || field < 0 || field >= MERIDIAN_FIELDS)
        return NULL;
    if (field == MERIDIAN_FIELD_SQLSTATE)
        return err->state;
    if (field == MERIDIAN_FIELD_MESSAGE && !err->field[field])
        return api_code_text(err->code);
    return err->field[field];
}
