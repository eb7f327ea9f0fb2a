/* What a hook in table form does at a hit. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "log.h"
#include "logpoint.h"
#include "logpoint_data.h"
#include "ticks.h"
#include "time_limit.h"

/* ---- Which hits ---- */

/* xorshift64* */
static bool in_sample(logpoint *p) {
    if (p->sample == UINT64_MAX) return true;
    p->random ^= p->random >> 12;
    p->random ^= p->random << 25;
    p->random ^= p->random >> 27;
    return p->random * UINT64_C(0x2545f4914f6cdd1d) < p->sample;
}

static bool within_rate(logpoint *p, uint64_t now) {
    if (p->per_window == 0) return true;
    if (ticks_between(p->window, now) >= p->window_ticks) {
        p->window = now;
        p->in_window = 0;
    }
    if (p->in_window == p->per_window) return false;
    p->in_window++;
    return true;
}

/* The text of the error on top of the stack, without the place in our own chunk. */
static const char *error_text(lua_State *L, char *buffer, size_t size) {
    static const char place[] = "expression:";
    const char *text = log_error_text(L, buffer, size);
    const char *past = strncmp(text, place, sizeof place - 1) == 0 ? strstr(text, ": ") : NULL;
    return past != NULL ? past + 2 : text;
}

/* Outside of a protected call: allocates nothing in Lua. */
void logpoint_failed(logpoint *p, context *c, lua_State *L, hook *h) {
    char buffer[LOG_ERROR_TEXT];
    bool *logged = p->in_condition ? &p->condition_failed : &p->show_failed;
    h->errors++;
    if (!*logged)
        log_message(c, L, LJINSPECT_ERROR, "%s: %s; not logged again: %s", h->key,
                    p->in_condition ? "error in condition, which counts as false" : "hit could not be shown",
                    error_text(L, buffer, sizeof buffer));
    *logged = true;
    h->dropped += !p->in_condition;
    p->in_condition = false;
}

static bool holds(logpoint *p, ljinspect_hit *hit, const resolve_frame *f) {
    if (p->held) return true;
    p->in_condition = true;
    expr_eval(&p->condition, &p->names, f);
    p->in_condition = false;
    bool it_does = lua_toboolean(hit->L, -1);
    lua_pop(hit->L, 1);
    return it_does;
}

/* ---- What is shown of them ---- */

static void put_part(logpoint *p, ljinspect_hit *hit, const resolve_frame *f, const part *from, outbuf *o) {
    lua_State *L = hit->L;
    int top = lua_gettop(L);
    if (!from->expression) {
        out_line(o, from->text, from->len);
    } else if (expr_try(&from->expr, &p->names, f) == 0) {
        render r = {.L = L, .out = o, .limits = &p->snapshot.limits, .masks = &p->snapshot.masks};
        render_plain(&r, -1);
    } else {
        char buffer[LOG_ERROR_TEXT];
        const char *text = error_text(L, buffer, sizeof buffer);
        hit->hook->errors++;
        out_text(o, "<error: ");
        out_line(o, text, out_utf8_cut(text, strlen(text), (size_t)p->snapshot.limits.string));
        out_char(o, '>');
    }
    lua_settop(L, top);
}

/* Whose line it is. */
typedef struct whereabouts {
    context *context;
    lua_State *L;
    hook *hook;
} whereabouts;

static void sink_failed(logpoint *p, const whereabouts *w, const char *why) {
    w->hook->errors++;
    w->hook->dropped++;
    if (p->sink_failed) return;
    p->sink_failed = true;
    log_message(w->context, w->L, LJINSPECT_ERROR, "%s: error in sink, line lost; not logged again: %s", w->hook->key,
                why);
}

/* Call the user's function with the line. It has a time limit of its own, whatever the expressions took. */
static void call_sink(logpoint *p, const whereabouts *w, const char *line, size_t len) {
    lua_State *L = w->L;
    int top = lua_gettop(L);
    luaL_checkstack(L, 6, "no room for a sink");
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->sink_ref);
    lua_pushlstring(L, line, len);
    lua_pushstring(L, log_level_name(p->level));
    lua_pushstring(L, w->hook->key);
    time_limit_begin_anew(w->context, L, w->context->time_limit.filter_ms);
    if (lua_pcall(L, 3, 0, 0) != 0) {
        char buffer[LOG_ERROR_TEXT];
        time_limit_end(w->context, L);
        sink_failed(p, w, error_text(L, buffer, sizeof buffer));
    }
    lua_settop(L, top);
}

static void to_file(logpoint *p, const whereabouts *w, const outbuf *line) {
    int reason = sink_error(p->file);
    if (reason != 0) {
        time_limit_end(w->context, w->L);
        log_message(w->context, w->L, LJINSPECT_ERROR, "%s: sink %s: %s", w->hook->key, sink_path(p->file),
                    strerror(reason));
    }
    if (!sink_write(p->file, line->data, line->len)) w->hook->dropped++;
}

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What stands before the text of a line that is not JSON. */
static void put_prefix(const logpoint *p, const whereabouts *w, long long us, outbuf *o) {
    if (p->sink_ref != LUA_NOREF || p->call != NULL) return;
    if (p->file != NULL) {
        out_time(o, us);
        out_char(o, ' ');
        out_text(o, log_level_name(p->level));
        out_char(o, ' ');
    }
    out_word(o, w->hook->key);
    if (p->tag != NULL) {
        out_text(o, " [");
        out_line(o, p->tag, strlen(p->tag));
        out_char(o, ']');
    }
    out_text(o, ": ");
}

static void deliver(logpoint *p, const whereabouts *w, outbuf *line) {
    const char *text = out_terminate(line);
    if (text == NULL) {
        sink_failed(p, w, "no memory for the line");
    } else if (p->file != NULL) {
        to_file(p, w, line);
    } else if (p->sink_ref != LUA_NOREF) {
        call_sink(p, w, text, line->len);
    } else {
        time_limit_end(w->context, w->L);
        if (p->call != NULL)
            p->call(w->L, p->level, text, line->len, p->userdata);
        else
            log_message(w->context, w->L, p->level, "%s", text);
    }
}

static bool is_json(const logpoint *p) {
    return (p->snapshot.what & LJINSPECT_CAPTURE_JSON) != 0;
}

static void show(logpoint *p, ljinspect_hit *hit, const resolve_frame *f) {
    context *c = hit->context;
    bool pictures = p->snapshot.what != 0 || p->snapshot.stack > 0;
    bool json = is_json(p);
    if (p->template == NULL && !pictures) return;
    long long us = p->file != NULL || json ? now_us() : 0;
    const whereabouts w = {.context = c, .L = hit->L, .hook = hit->hook};
    outbuf *line = &c->line, *message = json ? &c->message : line;
    out_clear(line);
    out_clear(&c->message);
    if (!json) put_prefix(p, &w, us, line);
    for (int i = 0; i < p->n_parts; i++) put_part(p, hit, f, &p->parts[i], message);
    line->failed = line->failed || c->message.failed;
    if (pictures) {
        const snapshot_head head = {.tag = p->tag,
                                    .message = json && p->template != NULL ? c->message.data : NULL,
                                    .message_len = c->message.len,
                                    .level = p->level,
                                    .us = us,
                                    .function = p->function};
        if ((p->snapshot.what & LJINSPECT_CAPTURE_TOSTRING) != 0) time_limit_begin(c, hit->L);
        snapshot_render(&p->snapshot, hit, &head, line);
    }
    deliver(p, &w, line);
}

/* ---- Counting ---- */

/* Log the summary. */
static void summarize(logpoint *p, const whereabouts *w, uint64_t now) {
    outbuf *line = &w->context->line;
    long long us = p->file != NULL || is_json(p) ? now_us() : 0;
    out_clear(line);
    if (is_json(p)) {
        const snapshot_head head = {.tag = p->tag, .level = p->level, .us = us};
        snapshot_put_head(&head, w->hook, line);
        out_text(line, ",\"summary\":{");
        tally_json(&p->tally, now, p->histogram, line);
        out_text(line, "}}");
    } else {
        put_prefix(p, w, us, line);
        tally_summary(&p->tally, now, p->histogram, line);
    }
    tally_begin(&p->tally, now);
    deliver(p, w, line);
}

static void count(logpoint *p, ljinspect_hit *hit, const resolve_frame *f) {
    lua_State *L = hit->L;
    uint64_t now = hit->context->hit_start;
    const whereabouts w = {.context = hit->context, .L = L, .hook = hit->hook};
    if (p->tally.interval == 0) return;
    if (tally_due(&p->tally, now)) summarize(p, &w, now);
    tally_hit(&p->tally, now);
    if (p->histogram == NULL) return;
    bool ok = expr_try(&p->values, &p->names, f) == 0;
    bool counted = ok && lua_type(L, -1) == LUA_TNUMBER && tally_value(&p->tally, lua_tonumber(L, -1));
    const engine_return *leaving = hit->context->engine->leaving;
    bool unknown = ok && lua_isnil(L, -1) && leaving != NULL && !leaving->timed; /* a duration that is not known */
    if (!counted && !unknown) hit->hook->errors++;
    lua_pop(L, 1);
}

/* The hook goes: what was counted since the last summary. */
static logpoint_verdict leave(logpoint *p, ljinspect_hit *hit, logpoint_verdict verdict) {
    const whereabouts w = {.context = hit->context, .L = hit->L, .hook = hit->hook};
    if (p->tally.hits > 0) summarize(p, &w, ticks_now());
    return verdict;
}

/* ---- What is due without a hit ---- */

static bool is_over(const logpoint *p, uint64_t now) {
    return p->expires != 0 && now >= p->expires;
}

static bool is_due(const logpoint *p, uint64_t now) {
    return p != NULL && (is_over(p, now) || tally_due(&p->tally, now));
}

static void expire(context *c, lua_State *L, hook *h) {
    log_message(c, L, LJINSPECT_INFO, "%s: hook expired", h->key);
    context_remove(c, L, c->hooks, h);
}

static void tend(lua_State *L, context *c, void *arg) {
    const hook_table *t = arg;
    uint64_t now = ticks_now();
    for (hook *h = hooks_first(t); h != NULL; h = hooks_next(h)) {
        logpoint *p = ((filter *)h->filter)->logpoint;
        const whereabouts w = {.context = c, .L = L, .hook = h};
        if (!is_due(p, now)) continue;
        if (p->tally.hits > 0) summarize(p, &w, now);
        if (!h->removed && is_over(p, now)) expire(c, L, h);
    }
}

/* Not from within a hit, which uses the same room for its line. What a sink does meanwhile is no hit, either. */
void logpoint_tend(context *c, lua_State *L) {
    hook_table *t = c->hooks;
    bool due = false;
    uint64_t now = ticks_now();
    if (c->in_hit) return;
    for (hook *h = hooks_first(t); h != NULL && !due; h = hooks_next(h))
        due = is_due(((filter *)h->filter)->logpoint, now);
    if (due) {
        c->in_hit = true;
        hooks_pin(t);
        if (context_call(c, L, tend, t, 0) != 0) lua_pop(L, 1); /* no memory: the next time */
        hooks_unpin(t);
        c->in_hit = false;
    }
    c->next_expiry = 0;
    for (hook *h = hooks_first(c->hooks); h != NULL; h = hooks_next(h)) {
        const logpoint *p = ((filter *)h->filter)->logpoint;
        if (p != NULL && p->expires != 0 && (c->next_expiry == 0 || p->expires < c->next_expiry))
            c->next_expiry = p->expires;
    }
}

/* ---- The whole ---- */

/* Whether the hit is of the function that is meant. */
static bool is_meant(const logpoint *p, ljinspect_hit *hit, resolve_frame *f) {
    const void *function = hit->context->engine->function;
    if (p->only == NULL) return true;
    if (function != NULL) return function == p->only;
    lua_Debug ar = hit->frame;
    lua_getinfo(hit->L, "f", &ar);
    f->function = lua_gettop(hit->L);
    return lua_topointer(hit->L, -1) == p->only;
}

bool logpoint_rejects(logpoint *p, context *c, lua_State *L, const hook *h) {
    const engine *e = c->engine;
    p->held = false;
    if (!p->conditional || p->expires != 0 || p->sample != UINT64_MAX) return false;
    if (p->only != NULL && e->function != p->only) return false;
    int it_does = expr_quick(&p->condition, &p->names, c, L);
    p->held = it_does > 0;
    return it_does == 0 && !h->removed;
}

logpoint_verdict logpoint_hit(logpoint *p, ljinspect_hit *hit) {
    context *c = hit->context;
    hook *h = hit->hook;
    resolve_frame f = {.context = c, .L = hit->L, .frame = &hit->frame};
    if (!is_meant(p, hit, &f)) {
        h->hits--;
        return LOGPOINT_PASS;
    }
    if (is_over(p, c->hit_start)) {
        log_message(c, hit->L, LJINSPECT_INFO, "%s: hook expired", h->key);
        return leave(p, hit, LOGPOINT_OVER);
    }
    if (!in_sample(p)) return LOGPOINT_PASS;
    resolve_prepare(&p->names, &f);
    if (p->conditional && !holds(p, hit, &f)) return LOGPOINT_PASS;
    h->matched++;
    if (!within_rate(p, c->hit_start)) {
        h->dropped++;
        return LOGPOINT_PASS;
    }
    count(p, hit, &f);
    show(p, hit, &f);
    if (p->left > 0 && --p->left == 0) return leave(p, hit, LOGPOINT_LAST);
    return LOGPOINT_MATCH;
}
