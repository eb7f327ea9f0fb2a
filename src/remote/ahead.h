/*
 * Going on where a still ends: what the interpreter does next, worked out from its machine code.
 *
 * Between two instructions of the bytecode, while a function is called or returns, the interpreter's registers belong to
 * neither. A thread that is stopped there is let run on for a moment. A still has no thread: its registers and its stacks
 * are carried on here, instruction by instruction, until the next one of the bytecode begins.
 */
#ifndef LJINSPECT_REMOTE_AHEAD_H
#define LJINSPECT_REMOTE_AHEAD_H

#include "still.h"
#include "vms.h"

/* The target must show the still, which is changed. False where the way cannot be followed: it leads into C, or takes an
 * instruction that is not known here. */
bool remote_ahead(target *t, const remote_vm *vm, remote_still *still);

#endif
