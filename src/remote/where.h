/*
 * Where a VM's thread stands right now: its topmost frame and the instruction there.
 */
#ifndef LJINSPECT_REMOTE_WHERE_H
#define LJINSPECT_REMOTE_WHERE_H

#include "traces.h"

typedef enum where_result {
    WHERE_OK,
    WHERE_IDLE,    /* no Lua code runs: the VM waits for its host */
    WHERE_MOVING,  /* between two states: an instruction further on it can be told */
    WHERE_UNKNOWN, /* in something that the interpreter or a trace called in passing: wait until it is back. If it is a
                    * trace, `where` has what can be told: the frame that the trace was entered in */
    WHERE_BROKEN   /* memory contradicts itself */
} where_result;

/* `regs` are those of the thread that runs the VM; NULL, or with only sp and ip, where no others are known. */
where_result remote_where_now(target *t, remote_vm *vm, const target_regs *regs, remote_where *where);

/* Where a thread that does not run stands. */
where_result remote_where_suspended(const remote_thread *thread, remote_where *where);

#endif
