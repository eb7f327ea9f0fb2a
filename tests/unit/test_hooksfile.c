/* The hooks file: when it is applied, what is refused, and what may happen while it is applied. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "alloc.h"
#include "emulator.h"

static atomic_bool no_instances; /* of inotify */
int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);

int __wrap_inotify_init1(int flags) {
    if (!no_instances) return __real_inotify_init1(flags);
    errno = EMFILE;
    return -1;
}

typedef struct fixture {
    test_dir dir;
    test_log log;
    lua_State *L;
    char file[PATH_MAX]; /* hooks.lua in the directory */
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    make_test_dir(&f->dir);
    snprintf(f->file, sizeof f->file, "%s", in_dir(&f->dir, "hooks.lua"));
    f->L = new_vm(&f->log);
    lua_pushstring(f->L, f->file);
    lua_setglobal(f->L, "hooks_file");
    lua_pushstring(f->L, f->dir.path);
    lua_setglobal(f->L, "dir");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    if (f->L != NULL) lua_close(f->L);
    remove_test_dir(&f->dir);
    free(f);
    return 0;
}

/* The tests' directories lie in one that others may write, so the rules are off but where a test is about them. */
static void watch_file(fixture *f, const char *path) {
    assert_int_equal(ljinspect_watch(f->L, path, 60, LJINSPECT_WATCH_INSECURE), 0);
}

static int hooks_set(fixture *f) {
    return ljinspect_hooks(f->L, NULL, NULL);
}

/* Poll until the change is seen: the watcher's report is not needed, but times of files have their grain. */
static int poll_for(fixture *f, int wanted) {
    int64_t deadline = now_ms() + DEADLINE_MS;
    int got;
    while ((got = ljinspect_poll(f->L)) != wanted && now_ms() < deadline) sleep_ms(1);
    return got;
}

static const char two_hooks[] = "local i = require 'ljinspect'\n"
                                "i.set_hook('a.lua', 1, nil, function() return false end)\n"
                                "i.set_hook('b.lua', 2, nil, function() return false end)\n";
static const char one_hook[] = "local i = require 'ljinspect'\n"
                               "i.set_hook('c.lua', 3, nil, function() return false end)\n";

static int copy_key(const ljinspect_hook_info *info, void *arg) {
    snprintf(arg, 64, "%s", info->key);
    return 0;
}

static void assert_last_key(fixture *f, const char *key) {
    char last[64] = "";
    ljinspect_hooks(f->L, copy_key, last);
    assert_string_equal(last, key);
}

/* ---- Applied, again, and gone ---- */

static void a_file_present_at_start_is_applied_at_start(void **state) {
    fixture *f = *state;
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    assert_logged(&f->log, "applied: 2 hooks");
    assert_int_equal(ljinspect_poll(f->L), 0);
}

static void a_missing_file_is_applied_when_it_comes(void **state) {
    fixture *f = *state;
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 0);
    assert_int_equal(ljinspect_poll(f->L), 0);
    write_file(f->file, two_hooks);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 2);
}

static void a_change_takes_the_place_of_all_hooks(void **state) {
    fixture *f = *state;
    counter c = {0};
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    assert_true(hook_counter(f->L, "x.lua", 9, &c) > 0);
    write_file(f->file, one_hook);
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 1);
    assert_last_key(f, "c.lua#3");
    assert_int_equal(c.destroyed, 1);
}

static void a_removed_file_removes_all_hooks(void **state) {
    fixture *f = *state;
    counter c = {0};
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    assert_true(hook_counter(f->L, "x.lua", 9, &c) > 0);
    unlink(f->file);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 0);
    assert_int_equal(c.destroyed, 1);
    assert_logged(&f->log, "gone");
    assert_int_equal(ljinspect_poll(f->L), 0);
}

static void a_touched_file_is_applied_again(void **state) {
    fixture *f = *state;
    write_file(f->file, "runs = (runs or 0) + 1\n");
    watch_file(f, f->file);
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, f->file, times, 0), 0);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_lua(f->L, "runs == 2");
}

static void a_change_that_leaves_size_and_time_alone_is_seen_by_poll(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof text, "generation = %03d\n", i);
        write_file(f->file, text);
        if (i == 0)
            watch_file(f, f->file);
        else
            ljinspect_poll(f->L);
        if (number(f->L, "generation") != i) fail_msg("generation %d was not applied", i);
    }
}

static void an_editors_rename_is_a_change(void **state) {
    fixture *f = *state;
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    write_file(in_dir(&f->dir, "new"), one_hook);
    assert_int_equal(rename(in_dir(&f->dir, "new"), f->file), 0);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_last_key(f, "c.lua#3");
}

static void a_re_pointed_link_is_a_change_and_a_removed_one_removes_the_hooks(void **state) {
    fixture *f = *state;
    write_file(in_dir(&f->dir, "a"), two_hooks);
    write_file(in_dir(&f->dir, "b"), one_hook);
    assert_int_equal(symlink("a", f->file), 0);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(symlink("b", in_dir(&f->dir, "new")), 0);
    assert_int_equal(rename(in_dir(&f->dir, "new"), f->file), 0);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 1);
    write_file(in_dir(&f->dir, "b"), two_hooks);
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 2);
    unlink(f->file);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 0);
}

static void a_relative_path_is_taken_from_the_directory_at_the_time(void **state) {
    fixture *f = *state;
    char before[PATH_MAX];
    ljinspect_status s;
    assert_non_null(getcwd(before, sizeof before));
    write_file(f->file, two_hooks);
    assert_int_equal(chdir(f->dir.path), 0);
    watch_file(f, "hooks.lua");
    assert_int_equal(chdir(before), 0);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(ljinspect_get_status(f->L, &s), 0);
    assert_string_equal(s.hooks_file, f->file);
    unlink(f->file);
    assert_int_equal(ljinspect_poll(f->L), 1);
}

static void the_environment_names_the_file_where_none_is_given(void **state) {
    fixture *f = *state;
    unsetenv("LJINSPECT_HOOKS_FILE");
    assert_int_equal(ljinspect_watch(f->L, NULL, 1, 0), LJINSPECT_ERR_ARGUMENT);
    write_file(f->file, two_hooks);
    setenv("LJINSPECT_HOOKS_FILE", f->file, 1);
    watch_file(f, NULL);
    unsetenv("LJINSPECT_HOOKS_FILE");
    assert_int_equal(hooks_set(f), 2);
}

static void after_unwatch_the_hooks_stay_and_nothing_is_applied(void **state) {
    fixture *f = *state;
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    assert_int_equal(ljinspect_unwatch(f->L), 1);
    assert_int_equal(ljinspect_unwatch(f->L), 0);
    write_file(f->file, one_hook);
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(hooks_set(f), 2);
}

static void watching_another_file_replaces_the_first(void **state) {
    fixture *f = *state;
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s", in_dir(&f->dir, "other.lua"));
    write_file(f->file, two_hooks);
    write_file(other, one_hook);
    watch_file(f, f->file);
    watch_file(f, other);
    assert_int_equal(hooks_set(f), 1);
    unlink(f->file);
    assert_int_equal(ljinspect_poll(f->L), 0);
    unlink(other);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 0);
}

static void watching_the_same_again_changes_nothing(void **state) {
    fixture *f = *state;
    write_file(f->file, "runs = (runs or 0) + 1\n");
    watch_file(f, f->file);
    sleep_ms(60);
    ljinspect_poll(f->L);
    int messages = f->log.messages;
    watch_file(f, f->file);
    assert_lua(f->L, "runs == 1");
    assert_int_equal(f->log.messages, messages);
}

static void bad_arguments_are_refused(void **state) {
    fixture *f = *state;
    static const double delays[] = {-1, 0.001, 86401, 1e300};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++)
        assert_int_equal(ljinspect_watch(f->L, f->file, delays[i], 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_watch(f->L, f->file, strtod("nan", NULL), 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_watch(f->L, "", 1, 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_watch(NULL, f->file, 1, 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(ljinspect_unwatch(f->L), 0);
}

/* ---- Files that cannot be applied ---- */

/* A file that fails leaves the hooks in force as they were. */
static void expect_failure(fixture *f, const char *text, int error, const char *message) {
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 1);
    write_file(f->file, text);
    assert_int_equal(poll_for(f, error), error);
    assert_int_equal(hooks_set(f), 1);
    assert_last_key(f, "c.lua#3");
    assert_logged(&f->log, message);
    assert_logged(&f->log, f->file);
    int messages = f->log.messages;
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(f->log.messages, messages);
    write_file(f->file, two_hooks);
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 2);
}

static void a_syntax_error_leaves_the_hooks_and_names_the_line(void **state) {
    expect_failure(*state, "local x = 1\nlocal y = = 2\n", LJINSPECT_ERR_HOOKSFILE, "hooks.lua:2:");
}

static void an_error_half_way_leaves_the_hooks_and_names_the_line(void **state) {
    expect_failure(*state,
                   "require('ljinspect').set_hook('half.lua', 1, nil, function() end)\n"
                   "error('half-way')\n",
                   LJINSPECT_ERR_HOOKSFILE, "hooks.lua:2: half-way");
}

static void an_error_that_is_a_table_leaves_the_hooks(void **state) {
    expect_failure(*state, "error({})\n", LJINSPECT_ERR_HOOKSFILE, "failed");
}

static void an_error_that_is_nil_leaves_the_hooks(void **state) {
    expect_failure(*state, "error()\n", LJINSPECT_ERR_HOOKSFILE, "failed");
}

static void a_yield_leaves_the_hooks(void **state) {
    expect_failure(*state, "coroutine.yield()\n", LJINSPECT_ERR_HOOKSFILE, "yield");
}

static void bytecode_is_not_loaded(void **state) {
    fixture *f = *state;
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    size_t size;
    run(f->L, "code = string.dump(function() bytecode_ran = true end)");
    lua_getglobal(f->L, "code");
    const char *code = lua_tolstring(f->L, -1, &size);
    int fd = open(f->file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, code, size), size);
    close(fd);
    lua_pop(f->L, 1);
    assert_int_equal(poll_for(f, LJINSPECT_ERR_HOOKSFILE), LJINSPECT_ERR_HOOKSFILE);
    assert_lua(f->L, "bytecode_ran == nil");
    assert_last_key(f, "c.lua#3");
}

static void a_directory_is_an_error(void **state) {
    fixture *f = *state;
    assert_int_equal(mkdir(f->file, 0755), 0);
    watch_file(f, f->file);
    assert_logged(&f->log, strerror(EISDIR));
    assert_logged(&f->log, f->file);
    assert_int_equal(hooks_set(f), 0);
}

/* The file goes between the look at the path and the open. The watcher's thread opens files, too. */
static _Atomic(const char *) goes_at_open;
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    const char *goes = atomic_load(&goes_at_open);
    if (goes != NULL && strcmp(path, goes) == 0) unlink(path);
    return __real_open(path, flags, mode);
}

static void a_file_that_goes_while_it_is_opened_is_gone(void **state) {
    fixture *f = *state;
    write_file(f->file, "require('ljinspect').set_hook('a.lua', 1, nil, function() return false end)\n");
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 1);
    write_file(f->file, "require('ljinspect').set_hook('b.lua', 22, nil, function() return false end)\n");
    atomic_store(&goes_at_open, f->file);
    assert_int_equal(ljinspect_poll(f->L), 1);
    atomic_store(&goes_at_open, NULL);
    assert_int_equal(hooks_set(f), 0);
    assert_logged(&f->log, "is gone: 1 hook removed");
    assert_int_equal(f->log.at_level[LJINSPECT_ERROR], 0);
    write_file(f->file, "require('ljinspect').set_hook('c.lua', 3, nil, function() return false end)\n");
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 1);
}

static void a_fifo_is_an_error_and_blocks_nothing(void **state) {
    fixture *f = *state;
    assert_int_equal(mkfifo(f->file, 0644), 0);
    watch_file(f, f->file);
    assert_logged(&f->log, "not a regular file");
    unlink(f->file);
    write_file(f->file, one_hook);
    assert_int_equal(ljinspect_poll(f->L), 1);
}

static void a_file_that_becomes_a_directory_leaves_the_hooks(void **state) {
    fixture *f = *state;
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    unlink(f->file);
    assert_int_equal(mkdir(f->file, 0755), 0);
    errno = 0;
    assert_int_equal(ljinspect_poll(f->L), LJINSPECT_ERR_SYSTEM);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(hooks_set(f), 1);
}

static void an_empty_file_is_a_set_of_no_hooks(void **state) {
    fixture *f = *state;
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    write_file(f->file, "");
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 0);
    assert_logged(&f->log, "applied: 0 hooks");
}

static void an_endless_chain_of_links_is_an_error(void **state) {
    fixture *f = *state;
    assert_int_equal(symlink("other", f->file), 0);
    assert_int_equal(symlink("hooks.lua", in_dir(&f->dir, "other")), 0);
    watch_file(f, f->file);
    assert_logged(&f->log, strerror(ELOOP));
    assert_int_equal(ljinspect_poll(f->L), 0);
    unlink(f->file);
    write_file(f->file, one_hook);
    assert_int_equal(ljinspect_poll(f->L), 1);
}

static void a_file_as_large_as_a_mistake_is_refused(void **state) {
    fixture *f = *state;
    int fd = open(f->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, 17 * 1024 * 1024), 0);
    close(fd);
    watch_file(f, f->file);
    assert_logged(&f->log, strerror(EFBIG));
}

static void a_large_file_with_many_hooks_is_applied(void **state) {
    fixture *f = *state;
    FILE *out = fopen(f->file, "w");
    assert_non_null(out);
    fprintf(out, "local i, f = require 'ljinspect', function() return false end\n");
    for (int i = 1; i <= 20000; i++) fprintf(out, "i.set_hook('file%d.lua', %d, nil, f)\n", i % 100, i);
    fclose(out);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 20000);
    unlink(f->file);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 0);
}

/* Run `body` in a child process as a user who is not root; 0 when it returned 0. */
static int as_nobody(int (*body)(fixture *f), fixture *f) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) _exit(99);
        _exit(body(f));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int watch_unreadable(fixture *f) {
    forget_log(&f->log);
    if (ljinspect_watch(f->L, f->file, 60, LJINSPECT_WATCH_INSECURE) != 0) return 1;
    if (strstr(f->log.text, strerror(EACCES)) == NULL) return 2;
    if (ljinspect_hooks(f->L, NULL, NULL) != 0) return 3;
    ljinspect_unwatch(f->L);
    return 0;
}

static void a_file_that_may_not_be_read_is_an_error(void **state) {
    fixture *f = *state;
    write_file(f->file, two_hooks);
    assert_int_equal(chmod(f->dir.path, 0755), 0);
    assert_int_equal(chmod(f->file, 0), 0);
    assert_int_equal(as_nobody(watch_unreadable, f), 0);
}

static void a_file_writable_by_others_is_refused_and_the_hooks_stay(void **state) {
    fixture *f = *state;
    write_file(f->file, one_hook);
    assert_int_equal(ljinspect_watch(f->L, f->file, 60, 0), 0);
    assert_int_equal(hooks_set(f), 1);
    write_file(f->file, two_hooks);
    assert_int_equal(chmod(f->file, 0666), 0);
    assert_int_equal(ljinspect_poll(f->L), LJINSPECT_ERR_UNTRUSTED);
    assert_int_equal(hooks_set(f), 1);
    assert_logged(&f->log, "refused");
    assert_logged(&f->log, f->file);
    int messages = f->log.messages;
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(f->log.messages, messages);
    assert_int_equal(chmod(f->file, 0644), 0);
    assert_int_equal(ljinspect_poll(f->L), 1);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(chmod(f->dir.path, 0777), 0);
    assert_int_equal(ljinspect_poll(f->L), LJINSPECT_ERR_UNTRUSTED);
    assert_int_equal(hooks_set(f), 2);
}

static void a_refused_file_is_applied_where_the_rules_are_off(void **state) {
    fixture *f = *state;
    write_file(f->file, one_hook);
    assert_int_equal(chmod(f->file, 0666), 0);
    assert_int_equal(ljinspect_watch(f->L, f->file, 60, 0), 0);
    assert_int_equal(hooks_set(f), 0);
    assert_int_equal(ljinspect_watch(f->L, f->file, 60, LJINSPECT_WATCH_INSECURE), 0);
    assert_int_equal(hooks_set(f), 1);
}

static int count_of(const char *text, const char *part) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++) n++;
    return n;
}

/* Poll for a while, and until the log has `part`. */
static void poll_until_logged(fixture *f, const char *part) {
    int64_t end = now_ms() + DEADLINE_MS, least = now_ms() + 200;
    while ((strstr(f->log.text, part) == NULL || now_ms() < least) && now_ms() < end) {
        ljinspect_poll(f->L);
        sleep_ms(5);
    }
    assert_logged(&f->log, part);
}

static void that_the_system_does_not_notify_is_logged_once_and_that_it_does_again(void **state) {
    fixture *f = *state;
    static const char without[] = "no notification from the system (Too many open files), looking every 50 ms",
                      again[] = "the system notifies again";
    no_instances = true;
    write_file(f->file, one_hook);
    int error = ljinspect_watch(f->L, f->file, 0.05, LJINSPECT_WATCH_INSECURE);
    poll_until_logged(f, without);
    write_file(f->file, two_hooks);
    int64_t end = now_ms() + DEADLINE_MS;
    while (hooks_set(f) != 2 && now_ms() < end) {
        ljinspect_poll(f->L);
        sleep_ms(5);
    }
    no_instances = false;
    assert_int_equal(error, 0);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(count_of(f->log.text, without), 1);
    assert_not_logged(&f->log, again);
    poll_until_logged(f, again);
    assert_int_equal(count_of(f->log.text, again), 1);
    assert_int_equal(count_of(f->log.text, without), 1);
    assert_int_equal(count_of(f->log.text, "watching hooks file"), 1);
}

static void hooks_of_a_file_that_failed_are_released(void **state) {
    fixture *f = *state;
    run(f->L,
        "released = setmetatable({}, {__mode = 'k'})\n"
        "function make() local filter = function() return hooks_file end released[filter] = true return filter end\n");
    write_file(f->file, "require('ljinspect').set_hook('x.lua', 1, nil, make())\n"
                        "error('no')\n");
    watch_file(f, f->file);
    run(f->L, "collectgarbage() collectgarbage()");
    assert_lua(f->L, "next(released) == nil");
}

/* ---- What a hooks file may do while it is applied ---- */

static void a_file_that_stops_watching_is_applied(void **state) {
    fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text, "%s require('ljinspect').destroy()\n", two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    write_file(f->file, one_hook);
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(ljinspect_unwatch(f->L), 0);
}

static void a_file_that_stops_and_starts_watching_itself_is_applied(void **state) {
    fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text,
             "%s local i = require('ljinspect')\ni.destroy()\n"
             "said = {i.watch{file = hooks_file, delay = 60, insecure = true}}\n",
             two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    for (int i = 0; i < 3; i++) ljinspect_poll(f->L);
    assert_int_equal(hooks_set(f), 2);
}

static void a_file_that_starts_watching_itself_again_is_applied(void **state) {
    fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text,
             "%s runs = (runs or 0) + 1\n"
             "assert(require('ljinspect').watch{file = hooks_file, delay = 60, insecure = true})\n",
             two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    sleep_ms(60);
    ljinspect_poll(f->L);
    assert_lua(f->L, "runs == 1");
    write_file(f->file, one_hook);
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 1);
}

static void a_file_that_watches_itself_with_another_delay_is_applied(void **state) {
    fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text,
             "%s runs = (runs or 0) + 1\n"
             "require('ljinspect').watch{file = hooks_file, delay = 50, insecure = true}\n",
             two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    for (int i = 0; i < 5; i++) ljinspect_poll(f->L);
    assert_int_equal(hooks_set(f), 2);
    assert_true(number(f->L, "runs") <= 2);
    write_file(f->file, one_hook);
    assert_int_equal(poll_for(f, 1), 1);
    assert_int_equal(hooks_set(f), 1);
}

static void a_file_cannot_watch_another_file(void **state) {
    fixture *f = *state;
    char text[1024];
    write_file(in_dir(&f->dir, "other.lua"), one_hook);
    snprintf(text, sizeof text,
             "%s said, why = require('ljinspect').watch{file = dir .. '/other.lua', insecure = true}\n", two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    assert_lua(f->L, "said == nil and type(why) == 'string'");
}

static void a_file_that_polls_is_applied_once(void **state) {
    fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text, "%s runs = (runs or 0) + 1\npolled = require('ljinspect').poll()\n", two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_int_equal(hooks_set(f), 2);
    assert_lua(f->L, "runs == 1");
}

static void a_file_that_unsets_all_begins_with_none(void **state) {
    fixture *f = *state;
    char text[1024];
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    snprintf(text, sizeof text,
             "local i = require 'ljinspect'\n"
             "i.set_hook('z.lua', 1, nil, function() end)\n"
             "n = i.unset_all()\n%s",
             two_hooks);
    write_file(f->file, text);
    assert_int_equal(poll_for(f, 1), 1);
    assert_lua(f->L, "n == 1");
    assert_int_equal(hooks_set(f), 2);
}

static void a_file_sees_its_own_hooks(void **state) {
    fixture *f = *state;
    char text[1024];
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    snprintf(text, sizeof text, "%s seen = #i.hooks()\ngone = i.unset_hook('b.lua', 2)\n", two_hooks);
    write_file(f->file, text);
    assert_int_equal(poll_for(f, 1), 1);
    assert_lua(f->L, "seen == 2 and gone == 1");
    assert_int_equal(hooks_set(f), 1);
    assert_last_key(f, "a.lua#1");
}

static const char hooked_code[] = "function hooked(x)\n"
                                  "  local y = x\n"
                                  "  return y\n"
                                  "end\n";

/* Code that a hooks file runs is not the program: hooks in force are not hit by it. */
static void hooks_are_not_hit_by_what_a_file_runs(void **state) {
    fixture *f = *state;
    static counter c;
    char text[1024];
    c = (counter){.keep_for = 1};
    run_named(f->L, hooked_code, "@hooked.lua");
    assert_true(hook_counter(f->L, "hooked.lua", 2, &c) > 0);
    snprintf(text, sizeof text, "hooked(1) hooked(2) ran = true\n%s", two_hooks);
    write_file(f->file, text);
    watch_file(f, f->file);
    assert_lua(f->L, "ran");
    assert_int_equal(c.hits, 0);
    assert_int_equal(hooks_set(f), 2);
    assert_int_equal(c.destroyed, 1);
}

static void after_a_file_that_ran_a_hooked_function_and_failed_the_hooks_are_hit(void **state) {
    fixture *f = *state;
    static counter c;
    c = (counter){0};
    run_named(f->L, hooked_code, "@hooked.lua");
    assert_true(hook_counter(f->L, "hooked.lua", 2, &c) > 0);
    write_file(f->file, "hooked(1) hooked(2) error('no')\n");
    watch_file(f, f->file);
    assert_int_equal(c.hits, 0);
    assert_int_equal(hooks_set(f), 1);
    run(f->L, "hooked(1) hooked(2)");
    assert_int_equal(c.hits, 2);
}

static void a_poll_that_applies_a_reported_change_says_so(void **state) {
    fixture *f = *state;
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    for (int i = 0; i < 5; i++) {
        write_file(f->file, i % 2 == 0 ? two_hooks : one_hook);
        sleep_ms(100); /* the watcher has reported it, or has not: both must do */
        assert_int_equal(ljinspect_poll(f->L), 1);
        assert_int_equal(hooks_set(f), i % 2 == 0 ? 2 : 1);
    }
}

static void a_filter_that_polls_may_replace_itself(void **state) {
    fixture *f = *state;
    run_named(f->L, hooked_code, "@hooked.lua");
    write_file(f->file, "require('ljinspect').set_hook('hooked.lua', 2, nil, function()\n"
                        "  old = (old or 0) + 1\n"
                        "  require('ljinspect').poll()\n"
                        "  return false\n"
                        "end)\n");
    watch_file(f, f->file);
    run(f->L, "hooked(1)");
    assert_lua(f->L, "old == 1");
    sleep_ms(60);
    write_file(f->file, "require('ljinspect').set_hook('hooked.lua', 2, nil, function()\n"
                        "  new = (new or 0) + 1\n"
                        "  return false\n"
                        "end)\n");
    run(f->L, "hooked(1) hooked(2) hooked(3)");
    /* The change may be applied before the first hit, by the watcher's report, or by the filter. */
    assert_lua(f->L, "(old == 1 and new == 3) or (old == 2 and new == 2)");
    assert_int_equal(hooks_set(f), 1);
}

/* Each is hit once by one arrival, in whichever table it is when its turn comes. */
static void a_filter_that_polls_takes_no_hit_from_hooks_that_last(void **state) {
    fixture *f = *state;
    counter before = {0}, after = {0}, passing = {0};
    ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = &before, .lasting = 1};
    run_named(f->L, hooked_code, "@hooked.lua");
    assert_true(ljinspect_set_hook(f->L, "hooked.lua", 2, 0, &filter) > 0);
    write_file(f->file, "require('ljinspect').set_hook('hooked.lua', 2, nil, function()\n"
                        "  local file = io.open(hooks_file, 'w')\n"
                        "  file:write('require(\"ljinspect\").set_hook(\"hooked.lua\", 2, nil, function() new = (new "
                        "or 0) + 1 return false end)')\n"
                        "  file:close()\n"
                        "  polled = require('ljinspect').poll()\n"
                        "  return false\n"
                        "end)\n");
    watch_file(f, f->file);
    filter.userdata = &after;
    assert_true(ljinspect_set_hook(f->L, "hooked.lua", 2, 0, &filter) > 0);
    assert_true(hook_counter(f->L, "hooked.lua", 2, &passing) > 0);
    run(f->L, "hooked(1)");
    assert_lua(f->L, "polled == true");
    assert_int_equal(before.hits, 1);
    assert_int_equal(after.hits, 1);
    assert_int_equal(passing.hits, 0); /* it went with the old hooks */
    assert_lua(f->L, "new == nil");    /* it was not there at the arrival */
    run(f->L, "hooked(1)");
    assert_int_equal(before.hits, 2);
    assert_int_equal(after.hits, 2);
    assert_lua(f->L, "new == 1");
}

/* What is known of a hook that lasts. */
static int copy_lasting(const ljinspect_hook_info *info, void *arg) {
    if (strcmp(info->key, "hooked.lua#2") == 0) *(ljinspect_hook_info *)arg = *info;
    return 0;
}

static void counts_of_hooks_that_last_go_on_when_the_file_changes(void **state) {
    fixture *f = *state;
    counter c = {0};
    ljinspect_hook_info info = {.key = NULL};
    ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = &c, .lasting = 1};
    ljinspect_hook_options o;
    run_named(f->L, hooked_code, "@hooked.lua");
    ljinspect_hook_options_init(&o, sizeof o);
    o.file = "hooked.lua";
    o.line = 2;
    o.log = "{no .. such}";
    o.per_second = 0.001;
    o.filter = &filter;
    assert_true(ljinspect_set_hook_with(f->L, &o, NULL, 0) > 0);
    run(f->L, "for i = 1, 40 do hooked(i) end");
    write_file(f->file, one_hook);
    watch_file(f, f->file);
    run(f->L, "hooked(1)");
    assert_int_equal(ljinspect_hooks(f->L, copy_lasting, &info), 2);
    assert_int_equal(info.hits, 41);
    assert_int_equal(info.matched, 41);
    assert_int_equal(info.dropped, 40);
    assert_int_equal(info.errors, 1);
    assert_true(info.mean_ns > 0 && info.mean_ns <= info.max_ns);
}

static int poll_and_leave(ljinspect_hit *hit, void *userdata) {
    counter *c = userdata;
    c->hits++;
    assert_int_equal(ljinspect_poll(ljinspect_hit_state(hit)), 1);
    return LJINSPECT_REMOVE;
}

static void a_hook_that_lasts_can_have_the_file_applied_and_go(void **state) {
    fixture *f = *state;
    counter c = {0};
    ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = poll_and_leave, .userdata = &c, .lasting = 1};
    run_named(f->L, hooked_code, "@hooked.lua");
    watch_file(f, f->file);
    assert_true(ljinspect_set_hook(f->L, "hooked.lua", 2, 0, &filter) > 0);
    write_file(f->file, one_hook);
    run(f->L, "hooked(1) hooked(2)");
    assert_int_equal(c.hits, 1);
    assert_int_equal(hooks_set(f), 1);
    assert_last_key(f, "c.lua#3");
}

static void a_filter_that_stops_watching_is_safe(void **state) {
    fixture *f = *state;
    run_named(f->L, hooked_code, "@hooked.lua");
    write_file(f->file, "require('ljinspect').set_hook('hooked.lua', 2, nil, function()\n"
                        "  require('ljinspect').destroy()\n"
                        "  require('ljinspect').watch{file = hooks_file, delay = 50, insecure = true}\n"
                        "  return false\n"
                        "end)\n");
    watch_file(f, f->file);
    run(f->L, "hooked(1) hooked(2) hooked(3)");
    assert_int_equal(hooks_set(f), 1);
}

/* ---- Loggers that use the API while the file is dealt with ---- */

typedef struct meddler {
    fixture *f;
    const char *on;
    int (*act)(fixture *f);
    int acted;
} meddler;

static void meddle(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    meddler *m = userdata;
    keep_log(L, level, message, &m->f->log);
    if (strstr(message, m->on) != NULL && m->acted++ == 0) m->act(m->f);
}

static int act_unwatch(fixture *f) {
    return ljinspect_unwatch(f->L);
}

static int act_watch_other(fixture *f) {
    return ljinspect_watch(f->L, in_dir(&f->dir, "other.lua"), 60, LJINSPECT_WATCH_INSECURE);
}

static int act_poll(fixture *f) {
    return ljinspect_poll(f->L);
}

static int act_unset_all(fixture *f) {
    return ljinspect_unset_all(f->L);
}

static void a_logger_may_use_the_api_at_each_message(void **state) {
    static const char *const on[] = {"watching", "applied", "failed", "gone", "refused"};
    static int (*const acts[])(fixture *) = {act_unwatch, act_watch_other, act_poll, act_unset_all};
    fixture *f = *state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t a = 0; a < 4; a++) {
            meddler m = {.f = f, .on = on[i], .act = acts[a]};
            unlink(f->file);
            chmod(f->file, 0644);
            write_file(in_dir(&f->dir, "other.lua"), one_hook);
            write_file(f->file, one_hook);
            ljinspect_unwatch(f->L);
            assert_int_equal(ljinspect_watch(f->L, f->file, 60, 0), 0);
            assert_int_equal(ljinspect_set_logger(f->L, meddle, &m), 0);
            write_file(f->file, "error('fails')");
            ljinspect_poll(f->L);
            write_file(f->file, two_hooks);
            ljinspect_poll(f->L);
            chmod(f->file, 0666);
            ljinspect_poll(f->L);
            unlink(f->file);
            ljinspect_poll(f->L);
            write_file(f->file, two_hooks);
            assert_int_equal(ljinspect_watch(f->L, f->file, 61, 0), 0);
            assert_int_equal(ljinspect_watch(f->L, f->file, 62, 0), 0);
            assert_true(m.acted > 0);
            assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
            assert_true(hooks_set(f) >= 0);
        }
    }
}

/* ---- Waking the VM ---- */

/* A C function that blocks reading a pipe, and one that says on which line the change came. */
static int blocking_read(lua_State *L) {
    char byte;
    ssize_t n = read((int)lua_tointeger(L, 1), &byte, 1);
    lua_pushinteger(L, n);
    return 1;
}

typedef struct delayed {
    fixture *f;
    const char *text; /* for the hooks file */
    int pipe;         /* gets a byte when `ready` is set; -1 for none */
    atomic_bool done; /* the file has been written */
    atomic_bool stop;
} delayed;

/* Change the file; when the watcher has had all the time it needs, let the VM go on. */
static void *change_and_release(void *arg) {
    delayed *d = arg;
    sleep_ms(100);
    write_file(in_dir(&d->f->dir, "new"), d->text);
    rename(in_dir(&d->f->dir, "new"), d->f->file);
    atomic_store(&d->done, true);
    if (d->pipe >= 0) {
        sleep_ms(400);
        if (write(d->pipe, "x", 1) != 1) abort();
    }
    return NULL;
}

/* The same, by another process: a VM that sleeps is woken only where its thread is the host's one and only (wake.h). */
static pid_t change_and_release_from_outside(delayed *d) {
    if (emulator_spoils("waking a VM that sleeps: the emulator has threads of its own")) skip();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        change_and_release(d);
        _exit(0);
    }
    return child;
}

static void assert_done(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void wake_idle(fixture *f, unsigned flags, double delay) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    delayed d = {.f = f, .text = "applied = true\n", .pipe = ends[1]};
    lua_pushcfunction(f->L, blocking_read);
    lua_setglobal(f->L, "blocking_read");
    lua_pushinteger(f->L, ends[0]);
    lua_setglobal(f->L, "fd");
    assert_int_equal(ljinspect_watch(f->L, f->file, delay, LJINSPECT_WATCH_INSECURE | flags), 0);
    pid_t child = change_and_release_from_outside(&d);
    run(f->L, "local read, n = blocking_read, fd\n"
              "before = applied\n"
              "n = read(n)\n"
              "after = applied\n");
    assert_done(child);
    assert_lua(f->L, "before == nil and after == true");
    close(ends[0]);
    close(ends[1]);
}

UNUSED static void an_idle_vm_applies_the_change_before_its_next_line(void **state) {
    wake_idle(*state, 0, 60);
}

UNUSED static void an_idle_vm_applies_the_change_when_the_watcher_polls(void **state) {
    wake_idle(*state, LJINSPECT_WATCH_POLL, 0.02);
}

UNUSED static void an_idle_vm_with_hooks_applies_the_change_before_its_next_line(void **state) {
    fixture *f = *state;
    counter c = {0};
    assert_true(hook_counter(f->L, "elsewhere.lua", 1, &c) > 0);
    wake_idle(f, 0, 60);
}

UNUSED static void an_idle_vm_in_a_coroutine_applies_the_change_before_its_next_line(void **state) {
    fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    delayed d = {.f = f, .text = "applied = true\n", .pipe = ends[1]};
    lua_pushcfunction(f->L, blocking_read);
    lua_setglobal(f->L, "blocking_read");
    lua_pushinteger(f->L, ends[0]);
    lua_setglobal(f->L, "fd");
    watch_file(f, f->file);
    pid_t child = change_and_release_from_outside(&d);
    run(f->L, "coroutine.wrap(function()\n"
              "  local read, n = blocking_read, fd\n"
              "  n = read(n)\n"
              "  after = applied\n"
              "end)()\n");
    assert_done(child);
    assert_lua(f->L, "after == true");
    close(ends[0]);
    close(ends[1]);
}

typedef struct host_hook {
    long lines, counts;
} host_hook;

static host_hook host;

static void count_host_event(lua_State *L, lua_Debug *ar) {
    (void)L;
    if (ar->event == LUA_HOOKLINE) host.lines++;
    if (ar->event == LUA_HOOKCOUNT) host.counts++;
}

UNUSED static void waking_an_idle_vm_preserves_the_hosts_debug_hook(void **state) {
    fixture *f = *state;
    host = (host_hook){0};
    lua_sethook(f->L, count_host_event, LUA_MASKLINE | LUA_MASKCOUNT, 1000);
    wake_idle(f, 0, 60);
    assert_ptr_equal(lua_gethook(f->L), count_host_event);
    assert_int_equal(lua_gethookmask(f->L), LUA_MASKLINE | LUA_MASKCOUNT);
    assert_int_equal(lua_gethookcount(f->L), 1000);
    assert_true(host.lines >= 4);
    long before = host.lines;
    run(f->L, "local x = 1\nlocal y = 2\n");
    assert_int_equal(host.lines, before + 2);
}

/* For how many seconds a program runs that waits for a change. */
static void set_patience(fixture *f) {
    lua_pushnumber(f->L, DEADLINE_MS / 1000.0);
    lua_setglobal(f->L, "patience");
}

static void wake_busy(fixture *f, const char *loop) {
    pthread_t thread;
    delayed d = {.f = f, .text = "applied = true\n", .pipe = -1};
    watch_file(f, f->file);
    set_patience(f);
    assert_int_equal(pthread_create(&thread, NULL, change_and_release, &d), 0);
    run(f->L, loop);
    pthread_join(thread, NULL);
    assert_lua(f->L, "applied == true");
}

/* `applied` is no upvalue and no local, so that the loop reads it anew; os.time ends a test that would hang. */
static const char allocating_loop[] = "local t0, n, t = os.time(), 0, nil\n"
                                      "while not applied do\n"
                                      "  t = {n}\n"
                                      "  n = n + 1\n"
                                      "  if n % 100000 == 0 and os.time() - t0 > patience then break end\n"
                                      "end\n";

static void a_busy_vm_that_allocates_applies_the_change(void **state) {
    wake_busy(*state, allocating_loop);
    assert_int_equal(lua_gethookmask(((fixture *)*state)->L), 0);
    assert_lua(((fixture *)*state)->L, "jit.status()");
}

static void a_busy_vm_without_the_jit_applies_the_change(void **state) {
    fixture *f = *state;
    run(f->L, "jit.off()");
    wake_busy(f, allocating_loop);
    assert_lua(f->L, "not jit.status()");
}

static void a_busy_vm_with_armed_hooks_applies_the_change_without_allocating(void **state) {
    fixture *f = *state;
    counter c = {0};
    assert_true(hook_counter(f->L, "elsewhere.lua", 1, &c) > 0);
    wake_busy(f, "local t0, n = os.time(), 0\n"
                 "while not applied do\n"
                 "  n = n + 1\n"
                 "  if n % 100000 == 0 and os.time() - t0 > patience then break end\n"
                 "end\n");
    assert_int_equal(c.destroyed, 1);
}

static void a_busy_vm_with_the_hosts_debug_hook_applies_the_change(void **state) {
    fixture *f = *state;
    host = (host_hook){0};
    lua_sethook(f->L, count_host_event, LUA_MASKCOUNT, 1000);
    wake_busy(f, allocating_loop);
    assert_ptr_equal(lua_gethook(f->L), count_host_event);
    assert_int_equal(lua_gethookmask(f->L), LUA_MASKCOUNT);
    assert_int_equal(lua_gethookcount(f->L), 1000);
    long before = host.counts; /* compiled code does not count */
    run(f->L, "jit.off() for i = 1, 1000 do local x = i end jit.on()");
    assert_true(host.counts > before);
}

static void a_hook_set_by_a_waking_change_is_hit_in_the_running_loop(void **state) {
    fixture *f = *state;
    pthread_t thread;
    delayed d = {.f = f,
                 .text = "require('ljinspect').set_hook('loop.lua', 4, nil, function(info)\n"
                         "  seen = info.vals.n\n"
                         "  return true\n"
                         "end)\n",
                 .pipe = -1};
    watch_file(f, f->file);
    set_patience(f);
    assert_int_equal(pthread_create(&thread, NULL, change_and_release, &d), 0);
    run_named(f->L,
              "local t0, n, t = os.time(), 0, nil\n"
              "while not seen do\n"
              "  t = {n}\n"
              "  n = n + 1\n"
              "  if n % 100000 == 0 and os.time() - t0 > patience then break end\n"
              "end\n",
              "@loop.lua");
    pthread_join(thread, NULL);
    assert_lua(f->L, "type(seen) == 'number'");
    assert_int_equal(hooks_set(f), 0);
    assert_int_equal(lua_gethookmask(f->L), 0);
    assert_lua(f->L, "jit.status()");
}

static void a_change_that_fails_in_a_running_program_does_not_reach_it(void **state) {
    fixture *f = *state;
    pthread_t thread;
    delayed d = {.f = f, .text = "applied = true\nerror('broken')\n", .pipe = -1};
    watch_file(f, f->file);
    assert_int_equal(pthread_create(&thread, NULL, change_and_release, &d), 0);
    set_patience(f);
    run(f->L, allocating_loop);
    pthread_join(thread, NULL);
    assert_lua(f->L, "applied");
    assert_logged(&f->log, "hooks.lua:2: broken");
}

/* Many changes while the program runs: the last one wins, and nothing is left over. */
static void *change_often(void *arg) {
    delayed *d = arg;
    for (int i = 1; i <= 50; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "generation = %d\nrequire('ljinspect').set_hook('loop.lua', 4, nil, function() return false end)\n",
                 i);
        write_file(in_dir(&d->f->dir, "new"), text);
        rename(in_dir(&d->f->dir, "new"), d->f->file);
        sleep_ms(5);
    }
    return NULL;
}

static void many_changes_of_a_running_program_end_with_the_last(void **state) {
    fixture *f = *state;
    pthread_t thread;
    delayed d = {.f = f};
    watch_file(f, f->file);
    set_patience(f);
    assert_int_equal(pthread_create(&thread, NULL, change_often, &d), 0);
    run_named(f->L,
              "local t0, n, t = os.time(), 0, nil\n"
              "while generation ~= 50 do\n"
              "  t = {n}\n"
              "  n = n + 1\n"
              "  if n % 100000 == 0 and os.time() - t0 > patience then break end\n"
              "end\n",
              "@loop.lua");
    pthread_join(thread, NULL);
    assert_lua(f->L, "generation == 50");
    assert_int_equal(hooks_set(f), 1);
}

/* ---- Destructors ---- */

static fixture *destroying;
static int destructor_runs;

static void use_api(void *userdata) {
    (void)userdata;
    destructor_runs++;
    ljinspect_unset_all(destroying->L);
    ljinspect_hooks(destroying->L, NULL, NULL);
    ljinspect_poll(destroying->L);
}

static void a_destructor_may_use_the_api(void **state) {
    fixture *f = *state;
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = count_hit, .destroy = use_api};
    destroying = f;
    destructor_runs = 0;
    for (int i = 0; i < 3; i++) assert_true(ljinspect_set_hook(f->L, "x.lua", 1 + i / 2, 0, &filter) > 0);
    write_file(f->file, two_hooks);
    watch_file(f, f->file);
    assert_int_equal(destructor_runs, 3);
    assert_true(ljinspect_set_hook(f->L, "x.lua", 1, 0, &filter) > 0);
    assert_true(ljinspect_set_hook(f->L, "y.lua", 1, 0, &filter) > 0);
    assert_true(ljinspect_unset_hook(f->L, "x.lua", 1) >= 1);
    assert_int_equal(destructor_runs, 5);
    assert_int_equal(hooks_set(f), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest applying[] = {
        T(a_file_present_at_start_is_applied_at_start),
        T(a_missing_file_is_applied_when_it_comes),
        T(a_change_takes_the_place_of_all_hooks),
        T(a_removed_file_removes_all_hooks),
        T(a_touched_file_is_applied_again),
        T(a_change_that_leaves_size_and_time_alone_is_seen_by_poll),
        T(an_editors_rename_is_a_change),
        T(a_re_pointed_link_is_a_change_and_a_removed_one_removes_the_hooks),
        T(a_relative_path_is_taken_from_the_directory_at_the_time),
        T(the_environment_names_the_file_where_none_is_given),
        T(after_unwatch_the_hooks_stay_and_nothing_is_applied),
        T(watching_another_file_replaces_the_first),
        T(watching_the_same_again_changes_nothing),
        T(bad_arguments_are_refused),
    };
    const struct CMUnitTest failing[] = {
        T(a_syntax_error_leaves_the_hooks_and_names_the_line),
        T(an_error_half_way_leaves_the_hooks_and_names_the_line),
        T(an_error_that_is_a_table_leaves_the_hooks),
        T(an_error_that_is_nil_leaves_the_hooks),
        T(a_yield_leaves_the_hooks),
        T(bytecode_is_not_loaded),
        T(a_directory_is_an_error),
        T(a_fifo_is_an_error_and_blocks_nothing),
        T(a_file_that_goes_while_it_is_opened_is_gone),
        T(a_file_that_becomes_a_directory_leaves_the_hooks),
        T(an_empty_file_is_a_set_of_no_hooks),
        T(an_endless_chain_of_links_is_an_error),
        T(a_file_as_large_as_a_mistake_is_refused),
        T(a_large_file_with_many_hooks_is_applied),
        T(a_file_that_may_not_be_read_is_an_error),
        T(a_file_writable_by_others_is_refused_and_the_hooks_stay),
        T(a_refused_file_is_applied_where_the_rules_are_off),
        T(that_the_system_does_not_notify_is_logged_once_and_that_it_does_again),
        T(hooks_of_a_file_that_failed_are_released),
    };
    const struct CMUnitTest meddling[] = {
        T(a_file_that_stops_watching_is_applied),
        T(a_file_that_starts_watching_itself_again_is_applied),
        T(a_file_that_watches_itself_with_another_delay_is_applied),
        T(a_file_cannot_watch_another_file),
        T(a_file_that_polls_is_applied_once),
        T(a_file_that_unsets_all_begins_with_none),
        T(a_file_sees_its_own_hooks),
        T(a_filter_that_polls_may_replace_itself),
        T(a_filter_that_polls_takes_no_hit_from_hooks_that_last),
        T(counts_of_hooks_that_last_go_on_when_the_file_changes),
        T(a_hook_that_lasts_can_have_the_file_applied_and_go),
        T(a_filter_that_stops_watching_is_safe),
        T(a_file_that_stops_and_starts_watching_itself_is_applied),
        T(hooks_are_not_hit_by_what_a_file_runs),
        T(after_a_file_that_ran_a_hooked_function_and_failed_the_hooks_are_hit),
        T(a_poll_that_applies_a_reported_change_says_so),
        T(a_destructor_may_use_the_api),
        T(a_logger_may_use_the_api_at_each_message),
    };
    const struct CMUnitTest waking[] = {
#ifndef THREAD_SANITIZER /* it has a thread of its own: such a VM is not known to sleep */
        T(an_idle_vm_applies_the_change_before_its_next_line),
        T(an_idle_vm_applies_the_change_when_the_watcher_polls),
        T(an_idle_vm_with_hooks_applies_the_change_before_its_next_line),
        T(an_idle_vm_in_a_coroutine_applies_the_change_before_its_next_line),
        T(waking_an_idle_vm_preserves_the_hosts_debug_hook),
#endif
        T(a_busy_vm_that_allocates_applies_the_change),
        T(a_busy_vm_without_the_jit_applies_the_change),
        T(a_busy_vm_with_armed_hooks_applies_the_change_without_allocating),
        T(a_busy_vm_with_the_hosts_debug_hook_applies_the_change),
        T(a_hook_set_by_a_waking_change_is_hit_in_the_running_loop),
        T(a_change_that_fails_in_a_running_program_does_not_reach_it),
        T(many_changes_of_a_running_program_end_with_the_last),
    };
    /* A file left by an earlier run must not be found through the environment. */
    unsetenv("LJINSPECT_HOOKS_FILE");
    int failed = cmocka_run_group_tests_name("hooksfile, applied", applying, NULL, NULL);
    failed += cmocka_run_group_tests_name("hooksfile, refused", failing, NULL, NULL);
    failed += cmocka_run_group_tests_name("hooksfile, reentered", meddling, NULL, NULL);
    failed += cmocka_run_group_tests_name("hooksfile, waking", waking, NULL, NULL);
    return failed;
}
