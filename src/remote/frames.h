/*
 * The frames of a Lua stack, from where a thread stands down to where it was entered (lj_frame.h, lj_debug.c).
 */
#ifndef LJINSPECT_REMOTE_FRAMES_H
#define LJINSPECT_REMOTE_FRAMES_H

#include "proto.h"

enum { REMOTE_OVERLAY = 256, REMOTE_FRAMES_MAX = 65536 };

/* Where a thread stands: the frame on the top of its stack. */
typedef struct remote_where {
    remote_thread thread;
    uint64_t base;
    uint64_t pc; /* of the function there: behind the instruction that runs; 0: not known. A C function has none */
    int vmstate;
    unsigned trace;   /* number of the trace that runs; 0: none */
    bool pc_is_exact; /* `pc` is the instruction itself, not behind it */
    bool pc_is_near;  /* `pc` is in the right function, but another instruction of it may run */
    bool compiled;    /* compiled code runs: `trace_base` is where it was entered */
    uint64_t trace_base;
    /* What frames inside compiled code would have in their slots, from trace_base - 16 on (vms: snapshots). */
    bool has[REMOTE_OVERLAY];
    uint64_t slot[REMOTE_OVERLAY];
} remote_where;

typedef struct remote_frame {
    remote_func func;
    uint64_t frame; /* address of the first slot behind the two of the frame's link */
    uint32_t index; /* instruction that runs, or has called the frame above; 0 and `known` false: not known */
    bool known;
    bool calls_above; /* the frame above was called from here by its instruction, so that it can tell its name */
    bool compiled;    /* runs inside the trace */
    uint64_t varargs; /* address of the frame that holds the arguments of a vararg function; 0: none */
    uint64_t above;   /* address of the slots of the frame above, where this one's end at the latest */
} remote_frame;

typedef struct remote_frames {
    remote_frame *list; /* the innermost first */
    size_t n, max;
    bool cut; /* there are more than were asked for */
} remote_frames;

typedef enum remote_result { REMOTE_OK, REMOTE_BROKEN, REMOTE_NO_MEMORY } remote_result;

/* Walk down; at most `limit` frames are kept. REMOTE_BROKEN where the stack contradicts itself. */
remote_result remote_walk(target *t, const remote_vm *vm, const remote_where *w, size_t limit, remote_frames *out);
void remote_free_frames(remote_frames *frames);

/* A stack slot, as it is or as compiled code would have it. */
bool remote_slot(target *t, const remote_where *where, uint64_t address, uint64_t *value);

#endif
