/*
 * A still: what a thread's stacks and registers held at one moment, as the kernel copied it (../bpf/still.h). It is read as
 * part of its target (target_show), so that whatever looks at a thread that stands can look at one that ran on.
 */
#ifndef LJINSPECT_REMOTE_STILL_H
#define LJINSPECT_REMOTE_STILL_H

#include "../bpf/still.h"
#include "target.h"

enum { STILL_PIECES = 192, STILL_WRITES = 64 };

typedef struct remote_piece {
    uint64_t address, end;
    uint64_t whole, whole_end; /* what it is a piece of */
    const unsigned char *bytes;
} remote_piece;

typedef struct remote_still {
    target_cpu cpu;
    unsigned vm; /* number in the list that the kernel was given */
    pid_t thread;
    uint64_t reg[STILL_REGS];
    uint64_t sp; /* as it was, whatever becomes of the registers */
    remote_piece piece[STILL_PIECES];
    size_t n;
    uint64_t c_stack, c_stack_end; /* all of it, so that nothing there is read as it is now */
    /* Who follows the thread's code: how many instructions, and what words they have written. */
    unsigned followed;
    uint64_t written_at[STILL_WRITES], written[STILL_WRITES];
    size_t n_written;
} remote_still;

/* Take a record of such a processor apart; it stays where it is. False where it is none. */
bool remote_still_open(remote_still *s, target_cpu cpu, const void *record, size_t size);
void remote_still_regs(const remote_still *s, target_regs *regs);

typedef enum still_result { STILL_ELSEWHERE, STILL_READ, STILL_NOT_COPIED } still_result;
still_result remote_still_read(const remote_still *s, uint64_t from, void *to, size_t len);
/* The lowest address from `at` on that is not one that was not copied. */
uint64_t remote_still_next(const remote_still *s, uint64_t at);
/* Write `len` bytes, 8 at most. False where nothing was copied, or there is no room. */
bool remote_still_write(remote_still *s, uint64_t to, uint64_t value, size_t len);

#endif
