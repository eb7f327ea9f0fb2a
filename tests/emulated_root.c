/*
 * Preloaded into what qemu-user runs: there "/" is the folder that its option -L names, whose folders are not those of
 * the machine, and the way to a hooks file begins at "/" (src/trust.c). Here it is the machine's again. Children run without
 * this: they may be programs of the machine's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#undef _FILE_OFFSET_BITS
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int go(int at, const char *name, int flags, va_list args) {
    unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, unsigned) : 0;
    return (int)syscall(SYS_openat, at, strcmp(name, "/") == 0 ? "/proc/self/root" : name, flags, mode);
}

#define INSTEAD_OF_OPEN(name)                     \
    int name(const char *file, int flags, ...) {  \
        va_list args;                             \
        va_start(args, flags);                    \
        int fd = go(AT_FDCWD, file, flags, args); \
        va_end(args);                             \
        return fd;                                \
    }
#define INSTEAD_OF_OPENAT(name)                          \
    int name(int at, const char *file, int flags, ...) { \
        va_list args;                                    \
        va_start(args, flags);                           \
        int fd = go(at, file, flags, args);              \
        va_end(args);                                    \
        return fd;                                       \
    }

INSTEAD_OF_OPEN(open)
INSTEAD_OF_OPEN(open64)
INSTEAD_OF_OPENAT(openat)
INSTEAD_OF_OPENAT(openat64)

__attribute__((constructor)) static void this_process_alone(void) {
    unsetenv("LD_PRELOAD");
}
