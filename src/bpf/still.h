/*
 * What the kernel's side of `ljinspect record` sends: a still of a thread, taken in the interrupt that found it running.
 * It holds the registers and a copy of whatever memory changes while the thread runs and tells where it stands.
 */
#ifndef LJINSPECT_BPF_STILL_H
#define LJINSPECT_BPF_STILL_H

#include <linux/types.h>

enum {
    STILL_VMS = 256,         /* of a process, at most */
    STILL_PIECE_MAX = 65536, /* bytes of one piece */
    STILL_DATA = 98304       /* where no further piece begins */
};

/* Registers in the order that machine code numbers them: 16 of x86-64, the stack pointer among them; of arm64 x0 to x30
 * and the stack pointer. Then these. */
enum { STILL_IP = 32, STILL_FLAGS, STILL_REGS };
enum { STILL_X64_BASE = 2, STILL_X64_SP = 4, STILL_ARM64_BASE = 19, STILL_ARM64_SP = 31 };

/* Pieces lie one behind the other, each with this before it; all are multiples of 8. */
struct still_piece {
    __u64 address, len;
    __u64 start, end; /* of what it is a piece of: what else lies there was not copied */
};

/* What is sent ends with the `used` bytes of `data`. */
struct still {
    __u32 vm;     /* number in the list */
    __u32 thread; /* id in the process's own namespace */
    __u32 used;
    __u32 missed; /* pieces that could not be read, or had no room */
    __u64 reg[STILL_REGS];
    __u8 data[STILL_DATA + sizeof(struct still_piece) + STILL_PIECE_MAX];
};

struct still_vm {
    __u64 main, g;
    __u64 table, table_end; /* what is counted for hot loops, and the dispatch table */
    __u64 heap, heap_end;   /* the mapping that `main` lies in */
    __u32 cur_l, jit_base;  /* offsets in global_State */
    __u32 g_bytes;          /* of global_State */
};

/* The process, as its own namespace of processes has it. */
struct still_config {
    __u64 namespace_device, namespace_inode;
    __u32 process, vms;
};

/* Counted for each processor. */
enum { STILL_OUTSIDE, STILL_LOST, STILL_COUNTS };

#endif
