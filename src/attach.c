/* Attaching to a VM whose host knows nothing of this library: all through the public API. */
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "breakpoint.h"
#include "context.h"
#include "hooksfile.h"
#include "raw_field.h"

/* Registry: how far a VM is. A number, as those of context.c. */
enum { ATTACHED_KEY = -0x6c6a6911 };
enum { NEW, WAITING, DONE }; /* WAITING: the hooks file has not been begun with */

/* ---- Modules ---- */

static int give_module(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

/* The last of package.loaders: the drop-in modules, where the program has none of its own. Upvalue: the module. */
static int load_drop_in(lua_State *L) {
    const char *name = lua_tostring(L, 1);
    if (name == NULL || (strcmp(name, "resty.inspect.dbg") != 0 && strcmp(name, "apisix.inspect.dbg") != 0)) return 0;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, give_module, 1);
    return 1;
}

/* Make the modules known; a VM without `require` has no use for them. */
static void offer_modules(lua_State *L) {
    raw_loaded(L, "package");
    int package = lua_gettop(L);
    if (!lua_istable(L, package)) return;
    lua_pushcfunction(L, luaopen_ljinspect);
    lua_call(L, 0, 1);
    int module = lua_gettop(L);

    lua_pushvalue(L, package);
    raw_field(L, "preload");
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "ljinspect");
        lua_pushvalue(L, module);
        lua_pushcclosure(L, give_module, 1);
        lua_rawset(L, -3);
    }
    lua_pushvalue(L, package);
    raw_field(L, "loaders");
    if (lua_istable(L, -1)) {
        lua_pushvalue(L, module);
        lua_pushcclosure(L, load_drop_in, 1);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    }
}

/* ---- Breakpoints ---- */

/* What is attached to a VM, and what came of it: an attempt that fails takes back the hooks it has set. */
typedef struct attachment {
    const ljinspect_attach_options *options;
    int result;
    int64_t *ids;
    size_t n;
} attachment;

/* Set what one line of the list says, "FILE:LINE". An id, 0 for none, or an error. */
static int64_t set_breakpoint(lua_State *L, const char *text, size_t len, int hits) {
    char *file = strndup(text, len), *end;
    if (file == NULL) return LJINSPECT_ERR_NOMEM;
    int64_t result = LJINSPECT_ERR_ARGUMENT;
    char *colon = strrchr(file, ':');
    if (colon != NULL && colon != file && colon[1] >= '0' && colon[1] <= '9') {
        *colon = '\0';
        long line = strtol(colon + 1, &end, 10);
        if (*end == '\0' && line >= 1 && line <= 16777215) result = breakpoint_set(L, file, (int)line, hits);
    }
    free(file);
    return result;
}

/* Room for the id of each line of the list. */
static bool make_room(attachment *a) {
    size_t lines = 1;
    for (const char *p = a->options->breakpoints; *p != '\0'; p++) lines += *p == '\n';
    a->ids = calloc(lines, sizeof *a->ids);
    return a->ids != NULL;
}

static int set_breakpoints(lua_State *L, attachment *a) {
    const char *at = a->options->breakpoints;
    if (at == NULL) return 0;
    if (!make_room(a)) return LJINSPECT_ERR_NOMEM;
    while (*at != '\0') {
        size_t len = strcspn(at, "\n");
        int64_t id = len > 0 ? set_breakpoint(L, at, len, a->options->hits) : 0;
        if (id < 0) return (int)id;
        if (id > 0) a->ids[a->n++] = id;
        at += len + (at[len] == '\n');
    }
    return 0;
}

/* ---- Attaching ---- */

static int get_state(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ATTACHED_KEY);
    int state = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return state;
}

static void set_state(lua_State *L, int state) {
    lua_pushinteger(L, state);
    lua_rawseti(L, LUA_REGISTRYINDEX, ATTACHED_KEY);
}

/* Begin with the hooks file, or look again when what was just loaded runs. */
static int begin_if_ready(lua_State *L) {
    int error;
    context *c = context_find(L, &error);
    if (c == NULL) return 0;
    if (c->file != NULL) hooksfile_safepoint(c->file, c, L);
    if (c->file == NULL || strcmp(hooksfile_watcher(c->file), "off") != 0)
        set_state(L, DONE);
    else
        hooksfile_rouse(c->file);
    return 0;
}

static int attach(lua_State *L) {
    attachment *a = lua_touserdata(L, 1);
    ljinspect_status status;
    set_state(L, DONE);
    a->result = ljinspect_get_status(L, &status);
    if (a->result != 0) return 0;
    a->result = set_breakpoints(L, a);
    if (a->result == LJINSPECT_ERR_NOMEM) return 0; /* all is tried again */
    offer_modules(L);
    lua_settop(L, 0);
    if (a->options->breakpoints != NULL) breakpoint_open(L);
    /* A host that watches a file of its own choice goes on with that. */
    if (a->result == 0 && a->options->hooks_file != NULL && status.hooks_file == NULL) {
        a->result = ljinspect_watch(L, a->options->hooks_file, 0, LJINSPECT_WATCH_LATER | LJINSPECT_WATCH_FORK);
        if (a->result == 0) {
            set_state(L, WAITING);
            begin_if_ready(L);
        }
    }
    return 0;
}

/* What failed is as if it had not been tried; and for want of memory it is tried again by the next call. */
static void undo(lua_State *L, const attachment *a) {
    for (size_t i = 0; i < a->n; i++) ljinspect_unset_id(L, a->ids[i]);
    if (a->result == LJINSPECT_ERR_NOMEM && get_state(L) == DONE)
        set_state(L, NEW); /* the field is there: no allocation */
}

int ljinspect_attach(lua_State *L, const ljinspect_attach_options *options) {
    if (L == NULL || options == NULL) return LJINSPECT_ERR_ARGUMENT;
    int state = get_state(L);
    if (state != NEW && options->breakpoints != NULL) breakpoint_loaded(L);
    if (state == DONE) return 0;
    attachment a = {.options = options};
    int status = lua_cpcall(L, state == NEW ? attach : begin_if_ready, &a);
    if (status != 0) {
        lua_pop(L, 1);
        a.result = status == LUA_ERRMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_LUA;
    }
    if (a.result != 0) undo(L, &a);
    free(a.ids);
    return a.result;
}
