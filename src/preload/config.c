#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../pipe_guard.h"
#include "inside.h"
#include "loading.h"

struct config config;
static pid_t process;          /* the one that started, not its forked children */
static struct stat verbose_is; /* what config.verbose_fd refers to */

bool config_wanted(void) {
    return config.hooks_file != NULL || config.breakpoints != NULL;
}

void config_say(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pipe_guard guard;
    pipe_guard_begin(&guard);
    fprintf(stderr, "ljinspect: %s\n", text);
    pipe_guard_end(&guard);
}

/* A copy of a variable that is set and not empty. */
static char *copy_of(const char *name) {
    const char *value = secure_getenv(name);
    return value != NULL && *value != '\0' ? strdup(value) : NULL;
}

/* The same for a path, made absolute: the process may change its directory before it comes to Lua. */
static char *path_of(const char *name) {
    char *path = copy_of(name), *full = NULL;
    if (path == NULL || path[0] == '/') return path;
    char *directory = getcwd(NULL, 0);
    if (directory == NULL || asprintf(&full, "%s/%s", directory, path) < 0) full = NULL;
    free(directory);
    if (full == NULL) return path;
    free(path);
    return full;
}

static int number_in(const char *name, int otherwise) {
    const char *value = secure_getenv(name);
    char *end;
    if (value == NULL || *value == '\0') return otherwise;
    long n = strtol(value, &end, 10);
    return *end == '\0' && n >= 0 && n <= INT_MAX ? (int)n : otherwise;
}

/* A descriptor far from those that programs choose by number (shells: up to 9, and from 10 on). */
static void keep_stderr(void) {
    config.verbose_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
    if (config.verbose_fd >= 0) fstat(config.verbose_fd, &verbose_is);
}

/* The program may have closed it and opened another file in its place. */
static bool is_stderr_still(void) {
    struct stat now;
    return fstat(config.verbose_fd, &now) == 0 && now.st_dev == verbose_is.st_dev && now.st_ino == verbose_is.st_ino;
}

/* Before main(). glibc passes main's arguments to constructors, too. */
__attribute__((constructor)) static void start(int argc, char **argv) {
    int saved = errno;
    config.hooks_file = path_of("LJINSPECT_HOOKS_FILE");
    config.breakpoints = copy_of("LJINSPECT_BREAKPOINTS");
    config.hits = number_in("LJINSPECT_HITS", CONFIG_HITS);
    int verbose = number_in("LJINSPECT_VERBOSE", 0);
    process = getpid();
    config.verbose_fd = -1;
    if (config_wanted()) {
        if (verbose == 1 || verbose == (int)process) keep_stderr();
        inside_start(argc, argv);
    }
    errno = saved;
}

__attribute__((destructor)) static void end(void) {
    if (config.verbose_fd < 0 || process != getpid() || loading_seen() || !is_stderr_still()) return;
    pipe_guard guard;
    pipe_guard_begin(&guard);
    dprintf(config.verbose_fd, "ljinspect: %s used no LuaJIT that can be attached to\n", program_invocation_name);
    pipe_guard_end(&guard);
}
