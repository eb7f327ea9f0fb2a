/*
 * Runs a Lua program once, in one of several ways, for comparison (tests/trap/run.sh):
 *   plain     as it is
 *   oracle    JIT off, an instruction hook counts the arrivals at each line of the program's functions
 *   trap      a hook of the trap engine on every line of every function counts the hits
 * Options after the mode, with commas: gc (the collector at its most aggressive, a full cycle at every 50th hit), lua
 * (each hit calls Lua code that reads the frame), bound (which may be interrupted meanwhile), random (hooks go and come at random), nojit.
 * The program writes to standard output; the counts go to the file named by the third argument; more arguments are the
 * program's.
 */
#include <lauxlib.h>
#include <ljinspect.h>
#include <luajit.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "vm/vm.h"

enum { MAX_LINES = 20000, MAX_FILES = 8 };

static struct {
    char source[MAX_FILES][1024]; /* chunk names */
    int files;
    uint64_t hits[MAX_FILES][MAX_LINES];
    bool has_code[MAX_FILES][MAX_LINES], armed[MAX_FILES][MAX_LINES];
    int code_lines[MAX_FILES][MAX_LINES], n_code_lines[MAX_FILES];
    uint64_t total, wrong_line;
    bool gc, use_lua, bound, random;
    uint64_t ticks;
    unsigned seed;
    engine *engine;
    int reader; /* registry reference of the Lua filter */
} t;

static unsigned next_random(void) {
    t.seed = t.seed * 1664525u + 1013904223u;
    return t.seed >> 8;
}

static void test_log(void *owner, lua_State *L, int level, const char *format, ...) {
    va_list args;
    (void)owner;
    (void)L;
    fprintf(stderr, "harness log %d: ", level);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static int file_of(const char *source, size_t len) {
    for (int f = 0; f < t.files; f++) {
        if (len == strlen(t.source[f]) && memcmp(source, t.source[f], len) == 0) return f;
    }
    return -1;
}

static void set_line(lua_State *L, int f, int line, bool on) {
    const char *source = t.source[f];
    if (t.armed[f][line] == on) return;
    if (on) {
        int rc = t.engine->class->arm(t.engine, L, source, strlen(source), line, 0);
        if (rc == LJINSPECT_ERR_BUSY) return;
        if (rc != 0) {
            fprintf(stderr, "arm %d: %d\n", line, rc);
            exit(3);
        }
    } else {
        t.engine->class->disarm(t.engine, L, source, strlen(source), line);
    }
    t.armed[f][line] = on;
}

static void tick(lua_State *L, lua_Debug *ar) {
    (void)ar;
    t.ticks++;
    if (t.ticks % 64 == 0) luaL_error(L, "interrupted");
}

static void read_frame(lua_State *L) {
    bool bound = t.bound && t.engine->class->bound(t.engine, L, tick, 20);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t.reader);
    if (lua_pcall(L, 0, 0, 0) != 0) {
        if (!bound) fprintf(stderr, "reader: %s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    if (bound) t.engine->class->unbound(t.engine, L, tick);
}

static int test_hit(void *owner, lua_State *L, const char *source, size_t len, int line) {
    lua_Debug ar;
    (void)owner;
    int f = file_of(source, len);
    if (f < 0) return 0;
    t.hits[f][line]++;
    t.total++;
    int top = lua_gettop(L);
    if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "nSlf", &ar) || ar.currentline != line) t.wrong_line++;
    lua_settop(L, top);
    if (t.use_lua && t.total % 3 == 0) read_frame(L);
    if (t.gc && t.total % 50 == 0) lua_gc(L, LUA_GCCOLLECT, 0);
    if (t.random && t.total % 7 == 0) {
        for (int i = 0; i < 6; i++) {
            int l = t.code_lines[f][next_random() % (unsigned)t.n_code_lines[f]];
            set_line(L, f, l, next_random() % 10 < 7);
        }
        set_line(L, f, line, next_random() % 8 != 0);
        t.engine->class->maintain(t.engine, L);
    }
    return 1;
}

static void test_safepoint(void *owner, lua_State *L) {
    (void)owner;
    (void)L;
}

static bool test_waiting(void *owner) {
    (void)owner;
    return false;
}

static bool note_lines(void *object, void *arg) {
    const vm_proto *pt = object;
    size_t len;
    (void)arg;
    const char *source = vm_proto_source(pt, &len);
    int f = file_of(source, len);
    for (uint32_t i = 1; f >= 0 && i < vm_proto_size(pt); i++) t.has_code[f][vm_proto_line(pt, i)] = true;
    return true;
}

/* ---- The oracle -------------------------------------------------------------------------------------------------- */

enum { FRAMES = 65536 };
static struct frame {
    lua_State *L;
    ptrdiff_t base;
    const vm_proto *pt;
    uint32_t index;
} frames[FRAMES];
static lua_State *fresh; /* a call just began here */
static const vm_layout *lay;

static struct frame *frame_of(lua_State *L, ptrdiff_t base) {
    size_t i = ((uintptr_t)L >> 4) * 131 + (size_t)(base >> 3);
    for (i %= FRAMES; frames[i].L != NULL && (frames[i].L != L || frames[i].base != base); i = (i + 1) % FRAMES) {
    }
    frames[i].L = L;
    frames[i].base = base;
    return &frames[i];
}

static void oracle_hook(lua_State *L, lua_Debug *ar) {
    const char *base = vm_base(L);
    uint64_t func;
    memcpy(&func, base - 16, 8);
    const vm_proto *pt = vm_func_proto(lay, (void *)(uintptr_t)(func & ((UINT64_C(1) << 47) - 1)));
    if (pt == NULL) return;
    if (ar->event != LUA_HOOKCOUNT) {
        fresh = L;
        return;
    }
    uint32_t index = (uint32_t)((vm_cframe(L)[VM_CFRAME_PC] - (uintptr_t)vm_proto_code(pt)) / 4) - 1;
    struct frame *f = frame_of(L, base - (char *)vm_ptr(L, VM_L_STACK));
    int line = vm_proto_line(pt, index);
    size_t len;
    bool arrival =
        (fresh == L && index == 1) || f->pt != pt || vm_proto_line(pt, f->index) != line || index <= f->index;
    if (fresh == L) fresh = NULL;
    f->pt = pt;
    f->index = index;
    const char *source = vm_proto_source(pt, &len);
    int file = arrival ? file_of(source, len) : -1;
    if (file >= 0) {
        t.hits[file][line]++;
        t.total++;
    }
}

/* --------------------------------------------------------------------------------------------------------------------
 * */

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *mode = argv[1], *script = argv[2], *counts = argv[3], *why;
    lua_State *L = luaL_newstate();
    vm v;
    t.seed = getenv("HARNESS_SEED") != NULL ? (unsigned)atoi(getenv("HARNESS_SEED")) : 12345;
    t.gc = strstr(mode, "gc") != NULL;
    t.use_lua = strstr(mode, "lua") != NULL;
    t.bound = strstr(mode, "bound") != NULL;
    t.random = strstr(mode, "random") != NULL;
    bool oracle = strncmp(mode, "oracle", 6) == 0, trap = strncmp(mode, "trap", 4) == 0;
    luaL_openlibs(L);
    lua_pushlstring(L, "harness", 7);
    lua_setglobal(L, "HARNESS");
    if (!vm_attach(&v, L, &why)) {
        fprintf(stderr, "refused: %s\n", why);
        return 77;
    }
    lay = v.lay;
    if (luaL_dostring(
            L, "local debug, pairs, type = debug, pairs, type\n"
               "return function() local info = debug.getinfo(2, 'nSluf') local n = 0\n"
               "for i = 1, 250 do local k, x = debug.getlocal(2, i) if not k then break end n = n + #k .. '' end\n"
               "for i = 1, 250 do local k, x = debug.getupvalue(info.func, i) if not k then break end n = n + 1 end\n"
               "return debug.traceback('x', 2), {n} end") != 0) {
        return 2;
    }
    t.reader = luaL_ref(L, LUA_REGISTRYINDEX);
    /* HARNESS_FILES: more files to hook, as the program will name them, with colons; they are not loaded yet. */
    snprintf(t.source[t.files++], sizeof(t.source[0]), "@%s", script);
    char *more = getenv("HARNESS_FILES") != NULL ? strdup(getenv("HARNESS_FILES")) : NULL;
    for (char *f = more != NULL ? strtok(more, ":") : NULL; f != NULL && t.files < MAX_FILES; f = strtok(NULL, ":")) {
        snprintf(t.source[t.files++], sizeof(t.source[0]), "@%s", f);
    }
    free(more);
    for (int f = t.files - 1; f >= 0; f--) {
        if (luaL_loadfile(L, t.source[f] + 1) != 0) {
            fprintf(stderr, "%s\n", lua_tostring(L, -1));
            return 2;
        }
        uint8_t white = vm_gc_white(L);
        lua_pop(L, 1);
        vm_walk(&v, white, VM_TYPE_PROTO, NULL, note_lines, NULL);
        if (f > 0) lua_pop(L, 1);
    }
    for (int f = 0; f < t.files; f++) {
        for (int i = 0; i < MAX_LINES; i++) {
            if (t.has_code[f][i]) t.code_lines[f][t.n_code_lines[f]++] = i;
        }
    }
    /* arg, as the luajit program sets it */
    lua_newtable(L);
    for (int i = 2; i < argc; i++) {
        if (i == 3) continue;
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i == 2 ? 0 : i - 3);
    }
    lua_setglobal(L, "arg");
    hook_table *table = NULL;
    engine_host host = {.table = &table,
                        .anchor = L,
                        .hit = test_hit,
                        .safepoint = test_safepoint,
                        .change_waiting = test_waiting,
                        .log = test_log};
    if (oracle || strstr(mode, "nojit") != NULL) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (trap) {
        t.engine = engine_trap.open(L, &host);
        if (t.engine == NULL) return 77;
        for (int f = 0; f < t.files; f++) {
            for (int i = 0; i < MAX_LINES; i++) {
                if (t.has_code[f][i]) set_line(L, f, i, true);
            }
        }
    }
    if (t.gc) {
        lua_gc(L, LUA_GCSETPAUSE, 0);
        lua_gc(L, LUA_GCSETSTEPMUL, 100000);
    }
    if (oracle) lua_sethook(L, oracle_hook, LUA_MASKCOUNT | LUA_MASKCALL, 1);
    for (int i = 4; i < argc; i++) lua_pushstring(L, argv[i]);
    int status = lua_pcall(L, argc - 4, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    if (status != 0) printf("error: %s\n", lua_tostring(L, -1));
    fflush(stdout);
    if (trap) {
        for (int f = 0; f < t.files; f++) {
            for (int i = 0; i < MAX_LINES; i++) set_line(L, f, i, false);
        }
        t.engine->class->close(t.engine, L, false);
    }
    FILE *out = fopen(counts, "w");
    if (out == NULL) return 2;
    for (int f = 0; f < t.files; f++) {
        for (int i = 0; i < MAX_LINES; i++) {
            if (t.hits[f][i] > 0) fprintf(out, "%d:%d %llu\n", f, i, (unsigned long long)t.hits[f][i]);
        }
    }
    fclose(out);
    if (t.bound && t.total >= 100 && t.ticks == 0) printf("never interrupted\n");
    if (t.wrong_line > 0) printf("wrong line at %llu hits\n", (unsigned long long)t.wrong_line);
    lua_close(L);
    return 0;
}
