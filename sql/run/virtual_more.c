/* SPDX-License-Identifier: Apache-2.0 */
/* virtual_more.c: relations of pg_catalog that are empty here and that catalog queries join: there is nothing of their kind. */
#include "sql/run/virtual.h"

#define PG(id_, name_, columns_)                                                                                       \
    { .id = (id_), .schema = CAT_ID_PG_CATALOG, .name = (name_), .columns = (columns_) }

static const struct virt_def defs[] = {
    PG(2611, "pg_inherits", "inhrelid oid, inhparent oid, inhseqno int4, inhdetachpending bool"),
    PG(3256, "pg_policy",
       "oid oid, polname name, polrelid oid, polcmd char, polpermissive bool, polroles oid[], polqual text, "
       "polwithcheck text"),
    PG(2620, "pg_trigger",
       "oid oid, tgrelid oid, tgparentid oid, tgname name, tgfoid oid, tgtype int2, tgenabled char, tgisinternal bool, "
       "tgconstrrelid oid, tgconstrindid oid, tgconstraint oid, tgdeferrable bool, tginitdeferred bool, tgnargs int2, "
       "tgattr "
       "int2vector, tgargs text, tgqual text, tgoldtable name, tgnewtable name"),
    PG(2618, "pg_rewrite",
       "oid oid, rulename name, ev_class oid, ev_type char, ev_enabled char, is_instead bool, ev_qual text, ev_action "
       "text"),
    PG(3381, "pg_statistic_ext",
       "oid oid, stxrelid oid, stxname name, stxnamespace oid, stxowner oid, stxstattarget int4, stxkeys int2vector, "
       "stxkind "
       "text[], stxexprs text"),
    PG(6104, "pg_publication",
       "oid oid, pubname name, pubowner oid, puballtables bool, pubinsert bool, pubupdate bool, pubdelete bool, "
       "pubtruncate "
       "bool, pubviaroot bool"),
    PG(6106, "pg_publication_rel", "oid oid, prpubid oid, prrelid oid, prqual text, prattrs int2[]"),
    PG(6237, "pg_publication_namespace", "oid oid, pnpubid oid, pnnspid oid"),
    PG(6100, "pg_subscription",
       "oid oid, subdbid oid, subskiplsn text, subname name, subowner oid, subenabled bool, subbinary bool, substream "
       "bool, subtwophasestate char, subdisableonerr bool, subconninfo text, subslotname name, subsynccommit text, "
       "subpublications text[]"),
    PG(12128, "pg_user_mappings", "umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions text[]"),
    PG(3602, "pg_ts_config", "oid oid, cfgname name, cfgnamespace oid, cfgowner oid, cfgparser oid"),
    PG(3603, "pg_ts_config_map", "mapcfg oid, maptokentype int4, mapseqno int4, mapdict oid"),
    PG(3600, "pg_ts_dict",
       "oid oid, dictname name, dictnamespace oid, dictowner oid, dicttemplate oid, dictinitoption text"),
    PG(3601, "pg_ts_parser",
       "oid oid, prsname name, prsnamespace oid, prsstart oid, prstoken oid, prsend oid, prsheadline oid, prslextype "
       "oid"),
    PG(3764, "pg_ts_template", "oid oid, tmplname name, tmplnamespace oid, tmplinit oid, tmpllexize oid"),
    PG(2602, "pg_amop",
       "oid oid, amopfamily oid, amoplefttype oid, amoprighttype oid, amopstrategy int2, amoppurpose char, amopopr "
       "oid, amopmethod oid, amopsortfamily oid"),
    PG(2603, "pg_amproc",
       "oid oid, amprocfamily oid, amproclefttype oid, amprocrighttype oid, amprocnum int2, amproc oid"),
    PG(2995, "pg_largeobject_metadata", "oid oid, lomowner oid, lomacl text[]"),
    PG(6243, "pg_parameter_acl", "oid oid, parname text, paracl text[]"),
    PG(3118, "pg_foreign_table", "ftrelid oid, ftserver oid, ftoptions text[]"),
    PG(1417, "pg_foreign_server",
       "oid oid, srvname name, srvowner oid, srvfdw oid, srvtype text, srvversion text, srvacl text[], srvoptions "
       "text[]"),
    PG(2328, "pg_foreign_data_wrapper",
       "oid oid, fdwname name, fdwowner oid, fdwhandler oid, fdwvalidator oid, fdwacl text[], fdwoptions text[]"),
    PG(1418, "pg_user_mapping", "oid oid, umuser oid, umserver oid, umoptions text[]"),
    PG(3350, "pg_partitioned_table",
       "partrelid oid, partstrat char, partnatts int2, partdefid oid, partattrs int2vector, partclass oidvector, "
       "partcollation "
       "oidvector, "
       "partexprs text"),
    PG(3541, "pg_range",
       "rngtypid oid, rngsubtype oid, rngmultitypid oid, rngcollation oid, rngsubopc oid, rngcanonical oid, rngsubdiff "
       "oid"),
    PG(3501, "pg_enum", "oid oid, enumtypid oid, enumsortorder float4, enumlabel name"),
    PG(2616, "pg_opclass",
       "oid oid, opcmethod oid, opcname name, opcnamespace oid, opcowner oid, opcfamily oid, opcintype oid, opcdefault "
       "bool, "
       "opckeytype oid"),
    PG(2753, "pg_opfamily", "oid oid, opfmethod oid, opfname name, opfnamespace oid, opfowner oid"),
    PG(2605, "pg_cast", "oid oid, castsource oid, casttarget oid, castfunc oid, castcontext char, castmethod char"),
    PG(3466, "pg_event_trigger",
       "oid oid, evtname name, evtevent name, evtowner oid, evtfoid oid, evtenabled char, evttags text[]"),
    PG(2964, "pg_db_role_setting", "setdatabase oid, setrole oid, setconfig text[]"),
    PG(1261, "pg_auth_members", "roleid oid, member oid, grantor oid, admin_option bool"),
    PG(826, "pg_default_acl", "oid oid, defaclrole oid, defaclnamespace oid, defaclobjtype char, defaclacl text[]"),
    PG(2607, "pg_conversion",
       "oid oid, conname name, connamespace oid, conowner oid, conforencoding int4, contoencoding int4, conproc oid, "
       "condefault bool"),
    PG(2600, "pg_aggregate", "aggfnoid oid, aggkind char, aggnumdirectargs int2, aggtransfn oid, aggfinalfn oid"),
    PG(12122, "pg_matviews",
       "schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, ispopulated bool, "
       "definition "
       "text"),
    PG(12123, "pg_prepared_statements",
       "name text, statement text, prepare_time timestamptz, parameter_types text, from_sql bool, generic_plans int8, "
       "custom_plans int8"),
    PG(12124, "pg_cursors",
       "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, creation_time timestamptz"),
    PG(12126, "pg_stat_user_tables",
       "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, idx_tup_fetch int8, "
       "n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, n_live_tup int8, n_dead_tup int8"),
    PG(12127, "pg_rules", "schemaname name, tablename name, rulename name, definition text"),
    PG(3596, "pg_seclabel", "objoid oid, classoid oid, objsubid int4, provider text, label text"),
    PG(3394, "pg_init_privs", "objoid oid, classoid oid, objsubid int4, privtype char, initprivs text[]"),
    PG(3592, "pg_shseclabel", "objoid oid, classoid oid, provider text, label text"),
    PG(3576, "pg_transform", "oid oid, trftype oid, trflang oid, trffromsql oid, trftosql oid"),
    PG(12352, "pg_seclabels",
       "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, provider text, label "
       "text"),
};

const struct virt_table virt_pg_more = {defs, ARRAY_LEN(defs)};
