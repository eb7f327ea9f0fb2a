/*
 * Runs one Lua program in one way: torture WAY SCRIPT [ARGUMENT...]
 * The program writes to standard output, what is found goes to the files below and to standard error.
 *
 * WAY is words with commas. The first is
 *   lines    without hooks; the lines of all functions it loads are written to $TORTURE_LINES
 *   oracle   JIT off, arrivals at lines are counted by debug hooks (oracle.h) and written to $TORTURE_COUNTS
 *   hooks    a hook on each line in $TORTURE_LINES; the hits are compared with $TORTURE_COUNTS
 * then any of
 *   second   the program is run three times in the same VM, with hooks during the second time only: what it has
 *            loaded and compiled by then is hooked, and let go
 *   nojit    the JIT is off                     jit     the JIT compiles as much as it can as soon as it can
 *   bytecode the program and its modules are loaded from dumps
 *   gc       the collector is always at work, and full cycles in filters
 *   stress   a full cycle at nearly each allocation, for the first 5,000 hits
 *   lua      filters in Lua that read all there is; else they are in C
 *   table    hooks in table form, with a condition that runs code and a snapshot of all there is
 *   returns  with "lines", "oracle" or "hooks": instead of lines the returns of functions, known by the line on which their
 *            code begins. Tail calls are reported by the hooks, but not counted: debug hooks have no event for them
 *   sparse   hooks on one line in 8, so that other functions are compiled and hooked ones could be inlined
 *   random   hooks are set and removed at random in filters and finalizers
 *   uncounted  the hits are not compared
 * $TORTURE_SEED is the seed of "sparse" and "random"; what is found goes to the file $TORTURE_REPORT instead of standard error
 * where that is set; $TORTURE_FIRST names modules with spaces between, which are required before the program runs. Hooks that were there all the time are hit once per arrival, others
 * at most as often.
 *
 * Exit status: 0; 1 for a difference; 2 where the run failed; 77 where the engine $LJINSPECT_ENGINE is not to be had.
 */
#include <inttypes.h>
#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "filter_use.h"
#include "keys.h"
#include "oracle.h"

static struct {
    keys keys;     /* lines, and what was counted here */
    keys expected; /* what the oracle counted */
    bool gc, stress, lua, table, returns, sparse, random, hooks, uncounted, second;
    bool counting; /* arrivals count now */
    uint64_t hits, tail_calls, checks, changes, problems, finalized, lines;
    uint64_t collect_every, change_every;
    uint32_t seed;
    int make_filter; /* registry reference: gives a filter in Lua for a number */
    FILE *report;
    const char *to; /* file for the keys, or NULL */
    bool counted_only, finished;
} t;

static void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *format, ...) {
    va_list args;
    if (++t.problems > 20) return;
    fputs("torture: ", t.report);
    va_start(args, format);
    vfprintf(t.report, format, args);
    va_end(args);
    fputc('\n', t.report);
}

static uint32_t next_random(void) {
    t.seed = t.seed * 1664525u + 1013904223u;
    return t.seed >> 8;
}

static const char *wanted(const char *variable) {
    const char *value = getenv(variable);
    if (value == NULL) {
        fprintf(stderr, "torture: %s is not set\n", variable);
        exit(2);
    }
    return value;
}

/* ---- Hooks ------------------------------------------------------------------------------------------------------- */

static int on_hit(ljinspect_hit *hit, void *userdata);

enum { UNDER_WAY = -1, STRESSED_HITS = 5000 };

/* What hooks in table form have to say. */
static void on_line(lua_State *L, enum ljinspect_level level, const char *line, size_t len, void *userdata) {
    (void)L, (void)level, (void)userdata;
    t.lines++;
    if (len < 2 || line[0] != '{' || line[len - 1] != '}' || strlen(line) != len) problem("no line of JSON: %s", line);
}

static int64_t set_table(lua_State *L, const key *k, const ljinspect_filter *asked) {
    const ljinspect_capture capture = {.what = LJINSPECT_CAPTURE_LOCALS | LJINSPECT_CAPTURE_UPVALUES |
                                               LJINSPECT_CAPTURE_VARARGS | LJINSPECT_CAPTURE_JSON,
                                       .stack = 4,
                                       .stack_locals = 4,
                                       .entries = 4,
                                       .bytes = 2000};
    ljinspect_hook_options o;
    char why[256] = "";
    if (ljinspect_hook_options_init(&o, sizeof(o)) != 0) return LJINSPECT_ERR_ARGUMENT;
    o.file = k->source;
    o.line = k->line;
    o.condition = "(function() for n = 1, 3 do end return ({[1] = true})[1] end)()";
    o.log = "{...}";
    o.capture = &capture;
    o.sink = on_line;
    o.filter = asked;
    o.budget = 0;
    int64_t id = ljinspect_set_hook_with(L, &o, why, sizeof(why));
    if (id == LJINSPECT_ERR_ARGUMENT) problem("%s", why);
    return id;
}

/* The public API hooks the returns of one function object; here it is all that are made of the code. */
static int64_t set_returns(lua_State *L, const key *k, const ljinspect_filter *asked) {
    int error;
    context *c = context_get(L, &error);
    if (c == NULL) return error;
    filter f = {.call = asked->call, .userdata = asked->userdata, .ref = LUA_NOREF, .uses = USES_ALL};
    if (asked->kind == LJINSPECT_FILTER_LUA) {
        lua_pushvalue(L, asked->index);
        f.ref = context_ref(c, L);
    }
    return context_add(c, L, k->source, strlen(k->source), k->line | HOOKS_RETURN, 0, &f);
}

static void set(lua_State *L, size_t i) {
    key *k = &t.keys.list[i];
    ljinspect_filter own = {.kind = LJINSPECT_FILTER_C, .call = on_hit, .userdata = (void *)(uintptr_t)i};
    if (k->id != 0) return;
    k->id = UNDER_WAY; /* a finalizer may come meanwhile */
    if (t.lua) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, t.make_filter);
        lua_pushinteger(L, (lua_Integer)i);
        lua_call(L, 1, 1);
        own = (ljinspect_filter){.kind = LJINSPECT_FILTER_LUA, .index = -1};
    }
    int64_t id = t.table     ? set_table(L, k, &own)
                 : t.returns ? set_returns(L, k, &own)
                             : ljinspect_set_hook(L, k->source, k->line, 0, &own);
    if (t.lua) lua_pop(L, 1);
    k->id = id > 0 ? id : 0;
    /* A finalizer may be told so; the last run where the program has the VM closed, as os.exit() can. */
    if (id <= 0 && ((id != LJINSPECT_ERR_BUSY && id != LJINSPECT_ERR_CLOSED) || !t.random)) {
        problem("%s#%d could not be set: %s", k->source, k->line, ljinspect_strerror((int)id));
    }
}

static void unset(lua_State *L, size_t i) {
    key *k = &t.keys.list[i];
    int64_t id = k->id;
    if (id <= 0) return;
    k->id = UNDER_WAY;
    k->always = false;
    ljinspect_status status;
    if (ljinspect_unset_id(L, id) != 1 && ljinspect_get_status(L, &status) != LJINSPECT_ERR_CLOSED)
        problem("%s#%d: there was no hook to remove", k->source, k->line);
    k->id = 0;
}

static void change(lua_State *L) {
    for (int n = 0; n < 4; n++) {
        size_t i = next_random() % t.keys.n;
        if (next_random() % 10 < 6) {
            set(L, i);
        } else {
            unset(L, i);
        }
    }
    t.changes++;
}

static void set_collector(lua_State *L, int pause, int step) {
    lua_gc(L, LUA_GCSETPAUSE, pause);
    lua_gc(L, LUA_GCSETSTEPMUL, step);
}

/* What both kinds of filters do. */
static void count_hit(lua_State *L, size_t i, bool tail_call) {
    t.hits++;
    if (tail_call) {
        t.tail_calls++;
    } else {
        t.keys.list[i].count++;
    }
    /* Before a filter in Lua runs, its table is made: a finalizer may remove the hook then. */
    if (t.keys.list[i].id == 0 && !t.lua)
        problem("%s#%d: hit without a hook", t.keys.list[i].source, t.keys.list[i].line);
    if ((t.gc || t.stress) && t.hits % t.collect_every == 0) lua_gc(L, LUA_GCCOLLECT, 0);
    if (t.stress && t.hits == STRESSED_HITS) set_collector(L, 100, 200);
    if (t.random && t.hits % t.change_every == 0) {
        change(L);
        if (next_random() % 8 == 0) unset(L, i);
    }
}

/* What a filter in C asks of a return: its values, and the time of a call that the hook has seen begin. */
static int check_return(ljinspect_hit *hit, const key *k) {
    lua_State *L = ljinspect_hit_state(hit);
    int n, tail_call;
    double us;
    if (!ljinspect_hit_leaving(hit, &n, &tail_call, &us)) {
        problem("%s#%d: no return", k->source, k->line);
        return 0;
    }
    for (int i = 1; i <= n + 1; i++) {
        int there = ljinspect_hit_return(hit, i);
        if (there != (i <= n)) problem("%s#%d: %d values, and the %d. is not right", k->source, k->line, n, i);
        if (there && lua_type(L, -1) == LUA_TSTRING) t.checks += lua_objlen(L, -1) > 1000000000;
        if (there) lua_pop(L, 1);
    }
    if (us < 0 && !t.random && !t.second && !t.uncounted) problem("%s#%d: unknown duration", k->source, k->line);
    return tail_call;
}

static bool ends_with(const char *s, const char *end) {
    size_t len = strlen(s), n = strlen(end);
    return len >= n && strcmp(s + len - n, end) == 0;
}

static int on_hit(ljinspect_hit *hit, void *userdata) {
    size_t i = (size_t)(uintptr_t)userdata;
    lua_Debug ar;
    if (t.returns) {
        count_hit(ljinspect_hit_state(hit), i, check_return(hit, &t.keys.list[i]));
        return LJINSPECT_KEEP;
    }
    if (t.hits % 16 == 0) { /* these may not be right any more once other hooks are set */
        const key *k = &t.keys.list[i];
        t.checks++;
        if (!ljinspect_hit_frame(hit, "Sl", &ar) || ar.currentline != k->line) {
            problem("%s#%d: hit at line %d", k->source, k->line, ar.currentline);
        } else if (!ends_with(ar.source, k->source)) {
            problem("%s#%d: hit in %s", k->source, k->line, ar.source);
        }
    }
    count_hit(ljinspect_hit_state(hit), i, false);
    return LJINSPECT_KEEP;
}

/* Changes hooks at whatever moment the collector runs, and comes again at its next cycle. */
static int finalizer(lua_State *L) {
    if (!t.counting) return 0;
    if (t.finalized++ % 8 == 0) change(L);
    lua_newuserdata(L, 1);
    lua_getmetatable(L, 1);
    lua_setmetatable(L, -2);
    return 0;
}

static void add_finalizer(lua_State *L) {
    lua_newuserdata(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalizer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void on_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L;
    (void)userdata;
    if (level >= LJINSPECT_WARN) problem("%s", message);
}

/* What makes the order of tables steady is no part of the program. */
static bool is_ours(const char *source) {
    return strcmp(source, "=torture") == 0 || ends_with(source, "/lib/steady.lua");
}

static void start_hooks(lua_State *L) {
    ljinspect_status status;
    const char *name = wanted("LJINSPECT_ENGINE");
    ljinspect_set_logger(L, on_log, NULL);
    int error = ljinspect_get_status(L, &status);
    if (error != 0 || strcmp(status.engine, name) != 0) {
        fprintf(stderr, "torture: no engine \"%s\" here: %s\n", name, error != 0 ? ljinspect_strerror(error) : "");
        exit(77);
    }
    for (size_t i = 0; i < t.keys.n; i++) {
        if (t.sparse && next_random() % 8 != 0) continue;
        t.keys.list[i].always = true;
        set(L, i);
    }
    if (t.random) add_finalizer(L);
}

static void stop_hooks(lua_State *L) {
    int left = 0;
    for (size_t i = 0; i < t.keys.n; i++) left += t.keys.list[i].id != 0;
    int removed = ljinspect_unset_all(L);
    if (removed != left) problem("%d hooks were left, not %d", removed, left);
}

/* With the line engine a coroutine that goes on for the first time since a hook was set, with a line it has not been at,
 * misses it there (engine_line.c: on_new_thread). */
static uint64_t may_miss(void) {
    return t.random && strcmp(wanted("LJINSPECT_ENGINE"), "line") == 0 ? t.changes : 0;
}

static void compare(const keys *expected) {
    const uint64_t missed = may_miss();
    for (size_t i = 0; i < t.keys.n; i++) {
        key *k = &t.keys.list[i];
        uint64_t arrivals = keys_get(&t.expected, k->source, k->line)->count;
        if (k->count > arrivals || (k->count + missed < arrivals && k->id != 0 && k->always)) {
            problem("%s#%d: %" PRIu64 " hits of %" PRIu64, k->source, k->line, k->count, arrivals);
        }
    }
    for (size_t i = 0; i < expected->n; i++) { /* all lines that are executed are known as lines */
        key *k = &t.expected.list[i];
        size_t known = t.keys.n;
        if (k->count > 0) keys_get(&t.keys, k->source, k->line);
        if (t.keys.n != known) problem("%s#%d: not found as a line of code", k->source, k->line);
    }
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

static void on_arrival(const char *source, int line) {
    if (line > 0 && *source != '\0' && !is_ours(source)) keys_get(&t.keys, source, line)->count++;
}

static int l_hit(lua_State *L) {
    count_hit(L, (size_t)lua_tointeger(L, 1), lua_toboolean(L, 2));
    return 0;
}

static int l_line(lua_State *L) {
    if (!is_ours(luaL_checkstring(L, 1))) keys_get(&t.keys, lua_tostring(L, 1), (int)lua_tointeger(L, 2));
    return 0;
}

static int l_problem(lua_State *L) {
    problem("%s", luaL_checkstring(L, 1));
    return 0;
}

static int l_safepoint(lua_State *L) {
    ljinspect_status status;
    if (t.hooks) ljinspect_get_status(L, &status);
    return 0;
}

/* Gets hit, line, problem, safepoint; returns how to make filters, the watch for lines, the loader of dumps. */
static const char helper[] =
    "local hit, line, problem, safepoint = ...\n"
    "local pairs, rawequal, next, type, assert, loadfile, load = pairs, rawequal, next, type, assert, loadfile, load\n"
    "local getinfo, traceback, dump, util = debug.getinfo, debug.traceback, string.dump, require 'jit.util'\n"
    "local attach, searchpath, loaders = jit.attach, package.searchpath, package.loaders\n"
    "local compiler, opt = pcall(require, 'jit.opt')\n"
    "local function filter(i)\n"
    "  local hits = 0\n"
    "  return function(info)\n"
    "    hits = hits + 1\n"
    "    if hits < 4 or hits % 8 == 0 then\n"
    "      local finfo, n = info.finfo, info.varargs.n\n"
    "      for name, value in pairs(info.vals) do n = n + #name + (rawequal(value, i) and 1 or 0) end\n"
    "      for name, value in pairs(info.uv) do n = n + #name + (rawequal(value, i) and 1 or 0) end\n"
    "      local at = getinfo(3, 'lf')\n"
    "      if not at or at.func ~= finfo.func or at.currentline ~= finfo.currentline then\n"
    "        problem('level 3 is not the hooked function: ' .. traceback('', 1))\n"
    "      elseif not traceback('x', 3):find(':' .. finfo.currentline .. ':', 1, true) then\n"
    "        problem('no line ' .. finfo.currentline .. ' in ' .. traceback('', 3))\n"
    "      end\n"
    "    end\n"
    "    local returns = info.returns\n"
    "    if returns and returns.n < #returns then problem('more values than there are') end\n"
    "    hit(i, info.tail_call)\n"
    "    return false\n"
    "  end\n"
    "end\n"
    "local function watch(returns)\n"
    "  attach(function(f)\n"
    "    local info = util.funcinfo(f)\n"
    "    for pc = 1, returns and 1 or info.bytecodes - 1 do\n"
    "      local l = util.funcinfo(f, pc).currentline\n"
    "      if l and l > 0 then line(info.source, l) end\n"
    "    end\n"
    "  end, 'bc')\n"
    "end\n"
    "local function through_dump(file)\n"
    "  local f = assert(load(dump(assert(loadfile(file)))))\n"
    "  safepoint()\n"
    "  return f\n"
    "end\n"
    "local function from_bytecode()\n"
    "  loaders[2] = function(name)\n"
    "    local file, message = searchpath(name, package.path)\n"
    "    return file and through_dump(file) or message\n"
    "  end\n"
    "end\n"
    "local function eager()\n"
    "  if compiler then opt.start(3, 'hotloop=2', 'hotexit=1', 'maxtrace=4000', 'maxmcode=2048') end\n"
    "end\n"
    "return filter, watch, from_bytecode, through_dump, eager\n";

enum { FILTER = 1, WATCH, FROM_BYTECODE, THROUGH_DUMP, EAGER, HELPERS = EAGER };

static void fail(lua_State *L) {
    fprintf(stderr, "torture: %s\n", lua_tostring(L, -1));
    exit(2);
}

static void load_helper(lua_State *L) {
    static const lua_CFunction functions[] = {l_hit, l_line, l_problem, l_safepoint};
    if (luaL_loadbuffer(L, helper, sizeof(helper) - 1, "=torture") != 0) fail(L);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) lua_pushcfunction(L, functions[i]);
    if (lua_pcall(L, 4, HELPERS, 0) != 0) fail(L);
    lua_pushvalue(L, FILTER);
    t.make_filter = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void call_helper(lua_State *L, int which) {
    lua_pushvalue(L, which);
    lua_pushboolean(L, t.returns);
    if (lua_pcall(L, 1, 0, 0) != 0) fail(L);
}

/* As the luajit program sets it. */
static void set_arg(lua_State *L, int argc, char **argv) {
    lua_createtable(L, argc, 1);
    for (int i = 2; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 2);
    }
    lua_pushstring(L, "luajit");
    lua_rawseti(L, -2, -1);
    lua_setglobal(L, "arg");
}

static int with_traceback(lua_State *L) {
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

static void run(lua_State *L, int argc, char **argv, bool dumped) {
    int top = lua_gettop(L);
    set_arg(L, argc, argv);
    lua_pushcfunction(L, with_traceback);
    if (dumped) {
        lua_pushvalue(L, THROUGH_DUMP);
        lua_pushstring(L, argv[2]);
        if (lua_pcall(L, 1, 1, 0) != 0) fail(L);
    } else if (luaL_loadfile(L, argv[2]) != 0) {
        fail(L);
    }
    for (int i = 3; i < argc; i++) lua_pushstring(L, argv[i]);
    if (lua_pcall(L, argc - 3, 0, top + 1) != 0) {
        fflush(stdout);
        fail(L);
    }
    lua_settop(L, top);
}

static bool word(const char *way, const char *name) {
    size_t len = strlen(name);
    for (const char *w = way; w != NULL; w = strchr(w, ','), w += w != NULL) {
        if (strncmp(w, name, len) == 0 && (w[len] == ',' || w[len] == '\0')) return true;
    }
    return false;
}

static void count_now(lua_State *L, const char *way, bool on) {
    t.counting = on;
    if (word(way, "oracle")) {
        if (on) {
            (t.returns ? oracle_start_returns : oracle_start)(L, on_arrival);
        } else {
            oracle_stop(L);
        }
    }
    if (t.hooks) {
        if (on) {
            start_hooks(L);
        } else {
            stop_hooks(L);
        }
    }
}

/* Once, also where the program ends itself by os.exit(). False: a file could not be written. */
static bool finish(void) {
    const char *to = t.to;
    if (t.finished) return true;
    t.finished = true;
    if (to != NULL) return keys_write(&t.keys, to, t.counted_only);
    if (!t.hooks) return true;
    size_t hooks = 0;
    for (size_t i = 0; i < t.keys.n; i++) hooks += t.keys.list[i].id != 0 || t.random;
    fprintf(t.report, "done: %zu lines, %zu hooks, %" PRIu64 " hits, %" PRIu64 " changes, %" PRIu64 " problems\n",
            t.keys.n, hooks, t.hits, t.changes, t.problems);
    if (t.returns) fprintf(t.report, "%" PRIu64 " of the hits were tail calls\n", t.tail_calls);
    return fflush(t.report) == 0;
}

static void at_exit(void) {
    finish();
}

static void require_first(lua_State *L, const char *names) {
    static const char code[] = "for name in (...):gmatch '%S+' do require(name) end";
    if (names == NULL) return;
    if (luaL_loadbuffer(L, code, sizeof(code) - 1, "=torture") != 0) fail(L);
    lua_pushstring(L, names);
    if (lua_pcall(L, 1, 0, 0) != 0) fail(L);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *way = argv[1], *seed = getenv("TORTURE_SEED"), *report = getenv("TORTURE_REPORT");
    t.report = report != NULL ? fopen(report, "we") : stderr;
    if (t.report == NULL) return 2;
    t.gc = word(way, "gc");
    t.stress = word(way, "stress");
    t.lua = word(way, "lua");
    t.table = word(way, "table");
    t.returns = word(way, "returns");
    t.sparse = word(way, "sparse");
    t.random = word(way, "random");
    t.uncounted = word(way, "uncounted");
    t.hooks = word(way, "hooks");
    t.seed = seed != NULL ? (uint32_t)strtoul(seed, NULL, 10) : 1;
    bool second = t.second = word(way, "second"), dumped = word(way, "bytecode");
    if (t.hooks) {
        if (!keys_read(&t.keys, wanted("TORTURE_LINES")) || !keys_read(&t.expected, wanted("TORTURE_COUNTS"))) return 2;
        uint64_t total = 0;
        for (size_t i = 0; i < t.expected.n; i++) total += t.expected.list[i].count;
        t.collect_every = total / 300 > 50 ? total / 300 : 50;
        t.change_every = total / 500 > 7 ? total / 500 : 7;
    }
    t.counted_only = word(way, "oracle");
    if (t.counted_only || word(way, "lines")) t.to = wanted(t.counted_only ? "TORTURE_COUNTS" : "TORTURE_LINES");
    lua_State *L = luaL_newstate();
    if (L == NULL || atexit(at_exit) != 0) return 2;
    luaL_openlibs(L);
    load_helper(L);
    if (word(way, "lines")) call_helper(L, WATCH);
    if (dumped) call_helper(L, FROM_BYTECODE);
    if (word(way, "jit")) call_helper(L, EAGER);
    if (word(way, "nojit")) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (t.gc) set_collector(L, 100, 200);
    if (t.stress) set_collector(L, 0, 100000);
    set_arg(L, argc, argv);
    require_first(L, getenv("TORTURE_FIRST"));
    uint64_t hits = 0;
    for (int i = 1; i <= (second ? 3 : 1); i++) {
        if (i == (second ? 2 : 1)) count_now(L, way, true);
        run(L, argc, argv, dumped);
        if (i != (second ? 2 : 1)) continue;
        count_now(L, way, false);
        hits = t.hits;
    }
    lua_close(L);
    fflush(stdout);
    if (t.hits != hits) problem("%" PRIu64 " hits after the last hook was removed", t.hits - hits);
    if (t.hooks && !t.uncounted) compare(&t.expected);
    if (!finish()) return 2;
    return t.problems > 0;
}
