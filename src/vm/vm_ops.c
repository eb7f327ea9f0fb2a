/*
 * Opcode numbers, learned by compiling chunks whose instructions are known by name.
 *
 * The lists below are what lj_parse.c emits since table traversal became a pair of opcodes of its own (2021); a LuaJIT
 * that compiles a chunk otherwise is one we do not know.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "vm_learn.h"

typedef struct known_chunk {
    const char *source;
    const char *ops;   /* of the main function */
    const char *inner; /* of the function it returns, if any */
} known_chunk;

static const known_chunk CHUNKS[] = {
    {"local a,b=... if a<b then a=b end if a>b then b=a end", "FUNCV VARG ISGE JMP MOV ISGE JMP MOV RET0", NULL},
    {"local a,b=... if not (a<b) then a=b end", "FUNCV VARG ISLT JMP MOV RET0", NULL},
    {"local a,b=... if a<=b then a=b end if not (a<=b) then b=a end", "FUNCV VARG ISGT JMP MOV ISLE JMP MOV RET0",
     NULL},
    {"local a,b=... if a==b then a=b end if a~=b then b=a end", "FUNCV VARG ISNEV JMP MOV ISEQV JMP MOV RET0", NULL},
    {"local a=... if a=='s' then a=1 end if a~='s' then a=2 end", "FUNCV VARG ISNES JMP KSHORT ISEQS JMP KSHORT RET0",
     NULL},
    {"local a=... if a==7 then a=1 end if a~=7 then a=2 end", "FUNCV VARG ISNEN JMP KSHORT ISEQN JMP KSHORT RET0",
     NULL},
    {"local a=... if a==nil then a=1 end if a~=nil then a=2 end", "FUNCV VARG ISNEP JMP KSHORT ISEQP JMP KSHORT RET0",
     NULL},
    {"local a,b=... if a then b=1 end if not a then b=2 end", "FUNCV VARG ISF JMP KSHORT IST JMP KSHORT RET0", NULL},
    {"local a,b,c=... c=a or b c=a and b", "FUNCV VARG ISTC JMP MOV ISFC JMP MOV RET0", NULL},
    {"local a,b=... a=b a=not b a=-b a=#b", "FUNCV VARG MOV NOT UNM LEN RET0", NULL},
    {"local a=... a=a+1 a=a-1 a=a*3 a=a/3 a=a%3", "FUNCV VARG ADDVN SUBVN MULVN DIVVN MODVN RET0", NULL},
    {"local a=... a=1+a a=1-a a=3*a a=3/a a=3%a", "FUNCV VARG ADDNV SUBNV MULNV DIVNV MODNV RET0", NULL},
    {"local a,b=... a=a+b a=a-b a=a*b a=a/b a=a%b a=a^b a=a..b",
     "FUNCV VARG ADDVV SUBVV MULVV DIVVV MODVV POW MOV MOV CAT RET0", NULL},
    {"local a='s' a=1 a=1.5 a=true local b,c", "FUNCV KSTR KSHORT KNUM KPRI KNIL RET0", NULL},
    {"local u=... return function(v) u=v u='s' u=1.5 u=nil return u end", "FUNCV VARG FNEW UCLO RET1",
     "FUNCF USETV USETS USETN USETP UGET RET1"},
    {"local a={} a={1} a=g g=a", "FUNCV TNEW TDUP GGET GSET RET0", NULL},
    {"local t,k=... local v=t[k] v=t.x v=t[1] t[k]=v t.x=v t[1]=v t={...}",
     "FUNCV VARG TGETV TGETS TGETB TSETV TSETS TSETB TNEW VARG TSETM MOV RET0", NULL},
    {"local f=... f(f()) f() return f(f())", "FUNCV VARG MOV MOV CALL CALLM MOV CALL MOV MOV CALL CALLMT", NULL},
    {"local f=... return f()", "FUNCV VARG MOV CALLT", NULL},
    {"local f=... return 1,f()", "FUNCV VARG KSHORT MOV CALL RETM", NULL},
    {"local f=... return f,f", "FUNCV VARG MOV MOV RET", NULL},
    {"local f=... return f", "FUNCV VARG RET1", NULL},
    {"local f,s=... for k in f,s do f(k) end", "FUNCV VARG MOV MOV KPRI JMP MOV MOV CALL ITERC ITERL RET0", NULL},
    {"local s=... for k in pairs(s) do s(k) end", "FUNCV VARG GGET MOV CALL ISNEXT MOV MOV CALL ITERN ITERL RET0",
     NULL},
    {"for i=1,2 do local x=i end", "FUNCV KSHORT KSHORT KSHORT FORI MOV FORL RET0", NULL},
    {"local a=... while a do a=a.x end", "FUNCV VARG ISF JMP LOOP TGETS JMP RET0", NULL},
};

/* Only where the parser knows the syntax: bit operators came in 2026. (No 1LL here: the lexer would load the FFI, whose
 * tables nothing keeps alive in a state without libraries.) */
static const known_chunk OPTIONAL_CHUNKS[] = {
    {"local a,b=... a=~b a=a&b a=a|b a=a~b a=a<<b a=a>>b a=a~>>b", "FUNCV VARG BNOT BAND BOR BXOR BSHL BSHR BSAR RET0",
     NULL},
};

static const char *const NAMES[VM_OP__COUNT] = {"?",
#define X(name) #name,
                                                VM_OPS(X)
#undef X
};

static vm_op op_by_name(const char *name, size_t len) {
    for (int i = 1; i < VM_OP__COUNT; i++) {
        if (strlen(NAMES[i]) == len && memcmp(NAMES[i], name, len) == 0) return (vm_op)i;
    }
    return VM_OP_UNKNOWN;
}

/* The opcode `number` is called `op`: false if that contradicts what was learned before. */
static bool assign(vm_layout *lay, vm_op op, unsigned number) {
    if (op == VM_OP_UNKNOWN || number > 255) return false;
    if (lay->has[op]) return lay->number[op] == number;
    if (lay->name[number] != VM_OP_UNKNOWN) return false;
    lay->has[op] = true;
    lay->number[op] = (uint8_t)number;
    lay->name[number] = (uint8_t)op;
    return true;
}

static bool learn_code(vm_layout *lay, const void *func, const char *ops) {
    const vm_ins *code = vm_ptr(func, VM_FUNC_PC);
    uint32_t size = vm_u32((const char *)code - VM_PT_SIZE, VM_PT_SIZEBC), i = 0;
    while (*ops != '\0') {
        size_t len = strcspn(ops, " ");
        if (i >= size || !assign(lay, op_by_name(ops, len), VM_INS_OP(code[i]))) return false;
        i++;
        ops += len;
        ops += strspn(ops, " ");
    }
    return i == size;
}

/* The chunk is on the top of the stack. */
static bool learn_chunk(lua_State *S, vm_layout *lay, const known_chunk *chunk) {
    if (!learn_code(lay, lua_topointer(S, -1), chunk->ops)) return false;
    if (chunk->inner == NULL) return true;
    lua_pushvalue(S, -1);
    if (lua_pcall(S, 0, 1, 0) != 0 || !lua_isfunction(S, -1)) return false;
    bool ok = learn_code(lay, lua_topointer(S, -1), chunk->inner);
    lua_pop(S, 1);
    return ok;
}

/* `op` directly follows `before` and directly precedes `after`: lj_bc.h's order, in which no parser output shows it. */
static bool between(vm_layout *lay, vm_op op, vm_op before, int distance, vm_op after) {
    if (!lay->has[before] || !lay->has[after] || lay->number[after] <= lay->number[before] + distance) return false;
    return assign(lay, op, (unsigned)lay->number[before] + (unsigned)distance);
}

static int no_function(lua_State *S) {
    (void)S;
    return 0;
}

bool vm_learn_ops(lua_State *S, vm_layout *lay, const char **why) {
    *why = "the compiler does not emit the instructions we know";
    for (size_t i = 0; i < sizeof(CHUNKS) / sizeof(CHUNKS[0]); i++) {
        if (luaL_loadstring(S, CHUNKS[i].source) != 0 || !learn_chunk(S, lay, &CHUNKS[i])) return false;
        lua_settop(S, 0);
    }
    for (size_t i = 0; i < sizeof(OPTIONAL_CHUNKS) / sizeof(OPTIONAL_CHUNKS[0]); i++) {
        if (luaL_loadstring(S, OPTIONAL_CHUNKS[i].source) == 0 && !learn_chunk(S, lay, &OPTIONAL_CHUNKS[i])) {
            return false;
        }
        lua_settop(S, 0);
    }

    *why = "the opcodes are not in the order we know";
    if (!between(lay, VM_ISTYPE, VM_ISF, 1, VM_MOV) || !between(lay, VM_ISNUM, VM_ISF, 2, VM_MOV)) return false;
    if (!between(lay, VM_TGETR, VM_TGETB, 1, VM_TSETV) || !between(lay, VM_TSETR, VM_TSETM, 1, VM_CALLM)) return false;
    if (!between(lay, VM_JFORI, VM_FORI, 1, VM_FORL) || !between(lay, VM_IFORL, VM_FORL, 1, VM_ITERL) ||
        !between(lay, VM_JFORL, VM_FORL, 2, VM_ITERL) || !between(lay, VM_IITERL, VM_ITERL, 1, VM_LOOP) ||
        !between(lay, VM_JITERL, VM_ITERL, 2, VM_LOOP) || !between(lay, VM_ILOOP, VM_LOOP, 1, VM_JMP) ||
        !between(lay, VM_JLOOP, VM_LOOP, 2, VM_JMP)) {
        return false;
    }
    if (!between(lay, VM_KCDATA, VM_KSTR, 1, VM_KSHORT)) return false;
    if (lay->number[VM_FUNCF] != lay->static_len) return false;
    if (!between(lay, VM_IFUNCF, VM_FUNCF, 1, VM_FUNCV) || !between(lay, VM_JFUNCF, VM_FUNCF, 2, VM_FUNCV) ||
        lay->number[VM_FUNCV] != lay->number[VM_FUNCF] + 3) {
        return false;
    }
    /* The header of a C function, and the one that calls through a wrapper (lj_lib.c, lj_dispatch.c). */
    lua_pushcfunction(S, no_function);
    const vm_ins *header = vm_ptr(lua_topointer(S, -1), VM_FUNC_PC);
    bool ok = assign(lay, VM_FUNCC, VM_INS_OP(*header)) && lay->number[VM_FUNCC] == lay->number[VM_FUNCF] + 6 &&
              assign(lay, VM_JFUNCV, lay->number[VM_FUNCF] + 5u) &&
              assign(lay, VM_IFUNCV, lay->number[VM_FUNCF] + 4u) && assign(lay, VM_FUNCCW, lay->number[VM_FUNCF] + 7u);
    lua_settop(S, 0);
    if (!ok) return false;

    /* With a return hook set, returns are dispatched to vm_rethook (lj_dispatch.c: lj_dispatch_update). */
    const uintptr_t *dispatch = (const uintptr_t *)(void *)((char *)vm_ptr(S, VM_L_GLREF) + lay->g_dispatch);
    lua_sethook(S, vm_no_hook, LUA_MASKRET, 0);
    lay->rethook = dispatch[lay->number[VM_RET]];
    ok = dispatch[lay->number[VM_RET0]] == lay->rethook && dispatch[lay->number[VM_RET1]] == lay->rethook &&
         lay->rethook != lay->handler[lay->number[VM_RET]];
    lua_sethook(S, NULL, 0, 0);
    if (!ok) return false;

    /* Nothing below the function headers may be without a name. */
    for (unsigned i = 0; i < lay->static_len; i++) {
        if (lay->name[i] == VM_OP_UNKNOWN) return false;
    }
    return true;
}
