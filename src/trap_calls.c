/*
 * When did the call begin that returns? The first instruction of a function with hooks on its returns notes the time
 * with the frame; the return takes the note away. Nothing of this runs Lua.
 *
 * A note must never be taken for that of another call. Frames that an error ended, and coroutines that are never
 * resumed, leave theirs behind, but the next call at that place of the stack writes its own over it: while the hook is in
 * force no call begins without. What was noted before that says so by its `clock`.
 *
 * The first instruction may also be where a loop begins. Then the jumps back to it say in the note that they come
 * (`loop`), and whatever follows them without jumping takes that back (trap_place.c). If an error may have come in between
 * (a comparison that called a metamethod; a debug hook of the program's), it cannot be known whether the instruction was
 * reached by the jump or by a new call: the time is not known then. Nor is it for calls that had begun when the hook came.
 */
#include "ticks.h"
#include "trap.h"

enum { STRAIGHT, JUMPS, MAY_JUMP };

static ptrdiff_t base_of(lua_State *L, const trap_regs *r) {
    return r->base - (char *)vm_ptr(L, VM_L_STACK);
}

/* A note of the frame, new or old; one of another clock counts as new. NULL: no memory, and no note is there. */
static trap_frame *have_note(trap_engine *e, const lua_State *L, ptrdiff_t base, uint32_t clock) {
    trap_frame *f = trap_frames_put(&e->calls, L, base);
    if (f != NULL && f->call.clock != clock) {
        f->call.clock = clock;
        f->call.began = 0;
        f->call.loop = STRAIGHT;
    }
    return f;
}

/* Whether the condition can leave this frame: to a metamethod, or with an error (vm_x64.dasc: what the comparisons do with
 * anything but two numbers or two strings; tables and userdata may have __eq, cdata calls lj_meta_equal_cd). */
static bool may_leave(const vm_layout *lay, const trap_regs *r, const trap_place *p) {
    enum { INTEGER = 13 }; /* lj_obj.h: LJ_TNUMX, of builds with integers */
    const uint64_t *slot = (const uint64_t *)(const void *)r->base;
    uint8_t op = lay->name[p->opcode];
    if (op < VM_ISLT || op > VM_ISNEP) return false;
    int a = vm_type_of(slot[VM_INS_A(*p->at)]);
    if (op >= VM_ISEQS) return a == VM_TYPE_CDATA;
    int d = vm_type_of(slot[VM_INS_D(*p->at)]);
    if (op >= VM_ISEQV) return a == VM_TYPE_CDATA || d == VM_TYPE_CDATA || (a >= VM_TYPE_TABLE && a < INTEGER);
    bool numbers = (a == -1 || a == INTEGER) && (d == -1 || d == INTEGER);
    return !numbers && !(a == VM_TYPE_STRING && d == VM_TYPE_STRING);
}

static void begin(trap_engine *e, lua_State *L, ptrdiff_t base, uint32_t clock) {
    trap_frame *f = have_note(e, L, base, clock);
    if (f == NULL) return;
    if (f->call.loop == STRAIGHT)
        f->call.began = ticks_now();
    else if (f->call.loop == MAY_JUMP)
        f->call.began = 0;
    f->call.loop = STRAIGHT;
}

void trap_calls_pass(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    ptrdiff_t base = base_of(L, r);
    uint32_t clock = p->proto->clock;
    if (p->enters) begin(e, L, base, clock);
    if (p->loops) {
        unsigned hooks = trap_hookmask(e) & (LUA_MASKLINE | LUA_MASKCOUNT);
        trap_frame *f = have_note(e, L, base, clock);
        if (f != NULL) f->call.loop = hooks != 0 || may_leave(e->v.lay, r, p) ? MAY_JUMP : JUMPS;
    } else if (!p->enters && p->proto->loops) {
        trap_frame *f = trap_frames_find(&e->calls, L, base);
        if (f != NULL) f->call.loop = STRAIGHT;
    }
}

uint64_t trap_calls_end(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    trap_frame *f = trap_frames_find(&e->calls, L, base_of(L, r));
    if (f == NULL) return 0;
    uint64_t began = f->call.clock == p->proto->clock ? f->call.began : 0;
    trap_frames_remove(&e->calls, f);
    return began;
}

/* Only the frame that runs may stand at its first instruction; it is below what sets the hook. */
void trap_calls_present(trap_engine *e, lua_State *L) {
    enum { FRAMES_MAX = 200 };
    lua_Debug ar;
    for (int level = 0; level < FRAMES_MAX && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "f", &ar);
        const vm_proto *pt = vm_func_proto(e->v.lay, lua_topointer(L, -1));
        lua_pop(L, 1);
        const trap_proto *p = pt != NULL ? trap_find_proto(e, pt) : NULL;
        if (p == NULL || p->clock == 0) continue;
        ptrdiff_t base = ((ptrdiff_t)(ar.i_ci & 0xffff) + 1) * 8; /* lj_debug.c, lua_getstack: the frame's slot */
        trap_frame *f = trap_frames_find(&e->calls, L, base);
        if (f != NULL && f->call.clock == p->clock) continue;
        f = have_note(e, L, base, p->clock);
        if (f != NULL) f->call.loop = MAY_JUMP;
    }
}
