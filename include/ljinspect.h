/*
 * ljinspect: breakpoints in running LuaJIT programs.
 *
 * A hook is a breakpoint with its filter: whenever the program arrives at `file:line`, the filter sees the locals,
 * upvalues, varargs and the stack of the hooked function, and the program goes on.
 *
 * Conventions
 *   - Every function takes a lua_State: any thread (coroutine) of the VM it is about. There is one context per VM; it
 *     is made at the first call that needs one and closed with the VM.
 *   - A function may be called only where a lua_State may be used at all: on the thread that runs the VM, from a C
 *     function, from a debug hook, or from between calls into Lua. Different VMs may be used by different threads at
 *     the same time.
 *   - Errors are negative values of `enum ljinspect_error`; ljinspect_strerror() names them. Nothing here raises a Lua
 *     error unless its comment says so, and nothing aborts the host.
 *   - Unless a comment says otherwise a function leaves the Lua stack as it found it. It needs LUA_MINSTACK free slots
 *     there, which is what a C function has at its start; a caller that has used them up calls lua_checkstack() first.
 */
#ifndef LJINSPECT_H
#define LJINSPECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <lua.h>

/* The version of this header, from which the build has the library's. While MAJOR is 0, what is not compatible with what
 * was before has another MINOR. */
#define LJINSPECT_VERSION_MAJOR 0
#define LJINSPECT_VERSION_MINOR 1
#define LJINSPECT_VERSION_PATCH 0
#define LJINSPECT_VERSION "0.1.0"

#if defined(_WIN32)
#define LJINSPECT_API __declspec(dllexport)
#elif defined(__GNUC__)
#define LJINSPECT_API __attribute__((visibility("default")))
#else
#define LJINSPECT_API
#endif

/* What can go wrong. 0 and above is success. */
enum ljinspect_error {
    LJINSPECT_OK = 0,
    LJINSPECT_ERR_ARGUMENT = -1,  /* an argument is NULL, empty, out of range or of the wrong Lua type */
    LJINSPECT_ERR_NOMEM = -2,     /* no memory; what was armed stays armed */
    LJINSPECT_ERR_CLOSED = -3,    /* the VM is being closed */
    LJINSPECT_ERR_FOREIGN = -4,   /* another copy of this library already serves this VM */
    LJINSPECT_ERR_SYSTEM = -5,    /* a system call failed; errno says why */
    LJINSPECT_ERR_UNTRUSTED = -6, /* the hooks file may be written by somebody who must not run code here */
    LJINSPECT_ERR_HOOKSFILE = -7, /* the hooks file does not compile or failed when run; the log says where */
    LJINSPECT_ERR_ENGINE = -8,    /* the engine cannot work here; the log says why */
    LJINSPECT_ERR_BUSY = -9,      /* not possible from where it was called (a __gc finalizer, a hooks file) */
    LJINSPECT_ERR_LUA = -10       /* a Lua error that none of the above describes; the log has its message */
};

/* The version of the library in use, "MAJOR.MINOR.PATCH". Any thread; never NULL. */
LJINSPECT_API const char *ljinspect_version(void);

/* A short English text for an error code (any int). Any thread; never NULL; the text is static. */
LJINSPECT_API const char *ljinspect_strerror(int code);

/* ---- Hits: what a filter in C sees ---------------------------------------------------------------------------- */

/* One arrival at a hooked line. Valid only until the filter returns, and only on the filter's thread. */
typedef struct ljinspect_hit ljinspect_hit;

/* What a filter in C returns. Any value but LJINSPECT_KEEP removes the hook. */
enum ljinspect_verdict { LJINSPECT_KEEP = 0, LJINSPECT_REMOVE = 1 };

/*
 * A filter in C. It may use the state ljinspect_hit_state() names as a Lua C function would: it has LUA_MINSTACK free
 * stack slots, starts with an empty stack, and may raise Lua errors: they are logged with the hook's key, the hook is
 * removed, and the host does not see them. It must not yield, nor resume a coroutine that yields from a C function: with
 * the engine "line" it runs inside a debug hook, where LuaJIT's lua_yield cannot be used. Hooks are not hit while a
 * filter runs. It may set and remove hooks, its own included.
 */
typedef int (*ljinspect_filter_fn)(ljinspect_hit *hit, void *userdata);

/* Called once when the hook that owned `userdata` is gone: unset, removed by its filter, replaced, or its VM closed.
 * Must not raise Lua errors. Runs on the VM's thread. */
typedef void (*ljinspect_destroy_fn)(void *userdata);

/* The coroutine that arrived at the line. Never NULL. */
LJINSPECT_API lua_State *ljinspect_hit_state(const ljinspect_hit *hit);
/* The hook's key, "file#line"; with ":return" behind it where it is on the returns of a function. */
LJINSPECT_API const char *ljinspect_hit_key(const ljinspect_hit *hit);
/* The hook's line; at a return, the line that it is on. */
LJINSPECT_API int ljinspect_hit_line(const ljinspect_hit *hit);
/* Which hit of this hook this is: 1 for the first. */
LJINSPECT_API uint64_t ljinspect_hit_count(const ljinspect_hit *hit);
/* The hook's id, as ljinspect_set_hook() returned it. */
LJINSPECT_API int64_t ljinspect_hit_id(const ljinspect_hit *hit);

/* Push the value of the active local `name`, the innermost where the name is shadowed. Returns 1; or 0, and pushes
 * nothing, where there is none. */
LJINSPECT_API int ljinspect_hit_local(ljinspect_hit *hit, const char *name);
/* Push the value of the index-th active local (1 is the first; compiler temporaries, whose names start with "(", are
 * counted) and return its name; or return NULL, and push nothing, past the last. */
LJINSPECT_API const char *ljinspect_hit_local_at(ljinspect_hit *hit, int index);
/* The same for the upvalues that the function uses. */
LJINSPECT_API int ljinspect_hit_upvalue(ljinspect_hit *hit, const char *name);
LJINSPECT_API const char *ljinspect_hit_upvalue_at(ljinspect_hit *hit, int index);
/* Push the index-th vararg (1 is the first) and return 1; or return 0, and push nothing, past the last. */
LJINSPECT_API int ljinspect_hit_vararg(ljinspect_hit *hit, int index);
/* What lua_getinfo() says of the hooked function; `what` as there, without '>'. 'f' and 'L' push. Returns 1, or 0 for
 * a wrong `what`. */
LJINSPECT_API int ljinspect_hit_frame(ljinspect_hit *hit, const char *what, lua_Debug *ar);
/* For a hook on returns (LJINSPECT_AT_RETURN): push the index-th value that is returned (1 is the first) and return 1; or
 * return 0, and push nothing, past the last, at a tail call, and for other hooks. */
LJINSPECT_API int ljinspect_hit_return(ljinspect_hit *hit, int index);
/*
 * What is known of the return beside that. Returns 1, or 0 for other hooks, with nothing written.
 *   values       how many values are returned, 0 at a tail call. Each of the three may be NULL.
 *   tail_call    1 where the function is left by a tail call: what it calls returns in its place. Else 0.
 *   duration_us  microseconds from the call's first instruction to this; below 0 where that is not known: the call
 *                had begun before the hook was set.
 */
LJINSPECT_API int ljinspect_hit_leaving(const ljinspect_hit *hit, int *values, int *tail_call, double *duration_us);
/* Push the table a filter in Lua gets: finfo, vals, uv, varargs; at a return also returns, duration_us, tail_call. Raises
 * a Lua error when memory is short. */
LJINSPECT_API void ljinspect_hit_push_info(ljinspect_hit *hit);

/* ---- Hooks ---------------------------------------------------------------------------------------------------- */

/* What kind of filter it is, and which fields of ljinspect_filter are its own. */
enum ljinspect_filter_kind {
    LJINSPECT_FILTER_C = 1,   /* call, userdata, destroy */
    LJINSPECT_FILTER_LUA = 2, /* index: a Lua function on the stack, kept alive by the hook */
    LJINSPECT_FILTER_REF = 3  /* ref: a luaL_ref() in LUA_REGISTRYINDEX to a function; the hook owns it on success */
};

/* What runs at a hit. The structure is copied. */
typedef struct ljinspect_filter {
    enum ljinspect_filter_kind kind; /* says which of the other fields count */
    ljinspect_filter_fn call;        /* LJINSPECT_FILTER_C */
    void *userdata;                  /* LJINSPECT_FILTER_C: passed to call and destroy; may be NULL */
    ljinspect_destroy_fn destroy;    /* LJINSPECT_FILTER_C: may be NULL; not called when setting the hook fails */
    int index;                       /* LJINSPECT_FILTER_LUA: stack index */
    int ref;                         /* LJINSPECT_FILTER_REF: registry reference */
    int lasting;                     /* not 0: neither a hooks file nor ljinspect_unset_all() takes this hook away */
} ljinspect_filter;

/*
 * Set a hook.
 *   file    matched as a suffix: a function is hooked when its chunk name ends with `file` ("limit-req.lua",
 *           "/plugins/limit-req.lua"; "@" starts the chunk name of a file). NULL means "=stdin".
 *   line    1 to 16777215.
 *   func    stack index of the function the line is in, a hint that spares compiled code elsewhere; 0 for none. It
 *           never decides whether the hook is hit.
 *   filter  what runs at a hit. A filter in Lua gets one table: finfo, vals, uv, varargs; false keeps the hook.
 * Several hooks may share a line; they run in the order in which they were set.
 * Returns the hook's id, above 0; or LJINSPECT_ERR_ARGUMENT, _NOMEM, _CLOSED, _FOREIGN, _ENGINE, _BUSY or _LUA.
 */
LJINSPECT_API int64_t ljinspect_set_hook(lua_State *L, const char *file, int line, int func,
                                         const ljinspect_filter *filter);

/* What a snapshot shows of a hit: bits of ljinspect_capture.what. */
enum {
    LJINSPECT_CAPTURE_LOCALS = 1,
    LJINSPECT_CAPTURE_UPVALUES = 2,
    LJINSPECT_CAPTURE_VARARGS = 4,
    LJINSPECT_CAPTURE_JSON = 8,      /* one line of JSON (docs/logpoints.md has the schema), else text */
    LJINSPECT_CAPTURE_TOSTRING = 16, /* call the __tostring of values that have one; else no metamethod runs */
    LJINSPECT_CAPTURE_RETURNS = 32   /* of hooks on returns: the values */
};

/* A snapshot and its bounds; 0 stands for the usual value of a number. */
typedef struct ljinspect_capture {
    unsigned what;    /* LJINSPECT_CAPTURE_LOCALS and the like, added up */
    int stack;        /* frames of the stack, 0 to 200; usually none */
    int stack_locals; /* so many of them with their locals, 0 to 200 */
    int depth;        /* tables within tables, 1 to 20; usually 3 */
    int entries;      /* of a table, 1 to 1000; usually 20 */
    int string;       /* bytes of a string, 1 to 65536; usually 200 */
    int bytes;        /* of the whole, 1 to 1048576; usually 16384. It may go over by one string and brackets */
    const char *const
        *masks; /* NULL, or words, ended by NULL, beside password, passwd, secret, token, authorization and
                                 cookie: values whose names contain one are not shown, whatever the case of letters */
} ljinspect_capture;

/* How much a message matters. */
enum ljinspect_level { LJINSPECT_DEBUG = 0, LJINSPECT_INFO = 1, LJINSPECT_WARN = 2, LJINSPECT_ERROR = 3 };

/* Gets a line of a hook instead of the log: `len` bytes with a NUL behind them, valid during the call. Runs on the VM's
 * thread inside a hit, as a filter does. Must not raise Lua errors. */
typedef void (*ljinspect_sink_fn)(lua_State *L, enum ljinspect_level level, const char *line, size_t len,
                                  void *userdata);

/* Where in a function: see ljinspect_hook_options. */
enum ljinspect_at { LJINSPECT_AT_ENTRY = 0, LJINSPECT_AT_RETURN = 1 };

/*
 * A hook that says what is to be seen: which hits (condition, limits), and what of them (a log line, a snapshot, a
 * filter). Start from ljinspect_hook_options_init(); a later version of the library may have more fields behind these.
 */
typedef struct ljinspect_hook_options {
    size_t size; /* of this structure, as the caller knows it */
    /* Where: file and line, as for ljinspect_set_hook(); or the entry of a function, whose arguments are then the locals:
     * by its name ("resty.core.request.get_headers": a field of a loaded module or a global), or `func` without a line.
     * That very function is meant, not others made by the same code. Or its returns (`at`): wherever it is left by a
     * return or a tail call, but not by an error. Conditions and log lines see then, too: `returns`, the values, a list with
     * their number `n`; `duration_us`, a number, or nil for a call that had begun before the hook was set; `tail_call`, true
     * or false. The locals are those that are active there. This needs the engine "trap": else LJINSPECT_ERR_ENGINE. */
    const char *function;
    const char *file;
    int line;
    int func;              /* stack index of a function: with a line a hint; 0 for none */
    int at;                /* enum ljinspect_at, of a function alone */
    const char *condition; /* a Lua expression over the variables the hooked function sees; NULL: every hit */
    const char *log;       /* a line with Lua expressions in braces; NULL: none */
    const ljinspect_capture *capture; /* a snapshot; NULL: none */
    const ljinspect_filter *filter;   /* called for the hits that are left; false keeps the hook; NULL: none */
    int64_t hits;                     /* the hook goes after so many; 0: it stays */
    double per_second;                /* no more than this are shown, the rest is dropped; 0: all */
    double expires;                   /* seconds until the hook goes, at its next hit after that; 0: never */
    double sample; /* above 0 to 1: the part of the hits, chosen by chance, that is looked at at all; usually 1 */
    enum ljinspect_level level; /* of the lines; usually info */
    const char *tag;            /* shown with the lines and in listings; NULL: none */
    const char *sink_file;      /* absolute path: lines go there, written by a thread of its own. NULL: to the log */
    ljinspect_sink_fn sink;     /* lines go there; NULL: not */
    void *sink_data;            /* passed to sink and sink_destroy; may be NULL */
    ljinspect_destroy_fn sink_destroy; /* for sink_data; may be NULL; not called when setting the hook fails */
    int sink_func;         /* stack index of a Lua function (line, level, key) that gets the lines; 0: none */
    int count;             /* not 0: count the hits, and log a summary instead of a line per hit */
    const char *histogram; /* an expression: count how its values are spread, too. NULL: none */
    double interval; /* seconds between summaries, 0.01 to 86400, usually 10: logged at the first hit, poll or listing
                              after it, and when the hook goes by its own limits */
    double budget;   /* part of a core's time that its hits may take, 0 to 1; 0: no end. Usually 0.05 */
} ljinspect_hook_options;

/* Fill in the usual values. `size` is that of the structure as the caller knows it. Returns 0 or LJINSPECT_ERR_ARGUMENT. */
LJINSPECT_API int ljinspect_hook_options_init(ljinspect_hook_options *options, size_t size);

/*
 * Set a hook by options. What is wrong with them is written to `why` (NULL: not), `why_size` bytes at most, always
 * terminated: the field, and for expressions the column. Returns as ljinspect_set_hook(), and LJINSPECT_ERR_SYSTEM where
 * the sink's thread cannot be started.
 */
LJINSPECT_API int64_t ljinspect_set_hook_with(lua_State *L, const ljinspect_hook_options *options, char *why,
                                              size_t why_size);

/* What all hooks of a VM together may cost. */
typedef struct ljinspect_limits {
    size_t size;   /* of this structure, as the caller knows it */
    double budget; /* part of a core's time that all hits may take, 0 to 1; hooks set with ljinspect_set_hook() are then
                         suspended, too. 0: no end, which it is at the start */
    double filter_ms; /* milliseconds after which an expression, a filter or a sink in Lua of a hook set by options is
                         interrupted by an error; 0: never. 50 at the start, at most 60000. See docs/logpoints.md for
                         what cannot be interrupted */
    double plain_filter_ms; /* the same for filters in Lua of hooks set with ljinspect_set_hook(). 0, never, at the
                               start */
} ljinspect_limits;

/* Read the limits of a VM, or set them. `size` must be set either way. Returns 0, or LJINSPECT_ERR_ARGUMENT, _NOMEM,
 * _CLOSED, _FOREIGN or _ENGINE. */
LJINSPECT_API int ljinspect_get_limits(lua_State *L, ljinspect_limits *limits);
LJINSPECT_API int ljinspect_set_limits(lua_State *L, const ljinspect_limits *limits);

/* Remove every hook of this file and line (equal, not suffix), those on returns included. Returns how many were removed, or
 * LJINSPECT_ERR_ARGUMENT or _FOREIGN. Safe from inside a filter. */
LJINSPECT_API int ljinspect_unset_hook(lua_State *L, const char *file, int line);

/* Remove the hook with this id. Returns 1, or 0 where there is none, or LJINSPECT_ERR_FOREIGN. */
LJINSPECT_API int ljinspect_unset_id(lua_State *L, int64_t id);

/* Remove all hooks but the lasting ones. Returns how many, or LJINSPECT_ERR_FOREIGN. */
LJINSPECT_API int ljinspect_unset_all(lua_State *L);

/* What has become of a hook. */
enum ljinspect_hook_state {
    LJINSPECT_PENDING = 0,  /* no loaded function matches yet */
    LJINSPECT_ARMED = 1,    /* in force in loaded code */
    LJINSPECT_NO_CODE = 2,  /* the file is loaded but has no code on that line */
    LJINSPECT_SUSPENDED = 3 /* in force, but passed over for a while: it took more than its budget */
};

/* A hook, as ljinspect_hooks() shows it. */
typedef struct ljinspect_hook_info {
    int64_t id;                      /* as ljinspect_set_hook() returned it */
    const char *key;                 /* "file#line", "file#line:return" */
    const char *file;                /* as it was set; "=stdin" where it was NULL */
    int line;                        /* for a hook on a function the line on which its code begins */
    enum ljinspect_hook_state state; /* at this moment */
    int places;                      /* armed: in how many loaded functions the line was found, at least 1 */
    int line_before;                 /* no code: the nearest line before that has code, 0 for none */
    int line_after;                  /* no code: the nearest line after that has code, 0 for none */
    uint64_t hits;                   /* arrivals */
    uint64_t errors;  /* of a filter: 0 or 1, for an error removes the hook; and of conditions, log parts and sinks */
    uint64_t matched; /* hits that the condition held for; all, where there is none */
    uint64_t dropped; /* matched, but over the rate or lost by the sink; or hits while the hook was suspended */
    uint64_t suspensions; /* how often it was suspended */
    double mean_ns;       /* what a hit cost that was not passed over: time on the VM's thread */
    double max_ns;        /* the most that one cost */
    const char *tag;      /* as set, or NULL */
} ljinspect_hook_info;

/* Return 0 to go on, anything else to stop. `info` and its strings are valid during the call only. Must not raise Lua
 * errors. */
typedef int (*ljinspect_hook_visitor)(const ljinspect_hook_info *info, void *userdata);

/* Visit all hooks in the order in which they were set. `visit` may be NULL to count only. Returns how many hooks there
 * are, or LJINSPECT_ERR_NOMEM or _FOREIGN. */
LJINSPECT_API int ljinspect_hooks(lua_State *L, ljinspect_hook_visitor visit, void *userdata);

/*
 * Name the function of `ar` (filled by lua_getinfo with at least "nSl") the way logs want it: a C function's name ("?"
 * where it has none), else "short_src:currentline", followed by " (name)" when it is not a main chunk and has a name.
 * Writes at most `size` bytes with the terminating NUL. Returns the length of the whole text, as snprintf does.
 */
LJINSPECT_API int ljinspect_getname(lua_State *L, const lua_Debug *ar, char *buffer, size_t size);

/* ---- Hooks file ----------------------------------------------------------------------------------------------- */

/* Flags of ljinspect_watch(). */
enum {
    LJINSPECT_WATCH_INSECURE = 1, /* development only: apply the file whoever may write it */
    LJINSPECT_WATCH_POLL = 2,     /* never use the system's notification, look every `delay` seconds */
    LJINSPECT_WATCH_LATER = 4,    /* start, and apply the file, not now but when the host next runs Lua code; in nginx
                                   * when it next does so for a worker's start, a request or a timer */
    LJINSPECT_WATCH_FORK = 8      /* a child process made by fork() watches, too, once it runs Lua code */
};

/*
 * Watch a hooks file: Lua code that sets hooks, applied now if it is there, and again whenever it changes, as a whole
 * or not at all. When it is removed, all hooks are removed.
 *   file   its path; may be a symbolic link, may not exist yet. A relative path is taken from the current directory
 *          of this moment. NULL means the environment variable LJINSPECT_HOOKS_FILE.
 *   delay  seconds between looks where the system cannot notify, 0.01 to 86400; 0 means 3.
 *   flags  see above.
 * A VM watches one file; watching another replaces it; watching the same again changes nothing, but in a child process
 * it starts the thread anew. Starts one native thread, which never touches Lua: changes are
 * applied on the VM's own thread (see ljinspect_poll).
 * Returns 0 when watching has started, also where the file is missing or was refused (the log says so); or
 * LJINSPECT_ERR_ARGUMENT, _NOMEM, _SYSTEM, _CLOSED, _FOREIGN, _BUSY or _LUA.
 */
LJINSPECT_API int ljinspect_watch(lua_State *L, const char *file, double delay, unsigned flags);

/* Stop watching; the hooks stay. Returns 1, or 0 where nothing was watched, or LJINSPECT_ERR_FOREIGN. */
LJINSPECT_API int ljinspect_unwatch(lua_State *L);

/* Look at the hooks file and apply it now if it changed. Cheap when nothing changed (a few system calls). Returns 1
 * when it was applied or its hooks were removed, 0 when there was nothing to do; or LJINSPECT_ERR_UNTRUSTED,
 * _HOOKSFILE, _SYSTEM, _NOMEM, _CLOSED or _FOREIGN, all of which leave the set of hooks in force as it was. */
LJINSPECT_API int ljinspect_poll(lua_State *L);

/* ---- Attaching from outside ----------------------------------------------------------------------------------- */

/* What is to be looked at in a VM whose host knows nothing of this library. */
typedef struct ljinspect_attach_options {
    const char *hooks_file;  /* watched with LJINSPECT_WATCH_LATER and _FORK; NULL: none */
    const char *breakpoints; /* "FILE:LINE", one a line: each hit is shown on standard error; NULL: none */
    int hits;                /* how many hits of each breakpoint are shown in this process; 0: all */
} ljinspect_attach_options;

/*
 * Set what `options` name in the VM of L, and make `require "ljinspect"` work there whatever package.path says. What a
 * preloaded library calls for each VM; a host may do so, too. The VM's libraries should be open. The hooks file is applied
 * at once, but in nginx, where that waits for a worker. A later call for the same VM sees whether the waiting is
 * over, and whether the function on top of the stack is of a file that has no code on a breakpoint's line.
 * Returns 0; or LJINSPECT_ERR_ARGUMENT for a breakpoint that cannot be read, or what ljinspect_set_hook() and
 * ljinspect_watch() return.
 */
LJINSPECT_API int ljinspect_attach(lua_State *L, const ljinspect_attach_options *options);

/* ---- Log ------------------------------------------------------------------------------------------------------ */

/* `message` is one line without its newline, starts with "ljinspect: " and is valid during the call. May use L as a C
 * function would; errors it raises are ignored. */
typedef void (*ljinspect_logger)(lua_State *L, enum ljinspect_level level, const char *message, void *userdata);

/* Send this VM's messages to `logger`; NULL restores the default: ngx.log where a global `ngx` with `log` exists, else
 * standard error, whose reader may have gone: that raises no SIGPIPE. Returns 0, or LJINSPECT_ERR_NOMEM, _CLOSED or _FOREIGN. */
LJINSPECT_API int ljinspect_set_logger(lua_State *L, ljinspect_logger logger, void *userdata);

/* ---- State of things ------------------------------------------------------------------------------------------ */

/* How ljinspect is doing in a VM. */
typedef struct ljinspect_status {
    const char *engine;     /* "line" or "trap" */
    const char *watcher;    /* "off" (none, or to start later), "inotify", "polling", or "forked": the parent process
                             * has it, this one has none */
    const char *hooks_file; /* absolute path, or NULL; valid until the next watch or unwatch */
    int hooks;              /* how many hooks are set */
} ljinspect_status;

/* Fill in the state of a VM. Returns 0, or LJINSPECT_ERR_NOMEM, _CLOSED or _FOREIGN. */
LJINSPECT_API int ljinspect_get_status(lua_State *L, ljinspect_status *status);

/*
 * Choose the engine of this VM: "trap" (an armed hook costs nothing elsewhere; x86-64 and arm64), "line" (LuaJIT's line
 * hook: works everywhere, slows the VM down while hooks are set), or NULL for the best that works, which is what a VM has
 * that never calls this. The environment variable LJINSPECT_ENGINE chooses for all VMs that do not. Call it before hooks
 * are set. Returns 0; LJINSPECT_ERR_ARGUMENT for an unknown name; _BUSY while hooks are set, a hooks file is watched or a
 * filter runs, and in a finalizer where the engine is needed until later; _ENGINE where that engine cannot work in this VM
 * (the log says why), which keeps the one it has; or _NOMEM, _CLOSED or _FOREIGN.
 */
LJINSPECT_API int ljinspect_set_engine(lua_State *L, const char *name);

/* The Lua module, for hosts that link the library and want `require "ljinspect"`: put it into package.preload, or call
 * it as any luaopen function. Raises a Lua error when memory is short. */
LJINSPECT_API int luaopen_ljinspect(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
