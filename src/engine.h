/*
 * What an engine is: the mechanism that notices arrivals at hooked lines.
 *
 * The context owns one engine per VM and calls it on the VM's thread, from inside a protected call, unless a comment
 * says otherwise. The engine calls back through `struct engine_host`. An engine knows keys as (file, line) pairs, where
 * a line may be HOOKS_RETURN plus a line (hooks.h); which filters stand behind them is none of its business.
 */
#ifndef LJINSPECT_ENGINE_H
#define LJINSPECT_ENGINE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hooks.h"

typedef struct engine engine;

/* What the engine may ask of its owner. All but `change_waiting` are called on the VM's thread. */
typedef struct engine_host {
    void *owner;
    /* The table in force: *table may be another one after each call of `hit` or `safepoint`. Never NULL. */
    hook_table *const *table;
    /* A coroutine that lives as long as the VM, for calls that only need to name the VM. */
    lua_State *anchor;
    /* Control has arrived at `line` of a function whose chunk name is `source` (length `source_len`); the hooked
     * function is the running one (level 0) of L. Runs filters. Raises no error. Returns the number of filters run. */
    int (*hit)(void *owner, lua_State *L, const char *source, size_t source_len, int line);
    /* A moment at which the VM's thread may run our code: applies a waiting change. Raises no error. */
    void (*safepoint)(void *owner, lua_State *L);
    /* True while a change waits for a safepoint. Any thread. */
    bool (*change_waiting)(void *owner);
    /* One log line. `format` as printf's. Raises no error. */
    void (*log)(void *owner, lua_State *L, int level, const char *format, ...) __attribute__((format(printf, 4, 5)));
} engine_host;

/* Where a hook stands in loaded code. */
typedef struct engine_place {
    int places;      /* loaded functions that have code on the line */
    bool file_known; /* a loaded function has a matching chunk name */
    int line_before; /* nearest lines with code in matching functions, 0 for none */
    int line_after;
} engine_place;

/* What is known of a return, beside the values. */
typedef struct engine_return {
    int n;          /* values; none where the function is left by a tail call */
    bool tail_call; /* what it calls returns in its place */
    bool timed;     /* the call began after the hook was set: */
    uint64_t ticks; /* how long it took; of a tail call what came before */
} engine_return;

/* Its duration in microseconds, to the nanosecond; below 0: not known. */
double engine_return_us(const engine_return *r);

typedef struct engine_class {
    const char *name; /* "line", "trap" */

    /* Make an engine for the VM of L. NULL, with a log line that says why, where it cannot work here. May raise a Lua
     * memory error; the engine has then freed what it had. Without side effects on the program. */
    engine *(*open)(lua_State *L, const engine_host *host);

    /* The VM goes, or another engine takes over: give everything back. Not protected, must not raise an error;
     * `closing` says that it runs from the context's finalizer, where luaJIT_setmode cannot be used. Frees `e`. */
    void (*close)(engine *e, lua_State *L, bool closing);

    /* A hook for (file, line) is about to come into force: from the return on, each arrival is reported. `func` is the
     * stack index of a Lua function as a hint, or 0. Called once per hook: calls for an equal key nest. Returns 0 or
     * an ljinspect_error, having changed nothing. Never raises. The hook may not be in the table yet. */
    int (*arm)(engine *e, lua_State *L, const char *file, size_t file_len, int line, int func);

    /* The same for the `n` hooks of a table that comes into force as a whole: all are armed, or none. May be NULL: arm()
     * does for that, only slower. */
    int (*arm_all)(engine *e, lua_State *L, hook *const *hooks, size_t n);

    /* Undo one arm. Cannot fail, never raises; what the VM does not let us undo here is done at the next safepoint. */
    void (*disarm)(engine *e, lua_State *L, const char *file, size_t file_len, int line);

    /* The same for `n` hooks. May be NULL. */
    void (*disarm_all)(engine *e, lua_State *L, hook *const *hooks, size_t n);

    /* The function on top of the stack was just loaded; its prototype and those inside it may match hooks. May be
     * NULL: the engine sees new code by itself. */
    void (*loaded)(engine *e, lua_State *L);

    /* For each of the `n` hooks say where it stands. May raise a Lua memory error. */
    void (*locate)(engine *e, lua_State *L, hook *const *hooks, size_t n, engine_place *places);

    /* From within hit(): push the values of `n` locals of the hooked function from the `first` on (1 is the first), for
     * which the caller made room. False, pushing nothing, where that is not possible; may be NULL. Raises nothing. */
    bool (*push_locals)(engine *e, lua_State *L, int first, int n);

    /* From within the hit() of a return: push the `n` values that are returned from the `first` on (1 is the first), for
     * which the caller made room. NULL: this engine sees no returns, and is given no hooks on them. Raises nothing. */
    void (*push_returns)(engine *e, lua_State *L, int first, int n);

    /* A change waits: bring the VM to a safepoint soon. Called from the watcher's thread, again and again at short
     * intervals until change_waiting() is false. Must only do what another thread may do to a running VM. */
    void (*wake)(engine *e);

    /* The same, once, and on the VM's thread: outside of Lua, or from a C function. */
    void (*wake_here)(engine *e);

    /* The change was taken, or watching ends: no safepoint is needed any more. VM's thread. */
    void (*awake)(engine *e, lua_State *L);

    /* Called at each API call and safepoint: whatever the engine needs to look after (a debug hook that the program
     * replaced, say). Never raises. */
    void (*maintain)(engine *e, lua_State *L);

    /* Watching begins (true) or ends (false): the engine may need help to be woken. May raise a memory error. */
    void (*watching)(engine *e, lua_State *L, bool on);

    /* From within hit(): until unbound() call `tick`, which may raise an error, every `count` instructions of the
     * interpreter, and compile nothing. False where that is not possible here. Both NULL: never. Raise no error. */
    bool (*bound)(engine *e, lua_State *L, lua_Hook tick, int count);
    void (*unbound)(engine *e, lua_State *L, lua_Hook tick);

    /* Whether the `pc`-th instruction of the Lua function at stack index `func`, in whose place the engine has put one of
     * its own, is a jump: 1 or 0; -1 for one that is the program's. NULL: there is none such. Raises no error. */
    int (*is_jump)(engine *e, lua_State *L, int func, int pc);
} engine_class;

/* arm_all() and disarm_all(), whether the engine has them or not. */
int engine_arm_all(engine *e, lua_State *L, hook *const *hooks, size_t n);
void engine_disarm_all(engine *e, lua_State *L, hook *const *hooks, size_t n);

struct engine {
    const engine_class *class;
    engine_host host;
    /* During hit(): a number for the instruction at which control arrived, never to be that of another instruction of
     * this VM, not even of one that comes to the same address later; 0: not known. */
    uint64_t site;
    const void *function;         /* during hit(): the hooked function, as lua_topointer() has it; NULL: not known */
    const engine_return *leaving; /* during the hit() of a return; else NULL */
    /* More than 0 while the engine, or who calls it, is in the midst of something that may run finalizers or handlers of the
     * program's, which must not have it closed. */
    unsigned at_work;
    /* The last hook is gone, but the compiler could not be switched on yet: not to be closed for another until it is. */
    bool unfinished;
};

extern const engine_class engine_line;
extern const engine_class engine_trap; /* where LJINSPECT_TRAP is defined: x86-64 */

/* The engine of this name, or NULL. */
const engine_class *engine_named(const char *name);
/* The best engine (0), the next best, ...; NULL past the last. */
const engine_class *engine_ranked(int rank);

/* The best engine that works in the VM of L; LJINSPECT_ENGINE in the environment ("line", "trap") chooses. NULL, with a
 * log line that says why, where none does. May raise a Lua memory error. */
engine *engine_open(lua_State *L, const engine_host *host);

#endif
