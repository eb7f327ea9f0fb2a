/* Attaching to a VM whose host knows nothing of the library: what libljinspect-preload.so does to each one. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "support.h"

#include <dirent.h>
#include <sys/wait.h>

#include "alloc.h"

static const char program[] = "local function step(n)\n"
                              "    local twice = n * 2\n"
                              "    return twice\n" /* line 3 */
                              "end\n"
                              "local sum = 0\n"
                              "for n = 1, 5 do sum = sum + step(n) end\n"
                              "return sum\n";

typedef struct fixture {
    test_dir dir;
    char file[2 * PATH_MAX]; /* the hooks file */
    int stderr_fd;
    lua_State *L;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    make_test_dir(&f->dir);
    snprintf(f->file, sizeof f->file, "%s", in_dir(&f->dir, "hooks.lua"));
    /* What is shown goes to a file. */
    f->stderr_fd = dup(STDERR_FILENO);
    int out = open(in_dir(&f->dir, "shown"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(f->stderr_fd >= 0 && out >= 0 && dup2(out, STDERR_FILENO) >= 0);
    close(out);
    f->L = luaL_newstate();
    assert_non_null(f->L);
    luaL_openlibs(f->L);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    fail_allocation(0, 0);
    if (f->L != NULL) lua_close(f->L);
    dup2(f->stderr_fd, STDERR_FILENO);
    close(f->stderr_fd);
    remove_test_dir(&f->dir);
    free(f);
    return 0;
}

/* All that was shown so far. */
static const char *shown(const fixture *f) {
    static char text[1 << 17];
    int fd = open(in_dir(&f->dir, "shown"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static int count_of(const char *text, const char *part) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) n++;
    return n;
}

#define assert_shown(f, part)                                                                              \
    do {                                                                                                   \
        if (strstr(shown(f), (part)) == NULL) fail_msg("no \"%s\" in what is shown:\n%s", part, shown(f)); \
    } while (0)

static int attach(lua_State *L, const char *breakpoints, int hits, const char *hooks_file) {
    const ljinspect_attach_options options = {.hooks_file = hooks_file, .breakpoints = breakpoints, .hits = hits};
    return ljinspect_attach(L, &options);
}

static void run_program(lua_State *L, const char *name) {
    load_named(L, program, name);
    call_top(L, 1);
    assert_int_equal(lua_tointeger(L, -1), 30);
    lua_settop(L, 0);
}

/* ---- Modules ---- */

static void require_works_without_any_path(void **state) {
    fixture *f = *state;
    run(f->L, "package.path, package.cpath = '', ''");
    assert_int_equal(attach(f->L, NULL, 0, NULL), 0);
    run(f->L, "local l = require 'ljinspect'\n"
              "assert(l.set_hook and require('resty.inspect.dbg') == l and require('apisix.inspect.dbg') == l)\n"
              "assert(not pcall(require, 'resty.nothing'))");
    assert_int_equal(lua_gettop(f->L), 0);
}

static void a_drop_in_module_of_the_programs_own_is_used(void **state) {
    fixture *f = *state;
    run(f->L, "package.preload['resty.inspect.dbg'] = function() return 'own' end");
    assert_int_equal(attach(f->L, NULL, 0, NULL), 0);
    run(f->L, "assert(require 'resty.inspect.dbg' == 'own')");
}

static void a_vm_without_libraries_is_attached_to(void **state) {
    fixture *f = *state;
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    assert_int_equal(attach(L, "bare.lua:3", 0, NULL), 0);
    run_program(L, "@bare.lua");
    assert_int_equal(count_of(shown(f), "breakpoint bare.lua:3, hit "), 5);
    lua_close(L);
}

/* ---- Breakpoints ---- */

static void a_hit_shows_locals_and_the_stack(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "locals.lua:3\nother.lua:1", 0, NULL), 0);
    run_program(f->L, "@locals.lua");
    assert_shown(f, "ljinspect: breakpoint locals.lua:3, hit 1: locals.lua:3 (step)\n"
                    "    n = 1\n"
                    "    twice = 2\n"
                    "    stack traceback:\n"
                    "      locals.lua:3: in function 'step'\n");
    assert_int_equal(count_of(shown(f), ", hit "), 5);
}

static void hits_are_counted_across_vms(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        lua_State *L = luaL_newstate();
        assert_int_equal(attach(L, "across.lua:3", 7, NULL), 0);
        run_program(L, "@across.lua");
        lua_close(L);
    }
    assert_int_equal(count_of(shown(f), "breakpoint across.lua:3, hit "), 7);
    assert_shown(f, "ljinspect: breakpoint across.lua:3 removed after 7 hits\n");
}

static void what_is_shown_forges_no_line(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "forged.lua:2", 0, NULL), 0);
    run_named(f->L, "local s, t = 'a\\nb\\27[1m\"', {['k\\nl'] = 'v\\r', f = print}\n return\n",
              "=x\nljinspect: forged.lua");
    assert_null(strstr(shown(f), "\nljinspect: forged"));
    assert_shown(f, "    s = \"a\\nb\\x1b[1m\\\"\"\n");
    assert_shown(f, "[\"k\\nl\"]=\"v\\x0d\"");
}

static void what_goes_by_a_secret_name_is_not_shown(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "secrets.lua:2", 0, NULL), 0);
    run_named(f->L, "local session_token, t = 'abc123', {Password = 'abc123', user = 'u'}\n return\n", "@secrets.lua");
    assert_shown(f, "    session_token = <string, masked>\n");
    assert_shown(f, "Password=<string, masked>");
    assert_null(strstr(shown(f), "abc123"));
}

static void much_is_cut(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "much.lua:3", 0, NULL), 0);
    run_named(f->L,
              "local big, t = ('x'):rep(5000), {} for i = 1, 60 do t[i] = ('y'):rep(500) end\n"
              "local function f(...)\n return end f(big, unpack(t))\n",
              "@much.lua");
    assert_shown(f, "xxx\"...\n");
    assert_true(strlen(shown(f)) < 20000);
}

static void no_metamethod_runs(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "meta.lua:4", 0, NULL), 0);
    run_named(f->L,
              "local function bad() error('called') end\n"
              "local t = setmetatable({x = 1}, {__index = bad, __tostring = bad, __len = bad, __metatable = bad})\n"
              "local u = newproxy(true) getmetatable(u).__tostring = bad getmetatable(u).__index = bad\n"
              "return\n",
              "@meta.lua");
    assert_shown(f, "    t = {x=1}\n");
    assert_shown(f, "    u = userdata: ");
}

static void what_cannot_be_read_is_an_error(void **state) {
    (void)state;
    static const char *const wrong[] = {"app.lua", ":3", "app.lua:0", "app.lua:x", "app.lua:3x", "app.lua:16777216"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        lua_State *L = luaL_newstate();
        assert_int_equal(attach(L, wrong[i], 0, NULL), LJINSPECT_ERR_ARGUMENT);
        lua_close(L);
    }
    fixture *f = *state;
    assert_int_equal(ljinspect_attach(NULL, NULL), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_attach(f->L, NULL), LJINSPECT_ERR_ARGUMENT);
}

static void a_second_time_changes_nothing(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) assert_int_equal(attach(f->L, "second.lua:3", 0, NULL), 0);
    run_program(f->L, "@second.lua");
    assert_int_equal(count_of(shown(f), ", hit "), 5);
}

static void a_line_without_code_is_told_when_its_file_is_loaded(void **state) {
    fixture *f = *state;
    static const char text[] =
        "ljinspect: breakpoint nocode.lua:100: there is no code on that line; the nearest is 7\n";
    assert_int_equal(attach(f->L, "nocode.lua:100", 0, NULL), 0);
    load_named(f->L, program, "@another.lua");
    assert_int_equal(attach(f->L, "nocode.lua:100", 0, NULL), 0);
    assert_string_equal(shown(f), "");
    for (int i = 0; i < 2; i++) {
        load_named(f->L, program, "@nocode.lua");
        assert_int_equal(attach(f->L, "nocode.lua:100", 0, NULL), 0);
    }
    assert_int_equal(lua_gettop(f->L), 3);
    assert_int_equal(count_of(shown(f), text), 1);
}

static void a_line_without_code_is_told_when_the_vm_is_closed(void **state) {
    fixture *f = *state;
    assert_int_equal(attach(f->L, "closing.lua:100", 0, NULL), 0);
    load_named(f->L, program, "@closing.lua");
    lua_setglobal(f->L, "kept");
    assert_string_equal(shown(f), "");
    lua_close(f->L);
    f->L = NULL;
    assert_shown(f, "breakpoint closing.lua:100: there is no code on that line; the nearest is 7\n");
}

/* ---- Hooks files, and hooks that last ---- */

static void the_hooks_file_is_applied_and_followed(void **state) {
    fixture *f = *state;
    write_file(f->file,
               "require('ljinspect').set_hook('file.lua', 3, nil, function(i) n = (n or 0) + 1 return false end)");
    assert_int_equal(attach(f->L, NULL, 0, f->file), 0);
    run_program(f->L, "@file.lua");
    assert_lua(f->L, "n == 5");
    write_file(f->file,
               "require('ljinspect').set_hook('file.lua', 2, nil, function(i) m = (m or 0) + 1 return false end)");
    int64_t end = now_ms() + DEADLINE_MS;
    while (number(f->L, "m or 0") == 0 && now_ms() < end) {
        run_program(f->L, "@file.lua");
        sleep_ms(1);
    }
    assert_lua(f->L, "m > 0");
}

static void breakpoints_last(void **state) {
    fixture *f = *state;
    write_file(f->file, "local l = require 'ljinspect'\n"
                        "l.unset_all()\n"
                        "l.set_hook('lasting.lua', 2, nil, function() n = (n or 0) + 1 return false end)");
    assert_int_equal(attach(f->L, "lasting.lua:3", 0, f->file), 0);
    run_program(f->L, "@lasting.lua");
    assert_int_equal(count_of(shown(f), "breakpoint lasting.lua:3, hit "), 5);
    assert_lua(f->L, "n == 5");
    assert_int_equal(ljinspect_unset_all(f->L), 1);
    run_program(f->L, "@lasting.lua");
    assert_int_equal(count_of(shown(f), "breakpoint lasting.lua:3, hit "), 10);
    assert_lua(f->L, "n == 5");
    assert_int_equal(ljinspect_unset_hook(f->L, "lasting.lua", 3), 1);
    run_program(f->L, "@lasting.lua");
    assert_int_equal(count_of(shown(f), "breakpoint lasting.lua:3, hit "), 10);
}

static void a_file_that_fails_leaves_breakpoints_alone(void **state) {
    fixture *f = *state;
    write_file(f->file, "require('ljinspect').unset_all() error('broken')");
    assert_int_equal(attach(f->L, "broken.lua:3", 0, f->file), 0);
    run_program(f->L, "@broken.lua");
    assert_shown(f, "broken");
    assert_int_equal(count_of(shown(f), "breakpoint broken.lua:3, hit "), 5);
}

static void a_lasting_filter_is_destroyed_once(void **state) {
    fixture *f = *state;
    counter c = {0};
    const ljinspect_filter filter = {
        .kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = &c, .destroy = count_destroyed, .lasting = 1};
    assert_true(ljinspect_set_hook(f->L, "once.lua", 3, 0, &filter) > 0);
    write_file(f->file, "return");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ljinspect_watch(f->L, f->file, 60, 0), 0);
        assert_int_equal(ljinspect_unwatch(f->L), 1);
    }
    run_program(f->L, "@once.lua");
    assert_int_equal(c.hits, 5);
    assert_int_equal(c.destroyed, 0);
    lua_close(f->L);
    f->L = NULL;
    assert_int_equal(c.destroyed, 1);
}

static void a_file_the_host_watches_goes_on(void **state) {
    fixture *f = *state;
    ljinspect_status status;
    write_file(f->file, "return");
    assert_int_equal(ljinspect_watch(f->L, f->file, 60, 0), 0);
    assert_int_equal(attach(f->L, NULL, 0, in_dir(&f->dir, "other.lua")), 0);
    assert_int_equal(ljinspect_get_status(f->L, &status), 0);
    assert_string_equal(status.hooks_file, f->file);
}

/* ---- Threads and processes ---- */

static int threads(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static lua_State *attached_vm(const char *hooks_file) {
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    assert_int_equal(attach(L, NULL, 0, hooks_file), 0);
    return L;
}

static void one_watcher_serves_all_vms_and_those_to_come(void **state) {
    fixture *f = *state;
    lua_State *all[20];
    write_file(f->file, "return");
    lua_close(attached_vm(f->file)); /* its watcher stays, the one that was idle goes */
    int one = threads();
    for (int i = 0; i < 20; i++) all[i] = attached_vm(f->file);
    assert_int_equal(threads(), one);
    for (int i = 0; i < 20; i++) lua_close(all[i]);
    assert_int_equal(threads(), one);
    lua_State *first = attached_vm(f->file), *other = attached_vm(in_dir(&f->dir, "other.lua"));
    assert_int_equal(threads(), one + 1);
    lua_close(other);
    lua_close(first);
    assert_int_equal(threads(), one);
}

static int in_child(fixture *f) {
    write_file(f->file,
               "require('ljinspect').set_hook('child.lua', 3, nil, function() n = (n or 0) + 1 return false end)");
    int64_t end = now_ms() + DEADLINE_MS;
    while (number(f->L, "n or 0") == 0 && now_ms() < end) {
        run_program(f->L, "@child.lua");
        sleep_ms(1);
    }
    return number(f->L, "n or 0") > 0 ? 0 : 1;
}

static void a_child_process_watches_too(void **state) {
#ifdef THREAD_SANITIZER
    print_message("SKIPPED: with the thread sanitizer no child of a process with threads may start one\n");
    skip();
#endif
    fixture *f = *state;
    int status;
    write_file(f->file, "return");
    lua_State *gone = luaL_newstate();
    assert_int_equal(attach(gone, NULL, 0, in_dir(&f->dir, "idle.lua")), 0);
    lua_close(gone); /* its watcher stays, idle */
    assert_int_equal(attach(f->L, NULL, 0, f->file), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(in_child(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Memory ---- */

static void without_memory_it_is_an_error_and_no_more(void **state) {
    fixture *f = *state;
    bool done = false;
    write_file(f->file, "require('ljinspect').set_hook('memory.lua', 2, nil, function() return false end)");
    for (long n = 1; !done && n < 5000; n++) {
        lua_State *L = luaL_newstate();
        assert_non_null(L);
        luaL_openlibs(L);
        fail_allocation(n, 0);
        int error = attach(L, "memory.lua:3", 0, f->file);
        done = !alloc_failed;
        fail_allocation(0, 0);
        if (done) assert_int_equal(error, 0);
        if (error != 0) assert_true(error == LJINSPECT_ERR_NOMEM || error == LJINSPECT_ERR_LUA);
        run_program(L, "@memory.lua");
        lua_close(L);
    }
    assert_true(done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(require_works_without_any_path),
        TEST(a_drop_in_module_of_the_programs_own_is_used),
        TEST(a_vm_without_libraries_is_attached_to),
        TEST(a_hit_shows_locals_and_the_stack),
        TEST(hits_are_counted_across_vms),
        TEST(what_is_shown_forges_no_line),
        TEST(what_goes_by_a_secret_name_is_not_shown),
        TEST(much_is_cut),
        TEST(no_metamethod_runs),
        TEST(what_cannot_be_read_is_an_error),
        TEST(a_second_time_changes_nothing),
        TEST(a_line_without_code_is_told_when_its_file_is_loaded),
        TEST(a_line_without_code_is_told_when_the_vm_is_closed),
        TEST(the_hooks_file_is_applied_and_followed),
        TEST(breakpoints_last),
        TEST(a_file_that_fails_leaves_breakpoints_alone),
        TEST(a_lasting_filter_is_destroyed_once),
        TEST(a_file_the_host_watches_goes_on),
        TEST(one_watcher_serves_all_vms_and_those_to_come),
        TEST(a_child_process_watches_too),
        TEST(without_memory_it_is_an_error_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
