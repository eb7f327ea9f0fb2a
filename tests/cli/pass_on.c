/*
 * A program with two VMs: one that stays in a thread, one that goes from thread to thread, each of which lives for a
 * twentieth of a second. So a thread that is seen now was not there when somebody began to look. Ends when it is killed.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SPINS                                                                   \
    "function spins(seconds) local finish = os.clock() + seconds local n = 0\n" \
    "while os.clock() < finish do for i = 1, 1000 do n = n + i % 7 end end return n end\n"

static lua_State *new_vm(const char *name) {
    lua_State *L = luaL_newstate();
    if (L == NULL) abort();
    luaL_openlibs(L);
    if (luaL_loadbuffer(L, SPINS, sizeof(SPINS) - 1, name) != 0 || lua_pcall(L, 0, 0, 0) != 0) abort();
    return L;
}

/* os.clock() is that of all threads. */
static void spin(lua_State *L) {
    lua_getglobal(L, "spins");
    lua_pushnumber(L, 0.1);
    if (lua_pcall(L, 1, 0, 0) != 0) abort();
}

static void *once(void *L) {
    spin(L);
    return NULL;
}

static void *always(void *L) {
    for (;;) spin(L);
    return NULL;
}

int main(void) {
    pthread_t stays, passes;
    lua_State *one = new_vm("=stays"), *other = new_vm("=passes");
    if (pthread_create(&stays, NULL, always, one) != 0) return 1;
    puts(".");
    fflush(stdout);
    for (;;) {
        if (pthread_create(&passes, NULL, once, other) != 0 || pthread_join(passes, NULL) != 0) return 1;
    }
}
