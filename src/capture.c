#include "capture.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "filter_use.h"
#include "info.h"
#include "log.h"
#include "logpoint.h"
#include "ticks.h"
#include "time_limit.h"

/* lj_debug.c, debug_localname: what stands above the last local. */
static bool past_locals(const char *name) {
    return name == NULL || strcmp(name, "(*temporary)") == 0;
}

/* ---- What a filter in C asks ---- */

lua_State *ljinspect_hit_state(const ljinspect_hit *hit) {
    return hit->L;
}

const char *ljinspect_hit_key(const ljinspect_hit *hit) {
    return hit->hook->key;
}

int capture_line(const ljinspect_hit *hit) {
    lua_Debug ar = hit->frame;
    if (hit->context->engine->leaving == NULL) return hit->hook->line;
    lua_getinfo(hit->L, "l", &ar);
    return ar.currentline;
}

int ljinspect_hit_line(const ljinspect_hit *hit) {
    return capture_line(hit);
}

uint64_t ljinspect_hit_count(const ljinspect_hit *hit) {
    return hit->hook->hits;
}

int64_t ljinspect_hit_id(const ljinspect_hit *hit) {
    return hit->hook->id;
}

const char *ljinspect_hit_local_at(ljinspect_hit *hit, int index) {
    if (index < 1) return NULL;
    const char *name = lua_getlocal(hit->L, &hit->frame, index);
    if (!past_locals(name)) return name;
    if (name != NULL) lua_pop(hit->L, 1);
    return NULL;
}

int ljinspect_hit_local(ljinspect_hit *hit, const char *name) {
    int found = 0;
    const char *at;
    if (name == NULL || name[0] == '(') return 0;
    for (int i = 1; (at = ljinspect_hit_local_at(hit, i)) != NULL; i++) {
        if (strcmp(at, name) == 0) found = i;
        lua_pop(hit->L, 1);
    }
    return found != 0 && lua_getlocal(hit->L, &hit->frame, found) != NULL;
}

const char *ljinspect_hit_upvalue_at(ljinspect_hit *hit, int index) {
    if (index < 1) return NULL;
    lua_getinfo(hit->L, "f", &hit->frame);
    const char *name = lua_getupvalue(hit->L, -1, index);
    lua_remove(hit->L, name != NULL ? -2 : -1);
    return name;
}

int ljinspect_hit_upvalue(ljinspect_hit *hit, const char *name) {
    const char *at;
    if (name == NULL) return 0;
    for (int i = 1; (at = ljinspect_hit_upvalue_at(hit, i)) != NULL; i++) {
        if (strcmp(at, name) == 0) return 1;
        lua_pop(hit->L, 1);
    }
    return 0;
}

/* lj_debug.c, debug_localname: negative numbers are the varargs, as in Lua 5.2. */
int ljinspect_hit_vararg(ljinspect_hit *hit, int index) {
    return index >= 1 && lua_getlocal(hit->L, &hit->frame, -index) != NULL;
}

int ljinspect_hit_frame(ljinspect_hit *hit, const char *what, lua_Debug *ar) {
    if (what == NULL || ar == NULL || *what == '>') return 0;
    *ar = hit->frame;
    if (!lua_getinfo(hit->L, what, ar)) return 0;
    ar->currentline = capture_line(hit);
    return 1;
}

int ljinspect_hit_leaving(const ljinspect_hit *hit, int *values, int *tail_call, double *duration_us) {
    const engine_return *r = hit->context->engine->leaving;
    if (r == NULL) return 0;
    if (values != NULL) *values = r->n;
    if (tail_call != NULL) *tail_call = r->tail_call;
    if (duration_us != NULL) *duration_us = engine_return_us(r);
    return 1;
}

int ljinspect_hit_return(ljinspect_hit *hit, int index) {
    engine *e = hit->context->engine;
    if (e->leaving == NULL || index < 1 || index > e->leaving->n) return 0;
    e->class->push_returns(e, hit->L, index, 1);
    return 1;
}

/* ---- What a filter in Lua gets ---- */

void ljinspect_hit_push_info(ljinspect_hit *hit) {
    info_push(hit, USES_ALL);
}

/* ---- Running a filter ---- */

typedef struct run {
    hook *hook;
    bool keep;
    bool in_filter; /* what comes before it, of a hook in table form, is done */
} run;

/* The part of a hook in table form that comes before its filter. False: there is nothing more to do. */
static bool run_logpoint(logpoint *p, ljinspect_hit *hit, run *r, bool *last) {
    logpoint_verdict verdict = logpoint_hit(p, hit);
    *last = verdict == LOGPOINT_LAST;
    r->keep = verdict == LOGPOINT_PASS || verdict == LOGPOINT_MATCH;
    return (verdict == LOGPOINT_MATCH || *last) && !((filter *)hit->hook->filter)->none;
}

/* The C function between the hooked function and the filter: level 1 below it is the hooked one, so that in a filter in
 * Lua the hooked one is level 3. */
static void call_filter(lua_State *L, context *c, void *arg) {
    run *r = arg;
    const filter *f = r->hook->filter;
    ljinspect_hit hit;
    hit.context = c;
    hit.hook = r->hook;
    hit.L = L;
    if (!lua_getstack(L, 1, &hit.frame)) luaL_error(L, "no hooked function on the stack");
    bool last = false;
    if (f->logpoint != NULL && (!run_logpoint(f->logpoint, &hit, r, &last) || r->hook->removed)) return;
    lua_settop(L, 0);
    r->in_filter = true;
    if (f->call != NULL) {
        time_limit_end(c, L);
        r->keep = f->call(&hit, f->userdata) == LJINSPECT_KEEP && !last;
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, f->ref);
    if (f->uses == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, c->nothing_ref); /* neither kept nor changed: see filter_use.h */
    } else {
        info_push(&hit, f->uses);
    }
    time_limit_begin_anew(c, L, f->logpoint != NULL ? c->time_limit.filter_ms : c->time_limit.plain_ms);
    lua_call(L, 1, 1);
    r->keep = lua_isboolean(L, -1) && !lua_toboolean(L, -1) && !last;
}

/* Reading the clock twice is a good part of what a filter in C takes that looks at nothing: where nothing is decided by
 * it, it is read for some of the hits. */
static bool is_timed(const context *c, const logpoint *p, uint64_t hit) {
    enum { ALL_OF_FIRST = 16, EACH = 16 };
    return p != NULL || c->governor.budget > 0 || hit <= ALL_OF_FIRST || hit % EACH == 0;
}

/* The hook after its filter ran, which may have had a hooks file applied: one that lasts is in another table then. */
static hook *in_force(const context *c, hook *h) {
    hook *now = h->removed ? hooks_find_id(c->hooks, h->id) : NULL;
    return now != NULL ? now : h;
}

void capture_run(context *c, lua_State *L, hook *h) {
    run r = {.hook = h};
    char buffer[LOG_ERROR_TEXT];
    const filter *f = h->filter;
    logpoint *p = f->logpoint;
    uint64_t start = 0;
    bool timed = is_timed(c, p, ++h->hits);
    if (timed) start = c->hit_start = ticks_now();
    if (f->meter.until != 0 && governor_suspended(c, L, h, timed ? start : ticks_now())) {
        h->dropped++;
        return;
    }
    if (p == NULL) h->matched++;
    int status = 0;
    if (p != NULL && logpoint_rejects(p, c, L, h)) {
        r.keep = true;
    } else {
        status = context_call(c, L, call_filter, &r, 0);
        time_limit_end(c, L);
    }
    if (status != 0 && p != NULL && !r.in_filter) {
        r.keep = true;
        logpoint_failed(p, c, L, h);
        lua_pop(L, 1);
    } else if (status == LUA_ERRMEM) {
        r.keep = true;
        log_message(c, L, LJINSPECT_ERROR, "%s: no memory for the filter, hook kept", h->key);
        lua_pop(L, 1);
    } else if (status != 0) {
        r.keep = false;
        in_force(c, h)->errors++;
        log_message(c, L, LJINSPECT_ERROR, "%s: error in filter, hook removed: %s", h->key,
                    log_error_text(L, buffer, sizeof buffer));
        lua_pop(L, 1);
    }
    if (timed) {
        in_force(c, h)->timed++;
        governor_charge(c, L, h, r.keep && !h->removed, start, ticks_now());
    }
    if (!r.keep) context_remove(c, L, c->hooks, in_force(c, h));
}

int capture_getname(const lua_Debug *ar, char *buffer, size_t size) {
    if (ar->what != NULL && strcmp(ar->what, "C") == 0)
        return snprintf(buffer, size, "%s", ar->name != NULL ? ar->name : "?");
    if (ar->what != NULL && strcmp(ar->what, "main") != 0 && ar->name != NULL)
        return snprintf(buffer, size, "%s:%d (%s)", ar->short_src, ar->currentline, ar->name);
    return snprintf(buffer, size, "%s:%d", ar->short_src, ar->currentline);
}
