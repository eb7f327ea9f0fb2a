/* The C API on a real VM. */
#include "support.h"

#include "alloc.h"
#include "hit_cases.h"
#include "limited.h"

/* ---- How often a line is hit ---- */

/* Run one case in each of the ways a program may run it; returns how many were wrong. */
static int run_case(const hit_case *k) {
    static const struct {
        const char *name, *code;
        int runs;
    } ways[] = {
        {"plain", "return chunk()", 1},
        {"twice", "chunk() return chunk()", 2},
        {"in a coroutine", "return coroutine.wrap(function() return (chunk()) end)()", 1},
        {"in pcall", "local ok, n = pcall(chunk) assert(ok, n) return n", 1},
        {"in a coroutine in a one-line loop", "local n for i = 1, 2 do n = coroutine.wrap(chunk)() end return n", 2},
        {"below a one-line loop", "local n for i = 1, 3 do n = chunk() end return n", 3},
        {"after compilation", "for i = 1, 70 do chunk() end compiled() return chunk()", 1},
    };
    int wrong = 0, line = line_of(k->code, "--@");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        lua_State *L = new_vm(NULL);
        counter c = {0};
        run_named(L, hit_case_prelude, "@prelude.lua");
        run(L, "jit.opt.start('hotloop=2', 'hotexit=2')");
        load_named(L, k->code, "@case.lua");
        lua_setglobal(L, "chunk");
        bool late = strstr(ways[i].code, "compiled()") != NULL;
        if (late) {
            run(L, "local k = chunk for i = 1, 70 do k() end");
        }
        assert_true(hook_counter(L, "case.lua", line, &c) > 0);
        load_named(L, late ? "return chunk()" : ways[i].code, "@way.lua");
        call_top(L, 1);
        int expected = k->hits >= 0 ? k->hits : (int)lua_tointeger(L, -1);
        expected *= ways[i].runs;
        if (c.hits != expected) {
            print_error("%s, %s: %d hits, expected %d\n", k->name, ways[i].name, c.hits, expected);
            wrong++;
        }
        lua_close(L);
        assert_int_equal(c.destroyed, 1);
    }
    return wrong;
}

static void a_line_is_hit_once_per_arrival(void **state) {
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < HIT_CASES; i++) wrong += run_case(&hit_cases[i]);
    assert_int_equal(wrong, 0);
}

/* ---- Fixture ---- */

typedef struct fixture {
    test_log log;
    lua_State *L;
    counter c[4];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->L = new_vm(&f->log);
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

static int hooks_set(lua_State *L) {
    return ljinspect_hooks(L, NULL, NULL);
}

static int64_t hook_c(lua_State *L, const char *file, int line, ljinspect_filter_fn call, void *userdata) {
    const ljinspect_filter f = {.kind = LJINSPECT_FILTER_C, .call = call, .userdata = userdata};
    return ljinspect_set_hook(L, file, line, 0, &f);
}

/* The state of things when nothing is armed: no debug hook, the compiler on. */
static void assert_at_rest(lua_State *L) {
    assert_null(lua_gethook(L));
    assert_int_equal(lua_gethookmask(L), 0);
    assert_lua(L, "jit.status()");
}

static const char target[] = "local up, unused = 'upper', 2\n"      /* 1 */
                             "function target(a, b, ...)\n"         /* 2 */
                             "  local x = a\n"                      /* 3 */
                             "  do local x = 'inner' local y = b\n" /* 4 */
                             "    up = up\n"                        /* 5 */
                             "  end\n"                              /* 6 */
                             "  return x\n"                         /* 7 */
                             "end\n"                                /* 8 */
                             "function after(a)\n"                  /* 9 */
                             "  return a\n"                         /* 10 */
                             "end\n";                               /* 11 */

/* ---- What a C filter sees ---- */

static int look_around(ljinspect_hit *hit, void *userdata) {
    fixture *f = userdata;
    lua_State *L = ljinspect_hit_state(hit);
    lua_Debug ar;
    assert_int_equal(lua_gettop(L), 0);
    assert_int_equal(ljinspect_hit_local(hit, "a"), 1);
    assert_int_equal(lua_tointeger(L, -1), 1);
    assert_int_equal(ljinspect_hit_local(hit, "b"), 1);
    assert_string_equal(lua_tostring(L, -1), "two");
    assert_int_equal(ljinspect_hit_local(hit, "x"), 1); /* the inner one */
    assert_string_equal(lua_tostring(L, -1), "inner");
    assert_int_equal(lua_gettop(L), 3);
    assert_int_equal(ljinspect_hit_local(hit, "nothing"), 0);
    assert_int_equal(ljinspect_hit_local(hit, ""), 0);
    assert_int_equal(ljinspect_hit_local(hit, NULL), 0);
    assert_int_equal(ljinspect_hit_local(hit, "(*temporary)"), 0);
    assert_int_equal(lua_gettop(L), 3);
    lua_settop(L, 0);
    static const char *const names[] = {"a", "b", "x", "x", "y"};
    for (int i = 1; i <= 5; i++) assert_string_equal(ljinspect_hit_local_at(hit, i), names[i - 1]);
    assert_int_equal(lua_gettop(L), 5);
    assert_null(ljinspect_hit_local_at(hit, 6));
    assert_null(ljinspect_hit_local_at(hit, 0));
    assert_null(ljinspect_hit_local_at(hit, -1));
    assert_int_equal(lua_gettop(L), 5);
    lua_settop(L, 0);
    assert_int_equal(ljinspect_hit_upvalue(hit, "up"), 1);
    assert_string_equal(lua_tostring(L, -1), "upper");
    assert_int_equal(ljinspect_hit_upvalue(hit, "unused"), 0);
    assert_int_equal(ljinspect_hit_upvalue(hit, NULL), 0);
    assert_string_equal(ljinspect_hit_upvalue_at(hit, 1), "up");
    assert_null(ljinspect_hit_upvalue_at(hit, 2));
    assert_null(ljinspect_hit_upvalue_at(hit, 0));
    assert_null(ljinspect_hit_upvalue_at(hit, -1));
    assert_int_equal(lua_gettop(L), 2);
    lua_settop(L, 0);
    assert_int_equal(ljinspect_hit_vararg(hit, 1), 1);
    assert_int_equal(lua_tointeger(L, -1), 3);
    assert_int_equal(ljinspect_hit_vararg(hit, 2), 1);
    assert_true(lua_isnil(L, -1));
    assert_int_equal(ljinspect_hit_vararg(hit, 3), 1);
    assert_int_equal(lua_tointeger(L, -1), 5);
    assert_int_equal(ljinspect_hit_vararg(hit, 4), 0);
    assert_int_equal(ljinspect_hit_vararg(hit, 0), 0);
    assert_int_equal(ljinspect_hit_vararg(hit, -1), 0);
    assert_int_equal(lua_gettop(L), 3);
    lua_settop(L, 0);
    assert_int_equal(ljinspect_hit_frame(hit, "nSlu", &ar), 1);
    assert_string_equal(ar.source, "@dir/target.lua");
    if (f->c[0].hits == 0) assert_string_equal(ar.name, "target"); /* a coroutine's main function has no name */
    assert_int_equal(ar.currentline, 5);
    assert_int_equal(ar.linedefined, 2);
    assert_int_equal(ar.nups, 1);
    assert_int_equal(lua_gettop(L), 0);
    assert_int_equal(ljinspect_hit_frame(hit, "f", &ar), 1);
    assert_true(lua_isfunction(L, -1));
    assert_int_equal(ljinspect_hit_frame(hit, ">S", &ar), 0);
    assert_int_equal(ljinspect_hit_frame(hit, "?", &ar), 0);
    assert_int_equal(ljinspect_hit_frame(hit, NULL, &ar), 0);
    assert_int_equal(ljinspect_hit_frame(hit, "S", NULL), 0);
    lua_settop(L, 0);
    ljinspect_hit_push_info(hit);
    lua_getfield(L, -1, "vals");
    lua_getfield(L, -1, "x");
    assert_string_equal(lua_tostring(L, -1), "inner");
    assert_string_equal(ljinspect_hit_key(hit), "target.lua#5");
    assert_int_equal(ljinspect_hit_line(hit), 5);
    f->c[0].hits++;
    assert_int_equal(ljinspect_hit_count(hit), f->c[0].hits);
    return LJINSPECT_KEEP;
}

static void a_c_filter_sees_locals_upvalues_varargs_and_the_frame(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@dir/target.lua");
    assert_true(hook_c(f->L, "target.lua", 5, look_around, f) > 0);
    run(f->L, "target(1, 'two', 3, nil, 5) coroutine.wrap(target)(1, 'two', 3, nil, 5)");
    assert_int_equal(f->c[0].hits, 2);
}

static void nothing_changes_for_the_hooked_function(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@dir/target.lua");
    for (int line = 1; line <= 11; line++) assert_true(hook_counter(f->L, "target.lua", line, &f->c[0]) > 0);
    run(f->L, "local function same(...) assert(select('#', ...) == 1 and ... == 1) end\n"
              "same(target(1, 'two', 3, nil, 5)) same(after(1, 2)) same(coroutine.wrap(after)(1))\n");
    assert_true(f->c[0].hits > 5);
}

static void locals_are_those_active_before_the_line(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@dir/target.lua");
    run(f->L, "seen = {}\n"
              "for _, line in ipairs{3, 4, 7} do\n"
              "  ljinspect.set_hook('target.lua', line, nil, function(info)\n"
              "    local names = {}\n"
              "    for k, v in pairs(info.vals) do names[#names + 1] = k .. '=' .. tostring(v) end\n"
              "    table.sort(names)\n"
              "    seen[line] = table.concat(names, ' ')\n"
              "    assert(info.finfo.currentline == line)\n"
              "    return false\n"
              "  end)\n"
              "end\n"
              "target(1, 2)\n"
              "assert(seen[3] == 'a=1 b=2', seen[3])\n"
              "assert(seen[4] == 'a=1 b=2 x=1', seen[4])\n"
              "assert(seen[7] == 'a=1 b=2 x=1', seen[7])\n"
              "assert(#ljinspect.hooks() == 3)\n");
}

/* ---- Keep and remove ---- */

static int return_value(ljinspect_hit *hit, void *userdata) {
    (void)hit;
    return *(int *)userdata;
}

static void any_verdict_but_keep_removes_the_hook(void **state) {
    fixture *f = *state;
    static int verdicts[] = {1, 2, -1, INT_MAX};
    run_named(f->L, target, "@target.lua");
    for (size_t i = 0; i < 4; i++) {
        assert_true(hook_c(f->L, "target.lua", 10, return_value, &verdicts[i]) > 0);
        run(f->L, "after(1)");
        assert_int_equal(hooks_set(f->L), 0);
    }
    assert_at_rest(f->L);
}

static void any_result_but_false_of_a_lua_filter_removes_the_hook(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "for _, result in ipairs{{}, {nil}, {true}, {0}, {'false'}, {{}}, {true, false}} do\n"
              "  ljinspect.set_hook('target.lua', 10, nil, function() return unpack(result) end)\n"
              "  after(1)\n"
              "  assert(#ljinspect.hooks() == 0)\n"
              "end\n"
              "ljinspect.set_hook('target.lua', 10, nil, function() return false, true end)\n"
              "after(1)\n"
              "assert(#ljinspect.hooks() == 1)\n");
}

static void a_hook_lives_for_as_many_hits_as_its_filter_says(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    f->c[0].keep_for = 2;
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "after(1) after(2) after(3)");
    assert_int_equal(f->c[0].hits, 2);
    assert_int_equal(f->c[0].destroyed, 1);
    assert_at_rest(f->L);
}

/* ---- No allocation ---- */

static int reject(ljinspect_hit *hit, void *userdata) {
    lua_State *L = ljinspect_hit_state(hit);
    ++*(int *)userdata;
    ljinspect_hit_local(hit, "a");
    ljinspect_hit_local_at(hit, 1);
    ljinspect_hit_upvalue(hit, "up");
    ljinspect_hit_vararg(hit, 1);
    lua_settop(L, 0);
    return LJINSPECT_KEEP;
}

static void a_rejected_hit_allocates_nothing(void **state) {
    static int hits;
    limited m;
    (void)state;
    lua_State *L = new_limited_vm(&m);
    run(L, "jit.off()"); /* what the compiler allocates is the program's */
    char code[8192] = "local up = 1\nfunction many(a, ...)\n";
    for (int i = 0; i < 100; i++) strcat(code, "  a = a + up\n");
    strcat(code, "  return a\nend\n");
    run_named(L, code, "@many.lua");
    for (int line = 3; line < 103; line++) assert_true(hook_c(L, "many.lua", line, reject, &hits) > 0);
    load_named(L, "for i = 1, 100 do many(i) end", "@loop.lua");
    hits = 0;
    lua_pushvalue(L, -1);
    call_top(L, 0); /* the first hit of a line may find things out */
    assert_int_equal(hits, 10000);
    lua_pushvalue(L, -1);
    long lua_before = m.calls, c_before = alloc_calls;
    call_top(L, 0);
    long in_lua = m.calls - lua_before, in_c = alloc_calls - c_before;
    assert_int_equal(hits, 20000);
    lua_close(L);
    assert_int_equal(in_c, 0);
    assert_int_equal(in_lua, 0);
}

static void a_line_that_is_not_hooked_allocates_nothing(void **state) {
    limited m;
    counter c = {0};
    (void)state;
    lua_State *L = new_limited_vm(&m);
    run_named(L, target, "@target.lua");
    assert_true(hook_counter(L, "other.lua", 10, &c) > 0);
    assert_true(hook_counter(L, "other.lua", 1, &c) > 0);
    load_named(L, "for i = 1, 1000 do after(i) end", "@loop.lua");
    lua_pushvalue(L, -1);
    call_top(L, 0);
    lua_pushvalue(L, -1);
    long lua_before = m.calls, c_before = alloc_calls;
    call_top(L, 0);
    long in_lua = m.calls - lua_before, in_c = alloc_calls - c_before;
    lua_close(L);
    assert_int_equal(in_c, 0);
    assert_int_equal(in_lua, 0);
}

/* ---- The end of a filter ---- */

static void userdata_is_destroyed_once_in_each_way_a_hook_can_go(void **state) {
    fixture *f = *state;
    test_dir d;
    static counter c[8];
    memset(c, 0, sizeof c);
    run_named(f->L, target, "@target.lua");
    assert_true(hook_counter(f->L, "target.lua", 10, &c[0]) > 0);
    assert_int_equal(ljinspect_unset_hook(f->L, "target.lua", 10), 1);
    assert_int_equal(c[0].destroyed, 1);
    int64_t id = hook_counter(f->L, "target.lua", 10, &c[1]);
    assert_int_equal(ljinspect_unset_id(f->L, id), 1);
    assert_int_equal(ljinspect_unset_id(f->L, id), 0);
    assert_int_equal(c[1].destroyed, 1);
    assert_true(hook_counter(f->L, "target.lua", 10, &c[2]) > 0);
    assert_int_equal(ljinspect_unset_all(f->L), 1);
    assert_int_equal(c[2].destroyed, 1);
    c[3].keep_for = 1;
    assert_true(hook_counter(f->L, "target.lua", 10, &c[3]) > 0);
    run(f->L, "after(1)");
    assert_int_equal(c[3].destroyed, 1);
    make_test_dir(&d);
    assert_true(hook_counter(f->L, "target.lua", 10, &c[4]) > 0);
    write_file(in_dir(&d, "hooks.lua"), "\n");
    assert_int_equal(ljinspect_watch(f->L, in_dir(&d, "hooks.lua"), 60, LJINSPECT_WATCH_INSECURE), 0);
    assert_int_equal(c[4].destroyed, 1);
    assert_true(hook_counter(f->L, "target.lua", 10, &c[5]) > 0);
    unlink(in_dir(&d, "hooks.lua"));
    ljinspect_poll(f->L);
    assert_int_equal(c[5].destroyed, 1);
    remove_test_dir(&d);
    assert_true(hook_counter(f->L, "target.lua", 10, &c[6]) > 0);
    lua_close(f->L);
    f->L = NULL;
    assert_int_equal(c[6].destroyed, 1);
    for (int i = 0; i < 7; i++) assert_int_equal(c[i].destroyed, 1);
}

static void userdata_is_not_destroyed_when_setting_the_hook_fails(void **state) {
    fixture *f = *state;
    assert_int_equal(hook_counter(f->L, "x.lua", 0, &f->c[0]), LJINSPECT_ERR_ARGUMENT);
    fail_allocation(1, 1);
    int64_t id = hook_counter(f->L, "x.lua", 1, &f->c[0]);
    fail_allocation(0, 0);
    assert_int_equal(id, LJINSPECT_ERR_NOMEM);
    assert_int_equal(f->c[0].destroyed, 0);
    assert_int_equal(hooks_set(f->L), 0);
    assert_at_rest(f->L);
}

static void a_lua_filter_is_let_go_with_its_hook(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "weak = setmetatable({}, {__mode = 'k'})\n"
              "local function set(result)\n"
              "  local filter = function() return result end\n"
              "  weak[filter] = true\n"
              "  ljinspect.set_hook('target.lua', 10, nil, filter)\n"
              "end\n"
              "set(false) set(true) set('x') set(nil)\n"
              "collectgarbage() collectgarbage()\n"
              "local n = 0 for _ in pairs(weak) do n = n + 1 end\n"
              "assert(n == 4)\n"
              "after(1)\n"
              "collectgarbage() collectgarbage()\n"
              "n = 0 for _ in pairs(weak) do n = n + 1 end\n"
              "assert(n == 1)\n"
              "ljinspect.unset_all()\n"
              "collectgarbage() collectgarbage()\n"
              "assert(next(weak) == nil)\n");
}

/* ---- Filters in Lua by index and reference ---- */

static int64_t set_by_index(lua_State *L, int index, int func) {
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_LUA, .index = index};
    return ljinspect_set_hook(L, "target.lua", 10, func, &filter);
}

static int set_by_upvalue(lua_State *L) {
    lua_pushinteger(L, set_by_index(L, lua_upvalueindex(1), 0) > 0);
    lua_pushinteger(L, set_by_index(L, lua_upvalueindex(1), lua_upvalueindex(1)) > 0);
    return 2;
}

static void a_lua_filter_is_named_by_any_kind_of_index(void **state) {
    fixture *f = *state;
    lua_State *L = f->L;
    run_named(L, target, "@target.lua");
    lua_getglobal(L, "after");
    run(L, "hits = 0 function filter() hits = hits + 1 return false end");
    lua_getglobal(L, "filter");
    lua_pushnil(L);
    assert_true(set_by_index(L, 2, 0) > 0);
    assert_true(set_by_index(L, -2, 0) > 0);
    assert_true(set_by_index(L, -2, 1) > 0);
    assert_true(set_by_index(L, 2, -3) > 0);
    assert_true(set_by_index(L, -2, -3) > 0);
    assert_int_equal(lua_gettop(L), 3);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, set_by_upvalue, 1);
    lua_call(L, 0, 2);
    assert_true(lua_tointeger(L, -1) == 1 && lua_tointeger(L, -2) == 1);
    lua_settop(L, 2);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    const ljinspect_filter by_ref = {.kind = LJINSPECT_FILTER_REF, .ref = ref};
    assert_true(ljinspect_set_hook(L, "target.lua", 10, 1, &by_ref) > 0);
    assert_int_equal(lua_gettop(L), 1);
    run(L, "after(1)");
    assert_int_equal(number(L, "hits"), 8);
    assert_int_equal(ljinspect_unset_all(L), 8);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    assert_false(lua_isfunction(L, -1)); /* the hook owned it */
    lua_settop(L, 0);
}

static void wrong_arguments_are_named_errors(void **state) {
    fixture *f = *state;
    lua_State *L = f->L;
    counter c = {0};
    ljinspect_filter good = {.kind = LJINSPECT_FILTER_C, .call = count_hit, .userdata = &c};
    ljinspect_filter bad = good;
    lua_settop(L, 0);
    lua_pushinteger(L, 1);
    assert_int_equal(ljinspect_set_hook(NULL, "a", 1, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 0, NULL), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", 0, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", -1, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", INT_MIN, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", INT_MAX, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", 16777216, 0, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 1, &good), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 17, &good), LJINSPECT_ERR_ARGUMENT);
    bad.call = NULL;
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 0, &bad), LJINSPECT_ERR_ARGUMENT);
    bad.kind = (enum ljinspect_filter_kind)0;
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 0, &bad), LJINSPECT_ERR_ARGUMENT);
    bad.kind = (enum ljinspect_filter_kind)99;
    assert_int_equal(ljinspect_set_hook(L, "a", 1, 0, &bad), LJINSPECT_ERR_ARGUMENT);
    for (int index = 0; index <= 5; index++) assert_int_equal(set_by_index(L, index, 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(set_by_index(L, -1, 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(set_by_index(L, LUA_REGISTRYINDEX, 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(set_by_index(L, LUA_GLOBALSINDEX, 0), LJINSPECT_ERR_ARGUMENT);
    static const int refs[] = {LUA_NOREF, LUA_REFNIL, 0, 123456, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        const ljinspect_filter by_ref = {.kind = LJINSPECT_FILTER_REF, .ref = refs[i]};
        assert_int_equal(ljinspect_set_hook(L, "a", 1, 0, &by_ref), LJINSPECT_ERR_ARGUMENT);
    }
    assert_int_equal(ljinspect_unset_hook(L, "a", 0), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_unset_hook(L, "a", 16777216), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_unset_hook(NULL, "a", 1), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_unset_hook(L, "a", 1), 0);
    assert_int_equal(ljinspect_unset_id(L, 0), 0);
    assert_int_equal(ljinspect_unset_id(L, -1), 0);
    assert_int_equal(ljinspect_get_status(L, NULL), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(lua_gettop(L), 1);
    assert_int_equal(hooks_set(L), 0);
    assert_true(ljinspect_set_hook(L, NULL, 16777215, 0, &good) > 0);
    assert_int_equal(ljinspect_unset_hook(L, NULL, 16777215), 1);
    assert_at_rest(L);
}

static void every_error_has_a_text(void **state) {
    (void)state;
    for (int code = 0; code >= -10; code--) {
        assert_true(strlen(ljinspect_strerror(code)) > 0);
        if (code < 0) assert_string_not_equal(ljinspect_strerror(code), "unknown error");
    }
    assert_string_equal(ljinspect_strerror(-999), "unknown error");
    assert_string_equal(ljinspect_strerror(INT_MIN), "unknown error");
    assert_string_equal(ljinspect_strerror(INT_MAX), "no error");
    assert_string_equal(ljinspect_version(), LJINSPECT_VERSION);
}

static void getname_names_functions_as_logs_want_it(void **state) {
    fixture *f = *state;
    char text[64];
    lua_Debug ar = {.what = "C", .name = "print"};
    assert_int_equal(ljinspect_getname(f->L, &ar, text, sizeof text), 5);
    assert_string_equal(text, "print");
    ar.name = NULL;
    ljinspect_getname(f->L, &ar, text, sizeof text);
    assert_string_equal(text, "?");
    ar = (lua_Debug){.what = "main", .name = "x", .short_src = "a.lua", .currentline = 3};
    ljinspect_getname(f->L, &ar, text, sizeof text);
    assert_string_equal(text, "a.lua:3");
    ar.what = "Lua";
    assert_int_equal(ljinspect_getname(f->L, &ar, text, sizeof text), 11);
    assert_string_equal(text, "a.lua:3 (x)");
    ar.name = NULL;
    ljinspect_getname(f->L, &ar, text, sizeof text);
    assert_string_equal(text, "a.lua:3");
    ar.name = "x";
    assert_int_equal(ljinspect_getname(f->L, &ar, text, 4), 11);
    assert_string_equal(text, "a.l");
    assert_int_equal(ljinspect_getname(f->L, &ar, NULL, 0), 11);
    assert_int_equal(ljinspect_getname(f->L, &ar, NULL, 1), LJINSPECT_ERR_ARGUMENT);
    assert_int_equal(ljinspect_getname(f->L, NULL, text, 1), LJINSPECT_ERR_ARGUMENT);
}

/* ---- Filters that misbehave ---- */

static void expect_misbehaviour(fixture *f, const char *filter, const char *message) {
    char code[1024];
    run_named(f->L, target, "@target.lua");
    snprintf(code, sizeof code, "ljinspect.set_hook('target.lua', 10, nil, %s)", filter);
    for (int round = 0; round < 2; round++) {
        forget_log(&f->log);
        run(f->L, code);
        if (round == 0)
            run(f->L, "assert(after(7) == 7) assert(after(8) == 8)");
        else
            run(f->L, "local co = coroutine.wrap(after) assert(co(7) == 7) assert(select('#', after(8)) == 1)");
        assert_logged(&f->log, "3 ljinspect: target.lua#10");
        assert_logged(&f->log, message);
        assert_int_equal(f->log.messages, 1);
        assert_int_equal(hooks_set(f->L), 0);
        assert_at_rest(f->L);
    }
}

static void a_filter_that_raises_a_string_is_removed(void **state) {
    expect_misbehaviour(*state, "function() error('oh no') end", "oh no");
}

static void a_filter_that_raises_a_table_is_removed(void **state) {
    expect_misbehaviour(*state, "function() error({}) end", "table");
}

static void a_filter_that_raises_nil_is_removed(void **state) {
    expect_misbehaviour(*state, "function() error() end", "nil");
}

static void a_filter_that_raises_something_with_tostring_that_raises_is_removed(void **state) {
    expect_misbehaviour(*state, "function() error(setmetatable({}, {__tostring = function() error('again') end})) end",
                        "table");
}

static void a_filter_that_raises_a_number_is_removed(void **state) {
    expect_misbehaviour(*state, "function() error(42) end", "42");
}

static void a_filter_that_yields_is_removed(void **state) {
    expect_misbehaviour(*state, "function() coroutine.yield(1) end", "yield");
}

static void a_filter_that_overflows_the_stack_is_removed(void **state) {
    expect_misbehaviour(*state, "function() local function f() return f() + 1 end f() end", "stack overflow");
}

static void a_filter_that_raises_in_a_coroutine_of_its_own_is_kept(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "ljinspect.set_hook('target.lua', 10, nil, function()\n"
              "  local co = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end)\n"
              "  assert(co() == 1 and co() == 2)\n"
              "  assert(not pcall(error, 'x'))\n"
              "  return false\n"
              "end)\n"
              "assert(after(7) == 7)\n");
    assert_int_equal(f->log.messages, 0);
    assert_int_equal(hooks_set(f->L), 1);
}

static int raise_in_c(ljinspect_hit *hit, void *userdata) {
    (void)userdata;
    return luaL_error(ljinspect_hit_state(hit), "from C");
}

static int yield_in_c(ljinspect_hit *hit, void *userdata) {
    (void)userdata;
    return lua_yield(ljinspect_hit_state(hit), 0);
}

static void a_c_filter_that_raises_or_yields_is_removed(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    const ljinspect_filter raises = {
        .kind = LJINSPECT_FILTER_C, .call = raise_in_c, .userdata = &f->c[0], .destroy = count_destroyed};
    assert_true(ljinspect_set_hook(f->L, "target.lua", 10, 0, &raises) > 0);
    run(f->L, "assert(after(7) == 7) assert(after(8) == 8)");
    assert_logged(&f->log, "from C");
    assert_int_equal(f->c[0].destroyed, 1);
    ljinspect_filter yields = raises;
    yields.call = yield_in_c;
    assert_true(ljinspect_set_hook(f->L, "target.lua", 10, 0, &yields) > 0);
    run(f->L, "local co = coroutine.wrap(after) assert(co(7) == 7) assert(after(8) == 8)");
    assert_int_equal(f->c[0].destroyed, 2);
    assert_at_rest(f->L);
}

static void a_filter_that_leaves_the_stack_full_does_no_harm(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "ljinspect.set_hook('target.lua', 10, nil, function(info) return false, unpack({}, 1, 200) end)\n"
              "assert(select('#', after(7)) == 1)\n");
    assert_int_equal(hooks_set(f->L), 1);
}

/* ---- Changes from inside a filter ---- */

static void a_filter_that_removes_itself_is_gone(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "hits = 0\n"
              "ljinspect.set_hook('target.lua', 10, nil, function()\n"
              "  hits = hits + 1\n"
              "  assert(ljinspect.unset_hook('target.lua', 10) == 1)\n"
              "  assert(#ljinspect.hooks() == 0)\n"
              "  collectgarbage()\n"
              "  return false\n"
              "end)\n"
              "after(1) after(2)\n"
              "assert(hits == 1)\n");
    assert_int_equal(f->log.messages, 0);
    assert_at_rest(f->L);
}

static void a_filter_that_unsets_all_ends_the_arrival(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "ljinspect.set_hook('target.lua', 10, nil, function() ljinspect.unset_all() return false end)");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[1]) > 0);
    run(f->L, "after(1) after(2)");
    assert_int_equal(f->c[0].hits, 1);
    assert_int_equal(f->c[1].hits, 0);
    assert_int_equal(f->c[0].destroyed, 1);
    assert_int_equal(f->c[1].destroyed, 1);
    assert_at_rest(f->L);
}

static void a_filter_that_replaces_itself_on_the_same_line_runs_from_the_next_arrival(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "old, new = 0, 0\n"
              "ljinspect.set_hook('target.lua', 10, nil, function()\n"
              "  old = old + 1\n"
              "  ljinspect.unset_hook('target.lua', 10)\n"
              "  ljinspect.set_hook('target.lua', 10, nil, function() new = new + 1 return false end)\n"
              "  return false\n"
              "end)\n"
              "after(1) assert(old == 1 and new == 0)\n"
              "after(2) after(3) assert(old == 1 and new == 2)\n"
              "assert(#ljinspect.hooks() == 1)\n");
}

static void a_filter_may_set_a_hook_on_the_next_line_of_the_same_call(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "n = 0\n"
              "ljinspect.set_hook('target.lua', 3, nil, function()\n"
              "  ljinspect.set_hook('target.lua', 7, nil, function() n = n + 1 end)\n"
              "end)\n"
              "target(1, 2) assert(n == 1)\n"
              "target(1, 2) assert(n == 1)\n");
    assert_at_rest(f->L);
}

static void a_filter_that_calls_the_hooked_function_is_not_run_again(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "n = 0\n"
              "ljinspect.set_hook('target.lua', 10, nil, function()\n"
              "  n = n + 1\n"
              "  assert(after(5) == 5)\n"
              "  assert(coroutine.wrap(after)(6) == 6)\n"
              "  return false\n"
              "end)\n"
              "after(1) after(2) assert(n == 2)\n");
    assert_int_equal(f->log.messages, 0);
}

static void level_3_of_a_filter_is_the_hooked_function(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "ljinspect.set_hook('target.lua', 10, nil, function(info)\n"
              "  assert(debug.getinfo(3, 'f').func == after)\n"
              "  assert(debug.getinfo(3, 'l').currentline == 10)\n"
              "  assert(info.finfo.func == after)\n"
              "  trace = debug.traceback('x', 3)\n"
              "  return false\n"
              "end)\n"
              "after(1)\n"
              "assert(trace:match('^x\\nstack traceback:\\n[^\\n]*target.lua:10: in function'), trace)\n");
    assert_int_equal(f->log.messages, 0);
}

/* ---- Where the code is ---- */

static int copy_info(const ljinspect_hook_info *info, void *arg) {
    *(ljinspect_hook_info *)arg = *info;
    return 0;
}

static ljinspect_hook_info only_hook(lua_State *L) {
    ljinspect_hook_info info = {0};
    assert_int_equal(ljinspect_hooks(L, copy_info, &info), 1);
    return info;
}

static void a_line_without_code_is_said_with_its_neighbours(void **state) {
    fixture *f = *state;
    run_named(f->L, "function gap(a)\n  local b = a\n\n\n\n  return b\nend\n", "@gap.lua");
    assert_true(hook_counter(f->L, "gap.lua", 4, &f->c[0]) > 0);
    run(f->L, "gap(1)");
    ljinspect_hook_info info = only_hook(f->L);
    assert_int_equal(info.state, LJINSPECT_NO_CODE);
    assert_int_equal(info.line_before, 2);
    assert_int_equal(info.line_after, 6);
    assert_int_equal(f->c[0].hits, 0);
}

static void a_file_that_is_never_loaded_leaves_its_hook_pending(void **state) {
    fixture *f = *state;
    assert_true(hook_counter(f->L, "never.lua", 4, &f->c[0]) > 0);
    run(f->L, "local x = 1");
    ljinspect_hook_info info = only_hook(f->L);
    assert_int_equal(info.state, LJINSPECT_PENDING);
    assert_int_equal(info.hits, 0);
    assert_string_equal(info.key, "never.lua#4");
    assert_string_equal(info.file, "never.lua");
    assert_int_equal(info.line, 4);
}

static void a_hook_is_armed_when_its_file_is_loaded_later(void **state) {
    fixture *f = *state;
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    assert_int_equal(only_hook(f->L).state, LJINSPECT_PENDING);
    run_named(f->L, target, "@dir/target.lua");
    assert_int_equal(only_hook(f->L).state, LJINSPECT_ARMED);
    assert_int_equal(only_hook(f->L).places, 1);
    run(f->L, "after(1)");
    assert_int_equal(f->c[0].hits, 1);
    assert_int_equal(only_hook(f->L).hits, 1);
}

static void a_function_that_is_defined_again_is_hit(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "for i = 1, 100 do after(i) end");
    run_named(f->L, target, "@target.lua");
    run(f->L, "for i = 1, 100 do after(i) end");
    assert_int_equal(f->c[0].hits, 200);
}

static void local_and_anonymous_functions_are_hit_and_found(void **state) {
    fixture *f = *state;
    assert_true(hook_counter(f->L, "anonymous.lua", 3, &f->c[0]) > 0);
    run_named(f->L,
              "local function inner()\n"
              "  return function()\n"
              "    return 1\n"
              "  end\n"
              "end\n"
              "function outer() return inner()() end\n",
              "@anonymous.lua");
    assert_int_equal(only_hook(f->L).state, LJINSPECT_ARMED);
    run(f->L, "outer() outer()");
    assert_int_equal(f->c[0].hits, 2);
}

/* Listing walks the VM's data while finalizers change it. */
static void listing_works_while_finalizers_change_tables(void **state) {
    fixture *f = *state;
    assert_true(hook_counter(f->L, "never.lua", 4, &f->c[0]) > 0);
    run(f->L, "n = 0\n"
              "function litter()\n"
              "  for i = 1, 300 do\n"
              "    local p = newproxy(true)\n"
              "    getmetatable(p).__gc = function() n = n + 1 _G['global' .. n] = {n} end\n"
              "  end\n"
              "end\n"
              "for i = 1, 2000 do _G['some' .. i] = {i} end\n"
              "collectgarbage('setpause', 50)\n");
    for (int i = 0; i < 30; i++) {
        run(f->L, "litter()");
        assert_int_equal(only_hook(f->L).state, LJINSPECT_PENDING);
    }
}

static int unset_while_listing(const ljinspect_hook_info *info, void *arg) {
    lua_State *L = arg;
    (void)info;
    ljinspect_unset_all(L);
    return 0;
}

static void a_visitor_may_unset_hooks(void **state) {
    fixture *f = *state;
    for (int i = 1; i <= 4; i++) assert_true(hook_counter(f->L, "x.lua", i, &f->c[0]) > 0);
    assert_int_equal(ljinspect_hooks(f->L, unset_while_listing, f->L), 4);
    assert_int_equal(hooks_set(f->L), 0);
    assert_int_equal(f->c[0].destroyed, 4);
}

static int stop_at_once(const ljinspect_hook_info *info, void *arg) {
    (void)info;
    ++*(int *)arg;
    return 1;
}

static void a_visitor_may_stop(void **state) {
    fixture *f = *state;
    int visits = 0;
    for (int i = 1; i <= 4; i++) assert_true(hook_counter(f->L, "x.lua", i, &f->c[0]) > 0);
    assert_int_equal(ljinspect_hooks(f->L, stop_at_once, &visits), 4);
    assert_int_equal(visits, 1);
}

/* ---- Wherever the code runs ---- */

static void coroutines_made_before_and_after_are_hit(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    run(f->L, "before = coroutine.create(function() coroutine.yield() for i = 1, 3 do after(i) end end)\n"
              "coroutine.resume(before)\n");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "coroutine.resume(before)\n"
              "coroutine.wrap(function() for i = 1, 3 do after(i) end end)()\n");
    assert_int_equal(f->c[0].hits, 6);
}

/* Resumed by the host, no instruction of another function runs between a yield and the line it returns to. */
static void a_coroutine_resumed_by_the_host_does_not_arrive_again(void **state) {
    fixture *f = *state;
    lua_State *co = lua_newthread(f->L);
    load_named(co, "for i = 1, 3 do coroutine.yield(i) end\nlocal x = 1\n", "@co.lua");
    assert_true(hook_counter(f->L, "co.lua", 1, &f->c[0]) > 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(lua_resume(co, 0), LUA_YIELD);
        assert_int_equal(f->c[0].hits, i);
    }
    assert_int_equal(lua_resume(co, 0), 0);
    assert_int_equal(f->c[0].hits, 3);
}

static int call_back(lua_State *L) {
    for (int i = 0; i < 3; i++) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, i);
        lua_call(L, 1, 1);
        lua_pop(L, 1);
    }
    return 0;
}

static void callbacks_through_c_are_hit(void **state) {
    fixture *f = *state;
    run_named(f->L, target, "@target.lua");
    lua_pushcfunction(f->L, call_back);
    lua_setglobal(f->L, "call_back");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "call_back(after)");
    lua_getglobal(f->L, "after");
    lua_pushinteger(f->L, 1);
    lua_call(f->L, 1, 0);
    assert_int_equal(f->c[0].hits, 4);
}

static void a_hook_set_inside_a_call_of_its_line_is_not_hit_by_the_return(void **state) {
    fixture *f = *state;
    run_named(f->L,
              "n = 0\n"
              "local function set()\n"
              "  ljinspect.unset_all()\n"
              "  ljinspect.set_hook('return.lua', 7, nil, function() n = n + 1 return false end)\n"
              "end\n"
              "local x\n"
              "x = set()\n"
              "assert(n == 0)\n",
              "@return.lua");
    run_named(f->L,
              "n = 0\n"
              "ljinspect.unset_all()\n"
              "local function set(i)\n"
              "  if i == 1 then ljinspect.set_hook('loop.lua', 6, nil, function() n = n + 1 return false end) end\n"
              "end\n"
              "for i = 1, 3 do set(i) end\n"
              "assert(n == 2, n)\n",
              "@loop.lua");
}

static const char hot[] = "local function add(a, b)\n"
                          "  return a + b\n" /* 2 */
                          "end\n"
                          "function work(n)\n"
                          "  local x = 0\n"
                          "  for i = 1, n do\n"
                          "    x = add(x, i)\n" /* 7 */
                          "  end\n"
                          "  return x\n"
                          "end\n";

/* In Lua: how many traces there are. */
static const char traces[] = "function traces()\n"
                             "  local n = 0\n"
                             "  for i = 1, 1000 do if require('jit.util').traceinfo(i) then n = n + 1 end end\n"
                             "  return n\n"
                             "end\n";

static void a_function_inlined_into_a_compiled_trace_is_hit_each_time(void **state) {
    fixture *f = *state;
    run(f->L, traces);
    run_named(f->L, hot, "@hot.lua");
    run(f->L, "work(6000)");
    assert_lua(f->L, "traces() > 0");
    assert_true(hook_counter(f->L, "hot.lua", 2, &f->c[0]) > 0);
    run(f->L, "assert(work(6000) == 18003000)");
    assert_int_equal(f->c[0].hits, 6000);
    assert_true(hook_counter(f->L, "hot.lua", 7, &f->c[1]) > 0);
    run(f->L, "for i = 1, 60 do work(100) end");
    assert_int_equal(f->c[0].hits, 12000);
    assert_int_equal(f->c[1].hits, 6000);
}

static void a_hook_set_in_the_middle_of_a_compiled_loop_is_hit_from_there_on(void **state) {
    fixture *f = *state;
    run_named(f->L, hot, "@hot.lua");
    run(f->L, "n = 0\n"
              "local function set() ljinspect.set_hook('loop.lua', 3, nil, function() n = n + 1 return false end) end\n"
              "loop = assert(loadstring([[\n"
              "local add = function(x)\n"
              "  local y = x\n"
              "  return y end\n"
              "local set, x = ...\n"
              "for i = 1, 10000 do\n"
              "  if i == 4001 then set() end\n"
              "  x = add(i)\n"
              "end]], '@loop.lua'))\n"
              "loop(set)\n"
              "assert(n == 6000, n)\n");
}

static void functions_compile_again_when_the_last_hook_is_gone(void **state) {
    fixture *f = *state;
    run(f->L, traces);
    run_named(f->L, hot, "@hot.lua");
    run(f->L, "work(1000)");
    for (int round = 0; round < 3; round++) {
        assert_true(hook_counter(f->L, "hot.lua", 2, &f->c[0]) > 0);
        run(f->L, "for i = 1, 300 do work(100) end");
        if (engine_is(f->L, "line")) assert_lua(f->L, "traces() == 0 and not jit.status()");
        if (engine_is(f->L, "trap")) assert_lua(f->L, "jit.status()");
        ljinspect_unset_all(f->L);
        assert_at_rest(f->L);
        run(f->L, "for i = 1, 10 do work(1000) end");
        assert_lua(f->L, "traces() > 0");
        run(f->L, "local started, where = 0, nil\n"
                  "jit.flush()\n"
                  "local function note(what, tr, func, pc) if what == 'abort' then aborted = true end end\n"
                  "aborted = nil\n"
                  "jit.attach(note, 'trace')\n"
                  "for i = 1, 10 do work(1000) end\n"
                  "jit.attach(note)\n"
                  "assert(traces() > 0)\n");
    }
}

static void the_compiler_is_left_as_it_was_found(void **state) {
    fixture *f = *state;
    run(f->L, "jit.off()");
    assert_true(hook_counter(f->L, "x.lua", 2, &f->c[0]) > 0);
    assert_lua(f->L, "not jit.status()");
    ljinspect_unset_all(f->L);
    assert_lua(f->L, "not jit.status()");
    run(f->L, "jit.on()");
    assert_true(hook_counter(f->L, "x.lua", 2, &f->c[0]) > 0);
    assert_true(hook_counter(f->L, "x.lua", 2, &f->c[0]) > 0);
    assert_lua(f->L, engine_is(f->L, "line") ? "not jit.status()" : "jit.status()");
    f->c[1].keep_for = 1;
    ljinspect_unset_all(f->L);
    assert_lua(f->L, "jit.status()");
    run_named(f->L, target, "@target.lua");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[1]) > 0);
    run(f->L, "after(1) assert(jit.status())");
}

static void a_program_that_switches_the_compiler_on_loses_no_hit(void **state) {
    fixture *f = *state;
    run_named(f->L, hot, "@hot.lua");
    run(f->L, "jit.off()");
    assert_true(hook_counter(f->L, "hot.lua", 2, &f->c[0]) > 0);
    run(f->L, "jit.on() work(6000)");
    assert_int_equal(f->c[0].hits, 6000);
    ljinspect_unset_all(f->L);
    assert_lua(f->L, "jit.status()");
}

/* ---- The host's own debug hook ---- */

enum { EVENTS_MAX = 1 << 16 };

typedef struct events {
    int n;
    bool overflow;
    struct {
        int event, line;
    } list[EVENTS_MAX];
} events;

static events *recorder;

static void record_event(lua_State *L, lua_Debug *ar) {
    (void)L;
    if (recorder->n == EVENTS_MAX) {
        recorder->overflow = true;
        return;
    }
    recorder->list[recorder->n].event = ar->event;
    recorder->list[recorder->n++].line = ar->currentline;
}

static const char eventful[] = "local function f(n) return n > 0 and f(n - 1) or n end\n"
                               "local t = {3, 1, 2}\n"
                               "for i = 1, 3 do f(i) math.abs(i) pcall(error, i) end\n"
                               "table.sort(t, function(a, b) return a < b end)\n"
                               "for _, v in ipairs(t) do\n"
                               "  f(v)\n"
                               "end\n"
                               "local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)\n"
                               "for i = 1, 3 do co() end\n"
                               "local s = ('abc'):gsub('.', function(c) return c end)\n"
                               "while #t > 0 do t[#t] = nil end\n";

static int compare_events(int mask, int count, int hooked_line) {
    events *seen[2];
    for (int with = 0; with < 2; with++) {
        lua_State *L = new_vm(NULL);
        static counter c;
        c = (counter){0};
        run(L, "jit.off()");
        recorder = seen[with] = calloc(1, sizeof *recorder);
        load_named(L, eventful, "@eventful.lua");
        lua_sethook(L, record_event, mask, count);
        if (with) {
            assert_true(hook_counter(L, "eventful.lua", hooked_line, &c) > 0);
            lua_sethook(L, lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L));
            recorder->n = 0; /* setting the hook called C functions */
        }
        call_top(L, 0);
        int n = recorder->n;
        if (with) {
            ljinspect_unset_all(L);
            assert_ptr_equal(lua_gethook(L), record_event);
            assert_int_equal(lua_gethookmask(L), mask);
            assert_int_equal(lua_gethookcount(L), count);
        }
        recorder->n = n;
        lua_close(L);
    }
    int wrong = 0;
    if (seen[0]->n != seen[1]->n) {
        print_error("mask %d, count %d, line %d: %d events, %d without us\n", mask, count, hooked_line, seen[1]->n,
                    seen[0]->n);
        wrong = 1;
    }
    for (int i = 0; !wrong && i < seen[0]->n; i++) {
        if (seen[0]->list[i].event != seen[1]->list[i].event || seen[0]->list[i].line != seen[1]->list[i].line) {
            print_error("mask %d, count %d, line %d: event %d of %d is %d at %d, without us %d at %d\n", mask, count,
                        hooked_line, i, seen[0]->n, seen[1]->list[i].event, seen[1]->list[i].line,
                        seen[0]->list[i].event, seen[0]->list[i].line);
            wrong = 1;
        }
    }
    free(seen[0]);
    free(seen[1]);
    return wrong;
}

static void the_hosts_debug_hook_is_called_as_without_us(void **state) {
    static const int masks[] = {LUA_MASKLINE | LUA_MASKCALL | LUA_MASKRET, LUA_MASKCALL, LUA_MASKRET,
                                LUA_MASKLINE | LUA_MASKCALL};
    static const int counts[] = {1, 2, 7, 100};
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        for (int line = 1; line <= 12; line++) wrong += compare_events(masks[i], 0, line);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int line = 1; line <= 12; line++) wrong += compare_events(LUA_MASKCOUNT, counts[i], line);
    assert_int_equal(wrong, 0);
}

/* Line events alone are fewer than line events with call events: LuaJIT sends one more when a C function returns. */
static void a_host_with_line_events_alone_is_called_as_without_us(void **state) {
    int wrong = 0;
    (void)state;
    for (int line = 1; line <= 12; line++) wrong += compare_events(LUA_MASKLINE, 0, line);
    assert_int_equal(wrong, 0);
}

static int host_errors;

static void raise_at_line(lua_State *L, lua_Debug *ar) {
    if (ar->event == LUA_HOOKLINE && ar->currentline == 10) {
        host_errors++;
        luaL_error(L, "from the host's hook");
    }
}

static void an_error_of_the_hosts_debug_hook_reaches_the_program(void **state) {
    fixture *f = *state;
    host_errors = 0;
    run_named(f->L, target, "@target.lua");
    lua_sethook(f->L, raise_at_line, LUA_MASKLINE, 0);
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    run(f->L, "for i = 1, 3 do\n"
              "  local ok, message = pcall(after, i)\n"
              "  assert(not ok and message:find('host'))\n"
              "end\n");
    /* The line engine's hook stands before the host's; an instruction whose line event raised an error never ran. */
    assert_int_equal(f->c[0].hits, engine_is(f->L, "line") ? 3 : 0);
    assert_int_equal(host_errors, 3);
    ljinspect_unset_all(f->L);
    assert_ptr_equal(lua_gethook(f->L), raise_at_line);
    assert_int_equal(lua_gethookmask(f->L), LUA_MASKLINE);
    run(f->L, "assert(not pcall(after, 1))");
    lua_sethook(f->L, NULL, 0, 0);
}

static void a_debug_hook_set_while_armed_is_called_from_the_next_api_call_on(void **state) {
    fixture *f = *state;
    static events seen;
    memset(&seen, 0, sizeof seen);
    recorder = &seen;
    run_named(f->L, target, "@target.lua");
    assert_true(hook_counter(f->L, "target.lua", 10, &f->c[0]) > 0);
    lua_sethook(f->L, record_event, LUA_MASKLINE, 0);
    hooks_set(f->L);
    seen.n = 0;
    run(f->L, "after(1)");
    assert_int_equal(f->c[0].hits, 1);
    assert_true(seen.n >= 2);
    ljinspect_unset_all(f->L);
    assert_ptr_equal(lua_gethook(f->L), record_event);
    lua_sethook(f->L, NULL, 0, 0);
}

/* ---- No memory ---- */

static int quiet_filter(ljinspect_hit *hit, void *userdata) {
    (void)hit;
    ++*(int *)userdata;
    return LJINSPECT_KEEP;
}

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L, (void)level, (void)message, (void)userdata;
}

/* A hit for which there is no memory loses neither the hook nor the program. */
static void a_hit_without_memory_loses_no_hook(void **state) {
    limited m;
    (void)state;
    lua_State *L = new_limited_vm(&m);
    ljinspect_set_logger(L, no_log, NULL);
    run_named(L, target, "@target.lua");
    run(L, "n = 0 function filter() n = n + 1 return false end");
    lua_getglobal(L, "filter");
    assert_true(set_by_index(L, -1, 0) > 0);
    int lost = 0;
    for (long at = 1; at < 40; at++) {
        lua_getglobal(L, "after");
        lua_pushinteger(L, 1);
        m.fail_at = at;
        int status = lua_pcall(L, 1, 0, 0);
        m.failing = false;
        m.fail_at = 0;
        if (status != 0) lua_pop(L, 1);
        if (hooks_set(L) != 1) {
            lost++;
            set_by_index(L, -1, 0);
        }
    }
    lua_close(L);
    assert_int_equal(lost, 0);
}

static jmp_buf after_panic;

static int jump_on_panic(lua_State *L) {
    (void)L;
    longjmp(after_panic, 1);
}

/* The caller's stack is full, and growing it fails. */
static void api_calls_with_a_full_lua_stack_and_no_memory_raise_nothing(void **state) {
    static int hits;
    static volatile int raised, fill;
    limited m;
    (void)state;
    const ljinspect_filter filter = {.kind = LJINSPECT_FILTER_C, .call = quiet_filter, .userdata = &hits};
    ljinspect_status s;
    raised = 0;
    for (fill = 1; fill < 120; fill += 3) {
        lua_State *L = new_limited_vm(&m);
        lua_atpanic(L, jump_on_panic);
        assert_int_equal(ljinspect_set_logger(L, no_log, NULL), 0);
        assert_true(ljinspect_set_hook(L, "x.lua", 1, 0, &filter) > 0);
        for (int i = 0; i < fill; i++) {
            assert_true(lua_checkstack(L, 1));
            lua_pushinteger(L, i);
        }
        assert_true(lua_checkstack(L, 8)); /* a few slots are the caller's to have, as for the Lua API itself */
        m.and_on = true;
        m.fail_at = 1;
        if (setjmp(after_panic) == 0) {
            ljinspect_get_status(L, &s);
            ljinspect_hooks(L, NULL, NULL);
            ljinspect_poll(L);
            ljinspect_set_hook(L, "x.lua", 1, 0, &filter);
            ljinspect_unset_hook(L, "x.lua", 2);
            ljinspect_unset_all(L);
        } else {
            raised++;
        }
        m.failing = false;
        m.fail_at = 0;
        lua_settop(L, 0);
        lua_close(L);
    }
    assert_int_equal(raised, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest hits[] = {
        cmocka_unit_test(a_line_is_hit_once_per_arrival),
        T(a_c_filter_sees_locals_upvalues_varargs_and_the_frame),
        T(nothing_changes_for_the_hooked_function),
        T(locals_are_those_active_before_the_line),
        T(any_verdict_but_keep_removes_the_hook),
        T(any_result_but_false_of_a_lua_filter_removes_the_hook),
        T(a_hook_lives_for_as_many_hits_as_its_filter_says),
        cmocka_unit_test(a_rejected_hit_allocates_nothing),
        cmocka_unit_test(a_line_that_is_not_hooked_allocates_nothing),
        T(coroutines_made_before_and_after_are_hit),
        T(a_coroutine_resumed_by_the_host_does_not_arrive_again),
        T(callbacks_through_c_are_hit),
        T(a_hook_set_inside_a_call_of_its_line_is_not_hit_by_the_return),
        T(a_function_inlined_into_a_compiled_trace_is_hit_each_time),
        T(a_hook_set_in_the_middle_of_a_compiled_loop_is_hit_from_there_on),
        T(a_program_that_switches_the_compiler_on_loses_no_hit),
    };
    const struct CMUnitTest filters[] = {
        T(userdata_is_destroyed_once_in_each_way_a_hook_can_go),
        T(userdata_is_not_destroyed_when_setting_the_hook_fails),
        T(a_lua_filter_is_let_go_with_its_hook),
        T(a_lua_filter_is_named_by_any_kind_of_index),
        T(wrong_arguments_are_named_errors),
        T(every_error_has_a_text),
        T(getname_names_functions_as_logs_want_it),
        T(a_filter_that_raises_a_string_is_removed),
        T(a_filter_that_raises_a_table_is_removed),
        T(a_filter_that_raises_nil_is_removed),
        T(a_filter_that_raises_something_with_tostring_that_raises_is_removed),
        T(a_filter_that_raises_a_number_is_removed),
        T(a_filter_that_yields_is_removed),
        T(a_filter_that_overflows_the_stack_is_removed),
        T(a_filter_that_raises_in_a_coroutine_of_its_own_is_kept),
        T(a_c_filter_that_raises_or_yields_is_removed),
        T(a_filter_that_leaves_the_stack_full_does_no_harm),
        T(a_filter_that_removes_itself_is_gone),
        T(a_filter_that_unsets_all_ends_the_arrival),
        T(a_filter_that_replaces_itself_on_the_same_line_runs_from_the_next_arrival),
        T(a_filter_may_set_a_hook_on_the_next_line_of_the_same_call),
        T(a_filter_that_calls_the_hooked_function_is_not_run_again),
        T(level_3_of_a_filter_is_the_hooked_function),
    };
    const struct CMUnitTest places[] = {
        T(a_line_without_code_is_said_with_its_neighbours),
        T(a_file_that_is_never_loaded_leaves_its_hook_pending),
        T(a_hook_is_armed_when_its_file_is_loaded_later),
        T(a_function_that_is_defined_again_is_hit),
        T(local_and_anonymous_functions_are_hit_and_found),
        T(listing_works_while_finalizers_change_tables),
        T(a_visitor_may_unset_hooks),
        T(a_visitor_may_stop),
    };
    const struct CMUnitTest vm[] = {
        T(functions_compile_again_when_the_last_hook_is_gone),
        T(the_compiler_is_left_as_it_was_found),
        cmocka_unit_test(the_hosts_debug_hook_is_called_as_without_us),
        cmocka_unit_test(a_host_with_line_events_alone_is_called_as_without_us),
        T(an_error_of_the_hosts_debug_hook_reaches_the_program),
        T(a_debug_hook_set_while_armed_is_called_from_the_next_api_call_on),
    };
    const struct CMUnitTest memory[] = {
        cmocka_unit_test(a_hit_without_memory_loses_no_hook),
        cmocka_unit_test(api_calls_with_a_full_lua_stack_and_no_memory_raise_nothing),
    };
    int failed = cmocka_run_group_tests_name("api, hits", hits, NULL, NULL);
    failed += cmocka_run_group_tests_name("api, filters", filters, NULL, NULL);
    failed += cmocka_run_group_tests_name("api, places", places, NULL, NULL);
    failed += cmocka_run_group_tests_name("api, the VM", vm, NULL, NULL);
    failed += cmocka_run_group_tests_name("api, memory", memory, NULL, NULL);
    return failed;
}
