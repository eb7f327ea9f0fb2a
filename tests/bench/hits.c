/*
 * What one hit costs, over the same line run by the interpreter without a hook. CPU time of the thread; the variants
 * run in alternation, each figure is the median of the rounds. Usage: bench_hits [ROUNDS [VARIANT]]
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"

enum { CALLS = 200000, ROUNDS_MAX = 101 };

static const char program[] =
    "local function handler(a, b)\n"
    "    local c = a + b\n"
    "    local d, e = c * 2, c * 3\n"
    "    local text = 'x'\n"
    "    return c\n" /* line 5: five locals and two parameters are active */
    "end\n"
    "jit.off(handler)\n" /* interpreted with and without a hook */
    "local function run(n) local s = 0 for i = 1, n do s = s + handler(i, 1) end return s end\n"
    "jit.off(run)\n"
    "return run, handler\n";

static const char filters[] = "local function nothing() return false end\n"
                              "local function one(info) local v = info.vals.text return false end\n"
                              "local function all(info)\n"
                              "    local f, v, u, va = info.finfo, info.vals, info.uv, info.varargs\n"
                              "    return not (f.currentline == 5 and v.text == 'x' and v.e and u and va) end\n"
                              "return nothing, one, all\n";

static int reject(ljinspect_hit *hit, void *userdata) {
    (void)hit, (void)userdata;
    return LJINSPECT_KEEP;
}

static int read_local(ljinspect_hit *hit, void *userdata) {
    (void)userdata;
    ljinspect_hit_local(hit, "text");
    return LJINSPECT_KEEP;
}

/* Stack of L: run, handler, nothing, one, all. ns per call of `handler`. */
static double measure(lua_State *L, const ljinspect_filter *filter, int elsewhere) {
    for (int i = 1; i <= elsewhere; i++)
        if (ljinspect_set_hook(L, "elsewhere.lua", i, 0, filter) < 0) exit(1);
    if (filter != NULL && ljinspect_set_hook(L, "handler.lua", 5, 0, filter) < 0) exit(1);
    double ns = 0;
    for (int pass = 0; pass < 2; pass++) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, pass == 0 ? CALLS / 10 : CALLS);
        int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        lua_call(L, 1, 0);
        ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / CALLS;
    }
    int set = ljinspect_unset_all(L);
    if (set != elsewhere + (filter != NULL)) {
        fprintf(stderr, "a filter did not keep its hook\n");
        exit(1);
    }
    return ns;
}

int main(int argc, char **argv) {
    static const ljinspect_filter in_c = {.kind = LJINSPECT_FILTER_C, .call = reject};
    static const ljinspect_filter reads = {.kind = LJINSPECT_FILTER_C, .call = read_local};
    static const ljinspect_filter lua_nothing = {.kind = LJINSPECT_FILTER_LUA, .index = 3};
    static const ljinspect_filter lua_one = {.kind = LJINSPECT_FILTER_LUA, .index = 4};
    static const ljinspect_filter lua_all = {.kind = LJINSPECT_FILTER_LUA, .index = 5};
    static const struct {
        const char *name;
        const ljinspect_filter *filter;
        int elsewhere;
    } variants[] = {
        {"no hook, interpreted", NULL, 0},
        {"C filter that rejects", &in_c, 0},
        {"C filter that rejects, 1,000 hooks elsewhere", &in_c, 1000},
        {"C filter reading one local", &reads, 0},
        {"Lua filter that looks at nothing", &lua_nothing, 0},
        {"Lua filter reading one local", &lua_one, 0},
        {"Lua filter reading finfo, vals, uv and varargs", &lua_all, 0},
    };
    enum { VARIANTS = sizeof variants / sizeof variants[0] };
    static double times[VARIANTS][ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : 9;
    int only = argc > 2 ? atoi(argv[2]) : -1;
    if (rounds < 1 || rounds > ROUNDS_MAX) return 1;

    lua_State *L = luaL_newstate();
    if (L == NULL) return 1;
    luaL_openlibs(L);
    if (luaL_loadbuffer(L, program, sizeof program - 1, "@handler.lua") != 0) return 1;
    lua_call(L, 0, 2);
    if (luaL_loadbuffer(L, filters, sizeof filters - 1, "@filters.lua") != 0) return 1;
    lua_call(L, 0, 3);
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < VARIANTS; i++)
            if (only < 0 || i == only || i == 0) times[i][r] = measure(L, variants[i].filter, variants[i].elsewhere);
    ljinspect_status status;
    if (ljinspect_get_status(L, &status) != 0) return 1;
    printf("\nOne hit, engine %s, %d rounds of %d hits\n  %-50s %10s %12s\n", status.engine, rounds, CALLS, "",
           "ns/call", "over no hook");
    for (int i = 0; i < VARIANTS; i++) {
        qsort(times[i], (size_t)rounds, sizeof times[i][0], by_size);
        double median = times[i][rounds / 2];
        if (median == 0) continue;
        printf("  %-50s %10.1f %12.1f\n", variants[i].name, median, median - times[0][rounds / 2]);
    }
    lua_close(L);
    return 0;
}
