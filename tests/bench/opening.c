/* How long the trap engine takes to recognise LuaJIT: at the first VM of a process, at each further one. Wall-clock time,
 * the median of as many processes as the argument says (default 101). */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figures.h"
#include "vm/vm.h"

enum { MOST = 1001 };

static double now_us(void) {
    return (double)clock_ns(CLOCK_MONOTONIC) / 1e3;
}

typedef struct times {
    double first, further;
} times;

/* In a process that has not learned anything yet. */
static int measure(int out) {
    const char *why;
    vm v;
    times t;
    lua_State *L = luaL_newstate(), *M = luaL_newstate();
    if (L == NULL || M == NULL) return 1;
    double t0 = now_us();
    if (!vm_attach(&v, L, &why)) {
        fprintf(stderr, "refused: %s\n", why);
        return 1;
    }
    double t1 = now_us();
    if (!vm_attach(&v, M, &why)) return 1;
    t.first = t1 - t0;
    t.further = now_us() - t1;
    return write(out, &t, sizeof t) == sizeof t ? 0 : 1;
}

static bool measure_in_child(times *t) {
    int ends[2], status;
    if (pipe(ends) != 0) return false;
    pid_t pid = fork();
    if (pid == 0) _exit(measure(ends[1]));
    close(ends[1]);
    bool ok = pid > 0 && read(ends[0], t, sizeof *t) == sizeof *t;
    close(ends[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && ok;
}

int main(int argc, char **argv) {
    static double first[MOST], further[MOST];
    int n = argc > 1 ? atoi(argv[1]) : 101;
    if (n < 1 || n > MOST) return 2;
    for (int i = 0; i < n; i++) {
        times t;
        if (!measure_in_child(&t)) {
            fprintf(stderr, "process %d of %d failed\n", i + 1, n);
            return 1;
        }
        first[i] = t.first;
        further[i] = t.further;
    }
    double most = 0;
    for (int i = 0; i < n; i++) most = first[i] > most ? first[i] : most;
    printf("\nRecognising LuaJIT, %d processes\n  %-45s %12s %12s\n", n, "", "median us", "longest us");
    printf("  %-45s %12.0f %12.0f\n", "first VM of a process", median(first, n), most);
    printf("  %-45s %12.1f\n", "each further VM", median(further, n));
    return 0;
}
