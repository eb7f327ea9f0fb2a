/*
 * What the JIT compiler does to functions and slots, tried out on the scratch VM.
 */
#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <sys/mman.h>

#include "vm_learn.h"

static bool single_bit(unsigned bits) {
    return bits != 0 && (bits & (bits - 1)) == 0;
}

/*
 * A hot loop of a function with the JIT off: the loop instruction is replaced by its non-counting twin and the function
 * marked (lj_trace.c: trace_start). This shows both bits, and that the twins are what we take them for.
 */
static bool learn_flags(lua_State *S, vm_layout *lay) {
    if (luaL_loadstring(S, "local x = 0 for i = 1, 300 do x = x + i end return x") != 0) return false;
    vm_proto *pt = vm_func_proto(lay, lua_topointer(S, -1));
    unsigned before = vm_u8(pt, VM_PT_FLAGS);
    if (!luaJIT_setmode(S, -1, LUAJIT_MODE_FUNC | LUAJIT_MODE_OFF)) return false;
    lay->flag_nojit = (uint8_t)(vm_u8(pt, VM_PT_FLAGS) ^ before);
    if (!single_bit(lay->flag_nojit)) return false;
    lua_pushvalue(S, -1);
    if (lua_pcall(S, 0, 0, 0) != 0) return false;
    lay->flag_iloop = (uint8_t)(vm_u8(pt, VM_PT_FLAGS) ^ before ^ lay->flag_nojit);
    if (!single_bit(lay->flag_iloop)) return false;
    for (uint32_t i = 1; i < vm_proto_size(pt); i++) {
        if (VM_INS_OP(vm_proto_code(pt)[i]) == lay->number[VM_FORL]) return false;
        if (VM_INS_OP(vm_proto_code(pt)[i]) == lay->number[VM_IFORL]) return true;
    }
    return false;
}

/* string.len is bytecode that only the built-in library has (lib_string.c): header, ISTYPE, LEN, RET1. */
static bool check_builtin(lua_State *S, vm_layout *lay) {
    lua_getfield(S, -1, "len");
    vm_proto *pt = vm_func_proto(lay, lua_topointer(S, -1));
    bool ok = pt != NULL && vm_proto_size(pt) == 4 && VM_INS_OP(vm_proto_code(pt)[1]) == lay->number[VM_ISTYPE] &&
              VM_INS_OP(vm_proto_code(pt)[2]) == lay->number[VM_LEN];
    lua_pop(S, 1);
    return ok;
}

static int no_handler(lua_State *S) {
    (void)S;
    return 0;
}

/* lib_jit.c: jit.attach. The table jit is on the top of the stack, which stays. */
static bool learn_event(lua_State *S, vm_layout *lay, const char *event, int *index, const char **why) {
    const char *g = vm_ptr(S, VM_L_GLREF);
    int top = lua_gettop(S);
    lua_getfield(S, -1, "attach");
    lua_pushcfunction(S, no_handler);
    lua_pushstring(S, event);
    *why = "new functions are not announced: the compiler's events are compiled out (LUAJIT_DISABLE_VMEVENT)";
    if (lua_pcall(S, 2, 0, 0) != 0) return false;
    *why = "the handlers of the compiler's events were not found";
    lay->g_vmevmask = lay->g_dispatchmode + 1;
    lua_getfield(S, LUA_REGISTRYINDEX, VM_EVENTS_KEY);
    if (!lua_istable(S, -1) || vm_u8(g, lay->g_vmevmask) != VM_EVENTS_UNKNOWN) return false;
    for (lua_pushnil(S); lua_next(S, -2) != 0; lua_pop(S, 1)) {
        if (lua_tocfunction(S, -1) == no_handler && lua_type(S, -2) == LUA_TNUMBER) *index = (int)lua_tointeger(S, -2);
    }
    lua_pushnil(S);
    lua_rawseti(S, -2, *index);
    lua_settop(S, top);
    return *index != 0;
}

/*
 * Where the kernel refuses to make memory executable, LuaJIT ends the process (lj_mcode.c: mcode_protfail): ask first,
 * in the way it does. A host there has its JIT off, so there is no compiled code to know either.
 */
static bool may_compile(void) {
    const size_t size = 65536;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return false;
    bool ok = mprotect(p, size, PROT_READ | PROT_EXEC) == 0 && mprotect(p, size, PROT_READ | PROT_WRITE) == 0;
    munmap(p, size);
    return ok;
}

bool vm_learn_jit(lua_State *S, vm_layout *lay, const char **why) {
    const uintptr_t *dispatch = (const uintptr_t *)(void *)((char *)vm_ptr(S, VM_L_GLREF) + lay->g_dispatch);

    *why = "the string library is not the one we know";
    lua_pushcfunction(S, luaopen_string);
    lua_pushliteral(S, "string");
    lua_call(S, 1, 1);
    if (!check_builtin(S, lay)) return false;
    lua_getfield(S, -1, "dump");
    lay->string_dump = lua_tocfunction(S, -1);
    if (lay->string_dump == NULL || vm_ptr(lua_topointer(S, -1), VM_FUNC_F) != (void *)(uintptr_t)lay->string_dump) {
        return false;
    }
    lua_settop(S, 0);

    *why = "without the JIT the loops do not run as their non-counting twins";
    static const uint8_t twins[][2] = {{VM_FORL, VM_IFORL}, {VM_ITERL, VM_IITERL}, {VM_LOOP, VM_ILOOP}};
    for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i++) {
        if (lay->handler[lay->number[twins[i][0]]] != lay->handler[lay->number[twins[i][1]]]) return false;
    }
    if (lay->func_handler[0][0] != lay->func_handler[0][1] || lay->func_handler[0][3] != lay->func_handler[0][4]) {
        return false;
    }

    *why = "the jit library was not found";
    lua_pushcfunction(S, luaopen_jit);
    lua_pushliteral(S, "jit");
    lua_call(S, 1, 0);
    lua_getfield(S, LUA_REGISTRYINDEX, "_LOADED");
    if (lua_istable(S, -1)) lua_getfield(S, -1, "jit");
    if (!lua_istable(S, -1) || !learn_event(S, lay, "bc", &lay->bc_event, why)) return false;
    static const char *const names[] = {"on", "off"};
    lua_CFunction *const switches[] = {&lay->jit_on, &lay->jit_off};
    for (size_t i = 0; i < 2; i++) {
        lua_getfield(S, -1, names[i]);
        *switches[i] = lua_tocfunction(S, -1);
        *why = "jit.on and jit.off are not the functions we know";
        if (*switches[i] == NULL || vm_ptr(lua_topointer(S, -1), VM_FUNC_F) != (void *)(uintptr_t)*switches[i])
            return false;
        lua_pop(S, 1);
    }
    lua_settop(S, 0);

    *why = "the JIT's marks on functions were not found";
    memcpy(lay->func_handler[1], lay->func_handler[0], sizeof(lay->func_handler[1]));
    lay->has_jit = luaJIT_setmode(S, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON) == 1; /* 0: compiled out */
    if (!lay->has_jit) return true;
    if ((vm_u8(vm_ptr(S, VM_L_GLREF), lay->g_dispatchmode) & VM_MODE_JIT) == 0) return false;
    for (unsigned i = 0; i < VM_FUNC_SLOTS; i++) lay->func_handler[1][i] = dispatch[lay->static_len + i];
    bool ok = learn_flags(S, lay);
    lua_settop(S, 0);
    if (ok && may_compile()) vm_learn_traces(S, lay);
    luaJIT_setmode(S, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    return ok;
}
