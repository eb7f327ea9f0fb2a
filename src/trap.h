/*
 * The trap engine's parts, among themselves.
 *
 * A place is an instruction at which the engine takes control. Its opcode byte is replaced by a trap opcode that
 * compiled Lua code never contains (ISTYPE and TGETR, only in built-in library functions), and that opcode's dispatch
 * slots point at trap_stub. Nothing else in the program is touched.
 *
 * What of this can be seen from outside: jit.util.funcbc() shows the trap opcodes; lua_dump() in C writes them
 * (string.dump does not), and such a dump must not be run; a message of LuaJIT's that names a variable, or a function
 * by the call of it, looks for the name in the bytecode (lj_debug.c: lj_debug_slotname, lj_debug_funcname) and may not
 * find it if the instruction that fetches the value, or the call, is a place.
 */
#ifndef LJINSPECT_TRAP_H
#define LJINSPECT_TRAP_H

#include "engine.h"
#include "vm/vm.h"
#include "wake.h"

/* The stubs' registers, `trap_regs`, and what is done with them. */
#if defined(__aarch64__)
#include "trap_arm64.h"
#else
#include "trap_x64.h"
#endif

/* How the instruction under a trap is executed once the hit was reported. */
typedef enum trap_how {
    TRAP_PLAIN, /* by its handler, with the operands decoded again: it never looks at its own opcode */
    TRAP_STEP, /* its handler may read or rewrite opcodes of this function: they are put back until the next dispatch */
    TRAP_SLOT, /* takes its count from the instruction before, and others must see that it does (lj_dispatch.c:
                   cur_topslot): the byte stays as it is, the opcode's own dispatch slots lead to us */
    TRAP_NEVER /* cannot be trapped */
} trap_how;

typedef struct trap_proto trap_proto;

typedef struct trap_place {
    vm_ins *at;
    trap_proto *proto;
    struct trap_place *next_in_bucket;
    int line;
    uint8_t opcode; /* the program's */
    uint8_t trap;   /* what stands there instead, but for TRAP_SLOT */
    uint8_t how;
    bool report; /* control arrives at `line` here */
    bool mixed;  /* report only if it was not entered from a `mark` of the same line: see trap_place.c */
    bool mark;   /* leave a mark for `mixed` places */
    /* Of a function with hooks on its returns, see trap_calls.c: */
    bool enters;             /* the first instruction */
    bool loops;              /* jumps back to it, perhaps */
    uint8_t leaves;          /* by which return or tail call (a vm_op) the function is left here; 0: it is not */
    const vm_ins *return_at; /* that instruction: this one, or the one that this UCLO leads to */
} trap_place;

/* A function with hooks. */
struct trap_proto {
    vm_proto *pt;
    const char *end; /* of its memory that holds bytecode */
    trap_proto *next_in_bucket;
    trap_place *places;
    uint32_t n_places;
    uint32_t serial;      /* no other entry of this engine has it */
    uint32_t clock;       /* hooks on its returns are in force; no other time at which some were has it. 0: none */
    bool loops;           /* there are jumps back to its first instruction */
    bool was_nojit;       /* the program had switched the JIT off for it */
    uint32_t *old_iloops; /* loops that LuaJIT had given up on before (indices), ascending */
    uint32_t n_old_iloops;
};

typedef struct trap_key {
    char *file;
    size_t file_len;
    int line;
    bool returns;   /* of functions whose code begins on the line */
    unsigned count; /* arms that were not undone */
} trap_key;

/* What is remembered of a frame. */
typedef struct trap_frame {
    const lua_State *L; /* NULL: the slot is empty */
    ptrdiff_t base;     /* from the stack's start: the stack may move */
    union {
        struct { /* the instruction of `mark` kind executed last */
            const trap_proto *proto;
            const vm_ins *at;
            int line;
        } mark;
        struct {            /* see trap_calls.c */
            uint64_t began; /* ticks; 0: not known */
            uint32_t clock; /* the function's, at that time */
            uint8_t loop;
        } call;
    };
} trap_frame;

typedef struct trap_frames {
    trap_frame *list;
    size_t n, cap;
} trap_frames;

typedef struct trap_engine {
    engine base;
    vm v;
    uint8_t trap_plain, trap_fetch; /* ISTYPE; TGETR for what fetches a value: names are searched no further then */

    trap_key *keys;
    size_t n_keys, cap_keys;

    trap_proto **protos; /* hash tables of the same power of two; chained */
    trap_place **places;
    size_t n_protos, n_places, proto_buckets, place_buckets;
    uint32_t last_serial, last_clock;
    uint64_t changes;         /* of `places` */
    unsigned slot_users[256]; /* places of kind TRAP_SLOT by opcode */

    const lua_State *hit_L; /* during a hit: the coroutine, and its frame from the stack's start, which may move */
    ptrdiff_t hit_base;
    bool in_hit;         /* filters or a safepoint run */
    bool closed;         /* by one of them: freed when it returns */
    bool watching_code;  /* between trap_first_hook() and trap_last_hook() */
    bool watch_complete; /* trap_first_hook() came to its end */
    bool flush_due;      /* traces compiled while hooks were armed are to be dropped at the next safepoint */
    bool refresh_due;    /* a disarm could not be finished */

    trap_frames marks, calls;
    engine_return leaving; /* during the hit of a return */
    uint32_t leaving_slot; /* of the first value, from the base */
    uint8_t muted;         /* events of the program's debug hooks that are off while filters run */
    struct {
        bool on, jit;  /* trap_bound() is in force; the compiler was on */
        lua_Hook hook; /* the program's, its count, and how many instructions were left of that */
        int count;
        int32_t left;
        uint16_t hot[64]; /* the hot counters of LuaJIT's compiler */
    } bound;

    struct {
        bool active;
        uint8_t hookmask_off; /* bits of the program's hook mask that are cleared during the step */
        trap_proto *proto;
        const vm_ins *again; /* behind an instruction that may be dispatched twice, from the static slots; or NULL */
        uint8_t mode;        /* dispatch mode when it began */
        uintptr_t slots[VM_SLOTS_MAX], fixed[VM_SLOTS_MAX]; /* what the dynamic and the static slots held */
        /* What leads to us meanwhile: all trap_rearm_stub, all trap_rearm_fixed_stub. */
        uintptr_t rearm[VM_SLOTS_MAX], rearm_fixed[VM_SLOTS_MAX];
    } step;
    struct {
        const lua_State *L; /* a trapped return whose hook call is under way */
        ptrdiff_t base;
        const vm_ins *pc;
    } ret;
    /* What trap_pause() took. It stays valid: a slot that was saved elsewhere meanwhile may come back. */
    struct {
        atomic_bool taken; /* `slots` and `mode` are what was there before */
        uint8_t mode;
        uintptr_t slots[VM_SLOTS_MAX];
    } pause;
    wake_aid wake;
    atomic_bool watching;
    const vm_proto *step_anchor; /* kept alive by the registry since the last step */
    const void *begin;           /* table kept in the registry: objects newer than it came after the first hook */
    const void *sentinel;        /* table kept in the registry: objects newer than it were not searched for code */
} trap_engine;

static inline bool trap_is_trap(const trap_engine *e, uint8_t op) {
    return op == e->trap_plain || op == e->trap_fetch;
}

/* The program's debug hooks do not see what we do (lj_dispatch.c: callhook does the same for the hook itself). Returns
 * what trap_unhush() is to be given. */
static inline bool trap_hush(trap_engine *e) {
    uint8_t *mask = (uint8_t *)e->v.g + e->v.lay->g_hookmask;
    bool was = (*mask & VM_HOOK_ACTIVE) != 0;
    *mask |= VM_HOOK_ACTIVE;
    return was;
}
static inline void trap_unhush(trap_engine *e, bool was) {
    if (!was) *((uint8_t *)e->v.g + e->v.lay->g_hookmask) &= (uint8_t)~VM_HOOK_ACTIVE;
}

/* One instruction becomes another, which the interpreter may execute at this moment. */
static inline void trap_set_opcode(vm_ins *at, uint8_t op) {
    *(volatile uint8_t *)(void *)at = op;
}

enum { TRAP_STACK = LUA_MINSTACK + 24 }; /* slots that a call out needs above the top */

static inline uint8_t trap_mode(const trap_engine *e) {
    return vm_u8(e->v.g, e->v.lay->g_dispatchmode);
}
static inline uint8_t trap_hookmask(const trap_engine *e) {
    return vm_u8(e->v.g, e->v.lay->g_hookmask);
}

void trap_stub(void);
void trap_rearm_stub(void);
void trap_rearm_fixed_stub(void);
void trap_wake_stub(void);
void trap_pause_stub(void);
#define TRAP_STUB ((uintptr_t)&trap_stub)
#define TRAP_REARM_STUB ((uintptr_t)&trap_rearm_stub)
#define TRAP_REARM_FIXED_STUB ((uintptr_t)&trap_rearm_fixed_stub)
#define TRAP_WAKE_STUB ((uintptr_t)&trap_wake_stub)
#define TRAP_PAUSE_STUB ((uintptr_t)&trap_pause_stub)

/* C sides of the stubs: return the handler to go on with. Raise no error. */
uintptr_t trap_enter(trap_regs *r);
uintptr_t trap_rearm(trap_regs *r);
uintptr_t trap_rearm_fixed(trap_regs *r);
uintptr_t trap_wake(trap_regs *r);
uintptr_t trap_paused(trap_regs *r);

/* ---- trap_vms.c: which engine serves a VM, by what the stubs know of it (trap_vm_of()); any thread, no lock for the reader ----------- */
bool trap_vms_add(trap_engine *e);
void trap_vms_remove(trap_engine *e);
trap_engine *trap_vms_find(const void *known);

/* ---- trap_protect.c ----------------------------------------------------------------------------------------------- */

/*
 * An error that is raised and caught leaves the coroutine's status as LUA_OK (lj_err.c: lj_err_throw). In a message
 * handler of xpcall() it is LUA_ERRERR, by which LuaJIT knows that the next error is one within the handler: without it
 * the handler would be called for its own errors, again and again. So it is put back after all that may catch an error.
 */
void trap_set_status(lua_State *L, uint8_t status);
/* Run `body` in lua_cpcall(): the program's debug hooks do not see it, and the status stays. 0, LJINSPECT_ERR_NOMEM or
 * LJINSPECT_ERR_LUA. */
int trap_protect(trap_engine *e, lua_State *L, lua_CFunction body, void *job);

/* ---- trap_place.c: where traps stand in a function -------------------------------------------------------------- */

trap_how trap_how_of(const vm_layout *lay, const vm_ins *code, uint32_t size, uint32_t index);
/* Work out the places of `p` for the lines that `hooked` is true for (relative to the first line), and for its returns
 * where `returns`. The bytecode must be the program's own. 0, or LJINSPECT_ERR_NOMEM, or LJINSPECT_ERR_ENGINE where the function holds code that is not
 * understood; *places is the caller's to free. */
int trap_plan(const trap_engine *e, trap_proto *p, const bool *hooked, bool returns, trap_place **places, uint32_t *n);

/* ---- trap_table.c: hooked functions and their places ------------------------------------------------------------ */

trap_place *trap_find_place(const trap_engine *e, const vm_ins *at);
trap_proto *trap_find_proto(const trap_engine *e, const vm_proto *pt);
/* A function that is not hooked yet, with memory of its own: entries that overlap it are of freed functions. */
void trap_drop_overlapping(trap_engine *e, const vm_proto *pt);
/* Make room for a function. NULL when memory is short. */
trap_proto *trap_add_proto(trap_engine *e, vm_proto *pt);
/* Write the traps of `p`, or take them out. */
void trap_insert(trap_engine *e, trap_proto *p);
void trap_extract(trap_engine *e, trap_proto *p);
/* While the traps of `p` are out: LuaJIT may have rewritten instructions under them. */
void trap_reread(const trap_engine *e, trap_proto *p);
/* Bring the places of a living function in line with the keys. On failure it keeps those it had. */
int trap_replan(trap_engine *e, trap_proto *p);
/* Forget a function. `alive`: its traps are taken out and the JIT may compile it again; else its memory is not touched.
 * */
void trap_drop_proto(trap_engine *e, trap_proto *p, bool alive);
/* True if the function has code on the key's line (begins on it, for returns) and a matching name; _about: the same for a key out of force. */
bool trap_key_matches(const trap_key *k, const vm_proto *pt);
bool trap_key_about(const trap_key *k, const vm_proto *pt);
/* Whether the function's code begins on the line. */
bool trap_begins_on(const vm_proto *pt, int line);
/* Whether a key that is in force matches the function. */
bool trap_wanted(const trap_engine *e, const vm_proto *pt);
/* Make LuaJIT count the loops of a function again that it gave up on, but for the `n` given ones. */
void trap_reenable(const vm_layout *lay, vm_proto *pt, const uint32_t *keep, uint32_t n);

/* See engine.h. */
int trap_is_jump(engine *base, lua_State *L, int func, int pc);
/* ---- trap_frames.c: something remembered per frame --------------------------------------------------------------- */

/* NULL where there is nothing. Valid until the next of the others. */
trap_frame *trap_frames_find(const trap_frames *f, const lua_State *L, ptrdiff_t base);
/* Find or make, all zero but its key. Of frames that an error ended something stays until their place on the stack is
 * used again: all is forgotten before it becomes too much (131,072). NULL where memory is short. */
trap_frame *trap_frames_put(trap_frames *f, const lua_State *L, ptrdiff_t base);
void trap_frames_remove(trap_frames *f, trap_frame *at);
void trap_frames_free(trap_frames *f);

/* ---- trap_marks.c ------------------------------------------------------------------------------------------------- */

/* Whether the frame at hand arrives at the place's line by this instruction; leaves or takes the frame's mark. */
bool trap_arrives(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p);

/* ---- trap_calls.c ------------------------------------------------------------------------------------------------ */

/* The frame at hand executes an instruction of a function with hooks on its returns. */
void trap_calls_pass(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p);
/* It returns: when the call began, 0 where that is not known. */
uint64_t trap_calls_end(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p);
/* Hooks on returns come into force: of calls that have begun it is not known when. Needs one free stack slot. */
void trap_calls_present(trap_engine *e, lua_State *L);

/* ---- trap_hit.c -------------------------------------------------------------------------------------------------- */

/* End a step that is under way. Everything that changes places or slots calls it first: right before, for whatever may run
 * a finalizer or an event handler of the program's may begin another, and an error that LuaJIT swallows leaves it so. */
void trap_step_finish(trap_engine *e);
/* Abort a recording without disturbing the program's hooks. */
void trap_abort_recording(trap_engine *e, lua_State *L);
/* Where the host switched the JIT on again for a function with hooks, in C: keep it from being compiled; a recording that may
 * have seen our opcode is aborted. */
void trap_keep_off(trap_engine *e, lua_State *L, trap_proto *p);
/* Make the state look as a C function called by the current instruction would see it, with `slots` of its frame in use
 * (lj_dispatch.c: lj_dispatch_ins); how many these are where the instruction takes its count from the one before. */
void trap_sync_state(lua_State *L, const trap_regs *r, uint32_t slots);
uint32_t trap_counted_slots(const trap_engine *e, const trap_regs *r);
/* Free stack slots above the top; the stack may move. */
bool trap_have_stack(trap_engine *e, lua_State *L, int slots);

/* See engine.h. */
bool trap_push_locals(engine *base, lua_State *L, int first, int n);
void trap_push_returns(engine *base, lua_State *L, int first, int n);

typedef struct trap_callout {
    const char *source;
    size_t source_len;
    int line; /* 0: a safepoint; with HOOKS_RETURN, a return */
} trap_callout;
/* Call the owner; afterwards the VM is as the interpreter left it (vm_x64.dasc: BC_FUNCC, after the call). */
void trap_call_out(trap_engine *e, lua_State *L, const trap_callout *c);

/* ---- trap_wake.c: bringing a VM to a safepoint ------------------------------------------------------------------- */

/* End a step that is under way and give back the slots of instructions: what takes or gives back the slots of traps
 * calls it first. */
void trap_settle(trap_engine *e);
/* Give back the slots that were taken. */
void trap_unwake(trap_engine *e);
/* Have the next function call of the interpreter lead to a safepoint. Any thread. */
void trap_wake_calls(trap_engine *e);
/* Have the next instruction of the interpreter lead to a safepoint. The VM's own thread, or another's while it sleeps. */
void trap_pause(trap_engine *e);
/* Have each collection look whether a change waits, while watching. Raises nothing. */
void trap_keep_cycle(trap_engine *e, lua_State *L);
bool trap_cycle(void *owner, lua_State *L);

/* ---- trap_bound.c: see engine.h --------------------------------------------------------------------------------- */

bool trap_bound(engine *base, lua_State *L, lua_Hook tick, int count);
void trap_unbound(engine *base, lua_State *L, lua_Hook tick);

/* ---- trap_code.c: finding code. Those that may raise a memory error say so. -------------------------------------- */

/*
 * The registry holds one table per engine, under the engine's address:
 *   PROTOS    weak keys: the hooked functions. One that is missing was freed: its address may be another's by now
 *   ANCHOR    {function}: the one stepped over last, so that a step never ends in freed memory
 *   SENTINEL  a table that was new at the last search; what is in front of it in the list of objects is newer
 *   GIVEN_UP  weak keys: functions of which LuaJIT had given up on a loop when the first hook came
 *   STAND_INS the program's functions that lead to us (trap_stand_in.c)
 *   BEGIN     a table that was new when the first hook came
 */
enum trap_part { TRAP_PROTOS = 1, TRAP_ANCHOR, TRAP_SENTINEL, TRAP_GIVEN_UP, TRAP_STAND_INS, TRAP_BEGIN };
void trap_push_part(trap_engine *e, lua_State *L, int part);
void trap_set_part(trap_engine *e, lua_State *L, int part); /* pops the value; may raise a memory error */
void trap_push_weak_table(lua_State *L);                    /* may raise a memory error */

/* Create and remove the engine's table. May raise a memory error. */
void trap_code_open(trap_engine *e, lua_State *L);
void trap_code_close(trap_engine *e, lua_State *L);
/* Hook the functions that match one of the `n` keys (all that are in force if NULL), of the whole VM or (`fresh`) of what is new since the last
 * search. Returns 0 or an error code, and then has hooked some of them: the caller undoes. Raises nothing. */
int trap_search(trap_engine *e, lua_State *L, const trap_key *keys, size_t n, bool fresh);
/* Find or make the entry of a function; *fresh becomes true if it was made. NULL when memory is short; may raise. */
trap_proto *trap_enlist(trap_engine *e, lua_State *L, vm_proto *pt, bool *fresh);
/* Hook a function that the parser has just finished, if a key matches. Returns 0 or an error code; may raise. */
int trap_hook_parsed(trap_engine *e, lua_State *L, vm_proto *pt);
/* True if the collector has not freed the function. */
bool trap_alive(trap_engine *e, lua_State *L, const trap_proto *p);
/* Forget the functions that were freed. Allocates nothing, so the collector does not run; needs three stack slots. */
void trap_drop_freed(trap_engine *e, lua_State *L);
/* Keep a function alive until the next call. The caller saw to three free stack slots. */
void trap_anchor(trap_engine *e, lua_State *L, const vm_proto *pt);

/* ---- trap_traces.c: dropping compiled code ----------------------------------------------------------------------- */

typedef struct trap_doomed_trace {
    const vm_trace *t;
    uint16_t number, link, root;
    bool doomed;
} trap_doomed_trace;

/* All traces, as found in a walk, and which of them must go. */
typedef struct trap_doomed {
    trap_doomed_trace *traces;
    size_t n, room;
    size_t n_fresh; /* the first of them are as many that came after the first hook; for trap_drop_given_up() */
    bool all;       /* everything must go */
} trap_doomed;

bool trap_doomed_add(trap_doomed *d, const vm_trace *t); /* false when memory is short */
/* Choose those that hold code of `protos` (or, if NULL, those of the first `n_fresh` with which LuaJIT gave up), or lead there. The collector
 * must not have run since they were added. */
void trap_doomed_choose(trap_doomed *d, const vm_layout *lay, vm_proto *const *protos, size_t n);
bool trap_doomed_any(const trap_doomed *d); /* whether some must go */
/* Drop them, or abort a recording. 0, or LJINSPECT_ERR_BUSY where LuaJIT forbids it now. */
int trap_doomed_drop(trap_doomed *d, trap_engine *e, lua_State *L);
void trap_doomed_free(trap_doomed *d);
/* Drop all compiled code; what was compiled since the first hook but ends where LuaJIT gave up. Return as above; the
 * second may raise a memory error. */
int trap_drop_all(trap_engine *e, lua_State *L);
int trap_drop_given_up(trap_engine *e, lua_State *L);

/* ---- trap_events.c: what the program does that concerns traps --------------------------------------------------- */

/* The first hook comes, the last one went. May raise a memory error. */
void trap_first_hook(trap_engine *e, lua_State *L);
void trap_last_hook(trap_engine *e, lua_State *L);
/* Take the compiler's events, or look whether they are still ours. May raise a memory error. */
void trap_watch_code(trap_engine *e, lua_State *L);
/* The engine that serves the VM of L. NULL where it went and could not take with it what leads to it, for want of
 * memory. */
trap_engine *trap_engine_of(lua_State *L);

/* ---- trap_stand_in.c: string.dump, jit.on and jit.off ------------------------------------------------------------ */

/* Stand in for the program's functions, and give them back. The first may raise a memory error, and then has taken some
 * of them. */
void trap_stand_in(trap_engine *e, lua_State *L);
void trap_stand_back(trap_engine *e, lua_State *L);

#endif
