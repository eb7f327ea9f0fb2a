#include "time_limit.h"

#include <lauxlib.h>

#include "context.h"
#include "hook_mark.h"
#include "ticks.h"

enum { INSTRUCTIONS = 1000 };

static void tick(lua_State *L, lua_Debug *ar) {
    context *c = context_at(L);
    (void)ar;
    if (c == NULL || !c->time_limit.active) return;
    time_limit *l = &c->time_limit;
    int grown_mb = (lua_gc(L, LUA_GCCOUNT, 0) - l->memory_kb) / 1024;
    bool late = ticks_now() > l->deadline;
    if (!l->spent && !late && grown_mb <= TIME_LIMIT_MEMORY_MB) return;
    /* A pcall of the filter's own may catch the error: the instruction after it raises it again. So do those of an
     * error handler: without memory for that, one that does not end is not interrupted. */
    if (!l->spent) lua_sethook(L, tick, LUA_MASKCOUNT, 1);
    (void)hook_unmark(L);
    l->spent = true;
    if (late) luaL_error(L, "interrupted: ran longer than %f ms", (lua_Number)l->ms);
    luaL_error(L, "interrupted: took more than %d MB of memory", (int)TIME_LIMIT_MEMORY_MB);
}

bool time_limit_possible(const context *c) {
    return c->engine->class->bound != NULL;
}

static void begin(context *c, lua_State *L, double ms) {
    time_limit *l = &c->time_limit;
    if (ms <= 0 || !time_limit_possible(c)) return;
    if (!l->active && !c->engine->class->bound(c->engine, L, tick, INSTRUCTIONS)) return;
    l->active = true;
    l->spent = false;
    l->ms = ms;
    l->deadline = ticks_now() + (uint64_t)(ms * (double)ticks_per_second() / 1000);
    l->memory_kb = lua_gc(L, LUA_GCCOUNT, 0);
}

void time_limit_begin(context *c, lua_State *L) {
    if (!c->time_limit.active) begin(c, L, c->time_limit.filter_ms);
}

void time_limit_begin_anew(context *c, lua_State *L, double ms) {
    if (c->time_limit.active && (ms <= 0 || c->time_limit.spent)) time_limit_end(c, L);
    begin(c, L, ms);
}

void time_limit_end(context *c, lua_State *L) {
    if (!c->time_limit.active) return;
    c->time_limit.active = false;
    c->engine->class->unbound(c->engine, L, tick);
}
