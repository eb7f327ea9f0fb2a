/*
 * Layout of states, objects and prototypes, tried out on a scratch VM.
 */
#include <lauxlib.h>

#include "vm_learn.h"

#define ADDRESS_MASK ((UINT64_C(1) << 47) - 1)

/* A tagged value: type above bit 47, address below (lj_obj.h, LJ_GC64); the tag of a type is its complement. */
static uint64_t tagged(const void *object, int type) {
    return ((uint64_t)(int64_t)~type << 47) | ((uint64_t)(uintptr_t)object & ADDRESS_MASK);
}

static uint64_t top_slot(lua_State *L) {
    uint64_t v;
    memcpy(&v, vm_top(L) - sizeof(v), sizeof(v));
    return v;
}

void vm_push_object(lua_State *L, const void *object, int type) {
    uint64_t v = tagged(object, type);
    lua_pushnil(L);
    memcpy(vm_top(L) - sizeof(v), &v, sizeof(v));
}

static bool object_on_top(lua_State *S, int type) {
    const void *object = lua_topointer(S, -1);
    return vm_u8(object, VM_GC_TYPE) == type && top_slot(S) == tagged(object, type);
}

/* So many stack slots, in bytes. */
static ptrdiff_t slots(int n) {
    return (ptrdiff_t)sizeof(uint64_t) * n;
}

/* While a message handler runs, the state of its coroutine is LUA_ERRERR (lj_err.c: lj_err_run). */
static int check_status(lua_State *S) {
    lua_pushboolean(S, lua_status(S) == LUA_ERRERR && vm_u8(S, VM_L_STATUS) == LUA_ERRERR);
    return 1;
}

static int fail(lua_State *S) {
    return lua_error(S);
}

/* The words of lua_State; S runs a C function that was called in protected mode. */
static bool check_state(lua_State *S, const char **why) {
    char state[96];
    uintptr_t frame[4];
    *why = "lua_State has another layout than in a GC64 build of LuaJIT 2.1";
    if (!vm_read(S, state, sizeof(state)) || vm_u8(state, VM_GC_TYPE) != VM_TYPE_THREAD) return false;
    const char *base = vm_ptr(state, VM_L_BASE), *top = vm_ptr(state, VM_L_TOP);
    const char *stack = vm_ptr(state, VM_L_STACK), *maxstack = vm_ptr(state, VM_L_MAXSTACK);
    if (!(stack < base && base <= top && top < maxstack) || top - base != slots(lua_gettop(S))) return false;
    if (!vm_read((void *)((uintptr_t)vm_ptr(state, VM_L_CFRAME) & ~(uintptr_t)3), frame, sizeof(frame))) return false;
    if (frame[VM_CFRAME_L] != (uintptr_t)S) return false;

    lua_Number n;
    lua_pushnumber(S, 1234.5);
    if (vm_top(S) - base != slots(lua_gettop(S)) || !vm_read(vm_top(S) - sizeof(n), &n, sizeof(n)) || n != 1234.5) {
        return false;
    }
    if (!lua_checkstack(S, 500) || vm_stack_left(S) < 500) return false;

    lua_pushcfunction(S, check_status);
    lua_pushcfunction(S, fail);
    lua_pushnil(S);
    if (lua_pcall(S, 1, 0, -3) != LUA_ERRRUN || !lua_toboolean(S, -1)) return false;
    if (lua_status(S) != 0 || vm_u8(S, VM_L_STATUS) != 0) return false;
    lua_pop(S, 2);

    lua_State *co = lua_newthread(S);
    if (lua_topointer(S, -1) != co || vm_ptr(co, VM_L_GLREF) != vm_ptr(S, VM_L_GLREF)) return false;
    return object_on_top(S, VM_TYPE_THREAD);
}

/* A Lua function: where it should have pointers there may be anything, so nothing is followed that was not tried. The
 * header holds the frame size, too (lj_parse.c: fs_finish). */
static bool check_function(const void *func) {
    char head[VM_FUNC_F], pt[VM_PT_SIZE + sizeof(vm_ins)], name[VM_STR_DATA];
    if (!vm_read(func, head, sizeof(head))) return false;
    const char *code = vm_ptr(head, VM_FUNC_PC);
    if (!vm_read(code - VM_PT_SIZE, pt, sizeof(pt)) || vm_u8(pt, VM_GC_TYPE) != VM_TYPE_PROTO) return false;
    if (vm_u8(pt, VM_PT_FRAMESIZE) != VM_INS_A(vm_u32(pt, VM_PT_SIZE))) return false;
    if (vm_u32(pt, VM_PT_SIZEBC) < 2 || vm_u32(pt, VM_PT_SIZEBC) > 16) return false;
    const char *chunkname = vm_ptr(pt, VM_PT_CHUNKNAME);
    if (!vm_read(chunkname, name, sizeof(name)) || vm_u8(name, VM_GC_TYPE) != VM_TYPE_STRING) return false;
    return vm_read(vm_ptr(pt, VM_PT_LINEINFO), name, 1);
}

static bool check_objects(lua_State *S, vm_layout *lay, const char **why) {
    const char *g = vm_ptr(S, VM_L_GLREF);
    *why = "values or strings have another layout";
    lua_pushliteral(S, "ljinspect layout");
    const char *text = lua_tostring(S, -1);
    if (vm_u32(text - VM_STR_DATA, VM_STR_LEN) != 16 || top_slot(S) != tagged(text - VM_STR_DATA, VM_TYPE_STRING)) {
        return false;
    }

    *why = "functions have another layout";
    lua_pushinteger(S, 1);
    lay->has_integers = !vm_is_double(top_slot(S));
    if (luaL_loadstring(S, "return x") != 0 || !check_function(lua_topointer(S, -1))) return false;

    *why = "tables have another layout";
    lua_createtable(S, 0, 0);
    const void *env = lua_topointer(S, -1);
    if (vm_ptr(env, VM_TAB_METATABLE) != NULL) return false;
    lua_createtable(S, 0, 0);
    const void *meta = lua_topointer(S, -1);
    lua_setmetatable(S, -2);
    if (vm_ptr(env, VM_TAB_METATABLE) != meta || lua_setfenv(S, -2) != 1) return false;
    if (vm_ptr(lua_topointer(S, -1), VM_FUNC_ENV) != env) return false;

    *why = "the list of objects was not found";
    uintptr_t words[512];
    bool candidate[512];
    size_t n = sizeof(words) / sizeof(words[0]), found = 0;
    memset(candidate, 1, sizeof(candidate));
    const void *previous = NULL;
    for (int round = 0; round < 3; round++) {
        lua_createtable(S, 0, 0);
        const void *table = lua_topointer(S, -1);
        if (!object_on_top(S, VM_TYPE_TABLE)) return false;
        if (!vm_read(g, words, sizeof(words))) return false;
        for (size_t i = 0; i < n; i++) candidate[i] = candidate[i] && words[i] == (uintptr_t)table;
        if (previous != NULL && vm_ptr(table, VM_GC_NEXT) != previous) return false;
        previous = table;
    }
    for (size_t i = 0; i < n; i++) {
        if (!candidate[i]) continue;
        lay->g_gcroot = (ptrdiff_t)(i * sizeof(uintptr_t));
        found++;
    }
    return found == 1;
}

bool vm_learn_state(lua_State *S, vm_layout *lay, const char **why) {
    return check_state(S, why) && check_objects(S, lay, why);
}

/* ---- Prototypes ---------------------------------------------------------------------------------------------- */

static bool same_object(void *object, void *arg) {
    void **wanted = arg;
    if (object == *wanted) *wanted = NULL;
    return *wanted != NULL;
}

static bool check_proto(lua_State *S, const vm_layout *lay, int params, int first, int lines, const char *source) {
    const void *func = lua_topointer(S, -1);
    size_t len;
    if (!object_on_top(S, VM_TYPE_FUNC)) return false;
    vm_proto *pt = vm_func_proto(lay, func);
    if (pt == NULL || vm_u8(pt, VM_GC_TYPE) != VM_TYPE_PROTO || vm_u8(pt, VM_PT_NUMPARAMS) != params) return false;
    if (vm_proto_first_line(pt) != first || vm_proto_num_lines(pt) != lines) return false;
    const char *name = vm_proto_source(pt, &len);
    if (len != strlen(source) || memcmp(name, source, len) != 0) return false;
    vm v = {.lay = lay, .g = vm_ptr(S, VM_L_GLREF)};
    void *wanted = pt;
    vm_walk(&v, vm_gc_white(S), VM_TYPE_PROTO, NULL, same_object, &wanted);
    lua_pop(S, 1);
    return wanted == NULL;
}

/* What an instruction hook sees: the saved PC must name the line lua_getinfo() names. */
struct pc_check {
    const vm_layout *lay;
    int seen;
    bool ok;
};
static const char pc_check;

static void pc_hook(lua_State *S, lua_Debug *ar) {
    lua_Debug top;
    struct pc_check *c = vm_recall(S, &pc_check);
    (void)ar;
    if (!lua_getstack(S, 0, &top) || !lua_getinfo(S, "lf", &top)) return;
    vm_proto *pt = vm_func_proto(c->lay, lua_topointer(S, -1));
    if (pt != NULL) {
        uintptr_t at = vm_cframe(S)[VM_CFRAME_PC] - (uintptr_t)vm_proto_code(pt);
        uint32_t index = (uint32_t)(at / sizeof(vm_ins)) - 1;
        c->seen++;
        c->ok = c->ok && vm_cframe(S)[VM_CFRAME_L] == (uintptr_t)S && at % sizeof(vm_ins) == 0 && index > 0 &&
                index < vm_proto_size(pt) && vm_proto_line(pt, index) == top.currentline &&
                vm_proto_has_line(pt, top.currentline) && vm_top(S) >= vm_base(S) + slots(vm_u8(pt, VM_PT_FRAMESIZE));
    }
    lua_pop(S, 1);
}

bool vm_learn_protos(lua_State *S, vm_layout *lay, const char **why) {
    static const char source[] = "\nlocal a, b = ...\nreturn function(x, y)\n\n  local z = x .. y\n  for i = 1, 3 do\n"
                                 "    z = z .. i\n  end\n  return z, a\nend\n";
    *why = "prototypes have another layout";
    lua_settop(S, 0);
    if (luaL_loadbuffer(S, source, sizeof(source) - 1, "@layout.lua") != 0) return false;
    if (!check_proto(S, lay, 0, 0, 11, "@layout.lua") && !check_proto(S, lay, 0, 0, 10, "@layout.lua")) return false;
    if (lua_pcall(S, 0, 1, 0) != 0 || !check_proto(S, lay, 2, 3, 7, "@layout.lua")) return false;

    *why = "the saved PC is not where we look for it";
    struct pc_check check = {.lay = lay, .seen = 0, .ok = true};
    vm_note note = {.key = &pc_check, .value = &check};
    if (lua_cpcall(S, vm_remember, &note) != 0) return false;
    lua_pushliteral(S, "p");
    lua_pushliteral(S, "q");
    lua_sethook(S, pc_hook, LUA_MASKCOUNT, 1);
    int status = lua_pcall(S, 2, 1, 0);
    lua_sethook(S, NULL, 0, 0);
    lua_settop(S, 0);
    if (status != 0 || !check.ok || check.seen <= 10) return false;

    /* Next to the counter stands what it starts with. */
    *why = "the counter of instructions was not found";
    const int start = 1000000;
    lua_sethook(S, vm_no_hook, LUA_MASKCOUNT, start);
    if (luaL_loadstring(S, "local a a = 1 a = 2") != 0 || lua_pcall(S, 0, 0, 0) != 0) return false;
    int count = vm_i32(vm_ptr(S, VM_L_GLREF), lay->g_hookcount);
    lua_sethook(S, NULL, 0, 0);
    return count < start && count > start - 20;
}
