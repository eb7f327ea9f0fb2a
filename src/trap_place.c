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
        op == VM_GSET || op == VM_ISNEXT || (op >= VM_BNOT && op <= VM_BSAR)) {
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

enum { ARRIVES = 1, STAYS = 2, MARKS = 4, HIDDEN = 8 };

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

/* lj_debug.c: lj_debug_slotname goes back to the instruction that set a slot and must not go past it. TGETR sets one,
 * and lj_debug_funcname takes it for an indexing, as are GGET and TGET*; the others call no metamethod. */
static bool fetches(uint8_t op) {
    return op == VM_MOV || op == VM_NOT || (op >= VM_KSTR && op <= VM_KPRI) || op == VM_UGET || op == VM_FNEW ||
           op == VM_TNEW || op == VM_TDUP || op == VM_GGET || (op >= VM_TGETV && op <= VM_TGETB);
}

int trap_plan(const trap_engine *e, trap_proto *p, const bool *hooked, trap_place **places, uint32_t *n) {
    const vm_layout *lay = e->v.lay;
    const vm_proto *pt = p->pt;
    vm_ins *code = vm_proto_code(pt);
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
    for (uint32_t i = 1; i < size; i++) count += (kind[i] & (ARRIVES | MARKS | HIDDEN)) != 0;
    trap_place *list = calloc(count + 1, sizeof(*list));
    if (list == NULL) {
        free(kind);
        return LJINSPECT_ERR_NOMEM;
    }
    for (uint32_t i = 1; i < size; i++) {
        if ((kind[i] & (ARRIVES | MARKS | HIDDEN)) == 0) continue;
        list[*n] = (trap_place){.at = code + i,
                                .proto = p,
                                .line = vm_proto_line(pt, i),
                                .opcode = VM_INS_OP(code[i]),
                                .trap = fetches(lay->name[VM_INS_OP(code[i])]) ? e->trap_fetch : e->trap_plain,
                                .how = (uint8_t)trap_how_of(lay, code, size, i),
                                .report = (kind[i] & ARRIVES) != 0,
                                .mixed = (kind[i] & (ARRIVES | STAYS)) == (ARRIVES | STAYS),
                                .mark = (kind[i] & MARKS) != 0};
        (*n)++;
    }
    free(kind);
    *places = list;
    return 0;
}
