/* The public entry points: check arguments, find the context, delegate. */
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "filter_use.h"
#include "hooksfile.h"
#include "listing.h"
#include "log.h"
#include "logpoint.h"
#include "tracepoint.h"

static const char stdin_source[] = "=stdin";

enum { DELAY_DEFAULT_MS = 3000, DELAY_MIN_MS = 10, DELAY_MAX_MS = 86400000 };

/* As context_find, for what has nothing to do in a VM that is being closed: that is no error. */
static context *find(lua_State *L, int *error) {
    context *c = context_find(L, error);
    if (*error == LJINSPECT_ERR_CLOSED) *error = 0;
    return c;
}

/* ---- Hooks ---- */

typedef struct set_request {
    const char *file;
    int line;
    bool func, own_filter, sink;           /* which values are on the stack, in this order */
    const ljinspect_hook_options *options; /* NULL: a filter is all */
    filter filter;
    logpoint *half; /* made, but not owned by a hook yet */
    logpoint_error why;
    int64_t result;
} set_request;

/* A hook on a function: find its place. The function stays on the stack, and with it the chunk name. */
static bool find_function(lua_State *L, context *c, set_request *r) {
    const char *name = r->options->function, *why;
    bool returns = r->options->at == LJINSPECT_AT_RETURN;
    if (returns && c->engine->class->push_returns == NULL) {
        r->result = r->why.code = LJINSPECT_ERR_ENGINE;
        snprintf(r->why.text, sizeof r->why.text,
                 "at: returns are seen by the trap engine only, and this VM has the engine '%s'",
                 c->engine->class->name);
        return false;
    }
    bool found = name == NULL || tracepoint_find(L, name, &why);
    if (found && name == NULL) lua_pushvalue(L, 1);
    if (found && tracepoint_line(L, &r->file, &r->line, &why) &&
        (returns || tracepoint_once(c->engine, L, r->line, &why))) {
        logpoint_only(r->filter.logpoint, c, L);
        if (returns) r->line |= HOOKS_RETURN;
        return true;
    }
    r->result = r->why.code = LJINSPECT_ERR_ARGUMENT;
    snprintf(r->why.text, sizeof r->why.text, "func: %s%s%s", name != NULL ? name : "", name != NULL ? ": " : "", why);
    return false;
}

/* Stack: function, filter, sink, each if it is there. */
static void set_hook(lua_State *L, context *c, void *arg) {
    set_request *r = arg;
    int filter_at = r->func ? 2 : 1, sink_at = r->sink ? filter_at + (r->own_filter ? 1 : 0) : 0;
    if (r->options != NULL) {
        r->filter.logpoint = logpoint_new(c, L, r->options, sink_at, &r->half, &r->why);
        r->result = r->why.code;
        if (r->filter.logpoint == NULL) return;
        r->half = r->filter.logpoint;
        r->filter.meter.budget = r->options->budget;
        if (r->options->line == 0 && !find_function(L, c, r)) return;
    }
    if (r->filter.call == NULL && !r->filter.none) {
        if (r->own_filter)
            lua_pushvalue(L, filter_at);
        else
            lua_rawgeti(L, LUA_REGISTRYINDEX, r->filter.ref);
        r->filter.uses = filter_use(L);
        if (r->own_filter)
            r->filter.ref = context_ref(c, L);
        else
            lua_pop(L, 1);
    }
    r->result = context_add(c, L, r->file, strlen(r->file), r->line, r->func ? 1 : 0, &r->filter);
    if (r->result > 0)
        r->half = NULL;
    else if (r->own_filter)
        context_unref(c, r->filter.ref);
}

/* What `f` asks for as the context keeps it. False for what cannot be a filter. */
static bool read_filter(lua_State *L, const ljinspect_filter *f, filter *out) {
    *out = (filter){.ref = LUA_NOREF, .lasting = f->lasting != 0};
    bool ok;
    switch (f->kind) {
    case LJINSPECT_FILTER_C:
        out->call = f->call;
        out->userdata = f->userdata;
        out->destroy = f->destroy;
        return f->call != NULL;
    case LJINSPECT_FILTER_LUA: return f->index != 0 && lua_isfunction(L, f->index);
    case LJINSPECT_FILTER_REF:
        if (f->ref < 0) return false;
        out->ref = f->ref;
        lua_rawgeti(L, LUA_REGISTRYINDEX, f->ref);
        ok = lua_isfunction(L, -1);
        lua_pop(L, 1);
        return ok;
    }
    return false;
}

/* Push the value at `index`, which may be relative to the top as it was `pushed` values ago. */
static int push_again(lua_State *L, int index, int pushed) {
    lua_pushvalue(L, index < 0 && index > LUA_REGISTRYINDEX ? index - pushed : index);
    return pushed + 1;
}

/* Set the hook that `r` describes; `func`, `filter_at` and `sink_at` are stack indexes, 0 for none. */
static int64_t set(lua_State *L, set_request *r, int func, int filter_at, int sink_at) {
    int error, n = 0;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    r->func = func != 0;
    r->own_filter = filter_at != 0;
    r->sink = sink_at != 0;
    if (r->func) n = push_again(L, func, n);
    if (r->own_filter) n = push_again(L, filter_at, n);
    if (r->sink) n = push_again(L, sink_at, n);
    int status = context_call(c, L, set_hook, r, n);
    if (status != 0) {
        log_message(c, L, LJINSPECT_ERROR, "%s#%d: hook could not be set: %s", r->file, r->line & HOOKS_LINE_MAX,
                    lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
        lua_pop(L, 1);
        r->result = status == LUA_ERRMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_LUA;
    }
    if (r->half != NULL) logpoint_abandon(r->half, c);
    if (c->applying && r->result == LJINSPECT_ERR_NOMEM) c->applied_short = true;
    return r->result;
}

int64_t ljinspect_set_hook(lua_State *L, const char *file, int line, int func, const ljinspect_filter *f) {
    set_request r = {.file = file != NULL ? file : stdin_source, .line = line};
    if (L == NULL || f == NULL || line < 1 || line > HOOKS_LINE_MAX) return LJINSPECT_ERR_ARGUMENT;
    if ((func != 0 && !lua_isfunction(L, func)) || !read_filter(L, f, &r.filter)) return LJINSPECT_ERR_ARGUMENT;
    return set(L, &r, func, f->kind == LJINSPECT_FILTER_LUA ? f->index : 0, 0);
}

/* ---- Hooks by options ---- */

int ljinspect_hook_options_init(ljinspect_hook_options *options, size_t size) {
    static const ljinspect_hook_options usual = {
        .sample = 1, .level = LJINSPECT_INFO, .interval = 10, .budget = GOVERNOR_BUDGET};
    if (options == NULL || size < sizeof usual) return LJINSPECT_ERR_ARGUMENT;
    memset(options, 0, size);
    *options = usual;
    options->size = size;
    return 0;
}

/* What is wrong with the options that the parts of a logpoint do not see; NULL: nothing. */
static const char *check_options(lua_State *L, const ljinspect_hook_options *o) {
    bool pictures = o->capture != NULL;
    int sinks = (o->sink_file != NULL) + (o->sink != NULL) + (o->sink_func != 0);
    bool by_function = o->function != NULL || (o->line == 0 && o->func != 0);
    if (o->function != NULL && (o->line != 0 || o->func != 0)) return "func: a name stands alone, without line";
    if (by_function && o->file != NULL) return "file: not with a function alone; give a line, too";
    if (o->at != LJINSPECT_AT_ENTRY && o->at != LJINSPECT_AT_RETURN) return "at: 'entry' or 'return' expected";
    if (o->at == LJINSPECT_AT_RETURN && !by_function) return "at: of a function alone: give func, without line";
    if (pictures && (o->capture->what & LJINSPECT_CAPTURE_RETURNS) != 0 && o->at != LJINSPECT_AT_RETURN)
        return "capture.returns: only with at = 'return'";
    if (!by_function && (o->line < 1 || o->line > HOOKS_LINE_MAX)) return "line: 1 to 16777215 expected";
    if (o->func != 0 && !lua_isfunction(L, o->func)) return "func: function expected";
    if (o->sink_func != 0 && !lua_isfunction(L, o->sink_func)) return "sink: function expected";
    if (!(o->budget >= 0 && o->budget <= 1)) return "budget: 0 to 1 expected";
    if (sinks > 1) return "sink: more than one given";
    bool lines = o->log != NULL || pictures || o->count != 0 || o->histogram != NULL;
    if (!lines && o->filter == NULL) return "nothing to do: log, capture, filter, count or histogram expected";
    if (sinks > 0 && !lines) return "sink: nothing to write to it: log, capture, count or histogram expected";
    const unsigned shown =
        LJINSPECT_CAPTURE_LOCALS | LJINSPECT_CAPTURE_UPVALUES | LJINSPECT_CAPTURE_VARARGS | LJINSPECT_CAPTURE_RETURNS;
    if (pictures && o->capture->stack == 0 && (o->capture->what & shown) == 0)
        return "capture: nothing to show: locals, upvalues, varargs, returns or stack expected";
    return NULL;
}

int64_t ljinspect_set_hook_with(lua_State *L, const ljinspect_hook_options *o, char *why, size_t why_size) {
    if (why != NULL && why_size > 0) *why = '\0';
    if (L == NULL || o == NULL || o->size < sizeof *o) return LJINSPECT_ERR_ARGUMENT;
    set_request r = {.file = o->file != NULL ? o->file : stdin_source,
                     .line = o->line,
                     .options = o,
                     .filter = {.ref = LUA_NOREF, .none = true}};
    const char *wrong = check_options(L, o);
    if (wrong == NULL && o->filter != NULL && !read_filter(L, o->filter, &r.filter)) wrong = "filter: no filter";
    int64_t result = LJINSPECT_ERR_ARGUMENT;
    if (wrong == NULL) {
        bool by_index = o->filter != NULL && o->filter->kind == LJINSPECT_FILTER_LUA;
        result = set(L, &r, o->func, by_index ? o->filter->index : 0, o->sink_func);
        wrong = r.why.text;
    }
    if (result < 0 && why != NULL && why_size > 0)
        snprintf(why, why_size, "%s", *wrong != '\0' ? wrong : ljinspect_strerror((int)result));
    return result;
}

int ljinspect_get_limits(lua_State *L, ljinspect_limits *limits) {
    int error;
    if (limits == NULL || limits->size < sizeof *limits) return LJINSPECT_ERR_ARGUMENT;
    const context *c = context_get(L, &error);
    if (c == NULL) return error;
    limits->budget = c->governor.budget;
    limits->filter_ms = c->time_limit.filter_ms;
    limits->plain_filter_ms = c->time_limit.plain_ms;
    return 0;
}

int ljinspect_set_limits(lua_State *L, const ljinspect_limits *limits) {
    int error;
    if (limits == NULL || limits->size < sizeof *limits) return LJINSPECT_ERR_ARGUMENT;
    if (!(limits->budget >= 0 && limits->budget <= 1)) return LJINSPECT_ERR_ARGUMENT;
    if (!(limits->filter_ms >= 0 && limits->filter_ms <= 60000)) return LJINSPECT_ERR_ARGUMENT;
    if (!(limits->plain_filter_ms >= 0 && limits->plain_filter_ms <= 60000)) return LJINSPECT_ERR_ARGUMENT;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    c->governor.budget = limits->budget;
    c->time_limit.filter_ms = limits->filter_ms;
    c->time_limit.plain_ms = limits->plain_filter_ms;
    return 0;
}

int ljinspect_unset_hook(lua_State *L, const char *file, int line) {
    int error, n = 0;
    if (line < 1 || line > HOOKS_LINE_MAX) return LJINSPECT_ERR_ARGUMENT;
    context *c = find(L, &error);
    if (c == NULL) return error;
    if (file == NULL) file = stdin_source;
    hook_table *t = context_table(c);
    for (hook *h; (h = hooks_first_with_key(t, file, strlen(file), line)) != NULL; n++) context_remove(c, L, t, h);
    line |= HOOKS_RETURN;
    for (hook *h; (h = hooks_first_with_key(t, file, strlen(file), line)) != NULL; n++) context_remove(c, L, t, h);
    return n;
}

int ljinspect_unset_id(lua_State *L, int64_t id) {
    int error;
    context *c = find(L, &error);
    if (c == NULL) return error;
    hook *h = hooks_find_id(context_table(c), id);
    if (h != NULL) context_remove(c, L, context_table(c), h);
    return h != NULL;
}

int ljinspect_unset_all(lua_State *L) {
    int error;
    context *c = find(L, &error);
    if (c == NULL) return error;
    return context_remove_all(c, L);
}

int ljinspect_hooks(lua_State *L, ljinspect_hook_visitor visit, void *userdata) {
    int error;
    context *c = find(L, &error);
    if (c == NULL) return error;
    logpoint_tend(c, L);
    return listing_visit(c, L, visit, userdata);
}

int ljinspect_getname(lua_State *L, const lua_Debug *ar, char *buffer, size_t size) {
    (void)L;
    if (ar == NULL || (buffer == NULL && size > 0)) return LJINSPECT_ERR_ARGUMENT;
    return capture_getname(ar, buffer, size);
}

/* ---- Hooks file ---- */

int ljinspect_watch(lua_State *L, const char *file, double delay, unsigned flags) {
    int error;
    if (file == NULL) file = secure_getenv("LJINSPECT_HOOKS_FILE");
    int delay_ms = DELAY_DEFAULT_MS;
    if (delay != 0) {
        if (!(delay * 1000 >= DELAY_MIN_MS && delay * 1000 <= DELAY_MAX_MS)) return LJINSPECT_ERR_ARGUMENT;
        delay_ms = (int)(delay * 1000);
    }
    if (file == NULL || *file == '\0') return LJINSPECT_ERR_ARGUMENT;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    if (c->applying && (c->file == NULL || strcmp(file, hooksfile_path(c->file)) != 0)) return LJINSPECT_ERR_BUSY;
    struct hooksfile *now;
    error = hooksfile_start(c, L, file, delay_ms, flags, &now);
    if (error != 0) return error;
    struct hooksfile *before = c->file;
    c->file = now;
    if (before != NULL && before != now) hooksfile_stop(before, c, L);
    if ((flags & LJINSPECT_WATCH_LATER) == 0) hooksfile_poll(now, c, L);
    return 0;
}

int ljinspect_unwatch(lua_State *L) {
    int error;
    context *c = find(L, &error);
    if (c == NULL) return error;
    struct hooksfile *f = c->file;
    c->file = NULL;
    if (f != NULL) hooksfile_stop(f, c, L);
    return f != NULL;
}

int ljinspect_poll(lua_State *L) {
    int error;
    context *c = context_find(L, &error);
    if (c == NULL) return error;
    logpoint_tend(c, L);
    return c->file != NULL ? hooksfile_poll(c->file, c, L) : 0;
}

/* ---- Log and status ---- */

int ljinspect_set_logger(lua_State *L, ljinspect_logger logger, void *userdata) {
    int error;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    c->logger = logger;
    c->logger_data = userdata;
    return 0;
}

int ljinspect_get_status(lua_State *L, ljinspect_status *status) {
    int error;
    if (status == NULL) return LJINSPECT_ERR_ARGUMENT;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    *status = (ljinspect_status){.engine = c->engine->class->name,
                                 .watcher = c->file != NULL ? hooksfile_watcher(c->file) : "off",
                                 .hooks_file = c->file != NULL ? hooksfile_path(c->file) : NULL,
                                 .hooks = (int)hooks_count(context_table(c))};
    return 0;
}

int ljinspect_set_engine(lua_State *L, const char *name) {
    const engine_class *class;
    int error;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    if (name != NULL) {
        class = engine_named(name);
        if (class != NULL) return context_set_engine(c, L, class);
        return strcmp(name, "trap") == 0 ? LJINSPECT_ERR_ENGINE : LJINSPECT_ERR_ARGUMENT; /* not on this machine */
    }
    error = LJINSPECT_ERR_ENGINE;
    for (int i = 0; error == LJINSPECT_ERR_ENGINE && (class = engine_ranked(i)) != NULL; i++)
        error = context_set_engine(c, L, class);
    return error;
}
