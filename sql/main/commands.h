/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.h: the subcommands of `meridian` that are functions of this program.
 *
 * Promise     Each gets its own name as argv[0], prints its help for --help, says what is wrong in one sentence on standard
 *             error, and returns the exit status.
 * Threads     the main one; each is the only one that runs.
 */
#ifndef MERIDIAN_SQL_COMMANDS_H
#define MERIDIAN_SQL_COMMANDS_H

int cmd_clock(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_sql(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_tablet(int argc, char **argv);

#endif
