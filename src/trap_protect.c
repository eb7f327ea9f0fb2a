/*
 * Code of ours that may raise a Lua error, run so that the program notices nothing of it.
 */
#include "trap.h"

#include <ljinspect.h>

void trap_set_status(lua_State *L, uint8_t status) {
    ((uint8_t *)L)[VM_L_STATUS] = status;
}

int trap_protect(trap_engine *e, lua_State *L, lua_CFunction body, void *job) {
    bool was = trap_hush(e);
    uint8_t before = vm_u8(L, VM_L_STATUS);
    e->base.at_work++;
    int status = lua_cpcall(L, body, job);
    e->base.at_work--;
    trap_set_status(L, before);
    trap_unhush(e, was);
    if (status == 0) return 0;
    lua_pop(L, 1);
    return status == LUA_ERRMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_LUA;
}
