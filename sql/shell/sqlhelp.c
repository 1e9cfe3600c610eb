/* SPDX-License-Identifier: Apache-2.0 */
/* sqlhelp.c: \h: the statements that Meridian runs, and how each is written. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "sql/shell/shell.h"

static const struct topic {
    const char *name, *about, *syntax;
} topics[] = {
    {"ALTER INDEX", "change the definition of an index", "ALTER INDEX name RENAME TO new_name"},
    {"ALTER ROLE", "change a role", "ALTER ROLE name [ [ WITH ] option [ ... ] ]"},
    {"ALTER SEQUENCE", "change the definition of a sequence generator",
     "ALTER SEQUENCE name [ INCREMENT [ BY ] n ] [ MINVALUE n | NO MINVALUE ] [ MAXVALUE n | NO MAXVALUE ]\n"
     "    [ START [ WITH ] n ] [ RESTART [ [ WITH ] n ] ] [ CACHE n ] [ [ NO ] CYCLE ]"},
    {"ALTER TABLE", "change the definition of a table",
     "ALTER TABLE [ IF EXISTS ] name action [, ... ]\n"
     "  ADD [ COLUMN ] [ IF NOT EXISTS ] column type [ constraint ... ]\n"
     "  DROP [ COLUMN ] [ IF EXISTS ] column [ RESTRICT | CASCADE ]\n"
     "  ALTER [ COLUMN ] column { SET DEFAULT expression | DROP DEFAULT | SET NOT NULL | DROP NOT NULL }\n"
     "  ADD table_constraint        DROP CONSTRAINT [ IF EXISTS ] name\n"
     "ALTER TABLE name RENAME [ COLUMN ] column TO new_name\n"
     "ALTER TABLE name RENAME TO new_name"},
    {"ANALYZE", "collect statistics about a table", "ANALYZE [ table [, ...] ]"},
    {"BEGIN", "start a transaction block",
     "BEGIN [ WORK | TRANSACTION ] [ READ WRITE | READ ONLY ] [, ISOLATION LEVEL SERIALIZABLE ]"},
    {"CLOSE", "close a cursor", "CLOSE { name | ALL }"},
    {"COMMENT", "define or change the comment of an object",
     "COMMENT ON { TABLE name | COLUMN table.column | SCHEMA name | ... } IS { 'text' | NULL }"},
    {"COMMIT", "commit the current transaction", "COMMIT [ WORK | TRANSACTION ] [ AND [ NO ] CHAIN ]"},
    {"COPY", "copy data between a file and a table",
     "COPY table [ ( column [, ...] ) ] FROM STDIN [ [ WITH ] ( option [, ...] ) ]\n"
     "COPY { table [ ( column [, ...] ) ] | ( query ) } TO STDOUT [ [ WITH ] ( option [, ...] ) ]\n"
     "  FORMAT text | csv | binary, DELIMITER 'c', NULL 'text', HEADER [ boolean ], QUOTE 'c', ESCAPE 'c'\n"
     "\\copy does the same with a file or program on this side."},
    {"CREATE DATABASE", "create a database", "CREATE DATABASE name"},
    {"CREATE INDEX", "define an index",
     "CREATE [ UNIQUE ] INDEX [ IF NOT EXISTS ] [ name ] ON table ( column [ ASC | DESC ] [, ...] )\n"
     "    [ INCLUDE ( column [, ...] ) ] [ NULLS [ NOT ] DISTINCT ] [ WHERE predicate ]"},
    {"CREATE ROLE", "define a role", "CREATE ROLE name [ LOGIN ] [ SUPERUSER ] [ CREATEDB ] [ PASSWORD 'password' ]"},
    {"CREATE SCHEMA", "define a schema", "CREATE SCHEMA [ IF NOT EXISTS ] name [ AUTHORIZATION role ]"},
    {"CREATE SEQUENCE", "define a sequence generator",
     "CREATE SEQUENCE [ IF NOT EXISTS ] name [ AS type ] [ INCREMENT [ BY ] n ] [ MINVALUE n ] [ MAXVALUE n ]\n"
     "    [ START [ WITH ] n ] [ CACHE n ] [ [ NO ] CYCLE ]"},
    {"CREATE TABLE", "define a table",
     "CREATE TABLE [ IF NOT EXISTS ] name (\n"
     "    column type [ NOT NULL ] [ DEFAULT expression ] [ PRIMARY KEY ] [ UNIQUE ] [ CHECK ( expression ) ]\n"
     "        [ REFERENCES table [ ( column ) ] [ ON DELETE action ] [ ON UPDATE action ] ]\n"
     "        [ GENERATED { ALWAYS | BY DEFAULT } AS IDENTITY ]\n"
     "    [, table_constraint ] [, ...]\n"
     ") [ WITH ( placement = 'name' ) ]\n"
     "placement says where the table's leaders are: SELECT meridian.set_placement(...) makes one."},
    {"CREATE TABLE AS", "define a table from the results of a query", "CREATE TABLE [ IF NOT EXISTS ] name AS query"},
    {"CREATE VIEW", "define a view", "CREATE [ OR REPLACE ] VIEW name [ ( column [, ...] ) ] AS query"},
    {"DEALLOCATE", "forget a prepared statement", "DEALLOCATE [ PREPARE ] { name | ALL }"},
    {"DECLARE", "define a cursor", "DECLARE name CURSOR [ WITH HOLD ] FOR query"},
    {"DELETE", "delete rows of a table",
     "[ WITH query [, ...] ]\nDELETE FROM table [ [ AS ] alias ] [ USING from_item [, ...] ] [ WHERE condition ]\n"
     "    [ RETURNING { * | expression [, ...] } ]"},
    {"DISCARD", "discard session state", "DISCARD { ALL | PLANS | SEQUENCES | TEMP }"},
    {"DROP", "remove an object",
     "DROP { TABLE | VIEW | INDEX | SEQUENCE | SCHEMA | DATABASE | ROLE } [ IF EXISTS ] name [, ...]\n"
     "    [ CASCADE | RESTRICT ]"},
    {"EXECUTE", "execute a prepared statement", "EXECUTE name [ ( parameter [, ...] ) ]"},
    {"EXPLAIN", "show the plan of a statement",
     "EXPLAIN [ ( ANALYZE | VERBOSE [, ...] ) ] statement\n"
     "Fragments, spans and tablets; with ANALYZE rows, bytes and the time by cause. \\trace shows where it went."},
    {"FETCH", "retrieve rows from a query using a cursor", "FETCH [ NEXT | ALL | FORWARD n ] [ FROM | IN ] name"},
    {"GRANT", "define access privileges", "GRANT privilege [, ...] ON object TO role"},
    {"INSERT", "create rows in a table",
     "[ WITH query [, ...] ]\nINSERT INTO table [ ( column [, ...] ) ]\n"
     "    { DEFAULT VALUES | VALUES ( { expression | DEFAULT } [, ...] ) [, ...] | query }\n"
     "    [ ON CONFLICT [ ( column [, ...] ) ] { DO NOTHING | DO UPDATE SET column = expression [, ...] [ WHERE "
     "condition ] } ]\n"
     "    [ RETURNING { * | expression [, ...] } ]"},
    {"LOCK", "lock a table", "LOCK [ TABLE ] name [, ...] [ IN mode MODE ]"},
    {"PREPARE", "prepare a statement for execution", "PREPARE name [ ( type [, ...] ) ] AS statement"},
    {"RELEASE SAVEPOINT", "release a savepoint", "RELEASE [ SAVEPOINT ] name"},
    {"RESET", "restore a setting to its default", "RESET { name | ALL }"},
    {"REVOKE", "remove access privileges", "REVOKE privilege [, ...] ON object FROM role"},
    {"ROLLBACK", "abort the current transaction", "ROLLBACK [ WORK | TRANSACTION ] [ AND [ NO ] CHAIN ]"},
    {"ROLLBACK TO SAVEPOINT", "roll back to a savepoint", "ROLLBACK TO [ SAVEPOINT ] name"},
    {"SAVEPOINT", "define a savepoint in a transaction", "SAVEPOINT name"},
    {"SELECT", "retrieve rows from tables or views",
     "[ WITH [ RECURSIVE ] query [, ...] ]\n"
     "SELECT [ ALL | DISTINCT [ ON ( expression [, ...] ) ] ] [ * | expression [ [ AS ] name ] [, ...] ]\n"
     "    [ FROM from_item [, ...] ] [ WHERE condition ] [ GROUP BY expression [, ...] ] [ HAVING condition ]\n"
     "    [ WINDOW name AS ( definition ) [, ...] ] [ { UNION | INTERSECT | EXCEPT } [ ALL ] select ]\n"
     "    [ ORDER BY expression [ ASC | DESC ] [ NULLS { FIRST | LAST } ] [, ...] ] [ LIMIT n ] [ OFFSET n ]\n"
     "    [ FOR { UPDATE | SHARE } ]"},
    {"SET", "change a setting",
     "SET [ SESSION | LOCAL ] name { TO | = } { value | DEFAULT }\n"
     "SET meridian.read_staleness = 'strong' | 'exact 10s' | 'max 10s' | 'since TIMESTAMP' | 'at TIMESTAMP'"},
    {"SHOW", "show the value of a setting", "SHOW { name | ALL }"},
    {"START TRANSACTION", "start a transaction block", "START TRANSACTION [ READ WRITE | READ ONLY ]"},
    {"TRUNCATE", "empty a table", "TRUNCATE [ TABLE ] name [, ...] [ RESTART IDENTITY ] [ CASCADE ]"},
    {"UPDATE", "update rows of a table",
     "[ WITH query [, ...] ]\nUPDATE table [ [ AS ] alias ] SET column = { expression | DEFAULT } [, ...]\n"
     "    [ FROM from_item [, ...] ] [ WHERE condition ] [ RETURNING { * | expression [, ...] } ]"},
    {"VALUES", "compute a set of rows",
     "VALUES ( expression [, ...] ) [, ...] [ ORDER BY ... ] [ LIMIT n ] [ OFFSET n ]"},
};

static void list(struct shell *sh) {
    enum { COLUMNS = 3, WIDTH = 24 };
    size_t n = ARRAY_LEN(topics), high = (n + COLUMNS - 1) / COLUMNS;
    fputs("Available help:\n", sh->out);
    for (size_t r = 0; r < high; r++) {
        for (size_t c = 0; c < COLUMNS && c * high + r < n; c++) {
            bool last = c + 1 == COLUMNS || (c + 1) * high + r >= n;
            fprintf(sh->out, "  %-*s", last ? 0 : WIDTH, topics[c * high + r].name);
        }
        fputc('\n', sh->out);
    }
}

static void show(struct shell *sh, const struct topic *t) {
    fprintf(sh->out, "Command:     %s\nDescription: %s\nSyntax:\n%s\n\n", t->name, t->about, t->syntax);
}

/* The topics that begin with text; * is all. */
void sql_help(struct shell *sh, const char *text) {
    char wanted[64];
    size_t n = 0, found = 0;
    if (!text || !*text) {
        list(sh);
        return;
    }
    for (; *text && *text != ';' && n + 1 < sizeof wanted; text++)
        if (!isspace((unsigned char)*text) || (n && wanted[n - 1] != ' '))
            wanted[n++] = isspace((unsigned char)*text) ? ' ' : *text;
    while (n && wanted[n - 1] == ' ')
        n--;
    wanted[n] = '\0';
    bool all = strcmp(wanted, "*") == 0;
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (strcasecmp(topics[i].name, wanted) == 0) {
            show(sh, &topics[i]);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (all || strncasecmp(topics[i].name, wanted, n) == 0) {
            show(sh, &topics[i]);
            found++;
        }
    if (!found)
        fprintf(sh->out, "No help available for \"%s\".\nTry \\h with no arguments to see available help.\n", wanted);
}
