/* What the tests with a Lua VM share: VMs, a log that is kept, temporary directories, deadlines. */
#ifndef LJINSPECT_TEST_SUPPORT_H
#define LJINSPECT_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sanitizers.h"
#include <cmocka.h>

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>

#include "ljinspect.h"

#define UNUSED __attribute__((unused))

/* Where everything takes thirty times as long (tests/run.sh). */
UNUSED static bool under_valgrind(void) {
    return getenv("LJINSPECT_VALGRIND") != NULL;
}

/* How long a test waits for what is to come. */
#define DEADLINE_MS (under_valgrind() ? 300000 : 20000)

UNUSED static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

UNUSED static void sleep_ms(long ms) {
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) != 0) {
    }
}

/* ---- Log ---- */

typedef struct test_log {
    int messages;
    int at_level[4];
    size_t len;
    char text[1 << 16]; /* "level message\n" each; what does not fit is dropped */
} test_log;

UNUSED static void keep_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    test_log *log = userdata;
    (void)L;
    log->messages++;
    log->at_level[level]++;
    int n = snprintf(log->text + log->len, sizeof log->text - log->len, "%d %s\n", (int)level, message);
    if (n > 0 && (size_t)n < sizeof log->text - log->len) log->len += (size_t)n;
    log->text[log->len] = '\0';
}

UNUSED static void forget_log(test_log *log) {
    *log = (test_log){0};
}

#define assert_logged(log, part)                                                                         \
    do {                                                                                                 \
        if (strstr((log)->text, (part)) == NULL) fail_msg("no \"%s\" in log:\n%s", (part), (log)->text); \
    } while (0)
#define assert_not_logged(log, part)                                                                  \
    do {                                                                                              \
        if (strstr((log)->text, (part)) != NULL) fail_msg("\"%s\" in log:\n%s", (part), (log)->text); \
    } while (0)

/* ---- VMs ---- */

/* A VM with all libraries, `ljinspect` a global and loaded module; `log` (may be NULL) gets its messages. */
UNUSED static lua_State *new_vm(test_log *log) {
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushcfunction(L, luaopen_ljinspect);
    lua_call(L, 0, 1);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "ljinspect");
    lua_setfield(L, -2, "ljinspect");
    lua_settop(L, 0);
    if (log != NULL) {
        forget_log(log);
        assert_int_equal(ljinspect_set_logger(L, keep_log, log), 0);
    }
    return L;
}

UNUSED static void load_named(lua_State *L, const char *code, const char *chunk_name) {
    if (luaL_loadbuffer(L, code, strlen(code), chunk_name) != 0) fail_msg("%s", lua_tostring(L, -1));
}

UNUSED static void call_top(lua_State *L, int nresults) {
    if (lua_pcall(L, 0, nresults, 0) != 0)
        fail_msg("%s", lua_tostring(L, -1) != NULL ? lua_tostring(L, -1) : luaL_typename(L, -1));
}

/* Run a chunk; an error fails the test. */
UNUSED static void run_named(lua_State *L, const char *code, const char *chunk_name) {
    load_named(L, code, chunk_name);
    call_top(L, 0);
}

UNUSED static void run(lua_State *L, const char *code) {
    run_named(L, code, "@test.lua");
}

/* The number that `return <expression>` gives. */
UNUSED static double number(lua_State *L, const char *expression) {
    lua_pushfstring(L, "return %s", expression);
    load_named(L, lua_tostring(L, -1), "=expression");
    call_top(L, 1);
    if (!lua_isnumber(L, -1) && !lua_isboolean(L, -1)) fail_msg("%s is a %s", expression, luaL_typename(L, -1));
    double n = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : lua_tonumber(L, -1);
    lua_pop(L, 2);
    return n;
}

/* Engines differ in what they do to the compiler and in whose turn comes first; tests say so where it matters. */
UNUSED static bool engine_is(lua_State *L, const char *name) {
    ljinspect_status s;
    assert_int_equal(ljinspect_get_status(L, &s), 0);
    return strcmp(s.engine, name) == 0;
}

#define assert_lua(L, expression)                                                 \
    do {                                                                          \
        if (number((L), (expression)) == 0) fail_msg("not true: %s", expression); \
    } while (0)

/* The line of `code` that holds `mark`. */
UNUSED static int line_of(const char *code, const char *mark) {
    const char *at = strstr(code, mark);
    if (at == NULL) fail_msg("no %s in:\n%s", mark, code);
    int line = 1;
    for (; code < at; code++) line += *code == '\n';
    return line;
}

/* ---- Filters ---- */

typedef struct counter {
    int hits;
    int destroyed;
    int keep_for; /* remove at this hit; 0: keep for ever */
} counter;

UNUSED static int count_hit(ljinspect_hit *hit, void *userdata) {
    counter *c = userdata;
    (void)hit;
    c->hits++;
    return c->keep_for != 0 && c->hits >= c->keep_for ? LJINSPECT_REMOVE : LJINSPECT_KEEP;
}

UNUSED static void count_destroyed(void *userdata) {
    ((counter *)userdata)->destroyed++;
}

UNUSED static int64_t hook_counter(lua_State *L, const char *file, int line, counter *c) {
    const ljinspect_filter f = {
        .kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = c, .destroy = count_destroyed};
    return ljinspect_set_hook(L, file, line, 0, &f);
}

/* ---- Files ---- */

typedef struct test_dir {
    char path[PATH_MAX];
} test_dir;

UNUSED static void make_test_dir(test_dir *d) {
    const char *base = getenv("TMPDIR");
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/ljinspect-test.XXXXXX", base != NULL && base[0] == '/' ? base : "/tmp");
    assert_non_null(mkdtemp(name));
    assert_non_null(realpath(name, d->path));
}

UNUSED static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

UNUSED static void remove_test_dir(const test_dir *d) {
    nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* `name` in the directory. Four results are valid at a time. */
UNUSED static const char *in_dir(const test_dir *d, const char *name) {
    static _Thread_local char paths[4][2 * PATH_MAX];
    static _Thread_local int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", d->path, name);
    return path;
}

UNUSED static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, 0644), 0);
    close(fd);
}

#endif
