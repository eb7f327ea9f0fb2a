/*
 * Something whose memory is read from outside: a process, or the core file of one.
 *
 * Whatever is read may be wrong, changing, or made to deceive: who reads checks each length and address, and bounds each
 * walk. Memory is read in pages that are kept until target_forget(), so that related reads are cheap and see one moment.
 * One thread uses a target at a time.
 */
#ifndef LJINSPECT_REMOTE_TARGET_H
#define LJINSPECT_REMOTE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct target target;

typedef enum target_error {
    TARGET_OK,
    TARGET_NO_PROCESS,
    TARGET_NO_PERMISSION,
    TARGET_NO_MEMORY, /* ours */
    TARGET_BAD_FILE,  /* no core file, or of a processor that is not known */
    TARGET_FOREIGN,   /* a process of another kind of processor than ours; of a core, `exe` */
    TARGET_FAILED     /* see errno */
} target_error;

/* A mapping. `path` is "" for anonymous memory; names of the kernel's are in brackets. */
typedef struct target_map {
    uint64_t start, end;
    uint64_t offset; /* in the file */
    bool readable, writable, executable, shared;
    char *path;
} target_map;

/* Kinds of processors. A live process has the kind that this program is built for, a core file may have the other. */
typedef enum target_cpu { CPU_X64, CPU_ARM64, CPU_OTHER } target_cpu;

#if defined(__x86_64__)
#define TARGET_CPU_HERE CPU_X64
#elif defined(__aarch64__)
#define TARGET_CPU_HERE CPU_ARM64
#else
#define TARGET_CPU_HERE CPU_OTHER
#endif

/* Registers that the interpreter keeps its state in (vm_x64.dasc, vm_arm64.dasc), under the names it uses. */
typedef struct target_regs {
    uint64_t ip, sp;
    uint64_t base;  /* BASE: rdx, x19 */
    uint64_t pc;    /* PC: rbx, x21 */
    uint64_t vm;    /* which VM: DISPATCH, r14; GLREG, x22 */
    uint64_t kbase; /* KBASE: r15, x20 */
    uint64_t rb;    /* RB of x86-64: rbp */
    uint64_t lr;    /* of arm64: where to return to, x30; 0: not known */
    uint64_t fp;    /* of arm64: x29 */
} target_regs;

typedef enum thread_state {
    THREAD_GONE,
    THREAD_RUNS,   /* on a processor, or waiting for one */
    THREAD_BLOCKS, /* in a system call; its memory holds still */
    THREAD_STOPPED /* by a signal or a debugger, or in a core file */
} thread_state;

/* Whether processes on this kind of processor are understood: only core files are where they are not. */
bool target_processor_known(void);

/* Open a process. NULL with the reason in `error`. The process goes on. */
target *target_open(pid_t pid, target_error *error);
/* Open a core file; `exe` is the program that left it, or NULL: only what the core lacks is read from it, and from the
 * files the core names. */
target *target_open_core(const char *path, const char *exe, target_error *error);
void target_close(target *t);

target_cpu target_cpu_of(const target *t);
/* Registers as PTRACE_GETREGSET and core files have them (NT_PRSTATUS), `n` words. False where that is too few. */
enum { TARGET_REGS_MAX = 34 };
bool target_regs_from(target_cpu cpu, const uint64_t *words, size_t n, target_regs *regs);

/* The process; of a core file the one it was, or 0. */
pid_t target_pid(const target *t);
bool target_is_core(const target *t); /* or a copy (copy.h): nothing moves */
/* False once the process has ended, also where another has its number by now. */
bool target_lives(target *t);

/* Copy `len` bytes at `from`. False where not all of them can be had. */
bool target_read(target *t, uint64_t from, void *to, size_t len);
/* The same without pages: what is read is not kept. Returns how many bytes were copied. */
size_t target_read_bulk(target *t, uint64_t from, void *to, size_t len);
static inline bool target_u64(target *t, uint64_t from, uint64_t *value) {
    return target_read(t, from, value, sizeof *value);
}
/* False where none of the pages in this range was ever touched; they would read as zeros. `len` is at most 64 MB. */
bool target_touched(target *t, uint64_t from, size_t len);
/* Forget the pages that were read: the next reads see memory as it is then. */
void target_forget(target *t);

/* Until the next call, reads see what a still has as it was then, and fail where that was not copied (still.h). NULL: as it
 * is now. The still is the caller's. */
struct remote_still;
void target_show(target *t, const struct remote_still *still);
/* The lowest address from `at` on whose memory may be read, where a still is shown; else `at` itself. */
uint64_t target_shown_from(const target *t, uint64_t at);

/* From `ms` milliseconds from now on reads fail: what a hostile target makes up may take for ever to follow. 0: no limit. */
void target_limit(target *t, unsigned ms);
/* Whether that time has come. */
bool target_late(const target *t);

/* Mappings, ascending. They are as they were when the target was opened, or at the last call of target_remap(). */
const target_map *target_maps(const target *t, size_t *n);
const target_map *target_map_at(const target *t, uint64_t address);
bool target_remap(target *t);

/* Thread ids, as many as `max`. Returns how many. */
size_t target_threads(target *t, pid_t *ids, size_t max);
/* What the thread does, and where its stack pointer and instruction pointer are when it does not run (else 0). */
thread_state target_thread(target *t, pid_t thread, uint64_t *sp, uint64_t *ip);
/* Something that changes whenever the thread has run. */
bool target_thread_runs(target *t, pid_t thread, uint64_t *count);

/* Stop one thread and get its registers. It must not stay so for long: nothing but reading happens before
 * target_resume(). False with errno where it cannot be stopped: ESRCH where it is gone, EPERM where another
 * debugger has it or it is not ours to stop, ETIMEDOUT where it does not come out of the kernel. In a core file nothing moves, and this only gets registers. */
bool target_stop(target *t, pid_t thread, target_regs *regs);
/* Let it run for `us` microseconds, and stop it again. */
bool target_run_on(target *t, unsigned us, target_regs *regs);
void target_resume(target *t);
/* The longest time in nanoseconds that the thread stood between the last target_stop() and its target_resume(). */
uint64_t target_stopped_ns(const target *t);

#endif
