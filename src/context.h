/*
 * One context per Lua VM: its hooks, engine, log sink and hooks file; found from any coroutine of the VM through the
 * registry. Lives until the VM is closed.
 *
 * Lua errors: a function here raises none unless its comment says so. What may fail inside Lua runs in context_call().
 * Stack: each function takes it that L has LUA_MINSTACK free slots, less the few that callers within the library use.
 */
#ifndef LJINSPECT_CONTEXT_H
#define LJINSPECT_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "governor.h"
#include "hooks.h"
#include "ljinspect.h"
#include "outbuf.h"
#include "time_limit.h"

struct hooksfile;
struct logpoint;

typedef struct context {
    hook_table *hooks;  /* in force */
    hook_table *staged; /* what a hooks file that is being applied has set so far; else NULL */
    engine *engine;
    int64_t last_id;
    lua_State *anchor; /* a coroutine kept in the registry: names the VM for as long as it lives */
    int anchor_ref;
    int next_ref;    /* where context_ref() looks first */
    int runner_ref;  /* the function that context_call runs */
    int nothing_ref; /* an empty table, for filters that look at nothing */
    int weak_ref;    /* a table with weak values: hooked functions by slot, see resolve.h */
    int last_slot;
    governor governor;
    time_limit time_limit;
    uint64_t hit_start;      /* of the hit that is dealt with, in ticks */
    struct sink *sinks;      /* files that hooks write to */
    outbuf line, message;    /* room for what hits are rendered into */
    uint64_t next_expiry;    /* when a hook expires, in ticks; 0: never, as far as is known */
    bool in_hit;             /* filters, or sinks, run */
    bool closing;            /* the VM goes */
    ljinspect_logger logger; /* NULL: the default sink */
    void *logger_data;
    bool logging;           /* a message is on its way to the sink: what the sink itself causes goes to stderr */
    struct hooksfile *file; /* the watched hooks file; NULL: none */
    bool applying;          /* a hooks file is being applied */
    bool applied_short;     /* and a hook of it could not be set for want of memory */
    const struct context_job *job;
} context;

/* The context of the VM of L, made if there is none. NULL with *error set to an ljinspect_error. */
context *context_get(lua_State *L, int *error);

/* The same, but where there is none NULL with *error 0. */
context *context_find(lua_State *L, int *error);

/* The context of the VM of L, or NULL: looks and does nothing else. */
context *context_at(lua_State *L);

/* What runs inside context_call: a C function's body with `nargs` values on its stack. Results are ignored. May raise. */
typedef void (*context_body)(lua_State *L, context *c, void *arg);

/* Take the `nargs` topmost values of L and run `body` with them in a protected call, one C function above the caller.
 * Allocates nothing itself. Returns 0; or a Lua status, with the error value pushed. */
int context_call(context *c, lua_State *L, context_body body, void *arg, int nargs);

/* Keep the value on top of the stack, which is popped, in the registry, and return where. May raise a memory error; the
 * value is popped all the same. */
int context_ref(context *c, lua_State *L);

/* Free such a reference, or one of luaL_ref(), or LUA_NOREF. */
void context_unref(context *c, int ref);

/* The filter behind a hook. */
typedef struct filter {
    ljinspect_filter_fn call; /* C; NULL: Lua */
    void *userdata;
    ljinspect_destroy_fn destroy;
    int ref;                 /* Lua: registry reference; else LUA_NOREF */
    unsigned uses;           /* Lua: what it can see of info, see filter_use.h */
    struct info_cache *info; /* Lua: what is remembered of its hits, or NULL */
    bool none;               /* no filter: the logpoint is all */
    meter meter;
    struct logpoint *logpoint; /* of a hook in table form; else NULL */
    bool lasting;              /* only those who name it take it away */
    unsigned held;             /* by how many tables: a lasting one is in the staged table, too */
} filter;

/* Set a hook, or take all but the lasting ones away, in context_table(c). `filter` is copied; on success the hook owns
 * what it names. context_add returns the id or an ljinspect_error. context_remove takes one hook out of the table it is
 * in. */
int64_t context_add(context *c, lua_State *L, const char *file, size_t file_len, int line, int func, const filter *f);
void context_remove(context *c, lua_State *L, hook_table *t, hook *h);
int context_remove_all(context *c, lua_State *L);

/* Have another engine take over, of this class. 0; LJINSPECT_ERR_BUSY while there are hooks or a watched file; or
 * LJINSPECT_ERR_ENGINE or _NOMEM, with the engine that was there. */
int context_set_engine(context *c, lua_State *L, const engine_class *class);

/* The table that the API shows and changes at the moment. */
hook_table *context_table(const context *c);

/* Begin a staged table, which has the lasting hooks: until context_commit or context_unstage hooks are set in it and
 * not in force. 0 or LJINSPECT_ERR_NOMEM. */
int context_stage(context *c);
/* Drop the staged table if there still is one. */
void context_unstage(context *c);

/* Put the staged table into force instead of the present one. 0, or an ljinspect_error with nothing changed and the
 * staged table still there. */
int context_commit(context *c, lua_State *L);

#endif
