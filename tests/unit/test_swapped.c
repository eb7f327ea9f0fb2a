/* A thread puts what may be trusted and what may not in each other's place all the time, while the hooks file is read: what
 * may not be trusted is never run. */
#define _GNU_SOURCE
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { SWAPPING_MS = 700, LEAST_READ = 5 };

typedef struct fixture {
    test_dir dir;
    test_log log;
    lua_State *L;
    char one[PATH_MAX], other[PATH_MAX]; /* these change places */
    atomic_bool done;
    atomic_long swaps;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    make_test_dir(&f->dir);
    f->L = new_vm(&f->log);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lua_close(f->L);
    remove_test_dir(&f->dir);
    free(f);
    return 0;
}

static void make_dir(fixture *f, const char *name, mode_t mode) {
    assert_int_equal(mkdir(in_dir(&f->dir, name), 0755), 0);
    assert_int_equal(chmod(in_dir(&f->dir, name), mode), 0);
}

static void *swap(void *arg) {
    fixture *f = arg;
    while (!atomic_load(&f->done)) {
        if (renameat2(AT_FDCWD, f->one, AT_FDCWD, f->other, RENAME_EXCHANGE) == 0) atomic_fetch_add(&f->swaps, 1);
        if (atomic_load(&f->swaps) % 64 != 0) continue;
        /* So long that a reader who has half a processor comes to its end, too, now and then. */
        const struct timespec pause = {.tv_nsec = 1000L * (atomic_load(&f->swaps) / 64 % 8) * 100};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Read `file` while `one` and `other` change places. */
static void read_while_swapping(fixture *f, const char *file, const char *one, const char *other) {
    pthread_t thread;
    snprintf(f->one, sizeof f->one, "%s", in_dir(&f->dir, one));
    snprintf(f->other, sizeof f->other, "%s", in_dir(&f->dir, other));
    if (renameat2(AT_FDCWD, f->one, AT_FDCWD, f->other, RENAME_EXCHANGE) != 0) {
        print_message("SKIPPED: this file system cannot exchange files: %s\n", strerror(errno));
        skip();
    }
    run(f->L, "GOOD, BAD = 0, 0");
    assert_int_equal(ljinspect_watch(f->L, in_dir(&f->dir, file), 60, LJINSPECT_WATCH_POLL), 0);
    assert_int_equal(pthread_create(&thread, NULL, swap, f), 0);
    int64_t end = now_ms() + SWAPPING_MS, limit = now_ms() + DEADLINE_MS;
    while (now_ms() < end || (number(f->L, "GOOD") < LEAST_READ && now_ms() < limit)) {
        forget_log(&f->log);
        ljinspect_poll(f->L);
    }
    atomic_store(&f->done, true);
    pthread_join(thread, NULL);
    print_message("%ld times in each other's place; %g times the one was run, %g times the other\n",
                  atomic_load(&f->swaps), number(f->L, "GOOD"), number(f->L, "BAD"));
    assert_true(atomic_load(&f->swaps) > 100);
    assert_true(number(f->L, "GOOD") >= LEAST_READ);
    assert_int_equal((int)number(f->L, "BAD"), 0);
}

static void write_good(fixture *f, const char *name) {
    write_file(in_dir(&f->dir, name), "GOOD = GOOD + 1");
}

static void write_bad(fixture *f, const char *name) {
    write_file(in_dir(&f->dir, name), "BAD = BAD + 1");
}

static void a_file_that_others_may_write(void **state) {
    fixture *f = *state;
    write_good(f, "hooks.lua");
    write_bad(f, "open.lua");
    assert_int_equal(chmod(in_dir(&f->dir, "open.lua"), 0666), 0);
    read_while_swapping(f, "hooks.lua", "hooks.lua", "open.lua");
}

/* The file itself is anybody's choice: a second name of a file of ours, say. */
static void a_directory_that_others_may_write(void **state) {
    fixture *f = *state;
    make_dir(f, "d", 0755);
    make_dir(f, "open", 0777);
    write_good(f, "d/hooks.lua");
    write_bad(f, "open/hooks.lua");
    read_while_swapping(f, "d/hooks.lua", "d", "open");
}

static void a_directory_further_up_that_others_may_write(void **state) {
    fixture *f = *state;
    make_dir(f, "d", 0755);
    make_dir(f, "d/e", 0755);
    make_dir(f, "open", 0777);
    make_dir(f, "open/e", 0755);
    write_good(f, "d/e/hooks.lua");
    write_bad(f, "open/e/hooks.lua");
    read_while_swapping(f, "d/e/hooks.lua", "d", "open");
}

static void a_link_into_a_directory_that_others_may_write(void **state) {
    fixture *f = *state;
    make_dir(f, "d", 0755);
    make_dir(f, "open", 0777);
    write_good(f, "d/hooks.lua");
    write_bad(f, "open/hooks.lua");
    assert_int_equal(symlink("d", in_dir(&f->dir, "to")), 0);
    assert_int_equal(symlink("open", in_dir(&f->dir, "other")), 0);
    read_while_swapping(f, "to/hooks.lua", "to", "other");
}

static void a_link_to_a_file_in_a_directory_that_others_may_write(void **state) {
    fixture *f = *state;
    make_dir(f, "open", 0777);
    write_good(f, "good.lua");
    write_bad(f, "open/bad.lua");
    assert_int_equal(symlink("good.lua", in_dir(&f->dir, "hooks.lua")), 0);
    assert_int_equal(symlink("open/bad.lua", in_dir(&f->dir, "other")), 0);
    read_while_swapping(f, "hooks.lua", "hooks.lua", "other");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_file_that_others_may_write),
        T(a_directory_that_others_may_write),
        T(a_directory_further_up_that_others_may_write),
        T(a_link_into_a_directory_that_others_may_write),
        T(a_link_to_a_file_in_a_directory_that_others_may_write),
    };
    return cmocka_run_group_tests_name("never run", tests, NULL, NULL);
}
