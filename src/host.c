#include "host.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "raw_field.h"

/* nginx, ngx_process_cycle.h. */
enum { NGX_PROCESS_MASTER = 1, NGX_PROCESS_SIGNALLER = 2 };

/* nginx exports its symbols for its modules; NULL in any other program. `ngx_uint_t` is as wide as a pointer. */
static const uintptr_t *nginx_process(void) {
    union {
        void *object;
        const uintptr_t *process;
    } symbol = {.object = dlsym(RTLD_DEFAULT, "ngx_process")};
    return symbol.process;
}

/* Push ngx.get_phase; anything else where there is no such function. */
static void push_get_phase(lua_State *L) {
    raw_loaded(L, "_G");
    raw_field(L, "ngx");
    raw_field(L, "get_phase");
}

/* A request's phase is asked for in the very coroutine that serves it. Where there is no request the phase is "init". */
static bool in_service(lua_State *L) {
    lua_call(L, 0, 1);
    bool yes = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "init") != 0;
    lua_pop(L, 1);
    return yes;
}

bool host_ready(lua_State *L) {
    const uintptr_t *process = nginx_process();
    if (process != NULL && (*process == NGX_PROCESS_MASTER || *process == NGX_PROCESS_SIGNALLER)) return false;
    push_get_phase(L);
    if (lua_isfunction(L, -1)) return in_service(L);
    lua_pop(L, 1);
    return process == NULL; /* nginx, and its API is not there yet */
}
