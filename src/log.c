#include "log.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "pipe_guard.h"
#include "raw_field.h"
#include "utf8.h"

static const char prefix[] = "ljinspect: ";

const char *log_level_name(enum ljinspect_level level) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level >= LJINSPECT_DEBUG && level <= LJINSPECT_ERROR ? level : LJINSPECT_ERROR];
}

const char *log_error_text(lua_State *L, char *buffer, size_t size) {
    if (lua_type(L, -1) == LUA_TSTRING) return lua_tostring(L, -1);
    snprintf(buffer, size, "(error object is a %s value)", luaL_typename(L, -1));
    return buffer;
}

/* Copy `in` to `out` (room for 4 bytes per byte, and a NUL) with control characters, and bytes that are no UTF-8, escaped
 * as in C. */
static void escape(char *out, const char *in) {
    const unsigned char *p = (const unsigned char *)in;
    for (size_t left = strlen(in), len; left > 0; p += len, left -= len) {
        len = utf8_shown(p, left);
        if (len > 0) {
            memcpy(out, p, len);
            out += len;
            continue;
        }
        len = 1;
        if (*p == '\n') {
            *out++ = '\\';
            *out++ = 'n';
        } else if (*p == '\t') {
            *out++ = ' ';
        } else {
            out += sprintf(out, "\\x%02x", (unsigned)*p);
        }
    }
    *out = '\0';
}

typedef struct message {
    enum ljinspect_level level;
    const char *text;
    bool delivered;
} message;

/* Push the table `ngx` if there is one with a function `log`, which is pushed above it: a global of the coroutine, one of
 * the program, or a loaded module. */
static bool push_ngx(lua_State *L) {
    enum { OF_COROUTINE, OF_PROGRAM, MODULE, PLACES };
    for (int place = OF_COROUTINE; place < PLACES; place++) {
        lua_settop(L, 0);
        if (place == OF_COROUTINE)
            lua_pushvalue(L, LUA_GLOBALSINDEX);
        else
            raw_loaded(L, place == OF_PROGRAM ? "_G" : "ngx");
        if (place != MODULE) raw_field(L, "ngx");
        lua_pushvalue(L, -1);
        raw_field(L, "log");
        if (lua_isfunction(L, -1)) return true;
    }
    lua_settop(L, 0);
    return false;
}

static void to_sink(lua_State *L, context *c, void *arg) {
    message *m = arg;
    if (c->logger != NULL) {
        c->logger(L, m->level, m->text, c->logger_data);
        m->delivered = true;
    } else if (push_ngx(L)) {
        /* ngx_http_lua_log.c, ngx_http_lua_inject_log_consts: ERR is 4, DEBUG is 8. */
        static const struct {
            const char *name;
            int value;
        } levels[] = {{"DEBUG", 8}, {"INFO", 7}, {"WARN", 5}, {"ERR", 4}};
        int log = lua_gettop(L), ngx = log - 1;
        lua_pushvalue(L, log);
        lua_pushstring(L, levels[m->level].name);
        lua_rawget(L, ngx);
        if (!lua_isnumber(L, -1)) {
            lua_pop(L, 1);
            lua_pushinteger(L, levels[m->level].value);
        }
        lua_pushstring(L, m->text);
        lua_call(L, 2, 0);
        m->delivered = true;
    }
}

/* One write, so that lines of several threads do not mix. */
static void to_stderr(const message *m) {
    pipe_guard guard;
    pipe_guard_begin(&guard);
    fprintf(stderr, "%s\n", m->text);
    pipe_guard_end(&guard);
}

void log_message(context *c, lua_State *L, enum ljinspect_level level, const char *format, ...) {
    char fixed[512], small[sizeof prefix + 4 * sizeof fixed];
    char *raw = fixed, *text = small;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(fixed, sizeof fixed, format, args);
    va_end(args);
    if (n < 0) return;
    if ((size_t)n >= sizeof fixed) {
        raw = malloc((size_t)n + 1);
        text = malloc(sizeof prefix + 4 * ((size_t)n + 1));
        if (raw != NULL && text != NULL) {
            va_start(args, format);
            vsnprintf(raw, (size_t)n + 1, format, args);
            va_end(args);
        } else { /* no memory: the beginning must do */
            free(raw);
            free(text);
            raw = fixed;
            text = small;
        }
    }
    memcpy(text, prefix, sizeof prefix - 1);
    escape(text + sizeof prefix - 1, raw);
    message m = {.level = level, .text = text};
    if (!c->logging) {
        c->logging = true;
        if (context_call(c, L, to_sink, &m, 0) != 0) lua_pop(L, 1);
        c->logging = false;
    }
    if (!m.delivered) to_stderr(&m);
    if (text != small) free(text);
    if (raw != fixed) free(raw);
}
