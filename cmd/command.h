/* The commands of pailfs. Each takes its own argv (argv[0] is the command's name) and returns the
 * exit status: 0 done, 1 it could not, 2 it was called wrongly. */
#pragma once

#include <stdio.h>

enum { COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

int command_serve(int argc, char **argv);
void command_serve_help(FILE *out);
int command_mount(int argc, char **argv); /* 0: it is mounted, and goes on in the background */
void command_mount_help(FILE *out);
int command_check(int argc, char **argv);
void command_check_help(FILE *out);
int command_check_config(int argc, char **argv);
void command_check_config_help(FILE *out);
int command_status(int argc, char **argv); /* 1: not everything is in the bucket; 3: no gateway */
void command_status_help(FILE *out);
int command_flush(int argc, char **argv); /* the same */
void command_flush_help(FILE *out);
int command_submount(int argc, char **argv); /* 3: no gateway */
void command_submount_help(FILE *out);
int command_stat(int argc, char **argv); /* 3: no gateway */
void command_stat_help(FILE *out);
