/* The public entry points: check arguments, find the context, delegate. */
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "filter_use.h"
#include "hooksfile.h"
#include "listing.h"
#include "log.h"

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
    bool func; /* the function is below the filter on the stack */
    filter filter;
    int64_t result;
} set_request;

/* Stack: function if any, filter if it is a Lua function. */
static void set_hook(lua_State *L, context *c, void *arg) {
    set_request *r = arg;
    bool own_ref = lua_gettop(L) > (r->func ? 1 : 0);
    if (r->filter.call == NULL) {
        if (!own_ref) lua_rawgeti(L, LUA_REGISTRYINDEX, r->filter.ref);
        r->filter.uses = filter_use(L);
        if (!own_ref) lua_pop(L, 1);
    }
    if (own_ref) r->filter.ref = context_ref(c, L);
    r->result = context_add(c, L, r->file, strlen(r->file), r->line, r->func ? 1 : 0, &r->filter);
    if (r->result < 0 && own_ref) context_unref(c, r->filter.ref);
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

int64_t ljinspect_set_hook(lua_State *L, const char *file, int line, int func, const ljinspect_filter *f) {
    set_request r = {.file = file != NULL ? file : stdin_source, .line = line, .func = func != 0};
    if (L == NULL || f == NULL || line < 1 || line > HOOKS_LINE_MAX) return LJINSPECT_ERR_ARGUMENT;
    if ((func != 0 && !lua_isfunction(L, func)) || !read_filter(L, f, &r.filter)) return LJINSPECT_ERR_ARGUMENT;
    int error, nargs = 0;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    int shift = 0; /* a relative index moves as values are pushed */
    if (func != 0) {
        lua_pushvalue(L, func);
        nargs++;
        shift = 1;
    }
    if (f->kind == LJINSPECT_FILTER_LUA) {
        lua_pushvalue(L, f->index < 0 && f->index > LUA_REGISTRYINDEX ? f->index - shift : f->index);
        nargs++;
    }
    int status = context_call(c, L, set_hook, &r, nargs);
    if (status == 0) return r.result;
    log_message(c, L, LJINSPECT_ERROR, "%s#%d: hook could not be set: %s", r.file, line,
                lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
    lua_pop(L, 1);
    return status == LUA_ERRMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_LUA;
}

int ljinspect_unset_hook(lua_State *L, const char *file, int line) {
    int error, n = 0;
    if (line < 1 || line > HOOKS_LINE_MAX) return LJINSPECT_ERR_ARGUMENT;
    context *c = find(L, &error);
    if (c == NULL) return error;
    if (file == NULL) file = stdin_source;
    hook_table *t = context_table(c);
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
    if (file == NULL) file = getenv("LJINSPECT_HOOKS_FILE");
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
