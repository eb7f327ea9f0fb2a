/*
 * Opcodes by the names of lj_bc.h, and the fields of an instruction. The numbers are learned (vm_ops.c).
 */
#ifndef LJINSPECT_VM_OPS_H
#define LJINSPECT_VM_OPS_H

#include <stdint.h>

/* In lj_bc.h's order, which the engine relies on for ranges (VM_ADDVN to VM_MODNV); bit operators since 2026 only. */
/* clang-format off */
#define VM_OPS(X)                                                                             \
    /* Comparisons and tests */                                                               \
    X(ISLT)   X(ISGE)   X(ISLE)   X(ISGT)                                                     \
    X(ISEQV)  X(ISNEV)  X(ISEQS)  X(ISNES)  X(ISEQN)  X(ISNEN)  X(ISEQP)  X(ISNEP)            \
    X(ISTC)   X(ISFC)   X(IST)    X(ISF)    X(ISTYPE) X(ISNUM)                                \
    /* Operators */                                                                           \
    X(MOV)    X(NOT)    X(UNM)    X(LEN)                                                      \
    X(ADDVN)  X(SUBVN)  X(MULVN)  X(DIVVN)  X(MODVN)                                          \
    X(ADDNV)  X(SUBNV)  X(MULNV)  X(DIVNV)  X(MODNV)                                          \
    X(ADDVV)  X(SUBVV)  X(MULVV)  X(DIVVV)  X(MODVV)                                          \
    X(POW)    X(CAT)                                                                          \
    /* Constants, upvalues, functions */                                                      \
    X(KSTR)   X(KCDATA) X(KSHORT) X(KNUM)   X(KPRI)   X(KNIL)                                 \
    X(UGET)   X(USETV)  X(USETS)  X(USETN)  X(USETP)  X(UCLO)   X(FNEW)                       \
    /* Tables */                                                                              \
    X(TNEW)   X(TDUP)   X(GGET)   X(GSET)                                                     \
    X(TGETV)  X(TGETS)  X(TGETB)  X(TGETR)                                                    \
    X(TSETV)  X(TSETS)  X(TSETB)  X(TSETM)  X(TSETR)                                          \
    /* Calls and returns */                                                                   \
    X(CALLM)  X(CALL)   X(CALLMT) X(CALLT)  X(ITERC)  X(ITERN)  X(VARG)   X(ISNEXT)           \
    X(RETM)   X(RET)    X(RET0)   X(RET1)                                                     \
    /* Loops: counting, given up on (I), compiled (J) */                                      \
    X(FORI)   X(JFORI)                                                                        \
    X(FORL)   X(IFORL)  X(JFORL)                                                              \
    X(ITERL)  X(IITERL) X(JITERL)                                                             \
    X(LOOP)   X(ILOOP)  X(JLOOP)                                                              \
    X(JMP)                                                                                    \
    /* Bit operators */                                                                       \
    X(BNOT)   X(BAND)   X(BOR)    X(BXOR)   X(BSHL)   X(BSHR)   X(BSAR)                       \
    /* Function headers */                                                                    \
    X(FUNCF)  X(IFUNCF) X(JFUNCF) X(FUNCV)  X(IFUNCV) X(JFUNCV) X(FUNCC)  X(FUNCCW)
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

#endif
