/* ljinspect run: start a program with libljinspect-preload.so in front of its LuaJIT. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../include/ljinspect.h"
#include "cli.h"
#include "program.h"

#define PRELOAD "libljinspect-preload.so"

static const char HELP[] = "Usage: ljinspect run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
                           "Run a program with breakpoints in its Lua code. They print and let it go on.\n"
                           "\n"
                           "  -b, --break=FILE:LINE   show locals, upvalues and the stack when LINE of FILE\n"
                           "                          runs; FILE is the end of a file name; may be repeated\n"
                           "  -n, --hits=COUNT        of each breakpoint and process; 0: all; default: 10\n"
                           "  -f, --hooks=HOOKSFILE   apply this hooks file, and its changes\n"
                           "  -v, --verbose           say so when PROGRAM used no LuaJIT that can be\n"
                           "                          attached to\n"
                           "  -h, --help              print this\n"
                           "      --version           print the version\n"
                           "\n"
                           "Everything is printed on standard error. PROGRAM and what it starts are attached\n"
                           "to, where they use a shared LuaJIT; and the luajit command, which has its own\n"
                           "inside.\n"
                           "\n"
                           "Example: what are the locals when line 6 of app.lua runs?\n"
                           "  ljinspect run -b app.lua:6 -- luajit app.lua\n"
                           "\n"
                           "Exit status: PROGRAM's; 2 for a wrong option, 126 where PROGRAM cannot be run or\n"
                           "not be attached to, 127 where it is not found.\n";

typedef struct request {
    char *breakpoints; /* FILE:LINE, one a line; NULL: none */
    const char *hooks_file;
    const char *hits;
    bool verbose;
} request;

static int usage(void) {
    fputs("ljinspect run --help tells how it is used.\n", stderr);
    return CLI_USAGE;
}

/* ---- Options ---- */

static bool is_breakpoint(const char *text) {
    const char *colon = strrchr(text, ':');
    char *end;
    if (colon == NULL || colon == text || colon[1] < '0' || colon[1] > '9' || strchr(text, '\n') != NULL) return false;
    errno = 0;
    long line = strtol(colon + 1, &end, 10);
    return errno == 0 && *end == '\0' && line >= 1 && line <= 16777215;
}

static int add_breakpoint(request *r, const char *text) {
    if (!is_breakpoint(text))
        return cli_fail(CLI_USAGE, "-b %s: FILE:LINE expected, with a line from 1 to 16777215", text);
    char *longer = NULL;
    if (asprintf(&longer, "%s%s%s", r->breakpoints != NULL ? r->breakpoints : "", r->breakpoints != NULL ? "\n" : "",
                 text) < 0)
        return cli_fail(CLI_FAILED, "%s", strerror(errno));
    free(r->breakpoints);
    r->breakpoints = longer;
    return 0;
}

/* The hooks file may come later, its directory may not. */
static int set_hooks_file(request *r, const char *path) {
    static char absolute[PATH_MAX + NAME_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno != ENOENT) return cli_fail(CLI_USAGE, "hooks file %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);

    char directory[PATH_MAX] = ".", real[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (slash != NULL && (size_t)snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path) >= PATH_MAX)
        return cli_fail(CLI_USAGE, "hooks file %s: %s", path, strerror(ENAMETOOLONG));
    if (*name == '\0') return cli_fail(CLI_USAGE, "hooks file %s: %s", path, strerror(EISDIR));
    if (realpath(directory, real) == NULL) return cli_fail(CLI_USAGE, "hooks file %s: %s", path, strerror(errno));
    snprintf(absolute, sizeof absolute, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    if (fd < 0) cli_say("hooks file %s is not there yet", path);
    r->hooks_file = absolute;
    return 0;
}

static int set_hits(request *r, const char *text) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || n < 0 || n > INT_MAX)
        return cli_fail(CLI_USAGE, "-n %s: a count expected", text);
    r->hits = text;
    return 0;
}

/* -1: go on with argv[optind]; else the exit status. */
static int read_options(int argc, char **argv, request *r) {
    enum { VERSION = 256 };
    static const struct option options[] = {{"break", required_argument, NULL, 'b'},
                                            {"hits", required_argument, NULL, 'n'},
                                            {"hooks", required_argument, NULL, 'f'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, VERSION},
                                            {NULL, 0, NULL, 0}};
    for (int option, status; (option = getopt_long(argc, argv, "+b:n:f:vh", options, NULL)) != -1;) {
        status = 0;
        switch (option) {
        case 'b': status = add_breakpoint(r, optarg); break;
        case 'n': status = set_hits(r, optarg); break;
        case 'f': status = set_hooks_file(r, optarg); break;
        case 'v': r->verbose = true; break;
        case 'h': fputs(HELP, stdout); return 0;
        case VERSION: puts("ljinspect " LJINSPECT_VERSION); return 0;
        default: return usage();
        }
        if (status != 0) return status;
    }
    if (optind == argc) {
        cli_fail(0, "no program given");
        return usage();
    }
    if (r->breakpoints == NULL && r->hooks_file == NULL) {
        cli_fail(0, "neither -b nor -f given: nothing to do");
        return usage();
    }
    return -1;
}

/* ---- The program ---- */

/* 0, or an exit status after a message. */
static int check_program(const char *name, const char *path) {
    switch (program_kind(path)) {
    case PROGRAM_STATIC:
        return cli_fail(
            CLI_CANNOT_RUN,
            "%s is a static executable: no library can be loaded into it. It has to use libljinspect itself", path);
    case PROGRAM_INSIDE:
        return cli_fail(CLI_CANNOT_RUN,
                        "%s has LuaJIT linked into it, where it cannot be reached from outside. It has to use "
                        "libljinspect itself, or a shared libluajit",
                        path);
    case PROGRAM_SETUID:
        return cli_fail(CLI_CANNOT_RUN, "%s runs with another user's or group's rights: it cannot be attached to",
                        path);
    case PROGRAM_FOREIGN:
        return cli_fail(CLI_CANNOT_RUN, "%s is for another kind of processor than this ljinspect", name);
    default: return 0;
    }
}

/* ---- Its environment ---- */

/* The library to preload: beside this program in a build tree, else where it is installed. NULL after a message. */
static char *find_preload(void) {
    static const char *const places[] = {"", LJINSPECT_TO_LIBDIR};
    static char path[PATH_MAX];
    char self[PATH_MAX], candidate[2 * PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0) {
        cli_fail(0, "/proc/self/exe: %s", strerror(errno));
        return NULL;
    }
    self[len] = '\0';
    *(strrchr(self, '/') + 1) = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(candidate, sizeof candidate, "%s%s" PRELOAD, self, places[i]);
        if (realpath(candidate, path) == NULL) continue;
        if (strpbrk(path, " :") == NULL) return path;
        cli_fail(0, "%s: a path with a space or colon cannot be preloaded", path);
        return NULL;
    }
    cli_fail(0, "%s not found, neither in %s nor in %s%s", PRELOAD, self, self, LJINSPECT_TO_LIBDIR);
    return NULL;
}

/* Before what is preloaded already. */
static bool set_preload(const char *library) {
    const char *before = getenv("LD_PRELOAD");
    char *both = NULL;
    bool has = before != NULL && *before != '\0';
    if (asprintf(&both, "%s%s%s", library, has ? ":" : "", has ? before : "") < 0) return false;
    bool ok = setenv("LD_PRELOAD", both, 1) == 0;
    free(both);
    return ok;
}

static bool set_or_unset(const char *name, const char *value) {
    return value != NULL ? setenv(name, value, 1) == 0 : unsetenv(name) == 0;
}

static bool set_environment(const request *r, const char *library) {
    char pid[32];
    snprintf(pid, sizeof pid, "%ld", (long)getpid()); /* exec keeps it */
    return set_preload(library) && set_or_unset("LJINSPECT_BREAKPOINTS", r->breakpoints) &&
           set_or_unset("LJINSPECT_HOOKS_FILE", r->hooks_file) && set_or_unset("LJINSPECT_HITS", r->hits) &&
           set_or_unset("LJINSPECT_VERBOSE", r->verbose ? pid : NULL);
}

int cli_run(int argc, char **argv) {
    request r = {.breakpoints = NULL};
    int status = read_options(argc, argv, &r);
    if (status >= 0) return status;
    const char *name = argv[optind];
    char *path = program_find(name);
    if (path == NULL) {
        int reason = errno;
        return cli_fail(reason == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN, "%s: %s", name, strerror(reason));
    }
    status = check_program(name, path);
    if (status != 0) return status;
    const char *library = find_preload();
    if (library == NULL) return CLI_FAILED;
    if (!set_environment(&r, library)) return cli_fail(CLI_FAILED, "%s", strerror(errno));
    execv(path, &argv[optind]);
    return cli_fail(CLI_CANNOT_RUN, "%s: %s", path, strerror(errno));
}
