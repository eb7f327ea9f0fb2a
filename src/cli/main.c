/* The ljinspect command. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/ljinspect.h"
#include "../remote/target.h"
#include "cli.h"
#include "text.h"

static const struct {
    const char *name, *summary;
    cli_command command;
    bool looks_inside; /* of other processes, from outside */
} COMMANDS[] = {
    {"run", "run a program with breakpoints in its Lua code", cli_run, false},
    {"ps", "list the processes with LuaJIT VMs in them", cli_ps, true},
    {"stack", "show the Lua stacks of a process, or of a core file", cli_stack, true},
    {"record", "sample Lua stacks, and write flame graphs", cli_record, true},
    {"report", "print the top functions and lines of a recorded profile", cli_report, false},
    {"gc", "show what is in the Lua heap, and what holds it", cli_gc, true},
    {"traces", "show what the JIT compiler has made, and what it could not", cli_traces, true},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static void say(const char *format, va_list args) {
    char cut[1024], *whole; /* the one where there is no memory for the other */
    va_list again;
    va_copy(again, args);
    if (vasprintf(&whole, format, again) < 0) whole = NULL;
    va_end(again);
    if (whole == NULL) vsnprintf(cut, sizeof cut, format, args);
    fputs("ljinspect: ", stderr);
    text_print(stderr, whole != NULL ? whole : cut);
    fputc('\n', stderr);
    free(whole);
}

void cli_say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int cli_fail(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return status;
}

static void print_usage(FILE *out) {
    fputs("Usage: ljinspect COMMAND [ARGUMENT...]\n"
          "See inside LuaJIT programs that run.\n\n",
          out);
    for (int i = 0; i < N_COMMANDS; i++) fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("\nljinspect COMMAND --help tells more. ljinspect --version prints the version.\n", out);
}

/* What could not be printed, to a full disk say, is a failure. */
static int finish(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    int reason = errno;
    return cli_fail(status != 0 ? status : CLI_FAILED, "output: %s", strerror(reason));
}

static int run_command(int i, int argc, char **argv) {
    if (COMMANDS[i].looks_inside && !target_processor_known())
        return cli_fail(CLI_FAILED, "%s: processes are read from outside on x86-64 and arm64 only", COMMANDS[i].name);
    return COMMANDS[i].command(argc, argv);
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(word, COMMANDS[i].name) == 0) return finish(run_command(i, argc - 1, argv + 1));
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_usage(stdout);
        return finish(0);
    }
    if (strcmp(word, "--version") == 0) {
        puts("ljinspect " LJINSPECT_VERSION);
        return finish(0);
    }
    if (*word != '\0') cli_fail(0, "unknown command '%s'", word);
    print_usage(stderr);
    return CLI_USAGE;
}
