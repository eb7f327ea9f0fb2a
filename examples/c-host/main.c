/*
 * A C program that embeds LuaJIT and looks into a hot Lua function with a filter in C.
 *
 * Usage: c-host path/to/workload.lua
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <time.h>

#include <ljinspect.h>

enum { HOOKED_LINE = 5, ORDERS = 20000000, HITS_WANTED = 3 };

typedef struct report {
    int hits; /* orders that were of interest */
} report;

/* The filter: runs on each arrival at the line. What it does not ask for costs nothing. */
static int on_price(ljinspect_hit *hit, void *userdata) {
    report *r = userdata;
    lua_State *L = ljinspect_hit_state(hit);

    /* Only orders with a discount are of interest. */
    if (!ljinspect_hit_local(hit, "discount")) return LJINSPECT_REMOVE;
    lua_Number discount = lua_tonumber(L, -1);
    if (discount == 0) return LJINSPECT_KEEP;

    lua_Number amount = ljinspect_hit_local(hit, "amount") ? lua_tonumber(L, -1) : -1;
    lua_Debug ar = {0};
    char name[128] = "?";
    if (ljinspect_hit_frame(hit, "nSl", &ar)) ljinspect_getname(L, &ar, name, sizeof name);
    printf("    %s: amount = %g, discount = %g\n", name, amount, discount);

    return ++r->hits < HITS_WANTED ? LJINSPECT_KEEP : LJINSPECT_REMOVE;
}

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Call run(ORDERS), print how fast that was, and put its result into *sum. 0, or 1 after a message. */
static int run(lua_State *L, const char *what, double *sum) {
    double start = seconds();
    lua_getglobal(L, "run");
    lua_pushinteger(L, ORDERS);
    if (lua_pcall(L, 1, 1, 0) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    *sum = lua_tonumber(L, -1);
    lua_pop(L, 1);
    printf("%-24s %8.1f million orders/s, result %.0f\n", what, ORDERS / (seconds() - start) / 1e6, *sum);
    return 0;
}

int main(int argc, char **argv) {
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = on_price, .userdata = &(report){0}};
    const report *r = filter.userdata;
    double before = 0, during = 0, after = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s path/to/workload.lua\n", argv[0]);
        return 2;
    }
    lua_State *L = luaL_newstate();
    if (L == NULL) return 1;
    luaL_openlibs(L);
    int failed = luaL_dofile(L, argv[1]);
    if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));

    if (!failed) failed = run(L, "before", &before);
    if (!failed) {
        int64_t id = ljinspect_set_hook(L, "/workload.lua", HOOKED_LINE, 0, &filter);
        if (id < 0) {
            fprintf(stderr, "ljinspect_set_hook: %s\n", ljinspect_strerror((int)id));
            failed = 1;
        }
    }
    if (!failed) failed = run(L, "with the hook, 3 hits", &during);
    if (!failed) failed = run(L, "after", &after);
    lua_close(L);

    if (!failed && (r->hits != HITS_WANTED || during != before || after != before)) {
        fprintf(stderr, "expected %d hits and the same result each time\n", HITS_WANTED);
        failed = 1;
    }
    return failed ? 1 : 0;
}
