/*
 * What a hit of a hook in table form costs, over the same line run by the interpreter without a hook, beside the filter
 * one would write by hand. CPU time of the thread; the variants run in alternation, each figure is the median of the
 * rounds, and the least of them, which other programs on the machine disturbed least. Then: how much of its speed a program
 * keeps that comes by a false condition 100,000 times a second.
 * Usage: bench_logpoints [ROUNDS [VARIANT]]
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"

enum { ROUNDS_MAX = 101 };

static const char program[] =
    "local function handler(i, name)\n"
    "    local a, b, c, d = i, name, true, 1.5\n"
    "    local e, f, g, h = 'e', 6, '7', 8\n"
    "    return i\n" /* line 4: ten locals */
    "end\n"
    "local tree = {1, 2, {x = 1, y = {z = 2}}, name = 'n', list = {'a', 'b', 'c'}}\n"
    "local function trees(i, name)\n"
    "    local a, b, c, d = tree, name, true, 1.5\n"
    "    local e, f, g, h = tree.list, 6, '7', 8\n"
    "    return i\n" /* line 10: ten locals, two of them tables */
    "end\n"
    "jit.off(handler)\n" /* interpreted with and without a hook */
    "jit.off(trees)\n"
    "local function run(n) local s = 0 for i = 1, n do s = s + handler(i, 'name') end return s end\n"
    "local function run_trees(n) local s = 0 for i = 1, n do s = s + trees(i, 'name') end return s end\n"
    "jit.off(run)\n"
    "jit.off(run_trees)\n"
    "-- 10 us of compiled work, then the line: 100,000 a second\n"
    "local function work(n)\n"
    "    local s = 0\n"
    "    for i = 1, n do s = (s * 31 + i) % 1000003 end\n"
    "    return s\n"
    "end\n"
    "local function busy(n, load)\n"
    "    local s = 0\n"
    "    for i = 1, n do\n"
    "        s = s + work(load) + handler(i, 'name')\n"
    "    end\n"
    "    return s\n"
    "end\n"
    "handle = handler\n"
    "return run, run_trees, busy, function(info) local v = info.vals\n"
    "    if v.i == -1 and v.name == 'x' then print(v.i) end\n"
    "    return false end\n";

enum { RUN = 1, RUN_TREES, BUSY, FILTER };

static int reject(ljinspect_hit *hit, void *userdata) {
    (void)hit, (void)userdata;
    return LJINSPECT_KEEP;
}

static double least(const double *list, int n) {
    double at = list[0];
    for (int i = 1; i < n; i++) at = list[i] < at ? list[i] : at;
    return at;
}

static char ring_file[] = "/tmp/ljinspect-bench.XXXXXX";

typedef struct variant {
    const char *name;
    int function, calls;
    enum { NONE, IN_C, IN_LUA, TABLE } kind;
    const char *condition, *log;
    ljinspect_capture capture;
    int sink; /* to the ring */
    const char *histogram;
    int returns; /* a hook on the returns of the handler, not on a line */
} variant;

static const variant variants[] = {
    {.name = "no hook, interpreted", .function = RUN, .calls = 200000},
    {.name = "C filter that rejects", .function = RUN, .calls = 200000, .kind = IN_C},
    {.name = "hand-written Lua filter, false over two locals", .function = RUN, .calls = 100000, .kind = IN_LUA},
    {.name = "condition false over two locals",
     .function = RUN,
     .calls = 200000,
     .kind = TABLE,
     .condition = "i == -1 and name == 'x'",
     .log = "{i}"},
    {.name = "condition false, with a method call",
     .function = RUN,
     .calls = 100000,
     .kind = TABLE,
     .condition = "name:find('x', 1, true)",
     .log = "{i}"},
    {.name = "log line of three values, to the ring",
     .function = RUN,
     .calls = 5000,
     .kind = TABLE,
     .log = "i={i} name={name} d={d}",
     .sink = 1},
    {.name = "snapshot of ten locals, depth 3, text, to the ring",
     .function = RUN_TREES,
     .calls = 2000,
     .kind = TABLE,
     .capture = {.what = LJINSPECT_CAPTURE_LOCALS},
     .sink = 1},
    {.name = "snapshot of ten locals, depth 3, JSON, to the ring",
     .function = RUN_TREES,
     .calls = 500,
     .kind = TABLE,
     .capture = {.what = LJINSPECT_CAPTURE_LOCALS | LJINSPECT_CAPTURE_JSON},
     .sink = 1},
    {.name = "return: C filter that rejects", .function = RUN, .calls = 200000, .kind = TABLE, .returns = 1},
    {.name = "return: condition false over the duration and a local",
     .function = RUN,
     .calls = 200000,
     .kind = TABLE,
     .condition = "name == 'x' and duration_us > 1e9",
     .log = "{i}",
     .returns = 1},
    {.name = "return: condition false over the first value",
     .function = RUN,
     .calls = 200000,
     .kind = TABLE,
     .condition = "returns[1] == -1",
     .log = "{i}",
     .returns = 1},
    {.name = "return: histogram of durations",
     .function = RUN,
     .calls = 200000,
     .kind = TABLE,
     .histogram = "duration_us",
     .returns = 1},
    {.name = "return: log line of value and duration, to the ring",
     .function = RUN,
     .calls = 5000,
     .kind = TABLE,
     .log = "{returns[1]} after {duration_us} us",
     .sink = 1,
     .returns = 1},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static void set(lua_State *L, const variant *v) {
    const ljinspect_filter in_c = {.kind = LJINSPECT_FILTER_C, .call = reject};
    const ljinspect_filter in_lua = {.kind = LJINSPECT_FILTER_LUA, .index = FILTER};
    char why[256] = "";
    ljinspect_hook_options o;
    int64_t id = 1;
    int line = v->function == RUN_TREES ? 10 : 4;
    ljinspect_hook_options_init(&o, sizeof o);
    if (v->returns) {
        o.function = "handle";
        o.at = LJINSPECT_AT_RETURN;
        o.histogram = v->histogram;
        o.interval = 86400;
    } else {
        o.file = "handler.lua";
        o.line = line;
    }
    if (v->returns && v->condition == NULL && v->histogram == NULL && v->log == NULL) o.filter = &in_c;
    o.condition = v->condition;
    o.log = v->log;
    o.budget = 0;
    if (v->capture.what != 0) o.capture = &v->capture;
    if (v->sink) o.sink_file = ring_file;
    if (v->kind == IN_C) id = ljinspect_set_hook(L, "handler.lua", line, 0, &in_c);
    if (v->kind == IN_LUA) id = ljinspect_set_hook(L, "handler.lua", line, 0, &in_lua);
    if (v->kind == TABLE) id = ljinspect_set_hook_with(L, &o, why, sizeof why);
    if (id > 0) return;
    fprintf(stderr, "%s: %s\n", v->name, why);
    exit(1);
}

typedef struct seen {
    uint64_t hits, matched, dropped, errors;
} seen;

static int look(const ljinspect_hook_info *info, void *userdata) {
    *(seen *)userdata = (seen){info->hits, info->matched, info->dropped, info->errors};
    return 0;
}

/* ns per call. */
static double measure(lua_State *L, const variant *v) {
    double ns = 0;
    seen s = {0};
    for (int pass = 0; pass < 2; pass++) {
        set(L, v);
        lua_pushvalue(L, v->function);
        lua_pushinteger(L, pass == 0 ? v->calls / 10 : v->calls);
        int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        lua_call(L, 1, 0);
        ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / v->calls;
        if (v->kind != NONE && ljinspect_hooks(L, look, &s) != 1) exit(1);
        ljinspect_unset_all(L);
    }
    /* what was measured must have been what the name says */
    if (v->kind != NONE && (s.hits != (uint64_t)v->calls || s.errors != 0 || s.dropped != 0 ||
                            (v->condition != NULL) != (s.matched == 0))) {
        fprintf(stderr, "%s: %llu hits, %llu matched, %llu dropped, %llu errors\n", v->name, (unsigned long long)s.hits,
                (unsigned long long)s.matched, (unsigned long long)s.dropped, (unsigned long long)s.errors);
        exit(1);
    }
    return ns;
}

/* CPU time of `n` rounds of work and one call of the handler each. */
static double busy(lua_State *L, int n, int load) {
    lua_pushvalue(L, BUSY);
    lua_pushinteger(L, n);
    lua_pushinteger(L, load);
    int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    lua_call(L, 2, 0);
    return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / n;
}

static void keep_speed(lua_State *L, int rounds) {
    static double without[ROUNDS_MAX], with[ROUNDS_MAX];
    enum { N = 20000 };
    int load = 1000;
    for (int i = 0; i < 4; i++) load = (int)(load * 10000 / busy(L, N, load)) + 1; /* 10 us a round */
    for (int r = 0; r < rounds; r++) {
        busy(L, N, load);
        without[r] = busy(L, N, load);
        set(L, &variants[3]);
        busy(L, N, load);
        with[r] = busy(L, N, load);
        ljinspect_unset_all(L);
    }
    double a = median(without, rounds), b = median(with, rounds);
    double a0 = least(without, rounds), b0 = least(with, rounds);
    printf("\nA false condition in a program that comes by it every %.2f us: %.2f us with the hook, %.1f %% of the "
           "speed; least %.2f and %.2f us, %.1f %%\n",
           a / 1000, b / 1000, a / b * 100, a0 / 1000, b0 / 1000, a0 / b0 * 100);
}

int main(int argc, char **argv) {
    static double times[VARIANTS][ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : 9;
    int only = argc > 2 ? atoi(argv[2]) : -1;
    if (rounds < 1 || rounds > ROUNDS_MAX) return 1;
    int fd = mkstemp(ring_file);
    if (fd < 0) return 1;
    close(fd);

    lua_State *L = luaL_newstate();
    if (L == NULL) return 1;
    luaL_openlibs(L);
    if (luaL_loadbuffer(L, program, sizeof program - 1, "@handler.lua") != 0) return 1;
    lua_call(L, 0, 4);
    ljinspect_status status;
    if (ljinspect_get_status(L, &status) != 0) return 1;
    bool no_returns = strcmp(status.engine, "trap") != 0;
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < VARIANTS; i++)
            if ((only < 0 || i == only || i == 0) && !(variants[i].returns && no_returns)) {
                times[i][r] = measure(L, &variants[i]);
                if (variants[i].sink) usleep(100000); /* the ring empties */
            }
    printf("\nOne hit of a hook in table form, engine %s, %d rounds\n  %-55s %10s %12s %10s %12s\n", status.engine,
           rounds, "", "ns/call", "over no hook", "least", "over no hook");
    for (int i = 0; i < VARIANTS; i++) {
        if (times[i][0] <= 0) continue;
        double ns = median(times[i], rounds), min = least(times[i], rounds);
        printf("  %-55s %10.1f %12.1f %10.1f %12.1f\n", variants[i].name, ns, ns - median(times[0], rounds), min,
               min - least(times[0], rounds));
    }
    if (only < 0) keep_speed(L, rounds);
    lua_close(L);
    remove(ring_file);
    return 0;
}
