/* A host of somebody else: host [MODULE-PATH]. With an argument, require "ljinspect" must give the linked library. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include <ljinspect.h>
#include <stdio.h>
#include <stdlib.h>

int hook_from_cpp(lua_State *L);

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static int see(ljinspect_hit *hit, void *userdata) {
    int *seen = (int *)userdata;
    CHECK(ljinspect_hit_local(hit, "answer") == 1);
    *seen = (int)lua_tointeger(ljinspect_hit_state(hit), -1);
    return LJINSPECT_KEEP;
}

static void run(lua_State *L, const char *code, const char *name) {
    if (luaL_loadbuffer(L, code, strlen(code), name) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
}

int main(int argc, char **argv) {
    int seen = 0;
    ljinspect_filter filter = {LJINSPECT_FILTER_C, see, NULL, NULL, 0, 0, 0};
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    CHECK(strcmp(ljinspect_version(), LJINSPECT_VERSION) == 0);
    filter.userdata = &seen;
    CHECK(ljinspect_set_hook(L, "outside.lua", 2, 0, &filter) > 0);
    run(L, "local answer = 42\nlocal after = answer\n", "@outside.lua");
    CHECK(seen == 42);
    if (argc > 1) {
        lua_getglobal(L, "package");
        lua_pushfstring(L, "%s/?.so", argv[1]);
        lua_setfield(L, -2, "cpath");
    } else {
        lua_getglobal(L, "package");
        lua_getfield(L, -1, "preload");
        lua_pushcfunction(L, luaopen_ljinspect);
        lua_setfield(L, -2, "ljinspect");
    }
    run(L, "local l = require 'ljinspect' assert(#l.hooks() == 1) assert(l._VERSION == l.status().version)", "=module");
    CHECK(ljinspect_unset_all(L) == 1);
    CHECK(hook_from_cpp(L) == 0);
    lua_close(L);
    puts("ok");
    return 0;
}
