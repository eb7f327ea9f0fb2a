/*
 * Where traps stand, so that there is one hit per arrival at a line.
 *
 * Control arrives at line n when an instruction of it is executed and the one executed before it in the same frame is
 * on another line, or there is none (a call), or it is not earlier in the bytecode (a loop inside the line). A return
 * from a call made on the line is none of these. So an edge p -> i of the control flow is an arrival if line(p) !=
 * line(i) or p >= i, and the function's first instruction is one.
 *
 * An instruction all of whose incoming edges are arrivals reports whenever it is executed. One that is also entered by
 * an edge inside the line (ITERN of a `for` line: from the JMP before the loop, and after each round of the body) must
 * tell the two apart: the sources of the inner edges are trapped too and leave a mark with the frame.
 *
 * A function with hooks on its returns has traps on the instructions that leave it, and on its first one, for the clock
 * (trap_calls.c). Where closures need their upvalues closed, UCLO comes before the return: where it alone leads there the
 * trap is on UCLO, for the parser may have put that return behind all scopes (lj_parse.c: fs_fixup_ret), where no local is
 * active.
 */
#include "trap.h"

#include <ljinspect.h>
#include <stdlib.h>

static bool is_condition(uint8_t op) {
    return op >= VM_ISLT && op <= VM_ISF;
}
static bool takes_count(uint8_t op) {
    return op == VM_CALLM || op == VM_CALLMT || op == VM_RETM || op == VM_TSETM;
}
static int64_t target(const vm_ins *code, uint32_t i) {
    return (int64_t)i + 1 + VM_INS_J(code[i]);
}

/*
 * vm_x64.dasc: every use of PC_OP; vm_arm64.dasc looks at fewer, for there INS holds the opcode we give it. The operators hand their opcode to lj_meta_*, GGET and GSET tell themselves from
 * TGETS and TSETS by it, ISNEXT rewrites itself and its ITERN.
 */
trap_how trap_how_of(const vm_layout *lay, const vm_ins *code, uint32_t size, uint32_t index) {
    uint8_t op = lay->name[VM_INS_OP(code[index])];
    if (takes_count(op)) return TRAP_SLOT;
    if (op == VM_UCLO) {
        int64_t to = target(code, index);
        return to > 0 && to < size && takes_count(lay->name[VM_INS_OP(code[to])]) ? TRAP_SLOT : TRAP_PLAIN;
    }
    if ((op >= VM_ISLT && op <= VM_ISNEP) || op == VM_UNM || (op >= VM_ADDVN && op <= VM_POW) || op == VM_GGET ||
        op == VM_GSET || op == VM_ISNEXT || op == VM_FORI || (op >= VM_BNOT && op <= VM_BSAR)) {
        return TRAP_STEP;
    }
    /* Compiled code, built-in functions, headers, and what we do not know. */
    if (op == VM_JFORI || op == VM_JFORL || op == VM_JITERL || op == VM_JLOOP || op == VM_ISTYPE || op == VM_ISNUM ||
        op == VM_TGETR || op == VM_TSETR || op >= VM_FUNCF || op == VM_OP_UNKNOWN) {
        return TRAP_NEVER;
    }
    return TRAP_PLAIN;
}

/* A condition and the JMP behind it are one: the JMP is never dispatched; so are ITERN and its ITERL. */
static bool is_pair(const vm_layout *lay, vm_ins ins) {
    uint8_t op = lay->name[VM_INS_OP(ins)];
    return is_condition(op) || op == VM_ITERN;
}

/* Successors of instruction i. */
static int successors(const vm_layout *lay, const vm_ins *code, uint32_t i, int64_t to[2]) {
    uint8_t op = lay->name[VM_INS_OP(code[i])];
    if (is_pair(lay, code[i])) {
        to[0] = (int64_t)i + 2;
        to[1] = target(code, i + 1);
        return 2;
    }
    switch (op) {
    case VM_JMP:
    case VM_ISNEXT:
    case VM_UCLO: to[0] = target(code, i); return 1;
    case VM_FORI:
    case VM_FORL:
    case VM_IFORL:
    case VM_ITERL:
    case VM_IITERL:
        to[0] = (int64_t)i + 1;
        to[1] = target(code, i);
        return 2;
    case VM_RET:
    case VM_RET0:
    case VM_RET1:
    case VM_RETM:
    case VM_CALLT:
    case VM_CALLMT: return 0;
    default: to[0] = (int64_t)i + 1; return 1;
    }
}

static bool is_leaving(uint8_t op) {
    return (op >= VM_RETM && op <= VM_RET1) || op == VM_CALLT || op == VM_CALLMT;
}

enum { ARRIVES = 1, STAYS = 2, MARKS = 4, HIDDEN = 8, ENTERS = 16, LOOPS = 32, LEAVES = 64, REACHED = 128 };
enum { PLACES = ARRIVES | MARKS | HIDDEN | ENTERS | LOOPS | LEAVES };

/* Classify the edges into hooked lines. False where the code is not understood. */
static bool classify(const vm_layout *lay, const vm_proto *pt, const bool *hooked, uint8_t *kind) {
    const vm_ins *code = vm_proto_code(pt);
    uint32_t size = vm_proto_size(pt);
    int first = vm_proto_first_line(pt);
    if (size > 1 && hooked[vm_proto_line(pt, 1) - first]) kind[1] |= ARRIVES;
    for (uint32_t i = 1; i < size; i++) {
        int64_t to[2];
        if (trap_how_of(lay, code, size, i) == TRAP_NEVER) return false;
        if (is_pair(lay, code[i]) && i + 1 >= size) return false;
        int n = successors(lay, code, i, to);
        for (int k = 0; k < n; k++) {
            if (to[k] < 1 || to[k] > size) return false;
            if (to[k] == size) continue; /* behind the last instruction: never reached */
            int line = vm_proto_line(pt, (uint32_t)to[k]);
            if (!hooked[line - first]) continue;
            kind[to[k]] |= line != vm_proto_line(pt, i) || i >= to[k] ? ARRIVES : STAYS;
        }
        i += is_pair(lay, code[i]);
    }
    return true;
}

/* The sources of inner edges into mixed instructions, and the ISNEXT of a trapped ITERN, which compares that
 * instruction's opcode with ITERN's (vm_x64.dasc: BC_ISNEXT) and so must be stepped over. */
static void add_sources(const vm_layout *lay, const vm_proto *pt, uint8_t *kind) {
    const vm_ins *code = vm_proto_code(pt);
    uint32_t size = vm_proto_size(pt);
    for (uint32_t i = 1; i < size; i++) {
        int64_t to[2];
        int n = successors(lay, code, i, to);
        for (int k = 0; k < n; k++) {
            if (to[k] <= i || to[k] >= size) continue;
            uint8_t goal = kind[to[k]] & (ARRIVES | STAYS);
            if (goal == (ARRIVES | STAYS) && vm_proto_line(pt, i) == vm_proto_line(pt, (uint32_t)to[k])) {
                kind[i] |= MARKS;
                kind[1] |= HIDDEN; /* an error may have left the mark of an earlier frame */
            }
            if (lay->name[VM_INS_OP(code[i])] == VM_ISNEXT && (goal & ARRIVES) != 0) kind[i] |= HIDDEN;
        }
        i += is_pair(lay, code[i]);
    }
    /* Whatever else may come next takes the mark away. */
    for (uint32_t i = 1; i < size; i++) {
        int64_t to[2];
        int n = (kind[i] & MARKS) != 0 ? successors(lay, code, i, to) : 0;
        for (int k = 0; k < n; k++) {
            if (to[k] < size) kind[to[k]] |= HIDDEN;
        }
        i += is_pair(lay, code[i]);
    }
}

/* Where a function is entered and left. The code is understood: classify(). */
static void add_returns(const vm_layout *lay, const vm_proto *pt, uint8_t *kind) {
    const vm_ins *code = vm_proto_code(pt);
    uint32_t size = vm_proto_size(pt);
    kind[1] |= ENTERS | REACHED;
    for (uint32_t i = 1; i < size; i++) {
        int64_t to[2];
        int n = successors(lay, code, i, to);
        bool back = n > 0 && (to[0] == 1 || (n > 1 && to[1] == 1));
        if (back) kind[i] |= LOOPS;
        for (int k = 0; k < n; k++) {
            if (to[k] >= size) continue;
            if (back) kind[to[k]] |= HIDDEN;
            if (lay->name[VM_INS_OP(code[i])] != VM_UCLO) kind[to[k]] |= REACHED;
        }
        i += is_pair(lay, code[i]);
    }
    for (uint32_t i = 1; i < size; i++) {
        uint8_t op = lay->name[VM_INS_OP(code[i])];
        int64_t to = op == VM_UCLO ? target(code, i) : 0;
        bool by_uclo = to > 0 && to < size && is_leaving(lay->name[VM_INS_OP(code[to])]) && (kind[to] & REACHED) == 0;
        if (by_uclo || (is_leaving(op) && (kind[i] & REACHED) != 0)) kind[i] |= LEAVES;
        i += is_pair(lay, code[i]);
    }
}

/* lj_debug.c: lj_debug_slotname goes back to the instruction that set a slot and must not go past it. TGETR sets one,
 * and lj_debug_funcname takes it for an indexing, as are GGET and TGET*; the others call no metamethod. */
static bool fetches(uint8_t op) {
    return op == VM_MOV || op == VM_NOT || (op >= VM_KSTR && op <= VM_KPRI) || op == VM_UGET || op == VM_FNEW ||
           op == VM_TNEW || op == VM_TDUP || op == VM_GGET || (op >= VM_TGETV && op <= VM_TGETB);
}

static trap_place make_place(const trap_engine *e, trap_proto *p, uint32_t i, uint8_t kind) {
    const vm_layout *lay = e->v.lay;
    vm_ins *code = vm_proto_code(p->pt);
    uint8_t op = lay->name[VM_INS_OP(code[i])];
    trap_place place = {.at = code + i,
                        .proto = p,
                        .line = vm_proto_line(p->pt, i),
                        .opcode = VM_INS_OP(code[i]),
                        .trap = fetches(op) ? e->trap_fetch : e->trap_plain,
                        .how = (uint8_t)trap_how_of(lay, code, vm_proto_size(p->pt), i),
                        .report = (kind & ARRIVES) != 0,
                        .mixed = (kind & (ARRIVES | STAYS)) == (ARRIVES | STAYS),
                        .mark = (kind & MARKS) != 0,
                        .enters = (kind & ENTERS) != 0,
                        .loops = (kind & LOOPS) != 0};
    if ((kind & LEAVES) != 0) {
        place.return_at = op == VM_UCLO ? code + target(code, i) : code + i;
        place.leaves = lay->name[VM_INS_OP(*place.return_at)];
    }
    return place;
}

int trap_plan(const trap_engine *e, trap_proto *p, const bool *hooked, bool returns, trap_place **places, uint32_t *n) {
    const vm_layout *lay = e->v.lay;
    const vm_proto *pt = p->pt;
    uint32_t size = vm_proto_size(pt), count = 0;
    uint8_t *kind = calloc(size + 1, 1);
    *places = NULL;
    *n = 0;
    if (kind == NULL) return LJINSPECT_ERR_NOMEM;
    if (!classify(lay, pt, hooked, kind)) {
        free(kind);
        return LJINSPECT_ERR_ENGINE;
    }
    add_sources(lay, pt, kind);
    if (returns && size > 1) add_returns(lay, pt, kind);
    for (uint32_t i = 1; i < size; i++) count += (kind[i] & PLACES) != 0;
    trap_place *list = calloc(count + 1, sizeof(*list));
    if (list == NULL) {
        free(kind);
        return LJINSPECT_ERR_NOMEM;
    }
    for (uint32_t i = 1; i < size; i++) {
        if ((kind[i] & PLACES) != 0) list[(*n)++] = make_place(e, p, i, kind[i]);
    }
    free(kind);
    *places = list;
    return 0;
}
