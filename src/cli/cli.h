/*
 * The ljinspect command: one file per subcommand, listed in main.c.
 */
#ifndef LJINSPECT_CLI_H
#define LJINSPECT_CLI_H

/* Exit statuses beside a subcommand's own; the latter two are the shell's for the same. */
enum { CLI_FAILED = 1, CLI_USAGE = 2, CLI_CANNOT_RUN = 126, CLI_NOT_FOUND = 127 };

/* A subcommand: argv[0] is its name. Returns the exit status. */
typedef int (*cli_command)(int argc, char **argv);

int cli_run(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_stack(int argc, char **argv);
int cli_record(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_gc(int argc, char **argv);
int cli_traces(int argc, char **argv);

/* "ljinspect: " and a line on standard error, in which names of files and the like are shown as by text_print(). */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; returns `status`. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
