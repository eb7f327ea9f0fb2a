#include "logpoint.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "expr.h"
#include "log.h"
#include "sink.h"
#include "snapshot.h"
#include "tally.h"
#include "template.h"
#include "ticks.h"
#include "time_limit.h"

typedef struct part {
    const char *text; /* in the template */
    size_t len;
    bool expression;
    expr expr;
} part;

struct logpoint {
    resolver names;
    bool conditional;
    expr condition;
    bool in_condition;     /* it is being evaluated */
    bool condition_failed; /* it has raised an error, which was logged */
    char *template;        /* NULL: none */
    part *parts;
    int n_parts;
    snapshot_options snapshot;
    enum ljinspect_level level;
    char *tag;
    /* limits */
    uint64_t left; /* hits until the last; 0: no end */
    uint64_t expires;
    uint64_t sample; /* a random number below it takes part; UINT64_MAX: all do */
    uint64_t random;
    uint64_t window, window_ticks; /* per_second */
    unsigned in_window, per_window;
    tally tally;
    char *histogram; /* the expression's text; NULL: none */
    expr values;
    int only_ref;     /* a function: hits of others do not count; LUA_NOREF: none */
    const void *only; /* its address */
    /* where lines go */
    sink *file;
    ljinspect_sink_fn call;
    void *userdata;
    ljinspect_destroy_fn destroy;
    int sink_ref; /* a Lua function */
    bool sink_failed;
};

/* ---- Making one ---- */

static void wrong(logpoint_error *error, const char *format, const char *what) {
    error->code = LJINSPECT_ERR_ARGUMENT;
    snprintf(error->text, sizeof error->text, format, what);
}

static void wrong_expression(logpoint_error *error, const char *field, size_t offset, const expr_error *e) {
    error->code = LJINSPECT_ERR_ARGUMENT;
    snprintf(error->text, sizeof error->text, "%s, column %zu: %s", field, offset + e->at + 1, e->text);
}

static bool take_condition(logpoint *p, context *c, lua_State *L, const char *text, logpoint_error *error) {
    expr_error e;
    if (text == NULL) return true;
    p->conditional = true;
    if (expr_compile(c, L, text, strlen(text), &p->names, &p->condition, &e)) return true;
    wrong_expression(error, "condition", 0, &e);
    return false;
}

static bool take_template(logpoint *p, context *c, lua_State *L, const char *text, logpoint_error *error) {
    template_part parts[TEMPLATE_PARTS_MAX];
    expr_error e = {.at = 0};
    const char *why;
    if (text == NULL) return true;
    p->template = strdup(text);
    if (p->template == NULL) luaL_error(L, "not enough memory");
    int n = template_split(p->template, strlen(p->template), parts, TEMPLATE_PARTS_MAX, &why, &e.at);
    if (n < 0) {
        snprintf(e.text, sizeof e.text, "%s", why);
        wrong_expression(error, "log", 0, &e);
        return false;
    }
    p->parts = calloc((size_t)n + 1, sizeof *p->parts);
    if (p->parts == NULL) luaL_error(L, "not enough memory");
    for (int i = 0; i < n; i++) {
        part *to = &p->parts[p->n_parts];
        *to = (part){.text = parts[i].text, .len = parts[i].len, .expression = parts[i].expression};
        expr_init(&to->expr);
        p->n_parts++;
        if (!to->expression || expr_compile(c, L, to->text, to->len, &p->names, &to->expr, &e)) continue;
        wrong_expression(error, "log", (size_t)(to->text - p->template), &e);
        return false;
    }
    return true;
}

static bool take_tally(logpoint *p, context *c, lua_State *L, const ljinspect_hook_options *asked,
                       logpoint_error *error) {
    expr_error e;
    if (asked->count == 0 && asked->histogram == NULL) return true;
    if (!(asked->interval >= 0.01 && asked->interval <= 86400))
        return wrong(error, "%s: 0.01 to 86400 seconds expected", "interval"), false;
    p->tally.interval = (uint64_t)(asked->interval * (double)ticks_per_second());
    if (asked->histogram == NULL) return true;
    p->histogram = strdup(asked->histogram);
    if (p->histogram == NULL) luaL_error(L, "not enough memory");
    if (expr_compile(c, L, p->histogram, strlen(p->histogram), &p->names, &p->values, &e)) return true;
    wrong_expression(error, "histogram", 0, &e);
    return false;
}

static bool take_limits(logpoint *p, const ljinspect_hook_options *asked, logpoint_error *error) {
    double second = (double)ticks_per_second();
    if (asked->hits < 0) return wrong(error, "%s: a whole number from 1 expected", "hits"), false;
    if (!(asked->per_second >= 0 && asked->per_second <= 1e6))
        return wrong(error, "%s: a number above 0, at most 1000000, expected", "per_second"), false;
    if (!(asked->expires >= 0 && asked->expires <= 1e8))
        return wrong(error, "%s: a number of seconds above 0, at most 100000000, expected", "expires"), false;
    if (!(asked->sample > 0 && asked->sample <= 1))
        return wrong(error, "%s: a number above 0, at most 1, expected", "sample"), false;
    p->left = (uint64_t)asked->hits;
    if (asked->expires > 0) p->expires = ticks_now() + (uint64_t)(asked->expires * second);
    p->sample = asked->sample < 1 ? (uint64_t)ldexp(asked->sample, 63) * 2 : UINT64_MAX;
    p->random = ticks_now() ^ (uint64_t)(uintptr_t)p ^ UINT64_C(0x9e3779b97f4a7c15);
    if (asked->per_second > 0) {
        p->per_window = asked->per_second >= 1 ? (unsigned)asked->per_second : 1;
        p->window_ticks = (uint64_t)(second * (double)p->per_window / asked->per_second);
    }
    return true;
}

static bool take_sink(logpoint *p, context *c, lua_State *L, const ljinspect_hook_options *asked, int sink_at,
                      logpoint_error *error) {
    int reason = 0;
    p->call = asked->sink;
    p->userdata = asked->sink_data;
    if (sink_at != 0) {
        lua_pushvalue(L, sink_at);
        p->sink_ref = context_ref(c, L);
    }
    if (asked->sink_file == NULL) return true;
    if (asked->sink_file[0] != '/') return wrong(error, "%s: an absolute path expected", "sink"), false;
    p->file = sink_open(&c->sinks, asked->sink_file, (p->snapshot.what & LJINSPECT_CAPTURE_JSON) != 0, &reason);
    if (p->file != NULL) return true;
    wrong(error, "sink: %s", strerror(reason));
    error->code = reason == ENOMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_SYSTEM;
    return false;
}

/* All but the first allocation. */
static bool fill(logpoint *p, context *c, lua_State *L, const ljinspect_hook_options *asked, int sink_at,
                 logpoint_error *error) {
    const char *why = "not enough memory";
    error->code = snapshot_read(&p->snapshot, asked->capture, &why);
    if (error->code != 0) {
        snprintf(error->text, sizeof error->text, "%s", why);
        return false;
    }
    if ((int)asked->level < LJINSPECT_DEBUG || (int)asked->level > LJINSPECT_ERROR)
        return wrong(error, "%s: debug, info, warn or error expected", "level"), false;
    p->level = asked->level;
    if (asked->tag != NULL) {
        p->tag = strdup(asked->tag);
        if (p->tag == NULL) luaL_error(L, "not enough memory");
    }
    return take_condition(p, c, L, asked->condition, error) && take_template(p, c, L, asked->log, error) &&
           take_tally(p, c, L, asked, error) && take_limits(p, asked, error) &&
           take_sink(p, c, L, asked, sink_at, error);
}

logpoint *logpoint_new(context *c, lua_State *L, const ljinspect_hook_options *asked, int sink_at, logpoint **half,
                       logpoint_error *error) {
    logpoint *p = calloc(1, sizeof *p);
    if (p == NULL) luaL_error(L, "not enough memory");
    *half = p;
    p->sink_ref = p->only_ref = LUA_NOREF;
    expr_init(&p->condition);
    expr_init(&p->values);
    if (!fill(p, c, L, asked, sink_at, error)) return NULL;
    p->destroy = asked->sink_destroy; /* not called where setting the hook fails */
    *half = NULL;
    return p;
}

void logpoint_free(logpoint *p, context *c) {
    if (p->names.slot != 0) {
        lua_rawgeti(c->anchor, LUA_REGISTRYINDEX, c->weak_ref);
        lua_pushnil(c->anchor);
        lua_rawseti(c->anchor, -2, p->names.slot);
        lua_pop(c->anchor, 1);
    }
    expr_free(c, &p->condition);
    expr_free(c, &p->values);
    context_unref(c, p->only_ref);
    for (int i = 0; i < p->n_parts; i++) expr_free(c, &p->parts[i].expr);
    resolve_free(&p->names);
    snapshot_free(&p->snapshot);
    if (p->file != NULL) sink_close(&c->sinks, p->file, c->closing);
    context_unref(c, p->sink_ref);
    if (p->destroy != NULL) p->destroy(p->userdata);
    free(p->parts);
    free(p->template);
    free(p->histogram);
    free(p->tag);
    free(p);
}

void logpoint_abandon(logpoint *p, context *c) {
    p->destroy = NULL;
    logpoint_free(p, c);
}

const char *logpoint_tag(const logpoint *p) {
    return p->tag;
}

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
static const char *error_text(lua_State *L) {
    static const char place[] = "expression:";
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (text == NULL) text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, -1));
    const char *past = strncmp(text, place, sizeof place - 1) == 0 ? strstr(text, ": ") : NULL;
    return past != NULL ? past + 2 : text;
}

void logpoint_condition_failed(logpoint *p, context *c, lua_State *L, hook *h) {
    h->errors++;
    p->in_condition = false;
    if (p->condition_failed) return;
    p->condition_failed = true;
    log_message(c, L, LJINSPECT_ERROR, "%s: error in condition, which counts as false; not logged again: %s", h->key,
                error_text(L));
}

bool logpoint_in_condition(const logpoint *p) {
    return p->in_condition;
}

static bool holds(logpoint *p, ljinspect_hit *hit, const resolve_frame *f) {
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
        const char *text = error_text(L);
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

/* Call the user's function with the line. */
static void call_sink(logpoint *p, const whereabouts *w, const char *line, size_t len) {
    lua_State *L = w->L;
    int top = lua_gettop(L);
    luaL_checkstack(L, 6, "no room for a sink");
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->sink_ref);
    lua_pushlstring(L, line, len);
    lua_pushstring(L, log_level_name(p->level));
    lua_pushstring(L, w->hook->key);
    time_limit_begin(w->context, L);
    if (lua_pcall(L, 3, 0, 0) != 0) {
        const char *why = error_text(L);
        time_limit_end(w->context, L);
        sink_failed(p, w, why);
    }
    lua_settop(L, top);
}

static void to_file(logpoint *p, const whereabouts *w, const outbuf *line) {
    int reason = sink_error(p->file);
    if (reason != 0)
        log_message(w->context, w->L, LJINSPECT_ERROR, "%s: sink %s: %s", w->hook->key, sink_path(p->file),
                    strerror(reason));
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
    out_text(o, w->hook->key);
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

static void show(logpoint *p, ljinspect_hit *hit, const resolve_frame *f) {
    context *c = hit->context;
    bool pictures = p->snapshot.what != 0 || p->snapshot.stack > 0;
    bool json = (p->snapshot.what & LJINSPECT_CAPTURE_JSON) != 0;
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
                                    .us = us};
        if ((p->snapshot.what & LJINSPECT_CAPTURE_TOSTRING) != 0) time_limit_begin(c, hit->L);
        snapshot_render(&p->snapshot, hit, &head, line);
    }
    deliver(p, &w, line);
}

/* ---- Counting ---- */

/* Log the summary. */
static void summarize(logpoint *p, const whereabouts *w, uint64_t now) {
    outbuf *line = &w->context->line;
    out_clear(line);
    put_prefix(p, w, p->file != NULL ? now_us() : 0, line);
    tally_summary(&p->tally, now, p->histogram, line);
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
    bool counted = expr_try(&p->values, &p->names, f) == 0 && lua_type(L, -1) == LUA_TNUMBER &&
                   tally_value(&p->tally, lua_tonumber(L, -1));
    if (!counted) hit->hook->errors++;
    lua_pop(L, 1);
}

/* The hook goes: what was counted since the last summary. */
static logpoint_verdict leave(logpoint *p, ljinspect_hit *hit, logpoint_verdict verdict) {
    const whereabouts w = {.context = hit->context, .L = hit->L, .hook = hit->hook};
    if (p->tally.hits > 0) summarize(p, &w, ticks_now());
    return verdict;
}

static void summarize_due(lua_State *L, context *c, void *arg) {
    hook_table *t = arg;
    uint64_t now = ticks_now();
    for (hook *h = hooks_first(t); h != NULL; h = hooks_next(h)) {
        logpoint *p = ((filter *)h->filter)->logpoint;
        const whereabouts w = {.context = c, .L = L, .hook = h};
        if (p != NULL && tally_due(&p->tally, now)) summarize(p, &w, now);
    }
}

/* Not from within a hit, which uses the same room for its line. */
void logpoint_summaries(context *c, lua_State *L) {
    hook_table *t = c->hooks;
    bool due = false;
    uint64_t now = ticks_now();
    for (hook *h = hooks_first(t); h != NULL && !due; h = hooks_next(h)) {
        const logpoint *p = ((filter *)h->filter)->logpoint;
        due = p != NULL && tally_due(&p->tally, now);
    }
    if (!due || c->in_hit) return;
    hooks_pin(t);
    if (context_call(c, L, summarize_due, t, 0) != 0) lua_pop(L, 1);
    hooks_unpin(t);
}

void logpoint_only(logpoint *p, context *c, lua_State *L) {
    p->only = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    p->only_ref = context_ref(c, L);
}

/* Whether the hit is of the function that is meant. */
static bool is_meant(const logpoint *p, ljinspect_hit *hit, resolve_frame *f) {
    if (p->only == NULL) return true;
    lua_Debug ar = hit->frame;
    lua_getinfo(hit->L, "f", &ar);
    f->function = lua_gettop(hit->L);
    return lua_topointer(hit->L, -1) == p->only;
}

logpoint_verdict logpoint_hit(logpoint *p, ljinspect_hit *hit) {
    context *c = hit->context;
    hook *h = hit->hook;
    resolve_frame f = {.context = c, .L = hit->L, .frame = &hit->frame};
    if (!is_meant(p, hit, &f)) {
        h->hits--;
        return LOGPOINT_PASS;
    }
    if (p->expires != 0 && c->hit_start >= p->expires) {
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
