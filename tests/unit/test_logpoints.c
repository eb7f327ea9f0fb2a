/* Hooks by options, through the C API: what hosts rely on, and what happens when memory runs out. */
#include "support.h"

#include <pthread.h>

#include "alloc.h"
#include "limited.h"

/* Line 4 is the hooked one. */
static const char target[] =
    "local up = {password = 'p', list = {1, 2}}\n"
    "function after(i, name)\n"
    "    local t, n = up, i * 2\n"
    "    n = n + 1\n"
    "    return n\n"
    "end\n"
    "function run(from, to) local s = 0 for i = from, to do s = s + after(i, 'name') end return s end\n";
enum { LINE = 4 };

typedef struct lines {
    int n, gone;
    size_t len;
    enum ljinspect_level level;
    char last[8192];
    bool collect;
} lines;

static void keep_line(lua_State *L, enum ljinspect_level level, const char *line, size_t len, void *userdata) {
    lines *l = userdata;
    l->n++;
    l->level = level;
    l->len = len;
    snprintf(l->last, sizeof l->last, "%s", line);
    if (l->collect) lua_gc(L, LUA_GCCOLLECT, 0);
}

static void lines_gone(void *userdata) {
    ((lines *)userdata)->gone++;
}

typedef struct fixture {
    lua_State *L;
    test_log log;
    lines lines;
    ljinspect_hook_options o;
    char why[256];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->L = new_vm(&f->log);
    run_named(f->L, target, "@target.lua");
    assert_int_equal(ljinspect_hook_options_init(&f->o, sizeof f->o), 0);
    f->o.file = "target.lua";
    f->o.line = LINE;
    f->o.budget = 0;
    f->o.sink = keep_line;
    f->o.sink_data = &f->lines;
    f->o.sink_destroy = lines_gone;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    fail_allocation(0, 0);
    if (f->L != NULL) lua_close(f->L);
    free(f);
    return 0;
}

static int64_t set(fixture *f) {
    return ljinspect_set_hook_with(f->L, &f->o, f->why, sizeof f->why);
}

static void set_ok(fixture *f) {
    if (set(f) <= 0) fail_msg("%s", f->why);
    assert_string_equal(f->why, "");
}

/* ---- What a host asks for ---- */

static void a_line_comes_to_the_hosts_function(void **state) {
    fixture *f = *state;
    f->o.condition = "i == 3";
    f->o.log = "i={i} n={n} {name} {up.list[2]} {t}";
    f->o.level = LJINSPECT_WARN;
    set_ok(f);
    assert_lua(f->L, "run(1, 5) == 35");
    assert_int_equal(f->lines.n, 1);
    assert_int_equal(f->lines.level, LJINSPECT_WARN);
    assert_non_null(strstr(f->lines.last, "i=3 n=6 name 2 {"));
    assert_non_null(strstr(f->lines.last, "password=<string, masked>"));
    assert_int_equal(ljinspect_unset_all(f->L), 1);
    assert_int_equal(f->lines.gone, 1);
}

static void the_log_gets_lines_with_key_and_tag(void **state) {
    fixture *f = *state;
    f->o.sink = NULL;
    f->o.sink_destroy = NULL;
    f->o.log = "{i}";
    f->o.tag = "T1";
    set_ok(f);
    assert_lua(f->L, "run(7, 7) == 15");
    assert_logged(&f->log, "1 ljinspect: target.lua#4 [T1]: 7\n");
}

static int keep_stack(ljinspect_hit *hit, void *userdata) {
    lua_State *L = ljinspect_hit_state(hit);
    lines *l = userdata;
    l->n++;
    l->len = (size_t)lua_gettop(L);
    if (!lua_checkstack(L, LUA_MINSTACK)) l->len = 1000;
    return ljinspect_hit_count(hit) == 4 ? LJINSPECT_REMOVE : LJINSPECT_KEEP;
}

static void a_filter_in_c_is_called_for_what_is_left(void **state) {
    fixture *f = *state;
    static lines seen;
    seen = (lines){.n = 0};
    const ljinspect_filter filter = {
        .kind = LJINSPECT_FILTER_C, .call = keep_stack, .userdata = &seen, .destroy = lines_gone};
    f->o.sink = NULL;
    f->o.sink_destroy = NULL;
    f->o.filter = &filter;
    f->o.condition = "i % 2 == 0 and up ~= nil"; /* an upvalue takes the function itself */
    set_ok(f);
    assert_lua(f->L, "run(1, 10) == 120");
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.len, 0); /* its stack was empty */
    assert_int_equal(seen.gone, 1);
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 0);
}

typedef struct left {
    int n, values, tail_calls, pushed, without;
    double sum, duration_us;
} left;

static int look_at_return(ljinspect_hit *hit, void *userdata) {
    lua_State *L = ljinspect_hit_state(hit);
    left *l = userdata;
    int values, tail_call;
    double us;
    l->n++;
    if (!ljinspect_hit_leaving(hit, &values, &tail_call, &us)) return LJINSPECT_REMOVE;
    l->values += values;
    l->tail_calls += tail_call;
    l->duration_us = us;
    for (int i = 0; i <= values + 1; i++) {
        int there = ljinspect_hit_return(hit, i);
        l->pushed += there;
        if (there != (i >= 1 && i <= values)) l->without = -100;
        if (there) l->sum += lua_tonumber(L, -1);
    }
    if (!ljinspect_hit_leaving(hit, NULL, NULL, NULL)) l->without = -100;
    if (ljinspect_hit_line(hit) != 5) l->without = -100;
    return LJINSPECT_KEEP;
}

static int look_at_line(ljinspect_hit *hit, void *userdata) {
    left *l = userdata;
    int values = 7;
    if (!ljinspect_hit_leaving(hit, &values, NULL, NULL) && values == 7 && !ljinspect_hit_return(hit, 1)) l->without++;
    return LJINSPECT_KEEP;
}

static void a_filter_in_c_sees_what_is_returned(void **state) {
    fixture *f = *state;
    ljinspect_status status;
    static left seen;
    seen = (left){.n = 0};
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = look_at_return, .userdata = &seen};
    const ljinspect_filter line_filter = {.kind = LJINSPECT_FILTER_C, .call = look_at_line, .userdata = &seen};
    assert_int_equal(ljinspect_get_status(f->L, &status), 0);
    assert_int_equal(ljinspect_hook_options_init(&f->o, sizeof f->o), 0);
    f->o.function = "after";
    f->o.at = LJINSPECT_AT_RETURN;
    f->o.filter = &filter;
    if (strcmp(status.engine, "trap") != 0) {
        assert_int_equal(set(f), LJINSPECT_ERR_ENGINE);
        assert_non_null(strstr(f->why, "trap engine"));
        return;
    }
    set_ok(f);
    assert_true(ljinspect_set_hook(f->L, "target.lua", LINE, 0, &line_filter) > 0);
    assert_lua(f->L, "run(1, 10) == 120");
    assert_int_equal(seen.n, 10);
    assert_int_equal(seen.values, 10);
    assert_int_equal(seen.pushed, 10);
    assert_int_equal(seen.tail_calls, 0);
    assert_true(seen.sum == 120);
    assert_true(seen.duration_us > 0);
    assert_int_equal(seen.without, 10);
    assert_int_equal(ljinspect_unset_hook(f->L, "@target.lua", 3), 1); /* where its code begins */
    assert_lua(f->L, "run(1, 10) == 120");
    assert_int_equal(seen.n, 10);
    assert_int_equal(ljinspect_unset_all(f->L), 1);
}

static void a_lua_function_can_be_filter_and_sink(void **state) {
    fixture *f = *state;
    run(f->L, "seen = {} function sink(line, level, key) seen[#seen + 1] = level .. key .. line end\n"
              "function filter(info) seen[#seen + 1] = info.vals.n return false end");
    lua_getglobal(f->L, "filter");
    lua_getglobal(f->L, "sink");
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_LUA, .index = -2};
    f->o.sink = NULL;
    f->o.sink_destroy = NULL;
    f->o.filter = &filter;
    f->o.sink_func = -1;
    f->o.log = "{n}";
    set_ok(f);
    lua_settop(f->L, 0);
    run(f->L, "filter, sink = nil, nil collectgarbage() collectgarbage()");
    assert_lua(f->L, "run(1, 1) == 3");
    assert_lua(f->L, "table.concat(seen, '|') == 'infotarget.lua#42|2'");
}

static int keep_info(const ljinspect_hook_info *info, void *userdata) {
    ljinspect_hook_info *to = userdata;
    *to = *info;
    return 0;
}

static void a_listing_tells_what_came_of_the_hits(void **state) {
    fixture *f = *state;
    ljinspect_hook_info info;
    f->o.condition = "i > 2 and (i < 9 or (nil).x)";
    f->o.log = "{i}";
    f->o.per_second = 3;
    set_ok(f);
    assert_lua(f->L, "run(1, 10) == 120");
    assert_int_equal(ljinspect_hooks(f->L, keep_info, &info), 1);
    assert_int_equal(info.hits, 10);
    assert_int_equal(info.matched, 6);
    assert_int_equal(info.dropped, 3);
    assert_int_equal(info.errors, 2);
    assert_int_equal(info.suspensions, 0);
    assert_true(info.mean_ns > 0 && info.max_ns >= info.mean_ns);
    assert_int_equal(f->lines.n, 3);
}

static void a_hook_that_expired_goes_without_another_hit(void **state) {
    fixture *f = *state;
    f->o.log = "{i}";
    f->o.expires = 0.02;
    set_ok(f);
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 1);
    sleep_ms(40);
    assert_int_equal(ljinspect_poll(f->L), 0);
    assert_int_equal(f->lines.gone, 1);
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 0);
    assert_logged(&f->log, "target.lua#4: hook expired");
    /* or at the hit of another */
    set_ok(f);
    f->o.expires = 0;
    f->o.line = LINE + 1;
    set_ok(f);
    sleep_ms(40);
    run(f->L, "local s = 0 function after(i) s = s + i return s end"); /* the first one's line is not run any more */
    load_named(f->L, target, "@target.lua");
    call_top(f->L, 0);
    assert_lua(f->L, "run(1, 1) == 3");
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 1);
}

/* Collections in the midst of hits find nothing that is not anchored. */
static void collections_during_hits_do_no_harm(void **state) {
    fixture *f = *state;
    const ljinspect_capture capture = {.what = 31, .stack = 10, .stack_locals = 10};
    f->o.capture = &capture;
    f->o.condition = "(function() return ({i})[1] end)() > 0";
    f->o.log = "{name .. i} {({n})} {up}";
    f->o.histogram = "i";
    f->lines.collect = true;
    lua_gc(f->L, LUA_GCSETPAUSE, 0);
    lua_gc(f->L, LUA_GCSETSTEPMUL, 100000);
    set_ok(f);
    for (int round = 0; round < 20; round++) {
        run_named(f->L, target, "@target.lua"); /* functions come and go */
        assert_lua(f->L, "run(1, 20) == 440");
    }
    assert_int_equal(f->lines.n, 400);
    assert_non_null(strstr(f->lines.last, "\"message\":\"name20 {40} {"));
}

static void limits_are_read_and_set(void **state) {
    fixture *f = *state;
    ljinspect_limits l = {.size = sizeof l};
    assert_int_equal(ljinspect_get_limits(f->L, &l), 0);
    assert_true(l.budget == 0 && l.filter_ms == 50 && l.plain_filter_ms == 0);
    l = (ljinspect_limits){.size = sizeof l, .budget = 0.5, .filter_ms = 10, .plain_filter_ms = 20};
    assert_int_equal(ljinspect_set_limits(f->L, &l), 0);
    l = (ljinspect_limits){.size = sizeof l};
    assert_int_equal(ljinspect_get_limits(f->L, &l), 0);
    assert_true(l.budget == 0.5 && l.filter_ms == 10 && l.plain_filter_ms == 20);
    static const ljinspect_limits wrong[] = {{.size = 1},
                                             {.size = sizeof l, .budget = 1.1},
                                             {.size = sizeof l, .budget = -1},
                                             {.size = sizeof l, .filter_ms = -1},
                                             {.size = sizeof l, .filter_ms = 1e9},
                                             {.size = sizeof l, .plain_filter_ms = -1},
                                             {.size = sizeof l, .plain_filter_ms = 60001}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(ljinspect_set_limits(f->L, &wrong[i]), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_limits(f->L, NULL), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_get_limits(f->L, NULL), LJINSPECT_ERR_ARGUMENT);
}

/* ---- Wrong options ---- */

static void refused(fixture *f, const char *why) {
    if (set(f) != LJINSPECT_ERR_ARGUMENT) fail_msg("not refused: %s", why);
    if (strstr(f->why, why) == NULL) fail_msg("\"%s\" does not say %s", f->why, why);
    assert_int_equal(ljinspect_hooks(f->L, NULL, NULL), 0);
    assert_int_equal(f->lines.gone, 0); /* what the host gave is still the host's */
}

static void wrong_options_are_named(void **state) {
    fixture *f = *state;
    const ljinspect_hook_options good = f->o;
    const ljinspect_capture nothing = {.what = LJINSPECT_CAPTURE_JSON}, deep = {.what = 1, .depth = 21},
                            below = {.what = 1, .entries = -1}, returns = {.what = LJINSPECT_CAPTURE_RETURNS};
    const ljinspect_filter no_filter = {.kind = LJINSPECT_FILTER_C}, odd = {.kind = (enum ljinspect_filter_kind)7};
    refused(f, "nothing to");
    f->o.log = "x";
    const ljinspect_hook_options with_log = f->o;
#define WRONG(change, why) (f->o = with_log, change, refused(f, why))
    WRONG(f->o.line = 0, "line: ");
    WRONG(f->o.line = 16777216, "line: ");
    WRONG(f->o.condition = "i ==", "condition, column 5: ");
    WRONG(f->o.log = "{i", "log, column 1: ");
    WRONG(f->o.histogram = "+", "histogram, column 1: ");
    WRONG(f->o.capture = &nothing, "capture: nothing to show");
    WRONG(f->o.capture = &deep, "capture.depth: ");
    WRONG(f->o.capture = &below, "capture.entries: ");
    WRONG(f->o.filter = &no_filter, "filter: ");
    WRONG(f->o.filter = &odd, "filter: ");
    WRONG(f->o.hits = -1, "hits: ");
    WRONG(f->o.per_second = -1, "per_second: ");
    WRONG(f->o.expires = -1, "expires: ");
    WRONG(f->o.sample = 0, "sample: ");
    WRONG(f->o.budget = 2, "budget: ");
    WRONG(f->o.level = (enum ljinspect_level)9, "level: ");
    WRONG(f->o.sink_file = "/tmp/x", "sink: more than one");
    WRONG((f->o.sink = NULL, f->o.sink_file = "x"), "sink: an absolute path");
    WRONG((f->o.count = 1, f->o.interval = 0), "interval: ");
    WRONG(f->o.func = 1, "func: ");
    WRONG(f->o.at = 2, "at: ");
    WRONG(f->o.at = LJINSPECT_AT_RETURN, "at: of a function alone");
    WRONG(f->o.capture = &returns, "capture.returns: ");
    WRONG(f->o.function = "string.rep", "func: ");
    WRONG((f->o.function = "nope", f->o.line = 0, f->o.file = NULL), "func: nope: ");
    f->o = good;
    f->o.size = sizeof f->o - 1;
    assert_int_equal(set(f), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook_with(f->L, NULL, f->why, sizeof f->why), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook_with(NULL, &good, f->why, sizeof f->why), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_hook_options_init(NULL, sizeof f->o), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_hook_options_init(&f->o, 8), LJINSPECT_ERR_ARGUMENT);
}

static void the_reason_fits_any_buffer(void **state) {
    fixture *f = *state;
    char small[4] = "xyz";
    f->o.log = "{i";
    assert_int_equal(ljinspect_set_hook_with(f->L, &f->o, small, sizeof small), LJINSPECT_ERR_ARGUMENT);
    assert_string_equal(small, "log");
    assert_int_equal(ljinspect_set_hook_with(f->L, &f->o, small, 0), LJINSPECT_ERR_ARGUMENT);
    assert_string_equal(small, "log");
    assert_int_equal(ljinspect_set_hook_with(f->L, &f->o, NULL, 0), LJINSPECT_ERR_ARGUMENT);
}

/* ---- No memory ---- */

typedef struct oom {
    limited lua;
    bool lua_side, and_on, to_file;
    bool returns; /* of a function, instead of a line */
    long n;
    char file[PATH_MAX];
} oom;

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L, (void)level, (void)message, (void)userdata;
}

static int panic(lua_State *L) {
    print_error("panic: %s\n", lua_tostring(L, -1));
    return 0;
}

/* Call run(1, 30), which allocates nothing itself: no error of a hit may come to it. */
static void assert_runs(lua_State *L) {
    lua_getglobal(L, "run");
    lua_pushinteger(L, 1);
    lua_pushinteger(L, 30);
    if (lua_pcall(L, 2, 1, 0) != 0) fail_msg("an error came to the program: %s", lua_tostring(L, -1));
    assert_int_equal(lua_tointeger(L, -1), 960);
    lua_pop(L, 1);
}

/* One life of a VM with the n-th allocation failing; whether an allocation did fail. */
static bool live_with_failing_memory(oom *m) {
    static const char *const masks[] = {"list", NULL};
    const ljinspect_capture capture = {.what = m->returns ? 63 : 31, .stack = 5, .stack_locals = 5, .masks = masks};
    lua_State *L = lua_newstate(limited_alloc, &m->lua);
    lines l = {.n = 0};
    char why[256];
    ljinspect_hook_options o;
    m->lua = (limited){0};
    luaL_openlibs(L);
    lua_atpanic(L, panic);
    run_named(L, target, "@target.lua");
    assert_runs(L);
    assert_int_equal(ljinspect_hook_options_init(&o, sizeof o), 0);
    o.file = "target.lua";
    o.line = LINE;
    o.budget = 0;
    if (m->returns) {
        o.file = NULL;
        o.line = 0;
        o.function = "after";
        o.at = LJINSPECT_AT_RETURN;
    }
    o.condition = m->returns ? "returns[1] > 0 and name:find('n')" : "i > 0 and name:find('n')";
    o.log = "{i} {up.list[1]} {(function() return name .. i end)()} {({i})}";
    o.capture = &capture;
    o.histogram = "i";
    o.interval = 0.01;
    o.tag = "tag";
    o.expires = 1000;
    if (m->to_file) {
        o.sink_file = m->file;
    } else {
        o.sink = keep_line;
        o.sink_data = &l;
        o.sink_destroy = lines_gone;
    }

    m->lua.and_on = m->and_on;
    m->lua.fail_at = m->lua_side ? m->n : 0;
    fail_allocation(m->lua_side ? 0 : m->n, m->and_on);
    (void)ljinspect_set_logger(L, no_log, NULL);
    int64_t id = ljinspect_set_hook_with(L, &o, why, sizeof why);
    bool refused = m->lua.failing || alloc_failed;
    assert_runs(L);
    (void)ljinspect_poll(L);
    assert_runs(L);
    bool failed = m->lua.failing || alloc_failed;
    if (id > 0 && m->and_on) assert_int_equal(ljinspect_unset_id(L, id), 1); /* takes no memory */
    m->lua.failing = false;
    m->lua.fail_at = 0;
    fail_allocation(0, 0);

    if (id < 0) {
        assert_true(refused);
        assert_true(id == LJINSPECT_ERR_NOMEM || id == LJINSPECT_ERR_LUA || id == LJINSPECT_ERR_BUSY ||
                    id == LJINSPECT_ERR_SYSTEM || id == LJINSPECT_ERR_ENGINE);
        assert_true(*why != '\0');
        assert_int_equal(l.gone, 0);
        assert_int_equal(l.n, 0);
    }
    assert_int_equal(ljinspect_hooks(L, NULL, NULL), id > 0 && !m->and_on ? 1 : 0);
    int before = l.n;
    assert_runs(L); /* all is well again */
    if (id > 0 && !m->and_on && !m->to_file) assert_true(l.n >= before + 30);
    assert_int_equal(ljinspect_unset_all(L), id > 0 && !m->and_on ? 1 : 0);
    if (!m->to_file) assert_int_equal(l.gone, id > 0 ? 1 : 0);
    before = l.n;
    assert_runs(L);
    assert_int_equal(l.n, before);
    lua_close(L);
    return failed;
}

static void failing_memory(bool lua_side, bool and_on, bool to_file, bool returns) {
    test_dir d;
    limited probe;
#if defined(__SANITIZE_THREAD__)
    print_message("one thread only, and the thread sanitizer keeps hundreds of VMs in memory\n");
    skip();
#endif
    oom m = {.lua_side = lua_side, .and_on = and_on, .to_file = to_file, .returns = returns, .n = 1};
    lua_close(new_limited_vm(&probe));
    make_test_dir(&d);
    snprintf(m.file, sizeof m.file, "%s", in_dir(&d, "lines"));
    while (live_with_failing_memory(&m)) {
        m.n += lua_side && m.n > 400 ? 7 : 1; /* the hits are much alike */
        if (m.n > 20000) fail_msg("no end");
    }
    print_message("%ld allocations\n", m.n - 1);
    assert_true(m.n > 10);
    remove_test_dir(&d);
}

static void one_failing_allocation_of_lua_is_never_the_programs(void **state) {
    (void)state;
    failing_memory(true, false, false, false);
}

static void failing_allocations_of_lua_are_never_the_programs(void **state) {
    (void)state;
    failing_memory(true, true, false, false);
}

static void one_failing_allocation_of_c_is_never_the_programs(void **state) {
    (void)state;
    failing_memory(false, false, false, false);
    failing_memory(false, false, true, false);
}

static void failing_allocations_of_c_are_never_the_programs(void **state) {
    (void)state;
    failing_memory(false, true, false, false);
    failing_memory(false, true, true, false);
}

static void failing_allocations_while_returns_are_hooked_are_never_the_programs(void **state) {
    ljinspect_status status;
    lua_State *L = luaL_newstate();
    (void)state;
    assert_int_equal(ljinspect_get_status(L, &status), 0);
    bool trap = strcmp(status.engine, "trap") == 0;
    lua_close(L);
    if (!trap) return; /* the other refuses such hooks */
    failing_memory(true, false, false, true);
    failing_memory(false, false, false, true);
    failing_memory(false, true, false, true);
}

/* ---- Threads ---- */

static void *live(void *file) {
    lua_State *L = new_vm(NULL);
    ljinspect_hook_options o;
    (void)ljinspect_set_logger(L, no_log, NULL);
    run_named(L, target, "@target.lua");
    assert_int_equal(ljinspect_hook_options_init(&o, sizeof o), 0);
    o.file = "target.lua";
    o.line = LINE;
    o.log = "{i} {name:upper()}";
    o.sink_file = file;
    for (int round = 0; round < 10; round++) {
        if (ljinspect_set_hook_with(L, &o, NULL, 0) <= 0) return file;
        assert_runs(L);
        if (ljinspect_unset_all(L) != 1) return file;
    }
    lua_close(L);
    return NULL;
}

static void vms_on_threads_of_their_own_write_to_one_file(void **state) {
    (void)state;
    test_dir d;
    pthread_t threads[3];
    char path[PATH_MAX];
    make_test_dir(&d);
    snprintf(path, sizeof path, "%s", in_dir(&d, "lines"));
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, live, path), 0);
    for (int i = 0; i < 3; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    int n = 0;
    for (int64_t until = now_ms() + DEADLINE_MS; n != 900 && now_ms() < until; sleep_ms(10)) {
        char line[256];
        FILE *in = fopen(path, "r");
        assert_non_null(in);
        for (n = 0; fgets(line, sizeof line, in) != NULL; n++) assert_non_null(strstr(line, " info target.lua#4: "));
        fclose(in);
    }
    assert_int_equal(n, 900);
    remove_test_dir(&d);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_line_comes_to_the_hosts_function),
        TEST(the_log_gets_lines_with_key_and_tag),
        TEST(a_filter_in_c_is_called_for_what_is_left),
        TEST(a_filter_in_c_sees_what_is_returned),
        TEST(a_lua_function_can_be_filter_and_sink),
        TEST(a_listing_tells_what_came_of_the_hits),
        TEST(a_hook_that_expired_goes_without_another_hit),
        TEST(collections_during_hits_do_no_harm),
        TEST(limits_are_read_and_set),
        TEST(wrong_options_are_named),
        TEST(the_reason_fits_any_buffer),
        cmocka_unit_test(one_failing_allocation_of_lua_is_never_the_programs),
        cmocka_unit_test(failing_allocations_of_lua_are_never_the_programs),
        cmocka_unit_test(one_failing_allocation_of_c_is_never_the_programs),
        cmocka_unit_test(failing_allocations_of_c_are_never_the_programs),
        cmocka_unit_test(failing_allocations_while_returns_are_hooked_are_never_the_programs),
        cmocka_unit_test(vms_on_threads_of_their_own_write_to_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
