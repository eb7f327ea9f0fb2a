/* A VM: the program it runs, and what is done to it. */
#include "races.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ljinspect.h"

static const char program[] = "function sum(n)\n"
                              "  local s = 0\n"
                              "  for i = 1, n do\n"
                              "    s = s + i\n" /* 4 */
                              "  end\n"
                              "  return s\n" /* 6 */
                              "end\n"
                              "function words(n, ...)\n"
                              "  local w = {...}\n" /* 9 */
                              "  for i = 1, n do w[#w + 1] = i end\n"
                              "  return table.concat(w, ',')\n" /* 11 */
                              "end\n"
                              "function fib(n)\n"
                              "  if n < 2 then return n end\n" /* 14 */
                              "  return fib(n - 1) + fib(n - 2)\n"
                              "end\n"
                              "function waits(n)\n"
                              "  local s = 0\n"
                              "  for i = 1, n do\n"
                              "    s = s + coroutine.yield(i)\n" /* 20 */
                              "  end\n"
                              "  return s\n"
                              "end\n"
                              "function all_waits(n)\n"
                              "  local co = coroutine.wrap(waits)\n"
                              "  co(n)\n"
                              "  for i = 2, n do co(10) end\n"
                              "  return co(10)\n"
                              "end\n";

static const struct {
    int line;
    const char *run; /* an expression that must be true */
    int hits;        /* of the line, while that runs */
} cases[] = {
    {4, "sum(150) == 11325", 150},   {6, "sum(60) == 1830", 1}, {9, "words(2, 'a', 'b') == 'a,b,1,2'", 1},
    {11, "words(1, 7) == '7,1'", 1}, {14, "fib(6) == 8", 25},   {20, "all_waits(5) == 50", 5},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Run a chunk; what it raises fails. */
static void run(lua_State *L, const char *code, const char *name) {
    if (luaL_loadbuffer(L, code, strlen(code), name) == 0 && lua_pcall(L, 0, 0, 0) == 0) return;
    failed("%s: %s", code, lua_tostring(L, -1));
}

static void run_case(lua_State *L, unsigned i) {
    char code[128];
    snprintf(code, sizeof code, "assert(%s)", cases[i].run);
    run(L, code, "=case");
}

void vm_check(lua_State *L) {
    for (unsigned i = 0; i < CASES; i++) run_case(L, i);
}

/* What hooks files, and filters, do wrong on purpose, and nothing else. */
static void check_message(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    static const char *const expected[] = {
        "on purpose",    " near '",      "not a regular file", "Is a directory",
        "refused: link", "No such file", "attempt to index",
    };
    (void)L, (void)userdata;
    if (level != LJINSPECT_ERROR) return;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (strstr(message, expected[i]) != NULL) return;
    }
    failed("logged: %s", message);
}

static int sleep_here(lua_State *L) {
    struct timespec t = {.tv_nsec = (long)(luaL_checknumber(L, 1) * 1e6)};
    nanosleep(&t, NULL);
    return 0;
}

void vm_open(vm_place *p, dice *d) {
    pthread_rwlock_rdlock(&in_lua);
    lua_State *L = luaL_newstate();
    CHECK(L != NULL, "no VM");
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_ljinspect);
    lua_setfield(L, -2, "ljinspect");
    lua_settop(L, 0);
    lua_pushcfunction(L, sleep_here);
    lua_setglobal(L, "sleep_here");
    CHECK(ljinspect_set_logger(L, check_message, NULL) == 0, "no logger");
    const char *const engines[] = {NULL, "line", "trap"};
    const char *engine = only_engine != NULL ? only_engine : engines[throw_dice(d, 3)];
    int error = ljinspect_set_engine(L, engine);
    CHECK(error == 0, "engine %s: %s", engine != NULL ? engine : "of choice", ljinspect_strerror(error));
    run(L, program, "@races.lua");
    p->L = L;
    p->watching = false;
    p->last_id = 0;
    pthread_rwlock_unlock(&in_lua);
    atomic_fetch_add(&total.vms, 1);
}

void vm_close(vm_place *p) {
    lua_close(p->L);
    p->L = NULL;
}

/* ---- Hooks ---- */

typedef struct counter {
    int hits, destroyed;
} counter;

static int count_hit(ljinspect_hit *hit, void *userdata) {
    (void)hit;
    ((counter *)userdata)->hits++;
    return LJINSPECT_KEEP;
}

static void count_destroyed(void *userdata) {
    ((counter *)userdata)->destroyed++;
}

/* No hit is lost, and none counted twice, whatever change of the hooks file comes between. */
static void set_counted(vm_place *p, unsigned with) {
    unsigned i = with % CASES;
    counter c = {0};
    const ljinspect_filter f = {
        .kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = &c, .destroy = count_destroyed, .lasting = 1};
    int64_t id = ljinspect_set_hook(p->L, "races.lua", cases[i].line, 0, &f);
    CHECK(id > 0, "a hook: %s", ljinspect_strerror((int)id));
    run_case(p->L, i);
    CHECK(c.hits == cases[i].hits, "line %d was hit %d times, not %d", cases[i].line, c.hits, cases[i].hits);
    int n = ljinspect_unset_id(p->L, id);
    CHECK(n == 1 && c.destroyed == 1, "hook unset: %d, destroyed: %d", n, c.destroyed);
    atomic_fetch_add(&total.hits, (unsigned long)c.hits);
}

static void set_lua(vm_place *p, unsigned with) {
    static const char *const filters[] = {"return function() return false end", "return function() end",
                                          "return function(info) return #info.finfo.source == 0 end",
                                          "return function() require('ljinspect').unset_all() return false end"};
    CHECK(luaL_dostring(p->L, filters[with % 4]) == 0, "%s", lua_tostring(p->L, -1));
    const ljinspect_filter f = {.kind = LJINSPECT_FILTER_LUA, .index = -1};
    p->last_id = ljinspect_set_hook(p->L, "races.lua", 1 + (int)(with / 4 % 29), 0, &f);
    CHECK(p->last_id > 0, "a hook: %s", ljinspect_strerror((int)p->last_id));
    lua_settop(p->L, 0);
}

static void set_table(vm_place *p, unsigned with) {
    ljinspect_hook_options o;
    char why[256] = "";
    CHECK(ljinspect_hook_options_init(&o, sizeof o) == 0, "options");
    const ljinspect_capture capture = {.what = LJINSPECT_CAPTURE_LOCALS | LJINSPECT_CAPTURE_VARARGS, .stack = 3};
    o.file = with % 5 == 0 ? "later.lua" : "races.lua";
    o.line = cases[with % CASES].line;
    o.log = "here";
    if (with % 2 != 0) o.capture = &capture;
    if (with % 3 != 0) o.sink_file = path_of("sink", with % 2);
    o.per_second = 100;
    if (with % 7 == 0) o.count = 1;
    o.interval = 0.01;
    p->last_id = ljinspect_set_hook_with(p->L, &o, why, sizeof why);
    CHECK(p->last_id > 0, "a hook: %s %s", ljinspect_strerror((int)p->last_id), why);
}

static void unset(vm_place *p, unsigned with) {
    int n = 0;
    if (with % 3 == 0)
        n = ljinspect_unset_all(p->L);
    else if (with % 3 == 1)
        n = ljinspect_unset_hook(p->L, "races.lua", 1 + (int)(with % 29));
    else if (p->last_id > 0)
        n = ljinspect_unset_id(p->L, p->last_id);
    CHECK(n >= 0, "hooks removed: %s", ljinspect_strerror(n));
}

static int visit(const ljinspect_hook_info *info, void *userdata) {
    *(size_t *)userdata += strlen(info->key);
    return 0;
}

static void list(vm_place *p, unsigned with) {
    size_t length = 0;
    ljinspect_status s;
    ljinspect_limits l = {.size = sizeof l};
    (void)with;
    CHECK(ljinspect_hooks(p->L, visit, &length) >= 0, "no listing");
    CHECK(ljinspect_get_status(p->L, &s) == 0 && s.hooks >= 0, "no status");
    CHECK(ljinspect_get_limits(p->L, &l) == 0, "no limits");
    l.filter_ms = 20 + with % 40;
    CHECK(ljinspect_set_limits(p->L, &l) == 0, "limits");
}

/* ---- Hooks files ---- */

static void watch(vm_place *p, unsigned with) {
    unsigned flags = 0;
    if (with % 5 == 0) flags |= LJINSPECT_WATCH_POLL;
    if (with % 3 == 0) flags |= LJINSPECT_WATCH_LATER;
    if (with % 7 == 0) flags |= LJINSPECT_WATCH_FORK;
    int error = ljinspect_watch(p->L, path_of("hooks.lua", with % FILES), 0.02, flags);
    CHECK(error == 0, "watching: %s", ljinspect_strerror(error));
    p->watching = true;
}

static void unwatch(vm_place *p, unsigned with) {
    (void)with;
    CHECK(ljinspect_unwatch(p->L) >= 0, "unwatch");
    p->watching = false;
}

static void poll(vm_place *p, unsigned with) {
    (void)with;
    int error = ljinspect_poll(p->L);
    CHECK(error >= 0 || error == LJINSPECT_ERR_HOOKSFILE || error == LJINSPECT_ERR_UNTRUSTED ||
              error == LJINSPECT_ERR_SYSTEM,
          "poll: %s", ljinspect_strerror(error));
}

void vm_converge(vm_place *p, unsigned round, history *h) {
    ljinspect_status s;
    char code[128];
    struct timespec started, now;
    CHECK(ljinspect_get_status(p->L, &s) == 0, "no status");
    CHECK(p->watching == (s.hooks_file != NULL), "watching: %d, but of the file %s", p->watching,
          s.hooks_file ? s.hooks_file : "none");
    if (!p->watching) return;
    note_choice(h, "converge", p->number, 0);
    snprintf(code, sizeof code, "for i = 1, 100 do sum(1) end local t for i = 1, 1000 do t = {i} end return last == %u",
             round);
    clock_gettime(CLOCK_MONOTONIC, &started);
    for (;;) {
        CHECK(luaL_dostring(p->L, code) == 0, "%s", lua_tostring(p->L, -1));
        bool same = lua_toboolean(p->L, -1);
        lua_settop(p->L, 0);
        if (same) break;
        clock_gettime(CLOCK_MONOTONIC, &now);
        CHECK(now.tv_sec - started.tv_sec < DEADLINE_S,
              "VM %u has not applied the last change of its hooks file; watcher: %s", p->number, s.watcher);
        sleep_here((lua_pushnumber(p->L, 1), p->L));
        lua_settop(p->L, 0);
    }
    atomic_fetch_add(&total.applied, 1);
}

/* ---- The program goes on ---- */

static void run_some(vm_place *p, unsigned with) {
    run_case(p->L, with % CASES);
}

static void run_busy(vm_place *p, unsigned with) {
    static const char *const loops[] = {
        "local s = 0 for i = 1, 3000 do s = s + sum(3) end assert(s == 18000)", /* calls, compiled */
        "local t for i = 1, 20000 do t = {i} end",                              /* collections */
        "local s = 0 for i = 1, 200000 do s = s + i % 3 end",                   /* neither */
        "jit.off() for i = 1, 300 do assert(fib(5) == 5) end jit.on()",         /* the interpreter */
        "jit.flush() assert(sum(100) == 5050)",
        "collectgarbage() assert(sum(100) == 5050)",
    };
    run(p->L, loops[with % 6], "=busy");
}

static void run_asleep(vm_place *p, unsigned with) {
    static const char *const naps[] = {"sleep_here(1)", "sleep_here(3) assert(sum(10) == 55)",
                                       "coroutine.wrap(function() sleep_here(2) sum(3) end)()"};
    run(p->L, naps[with % 3], "=asleep");
}

static void suspend(vm_place *p, unsigned with) {
    run(p->L,
        with % 4 == 0
            ? "kept = nil"
            : "kept = kept or {} local co = coroutine.create(waits) coroutine.resume(co, 3) kept[#kept + 1] = co",
        "=suspend");
}

/* The same file once more, or one for whose functions hooks may have been waiting. */
static void load_later(vm_place *p, unsigned with) {
    if (with % 2 == 0) return run(p->L, program, "@races.lua");
    CHECK(luaL_loadbuffer(p->L, program, sizeof program - 1, "@later.lua") == 0, "%s", lua_tostring(p->L, -1));
    lua_setglobal(p->L, "later");
    run(p->L, "local env = setmetatable({}, {__index = _G}) setfenv(later, env)() assert(env.sum(100) == 5050)",
        "=later");
}

static void attach(vm_place *p, unsigned with) {
    ljinspect_status s;
    const ljinspect_attach_options o = {.hooks_file = path_of("hooks.lua", with % FILES)};
    int error = ljinspect_attach(p->L, &o);
    CHECK(error == 0, "attach: %s", ljinspect_strerror(error));
    CHECK(ljinspect_get_status(p->L, &s) == 0, "no status");
    p->watching = s.hooks_file != NULL; /* a VM is attached to once; what it watches by itself it goes on watching */
}

static void reopen(vm_place *p, unsigned with) {
    (void)with;
    vm_close(p);
}

void vm_act(vm_place *p, dice *d, history *h) {
    static const struct {
        const char *name;
        void (*act)(vm_place *, unsigned);
        unsigned weight;
    } actions[] = {
        {"run", run_some, 10},   {"busy", run_busy, 8},    {"asleep", run_asleep, 4},
        {"suspend", suspend, 2}, {"later", load_later, 2}, {"counted", set_counted, 12},
        {"lua", set_lua, 6},     {"table", set_table, 5},  {"unset", unset, 6},
        {"list", list, 3},       {"watch", watch, 6},      {"unwatch", unwatch, 2},
        {"poll", poll, 3},       {"attach", attach, 1},    {"close", reopen, 2},
        {"fork", NULL, 1},
    };
    enum { N = sizeof actions / sizeof actions[0] };
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < N; k++) sum += actions[k].weight;
    unsigned at = throw_dice(d, sum), with = throw_dice(d, 1 << 20);
    while (at >= actions[i].weight) at -= actions[i++].weight;
    note_choice(h, actions[i].name, p->number, with);
    dice own = dice_of(with, at); /* as many throws whatever the VM's state is */
    if (p->L == NULL) vm_open(p, &own);
    if (actions[i].act == NULL) {
        fork_child(p, &own, h);
        return;
    }
    pthread_rwlock_rdlock(&in_lua);
    actions[i].act(p, with);
    pthread_rwlock_unlock(&in_lua);
}
