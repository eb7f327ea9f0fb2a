/*
 * Learning about LuaJIT (src/vm): what is learned is right, each check notices what it is there for, and what is wrong
 * is never taken for right.
 *
 * What the learner sees comes through the calls that are wrapped here (LINKER:--wrap), so that a test can make LuaJIT
 * look different from what it is. Every try runs in a process of its own: a crash is a result, too.
 */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>

#include "vm/vm_learn.h"

/* ---- A LuaJIT that looks different -------------------------------------------------------------------------------- */

enum call {
    NONE,
    READ,       /* vm_read, vm_read_some: a byte of what was read is changed */
    TOPOINTER,  /* lua_topointer: the object is a copy with a changed byte */
    TOLSTRING,  /* lua_tolstring: another string */
    SETHOOK,    /* lua_sethook: does nothing */
    LOAD,       /* luaL_loadstring: other code */
    LOADNAMED,  /* luaL_loadbuffer: another chunk name */
    GETINFO,    /* lua_getinfo: another line */
    TOCFUNC,    /* lua_tocfunction: another function */
    SETMODE,    /* luaJIT_setmode: claims success, does nothing */
    NOJITLIB,   /* luaopen_jit: makes no table */
    NOEVENTS,   /* luaopen_jit: jit.attach raises an error, as with LUAJIT_DISABLE_VMEVENT */
    OTHEREVENTS /* luaopen_jit: jit.attach does nothing */
};

static struct {
    enum call call;
    int nth;       /* at the nth of these calls, counted from 1; 0: at all */
    size_t at;     /* the byte, or word */
    uint8_t flip;  /* its bits that change */
    int calls[16]; /* so far */
} seam;

static bool now(enum call call) {
    return ++seam.calls[call] == seam.nth || seam.nth == 0 ? seam.call == call : false;
}

bool __real_vm_read(const void *from, void *to, size_t len);
bool __wrap_vm_read(const void *from, void *to, size_t len);
bool __wrap_vm_read(const void *from, void *to, size_t len) {
    bool ok = __real_vm_read(from, to, len);
    if (now(READ) && ok && seam.at < len) ((uint8_t *)to)[seam.at] ^= seam.flip;
    return ok;
}

size_t __real_vm_read_some(const void *from, void *to, size_t len);
size_t __wrap_vm_read_some(const void *from, void *to, size_t len);
size_t __wrap_vm_read_some(const void *from, void *to, size_t len) {
    size_t n = __real_vm_read_some(from, to, len);
    if (now(READ) && seam.at < n) ((uint8_t *)to)[seam.at] ^= seam.flip;
    return n;
}

const void *__real_lua_topointer(lua_State *L, int index);
const void *__wrap_lua_topointer(lua_State *L, int index);
const void *__wrap_lua_topointer(lua_State *L, int index) {
    static _Alignas(16) uint8_t copy[256];
    const void *object = __real_lua_topointer(L, index);
    if (!now(TOPOINTER) || object == NULL) return object;
    __real_vm_read_some(object, copy, sizeof copy);
    copy[seam.at % sizeof copy] ^= seam.flip;
    return copy;
}

const char *__real_lua_tolstring(lua_State *L, int index, size_t *len);
const char *__wrap_lua_tolstring(lua_State *L, int index, size_t *len);
const char *__wrap_lua_tolstring(lua_State *L, int index, size_t *len) {
    const char *s = __real_lua_tolstring(L, index, len);
    if (!now(TOLSTRING)) return s;
    lua_pushliteral(L, "another");
    s = __real_lua_tolstring(L, -1, len);
    lua_pop(L, 1);
    return s;
}

int __real_lua_sethook(lua_State *L, lua_Hook f, int mask, int count);
int __wrap_lua_sethook(lua_State *L, lua_Hook f, int mask, int count);
int __wrap_lua_sethook(lua_State *L, lua_Hook f, int mask, int count) {
    return now(SETHOOK) ? 1 : __real_lua_sethook(L, f, mask, count);
}

int __real_luaL_loadstring(lua_State *L, const char *s);
int __wrap_luaL_loadstring(lua_State *L, const char *s);
int __wrap_luaL_loadstring(lua_State *L, const char *s) {
    return __real_luaL_loadstring(L, now(LOAD) ? "local t = ... t.a.b = -t" : s);
}

int __real_luaL_loadbuffer(lua_State *L, const char *s, size_t len, const char *name);
int __wrap_luaL_loadbuffer(lua_State *L, const char *s, size_t len, const char *name);
int __wrap_luaL_loadbuffer(lua_State *L, const char *s, size_t len, const char *name) {
    return __real_luaL_loadbuffer(L, s, len, now(LOADNAMED) ? "@other.lua" : name);
}

int __real_lua_getinfo(lua_State *L, const char *what, lua_Debug *ar);
int __wrap_lua_getinfo(lua_State *L, const char *what, lua_Debug *ar);
int __wrap_lua_getinfo(lua_State *L, const char *what, lua_Debug *ar) {
    int ok = __real_lua_getinfo(L, what, ar);
    if (now(GETINFO)) ar->currentline++;
    return ok;
}

static int another(lua_State *L) {
    (void)L;
    return 0;
}

lua_CFunction __real_lua_tocfunction(lua_State *L, int index);
lua_CFunction __wrap_lua_tocfunction(lua_State *L, int index);
lua_CFunction __wrap_lua_tocfunction(lua_State *L, int index) {
    return now(TOCFUNC) ? another : __real_lua_tocfunction(L, index);
}

int __real_luaJIT_setmode(lua_State *L, int index, int mode);
int __wrap_luaJIT_setmode(lua_State *L, int index, int mode);
int __wrap_luaJIT_setmode(lua_State *L, int index, int mode) {
    return now(SETMODE) ? 1 : __real_luaJIT_setmode(L, index, mode);
}

static int raises(lua_State *L) {
    return luaL_error(L, "compiled out");
}

int __real_luaopen_jit(lua_State *L);
int __wrap_luaopen_jit(lua_State *L);
int __wrap_luaopen_jit(lua_State *L) {
    if (now(NOJITLIB)) return 0;
    bool none = now(NOEVENTS), other = now(OTHEREVENTS);
    int n = __real_luaopen_jit(L);
    if (!none && !other) return n;
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "jit");
    lua_pushcfunction(L, none ? raises : another);
    lua_setfield(L, -2, "attach");
    lua_pop(L, 2);
    return n;
}

/* The scratch VM's allocation with this number, counted from when the VM is there, fails, and so do all after it; 0:
 * none. (LuaJIT of 2022 crashes where lua_newstate() itself finds no memory.) */
static long fail_from;
static long allocations;

static void *ending_memory(void *ud, void *p, size_t old, size_t size) {
    (void)ud;
    if (size == 0) {
        free(p);
        return NULL;
    }
    if (size > old && ++allocations >= fail_from && fail_from > 0) return NULL;
    return realloc(p, size);
}

lua_State *__real_luaL_newstate(void);
lua_State *__wrap_luaL_newstate(void);
lua_State *__wrap_luaL_newstate(void) {
    long from = fail_from;
    if (from == 0) return __real_luaL_newstate();
    fail_from = 0;
    lua_State *S = lua_newstate(ending_memory, NULL);
    fail_from = from;
    allocations = 0;
    return S;
}

static void look_different(enum call call, int nth, size_t at, uint8_t flip) {
    memset(&seam, 0, sizeof seam);
    seam.call = call;
    seam.nth = nth;
    seam.at = at;
    seam.flip = flip;
}

/* ---- Tries --------------------------------------------------------------------------------------------------------- */

static vm_layout known; /* of the LuaJIT as it is */
static int known_calls[16];

enum result { SAME, WEAKER, REFUSED, LATER, WRONG, CRASHED };
static const char *const RESULTS[] = {"same", "no traces", "refused", "later", "WRONG", "CRASHED"};

/* Not to know the layout of traces is allowed: then all of them are dropped. */
static enum result compare(vm_learned learned, vm_layout *lay) {
    if (learned != VM_LEARNED) return learned == VM_LATER ? LATER : REFUSED;
    if (memcmp(lay, &known, sizeof known) == 0) return SAME;
    if (lay->has_traces) return WRONG;
    lay->has_traces = known.has_traces;
    lay->ir_kgc = known.ir_kgc;
    return memcmp(lay, &known, sizeof known) == 0 ? WEAKER : WRONG;
}

typedef struct try {
    enum result result;
    char why[200];
}
try;

/* Learn in a child, where LuaJIT looks as the seam says. */
static try learn_there(void) {
    static vm_layout lay;
    try t = {.result = CRASHED, .why = ""};
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *why = "";
        for (int number = 1; number < SIGRTMIN; number++) signal(number, SIG_DFL); /* cmocka's */
        alarm(30);
        memset(&lay, 0, sizeof lay);
        vm_learned learned = vm_learn_all(&lay, &why);
        t.result = compare(learned, &lay);
        snprintf(t.why, sizeof t.why, "%s", t.result == SAME || t.result == WEAKER ? "" : why);
        _exit(write(ends[1], &t, sizeof t) == sizeof t ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], &t, sizeof t) != sizeof t) t = (try){.result = CRASHED};
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) t.result = CRASHED;
    return t;
}

static void expect_refusal(const char *why) {
    try t = learn_there();
    if (t.result != REFUSED || strstr(t.why, why) == NULL) {
        fail_msg("expected a refusal \"%s\", got: %s \"%s\"", why, RESULTS[t.result], t.why);
    }
}

static int setup(void **state) {
    const char *why = "";
    (void)state;
    look_different(NONE, 0, 0, 0);
    if (vm_learn_all(&known, &why) != VM_LEARNED) {
        fprintf(stderr, "this LuaJIT is not understood: %s\n", why);
        return -1;
    }
    memcpy(known_calls, seam.calls, sizeof known_calls);
    return 0;
}

/* ---- What is learned is right --------------------------------------------------------------------------------------- */

static void learning_twice_gives_the_same(void **state) {
    (void)state;
    look_different(NONE, 0, 0, 0);
    assert_int_equal(learn_there().result, SAME);
}

/* jit.vmdef is generated with LuaJIT itself: the names of its opcodes, six characters each. */
static void opcodes_have_the_numbers_that_jit_vmdef_gives_them(void **state) {
    static const char *const names[] = {"?",
#define X(name) #name,
                                        VM_OPS(X)
#undef X
    };
    (void)state;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, "local v = require 'jit.vmdef' return v.bcnames, v.irnames") != 0) {
        print_message("no module jit.vmdef here: %s\n", lua_tostring(L, -1));
        lua_close(L);
        skip();
    }
    size_t len, ir_len;
    const char *ops = lua_tolstring(L, -2, &len), *ir = lua_tolstring(L, -1, &ir_len);
    assert_true(len / 6 >= known.static_len + VM_FUNC_SLOTS);
    for (unsigned i = 0; i < known.static_len + VM_FUNC_SLOTS; i++) {
        char name[7] = {0};
        sscanf(ops + 6 * i, "%6[^ ]", name);
        assert_string_equal(names[known.name[i]], name);
        assert_true(known.has[known.name[i]]);
        assert_int_equal(known.number[known.name[i]], i);
    }
    if (known.has_traces) {
        assert_true(6 * (known.ir_kgc + 1u) <= ir_len);
        assert_memory_equal(ir + 6 * known.ir_kgc, "KGC   ", 6);
    }
    lua_close(L);
}

static void the_jit_is_there_if_the_library_says_so(void **state) {
    (void)state;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_dostring(L, "return pcall(jit.on)"), 0);
    assert_int_equal(known.has_jit, lua_toboolean(L, 1));
    assert_int_equal(known.has_traces, known.has_jit);
    lua_close(L);
}

/* ---- Each check notices what it is there for ------------------------------------------------------------------------ */

/* The number of the read that `address` or what lies at it is the first to want, and its offset there. */
enum { READ_SELF = 1, READ_STATE, READ_FRAME, READ_NUMBER, READ_FUNCTION, READ_PROTO, READ_NAME, READ_LINES, READ_G1 };
enum { READ_G3 = READ_G1 + 2, READ_OFF, READ_ON, READ_INSHOOK, READ_MODE, READ_FUNCC };

static void a_state_of_another_layout_is_refused(void **state) {
    static const size_t fields[] = {VM_GC_TYPE, VM_L_BASE + 1, VM_L_TOP + 1, VM_L_STACK + 6, VM_L_CFRAME + 1};
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        look_different(READ, READ_STATE, fields[i], 0x40);
        expect_refusal("lua_State has another layout");
    }
    look_different(READ, READ_FRAME, 8 * VM_CFRAME_L, 0x10);
    expect_refusal("lua_State has another layout");
    look_different(READ, READ_NUMBER, 7, 0x10);
    expect_refusal("lua_State has another layout");
}

static void objects_of_another_layout_are_refused(void **state) {
    (void)state;
    look_different(TOLSTRING, 1, 0, 0);
    expect_refusal("values or strings have another layout");
    look_different(READ, READ_FUNCTION, VM_FUNC_PC + 5, 0x40); /* a pointer to nowhere */
    expect_refusal("functions have another layout");
    look_different(READ, READ_FUNCTION, VM_FUNC_PC, 0x04);
    expect_refusal("functions have another layout");
    static const size_t proto[] = {VM_GC_TYPE,          VM_PT_FRAMESIZE,    VM_PT_SIZEBC + 1,
                                   VM_PT_CHUNKNAME + 5, VM_PT_LINEINFO + 5, VM_PT_SIZE + 1};
    for (size_t i = 0; i < sizeof proto / sizeof proto[0]; i++) {
        look_different(READ, READ_PROTO, proto[i], 0x40);
        expect_refusal("functions have another layout");
    }
    look_different(READ, READ_NAME, VM_GC_TYPE, 0x01);
    expect_refusal("functions have another layout");
    /* lua_topointer: thread; thread; function; the table; its metatable */
    look_different(TOPOINTER, 4, VM_TAB_METATABLE, 0x10);
    expect_refusal("tables have another layout");
    look_different(READ, READ_G3, (size_t)known.g_gcroot, 0x10);
    expect_refusal("the list of objects was not found");
}

static void another_dispatch_table_is_refused(void **state) {
    size_t dispatch = (size_t)known.g_dispatch, middle = dispatch + 8 * (known.static_len / 2);
    (void)state;
    look_different(READ, READ_ON, middle, 0x10);
    expect_refusal("the dispatch table was not found");
    look_different(READ, READ_OFF, middle, 0x10);
    expect_refusal("the two halves of the dispatch table differ");
    look_different(READ, READ_OFF, middle + 8 * known.static_at, 0x10);
    expect_refusal("the two halves of the dispatch table differ");
    look_different(READ, READ_MODE, dispatch + 8 * (known.static_len + 9), 0x10);
    expect_refusal("the dispatch mode was not found");
    look_different(SETHOOK, 6, 0, 0);
    expect_refusal("the dispatch mode was not found");
}

/* The machine code patterns byte by byte: what is not a jump's or call's target must be as it is. */
#if defined(__aarch64__)
/* Read from two instructions before the hook on; without a landing pad. Of 22 instructions the target of one call may be
 * any, 26 bits, of which each byte's fourth is changed in three. */
enum { HOOK_BYTES = 88, HOOK_LEAST = HOOK_BYTES - 3, HOOK_MOST = HOOK_BYTES - 3 };
/* Of 15 instructions the target of a jump may be any. */
enum { CALL_BYTES = 64, CALL_MATTERS = 60 - 2 };
#else
/* 81 bytes, of which 4 jumps' and one call's targets may be any; without endbr64 in front */
enum { HOOK_BYTES = 80, HOOK_LEAST = 65, HOOK_MOST = 80 };
enum { CALL_BYTES = 160, CALL_MATTERS = 22 }; /* mov 4, mov 7, mov 11 */
#endif

static void every_byte_of_the_instruction_hook_that_matters_is_checked(void **state) {
    int noticed = 0;
    (void)state;
    for (size_t at = 0; at < HOOK_BYTES; at++) {
        look_different(READ, READ_INSHOOK, at, 0x08);
        try t = learn_there();
        noticed += t.result == REFUSED;
        if (t.result != REFUSED && t.result != SAME) fail_msg("byte %zu: %s %s", at, RESULTS[t.result], t.why);
    }
    assert_in_range(noticed, HOOK_LEAST, HOOK_MOST);
    look_different(READ, READ_INSHOOK, 2, 0x08);
    expect_refusal("the instruction hook's code is not the one we know");
#if defined(__x86_64__)
    uint8_t code[4];
    assert_true(vm_read((const void *)known.inshook, code, sizeof code));
    bool endbr = code[0] == 0xf3;
    look_different(READ, READ_INSHOOK, endbr ? 23 : 19, 0x04); /* the next word, what the counter starts with */
    expect_refusal("the counter of instructions was not found");
#endif
}

static void every_byte_of_the_c_call_that_matters_is_checked(void **state) {
    int noticed = 0;
    (void)state;
    for (size_t at = 0; at < CALL_BYTES; at++) {
        look_different(READ, READ_FUNCC, at, 0x08);
        try t = learn_there();
        noticed += t.result == REFUSED;
        if (t.result != REFUSED && t.result != SAME) fail_msg("byte %zu: %s %s", at, RESULTS[t.result], t.why);
    }
    assert_int_equal(noticed, CALL_MATTERS);
    look_different(NONE, 0, 0, 0);
}

static void code_that_is_compiled_otherwise_is_refused(void **state) {
    (void)state;
    /* The first chunk is that of the layout of functions. */
    for (int i = 2; i <= 27; i++) {
        look_different(LOAD, i, 0, 0);
        expect_refusal("the compiler does not emit the instructions we know");
    }
}

static void other_prototypes_are_refused(void **state) {
    (void)state;
    look_different(LOADNAMED, 1, 0, 0);
    expect_refusal("prototypes have another layout");
    for (int i = 1; i < 10; i++) {
        look_different(GETINFO, i, 0, 0);
        expect_refusal("the saved PC is not where we look for it");
    }
}

static void other_libraries_are_refused(void **state) {
    (void)state;
    look_different(TOCFUNC, 1, 0, 0);
    expect_refusal("the string library is not the one we know");
    look_different(NOJITLIB, 0, 0, 0);
    expect_refusal("the jit library was not found");
    look_different(NOEVENTS, 0, 0, 0);
    expect_refusal("new functions are not announced");
    look_different(OTHEREVENTS, 0, 0, 0);
    expect_refusal("the handlers of the compiler's events were not found");
}

static void other_marks_of_the_jit_are_refused(void **state) {
    (void)state;
    if (!known.has_jit) skip();
    look_different(SETMODE, 2, 0, 0); /* the first one is for the whole VM */
    expect_refusal("the JIT's marks on functions were not found");
}

/* What one step finds is changed before the next. */
static int steps_with_other_opcodes(lua_State *S) {
    const char *why = "";
    static vm_layout lay;
    memset(&lay, 0, sizeof lay);
    lua_settop(S, 0);
    assert_true(vm_learn_state(S, &lay, &why));
    assert_true(vm_learn_dispatch(S, &lay, &why));
    lay.static_len++;
    assert_false(vm_learn_ops(S, &lay, &why));
    assert_string_equal(why, "the opcodes are not in the order we know");
    lua_settop(S, 0);
    static const vm_op twins[] = {VM_IFORL, VM_IITERL, VM_ILOOP};
    for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++) {
        lay = known;
        lay.handler[known.number[twins[i]]]++;
        assert_false(vm_learn_jit(S, &lay, &why));
        assert_string_equal(why, "without the JIT the loops do not run as their non-counting twins");
        lua_settop(S, 0);
    }
    return 0;
}

static void other_orders_of_opcodes_are_refused(void **state) {
    (void)state;
    look_different(NONE, 0, 0, 0);
    lua_State *S = luaL_newstate();
    assert_int_equal(lua_cpcall(S, steps_with_other_opcodes, NULL), 0);
    lua_close(S);
}

/* ---- What is wrong is never taken for right ------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;
static size_t below(size_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

/* Any byte of what the learner reads, any bit: it refuses, or has not looked at it. LJINSPECT_VM_TRIES: how many. */
static void whatever_is_changed_is_refused_or_does_not_matter(void **state) {
    const char *tries = getenv("LJINSPECT_VM_TRIES");
    long n = tries != NULL ? strtol(tries, NULL, 10) : 400;
    long results[CRASHED + 1] = {0};
    (void)state;
    for (long i = 0; i < n; i++) {
        enum call call = READ;
        int nth = 1 + (int)below((size_t)known_calls[READ]);
        size_t room = nth == READ_OFF || nth == READ_ON || nth == READ_MODE ? 6144 : nth == READ_FUNCC ? 160 : 104;
        size_t at = below(room);
        look_different(call, nth, at, (uint8_t)(1u << below(8)));
        try t = learn_there();
        results[t.result]++;
        if (t.result == WRONG || t.result == CRASHED) {
            print_message("read %d, byte %zu, bits %#x: %s %s\n", nth, at, seam.flip, RESULTS[t.result], t.why);
        }
    }
    print_message("%ld tries: %ld refused, %ld did not matter\n", n, results[REFUSED], results[SAME]);
    assert_int_equal(results[WRONG] + results[CRASHED], 0);
    assert_true(results[REFUSED] > 0);
}

/* The first allocation that fails is one after the other of the first ones, then each tenth. */
static void without_memory_it_is_tried_again_later(void **state) {
    long results[CRASHED + 1] = {0};
    (void)state;
    look_different(NONE, 0, 0, 0);
    for (fail_from = 1; results[SAME] == 0 && fail_from < 5000; fail_from += fail_from < 40 ? 1 : 10) {
        try t = learn_there();
        results[t.result]++;
        if (t.result == REFUSED || t.result == WRONG || t.result == CRASHED) {
            print_message("without allocation %ld: %s %s\n", fail_from, RESULTS[t.result], t.why);
        }
    }
    fail_from = 0;
    assert_int_equal(results[REFUSED] + results[WRONG] + results[CRASHED], 0);
    assert_int_equal(results[SAME], 1);
    assert_true(results[LATER] > 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_twice_gives_the_same),
        cmocka_unit_test(opcodes_have_the_numbers_that_jit_vmdef_gives_them),
        cmocka_unit_test(the_jit_is_there_if_the_library_says_so),
        cmocka_unit_test(a_state_of_another_layout_is_refused),
        cmocka_unit_test(objects_of_another_layout_are_refused),
        cmocka_unit_test(another_dispatch_table_is_refused),
        cmocka_unit_test(every_byte_of_the_instruction_hook_that_matters_is_checked),
        cmocka_unit_test(every_byte_of_the_c_call_that_matters_is_checked),
        cmocka_unit_test(code_that_is_compiled_otherwise_is_refused),
        cmocka_unit_test(other_prototypes_are_refused),
        cmocka_unit_test(other_libraries_are_refused),
        cmocka_unit_test(other_marks_of_the_jit_are_refused),
        cmocka_unit_test(other_orders_of_opcodes_are_refused),
        cmocka_unit_test(without_memory_it_is_tried_again_later),
        cmocka_unit_test(whatever_is_changed_is_refused_or_does_not_matter),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
