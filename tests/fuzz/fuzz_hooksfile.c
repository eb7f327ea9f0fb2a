/* Bytes: a hooks file. It is applied to a VM as a whole or not at all, and the program goes on as before either way. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../include/ljinspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L;
    (void)level;
    (void)userdata;
    if (strncmp(message, "ljinspect: ", 11) != 0) abort();
}

static char path[] = "/tmp/ljinspect-fuzz.XXXXXX/hooks.lua";

static void remove_file(void) {
    unlink(path);
    path[26] = '\0';
    rmdir(path);
}

static const char *file(void) {
    static bool made;
    if (!made) {
        path[26] = '\0';
        if (mkdtemp(path) == NULL || atexit(remove_file) != 0) abort();
        path[26] = '/';
        made = true;
    }
    return path;
}

static void write_file(const uint8_t *bytes, size_t size) {
    FILE *f = fopen(file(), "wb");
    if (f == NULL || fwrite(bytes, 1, size, f) != size || fclose(f) != 0 || chmod(file(), 0600) != 0) abort();
}

/* What a hooks file may call here ends soon and touches nothing outside. */
static lua_State *new_vm(void) {
    static const char *const out[] = {"dofile", "loadfile", "print", "collectgarbage", "load", "loadstring"};
    lua_State *L = luaL_newstate();
    if (L == NULL) abort();
    lua_pushcfunction(L, luaopen_base);
    lua_pushliteral(L, "");
    lua_call(L, 1, 0);
    lua_pushcfunction(L, luaopen_package);
    lua_pushliteral(L, "package");
    lua_call(L, 1, 0);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_ljinspect);
    lua_setfield(L, -2, "ljinspect");
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        lua_pushnil(L);
        lua_setglobal(L, out[i]);
    }
    lua_pushnil(L);
    lua_setglobal(L, "package");
    ljinspect_set_logger(L, no_log, NULL);
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char good[] = "require('ljinspect').set_hook('app.lua', 2, nil, function() return false end)";
    lua_State *L = new_vm();
    if (luaL_loadstring(L, "return function(n)\nlocal m = n * 2\nreturn m\nend") != 0) abort();
    lua_call(L, 0, 1);
    write_file((const uint8_t *)good, sizeof good - 1);
    if (ljinspect_watch(L, file(), 0, LJINSPECT_WATCH_POLL | LJINSPECT_WATCH_INSECURE) < 0) abort();
    if (ljinspect_hooks(L, NULL, NULL) != 1) abort();
    unlink(file());
    write_file(bytes, size);
    int applied = ljinspect_poll(L);
    if (applied < 0 && ljinspect_hooks(L, NULL, NULL) != 1) abort();
    lua_pushinteger(L, 21);
    if (lua_pcall(L, 1, 1, 0) != 0 || lua_tointeger(L, -1) != 42) abort();
    lua_close(L);
    return 0;
}
