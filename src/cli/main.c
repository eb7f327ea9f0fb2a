/* The ljinspect command. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../include/ljinspect.h"
#include "cli.h"

static const struct {
    const char *name, *summary;
    cli_command command;
} COMMANDS[] = {
    {"run", "run a program with breakpoints in its Lua code", cli_run},
    {"ps", "list the processes with LuaJIT VMs in them", cli_ps},
    {"stack", "show the Lua stacks of a process, or of a core file", cli_stack},
    {"record", "sample Lua stacks, and write flame graphs", cli_record},
    {"report", "print the top functions and lines of a recorded profile", cli_report},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

int cli_fail(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("ljinspect: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
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

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(word, COMMANDS[i].name) == 0) return finish(COMMANDS[i].command(argc - 1, argv + 1));
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
