/*
 * emulated SOCKET PID ROUNDS PERCENT FILE: sample a Lua program of arm64 that qemu-user runs, on any machine. The emulator's own
 * interface for debuggers (the remote protocol of gdb, at SOCKET) stops it at any instruction and has its registers; its
 * memory is the emulator's, process PID. Each stop is looked at as the command would look at a thread that stands, and at a
 * still of it; the folded stacks go to FILE. Where a still is followed ahead, the program takes as many steps, and must have
 * the still's registers then. No more than PERCENT of the samples may contradict themselves.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../src/cli/recorder.h"
#include "../../src/remote/ahead.h"
#include "../../src/remote/target_ops.h"
#include "take_still.h"

enum { PACKET = 16384, PSTATE_DIGITS = 8 };

static int line;
static pid_t pid;

static void die(const char *what) {
    fprintf(stderr, "emulated: %s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
    exit(1);
}

/* ---- The emulator's stub ---- */

static void dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (int i = 0; connect(line, (const struct sockaddr *)&address, sizeof address) != 0; i++) {
        if (i == 200) die(path);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

static void send_packet(const char *text) {
    char packet[64];
    unsigned sum = 0;
    for (const char *c = text; *c != '\0'; c++) sum += (unsigned char)*c;
    int n = snprintf(packet, sizeof packet, "$%s#%02x", text, sum & 0xff);
    if (write(line, packet, (size_t)n) != n) die("write");
}

static char next_byte(void) {
    static char bytes[PACKET];
    static ssize_t n, at;
    if (at == n) {
        errno = 0;
        n = read(line, bytes, sizeof bytes);
        at = 0;
        if (n <= 0) die("the emulator is gone");
    }
    return bytes[at++];
}

static const char *receive(void) {
    static char packet[PACKET];
    size_t n = 0;
    char c = 0;
    while (next_byte() != '$') {
    }
    while ((c = next_byte()) != '#' && n + 1 < sizeof packet) packet[n++] = c;
    packet[n] = '\0';
    next_byte();
    next_byte();
    if (write(line, "+", 1) != 1) die("write");
    return packet;
}

static const char *ask(const char *text) {
    send_packet(text);
    return receive();
}

/* It stands: of a signal, or of a step. */
static void expect_stop(const char *reply) {
    if (reply[0] != 'T' && reply[0] != 'S') {
        errno = 0;
        die(reply);
    }
}

static void take_step(void) {
    expect_stop(ask("s"));
}

/* Little-endian, in hexadecimal digits: x0 to x30, sp, pc, and the flags in half a word. */
static void get_registers(__u64 *to) {
    const char *text = ask("g");
    size_t len = strlen(text);
    for (unsigned i = 0; i < STILL_REGS; i++) {
        const unsigned digits = i == STILL_FLAGS ? PSTATE_DIGITS : 16;
        if (len < digits) die("registers");
        to[i] = 0;
        for (unsigned k = 0; k < digits; k += 2) {
            const char two[3] = {text[k], text[k + 1], '\0'};
            to[i] |= (__u64)strtoul(two, NULL, 16) << 4 * k;
        }
        text += digits;
        len -= digits;
    }
}

/* Let it run for some time, and stop it: at the end of what the emulator has translated in one piece. */
static void run_for(long ns) {
    send_packet("c");
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    if (kill(pid, SIGUSR1) != 0) die("kill");
    expect_stop(receive());
}

/* Some instructions further on from there. */
static void run_and_stop(void) {
    run_for(rand() % 2000000);
    for (int steps = rand() % 8; steps > 0; steps--) take_step();
}

/* ---- As a target ---- */

static size_t read_memory(target *t, uint64_t from, void *to, size_t len) {
    struct iovec here = {.iov_base = to, .iov_len = len}, there = {.iov_len = len};
    (void)t;
    memcpy(&there.iov_base, &from, sizeof from);
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
    return n > 0 ? (size_t)n : 0;
}

static bool touched(target *t, uint64_t from, size_t len) {
    (void)t;
    (void)from;
    (void)len;
    return true;
}

static bool yes(target *t) {
    (void)t;
    return true;
}

/* What the program may execute, the emulator may read. */
static bool remap(target *t) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    if (!target_read_maps(t, path)) return false;
    for (size_t i = 0; i < t->n_maps; i++) t->maps[i].executable = t->maps[i].readable && !t->maps[i].writable;
    return true;
}

static size_t threads(target *t, pid_t *ids, size_t max) {
    (void)t;
    if (max > 0) ids[0] = pid;
    return max > 0 ? 1 : 0;
}

static thread_state runs(target *t, pid_t thread, uint64_t *sp, uint64_t *ip) {
    (void)t;
    (void)thread;
    *sp = *ip = 0;
    return THREAD_RUNS;
}

static bool counts(target *t, pid_t thread, uint64_t *count) {
    (void)t;
    (void)thread;
    *count = 0;
    return true;
}

static bool stop(target *t, pid_t thread, target_regs *regs) {
    __u64 words[STILL_REGS];
    uint64_t copy[STILL_REGS];
    (void)t;
    (void)thread;
    get_registers(words);
    memcpy(copy, words, sizeof copy);
    return target_regs_from(CPU_ARM64, copy, STILL_REGS, regs);
}

static bool run_on(target *t, unsigned us, target_regs *regs) {
    for (unsigned i = 0; i < 8 * us; i++) take_step();
    return stop(t, pid, regs);
}

static void nothing(target *t) {
    (void)t;
}

static const target_ops EMULATED = {.read = read_memory,
                                    .touched = touched,
                                    .lives = yes,
                                    .remap = remap,
                                    .threads = threads,
                                    .thread = runs,
                                    .thread_runs = counts,
                                    .stop = stop,
                                    .run_on = run_on,
                                    .resume = nothing,
                                    .close = nothing};

/* ---- Following ---- */

static unsigned followed, wrong;

/* Take the steps that a still was followed, and compare. Numbers in floating-point registers are written as zeros. */
static void compare(target *t, const remote_still *still, uint64_t from) {
    __u64 now[STILL_REGS];
    bool same = true;
    for (unsigned i = 0; i < still->followed; i++) take_step();
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
        /* Of words below the stack pointer only what was written is known. */
        if (still->written_at[i] < still->sp && target_u64(t, still->written_at[i], &word) &&
            (uint32_t)word == (uint32_t)still->written[i])
            continue;
        if (still->written[i] == 0 || !target_u64(t, still->written_at[i], &word) || word == still->written[i])
            continue;
        printf("# from %llx, %u steps: %llx at %llx, not %llx\n", (unsigned long long)from, still->followed,
               (unsigned long long)word, (unsigned long long)still->written_at[i],
               (unsigned long long)still->written[i]);
        same = false;
    }
    followed++;
    wrong += !same;
}

/* ---- Sampling ---- */

static void follow(target *t, const remote_vm *vm, remote_still *still) {
    const target_map *m = target_map_at(t, still->sp);
    const uint64_t from = still->reg[STILL_IP];
    if (m != NULL) still->c_stack = m->start, still->c_stack_end = m->end;
    target_show(t, still);
    bool known = remote_in_interpreter(vm, from) && remote_ahead(t, vm, still);
    target_show(t, NULL);
    if (known) compare(t, still, from);
}

/* Where a sample that contradicts itself was taken. */
static void tell(target *t, const remote_vm *vm, const __u64 *reg) {
    remote_state state = {0};
    remote_thread th = {0};
    remote_read_state(t, vm, &state);
    remote_read_thread(t, vm, state.current, &th);
    printf("# inconsistent: interpreter %+lld, lr %+lld, %lld bytes below its frame, VM state %d\n",
           (long long)(reg[STILL_IP] - vm->code_low), (long long)(reg[30] - vm->code_low),
           (long long)(th.cframe - reg[STILL_ARM64_SP]), state.vmstate);
}

static sample_result one_round(target *t, remote_vm *vm, recorder *r, unsigned round, remote_sample *sample) {
    static struct still record;
    static remote_still still;
    run_and_stop();
    target_forget(t);
    get_registers(record.reg);
    if (round % 2 == 0) {
        sample_result result = recorder_sample(r, t, vm, false, sample);
        if (result == SAMPLE_INCONSISTENT) tell(t, vm, record.reg);
        return result;
    }
    if (!take_still(t, vm, &record) || !remote_still_open(&still, CPU_ARM64, &record, sizeof record))
        return SAMPLE_IDLE;
    sample_result result = recorder_still(r, t, vm, &still, sample);
    if (result == SAMPLE_INCONSISTENT) tell(t, vm, record.reg);
    if (remote_still_open(&still, CPU_ARM64, &record, sizeof record)) follow(t, vm, &still);
    return result;
}

/* Until there is one VM, and functions of the program run in it. */
static bool wait_begun(target *t, remote_vms *vms, remote_sample *sample) {
    enum { TRIES = 100, FRAMES = 3, NS = 100000000 };
    const sample_options options = {.max_frames = 100};
    for (int i = 0; i < TRIES; i++) {
        run_for(NS);
        if (!remap(t)) return false;
        target_forget(t);
        remote_free_vms(vms);
        if (!remote_find_vms(t, vms)) return false;
        if (vms->n == 1 && remote_sample_vm(t, &vms->list[0], &options, sample) == SAMPLE_OK &&
            sample->stack[0].frames.n >= FRAMES)
            return true;
    }
    return false;
}

int main(int argc, char **argv) {
    profile p;
    static remote_sample sample;
    remote_vms vms = {0};
    if (argc != 6) return 2;
    pid = (pid_t)strtol(argv[2], NULL, 10);
    const unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
    const unsigned long percent = strtoul(argv[4], NULL, 10);
    target *t = target_new(&EMULATED, pid);
    if (t == NULL || !profile_init(&p)) die("memory");
    recorder *r = recorder_new(&p);
    if (r == NULL) die("memory");
    t->cpu = CPU_ARM64;
    srand(1);
    dial(argv[1]);
    if (!wait_begun(t, &vms, &sample)) die("the program does not begin");
    for (unsigned i = 0; i < rounds; i++) {
        if (i % 100 == 0) remap(t);
        sample_result result = one_round(t, &vms.list[0], r, i, &sample);
        if (result == SAMPLE_NO_MEMORY) die("memory");
    }
    const recorder_counts counted = *recorder_count(r), *c = &counted;
    printf("# %llu samples, %llu inconsistent, %llu of compiled code without a line; followed %u times, %u of them "
           "wrongly\n",
           (unsigned long long)c->good, (unsigned long long)c->inconsistent, (unsigned long long)c->no_line, followed,
           wrong);
    FILE *out = fopen(argv[5], "w");
    if (out == NULL || !profile_write_folded(&p, out) || fclose(out) != 0) die(argv[5]);
    kill(pid, SIGKILL);
    recorder_free(r);
    profile_free(&p);
    remote_free_sample(&sample);
    remote_free_vms(&vms);
    target_close(t);
    return wrong == 0 && 100 * c->inconsistent <= percent * (c->good + c->inconsistent) ? 0 : 1;
}
