/* Where messages go, and what a sink may do. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "alloc.h"
#include "context.h"
#include "log.h"

typedef struct fixture {
    lua_State *L;
    context *c;
    test_log log;
    char err[1 << 17]; /* what went to standard error */
    int saved;         /* standard error itself; -1 when not captured */
    char file[64];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    int error;
    f->L = new_vm(NULL);
    f->c = context_get(f->L, &error);
    f->saved = -1;
    *state = f;
    return f->c != NULL ? 0 : -1;
}

static void begin_capture(fixture *f) {
    strcpy(f->file, "/tmp/ljinspect-log.XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    fflush(stderr);
    f->saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static const char *end_capture(fixture *f) {
    fflush(stderr);
    dup2(f->saved, STDERR_FILENO);
    close(f->saved);
    f->saved = -1;
    FILE *in = fopen(f->file, "r");
    size_t n = fread(f->err, 1, sizeof f->err - 1, in);
    f->err[n] = '\0';
    fclose(in);
    unlink(f->file);
    return f->err;
}

static int teardown(void **state) {
    fixture *f = *state;
    fail_allocation(0, 0);
    if (f->saved >= 0) end_capture(f);
    if (f->L != NULL) lua_close(f->L);
    free(f);
    return 0;
}

static void every_message_goes_to_the_logger_with_level_and_prefix(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    log_message(f->c, f->L, LJINSPECT_DEBUG, "a %d", 1);
    log_message(f->c, f->L, LJINSPECT_INFO, "b");
    log_message(f->c, f->L, LJINSPECT_WARN, "c");
    log_message(f->c, f->L, LJINSPECT_ERROR, "%s", "d");
    assert_string_equal(f->log.text, "0 ljinspect: a 1\n1 ljinspect: b\n2 ljinspect: c\n3 ljinspect: d\n");
}

static void levels_have_names(void **state) {
    (void)state;
    assert_string_equal(log_level_name(LJINSPECT_DEBUG), "debug");
    assert_string_equal(log_level_name(LJINSPECT_INFO), "info");
    assert_string_equal(log_level_name(LJINSPECT_WARN), "warn");
    assert_string_equal(log_level_name(LJINSPECT_ERROR), "error");
    assert_string_equal(log_level_name((enum ljinspect_level)17), "error");
}

static void control_characters_are_escaped(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    log_message(f->c, f->L, LJINSPECT_INFO, "%s",
                "a\nb\rc\td\x01"
                "e\x1b[31m\x7f"
                "caf\xc3\xa9 \xff %s %n");
    assert_string_equal(f->log.text, "1 ljinspect: a\\nb\\x0dc d\\x01e\\x1b[31m\\x7f"
                                     "caf\xc3\xa9 \\xff %s %n\n");
    /* Commands to terminals that are one byte, or two in UTF-8; a new line; text that runs backwards; a cut character. */
    forget_log(&f->log);
    log_message(f->c, f->L, LJINSPECT_INFO, "%s",
                "\x9b 31m \xc2\x9b 31m \xe2\x80\xa8 \xe2\x80\xae \xd8\x9c \xe2\x81\xa9 \xe2\x82");
    assert_string_equal(f->log.text, "1 ljinspect: \\x9b 31m \\xc2\\x9b 31m \\xe2\\x80\\xa8 \\xe2\\x80\\xae \\xd8\\x9c "
                                     "\\xe2\\x81\\xa9 \\xe2\\x82\n");
    /* And what stands beside these in Unicode. */
    forget_log(&f->log);
    log_message(f->c, f->L, LJINSPECT_INFO, "%s",
                "\xc2\xa0\xe2\x80\x8d\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe3\x80\xae\xf0\x9f\x98\x80");
    assert_string_equal(
        f->log.text,
        "1 ljinspect: \xc2\xa0\xe2\x80\x8d\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe3\x80\xae\xf0\x9f\x98\x80\n");
}

static void a_file_name_cannot_forge_a_line(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    run_named(f->L, "function g()\n  return 1\nend\n", "@a\nforged: b.lua");
    run(f->L, "ljinspect.set_hook('a\\nforged: b.lua', 2, nil, function() error('x\\ny') end) g()");
    assert_int_equal(f->log.messages, 1);
    assert_logged(&f->log, "a\\nforged: b.lua#2");
    assert_logged(&f->log, "x\\ny");
    assert_null(strchr(strchr(f->log.text, '\n') + 1, '\n'));
}

static void very_long_messages_are_whole(void **state) {
    fixture *f = *state;
    size_t sizes[] = {100,  400,  470,  480,  490,  500,  510,  511,  512,  513,
                      1000, 1011, 1012, 1013, 1023, 1024, 1025, 2048, 30000};
    char *text = malloc(40000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int byte = 0; byte < 2; byte++) {
            size_t n = sizes[i] / (byte ? 4 : 1);
            memset(text, byte ? '\x01' : 'x', n);
            text[n] = '\0';
            forget_log(&f->log);
            assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
            log_message(f->c, f->L, LJINSPECT_INFO, "%s", text);
            assert_int_equal(f->log.len, strlen("1 ljinspect: ") + n * (byte ? 4 : 1) + 1);
        }
    }
    free(text);
}

static void without_memory_the_beginning_of_a_message_must_do(void **state) {
    fixture *f = *state;
    char *text = malloc(40000);
    memset(text, 'x', 39999);
    text[39999] = '\0';
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    for (long n = 1; n <= 2; n++) {
        forget_log(&f->log);
        fail_allocation(n, 1);
        log_message(f->c, f->L, LJINSPECT_INFO, "%s", text);
        fail_allocation(0, 0);
        assert_int_equal(f->log.messages, 1);
        assert_logged(&f->log, "ljinspect: xxxxxxxx");
    }
    free(text);
}

static void a_string_that_is_not_text_is_no_format(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    run_named(f->L, "function g()\n  return 1\nend\n", "@%s%n%s.lua");
    run(f->L, "ljinspect.set_hook('%s%n%s.lua', 2, nil, function() error('%n%s%999d') end) g()");
    assert_logged(&f->log, "%s%n%s.lua#2");
    assert_logged(&f->log, "%n%s%999d");
}

/* ---- The default sinks ---- */

static void without_a_logger_messages_go_to_standard_error(void **state) {
    fixture *f = *state;
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_WARN, "to %s\n", "stderr");
    log_message(f->c, f->L, LJINSPECT_INFO, "second");
    assert_string_equal(end_capture(f), "ljinspect: to stderr\\n\nljinspect: second\n");
}

static void a_global_ngx_with_log_gets_the_messages(void **state) {
    fixture *f = *state;
    run(f->L, "seen = {}\n"
              "ngx = {ERR = 4, WARN = 5, INFO = 7, DEBUG = 8}\n"
              "function ngx.log(level, ...) seen[#seen + 1] = level .. table.concat({...}) end\n");
    begin_capture(f);
    for (int level = LJINSPECT_DEBUG; level <= LJINSPECT_ERROR; level++)
        log_message(f->c, f->L, (enum ljinspect_level)level, "x");
    run(f->L, "ngx.ERR, ngx.WARN, ngx.INFO, ngx.DEBUG = nil, 'not a number', nil, nil");
    for (int level = LJINSPECT_DEBUG; level <= LJINSPECT_ERROR; level++)
        log_message(f->c, f->L, (enum ljinspect_level)level, "x");
    assert_string_equal(end_capture(f), "");
    assert_lua(f->L, "table.concat(seen, ' ') == '8ljinspect: x 7ljinspect: x 5ljinspect: x 4ljinspect: x "
                     "8ljinspect: x 7ljinspect: x 5ljinspect: x 4ljinspect: x'");
}

static void ngx_is_found_from_a_coroutine_with_other_globals(void **state) {
    fixture *f = *state;
    run(f->L, "n = 0 ngx = {log = function() n = n + 1 end}");
    lua_State *co = lua_newthread(f->L);
    lua_newtable(co);
    lua_replace(co, LUA_GLOBALSINDEX);
    begin_capture(f);
    log_message(f->c, co, LJINSPECT_INFO, "x");
    assert_string_equal(end_capture(f), "");
    assert_lua(f->L, "n == 1");
}

static void a_strict_global_table_is_not_asked(void **state) {
    fixture *f = *state;
    run(f->L,
        "asked = 0\n"
        "setmetatable(_G, {__index = function(_, k) rawset(_G, 'asked', asked + 1) error('no global ' .. k) end})\n");
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    assert_string_equal(end_capture(f), "ljinspect: x\n");
    assert_lua(f->L, "asked == 0");
}

static void an_ngx_that_is_something_else_is_left_alone(void **state) {
    fixture *f = *state;
    static const char *const others[] = {"ngx = 1",
                                         "ngx = {}",
                                         "ngx = {log = 1}",
                                         "ngx = 'x'",
                                         "ngx = setmetatable({}, {__index = function() error('x') end})",
                                         "package.loaded._G = nil ngx = nil",
                                         "package.loaded._G = 5"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        run(f->L, others[i]);
        begin_capture(f);
        log_message(f->c, f->L, LJINSPECT_INFO, "x");
        assert_string_equal(end_capture(f), "ljinspect: x\n");
    }
}

static void where_ngx_log_raises_the_message_goes_to_standard_error(void **state) {
    fixture *f = *state;
    run(f->L, "ngx = {log = function() error('no request found') end}");
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    assert_string_equal(end_capture(f), "ljinspect: x\n");
    assert_int_equal(lua_gettop(f->L), 0);
}

static void no_logger_restores_the_default(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    assert_int_equal(ljinspect_set_logger(f->L, NULL, NULL), 0);
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    assert_string_equal(end_capture(f), "ljinspect: x\n");
    assert_int_equal(f->log.messages, 0);
}

/* ---- Loggers that do things ---- */

static int raised;

static void raise_error(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)level, (void)message, (void)userdata;
    raised++;
    luaL_error(L, "from the logger");
}

static void an_error_of_the_logger_is_ignored(void **state) {
    fixture *f = *state;
    raised = 0;
    assert_int_equal(ljinspect_set_logger(f->L, raise_error, NULL), 0);
    run_named(f->L, "function g()\n  return 1\nend\n", "@g.lua");
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    run(f->L, "ljinspect.set_hook('g.lua', 2, nil, function() error('y') end) assert(g() == 1)");
    end_capture(f);
    assert_int_equal(raised, 2);
    assert_int_equal(lua_gettop(f->L), 0);
    /* The next message is logged as ever. */
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    log_message(f->c, f->L, LJINSPECT_INFO, "z");
    assert_logged(&f->log, "z");
}

static void use_stack(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)level, (void)userdata;
    assert_int_equal(lua_gettop(L), 0);
    for (int i = 0; i < LUA_MINSTACK; i++) lua_pushstring(L, message);
}

static void a_logger_has_a_stack_of_its_own(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, use_stack, NULL), 0);
    lua_pushinteger(f->L, 1);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    assert_int_equal(lua_gettop(f->L), 1);
    lua_settop(f->L, 0);
}

static void use_api(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    fixture *f = userdata;
    static counter c;
    keep_log(L, level, message, &f->log);
    hook_counter(L, "never.lua", f->log.messages, &c);
    run(L, "local n = #ljinspect.hooks() assert(n > 0) g()");
    ljinspect_poll(L);
}

static void a_logger_may_set_hooks_and_run_lua(void **state) {
    fixture *f = *state;
    run_named(f->L, "function g()\n  return 1\nend\n", "@g.lua");
    assert_int_equal(ljinspect_set_logger(f->L, use_api, f), 0);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    run(f->L, "ljinspect.set_hook('g.lua', 2, nil, function() error('y') end) assert(g() == 1)");
    assert_int_equal(f->log.messages, 2);
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 2);
    ljinspect_unset_all(f->L);
}

static void log_more(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    fixture *f = userdata;
    keep_log(L, level, message, &f->log);
    log_message(f->c, L, LJINSPECT_WARN, "about the log");
}

static void what_a_logger_causes_to_be_logged_goes_to_standard_error(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, log_more, f), 0);
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    assert_string_equal(end_capture(f), "ljinspect: about the log\n");
    assert_int_equal(f->log.messages, 1);
}

static void switch_logger(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    fixture *f = userdata;
    (void)level, (void)message;
    ljinspect_set_logger(L, keep_log, &f->log);
}

static void a_logger_may_put_another_in_its_place(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, switch_logger, f), 0);
    log_message(f->c, f->L, LJINSPECT_INFO, "x");
    log_message(f->c, f->L, LJINSPECT_INFO, "y");
    assert_string_equal(f->log.text, "1 ljinspect: y\n");
}

static void a_logger_in_lua_gets_level_and_message(void **state) {
    fixture *f = *state;
    run(f->L, "seen = {}\n"
              "ljinspect.set_logger(function(level, message) seen[#seen + 1] = level .. ' ' .. message end)\n");
    log_message(f->c, f->L, LJINSPECT_ERROR, "x");
    lua_State *co = lua_newthread(f->L);
    log_message(f->c, co, LJINSPECT_DEBUG, "y");
    assert_lua(f->L, "seen[1] == 'error ljinspect: x' and seen[2] == 'debug ljinspect: y'");
    run(f->L, "ljinspect.set_logger(nil)");
    begin_capture(f);
    log_message(f->c, f->L, LJINSPECT_INFO, "z");
    assert_string_equal(end_capture(f), "ljinspect: z\n");
    assert_lua(f->L, "#seen == 2");
}

/* A logger that yields: in a coroutine, where a yield would be possible. */
static void a_logger_that_yields_is_an_error_of_the_logger(void **state) {
    fixture *f = *state;
    run_named(f->L, "function g()\n  return 1\nend\n", "@g.lua");
    run(f->L, "ljinspect.set_logger(function() coroutine.yield() end)\n"
              "ljinspect.set_hook('g.lua', 2, nil, function() error('y') end)\n");
    begin_capture(f);
    run(f->L, "local co = coroutine.wrap(g) assert(co() == 1)");
    const char *text = end_capture(f);
    assert_non_null(strstr(text, "g.lua#2"));
    run(f->L, "ljinspect.set_logger(nil)");
}

static void a_message_costs_no_line_of_the_stack(void **state) {
    fixture *f = *state;
    assert_int_equal(ljinspect_set_logger(f->L, keep_log, &f->log), 0);
    for (int i = 0; i < 1000; i++) {
        lua_checkstack(f->L, 1);
        lua_pushinteger(f->L, i);
        log_message(f->c, f->L, LJINSPECT_INFO, "x");
    }
    assert_int_equal(lua_gettop(f->L), 1000);
    assert_int_equal(f->log.messages, 1000);
    lua_settop(f->L, 0);
}

/* ---- Standard error whose reader has gone ---- */

static void break_stderr(void) {
    int fds[2];
    fflush(NULL);
    if (pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0) _exit(10);
    close(fds[0]);
    close(fds[1]);
    signal(SIGPIPE, SIG_DFL);
}

static bool is_pending(int number) {
    sigset_t set;
    return sigpending(&set) == 0 && sigismember(&set, number) == 1;
}

/* In a child, which ends with 0 where all is as it should be. */
static void write_to_nobody(const fixture *f, bool blocked, bool waits) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    break_stderr();
    if (blocked) pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (waits) raise(SIGPIPE);
    errno = 77;
    log_message(f->c, f->L, LJINSPECT_WARN, "nobody reads this");
    bool ok = errno == 77 && is_pending(SIGPIPE) == waits;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    _exit(ok && (sigismember(&set, SIGPIPE) == 1) == blocked ? 0 : 1);
}

static void a_message_that_nobody_reads_does_not_end_the_process(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) write_to_nobody(f, i > 0, i > 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_message_that_nobody_reads_does_not_end_the_process),
        T(every_message_goes_to_the_logger_with_level_and_prefix),
        T(levels_have_names),
        T(control_characters_are_escaped),
        T(a_file_name_cannot_forge_a_line),
        T(very_long_messages_are_whole),
        T(without_memory_the_beginning_of_a_message_must_do),
        T(a_string_that_is_not_text_is_no_format),
        T(without_a_logger_messages_go_to_standard_error),
        T(a_global_ngx_with_log_gets_the_messages),
        T(ngx_is_found_from_a_coroutine_with_other_globals),
        T(a_strict_global_table_is_not_asked),
        T(an_ngx_that_is_something_else_is_left_alone),
        T(where_ngx_log_raises_the_message_goes_to_standard_error),
        T(no_logger_restores_the_default),
        T(an_error_of_the_logger_is_ignored),
        T(a_logger_has_a_stack_of_its_own),
        T(a_logger_may_set_hooks_and_run_lua),
        T(what_a_logger_causes_to_be_logged_goes_to_standard_error),
        T(a_logger_may_put_another_in_its_place),
        T(a_logger_in_lua_gets_level_and_message),
        T(a_logger_that_yields_is_an_error_of_the_logger),
        T(a_message_costs_no_line_of_the_stack),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
