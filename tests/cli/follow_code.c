/*
 * follow_code PID ROUNDS: whether remote_ahead() does what the processor does. The process is stopped at some instruction
 * of the interpreter, again and again; a still of it is followed; then the process takes as many steps, and its registers
 * and its memory must be the still's. The process has one thread.
 */
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "../../src/remote/ahead.h"
#include "take_still.h"

enum { STOPS_MAX = 100000 };

static pid_t pid;
static void die(const char *what) {
    perror(what);
    exit(1);
}

static void wait_stop(void) {
    int status;
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) die("the process does not stop");
}

/* asm/ptrace.h: those of x86-64 in the order of its machine code; of arm64 they are in a still's order. */
static void get_registers(__u64 *to) {
    uint64_t words[TARGET_REGS_MAX];
    struct iovec io = {.iov_base = words, .iov_len = sizeof words};
    const union {
        uint64_t number;
        void *pointer;
    } set = {.number = NT_PRSTATUS};
    if (ptrace(PTRACE_GETREGSET, pid, set.pointer, &io) != 0) die("PTRACE_GETREGSET");
    if (TARGET_CPU_HERE == CPU_ARM64) {
        memcpy(to, words, STILL_REGS * sizeof words[0]);
        return;
    }
    static const unsigned char ORDER[] = {10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0};
    memset(to, 0, STILL_REGS * sizeof to[0]);
    for (unsigned i = 0; i < sizeof ORDER; i++) to[i] = words[ORDER[i]];
    to[STILL_IP] = words[16];
    to[STILL_FLAGS] = words[18];
}

/* Whether the process, `followed` steps on, is as the still has it. */
static bool compare(target *t, const remote_still *still, uint64_t from) {
    __u64 now[STILL_REGS];
    bool same = true;
    for (unsigned i = 0; i < still->followed; i++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) die("PTRACE_SINGLESTEP");
        wait_stop();
    }
    get_registers(now);
    target_forget(t);
    for (unsigned i = 0; i <= STILL_IP; i++) {
        if (now[i] == still->reg[i]) continue;
        printf("# from %llx, %u steps: register %u is %llx, not %llx\n", (unsigned long long)from, still->followed, i,
               (unsigned long long)now[i], (unsigned long long)still->reg[i]);
        same = false;
    }
    for (size_t i = 0; i < still->n_written; i++) {
        uint64_t word;
        /* Numbers in SSE registers are not known, and written as zeros. */
        if (!target_u64(t, still->written_at[i], &word) || word == still->written[i] || still->written[i] == 0)
            continue;
        /* Of words below the stack pointer only what was written is known. */
        if (still->written_at[i] < still->sp && (uint32_t)word == still->written[i]) continue;
        printf("# from %llx, %u steps: %llx at %llx, not %llx\n", (unsigned long long)from, still->followed,
               (unsigned long long)word, (unsigned long long)still->written_at[i],
               (unsigned long long)still->written[i]);
        same = false;
    }
    return same;
}

int main(int argc, char **argv) {
    target_error error;
    remote_vms vms;
    if (argc != 3) return 2;
    pid = (pid_t)strtol(argv[1], NULL, 10);
    const unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned followed = 0, left = 0, wrong = 0, longest = 0;
    target *t = target_open(pid, &error);
    if (t == NULL || !remote_find_vms(t, &vms) || vms.n != 1) return 1;
    struct still *s = calloc(1, sizeof *s);
    remote_still *still = malloc(sizeof *still);
    if (s == NULL || still == NULL) return 1;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) die("PTRACE_SEIZE");
    srand(1);
    for (unsigned stops = 0; stops < STOPS_MAX && followed < rounds; stops++) {
        if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) die("PTRACE_INTERRUPT");
        wait_stop();
        target_forget(t);
        get_registers(s->reg);
        if (take_still(t, &vms.list[0], s) && remote_in_interpreter(&vms.list[0], s->reg[STILL_IP]) &&
            remote_still_open(still, target_cpu_of(t), s, sizeof *s)) {
            const target_map *m = target_map_at(t, still->sp);
            if (m != NULL) still->c_stack = m->start, still->c_stack_end = m->end;
            target_show(t, still);
            bool known = remote_ahead(t, &vms.list[0], still);
            target_show(t, NULL);
            followed += known;
            left += !known;
            if (known && still->followed > longest) longest = still->followed;
            if (known && !compare(t, still, s->reg[STILL_IP])) wrong++;
        }
        if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0) die("PTRACE_CONT");
        nanosleep(&(struct timespec){.tv_nsec = rand() % 50000}, NULL);
    }
    printf("# followed %u times, for %u instructions at most, %u of them wrongly; %u times it could not be\n", followed,
           longest, wrong, left);
    remote_free_vms(&vms);
    target_close(t);
    free(s);
    free(still);
    return wrong == 0 && followed >= rounds ? 0 : 1;
}
