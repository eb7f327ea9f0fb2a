#include "context.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "hooksfile.h"
#include "info.h"
#include "log.h"
#include "logpoint.h"
#include "ticks.h"

/* Where the registry holds the context's owner, and from where on downwards what context_ref() keeps. Numbers, because
 * looking them up neither allocates nor raises an error, as a string or a light userdata may. Negative, because LuaJIT
 * loses positive ones when memory runs out: a table whose array part has grown before the new hash part could not be
 * had no longer finds the numbers that were in the old one (lj_tab.c, lj_tab_resize; seen with luaL_ref). */
enum { OWNER_KEY = -0x6c6a6901, FIRST_REF = -0x70000000, LAST_REF = -0x7f000000 };

/* Differs between copies of the library in one process. */
static const char this_copy;

/* A userdata whose finalizer is the end of the context. */
typedef struct owner {
    const char *copy; /* &this_copy */
    context *context; /* NULL once closed */
} owner;

struct context_job {
    context_body body;
    void *arg;
};

static int runner(lua_State *L) {
    context *c = ((owner *)lua_touserdata(L, lua_upvalueindex(1)))->context;
    const struct context_job job = *c->job;
    job.body(L, c, job.arg);
    return 0;
}

/* Whether the error on top of the stack is one of memory that was passed on by lua_error(), or is ours: only the VM itself
 * can raise it with its own status. The text is LuaJIT's LJ_ERR_ERRMEM (lj_errmsg.h). */
static bool is_of_memory(lua_State *L) {
    return lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "not enough memory") == 0;
}

int context_call(context *c, lua_State *L, context_body body, void *arg, int nargs) {
    const struct context_job job = {.body = body, .arg = arg}, *outer = c->job;
    c->job = &job;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->runner_ref);
    if (nargs > 0) lua_insert(L, -1 - nargs);
    int status = lua_pcall(L, nargs, 0, 0);
    c->job = outer;
    return status == LUA_ERRRUN && is_of_memory(L) ? LUA_ERRMEM : status;
}

int context_ref(context *c, lua_State *L) {
    int ref;
    do {
        ref = c->next_ref;
        c->next_ref = ref > LAST_REF ? ref - 1 : FIRST_REF;
        lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
        bool taken = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!taken) break;
    } while (true);
    lua_rawseti(L, LUA_REGISTRYINDEX, ref);
    return ref;
}

void context_unref(context *c, int ref) {
    if (ref > FIRST_REF) {
        luaL_unref(c->anchor, LUA_REGISTRYINDEX, ref); /* the user's, or none */
    } else {
        lua_pushnil(c->anchor);
        lua_rawseti(c->anchor, LUA_REGISTRYINDEX, ref);
    }
}

/* ---- Filters ---- */

static void filter_release(hook *h, void *owner_context) {
    context *c = owner_context;
    filter *f = h->filter;
    if (--f->held > 0) return;
    context_unref(c, f->ref);
    info_forget(c, f->info);
    if (f->destroy != NULL) f->destroy(f->userdata);
    if (f->logpoint != NULL) logpoint_free(f->logpoint, c);
    free(f);
}

/* ---- The engine's side ---- */

typedef struct arrival {
    context *context;
    lua_State *L;
    int64_t last, youngest; /* ids: of the hook that was run last; of the youngest that was there at the arrival */
    int n;                  /* hooks that were run */
} arrival;

/* Called in the order of ids. */
static void visit_hook(hook *h, void *arg) {
    arrival *a = arg;
    if (h->id <= a->last || h->id > a->youngest) return;
    a->last = h->id;
    a->n++;
    capture_run(a->context, a->L, h);
}

static int on_hit(void *owner_context, lua_State *L, const char *source, size_t source_len, int line) {
    context *c = owner_context;
    arrival a = {.context = c, .L = L, .youngest = c->last_id};
    const hook_table *t;
    if (c->applying || c->in_hit) return 0; /* neither a hooks file nor a filter is the program */
    c->in_hit = true;
    do { /* a filter may have had a hooks file applied: those of its hooks that last, and did not have their turn, have it now */
        t = c->hooks;
        hooks_dispatch(c->hooks, source, source_len, line, visit_hook, &a);
    } while (c->hooks != t);
    c->in_hit = false;
    if (c->next_expiry != 0 && c->hit_start >= c->next_expiry) logpoint_tend(c, L);
    return a.n;
}

static void on_safepoint(void *owner_context, lua_State *L) {
    context *c = owner_context;
    if (c->file != NULL) hooksfile_safepoint(c->file, c, L);
}

static bool on_change_waiting(void *owner_context) {
    const context *c = owner_context;
    return c->file != NULL && hooksfile_waiting(c->file);
}

static void on_log(void *owner_context, lua_State *L, int level, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_message(owner_context, L, (enum ljinspect_level)level, "%s", text);
}

/* ---- Life ---- */

static void context_free(context *c, lua_State *L) {
    c->closing = true;
    if (c->file != NULL) hooksfile_stop(c->file, c, L);
    if (c->engine != NULL) c->engine->class->close(c->engine, L, true);
    hooks_free(c->staged);
    hooks_free(c->hooks);
    if (c->anchor != NULL) {
        context_unref(c, c->nothing_ref);
        context_unref(c, c->runner_ref);
        context_unref(c, c->weak_ref);
        context_unref(c, c->anchor_ref);
    }
    out_free(&c->line);
    out_free(&c->message);
    free(c);
}

static int owner_gc(lua_State *L) {
    owner *o = lua_touserdata(L, 1);
    context *c = o->context;
    o->context = NULL;
    if (c != NULL) context_free(c, L);
    return 0;
}

/* Look for the context: whether the answer is known, *context or *error being set. Raises no error. */
static bool look_up(lua_State *L, context **c, int *error) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, OWNER_KEY);
    bool none = lua_isnil(L, -1);
    bool ours = lua_type(L, -1) == LUA_TUSERDATA && lua_objlen(L, -1) == sizeof(owner);
    const owner *o = ours ? lua_touserdata(L, -1) : NULL;
    lua_pop(L, 1);
    *c = NULL;
    *error = 0;
    if (none) return false;
    if (o == NULL || o->copy != &this_copy) {
        *error = LJINSPECT_ERR_FOREIGN;
    } else {
        *c = o->context;
        if (o->context == NULL) *error = LJINSPECT_ERR_CLOSED;
    }
    return true;
}

/* Make the context of the VM; NULL where no engine works. *half is what is to be freed where this fails. */
static context *create(lua_State *L, owner **half) {
    owner *o = lua_newuserdata(L, sizeof *o);
    int at = lua_gettop(L);
    o->copy = &this_copy;
    o->context = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, owner_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, at);

    context *c = calloc(1, sizeof *c);
    if (c == NULL) luaL_error(L, "not enough memory");
    o->context = c;
    *half = o;
    c->anchor_ref = c->runner_ref = c->weak_ref = c->nothing_ref = LUA_NOREF;
    c->next_ref = FIRST_REF;
    c->time_limit.filter_ms = TIME_LIMIT_MS;
    ticks_open();
    c->hooks = hooks_new(filter_release, c);
    if (c->hooks == NULL) luaL_error(L, "not enough memory");
    lua_State *anchor = lua_newthread(L);
    c->anchor_ref = context_ref(c, L);
    c->anchor = anchor;

    lua_pushvalue(L, at);
    lua_pushcclosure(L, runner, 1);
    c->runner_ref = context_ref(c, L);
    lua_createtable(L, 0, 0);
    c->nothing_ref = context_ref(c, L);
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    c->weak_ref = context_ref(c, L);
    const engine_host host = {.owner = c,
                              .table = &c->hooks,
                              .anchor = c->anchor,
                              .hit = on_hit,
                              .safepoint = on_safepoint,
                              .change_waiting = on_change_waiting,
                              .log = on_log};
    c->engine = engine_open(L, &host);
    if (c->engine == NULL) return NULL;

    lua_pushvalue(L, at);
    lua_rawseti(L, LUA_REGISTRYINDEX, OWNER_KEY);
    return c;
}

context *context_at(lua_State *L) {
    context *c;
    int error;
    return look_up(L, &c, &error) ? c : NULL;
}

typedef struct creation {
    context *context;
    owner *half;
    int error;
} creation;

static int create_protected(lua_State *L) {
    creation *r = lua_touserdata(L, 1);
    r->error = LJINSPECT_ERR_NOMEM; /* where create() raises an error */
    r->context = create(L, &r->half);
    r->error = r->context != NULL ? 0 : LJINSPECT_ERR_ENGINE;
    return 0;
}

context *context_find(lua_State *L, int *error) {
    context *c;
    *error = LJINSPECT_ERR_ARGUMENT;
    if (L == NULL) return NULL;
    if (look_up(L, &c, error) && c != NULL) {
        engine *e = c->engine;
        e->at_work++;
        e->class->maintain(e, L);
        e->at_work--;
    }
    return c;
}

context *context_get(lua_State *L, int *error) {
    context *c = context_find(L, error);
    if (c != NULL || *error != 0) return c;
    creation r = {.error = LJINSPECT_ERR_NOMEM};
    if (lua_cpcall(L, create_protected, &r) != 0) {
        lua_pop(L, 1);
        r.context = NULL;
    }
    if (r.context == NULL && r.half != NULL) {
        /* Now, not when its owner is collected: by then another context may use what this one has in the registry. The
         * owner is still there, for nothing was allocated since it left the stack. */
        c = r.half->context;
        r.half->context = NULL;
        context_free(c, L);
    }
    *error = r.error;
    return r.context;
}

/* ---- Choice of the engine ---- */

typedef struct opening {
    const engine_class *class;
    engine *engine;
} opening;

static void open_engine(lua_State *L, context *c, void *arg) {
    opening *o = arg;
    o->engine = o->class->open(L, &c->engine->host);
}

static bool may_change_engine(const context *c) {
    return c->file == NULL && c->staged == NULL && !c->applying && !c->in_hit && !hooks_dispatching(c->hooks) &&
           hooks_count(c->hooks) == 0 && c->engine->at_work == 0 && !c->engine->unfinished;
}

int context_set_engine(context *c, lua_State *L, const engine_class *class) {
    if (c->engine->class == class) return 0;
    if (!may_change_engine(c)) return LJINSPECT_ERR_BUSY;
    opening o = {.class = class};
    engine *before = c->engine;
    before->at_work++;
    int status = context_call(c, L, open_engine, &o, 0);
    before->at_work--;
    if (status != 0) {
        lua_pop(L, 1);
        return LJINSPECT_ERR_NOMEM;
    }
    if (o.engine == NULL) return LJINSPECT_ERR_ENGINE;
    bool may = may_change_engine(c); /* or a finalizer has set a hook meanwhile */
    if (may) c->engine = o.engine;
    engine *gone = may ? before : o.engine;
    c->engine->at_work++;
    gone->class->close(gone, L, false);
    c->engine->at_work--;
    return may ? 0 : LJINSPECT_ERR_BUSY;
}

/* ---- Hooks ---- */

hook_table *context_table(const context *c) {
    return c->staged != NULL ? c->staged : c->hooks;
}

int64_t context_add(context *c, lua_State *L, const char *file, size_t file_len, int line, int func, const filter *f) {
    filter *copy = malloc(sizeof *copy);
    if (copy == NULL) return LJINSPECT_ERR_NOMEM;
    *copy = *f;
    copy->held = 1;
    hook_table *t = context_table(c);
    int64_t id = ++c->last_id; /* now: a finalizer that runs while the engine arms may set hooks, too */
    hook *h = hooks_add(t, id, file, file_len, line, copy);
    if (h == NULL) {
        free(copy);
        return LJINSPECT_ERR_NOMEM;
    }
    if (t != c->hooks) return id;
    hooks_pin(t); /* the finalizer may remove this one */
    engine *e = c->engine;
    e->at_work++;
    int error = e->class->arm(e, L, file, file_len, line, func);
    e->at_work--;
    if (error != 0) {
        *copy = (filter){.ref = LUA_NOREF, .held = 1}; /* still the caller's */
        if (!h->removed) hooks_remove(t, h);
    }
    hooks_unpin(t);
    return error != 0 ? error : id;
}

void context_remove(context *c, lua_State *L, hook_table *t, hook *h) {
    if (h->removed) return;
    hooks_pin(t);
    hooks_remove(t, h);
    if (t == c->hooks) {
        engine *e = c->engine;
        e->at_work++;
        e->class->disarm(e, L, h->file, h->file_len, h->at);
        e->at_work--;
    }
    hooks_unpin(t);
}

int context_remove_all(context *c, lua_State *L) {
    hook_table *t = context_table(c);
    int n = 0;
    hooks_pin(t);
    for (hook *h = hooks_first(t); h != NULL; h = hooks_next(h)) {
        if (((const filter *)h->filter)->lasting) continue;
        context_remove(c, L, t, h);
        n++;
    }
    hooks_unpin(t);
    return n;
}

int context_stage(context *c) {
    c->staged = hooks_new(filter_release, c);
    if (c->staged == NULL) return LJINSPECT_ERR_NOMEM;
    for (hook *h = hooks_first(c->hooks); h != NULL; h = hooks_next(h)) {
        filter *f = h->filter;
        if (!f->lasting) continue;
        if (hooks_add(c->staged, h->id, h->file, h->file_len, h->at, f) == NULL) {
            context_unstage(c);
            return LJINSPECT_ERR_NOMEM;
        }
        f->held++;
    }
    return 0;
}

void context_unstage(context *c) {
    hook_table *rest = c->staged;
    c->staged = NULL;
    hooks_free(rest);
}

/* The hooks of the table that are younger than `id`, appended to a list that grows. False: no memory. */
static bool list_hooks(const hook_table *t, int64_t id, hook ***list, size_t *n) {
    hook **longer = realloc(*list, (*n + hooks_count(t) + 1) * sizeof **list);
    if (longer == NULL) return false;
    *list = longer;
    for (hook *h = hooks_first(t); h != NULL; h = hooks_next(h)) {
        if (h->id > id) longer[(*n)++] = h;
    }
    return true;
}

/* Arm all of a pinned table. Arming allocates, so finalizers run that may set and unset hooks in it. */
static int arm_table(context *c, lua_State *L, const hook_table *t) {
    hook **list = NULL;
    size_t armed = 0, n = 0;
    int error = 0;
    while (error == 0) {
        if (!list_hooks(t, armed > 0 ? list[armed - 1]->id : 0, &list, &n)) error = LJINSPECT_ERR_NOMEM;
        if (error != 0 || n == armed) break;
        error = engine_arm_all(c->engine, L, list + armed, n - armed);
        if (error == 0) armed = n;
    }
    size_t gone = 0;
    for (size_t i = 0; i < armed; i++) {
        if (error != 0 || list[i]->removed) list[gone++] = list[i];
    }
    engine_disarm_all(c->engine, L, list, gone);
    free(list);
    return error;
}

int context_commit(context *c, lua_State *L) {
    hook_table *old = c->hooks, *new = c->staged;
    hooks_pin(new);
    int error = arm_table(c, L, new);
    if (error == 0) {
        hook **going = NULL;
        size_t n = 0;
        for (hook *h = hooks_first(new); h != NULL; h = hooks_next(h)) {
            const hook *before = hooks_find_id(old, h->id); /* one that lasts */
            if (before == NULL) continue;
            h->hits = before->hits;
            h->matched = before->matched;
            h->dropped = before->dropped;
            h->errors = before->errors;
            h->timed = before->timed;
        }
        c->hooks = new;
        c->staged = NULL;
        if (list_hooks(old, 0, &going, &n)) {
            engine_disarm_all(c->engine, L, going, n);
        } else {
            for (hook *h = hooks_first(old); h != NULL; h = hooks_next(h)) engine_disarm_all(c->engine, L, &h, 1);
        }
        free(going);
        hooks_free(old);
    }
    hooks_unpin(new);
    return error;
}
