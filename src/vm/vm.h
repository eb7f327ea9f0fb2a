/*
 * What we know of LuaJIT's insides.
 *
 * Two steps, so that nothing is tried on the program's VM:
 *   vm_learn()   makes a scratch VM of the very LuaJIT this process uses, experiments on it, and keeps what it found
 *                for the process: layout, dispatch table, opcode numbers, addresses of the interpreter's entry points.
 *   vm_attach()  compares a VM of the program with that, reading only.
 * Every check that fails leaves one sentence in `why`.
 *
 * Offsets named here are those of a GC64 build; each is checked on the scratch VM before it is used (vm_layout.c).
 */
#ifndef LJINSPECT_VM_H
#define LJINSPECT_VM_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Opcodes, by the names of lj_bc.h. The numbers are learned (vm_ops.c). */
/* clang-format off */
#define VM_OPS(X)                                                                                                      \
    X(ISLT)                                                                                                            \
    X(ISGE)                                                                                                            \
    X(ISLE)                                                                                                            \
    X(ISGT)                                                                                                            \
    X(ISEQV) X(ISNEV) X(ISEQS) X(ISNES) X(ISEQN) X(ISNEN) X(ISEQP) X(ISNEP) X(ISTC) X(ISFC) X(IST) X(ISF) X(ISTYPE)    \
        X(ISNUM) X(MOV) X(NOT) X(UNM) X(LEN) X(ADDVN) X(SUBVN) X(MULVN) X(DIVVN) X(MODVN) X(ADDNV) X(SUBNV) X(MULNV)   \
            X(DIVNV) X(MODNV) X(ADDVV) X(SUBVV) X(MULVV) X(DIVVV) X(MODVV) X(POW) X(CAT) X(KSTR) X(KCDATA) X(KSHORT)   \
                X(KNUM) X(KPRI) X(KNIL) X(UGET) X(USETV) X(USETS) X(USETN) X(USETP) X(UCLO) X(FNEW) X(TNEW) X(TDUP)    \
                    X(GGET) X(GSET) X(TGETV) X(TGETS) X(TGETB) X(TGETR) X(TSETV) X(TSETS) X(TSETB) X(TSETM) X(TSETR)   \
                        X(CALLM) X(CALL) X(CALLMT) X(CALLT) X(ITERC) X(ITERN) X(VARG) X(ISNEXT) X(RETM) X(RET) X(RET0) \
                            X(RET1) X(FORI) X(JFORI) X(FORL) X(IFORL) X(JFORL) X(ITERL) X(IITERL) X(JITERL) X(LOOP)    \
                                X(ILOOP) X(JLOOP) X(JMP) X(BNOT) X(BAND) X(BOR) X(BXOR) X(BSHL) X(BSHR) X(BSAR)        \
                                    X(FUNCF) X(IFUNCF) X(JFUNCF) X(FUNCV) X(IFUNCV) X(JFUNCV) X(FUNCC) X(FUNCCW)
/* clang-format on */

typedef enum vm_op {
    VM_OP_UNKNOWN, /* also: this LuaJIT has no such opcode */
#define X(name) VM_##name,
    VM_OPS(X)
#undef X
        VM_OP__COUNT
} vm_op;

typedef uint32_t vm_ins; /* one bytecode instruction: opcode in the low byte (lj_bc.h) */

#define VM_INS_OP(i) ((uint8_t)((i)&0xff))
#define VM_INS_A(i) ((uint32_t)(((i) >> 8) & 0xff))
#define VM_INS_C(i) ((uint32_t)(((i) >> 16) & 0xff))
#define VM_INS_B(i) ((uint32_t)((i) >> 24))
#define VM_INS_D(i) ((uint32_t)((i) >> 16))
#define VM_INS_J(i) ((int)VM_INS_D(i) - 0x8000)

/* lua_State */
enum { VM_L_GLREF = 16, VM_L_BASE = 32, VM_L_TOP = 40, VM_L_MAXSTACK = 48, VM_L_STACK = 56, VM_L_CFRAME = 80 };
/* The head of every collectable object: next object, colour, type. */
enum { VM_GC_NEXT = 0, VM_GC_MARKED = 8, VM_GC_TYPE = 9 };
enum {
    VM_TYPE_STRING = 4,
    VM_TYPE_THREAD = 6,
    VM_TYPE_PROTO = 7,
    VM_TYPE_FUNC = 8,
    VM_TYPE_TRACE = 9,
    VM_TYPE_CDATA = 10,
    VM_TYPE_TABLE = 11
};
/* GCfunc: environment; bytecode of a Lua function, or of the C function header; C function pointer. GCstr: length,
 * text. GCtab: metatable. */
enum { VM_FUNC_ENV = 16, VM_FUNC_PC = 32, VM_FUNC_F = 40, VM_STR_LEN = 20, VM_STR_DATA = 24, VM_TAB_METATABLE = 32 };
/* GCproto; its bytecode follows it. */
enum {
    VM_PT_NUMPARAMS = 10,
    VM_PT_FRAMESIZE = 11,
    VM_PT_SIZEBC = 12,
    VM_PT_FLAGS = 61,
    VM_PT_CHUNKNAME = 64,
    VM_PT_FIRSTLINE = 72,
    VM_PT_NUMLINE = 76,
    VM_PT_LINEINFO = 80,
    VM_PT_SIZE = 104
};
/* GCtrace; its IR constants, IR, snapshots and snapshot map follow. An IR instruction has 8 bytes, its opcode is byte
 * 5; a constant object takes two. */
enum {
    VM_TR_NSNAP = 10,
    VM_TR_NINS = 12,
    VM_TR_IR = 32,
    VM_TR_NK = 40,
    VM_TR_NSNAPMAP = 44,
    VM_TR_SNAP = 48,
    VM_TR_SNAPMAP = 56,
    VM_TR_STARTPT = 64,
    VM_TR_STARTPC = 72,
    VM_TR_STARTINS = 80,
    VM_TR_TRACENO = 104,
    VM_TR_LINK = 106,
    VM_TR_ROOT = 108,
    VM_TR_LINKTYPE = 116,
    VM_IR_SIZE = 8,
    VM_IR_OP = 5
};
/* C frame of the interpreter, in words from its stack pointer. MULTRES is the low half of word 0. */
enum { VM_CFRAME_MULTRES = 0, VM_CFRAME_L = 2, VM_CFRAME_PC = 3 };
/* Bits of global_State.hookmask above LUA_MASK*, and of dispatchmode. */
enum { VM_HOOK_ACTIVE = 0x10, VM_HOOK_VMEVENT = 0x20, VM_HOOK_GC = 0x40 };
enum { VM_MODE_CALL = 0x01, VM_MODE_RET = 0x02, VM_MODE_INS = 0x04, VM_MODE_JIT = 0x10, VM_MODE_REC = 0x20 };

enum { VM_EVENTS_UNKNOWN = 255 };
#define VM_EVENTS_KEY "_VMEVENTS"

enum { VM_SLOTS_MAX = 512, VM_FUNC_SLOTS = 8 };

/* What is true of every VM of this LuaJIT. */
typedef struct vm_layout {
    unsigned dynamic_len; /* dispatch slots that the interpreter uses: opcodes and fast functions */
    unsigned static_len;  /* opcodes below FUNCF; the static half has as many slots */
    unsigned static_at;   /* slot at which the static half begins */
    ptrdiff_t g_dispatch, g_hookmask, g_dispatchmode, g_hookcount, g_cur_l, g_vmstate, g_gcroot; /* from global_State */
    uintptr_t inshook, callhook, rethook;
    uintptr_t handler[VM_SLOTS_MAX];          /* of each opcode below FUNCF, the counting variants excepted */
    uintptr_t func_handler[2][VM_FUNC_SLOTS]; /* FUNCF to FUNCCW: JIT off, JIT on */
    int32_t vmstate_interp;
    uint8_t number[VM_OP__COUNT]; /* opcode number of a name; 0 also for the unknown, see `known` */
    bool has[VM_OP__COUNT];
    uint8_t name[256]; /* vm_op of an opcode number */
    bool has_jit;
    bool has_integers;              /* small integers have a representation of their own (LJ_DUALNUM) */
    uint8_t flag_nojit, flag_iloop; /* bits of GCproto.flags; 0 where the JIT is compiled out */
    bool has_traces;                /* compiled code can be told apart (vm_trace.c); else all of it must be dropped */
    uint8_t ir_kgc;                 /* IR opcode of a constant object */
    lua_CFunction string_dump;
    int bc_event, trace_event; /* indices of these events' handlers in registry._VMEVENTS; 0: compiled out */
    ptrdiff_t g_vmevmask;      /* cache of the events that have a handler; VM_EVENTS_UNKNOWN makes LuaJIT look again */
} vm_layout;

/* One VM of the program. */
typedef struct vm {
    const vm_layout *lay;
    char *g;
    uintptr_t *dispatch;
} vm;

/* Learn, once per process; later calls return the same. NULL with a reason where this LuaJIT is not understood. Any
 * thread. Takes well below a millisecond. */
const vm_layout *vm_learn(const char **why);

/* Check that the VM of L is what vm_learn() learned about. Reads only. */
bool vm_attach(vm *v, lua_State *L, const char **why);

/* Copy `len` bytes from an address that may not be mapped. False where it is not. */
bool vm_read(const void *from, void *to, size_t len);

/* Steps of vm_learn(), on the scratch state S; each returns false with a reason. */
bool vm_learn_state(lua_State *S, vm_layout *lay, const char **why);
bool vm_learn_dispatch(lua_State *S, vm_layout *lay, const char **why);
bool vm_learn_ops(lua_State *S, vm_layout *lay, const char **why);
bool vm_learn_protos(lua_State *S, vm_layout *lay, const char **why);
bool vm_learn_jit(lua_State *S, vm_layout *lay, const char **why);

/* ---- Fields -------------------------------------------------------------------------------------------------- */

static inline void *vm_ptr(const void *object, ptrdiff_t offset) {
    void *p;
    memcpy(&p, (const char *)object + offset, sizeof(p));
    return p;
}
static inline void vm_set_ptr(void *object, ptrdiff_t offset, const void *value) {
    memcpy((char *)object + offset, &value, sizeof(value));
}
static inline uint8_t vm_u8(const void *object, ptrdiff_t offset) {
    return ((const uint8_t *)object)[offset];
}
static inline uint32_t vm_u32(const void *object, ptrdiff_t offset) {
    uint32_t v;
    memcpy(&v, (const char *)object + offset, sizeof(v));
    return v;
}
static inline int32_t vm_i32(const void *object, ptrdiff_t offset) {
    return (int32_t)vm_u32(object, offset);
}

static inline char *vm_base(lua_State *L) {
    return vm_ptr(L, VM_L_BASE);
}
static inline char *vm_top(lua_State *L) {
    return vm_ptr(L, VM_L_TOP);
}
/* Free stack slots above the top before the stack must grow. */
static inline ptrdiff_t vm_stack_left(lua_State *L) {
    return ((char *)vm_ptr(L, VM_L_MAXSTACK) - vm_top(L)) / (ptrdiff_t)sizeof(lua_Number);
}
/* The interpreter's C frame of L, in words. */
static inline uintptr_t *vm_cframe(lua_State *L) {
    return (uintptr_t *)((uintptr_t)vm_ptr(L, VM_L_CFRAME) & ~(uintptr_t)3);
}

/* The tag of a value (lj_obj.h, LJ_GC64: 17 bits above the address). Numbers have none: their highest bits are never
 * all set, but for a NaN with its sign set, which LuaJIT never makes. */
static inline bool vm_is_double(uint64_t value) {
    return value < UINT64_C(0xfff8000000000000);
}
static inline int vm_type_of(uint64_t value) {
    return vm_is_double(value) ? -1 : (int)(~value >> 47);
}

/* Push a collectable object that the Lua API has no function for (a prototype). Needs one free stack slot. */
void vm_push_object(lua_State *L, const void *object, int type);

/* ---- Prototypes (vm_proto.c) ----------------------------------------------------------------------------------- */

typedef struct vm_proto vm_proto; /* a GCproto */

static inline vm_ins *vm_proto_code(const vm_proto *pt) {
    return (vm_ins *)((uintptr_t)pt + VM_PT_SIZE);
}
static inline uint32_t vm_proto_size(const vm_proto *pt) {
    return vm_u32(pt, VM_PT_SIZEBC);
}
static inline int vm_proto_first_line(const vm_proto *pt) {
    return vm_i32(pt, VM_PT_FIRSTLINE);
}
static inline int vm_proto_num_lines(const vm_proto *pt) {
    return vm_i32(pt, VM_PT_NUMLINE);
}
static inline bool vm_proto_stripped(const vm_proto *pt) {
    return vm_ptr(pt, VM_PT_LINEINFO) == NULL;
}
static inline const char *vm_proto_source(const vm_proto *pt, size_t *len) {
    const char *s = vm_ptr(pt, VM_PT_CHUNKNAME);
    *len = vm_u32(s, VM_STR_LEN);
    return s + VM_STR_DATA;
}
/* The prototype of a function object; NULL for a C function. */
vm_proto *vm_func_proto(const vm_layout *lay, const void *func);
/* The line of instruction `index` (0 is the function header); 0 where the debug info was stripped. */
int vm_proto_line(const vm_proto *pt, uint32_t index);
/* True if some instruction but the header is on the line. */
bool vm_proto_has_line(const vm_proto *pt, int line);

/* Visit objects of a type (all types where it is negative), newest first, all or down to (not including) the object
 * `stop`; dead ones that the collector has not freed yet are left out. `white` is the colour of a new object:
 * vm_gc_white(). `visit` must not run the collector; false ends the walk. */
typedef bool (*vm_visit_fn)(void *object, void *arg);
void vm_walk(const vm *v, uint8_t white, int type, const void *stop, vm_visit_fn visit, void *arg);
/* The colour of new objects; pushes the new table it looked at. May raise a memory error. */
uint8_t vm_gc_white(lua_State *L);

/* ---- Compiled code (vm_trace.c) --------------------------------------------------------------------------------- */

typedef struct vm_trace vm_trace; /* a GCtrace */

/* Find out whether traces have the layout we know; compiles one in the scratch VM. */
void vm_learn_traces(lua_State *S, vm_layout *lay);
static inline unsigned vm_u16(const void *object, ptrdiff_t offset) {
    uint16_t v;
    memcpy(&v, (const char *)object + offset, sizeof(v));
    return v;
}
static inline unsigned vm_trace_number(const vm_trace *t) {
    return vm_u16(t, VM_TR_TRACENO);
} /* 0: dropped */
static inline unsigned vm_trace_link(const vm_trace *t) {
    return vm_u16(t, VM_TR_LINK);
}
static inline unsigned vm_trace_root(const vm_trace *t) {
    return vm_u16(t, VM_TR_ROOT);
} /* 0: is a root */
/* True if the trace holds code of one of the functions, or may. They are in ascending order. */
bool vm_trace_mentions(const vm_layout *lay, const vm_trace *t, vm_proto *const *protos, size_t n);
/* True if the trace ends in the interpreter because LuaJIT gave up on compiling what follows. */
bool vm_trace_gave_up(const vm_trace *t);
/* True if the trace continues another one after a call that cannot be compiled ("stitched"). */
bool vm_trace_is_stitched(const vm_layout *lay, const vm_trace *t);

#endif
