/* What is done at fork() is registered once. A thread of the host may fork just then, and its child must not have it twice: the
 * same lock would be taken twice. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "sink.h"

static test_dir dir;
static atomic_int children, hanging;
static bool is_child;

static void use_all(void) {
    sink *list = NULL;
    int error;
    lua_State *L = luaL_newstate();
    sink *s = sink_open(&list, in_dir(&dir, "lines"), &error);
    if (s != NULL) sink_close(&list, s, true);
    if (L == NULL) return;
    (void)ljinspect_watch(L, in_dir(&dir, "hooks.lua"), 1, LJINSPECT_WATCH_FORK);
    (void)ljinspect_unwatch(L);
    lua_close(L);
}

/* Status 0 if it ended by itself. */
static int wait_for(pid_t child, int ms) {
    int status = 0;
    for (int64_t until = now_ms() + ms; now_ms() < until; sleep_ms(5))
        if (waitpid(child, &status, WNOHANG) == child) return status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return status;
}

static void *fork_now(void *unused) {
    pid_t child = fork();
    if (child == 0) {
        is_child = true;
        use_all();
        pid_t grandchild = fork();
        if (grandchild == 0) _exit(0);
        _exit(wait_for(grandchild, DEADLINE_MS / 2) == 0 ? 0 : 1);
    }
    children++;
    hanging += child < 0 || wait_for(child, DEADLINE_MS) != 0;
    return unused;
}

int __wrap_pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int __real_pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    pthread_t thread;
    int error = __real_pthread_atfork(before, in_parent, in_child);
    if (is_child || before == NULL) return error;
    assert_int_equal(pthread_create(&thread, NULL, fork_now, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return error;
}

static void a_child_of_the_moment_of_registering_can_fork(void **state) {
    (void)state;
#if defined(THREAD_SANITIZER)
    print_message("the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    make_test_dir(&dir);
    write_file(in_dir(&dir, "hooks.lua"), "");
    use_all();
    remove_test_dir(&dir);
    assert_true(children >= 3);
    assert_int_equal(hanging, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_of_the_moment_of_registering_can_fork)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
