/*
 * libljinspect-preload.so: attaches to every VM of a program that uses a shared LuaJIT, without the program's help.
 *
 * Preloaded (LD_PRELOAD), it stands before the functions that compile Lua code: each host must call one of them before
 * it runs any, and has set its VM up by then. The first call in a VM attaches; all calls then go on to LuaJIT's own
 * function, arguments and result untouched. Nothing that runs Lua code is interposed, so a running program pays nothing.
 *
 * What this library must not do is need anything: it is loaded into programs that have no LuaJIT, or get one later by
 * dlopen(). So it is linked with the C library alone. libljinspect, which uses LuaJIT's functions, is loaded when the
 * first VM shows up (loading.c).
 *
 * Children: a process started by fork() is attached already; one started by exec() inherits LD_PRELOAD, and is attached
 * like its parent.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "config.h"
#include "loading.h"

#define INTERPOSED __attribute__((visibility("default")))

/* While this thread attaches: what the library itself compiles passes through. */
static __thread bool inside;

typedef int (*loader)(struct lua_State *L, void *a, void *b, void *c, void *d);

/* LuaJIT's function of this name, as the caller would have got it without us. The VM is attached to before, so that the
 * code is hooked when it runs, and looked at again after: compiling may undo that it was to come to a safepoint. */
static int load(enum loader_function which, const void *caller, struct lua_State *L, void *a, void *b, void *c,
                void *d) {
    int saved = errno;
    union {
        void *object;
        loader call;
    } next = {.object = loading_next(which, caller)};
    bool outer = !inside && config_wanted();
    if (outer) {
        inside = true;
        loading_attach(L, which, next.object);
        inside = false;
    }
    errno = saved;
    int result = next.call(L, a, b, c, d);
    if (outer) {
        saved = errno;
        inside = true;
        loading_attach(L, which, next.object);
        inside = false;
        errno = saved;
    }
    return result;
}

/* The caller passes as many arguments as it knows of; registers carry whatever is in the rest. In C the functions have
 * names of their own: LuaJIT's headers declare each with its own arguments. */
#define LOADER(name)                                                                                          \
    INTERPOSED int interposed_##name(struct lua_State *L, void *a, void *b, void *c, void *d) __asm__(#name); \
    int interposed_##name(struct lua_State *L, void *a, void *b, void *c, void *d) {                          \
        return load(LOADER_##name, __builtin_return_address(0), L, a, b, c, d);                               \
    }
LOADERS(LOADER)
