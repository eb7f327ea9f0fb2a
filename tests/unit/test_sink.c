/* Files that lines are written to by a thread of its own. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "sink.h"

/* A lock of the C library that a forked child does not get back: the sink's thread is not to take it. */
struct tm *__wrap_gmtime_r(const time_t *when, struct tm *tm);
struct tm *__real_gmtime_r(const time_t *when, struct tm *tm);
size_t __wrap_strftime(char *text, size_t size, const char *format, const struct tm *tm);
size_t __real_strftime(char *text, size_t size, const char *format, const struct tm *tm);
static pthread_t main_thread;
static atomic_int locked_elsewhere;
struct tm *__wrap_gmtime_r(const time_t *when, struct tm *tm) {
    locked_elsewhere += !pthread_equal(pthread_self(), main_thread);
    return __real_gmtime_r(when, tm);
}
size_t __wrap_strftime(char *text, size_t size, const char *format, const struct tm *tm) {
    locked_elsewhere += !pthread_equal(pthread_self(), main_thread);
    return __real_strftime(text, size, format, tm);
}

/* A disk that does not answer. */
ssize_t __wrap_writev(int fd, const struct iovec *parts, int n);
ssize_t __real_writev(int fd, const struct iovec *parts, int n);
static atomic_bool stuck;
ssize_t __wrap_writev(int fd, const struct iovec *parts, int n) {
    while (stuck) sleep_ms(1);
    return __real_writev(fd, parts, n);
}

/* More thread-local storage than the stack that a sink's thread asks for: the C library takes it out of that. */
static __thread volatile char wide[512 * 1024];

static test_dir dir;

static int setup(void **state) {
    (void)state;
    make_test_dir(&dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_test_dir(&dir);
    return 0;
}

/* The whole of a file, to be freed. */
static char *contents(const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return calloc(1, 1);
    assert_int_equal(fstat(fd, &st), 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    assert_int_equal(n, st.st_size);
    close(fd);
    return text;
}

static void assert_holds(const char *path, const char *expected) {
    char *text = contents(path);
    assert_string_equal(text, expected);
    free(text);
}

static sink *open_one(sink **list, const char *path) {
    int error = 0;
    sink *s = sink_open(list, path, &error);
    if (s == NULL) fail_msg("%s: %s", path, strerror(error));
    return s;
}

static bool put(sink *s, const char *line) {
    return sink_write(s, line, strlen(line));
}

/* Wait for an error of the sink. */
static int error_of(sink *s) {
    int error = 0;
    for (int64_t until = now_ms() + DEADLINE_MS; error == 0 && now_ms() < until; sleep_ms(1)) error = sink_error(s);
    return error;
}

static void lines_come_to_the_file_in_order(void **state) {
    (void)state;
    wide[0] = 1;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    assert_true(put(s, "one") && put(s, "") && put(s, "three"));
    assert_true(sink_flush(s, DEADLINE_MS));
    assert_holds(in_dir(&dir, "a"), "one\n\nthree\n");
    struct stat st;
    assert_int_equal(stat(in_dir(&dir, "a"), &st), 0);
    assert_int_equal(st.st_mode & 07, 0); /* not for others */
    sink_close(&list, s, true);
    assert_null(list);
}

static void closing_writes_what_is_left(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    for (int i = 0; i < 1000; i++) assert_true(put(s, "0123456789"));
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a"));
    assert_int_equal(strlen(text), 11000);
    free(text);
}

static void one_path_is_one_thread_however_many_hooks(void **state) {
    (void)state;
    sink *list = NULL, *a = open_one(&list, in_dir(&dir, "a")), *b = open_one(&list, in_dir(&dir, "b"));
    assert_ptr_equal(open_one(&list, in_dir(&dir, "a")), a);
    assert_ptr_not_equal(a, b);
    sink_close(&list, a, true);
    assert_true(put(a, "still open"));
    sink_close(&list, a, true);
    sink_close(&list, b, true);
    assert_null(list);
    assert_holds(in_dir(&dir, "a"), "still open\n");
}

/* The ring goes round many times, with lines of all lengths; none is torn, none lost but those reported. */
static void what_does_not_fit_is_dropped_and_counted(void **state) {
    (void)state;
    enum { LINES = 200000 };
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    char line[256];
    int dropped = 0;
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%d %.*s.", i, i % 200,
                         "........................................................................................"
                         "........................................................................................"
                         "........................................");
        dropped += !sink_write(s, line, (size_t)n);
    }
    assert_true(sink_flush(s, DEADLINE_MS));
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a")), *next;
    int seen = 0, last = -1, told = 0;
    for (char *at = text; *at != '\0'; at = next + 1) {
        next = strchr(at, '\n');
        assert_non_null(next);
        *next = '\0';
        char *told_at = strstr(at, " lines dropped");
        if (told_at != NULL) {
            while (told_at[-1] != ' ') told_at--;
            told += atoi(told_at);
            continue;
        }
        int i = atoi(at);
        assert_true(i > last && i < LINES && next[-1] == '.');
        assert_int_equal(strchr(at, ' ') + 1 + i % 200 + 1 - next, 0);
        last = i;
        seen++;
    }
    free(text);
    assert_int_equal(seen + dropped, LINES);
    assert_int_equal(told, dropped);
}

static void a_line_longer_than_half_the_ring_is_dropped(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    char *line = malloc(SINK_RING_BYTES);
    assert_non_null(line);
    memset(line, 'x', SINK_RING_BYTES);
    assert_false(sink_write(s, line, SINK_RING_BYTES));
    assert_false(sink_write(s, line, SINK_RING_BYTES / 2));
    assert_true(sink_write(s, line, SINK_RING_BYTES / 2 - 1));
    free(line);
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a"));
    assert_non_null(strstr(text, " 2 lines dropped\n"));
    free(text);
    assert_int_equal(locked_elsewhere, 0); /* it has told a time */
}

static void a_file_that_is_moved_away_is_made_anew(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    assert_true(put(s, "first"));
    assert_true(sink_flush(s, DEADLINE_MS));
    assert_int_equal(rename(in_dir(&dir, "a"), in_dir(&dir, "a.1")), 0);
    sleep_ms(1100); /* sink.c, REOPEN_MS */
    assert_true(put(s, "second"));
    sink_close(&list, s, true);
    assert_holds(in_dir(&dir, "a.1"), "first\n");
    assert_holds(in_dir(&dir, "a"), "second\n");
}

static void what_is_no_plain_file_is_refused(void **state) {
    (void)state;
    sink *list = NULL;
    write_file(in_dir(&dir, "target"), "");
    assert_int_equal(symlink(in_dir(&dir, "target"), in_dir(&dir, "link")), 0);
    assert_int_equal(mkfifo(in_dir(&dir, "fifo"), 0600), 0);
    static const struct {
        const char *name;
        int error;
    } cases[] = {{"link", ELOOP}, {"fifo", ENXIO}, {"no/such/folder", ENOENT}, {".", EISDIR}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sink *s = open_one(&list, in_dir(&dir, cases[i].name));
        put(s, "x");
        assert_int_equal(error_of(s), cases[i].error);
        put(s, "x");
        assert_true(sink_flush(s, DEADLINE_MS));
        assert_int_equal(sink_error(s), 0); /* told once */
        sink_close(&list, s, true);
    }
    assert_holds(in_dir(&dir, "target"), "");
}

/* Put what the file has no room for. */
static void put_where_bytes_fit(sink *s, rlim_t bytes, const char *text) {
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(put(s, text));
    int error = error_of(s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(error, EFBIG);
}

/* A file that may not grow: the line that was cut is followed by a new line once there is room. */
static void a_full_disk_costs_lines_and_tears_no_later_ones(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    put_where_bytes_fit(s, 10, "0123456789abcdef");
    put(s, "later");
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a"));
    assert_int_equal(strncmp(text, "0123456789\n", 11), 0);
    assert_non_null(strstr(text, "\nlater\n"));
    assert_non_null(strstr(text, " 1 lines dropped\n"));
    free(text);
}

/* Only what is not in the file counts: the disk was full after the first line of a batch. */
static void lines_before_the_disk_was_full_are_not_dropped(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    put_where_bytes_fit(s, 12, "first\n{\"n\":2}\nthird"); /* together, so that they are written together */
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a"));
    assert_int_equal(strncmp(text, "first\n{\"n\":2\n", 13), 0);
    assert_non_null(strstr(text, "Z warn 1 lines dropped\n"));
    assert_non_null(strstr(text, "Z\",\"dropped\":1}\n"));
    free(text);
}

/* Whoever reads the lines of one kind is told how many of these were lost, in a line of that kind. */
static void drops_are_told_in_the_way_of_what_was_dropped(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    char *line = malloc(SINK_RING_BYTES);
    assert_non_null(line);
    memset(line, 'x', SINK_RING_BYTES);
    for (int i = 0; i < 5; i++) {
        *line = i < 2 ? '{' : 'x';
        assert_false(sink_write(s, line, SINK_RING_BYTES));
    }
    free(line);
    sink_close(&list, s, true);
    char *text = contents(in_dir(&dir, "a")), *json = strstr(text, "{\"v\":1,\"time\":\"");
    assert_non_null(strstr(text, "Z warn 3 lines dropped\n"));
    assert_non_null(json);
    assert_non_null(strstr(json, "Z\",\"dropped\":2}\n"));
    free(text);
}

/* A program that never pauses: lines come at every look into the ring. */
static void drops_are_told_while_lines_go_on(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    char *line = calloc(1, SINK_RING_BYTES), *text = NULL;
    bool told = false;
    assert_non_null(line);
    memset(line, 'x', SINK_RING_BYTES - 1);
    assert_true(put(s, "first"));
    assert_false(sink_write(s, line, SINK_RING_BYTES));
    for (int64_t until = now_ms() + DEADLINE_MS; !told && now_ms() < until;) {
        for (int64_t pause = now_ms() + 100; now_ms() < pause; sleep_ms(1)) put(s, "more");
        text = contents(in_dir(&dir, "a"));
        told = strstr(text, " 1 lines dropped\n") != NULL;
        free(text);
    }
    sink_close(&list, s, true);
    free(line);
    assert_true(told);
}

/* A child that ends by exit() while lines are in the ring, of a sink that is open and of one that was just closed. */
static void what_is_left_at_exit_is_written(void **state) {
    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static sink *list; /* not lost when the process ends */
        sink *a = open_one(&list, in_dir(&dir, "a")), *b = open_one(&list, in_dir(&dir, "b"));
        sleep_ms(100); /* both have looked into their rings */
        put(b, "closed");
        sink_close(&list, b, false);
        for (int i = 0; i < 1000; i++) put(a, "0123456789");
        exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_holds(in_dir(&dir, "b"), "closed\n");
    char *text = contents(in_dir(&dir, "a"));
    assert_int_equal(strlen(text), 11000);
    free(text);
}

static void fork_and_wait(int signal) {
    (void)signal;
    pid_t child = fork();
    if (child == 0) _exit(0);
    (void)waitpid(child, NULL, 0);
}

/* As a handler of crashes does, that has the process looked at by another. */
static void a_handler_that_forks_does_not_stop_the_end(void **state) {
    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static sink *list; /* not lost when the process ends */
        const struct itimerval soon = {.it_value = {.tv_usec = 300000}};
        sink *s = open_one(&list, in_dir(&dir, "a"));
        stuck = true;
        put(s, "x");
        signal(SIGALRM, fork_and_wait);
        setitimer(ITIMER_REAL, &soon, NULL);
        exit(0);
    }
    int status = 0;
    pid_t ended = 0;
    for (int64_t until = now_ms() + DEADLINE_MS; ended == 0 && now_ms() < until; sleep_ms(10))
        ended = waitpid(child, &status, WNOHANG);
    if (ended == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    assert_int_equal(ended, child);
    assert_int_equal(status, 0);
}

/* A host without standard input, output and error: what it prints, as if it had them, does not come to the file. */
static void the_file_does_not_become_standard_error(void **state) {
    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int fd = 0; fd < 3; fd++) close(fd);
        sink *list = NULL;
        int error;
        sink *s = sink_open(&list, in_dir(&dir, "a"), &error);
        bool ok = s != NULL && put(s, "ours") && sink_flush(s, DEADLINE_MS);
        for (int fd = 0; fd < 3; fd++) ok = ok && write(fd, "forged\n", 7) < 0;
        if (s != NULL) sink_close(&list, s, true);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_holds(in_dir(&dir, "a"), "ours\n");
    assert_int_equal(status, 0);
}

static void the_child_of_a_fork_has_a_thread_of_its_own(void **state) {
    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    assert_true(put(s, "before"));
    assert_true(sink_flush(s, DEADLINE_MS));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool ok = put(s, "child") && sink_flush(s, DEADLINE_MS);
        sink_close(&list, s, true);
        _exit(ok && list == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(put(s, "parent"));
    sink_close(&list, s, true);
    assert_holds(in_dir(&dir, "a"), "before\nchild\nparent\n");
}

static void a_child_that_writes_nothing_can_close(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sink_close(&list, s, true);
        _exit(list == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sink_close(&list, s, true);
}

/* The thread falls asleep after a second without lines; the next one wakes it. */
static void a_line_after_a_pause_wakes_the_thread(void **state) {
    (void)state;
    sink *list = NULL, *s = open_one(&list, in_dir(&dir, "a"));
    sleep_ms(1500);
    assert_true(put(s, "late"));
    char *text = NULL;
    for (int64_t until = now_ms() + DEADLINE_MS; now_ms() < until; sleep_ms(1)) {
        free(text);
        text = contents(in_dir(&dir, "a"));
        if (*text != '\0') break;
    }
    assert_string_equal(text, "late\n");
    free(text);
    sink_close(&list, s, true);
}

static void *use_one(void *path) {
    sink *list = NULL;
    int error;
    for (int round = 0; round < 20; round++) {
        sink *s = sink_open(&list, path, &error);
        if (s == NULL) return path;
        for (int i = 0; i < 500; i++) put(s, "0123456789");
        (void)sink_error(s);
        sink_close(&list, s, round % 2 == 0);
    }
    return NULL;
}

/* Several VMs, each on its own thread, write to one file: whole lines only. */
static void threads_do_not_disturb_each_other(void **state) {
    (void)state;
    pthread_t threads[3];
    void *result;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in_dir(&dir, "a"));
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_one, path), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    char *text = NULL;
    for (int64_t until = now_ms() + DEADLINE_MS; now_ms() < until; sleep_ms(10)) { /* not all were waited for */
        free(text);
        text = contents(path);
        if (strlen(text) == (size_t)3 * 20 * 500 * 11) break;
    }
    assert_int_equal(strlen(text), 3 * 20 * 500 * 11);
    for (char *at = text; *at != '\0'; at += 11) assert_int_equal(strncmp(at, "0123456789\n", 11), 0);
    free(text);
}

int main(void) {
    main_thread = pthread_self();
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_come_to_the_file_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_writes_what_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(one_path_is_one_thread_however_many_hooks, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_dropped_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_longer_than_half_the_ring_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_moved_away_is_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_plain_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_lines_and_tears_no_later_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_before_the_disk_was_full_are_not_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_are_told_in_the_way_of_what_was_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_are_told_while_lines_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_at_exit_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_that_forks_does_not_stop_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_does_not_become_standard_error, setup, teardown),
        cmocka_unit_test_setup_teardown(the_child_of_a_fork_has_a_thread_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_that_writes_nothing_can_close, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_after_a_pause_wakes_the_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_do_not_disturb_each_other, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
