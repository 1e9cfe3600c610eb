/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe_more.c: the lists of the \d family that are one query each: a table of what they show, laid out as psql 15 does.
 *
 * A listing names its columns, where they come from, which of those is matched by a pattern's schema and name, and what `+` adds. Of
 * the system's own objects only those are shown that `S` or a pattern asks for.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/shell/describe.h"

struct listing {
    const char *command; /* without S and + */
    const char *title, *columns, *more;
    const char *from, *where;
    const char *schema, *name, *other, *visible; /* what patterns match; other: or this name; NULL: none */
    bool system_too;                             /* nothing of it is left out */
    const char *order;
};

#define DESCRIPTION(oid_, of_) "pg_catalog.obj_description(" oid_ ", '" of_ "') AS \"Description\""
#define ACL(column_) "pg_catalog.array_to_string(" column_ ", E'\\n') AS \"Access privileges\""
#define OWNER(column_) "pg_catalog.pg_get_userbyid(" column_ ") AS \"Owner\""
#define YES_NO(what_, name_) "CASE WHEN " what_ " THEN 'yes' ELSE 'no' END AS \"" name_ "\""
#define IN_SCHEMA(from_, column_) from_ " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = " column_

static const char options[] =
    "CASE WHEN %1$s IS NULL THEN '' ELSE '(' || pg_catalog.array_to_string(%1$s, ', ') || ')' END AS \"FDW options\"";
static const char kinds_of_tables[] =
    "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN "
    "'sequence'"
    " WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' END AS \"Type\"";

static const struct listing listings[] = {
    {"da", "List of aggregate functions",
     "n.nspname AS \"Schema\", p.proname AS \"Name\", pg_catalog.format_type(p.prorettype, NULL) AS \"Result data "
     "type\","
     " CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_catalog.pg_get_function_arguments(p.oid) END AS \"Argument data "
     "types\","
     " " DESCRIPTION("p.oid", "pg_proc"),
     "", IN_SCHEMA("pg_catalog.pg_proc p", "p.pronamespace"), "p.prokind = 'a'", "n.nspname", "p.proname", NULL,
     "pg_catalog.pg_function_is_visible(p.oid)", false, "1, 2, 4"},
    {"db", "List of tablespaces",
     "s.spcname AS \"Name\", " OWNER("s.spcowner") ", pg_catalog.pg_tablespace_location(s.oid) AS \"Location\"",
     ", " ACL("s.spcacl") ", s.spcoptions AS \"Options\","
                          " pg_catalog.pg_size_pretty(pg_catalog.pg_tablespace_size(s.oid)) AS \"Size\","
                          " pg_catalog.shobj_description(s.oid, 'pg_tablespace') AS \"Description\"",
     "pg_catalog.pg_tablespace s", "true", NULL, "s.spcname", NULL, NULL, true, "1"},
    {"dc", "List of conversions",
     "n.nspname AS \"Schema\", c.conname AS \"Name\", pg_catalog.pg_encoding_to_char(c.conforencoding) AS \"Source\","
     " pg_catalog.pg_encoding_to_char(c.contoencoding) AS \"Destination\", " YES_NO("c.condefault", "Default?"),
     ", " DESCRIPTION("c.oid", "pg_conversion"), IN_SCHEMA("pg_catalog.pg_conversion c", "c.connamespace"), "true",
     "n.nspname", "c.conname", NULL, "pg_catalog.pg_conversion_is_visible(c.oid)", false, "1, 2"},
    {"dC", "List of casts",
     "pg_catalog.format_type(c.castsource, NULL) AS \"Source type\","
     " pg_catalog.format_type(c.casttarget, NULL) AS \"Target type\","
     " CASE c.castmethod WHEN 'b' THEN '(binary coercible)' WHEN 'i' THEN '(with inout)' ELSE p.proname END AS "
     "\"Function\","
     " CASE c.castcontext WHEN 'e' THEN 'no' WHEN 'a' THEN 'in assignment' ELSE 'yes' END AS \"Implicit?\"",
     ", " DESCRIPTION("c.oid", "pg_cast"),
     "pg_catalog.pg_cast c LEFT JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc"
     " LEFT JOIN pg_catalog.pg_type s ON s.oid = c.castsource LEFT JOIN pg_catalog.pg_type t ON t.oid = c.casttarget",
     "true", NULL, "s.typname", "t.typname", NULL, true, "1, 2"},
    {"dd", "Object descriptions",
     "n.nspname AS \"Schema\", c.conname AS \"Name\", 'table constraint' AS \"Object\", d.description AS "
     "\"Description\"",
     "",
     IN_SCHEMA("pg_catalog.pg_constraint c JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0"
               " AND d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass",
               "c.connamespace"),
     "c.conrelid <> 0", "n.nspname", "c.conname", NULL, NULL, false, "1, 2, 3"},
    {"dD", "List of domains",
     "n.nspname AS \"Schema\", t.typname AS \"Name\", pg_catalog.format_type(t.typbasetype, t.typtypmod) AS \"Type\","
     " (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type b WHERE c.oid = t.typcollation"
     " AND b.oid = t.typbasetype AND t.typcollation <> b.typcollation) AS \"Collation\","
     " CASE WHEN t.typnotnull THEN 'not null' END AS \"Nullable\", t.typdefault AS \"Default\","
     " pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.pg_get_constraintdef(k.oid, true)"
     " FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid), ' ') AS \"Check\"",
     ", " ACL("t.typacl") ", " DESCRIPTION("t.oid", "pg_type"), IN_SCHEMA("pg_catalog.pg_type t", "t.typnamespace"),
     "t.typtype = 'd'", "n.nspname", "t.typname", NULL, "pg_catalog.pg_type_is_visible(t.oid)", false, "1, 2"},
    {"ddp", "Default access privileges",
     "pg_catalog.pg_get_userbyid(d.defaclrole) AS \"Owner\", n.nspname AS \"Schema\","
     " CASE d.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function' WHEN 'T' THEN "
     "'type'"
     " WHEN 'n' THEN 'schema' END AS \"Type\", " ACL("d.defaclacl"),
     "", IN_SCHEMA("pg_catalog.pg_default_acl d", "d.defaclnamespace"), "true", NULL, "n.nspname",
     "pg_catalog.pg_get_userbyid(d.defaclrole)", NULL, true, "1, 2, 3"},
    {"dF", "List of text search configurations",
     "n.nspname AS \"Schema\", c.cfgname AS \"Name\", " DESCRIPTION("c.oid", "pg_ts_config"), "",
     IN_SCHEMA("pg_catalog.pg_ts_config c", "c.cfgnamespace"), "true", "n.nspname", "c.cfgname", NULL,
     "pg_catalog.pg_ts_config_is_visible(c.oid)", true, "1, 2"},
    {"dFd", "List of text search dictionaries", "n.nspname AS \"Schema\", d.dictname AS \"Name\"",
     ", (SELECT m.nspname || '.' || t.tmplname FROM pg_catalog.pg_ts_template t LEFT JOIN pg_catalog.pg_namespace m"
     " ON m.oid = t.tmplnamespace WHERE t.oid = d.dicttemplate) AS \"Template\", d.dictinitoption AS \"Init options\"",
     IN_SCHEMA("pg_catalog.pg_ts_dict d", "d.dictnamespace"), "true", "n.nspname", "d.dictname", NULL,
     "pg_catalog.pg_ts_dict_is_visible(d.oid)", true, "1, 2"},
    {"dFp", "List of text search parsers",
     "n.nspname AS \"Schema\", p.prsname AS \"Name\", " DESCRIPTION("p.oid", "pg_ts_parser"), "",
     IN_SCHEMA("pg_catalog.pg_ts_parser p", "p.prsnamespace"), "true", "n.nspname", "p.prsname", NULL,
     "pg_catalog.pg_ts_parser_is_visible(p.oid)", true, "1, 2"},
    {"dFt", "List of text search templates", "n.nspname AS \"Schema\", t.tmplname AS \"Name\"",
     ", t.tmplinit::pg_catalog.regproc AS \"Init\", t.tmpllexize::pg_catalog.regproc AS \"Lexize\"",
     IN_SCHEMA("pg_catalog.pg_ts_template t", "t.tmplnamespace"), "true", "n.nspname", "t.tmplname", NULL,
     "pg_catalog.pg_ts_template_is_visible(t.oid)", true, "1, 2"},
    {"dL", "List of languages", "l.lanname AS \"Name\", " OWNER("l.lanowner") ", l.lanpltrusted AS \"Trusted\"",
     ", NOT l.lanispl AS \"Internal language\", l.lanplcallfoid::pg_catalog.regprocedure AS \"Call handler\","
     " l.lanvalidator::pg_catalog.regprocedure AS \"Validator\", l.laninline::pg_catalog.regprocedure AS \"Inline "
     "handler\", " ACL("l.lanacl"),
     "pg_catalog.pg_language l", "l.lanplcallfoid <> 0", NULL, "l.lanname", NULL, NULL, true, "1"},
    {"do", "List of operators",
     "n.nspname AS \"Schema\", o.oprname AS \"Name\","
     " CASE WHEN o.oprkind = 'l' THEN NULL ELSE pg_catalog.format_type(o.oprleft, NULL) END AS \"Left arg type\","
     " CASE WHEN o.oprkind = 'r' THEN NULL ELSE pg_catalog.format_type(o.oprright, NULL) END AS \"Right arg type\","
     " pg_catalog.format_type(o.oprresult, NULL) AS \"Result type\"",
     ", o.oprcode AS \"Function\"", IN_SCHEMA("pg_catalog.pg_operator o", "o.oprnamespace"), "true", "n.nspname",
     "o.oprname", NULL, "pg_catalog.pg_operator_is_visible(o.oid)", false, "1, 2, 3, 4"},
    {"dO", "List of collations",
     "n.nspname AS \"Schema\", c.collname AS \"Name\", c.collcollate AS \"Collate\", c.collctype AS \"Ctype\","
     " c.colliculocale AS \"ICU Locale\", CASE c.collprovider WHEN 'd' THEN 'default' WHEN 'c' THEN 'libc' WHEN 'i' "
     "THEN"
     " 'icu' END AS \"Provider\", " YES_NO("c.collisdeterministic", "Deterministic?"),
     ", " DESCRIPTION("c.oid", "pg_collation"), IN_SCHEMA("pg_catalog.pg_collation c", "c.collnamespace"),
     "c.collencoding IN (-1, 6)", "n.nspname", "c.collname", NULL, "pg_catalog.pg_collation_is_visible(c.oid)", false,
     "1, 2"},
    {"dp", "Access privileges",
     "n.nspname AS \"Schema\", c.relname AS \"Name\", %2$s, " ACL(
         "c.relacl") ","
                     " pg_catalog.array_to_string(ARRAY(SELECT a.attname || E':\\n  ' || "
                     "pg_catalog.array_to_string(a.attacl, E'\\n  ')"
                     " FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attacl IS "
                     "NOT NULL), E'\\n')"
                     " AS \"Column privileges\","
                     " pg_catalog.array_to_string(ARRAY(SELECT p.polname FROM pg_catalog.pg_policy p WHERE p.polrelid "
                     "= c.oid), E'\\n')"
                     " AS \"Policies\"",
     "", IN_SCHEMA("pg_catalog.pg_class c", "c.relnamespace"), "c.relkind IN ('r', 'v', 'm', 'S', 'f', 'p')",
     "n.nspname", "c.relname", NULL, "pg_catalog.pg_table_is_visible(c.oid)", false, "1, 2"},
    {"drds", "List of settings",
     "r.rolname AS \"Role\", d.datname AS \"Database\", pg_catalog.array_to_string(s.setconfig, E'\\n') AS "
     "\"Settings\"",
     "",
     "pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase"
     " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole",
     "true", NULL, "r.rolname", NULL, NULL, true, "1, 2"},
    {"dT", "List of data types", "n.nspname AS \"Schema\", pg_catalog.format_type(t.oid, NULL) AS \"Name\"",
     ", t.typname AS \"Internal name\","
     " CASE WHEN t.typrelid <> 0 THEN 'tuple' WHEN t.typlen < 0 THEN 'var' ELSE t.typlen::pg_catalog.text END AS "
     "\"Size\","
     " pg_catalog.array_to_string(ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid"
     " ORDER BY e.enumsortorder), E'\\n') AS \"Elements\", " OWNER("t.typowner") ", " ACL("t.typacl"),
     IN_SCHEMA("pg_catalog.pg_type t", "t.typnamespace"),
     "(t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))"
     " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid)",
     "n.nspname", "t.typname", "pg_catalog.format_type(t.oid, NULL)", "pg_catalog.pg_type_is_visible(t.oid)", false,
     "1, 2"},
    {"dx", "List of installed extensions",
     "e.extname AS \"Name\", e.extversion AS \"Version\", n.nspname AS \"Schema\", " DESCRIPTION("e.oid",
                                                                                                 "pg_extension"),
     "", IN_SCHEMA("pg_catalog.pg_extension e", "e.extnamespace"), "true", NULL, "e.extname", NULL, NULL, true, "1"},
    {"dy", "List of event triggers",
     "e.evtname AS \"Name\", e.evtevent AS \"Event\", " OWNER(
         "e.evtowner") ","
                       " CASE e.evtenabled WHEN 'O' THEN 'enabled' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' WHEN "
                       "'D' THEN 'disabled' END"
                       " AS \"Enabled\", e.evtfoid::pg_catalog.regproc AS \"Function\","
                       " pg_catalog.array_to_string(e.evttags, ', ') AS \"Tags\"",
     ", " DESCRIPTION("e.oid", "pg_event_trigger"), "pg_catalog.pg_event_trigger e", "true", NULL, "e.evtname", NULL,
     NULL, true, "1"},
    {"dA", "List of access methods",
     "a.amname AS \"Name\", CASE a.amtype WHEN 'i' THEN 'Index' WHEN 't' THEN 'Table' END AS \"Type\"",
     ", a.amhandler AS \"Handler\", " DESCRIPTION("a.oid", "pg_am"), "pg_catalog.pg_am a", "true", NULL, "a.amname",
     NULL, NULL, true, "1"},
    {"dAc", "List of operator classes",
     "am.amname AS \"AM\", pg_catalog.format_type(c.opcintype, NULL) AS \"Input type\","
     " CASE WHEN c.opckeytype <> 0 AND c.opckeytype <> c.opcintype THEN pg_catalog.format_type(c.opckeytype, NULL) END"
     " AS \"Storage type\", c.opcname AS \"Operator class\", " YES_NO("c.opcdefault", "Default?"),
     ", f.opfname AS \"Operator family\", " OWNER("c.opcowner"),
     "pg_catalog.pg_opclass c JOIN pg_catalog.pg_am am ON am.oid = c.opcmethod"
     " LEFT JOIN pg_catalog.pg_opfamily f ON f.oid = c.opcfamily",
     "true", NULL, "am.amname", NULL, NULL, true, "1, 2, 4"},
    {"dAf", "List of operator families",
     "am.amname AS \"AM\", f.opfname AS \"Operator family\","
     " pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.format_type(c.opcintype, NULL) FROM pg_catalog.pg_opclass c"
     " WHERE c.opcfamily = f.oid), ', ') AS \"Applicable types\"",
     ", " OWNER("f.opfowner"), "pg_catalog.pg_opfamily f JOIN pg_catalog.pg_am am ON am.oid = f.opfmethod", "true",
     NULL, "am.amname", NULL, NULL, true, "1, 2"},
    {"dAo", "List of operators of operator families",
     "am.amname AS \"AM\", f.opfname AS \"Operator family\", o.amopopr::pg_catalog.regoperator AS \"Operator\","
     " o.amopstrategy AS \"Strategy\", CASE o.amoppurpose WHEN 'o' THEN 'ordering' WHEN 's' THEN 'search' END AS "
     "\"Purpose\"",
     ", s.opfname AS \"Sort opfamily\"",
     "pg_catalog.pg_amop o JOIN pg_catalog.pg_opfamily f ON f.oid = o.amopfamily"
     " JOIN pg_catalog.pg_am am ON am.oid = f.opfmethod LEFT JOIN pg_catalog.pg_opfamily s ON s.oid = o.amopsortfamily",
     "true", NULL, "am.amname", NULL, NULL, true, "1, 2, 4"},
    {"dAp", "List of support functions of operator families",
     "am.amname AS \"AM\", f.opfname AS \"Operator family\","
     " pg_catalog.format_type(p.amproclefttype, NULL) AS \"Registered left type\","
     " pg_catalog.format_type(p.amprocrighttype, NULL) AS \"Registered right type\", p.amprocnum AS \"Number\","
     " r.proname AS \"Function\"",
     "",
     "pg_catalog.pg_amproc p JOIN pg_catalog.pg_opfamily f ON f.oid = p.amprocfamily"
     " JOIN pg_catalog.pg_am am ON am.oid = f.opfmethod LEFT JOIN pg_catalog.pg_proc r ON r.oid = p.amproc",
     "true", NULL, "am.amname", NULL, NULL, true, "1, 2, (p.amproclefttype = p.amprocrighttype) DESC, 3, 4, 5"},
    {"des", "List of foreign servers",
     "s.srvname AS \"Name\", " OWNER("s.srvowner") ", f.fdwname AS \"Foreign-data wrapper\"",
     ", " ACL("s.srvacl") ", s.srvtype AS \"Type\", s.srvversion AS \"Version\", %1$s, " DESCRIPTION(
         "s.oid", "pg_foreign_server"),
     "pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper f ON f.oid = s.srvfdw", "true", NULL,
     "s.srvname", NULL, NULL, true, "1"},
    {"det", "List of foreign tables", "n.nspname AS \"Schema\", c.relname AS \"Table\", s.srvname AS \"Server\"",
     ", %1$s, " DESCRIPTION("c.oid", "pg_class"),
     IN_SCHEMA("pg_catalog.pg_foreign_table t JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid"
               " JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver",
               "c.relnamespace"),
     "true", "n.nspname", "c.relname", NULL, "pg_catalog.pg_table_is_visible(c.oid)", true, "1, 2"},
    {"deu", "List of user mappings", "u.srvname AS \"Server\", u.usename AS \"User name\"", ", %1$s",
     "pg_catalog.pg_user_mappings u", "true", NULL, "u.srvname", NULL, NULL, true, "1, 2"},
    {"dew", "List of foreign-data wrappers",
     "f.fdwname AS \"Name\", " OWNER("f.fdwowner") ", f.fdwhandler::pg_catalog.regproc AS \"Handler\","
                                                   " f.fdwvalidator::pg_catalog.regproc AS \"Validator\"",
     ", " ACL("f.fdwacl") ", %1$s, " DESCRIPTION("f.oid", "pg_foreign_data_wrapper"),
     "pg_catalog.pg_foreign_data_wrapper f", "true", NULL, "f.fdwname", NULL, NULL, true, "1"},
    {"dl", "Large objects",
     "l.oid AS \"ID\", " OWNER("l.lomowner") ", pg_catalog.obj_description(l.oid, 'pg_largeobject') AS \"Description\"",
     "", "pg_catalog.pg_largeobject_metadata l", "true", NULL, NULL, NULL, NULL, true, "1"},
    {"dP", "List of partitioned relations",
     "n.nspname AS \"Schema\", c.relname AS \"Name\", " OWNER(
         "c.relowner") ","
                       " CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'partitioned index' END AS \"Type\","
                       " i.indrelid::pg_catalog.regclass AS \"Table\"",
     ", pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) AS \"Total size\", " DESCRIPTION(
         "c.oid", "pg_class"),
     IN_SCHEMA("pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid", "c.relnamespace"),
     "c.relkind IN ('p', 'I') AND NOT c.relispartition", "n.nspname", "c.relname", NULL,
     "pg_catalog.pg_table_is_visible(c.oid)", false, "1, 4 DESC, 2"},
    {"dPn", "List of partitioned relations",
     "n.nspname AS \"Schema\", c.relname AS \"Name\", " OWNER(
         "c.relowner") ","
                       " CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'partitioned index' END AS \"Type\","
                       " h.inhparent::pg_catalog.regclass AS \"Parent name\", i.indrelid::pg_catalog.regclass AS "
                       "\"Table\"",
     ", pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) AS \"Total size\", " DESCRIPTION(
         "c.oid", "pg_class"),
     IN_SCHEMA("pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
               " LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid",
               "c.relnamespace"),
     "c.relkind IN ('p', 'I')", "n.nspname", "c.relname", NULL, "pg_catalog.pg_table_is_visible(c.oid)", false,
     "1, 4 DESC, 5 NULLS FIRST, 2"},
    {"dPt", "List of partitioned tables", "n.nspname AS \"Schema\", c.relname AS \"Name\", " OWNER("c.relowner"),
     ", pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) AS \"Total size\", " DESCRIPTION(
         "c.oid", "pg_class"),
     IN_SCHEMA("pg_catalog.pg_class c", "c.relnamespace"), "c.relkind = 'p' AND NOT c.relispartition", "n.nspname",
     "c.relname", NULL, "pg_catalog.pg_table_is_visible(c.oid)", false, "1, 2"},
    {"dPi", "List of partitioned indexes",
     "n.nspname AS \"Schema\", c.relname AS \"Name\", " OWNER(
         "c.relowner") ","
                       " i.indrelid::pg_catalog.regclass AS \"Table\"",
     ", pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) AS \"Total size\", " DESCRIPTION(
         "c.oid", "pg_class"),
     IN_SCHEMA("pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid", "c.relnamespace"),
     "c.relkind = 'I' AND NOT c.relispartition", "n.nspname", "c.relname", NULL,
     "pg_catalog.pg_table_is_visible(c.oid)", false, "1, 2"},
    {"dRp", "List of publications",
     "p.pubname AS \"Name\", " OWNER("p.pubowner") ", p.puballtables AS \"All tables\", p.pubinsert AS \"Inserts\","
                                                   " p.pubupdate AS \"Updates\", p.pubdelete AS \"Deletes\", "
                                                   "p.pubtruncate AS \"Truncates\", p.pubviaroot AS \"Via root\"",
     "", "pg_catalog.pg_publication p", "true", NULL, "p.pubname", NULL, NULL, true, "1"},
    {"dRs", "List of subscriptions",
     "s.subname AS \"Name\", " OWNER(
         "s.subowner") ", s.subenabled AS \"Enabled\", s.subpublications AS \"Publication\"",
     ", s.subbinary AS \"Binary\", s.substream AS \"Streaming\", s.subtwophasestate AS \"Two-phase commit\","
     " s.subdisableonerr AS \"Disable on error\", s.subsynccommit AS \"Synchronous commit\", s.subconninfo AS "
     "\"Conninfo\","
     " s.subskiplsn AS \"Skip LSN\"",
     "pg_catalog.pg_subscription s", "true", NULL, "s.subname", NULL, NULL, true, "1"},
    {"dX", "List of extended statistics",
     "n.nspname AS \"Schema\", e.stxname AS \"Name\", pg_catalog.format('%%s FROM %%s',"
     " pg_catalog.pg_get_statisticsobjdef_columns(e.oid), e.stxrelid::pg_catalog.regclass) AS \"Definition\","
     " CASE WHEN 'd' = ANY(e.stxkind) THEN 'defined' END AS \"Ndistinct\","
     " CASE WHEN 'f' = ANY(e.stxkind) THEN 'defined' END AS \"Dependencies\","
     " CASE WHEN 'm' = ANY(e.stxkind) THEN 'defined' END AS \"MCV\"",
     "", IN_SCHEMA("pg_catalog.pg_statistic_ext e", "e.stxnamespace"), "true", "n.nspname", "e.stxname", NULL,
     "pg_catalog.pg_statistics_obj_is_visible(e.oid)", true, "1, 2"},
};

/* columns with what stands for %1$s and %2$s; %%: a percent sign. */
static void columns(struct buf *sql, const struct listing *l, const char *text) {
    const char *option = strcmp(l->command, "des") == 0   ? "s.srvoptions"
                         : strcmp(l->command, "det") == 0 ? "t.ftoptions"
                         : strcmp(l->command, "deu") == 0 ? "u.umoptions"
                                                          : "f.fdwoptions";
    for (; *text; text++)
        if (strncmp(text, "%1$s", 4) == 0) {
            for (const char *p = options; *p; p++)
                if (strncmp(p, "%1$s", 4) == 0) {
                    buf_puts(sql, option);
                    p += 3;
                } else {
                    buf_putc(sql, (uint8_t)*p);
                }
            text += 3;
        } else if (strncmp(text, "%2$s", 4) == 0) {
            buf_puts(sql, kinds_of_tables);
            text += 3;
        } else {
            text += *text == '%';
            buf_putc(sql, (uint8_t)*text);
        }
}

static void only_wanted(struct buf *sql, const struct listing *l, const struct pattern *p, bool system) {
    if (!system && !l->system_too && !p->given && l->schema)
        buf_printf(sql, " AND %1$s <> 'pg_catalog' AND %1$s <> 'information_schema'", l->schema);
    if (l->other && p->name) { /* either name may be the one */
        buf_puts(sql, " AND (true");
        pattern_match(sql, l->name, p->name);
        buf_puts(sql, " OR true");
        pattern_match(sql, l->other, p->name);
        buf_puts(sql, ")");
    } else if (l->name && p->name) {
        pattern_match(sql, l->name, p->name);
    }
    if (l->schema && p->schema && strcmp(p->schema, ".") != 0)
        pattern_match(sql, l->schema, p->schema);
    if (!p->schema && l->visible)
        buf_printf(sql, " AND %s", l->visible);
}

/* Lists that are a sentence where they are empty: what it says there is none of; NULL: they are shown. */
static const char *sentence_of(const char *command, bool verbose) {
    static const struct {
        const char *command;
        bool verbose;
        const char *what;
    } all[] = {{"drds", false, "setting"},          {"drds", true, "setting"},
               {"dx", true, "extension"},           {"dF", true, "text search configuration"},
               {"dFp", true, "text search parser"}, {"dRp", true, "publication"}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].command, command) == 0 && all[i].verbose == verbose)
            return all[i].what;
    return NULL;
}

static void found_nothing(struct shell *sh, const char *what, const char *pattern) {
    if (sh->quiet)
        return;
    if (!pattern)
        shell_error(sh, "Did not find any %ss.", what);
    else if (strcmp(what, "setting") == 0)
        shell_error(sh, "Did not find any settings for role \"%s\".", pattern);
    else
        shell_error(sh, "Did not find any %s named \"%s\".", what, pattern);
}

static bool run(struct shell *sh, struct buf *sql, const char *title, const char *what, const char *pattern) {
    struct print_table t;
    const char *text = buf_cstr(sql);
    if (!text)
        shell_nomem();
    bool ok = shell_query(sh, text, &t);
    buf_done(sql);
    if (!ok)
        return false;
    t.title = title;
    if (what && t.rows == 0)
        found_nothing(sh, what, pattern);
    else
        shell_print(sh, &t);
    print_table_done(&t);
    return true;
}

/* Settings: those that were changed, or those that the pattern names. */
static bool parameters(struct shell *sh, const char *pattern, bool verbose) {
    struct pattern p = pattern_of(pattern);
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT s.name AS \"Parameter\", pg_catalog.current_setting(s.name) AS \"Value\"");
    if (verbose)
        buf_puts(&sql, ", s.vartype AS \"Type\", s.context AS \"Context\", NULL AS \"Access privileges\"");
    buf_puts(&sql, " FROM pg_catalog.pg_settings s WHERE true");
    if (p.name)
        pattern_match(&sql, "pg_catalog.lower(s.name)", p.name);
    else
        buf_puts(&sql, " AND s.source <> 'default' AND s.setting IS DISTINCT FROM s.boot_val");
    buf_puts(&sql, " ORDER BY 1");
    bool all = p.name != NULL;
    pattern_done(&p);
    return run(sh, &sql, all ? "List of configuration parameters" : "List of non-default configuration parameters",
               NULL, NULL);
}

/* What belongs to each extension. */
static bool extensions(struct shell *sh, const char *pattern) {
    struct pattern p = pattern_of(pattern);
    struct print_table t;
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT e.extname, e.oid FROM pg_catalog.pg_extension e WHERE true");
    if (p.name)
        pattern_match(&sql, "e.extname", p.name);
    buf_puts(&sql, " ORDER BY 1");
    pattern_done(&p);
    if (!buf_cstr(&sql))
        shell_nomem();
    bool ok = shell_query(sh, buf_cstr(&sql), &t);
    buf_done(&sql);
    if (!ok)
        return false;
    if (t.rows == 0)
        found_nothing(sh, "extension", pattern);
    for (size_t i = 0; i < t.rows && ok; i++) {
        struct buf title;
        buf_init(&title, 0);
        buf_init(&sql, 0);
        buf_printf(&title, "Objects in extension \"%s\"", t.cell[2 * i]);
        buf_printf(&sql,
                   "SELECT pg_catalog.pg_describe_object(classid, objid, 0) AS \"Object description\""
                   " FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass"
                   " AND refobjid = '%s' AND deptype = 'e' ORDER BY 1",
                   t.cell[2 * i + 1]);
        if (!buf_cstr(&title))
            shell_nomem();
        ok = run(sh, &sql, buf_cstr(&title), NULL, NULL);
        buf_done(&title);
    }
    print_table_done(&t);
    return ok;
}

/* ---- \sf and \sv ----------------------------------------------------------------------------------------------------------- */

/* One value of a query whose errors are told without the place in it: it is not the user's. */
static char *value_of(struct shell *sh, const char *sql) {
    meridian_stmt *st;
    char *value = NULL;
    int code = meridian_query(sh->db, sql, -1, &st);
    if (!code)
        code = meridian_step(st);
    if (code == MERIDIAN_ROW) {
        const char *text = meridian_column_text(st, 0);
        value = strdup(text ? text : "");
        if (!value)
            shell_nomem();
    } else if (code >= MERIDIAN_ERROR) {
        shell_db_error(sh, NULL);
    }
    meridian_finalize(st);
    return value;
}

/* Lines, with numbers from the one on that begins the body. */
static void print_source(struct shell *sh, const char *text, bool numbers, bool function) {
    int n = function ? 0 : 1;
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (n == 0 &&
            (strncmp(text, "AS ", 3) == 0 || strncmp(text, "BEGIN ", 6) == 0 || strncmp(text, "RETURN ", 7) == 0))
            n = 1;
        if (numbers && n == 0)
            fprintf(sh->out, "%8s", "");
        else if (numbers)
            fprintf(sh->out, "%-7d ", n++);
        fprintf(sh->out, "%.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
    fflush(sh->out);
}

static char *number_of(struct shell *sh, const char *name, const char *type) {
    struct buf sql;
    buf_init(&sql, 0);
    buf_puts(&sql, "SELECT ");
    vars_quote(name, '\'', &sql);
    buf_printf(&sql, "::pg_catalog.%s::pg_catalog.oid", type);
    const char *text = buf_cstr(&sql);
    if (!text)
        shell_nomem();
    char *oid = value_of(sh, text);
    buf_done(&sql);
    return oid;
}

static bool show_function(struct shell *sh, const char *name, bool numbers) {
    char sql[128];
    char *oid = number_of(sh, name, strchr(name, '(') ? "regprocedure" : "regproc");
    if (!oid)
        return false;
    snprintf(sql, sizeof sql, "SELECT pg_catalog.pg_get_functiondef(%.20s)", oid);
    char *text = value_of(sh, sql);
    if (text)
        print_source(sh, text, numbers, true);
    free(oid);
    free(text);
    return text != NULL;
}

static bool show_view(struct shell *sh, const char *name, bool numbers) {
    struct print_table t;
    char sql[400], title[300];
    char *oid = number_of(sh, name, "regclass");
    if (!oid)
        return false;
    snprintf(sql, sizeof sql,
             "SELECT n.nspname, c.relname, c.relkind, pg_catalog.pg_get_viewdef(c.oid, true) FROM pg_catalog.pg_class c"
             " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %.20s",
             oid);
    free(oid);
    if (!shell_query(sh, sql, &t))
        return false;
    bool ok = t.rows == 1 && t.cell[0] && t.cell[1] && t.cell[2] && *t.cell[2] == 'v' && t.cell[3];
    if (ok) {
        struct buf text;
        buf_init(&text, 0);
        snprintf(title, sizeof title, "%s.%s", t.cell[0], t.cell[1]);
        buf_printf(&text, "CREATE OR REPLACE VIEW %s AS\n%s", title, t.cell[3]);
        if (text.len && text.data[text.len - 1] == ';')
            text.len--;
        if (!buf_cstr(&text))
            shell_nomem();
        print_source(sh, buf_cstr(&text), numbers, false);
        buf_done(&text);
    } else if (t.rows == 1 && t.cell[0]) {
        fflush(sh->out);
        shell_error(sh, "\"%s.%s\" is not a view", t.cell[0], t.cell[1]);
    }
    print_table_done(&t);
    return ok;
}

bool describe_source(struct shell *sh, const char *name, const char *what) {
    bool numbers = strchr(name, '+') != NULL;
    if (!what) {
        shell_error(sh, name[1] == 'f' ? "function name is required" : "view name is required");
        return false;
    }
    return name[1] == 'f' ? show_function(sh, what, numbers) : show_view(sh, what, numbers);
}

bool describe_more(struct shell *sh, const char *name, const char *pattern, char *const *types, bool *ret_ok) {
    char plain[16] = "";
    size_t n = 0;
    bool system = strchr(name, 'S') != NULL, verbose = strchr(name, '+') != NULL;
    for (const char *p = name; *p && n + 1 < sizeof plain; p++)
        if (*p != 'S' && *p != '+')
            plain[n++] = *p;
    plain[n] = '\0';
    if (strcmp(plain, "z") == 0)
        snprintf(plain, sizeof plain, "dp");
    if (strcmp(plain, "lo_list") == 0)
        snprintf(plain, sizeof plain, "dl");
    if (strcmp(plain, "dx") == 0 && verbose) {
        *ret_ok = extensions(sh, pattern);
        return true;
    }
    if (strcmp(plain, "dconfig") == 0) {
        *ret_ok = parameters(sh, pattern, verbose);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(listings); i++) {
        const struct listing *l = &listings[i];
        if (strcmp(l->command, plain) != 0)
            continue;
        struct pattern p = pattern_of(pattern);
        struct buf sql;
        buf_init(&sql, 0);
        buf_puts(&sql, "SELECT ");
        columns(&sql, l, l->columns);
        if (verbose)
            columns(&sql, l, l->more);
        /* these describe each of theirs anyway, behind what + adds */
        if (strcmp(plain, "do") == 0)
            buf_puts(&sql, ", coalesce(pg_catalog.obj_description(o.oid, 'pg_operator'),"
                           " pg_catalog.obj_description(o.oprcode, 'pg_proc')) AS \"Description\"");
        if (strcmp(plain, "dL") == 0)
            buf_puts(&sql, ", " DESCRIPTION("l.oid", "pg_language"));
        if (strcmp(plain, "dT") == 0)
            buf_puts(&sql, ", " DESCRIPTION("t.oid", "pg_type"));
        if (strcmp(plain, "dFd") == 0)
            buf_puts(&sql, ", " DESCRIPTION("d.oid", "pg_ts_dict"));
        if (strcmp(plain, "dFt") == 0)
            buf_puts(&sql, ", " DESCRIPTION("t.oid", "pg_ts_template"));
        buf_printf(&sql, " FROM %s WHERE ", l->from);
        buf_puts(&sql, strcmp(plain, "dL") == 0 && (system || p.given) ? "true" : l->where);
        only_wanted(&sql, l, &p, system);
        for (int k = 0; strcmp(plain, "do") == 0 && k < 2 && types[k]; k++)
            pattern_type(&sql, types[1] && k == 0 ? "o.oprleft" : "o.oprright", types[k]);
        if (strcmp(plain, "do") == 0 && types[0] && !types[1]) /* one alone is that of a prefix operator */
            buf_puts(&sql, " AND o.oprleft = 0");
        buf_printf(&sql, " ORDER BY %s", l->order);
        pattern_done(&p);
        *ret_ok = run(sh, &sql, l->title, sentence_of(plain, verbose), pattern);
        return true;
    }
    return false;
}
