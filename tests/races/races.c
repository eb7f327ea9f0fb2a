/*
 * Races: VMs on several threads, which they change, with hooks from C, Lua and hooks files, while files are edited, VMs
 * closed, processes forked; all in an order that a seed gives.
 *
 *   races [--seed N] [--seconds N] [--engine line|trap]
 *
 * It goes in rounds of a second or so. Each begins with nothing of the library at work, and at its end every VM that watches a
 * file must have come to the last state of it, all VMs are closed, and no thread and no descriptor may be left.
 * What is checked all the time: results of the hooked program, the number of hits, what is logged.
 *
 * The choices of each thread depend on the seed, its number and the round alone; how they meet depends on the machine. A failure
 * prints the seed and what each thread chose last. Exit status: 0, or what abort() and the sanitizers give.
 */
#include "races.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pthread_rwlock_t in_lua = PTHREAD_RWLOCK_INITIALIZER;
counts total;
char directory[64];
const char *only_engine;

static uint64_t seed;
static unsigned round_number;
static vm_place vms[VMS];
static history histories[THREADS + 1]; /* the last is the editor's */
static atomic_bool round_over, edits_over;
static atomic_uint through; /* threads that use no VM but their own any more */

/* ---- Choices ---- */

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t next(dice *d) {
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

dice dice_of(uint64_t seed_, uint64_t number) {
    dice d = {.state = seed_ * 0x100000001b3u + number};
    (void)next(&d);
    return d;
}

unsigned throw_dice(dice *d, unsigned n) {
    return (unsigned)(next(d) >> 33) % n;
}

void note_choice(history *h, const char *what, unsigned vm, unsigned with) {
    unsigned i = atomic_load_explicit(&h->n, memory_order_relaxed) % CHOICES;
    atomic_store_explicit(&h->choices[i].what, what, memory_order_relaxed);
    atomic_store_explicit(&h->choices[i].vm, vm, memory_order_relaxed);
    atomic_store_explicit(&h->choices[i].with, with, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->n, 1, memory_order_relaxed);
}

/* ---- Failing ---- */

static void print_choices(void) {
    fprintf(stderr, "races: seed %llu, round %u; the last choices of each thread, the latest last:\n",
            (unsigned long long)seed, round_number);
    for (unsigned t = 0; t <= THREADS; t++) {
        history *h = &histories[t];
        unsigned n = atomic_load(&h->n);
        fprintf(stderr, "  %s, %u choices:", h->name, n);
        for (unsigned i = n > CHOICES ? n - CHOICES : 0; i < n; i++) {
            fprintf(stderr, " %s(%u,%u)", atomic_load(&h->choices[i % CHOICES].what),
                    atomic_load(&h->choices[i % CHOICES].vm), atomic_load(&h->choices[i % CHOICES].with));
        }
        fputc('\n', stderr);
    }
    fflush(stderr);
}

_Noreturn void failed(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("races: FAILED: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

static void on_signal(int signal_) {
    fprintf(stderr, "races: signal %d\n", signal_);
    print_choices();
    signal(signal_, SIG_DFL);
    raise(signal_);
}

/* The sanitizers call this before they end the process (sanitizer/common_interface_defs.h). */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void expect_the_worst(void) {
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(print_choices);
        return; /* they catch the others */
    }
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGILL, on_signal);
}

/* ---- Threads ---- */

static void pause_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *use_vms(void *arg) {
    unsigned number = (unsigned)(uintptr_t)arg;
    dice d = dice_of(seed, (uint64_t)round_number << 8 | number);
    history *h = &histories[number];
    while (!atomic_load(&round_over)) {
        vm_place *p = &vms[throw_dice(&d, VMS)];
        unsigned n = 1 + throw_dice(&d, 12);
        pthread_mutex_lock(&p->lock);
        if (p->L == NULL) vm_open(p, &d);
        while (n-- > 0) {
            vm_act(p, &d, h);
            atomic_fetch_add(&total.actions, 1);
        }
        pthread_mutex_unlock(&p->lock);
    }
    atomic_fetch_add(&through, 1);
    /* The hooks files are as they stay when edits are over. */
    while (!atomic_load(&edits_over) || atomic_load(&through) < THREADS) pause_ms(1);
    for (unsigned i = number; i < VMS; i += THREADS) {
        if (vms[i].L == NULL) continue;
        vm_converge(&vms[i], round_number, h);
        vm_check(vms[i].L);
        note_choice(h, "close", i, 0);
        vm_close(&vms[i]);
    }
    return NULL;
}

static void *edit_files(void *arg) {
    dice d = dice_of(seed, (uint64_t)round_number << 8 | THREADS);
    (void)arg;
    while (!atomic_load(&round_over)) {
        edit(&d, &histories[THREADS]);
        atomic_fetch_add(&total.edits, 1);
        pause_ms(throw_dice(&d, 8));
    }
    return NULL;
}

static void *no_work(void *arg) {
    return arg;
}

/* ---- Rounds ---- */

static int entries(const char *path) {
    DIR *dir = opendir(path);
    int n = 0;
    CHECK(dir != NULL, "%s cannot be read", path);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n;
}

/* Wait for a thread. The others' choices tell where it is stuck. */
static void join(pthread_t thread, const char *what) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2 * DEADLINE_S;
    CHECK(pthread_timedjoin_np(thread, NULL, &until) == 0, "%s did not come to its end", what);
}

typedef struct left {
    int threads, descriptors;
} left;

static left look_around(void) {
    return (left){.threads = entries("/proc/self/task"), .descriptors = entries("/proc/self/fd")};
}

/* One watcher may be kept for a while by those that are to watch across VMs (watch_share.c): a thread with its descriptors. */
static bool nothing_left(const left *before, const left *now) {
    return now->threads <= before->threads + 1 && now->descriptors <= before->descriptors + 3;
}

static void run_round(const left *before, long ms) {
    pthread_t threads[THREADS], editor;
    atomic_store(&round_over, false);
    atomic_store(&edits_over, false);
    atomic_store(&through, 0);
    for (unsigned i = 0; i < VMS; i++) vms[i].number = i;
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, use_vms, (void *)i) == 0, "no thread");
    }
    CHECK(pthread_create(&editor, NULL, edit_files, NULL) == 0, "no thread");
    pause_ms(ms);
    atomic_store(&round_over, true);
    join(editor, "the editor");
    edit_last(round_number);
    atomic_store(&edits_over, true);
    for (unsigned i = 0; i < THREADS; i++) join(threads[i], histories[i].name);

    left now;
    int64_t until = now_ms() + 20000;
    do {
        now = look_around();
        if (nothing_left(before, &now)) return;
        pause_ms(10);
    } while (now_ms() < until);
    failed("with all VMs closed there are %d threads and %d descriptors, before the first %d and %d", now.threads - 2,
           now.descriptors - 2, before->threads - 2, before->descriptors - 2);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv) {
    double seconds = 10;
    seed = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, &end, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(value, &end);
        else if (strcmp(argv[i], "--engine") == 0 && (strcmp(value, "line") == 0 || strcmp(value, "trap") == 0))
            only_engine = value;
        else
            end = argv[i];
        if (end == value || (end != NULL && *end != '\0')) {
            fprintf(stderr, "usage: races [--seed N] [--seconds N] [--engine line|trap]\n");
            return 2;
        }
    }
    printf("races: --seed %llu --seconds %g%s%s\n", (unsigned long long)seed, seconds,
           only_engine != NULL ? " --engine " : "", only_engine != NULL ? only_engine : "");
    fflush(stdout);
    snprintf(directory, sizeof directory, "/tmp/ljinspect-races.XXXXXX");
    CHECK(mkdtemp(directory) != NULL, "no directory in /tmp");
    for (unsigned i = 0; i < THREADS; i++) snprintf(histories[i].name, sizeof histories[i].name, "thread %u", i);
    snprintf(histories[THREADS].name, sizeof histories[THREADS].name, "editor");
    for (unsigned i = 0; i < VMS; i++) pthread_mutex_init(&vms[i].lock, NULL);
    expect_the_worst();
    pthread_t first; /* the thread sanitizer starts one of its own with it */
    CHECK(pthread_create(&first, NULL, no_work, NULL) == 0, "no thread");
    join(first, "the first thread");
    const left before = look_around();
    const int64_t until = now_ms() + (int64_t)(seconds * 1000);
    for (int64_t now = now_ms(); now < until; now = now_ms()) {
        round_number++;
        run_round(&before, now + 1000 < until ? 1000 : (long)(until - now));
    }
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("races: %u rounds, %lu VMs, %lu actions, %lu hits counted, %lu edits, %lu children, %lu VMs came to the "
           "last state\n",
           round_number, total.vms, total.actions, total.hits, total.edits, total.children, total.applied);
    return 0;
}
