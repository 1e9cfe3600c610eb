/* SPDX-License-Identifier: Apache-2.0 */
/* password.c: \password: a new password for a role, which leaves this program only as SCRAM's verifier. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "sql/pgwire/scram.h"
#include "sql/shell/shell.h"

enum { PASSWORD_BYTES = 1024 };

/* A line that is not shown while it is typed. */
static bool ask(const char *prompt, char ret[static PASSWORD_BYTES]) {
    struct termios was, quiet;
    bool terminal = tcgetattr(STDIN_FILENO, &was) == 0;
    if (terminal) { /* before the prompt: who answers it at once is neither shown nor lost */
        quiet = was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        quiet.c_lflag |= ICANON;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet); /* then it is shown, at worst */
    }
    fputs(prompt, stderr);
    fflush(stderr);
    char *got = fgets(ret, PASSWORD_BYTES, stdin);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &was);
        fputc('\n', stderr);
    }
    if (got)
        ret[strcspn(ret, "\n")] = '\0';
    return got != NULL;
}

static bool change(struct shell *sh, const char *role, const char *password) {
    char verifier[SCRAM_VERIFIER_BYTES_MAX];
    uint8_t salt[SCRAM_SALT_BYTES];
    struct err err = {0};
    struct buf sql;
    if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt ||
        scram_verifier(password, salt, verifier, sizeof verifier, &err)) {
        shell_error(sh, "%s", err_message(&err)[0] ? err_message(&err) : "no random numbers");
        return false;
    }
    buf_init(&sql, 0);
    buf_puts(&sql, "ALTER USER ");
    vars_quote(role, '"', &sql);
    buf_puts(&sql, " PASSWORD ");
    vars_quote(verifier, '\'', &sql);
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    bool ok = meridian_exec(sh->db, text) == MERIDIAN_OK;
    if (!ok)
        shell_db_error(sh, NULL); /* without the statement */
    buf_done(&sql);
    return ok;
}

bool password_command(struct shell *sh, const char *role) {
    char first[PASSWORD_BYTES] = "", second[PASSWORD_BYTES] = "", prompt[320];
    char *me = role ? NULL : shell_value(sh, "SELECT CURRENT_USER");
    const char *who = role ? role : me ? me : "";
    snprintf(prompt, sizeof prompt, "Enter new password for user \"%s\": ", who);
    bool ok = *who && ask(prompt, first) && ask("Enter it again: ", second);
    if (ok && strcmp(first, second) != 0) {
        shell_error(sh, "Passwords didn't match.");
        ok = false;
    } else if (ok) {
        ok = change(sh, who, first);
    }
    explicit_bzero(first, sizeof first);
    explicit_bzero(second, sizeof second);
    free(me);
    return ok;
}
