/*
 * Code of ours that may raise a Lua error, run so that the program notices nothing of it.
 */
#include "trap.h"

#include <ljinspect.h>

void trap_set_status(lua_State *L, uint8_t status) {
    ((uint8_t *)L)[VM_L_STATUS] = status;
}

/*
 * lua_cpcall() makes a function. Where there is no memory for that, LuaJIT looks whose frame it is in, and between two
 * instructions that is the program's own (lj_err.c, lj_err_mem): the message, and the top with it, goes to the frame's
 * end, where values may lie that are about to be returned or passed on. A frame that ends above the stack's limit
 * (trap_hit.c) is made a dummy, with the message in its first slot. But the program goes on in that frame.
 */
typedef struct kept_frame {
    ptrdiff_t end, top; /* from the base; where the message would go */
    uint64_t function, value;
} kept_frame;

/* False where the frame is none of a function in Lua: LuaJIT leaves it alone. */
static bool keep_frame(const trap_engine *e, lua_State *L, kept_frame *k) {
    const char *base = vm_base(L), *limit = vm_ptr(L, VM_L_MAXSTACK);
    k->function = vm_u64(base, -16);
    if (vm_type_of(k->function) != VM_TYPE_FUNC) return false;
    const vm_proto *pt = vm_func_proto(e->v.lay, (const void *)(uintptr_t)(k->function & VM_ADDRESS_MASK));
    if (pt == NULL) return false;
    k->end = (ptrdiff_t)8 * vm_u8(pt, VM_PT_FRAMESIZE);
    if (limit - base < k->end) k->end = 0;
    k->value = vm_u64(base, k->end);
    k->top = vm_top(L) - base;
    return true;
}

static void restore_frame(lua_State *L, const kept_frame *k) {
    char *base = vm_base(L);
    memcpy(base - 16, &k->function, sizeof(k->function));
    memcpy(base + k->end, &k->value, sizeof(k->value));
    vm_set_ptr(L, VM_L_TOP, base + k->top);
}

typedef struct protected_call {
    lua_CFunction body;
    void *job;
    bool begun;
} protected_call;

static int begin(lua_State *L) {
    protected_call *c = lua_touserdata(L, 1);
    c->begun = true;
    lua_settop(L, 0);
    lua_pushlightuserdata(L, c->job);
    return c->body(L);
}

int trap_protect(trap_engine *e, lua_State *L, lua_CFunction body, void *job) {
    protected_call c = {.body = body, .job = job};
    kept_frame kept;
    bool in_lua = keep_frame(e, L, &kept);
    bool was = trap_hush(e);
    uint8_t before = vm_u8(L, VM_L_STATUS);
    e->base.at_work++;
    int status = lua_cpcall(L, begin, &c);
    e->base.at_work--;
    trap_set_status(L, before);
    trap_unhush(e, was);
    if (status == 0) return 0;
    if (in_lua && !c.begun) {
        restore_frame(L, &kept);
        return LJINSPECT_ERR_NOMEM;
    }
    lua_pop(L, 1);
    return status == LUA_ERRMEM ? LJINSPECT_ERR_NOMEM : LJINSPECT_ERR_LUA;
}
