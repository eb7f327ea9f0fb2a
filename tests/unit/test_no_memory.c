/*
 * One life of a VM that uses all of the public API, with the n-th allocation failing, of LuaJIT's or of the library's own,
 * for each n: the program's result is right, no hook is half there, what was armed stays armed, nothing is left behind.
 * (Leaks are the address sanitizer's to find.)
 */
#include "support.h"

#include <dirent.h>

#include "alloc.h"
#include "limited.h"

/* ---- What of the API was called ---- */

static long at; /* which allocation fails, for whoever looks for a failure */

enum { NAMES_MAX = 64 };

static const char *called[NAMES_MAX];
static int n_called;

static void note_call(const char *name) {
    for (int i = 0; i < n_called; i++)
        if (strcmp(called[i], name) == 0) return;
    if (n_called < NAMES_MAX) called[n_called++] = name;
}

#define CALL(function) (note_call(#function), (function))

/* Fails where a function of the header was not called. */
static void assert_all_called(void) {
    char header[PATH_MAX], line[512];
    int declared = 0, missing = 0;
    snprintf(header, sizeof header, "%.*s/../../include/ljinspect.h", (int)(strrchr(__FILE__, '/') - __FILE__),
             __FILE__);
    FILE *in = fopen(header, "re");
    if (in == NULL) fail_msg("%s: %s", header, strerror(errno));
    while (fgets(line, sizeof line, in) != NULL) {
        char *open = strchr(line, '('), *name = open;
        if (strncmp(line, "LJINSPECT_API ", 14) != 0 || open == NULL) continue;
        *open = '\0';
        while (name > line && (name[-1] == '_' || (name[-1] >= 'a' && name[-1] <= 'z'))) name--;
        bool found = false;
        for (int i = 0; i < n_called && !found; i++) found = strcmp(called[i], name) == 0;
        declared++;
        missing += !found;
        print_message("%s %s\n", found ? "called " : "MISSING", name);
    }
    fclose(in);
    assert_true(declared >= 30);
    assert_int_equal(missing, 0);
}

/* ---- The program ---- */

enum { ON_LINE = 3, ARRIVALS = 2, RESULT = 8 };

/* It allocates nothing itself: an error of memory is not its own. */
static const char program[] = "local up = { 'text', 2 }\n"
                              "function each(a, b, ...)\n"
                              "  local sum = a + b + (...)\n" /* hooked */
                              "  return sum, up\n"
                              "end\n"
                              "function work()\n"
                              "  local n = 0\n"
                              "  for i = 1, 2 do n = n + each(i, 1, 1.5) end\n"
                              "  return n\n"
                              "end\n";

static const char first_file[] = "local i = require 'ljinspect'\n"
                                 "i.set_hook('program.lua', 3, nil, function(info) return info.vals.a == nil end)\n"
                                 "i.set_hook { file = 'program.lua', line = 3, log = '{a} {b}', condition = 'a > 0',\n"
                                 "  capture = { locals = true, format = 'json' }, budget = 0, tag = 'of the file' }\n"
                                 "i.set_hook('file.lua', 1, nil, function() return false end)\n";
static const char second_file[] = "local i = require 'ljinspect'\n"
                                  "i.set_hook('program.lua', 3, nil, function() return false end)\n"
                                  "i.set_hook('file.lua', 2, nil, function() return false end)\n";

typedef struct life {
    limited lua;
    lua_State *L;
    bool and_on;
    int hits, destroyed, made; /* of filters and sinks in C: made and destroyed */
    int seen;                  /* calls of the filter that got to its end */
    long lua_fail_at, c_fail_at;
    char file[PATH_MAX], sink[PATH_MAX];
} life;

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L, (void)level, (void)message, (void)userdata;
}

static int panic(lua_State *L) {
    print_error("panic: %s\n", lua_tostring(L, -1));
    return 0;
}

static void gone(void *userdata) {
    ((life *)userdata)->destroyed++;
}

static void take_line(lua_State *L, enum ljinspect_level level, const char *line, size_t len, void *userdata) {
    (void)L, (void)level, (void)userdata;
    assert_int_equal(strlen(line), len);
}

/* All that a filter may ask. What raises an error for want of memory ends it. */
static int see_all(ljinspect_hit *hit, void *userdata) {
    life *o = userdata;
    lua_State *L = CALL(ljinspect_hit_state)(hit);
    lua_Debug ar;
    char name[64];
    int values, tail_call;
    double us;
    o->hits++;
    if (CALL(ljinspect_hit_line)(hit) != ON_LINE && CALL(ljinspect_hit_leaving)(hit, &values, &tail_call, &us) == 0)
        return LJINSPECT_REMOVE; /* which the test would notice */
    assert_non_null(CALL(ljinspect_hit_key)(hit));
    assert_true(CALL(ljinspect_hit_count)(hit) > 0);
    assert_true(CALL(ljinspect_hit_id)(hit) > 0);
    assert_int_equal(CALL(ljinspect_hit_local)(hit, "a"), 1);
    assert_int_equal(CALL(ljinspect_hit_local)(hit, "nothing"), 0);
    assert_string_equal(CALL(ljinspect_hit_local_at)(hit, 1), "a");
    (void)CALL(ljinspect_hit_upvalue)(hit, "up");
    (void)CALL(ljinspect_hit_upvalue_at)(hit, 1);
    lua_settop(L, 0);
    (void)CALL(ljinspect_hit_vararg)(hit, 1);
    (void)CALL(ljinspect_hit_return)(hit, 1);
    (void)CALL(ljinspect_hit_leaving)(hit, &values, &tail_call, &us);
    lua_settop(L, 0);
    if (CALL(ljinspect_hit_frame)(hit, "nSlf", &ar))
        assert_true(CALL(ljinspect_getname)(L, &ar, name, sizeof name) > 0);
    lua_settop(L, 0);
    CALL(ljinspect_hit_push_info)(hit);
    assert_true(lua_istable(L, -1));
    lua_settop(L, 0);
    o->seen++;
    return LJINSPECT_KEEP;
}

static void assert_works(lua_State *L) {
    lua_getglobal(L, "work");
    if (lua_pcall(L, 0, 1, 0) != 0)
        fail_msg("allocation %ld: an error came to the program: %s", at, lua_tostring(L, -1));
    assert_int_equal(lua_tointeger(L, -1), RESULT);
    lua_pop(L, 1);
}

/* ---- What is there ---- */

typedef struct listing {
    int n;
    struct {
        int64_t id;
        int state;
        uint64_t hits;
        char key[64];
    } of[32];
} listing;

static int list(const ljinspect_hook_info *info, void *arg) {
    listing *l = arg;
    if (l->n == 32) return 1;
    l->of[l->n].id = info->id;
    l->of[l->n].state = (int)info->state;
    l->of[l->n].hits = info->hits;
    snprintf(l->of[l->n++].key, 64, "%s", info->key);
    return 0;
}

static int keys(const listing *l, const char *key) {
    int n = 0;
    for (int i = 0; i < l->n; i++) n += strcmp(l->of[i].key, key) == 0;
    return n;
}

static bool listed(const listing *l, int64_t id) {
    for (int i = 0; i < l->n; i++)
        if (l->of[i].id == id) return true;
    return false;
}

/* Each hook that is listed as armed is hit by each arrival, no other by any. */
static void assert_none_is_half_there(life *o, listing *before) {
    listing after = {.n = 0};
    *before = (listing){.n = 0};
    assert_true(ljinspect_hooks(o->L, list, before) >= 0);
    assert_works(o->L);
    assert_true(ljinspect_hooks(o->L, list, &after) >= 0);
    assert_int_equal(before->n, after.n);
    for (int i = 0; i < before->n; i++) {
        bool armed = before->of[i].state == LJINSPECT_ARMED;
        assert_int_equal(after.of[i].id, before->of[i].id);
        if (after.of[i].hits - before->of[i].hits != (armed ? ARRIVALS : 0))
            fail_msg("%s, state %d: %d hits", before->of[i].key, before->of[i].state,
                     (int)(after.of[i].hits - before->of[i].hits));
        if (strstr(before->of[i].key, "program.lua#3") != NULL) assert_true(armed);
    }
}

static int count_descriptors(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n;
}

/* ---- The life ---- */

static int open_module(lua_State *L) {
    lua_pushcfunction(L, CALL(luaopen_ljinspect));
    lua_call(L, 0, 1);
    lua_getfield(L, LUA_GLOBALSINDEX, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "ljinspect");
    return 0;
}

enum { SEE_ALL, IN_LUA, WITH_LINE, WITH_RETURN, WITH_FILE, PENDING, HOOKS };

static bool may_fail_so(int64_t code) {
    return code >= 0 || code == LJINSPECT_ERR_NOMEM || code == LJINSPECT_ERR_LUA || code == LJINSPECT_ERR_BUSY ||
           code == LJINSPECT_ERR_SYSTEM || code == LJINSPECT_ERR_ENGINE;
}

static void set_all(life *o, int64_t ids[HOOKS], int in_lua) {
    static const char *const masks[] = {"sum", NULL};
    const ljinspect_capture all = {.what = 31, .stack = 3, .stack_locals = 2, .masks = masks};
    const ljinspect_filter c_filter = {.kind = LJINSPECT_FILTER_C, .call = see_all, .userdata = o, .destroy = gone};
    const ljinspect_filter lua_filter = {.kind = LJINSPECT_FILTER_LUA, .index = in_lua};
    ljinspect_hook_options h;
    char why[128] = "";
    ids[SEE_ALL] = CALL(ljinspect_set_hook)(o->L, "program.lua", ON_LINE, 0, &c_filter);
    ids[IN_LUA] = CALL(ljinspect_set_hook)(o->L, "program.lua", ON_LINE, 0, &lua_filter);
    assert_int_equal(CALL(ljinspect_hook_options_init)(&h, sizeof h), 0);
    h.file = "program.lua";
    h.line = ON_LINE;
    h.budget = 0;
    h.condition = "a > 0 and up[1]:find('t')";
    h.log = "{a} {up[2]} {({b})}";
    h.capture = &all;
    h.tag = "tag";
    h.sink = take_line;
    h.sink_data = o;
    h.sink_destroy = gone;
    ids[WITH_LINE] = CALL(ljinspect_set_hook_with)(o->L, &h, why, sizeof why);
    h.sink = NULL;
    h.sink_destroy = NULL;
    h.sink_file = o->sink;
    h.histogram = "a";
    h.interval = 0.01;
    ids[WITH_FILE] = CALL(ljinspect_set_hook_with)(o->L, &h, why, sizeof why);
    CALL(ljinspect_hook_options_init)(&h, sizeof h);
    h.function = "each";
    h.at = LJINSPECT_AT_RETURN;
    h.budget = 0;
    h.filter = &c_filter;
    ids[WITH_RETURN] = CALL(ljinspect_set_hook_with)(o->L, &h, why, sizeof why);
    ids[PENDING] = CALL(ljinspect_set_hook)(o->L, "nowhere.lua", 10, 0, &c_filter);
    for (int i = 0; i < HOOKS; i++) {
        if (!may_fail_so(ids[i])) fail_msg("hook %d: %d, %s", i, (int)ids[i], why);
        o->made += ids[i] > 0 && i != IN_LUA && i != WITH_FILE;
    }
}

/* Where the module is not there for want of memory, the file fails. */
static void poll_file(lua_State *L) {
    int polled = CALL(ljinspect_poll)(L);
    assert_true(may_fail_so(polled) || polled == LJINSPECT_ERR_HOOKSFILE);
}

typedef struct outcome {
    int64_t ids[HOOKS];
    int watched, attached;
} outcome;

static void use_all(life *o, outcome *r, int in_lua) {
    lua_State *L = o->L;
    ljinspect_status s = {.engine = NULL};
    ljinspect_limits limits = {.size = sizeof limits};
    listing l = {.n = 0};
    if (lua_cpcall(L, open_module, NULL) != 0) lua_pop(L, 1);
    assert_true(may_fail_so(CALL(ljinspect_set_logger)(L, no_log, NULL)));
    if (CALL(ljinspect_get_status)(L, &s) == 0) assert_true(may_fail_so(CALL(ljinspect_set_engine)(L, s.engine)));
    assert_non_null(CALL(ljinspect_strerror)(LJINSPECT_ERR_NOMEM));
    assert_string_equal(CALL(ljinspect_version)(), LJINSPECT_VERSION);
    if (CALL(ljinspect_get_limits)(L, &limits) == 0) {
        limits.filter_ms = 0;
        assert_true(may_fail_so(CALL(ljinspect_set_limits)(L, &limits)));
    }
    set_all(o, r->ids, in_lua);
    assert_works(L);
    assert_true(may_fail_so(CALL(ljinspect_hooks)(L, list, &l)));
    assert_true(CALL(ljinspect_unset_hook)(L, "no.lua", 1) == 0);
    if (r->ids[PENDING] > 0) assert_int_equal(CALL(ljinspect_unset_id)(L, r->ids[PENDING]), 1);
    r->watched = CALL(ljinspect_watch)(L, o->file, 60, LJINSPECT_WATCH_INSECURE);
    assert_true(may_fail_so(r->watched));
    assert_works(L);
    poll_file(L);
    assert_works(L);
    write_file(o->file, second_file);
    poll_file(L);
    assert_works(L);
    assert_true(CALL(ljinspect_unwatch)(L) >= 0);
    const ljinspect_attach_options attach = {.hooks_file = o->file, .breakpoints = "elsewhere.lua:7\nanywhere.lua:8"};
    r->attached = CALL(ljinspect_attach)(L, &attach);
    assert_true(may_fail_so(r->attached));
    assert_true(CALL(ljinspect_unwatch)(L) >= 0);
    assert_works(L);
}

/* After it: what the calls said is so. */
static void assert_as_said(life *o, const outcome *r) {
    listing l;
    assert_none_is_half_there(o, &l);
    int first = keys(&l, "file.lua#1"), second = keys(&l, "file.lua#2"), on_line = keys(&l, "program.lua#3");
    assert_int_equal(listed(&l, r->ids[PENDING]), 0);
    if (first + second > 0) {
        assert_int_equal(first + second, 1);
        assert_int_equal(on_line, first > 0 ? 2 : 1); /* the whole file, and no other */
        for (int i = 0; i < HOOKS; i++) assert_false(listed(&l, r->ids[i]));
    } else {
        for (int i = 0; i < HOOKS; i++)
            if (i != PENDING && r->ids[i] > 0 && !listed(&l, r->ids[i]))
                fail_msg("hook %d has gone, allocation %ld", i, at);
    }
    int lasting = keys(&l, "elsewhere.lua#7") + keys(&l, "anywhere.lua#8");
    if (r->attached == 0) assert_int_equal(lasting, 2);
    if (r->attached != 0) assert_int_equal(lasting, 0);
}

/* One life with the n-th allocation failing; whether an allocation did fail. */
static bool live(life *o, outcome *r) {
    o->hits = o->destroyed = o->made = o->seen = 0;
    o->lua = (limited){0};
    o->L = lua_newstate(limited_alloc, &o->lua);
    if (o->L == NULL) {
        print_message("this LuaJIT takes no allocator\n");
        skip();
    }
    luaL_openlibs(o->L);
    lua_atpanic(o->L, panic);
    /* LuaJIT crashes where memory runs out while it compiles and a handler of jit.attach(f, "trace") is there, as the trap
     * engine has one (tried on 2.1 of 2022, with a handler in Lua and without this library). */
    luaJIT_setmode(o->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    write_file(o->file, first_file);
    run_named(o->L, program, "@program.lua");
    load_named(o->L, "return false", "@filter.lua");
    assert_works(o->L);
    int in_lua = lua_gettop(o->L);
    assert_true(lua_checkstack(o->L, 100));

    /* LuaJIT makes room on the stack before it calls a debug hook, which the line engine has, and an error of that is its
     * own (lj_dispatch.c, callhook): there is room already, and no collection makes the stack smaller. */
    lua_gc(o->L, LUA_GCSTOP, 0);
    o->lua.and_on = o->and_on;
    o->lua.fail_at = o->lua_fail_at;
    fail_allocation(o->c_fail_at, o->and_on);
    use_all(o, r, in_lua);
    bool failed = o->lua.failing || alloc_failed;
    o->lua.failing = false;
    o->lua.fail_at = 0;
    fail_allocation(0, 0);

    lua_gc(o->L, LUA_GCRESTART, 0);
    assert_as_said(o, r);
    fail_allocation(1, o->and_on); /* taking hooks away takes no memory */
    o->lua.and_on = true;
    o->lua.fail_at = 1;
    assert_true(CALL(ljinspect_unset_all)(o->L) >= 0);
    assert_true(ljinspect_unset_hook(o->L, "elsewhere.lua", 7) + ljinspect_unset_hook(o->L, "anywhere.lua", 8) >= 0);
    o->lua.failing = false;
    o->lua.fail_at = 0;
    fail_allocation(0, 0);
    int before = o->hits;
    assert_works(o->L);
    assert_int_equal(o->hits, before);
    assert_null(lua_gethook(o->L));
    assert_int_equal(o->destroyed, o->made);
    lua_close(o->L);
    return failed;
}

static void failing_memory(bool lua_side, bool and_on) {
    test_dir d;
    life *o = calloc(1, sizeof *o);
    outcome r;
#if defined(__SANITIZE_THREAD__)
    print_message("one thread only, and the thread sanitizer keeps hundreds of VMs in memory\n");
    skip();
#endif
    make_test_dir(&d);
    snprintf(o->file, sizeof o->file, "%s", in_dir(&d, "hooks.lua"));
    snprintf(o->sink, sizeof o->sink, "%s", in_dir(&d, "lines"));
    o->and_on = and_on;
    assert_false(live(o, &r)); /* with memory all is well: */
    for (int i = 0; i < HOOKS; i++) assert_true(r.ids[i] > 0 || (i == WITH_RETURN && r.ids[i] == LJINSPECT_ERR_ENGINE));
    assert_true(o->seen > 0);
    assert_int_equal(r.watched, 0);
    assert_int_equal(r.attached, 0);
    assert_all_called();
    int descriptors = count_descriptors();
    bool failed = true;
    long n = 1;
    for (; failed; n += lua_side && and_on && n > 200 ? 5 : 1) {
        o->lua_fail_at = lua_side ? n : 0;
        o->c_fail_at = lua_side ? 0 : n;
        failed = live(o, &r);
        at = n + 1;
        if (n > 20000) fail_msg("no end");
    }
    print_message("the last that failed was about the %ldth\n", n - 2);
    assert_true(n > 50);
    int64_t end = now_ms() + DEADLINE_MS; /* the thread of a file that lines go to ends by itself */
    while (count_descriptors() > descriptors && now_ms() < end) sleep_ms(10);
    assert_true(count_descriptors() <= descriptors); /* at first that thread may not have ended, either */
    remove_test_dir(&d);
    free(o);
}

static void one_failing_allocation_of_lua_half_arms_nothing(void **state) {
    (void)state;
    failing_memory(true, false);
}

static void failing_allocations_of_lua_half_arm_nothing(void **state) {
    (void)state;
    failing_memory(true, true);
}

static void one_failing_allocation_of_c_half_arms_nothing(void **state) {
    (void)state;
    failing_memory(false, false);
}

static void failing_allocations_of_c_half_arm_nothing(void **state) {
    (void)state;
    failing_memory(false, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failing_allocation_of_c_half_arms_nothing),
        cmocka_unit_test(failing_allocations_of_c_half_arm_nothing),
        cmocka_unit_test(one_failing_allocation_of_lua_half_arms_nothing),
        cmocka_unit_test(failing_allocations_of_lua_half_arm_nothing),
    };
    unsetenv("LJINSPECT_HOOKS_FILE");
    return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
