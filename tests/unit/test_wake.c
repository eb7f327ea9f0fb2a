/* When a VM is taken to be at rest: its thread sleeps, and the host has no other that could run it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "emulator.h"
#include "own_threads.h"
#include "sanitizers.h"
#include "wake.h"

static wake_aid wake;
static atomic_bool seen_asleep, stop;

static void sleep_ms(long ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* As a watcher does. */
static void *look(void *own) {
    if (own != NULL) own_thread_begins();
    while (!atomic_load(&stop)) {
        if (wake_asleep(&wake)) atomic_store(&seen_asleep, true);
        sleep_ms(1);
    }
    if (own != NULL) own_thread_ends();
    return NULL;
}

static void *stay(void *own) {
    if (own != NULL) own_thread_begins();
    while (!atomic_load(&stop)) sleep_ms(1);
    if (own != NULL) own_thread_ends();
    return NULL;
}

/* This thread sleeps for a while, beside one that looks and, with `more`, another; true if it was seen to sleep. `own`: the
 * one that looks, and the other, are the library's. */
static bool is_seen_asleep(bool look_own, bool more, bool more_own) {
    static char yes;
    pthread_t first, second;
    assert_true(own_threads_prepare());
    atomic_store(&stop, false);
    if (more) assert_int_equal(pthread_create(&second, NULL, stay, more_own ? &yes : NULL), 0);
    sleep_ms(20); /* it has begun */
    wake_here(&wake);
    atomic_store(&seen_asleep, false);
    assert_int_equal(pthread_create(&first, NULL, look, look_own ? &yes : NULL), 0);
    for (int i = 0; i < 200 && !atomic_load(&seen_asleep); i++) sleep_ms(1);
    atomic_store(&stop, true);
    pthread_join(first, NULL);
    if (more) pthread_join(second, NULL);
    return atomic_load(&seen_asleep);
}

static bool has_other_threads(void) {
#ifdef THREAD_SANITIZER
    print_message("SKIPPED: the thread sanitizer has a thread of its own\n");
    return true;
#else
    return emulator_spoils("a thread that sleeps: the emulator has threads of its own");
#endif
}

static void the_only_thread_of_the_host_is_seen_to_sleep(void **state) {
    (void)state;
    if (has_other_threads()) skip();
    assert_true(is_seen_asleep(true, false, false));
    assert_true(is_seen_asleep(true, true, true));
}

static void where_the_host_has_another_thread_none_is(void **state) {
    (void)state;
    assert_false(is_seen_asleep(true, true, false));
    assert_false(is_seen_asleep(false, false, false));
}

static void threads_of_the_library_are_counted_while_they_run(void **state) {
    uint64_t before, after;
    (void)state;
    assert_int_equal(own_threads(&before), 0);
    (void)is_seen_asleep(true, true, true);
    assert_int_equal(own_threads(&after), 0);
    assert_true(before != after);
}

static void a_child_process_has_none_of_them(void **state) {
    int status;
    (void)state;
    assert_true(own_threads_prepare());
    own_thread_begins();
    pid_t child = fork();
    if (child == 0) {
        uint64_t version;
        _exit((int)own_threads(&version));
    }
    own_thread_ends();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_thread_of_the_host_is_seen_to_sleep),
        cmocka_unit_test(where_the_host_has_another_thread_none_is),
        cmocka_unit_test(threads_of_the_library_are_counted_while_they_run),
        cmocka_unit_test(a_child_process_has_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
