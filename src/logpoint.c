#include "logpoint.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "logpoint_data.h"
#include "template.h"
#include "ticks.h"

/* ---- Making one ---- */

static void wrong(logpoint_error *error, const char *format, const char *what) {
    error->code = LJINSPECT_ERR_ARGUMENT;
    snprintf(error->text, sizeof error->text, format, what);
}

static bool no_memory(logpoint_error *error) {
    error->code = LJINSPECT_ERR_NOMEM;
    snprintf(error->text, sizeof error->text, "%s", ljinspect_strerror(error->code));
    return false;
}

static void wrong_expression(logpoint_error *error, const char *field, size_t offset, const expr_error *e) {
    error->code = e->code;
    if (e->code != LJINSPECT_ERR_ARGUMENT) {
        snprintf(error->text, sizeof error->text, "%s", ljinspect_strerror(e->code));
        return;
    }
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
    expr_error e = {.code = LJINSPECT_ERR_ARGUMENT};
    const char *why;
    if (text == NULL) return true;
    p->template = strdup(text);
    if (p->template == NULL) return no_memory(error);
    int n = template_split(p->template, strlen(p->template), parts, TEMPLATE_PARTS_MAX, &why, &e.at);
    if (n < 0) {
        snprintf(e.text, sizeof e.text, "%s", why);
        wrong_expression(error, "log", 0, &e);
        return false;
    }
    p->parts = calloc((size_t)n + 1, sizeof *p->parts);
    if (p->parts == NULL) return no_memory(error);
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
    if (p->histogram == NULL) return no_memory(error);
    if (expr_compile(c, L, p->histogram, strlen(p->histogram), &p->names, &p->values, &e)) return true;
    wrong_expression(error, "histogram", 0, &e);
    return false;
}

static bool take_limits(logpoint *p, context *c, const ljinspect_hook_options *asked, logpoint_error *error) {
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
    if (p->expires != 0 && (c->next_expiry == 0 || p->expires < c->next_expiry)) c->next_expiry = p->expires;
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
    p->file = sink_open(&c->sinks, asked->sink_file, &reason);
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
    p->names.at_return = asked->at == LJINSPECT_AT_RETURN;
    if (p->names.at_return && asked->function != NULL) {
        p->function = strdup(asked->function);
        if (p->function == NULL) return no_memory(error);
    }
    if (asked->tag != NULL) {
        p->tag = strdup(asked->tag);
        if (p->tag == NULL) return no_memory(error);
    }
    return take_condition(p, c, L, asked->condition, error) && take_template(p, c, L, asked->log, error) &&
           take_tally(p, c, L, asked, error) && take_limits(p, c, asked, error) &&
           take_sink(p, c, L, asked, sink_at, error);
}

logpoint *logpoint_new(context *c, lua_State *L, const ljinspect_hook_options *asked, int sink_at, logpoint **half,
                       logpoint_error *error) {
    logpoint *p = calloc(1, sizeof *p);
    if (p == NULL) return no_memory(error), NULL;
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
    resolve_forget(&p->names, c);
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
    free(p->function);
    free(p);
}

void logpoint_abandon(logpoint *p, context *c) {
    p->destroy = NULL;
    logpoint_free(p, c);
}

const char *logpoint_tag(const logpoint *p) {
    return p->tag;
}

void logpoint_only(logpoint *p, context *c, lua_State *L) {
    p->only = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    p->only_ref = context_ref(c, L);
}
