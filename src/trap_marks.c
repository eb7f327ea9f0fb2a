/*
 * Marks: was an instruction entered from its own line? (trap_place.c) One per frame that executed an instruction which
 * leaves a mark. Where memory is short, an arrival more is reported.
 */
#include "trap.h"

bool trap_arrives(trap_engine *e, lua_State *L, const trap_regs *r, const trap_place *p) {
    if (e->marks.n == 0 && !p->mark) return p->report;
    ptrdiff_t base = r->base - (char *)vm_ptr(L, VM_L_STACK);
    trap_frame *m = trap_frames_find(&e->marks, L, base);
    bool inner = p->mixed && m != NULL && m->mark.proto == p->proto && m->mark.line == p->line && m->mark.at < p->at;
    if (p->mark) {
        m = trap_frames_put(&e->marks, L, base);
        if (m != NULL) {
            m->mark.proto = p->proto;
            m->mark.at = p->at;
            m->mark.line = p->line;
        }
    } else if (m != NULL) {
        trap_frames_remove(&e->marks, m);
    }
    return p->report && !inner;
}
