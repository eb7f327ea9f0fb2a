/*
 * Threads that were stopped to be read go on, whatever happens meanwhile to them or to us. Each case is told on a line;
 * the exit status counts those that failed.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/remote/hold.h"
#include "../../src/remote/target.h"

typedef struct shared {
    atomic_long turns, traps;
    atomic_bool go;
} shared;

static shared *common;
static int failures;

static void check(const char *name, bool ok) {
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    fflush(stdout);
    failures += !ok;
}

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void on_trap(int number) {
    (void)number;
    atomic_fetch_add(&common->traps, 1);
}

static void spin(void) {
    signal(SIGTRAP, on_trap);
    for (;;) atomic_fetch_add(&common->turns, 1);
}

/* A process that runs `body`; it ends with us. */
static pid_t start(void (*body)(void)) {
    memset(common, 0, sizeof *common);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        body();
        _exit(0);
    }
    if (pid < 0) abort();
    return pid;
}

static void end(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static bool turns_within(int ms) {
    long before = atomic_load(&common->turns);
    for (int i = 0; i < ms; i++) {
        if (atomic_load(&common->turns) > before + 1) return true;
        pause_ms(1);
    }
    return false;
}

static target *open_or_die(pid_t pid) {
    target_error error;
    target *t = target_open(pid, &error);
    if (t != NULL) return t;
    printf("# process %d cannot be opened: error %d, %s\n", (int)pid, error, strerror(errno));
    exit(1);
}

/* ---- Signals to us ---- */

static volatile sig_atomic_t got;

static void on_signal(int number) {
    got = number;
}

static void signals_to_us_wait_while_a_thread_stands(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGTSTP, SIGTTOU, SIGHUP};
    bool waited = true, came = true, stood = true;
    pid_t pid = start(spin);
    while (atomic_load(&common->turns) == 0) pause_ms(1);
    target *t = open_or_die(pid);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        target_regs regs;
        signal(numbers[i], on_signal);
        got = 0;
        stood = stood && target_stop(t, pid, &regs);
        raise(numbers[i]);
        waited = waited && got == 0;
        target_resume(t);
        came = came && got == numbers[i];
        signal(numbers[i], SIG_DFL);
    }
    check("a thread can be stopped", stood);
    check("signals to us wait while it stands", waited);
    check("and come when it goes on", came);
    check("it goes on", turns_within(2000));
    target_close(t);
    end(pid);
}

/* ---- Signals to the thread ---- */

static void a_trap_signal_is_passed_on(void) {
    target_regs regs;
    pid_t pid = start(spin);
    while (atomic_load(&common->turns) == 0) pause_ms(1);
    target *t = open_or_die(pid);
    bool stood = target_stop(t, pid, &regs);
    kill(pid, SIGTRAP);
    target_run_on(t, 1000, &regs); /* it stands again: the signal is about to be delivered */
    target_resume(t);
    for (int i = 0; i < 2000 && atomic_load(&common->traps) == 0; i++) pause_ms(1);
    check("SIGTRAP, sent to a thread while it stands, is delivered", stood && atomic_load(&common->traps) == 1);
    target_close(t);
    end(pid);
}

/* ---- A thread that is late ---- */

/* The parent in vfork() does not come out of the kernel before its child is through. */
static void wait_for_child(void) {
    while (!atomic_load(&common->go)) pause_ms(1);
    pid_t child = vfork();
    if (child == 0) {
        pause_ms(800);
        _exit(0);
    }
    spin();
}

static void a_thread_that_stops_late_is_let_go(void) {
    target_regs regs;
    pid_t pid = start(wait_for_child);
    target *t = open_or_die(pid);
    atomic_store(&common->go, true);
    pause_ms(100);
    errno = 0;
    bool stood = target_stop(t, pid, &regs);
    check("a thread deep in the kernel is not waited for", !stood && errno == ETIMEDOUT);
    bool went_on = false;
    for (int i = 0; i < 300 && !went_on; i++) { /* as ljinspect record does between its samples */
        target_lives(t);
        pause_ms(10);
        went_on = atomic_load(&common->turns) > 1;
    }
    check("when it comes to stand after all it is let go", went_on);
    check("and can be stopped again", target_stop(t, pid, &regs));
    target_resume(t);
    target_close(t);
    end(pid);
}

static void a_thread_that_is_late_for_a_hold_is_let_go(void) {
    hold h;
    pid_t pid = start(wait_for_child);
    target *t = open_or_die(pid);
    atomic_store(&common->go, true);
    pause_ms(100);
    bool began = hold_begin(&h, t), missed = began && h.missing > 0;
    if (began) hold_end(&h);
    check("a hold does not wait for a thread deep in the kernel", missed);
    bool went_on = false;
    for (int i = 0; i < 300 && !went_on; i++) { /* busy with something else */
        pause_ms(10);
        went_on = atomic_load(&common->turns) > 1;
    }
    check("which is let go when it comes to stand later", went_on);
    target_close(t);
    end(pid);
}

/* ---- A thread that ends ---- */

static void start_and_wait(void) {
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        spin();
    }
    atomic_store(&common->traps, child);
    waitpid(child, NULL, 0);
}

static void the_end_of_a_thread_that_stands_is_told_to_its_parent(void) {
    target_regs regs;
    int status;
    pid_t parent = start(start_and_wait);
    while (atomic_load(&common->turns) == 0 || atomic_load(&common->traps) == 0) pause_ms(1);
    pid_t pid = (pid_t)atomic_load(&common->traps);
    target *t = open_or_die(pid);
    bool stood = target_stop(t, pid, &regs);
    kill(pid, SIGKILL);
    target_resume(t);
    bool told = false;
    for (int i = 0; i < 300 && !told; i++) {
        target_lives(t);
        told = waitpid(parent, &status, WNOHANG) == parent;
        if (!told) pause_ms(10);
    }
    check("the parent of a process that was killed while it stood hears of it", stood && told);
    target_close(t);
    if (!told) end(parent);
}

int main(void) {
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (common == MAP_FAILED) return 1;
    alarm(60);
    signals_to_us_wait_while_a_thread_stands();
    a_trap_signal_is_passed_on();
    a_thread_that_stops_late_is_let_go();
    a_thread_that_is_late_for_a_hold_is_let_go();
    the_end_of_a_thread_that_stands_is_told_to_its_parent();
    return failures;
}
