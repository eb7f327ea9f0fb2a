/*
 * Opening the trap engine (src/vm, vm_attach): the program's VM is recognised whatever state it is in and left as it
 * was, another LuaJIT's VM is refused, and a hostile environment costs the trap engine, never the process.
 *
 * What is learned is kept for the process, so what must be seen at the first time runs in a child.
 */
#include "emulator.h"
#include "support.h"

#include <dlfcn.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vm/vm_learn.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* ---- Children ------------------------------------------------------------------------------------------------------ */

/* Run `body` in a child; a failed assertion there, a signal or an exit fails the test. */
static void in_child(void (*body)(void)) {
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (int number = 1; number < SIGRTMIN; number++) signal(number, SIG_DFL); /* cmocka's */
        alarm(60);
        body();
        fflush(NULL);
        _exit(23);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 23) fail_msg("the child ended with status %#x", status);
}

/* In a child cmocka's assertions would return into the parent's tests. */
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: child: not true: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                                        \
        }                                                                                    \
    } while (0)

/* ---- Reading what may not be there ----------------------------------------------------------------------------------- */

static void memory_is_read_up_to_where_it_ends(void **state) {
    enum { PAGE = 4096 };
    static char copy[3 * PAGE];
    (void)state;
    char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    memset(pages, 'x', 3 * PAGE);
    assert_int_equal(munmap(pages + 2 * PAGE, PAGE), 0);
    int before = dup(0);
    assert_int_equal(vm_read_some(pages + 10, copy, 3 * PAGE - 10), 2 * PAGE - 10);
    assert_memory_equal(copy, pages + 10, 2 * PAGE - 10);
    assert_false(vm_read(pages + 2 * PAGE - 4, copy, 8));
    assert_true(vm_read(pages + 2 * PAGE - 8, copy, 8));
    assert_int_equal(vm_read_some(pages + 2 * PAGE, copy, 1), 0);
    assert_int_equal(vm_read_some(NULL, copy, 1), 0);
    assert_int_equal(mprotect(pages, PAGE, PROT_NONE), 0);
    assert_false(vm_read(pages, copy, 1));
    munmap(pages, 2 * PAGE);
    int after = dup(0);
    assert_int_equal(after, before + 1); /* no descriptors are left open */
    close(before);
    close(after);
}

/* A sanitizer in the host must not take a look past an object for a mistake of the host's. */
static void memory_that_a_sanitizer_guards_is_read(void **state) {
    char copy[64];
    (void)state;
    char *block = malloc(32);
    assert_non_null(block);
    assert_true(vm_read(block, copy, sizeof copy));
    free(block);
}

/* ---- The first time ------------------------------------------------------------------------------------------------- */

enum { THREADS = 16 };
static pthread_barrier_t together;

static void *learn_in_thread(void *arg) {
    const char *why;
    vm v;
    (void)arg;
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    pthread_barrier_wait(&together);
    CHECK(vm_attach(&v, L, &why));
    lua_close(L);
    return (void *)(uintptr_t)v.lay;
}

static void threads_learn_at_once(void) {
    pthread_t threads[THREADS];
    void *first = NULL, *lay;
    CHECK(pthread_barrier_init(&together, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, learn_in_thread, NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], &lay) == 0);
        if (first == NULL) first = lay;
        CHECK(lay != NULL && lay == first);
    }
}

static void sixteen_threads_may_learn_at_once(void **state) {
    (void)state;
    in_child(threads_learn_at_once);
}

/* What learning looks at passes through a pipe: there a thread can be stopped in the midst of it. */
static atomic_int pipes;
static _Thread_local int stop_at_pipe;
static sem_t stopped, go_on;

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags) {
    atomic_fetch_add(&pipes, 1);
    if (stop_at_pipe > 0 && --stop_at_pipe == 0) {
        CHECK(sem_post(&stopped) == 0);
        while (sem_wait(&go_on) != 0) CHECK(errno == EINTR);
    }
    return __real_pipe2(ends, flags);
}

static int stop_at; /* of the next child */

static void *learn_with_a_stop(void *arg) {
    const char *why = "";
    (void)arg;
    stop_at_pipe = stop_at;
    CHECK(vm_learn(&why) != NULL && stop_at_pipe == 0);
    return NULL;
}

static void fork_while_another_thread_learns(void) {
    pthread_t thread;
    const char *why = "";
    int status;
    CHECK(sem_init(&stopped, 0, 0) == 0 && sem_init(&go_on, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, learn_with_a_stop, NULL) == 0);
    while (sem_wait(&stopped) != 0) CHECK(errno == EINTR);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(20);
        CHECK(vm_learn(&why) != NULL);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) fprintf(stderr, "child: at place %d its child ended with status %#x\n", stop_at, (unsigned)status);
    CHECK(status == 0);
    CHECK(sem_post(&go_on) == 0 && pthread_join(thread, NULL) == 0);
}

/* At places of ours, not at random moments: LuaJIT itself takes a lock now and then, see tests/builds/README.md. */
static void a_fork_while_another_thread_learns_does_no_harm(void **state) {
    static vm_layout lay;
    const char *why = "";
    (void)state;
#ifdef SANITIZED
    print_message("sanitizers do not allow new threads' memory after fork\n");
    skip();
#endif
    if (getenv("LJINSPECT_VALGRIND") != NULL) {
        print_message("a thread's memory is lost in a child that it is not in: valgrind says so\n");
        skip();
    }
    pipes = 0;
    if (vm_learn_all(&lay, &why) != VM_LEARNED) fail_msg("%s", why);
    int all = pipes;
    assert_true(all >= 10);
    for (stop_at = 1; stop_at <= all; stop_at++) in_child(fork_while_another_thread_learns);
}

/* ---- Environments that forbid things --------------------------------------------------------------------------------- */

static void no_descriptors_now(void) {
    struct rlimit limit;
    const char *why = "";
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(vm_learn(&why) == NULL);
    CHECK(strstr(why, "no file descriptors left") != NULL);
    limit.rlim_cur = before;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(vm_learn(&why) != NULL);
}

static void without_file_descriptors_it_is_tried_again_later(void **state) {
    (void)state;
    in_child(no_descriptors_now);
}

static int mprotect_lies; /* so often: LuaJIT itself may be in this executable */
int __real_mprotect(void *at, size_t len, int rights);
int __wrap_mprotect(void *at, size_t len, int rights);
int __wrap_mprotect(void *at, size_t len, int rights) {
    return mprotect_lies > 0 && mprotect_lies-- > 0 ? 0 : __real_mprotect(at, len, rights);
}

#ifndef SANITIZED
static rlim_t address_space(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void limit_memory(rlim_t bytes) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* All that malloc() has left, where LuaJIT uses that; a list of blocks. */
static void *take_what_is_left(void) {
    void **list = NULL, **block;
    for (size_t size = 1 << 16; size >= sizeof *block; size /= 2) {
        while ((block = malloc(size)) != NULL) {
            *block = list;
            list = block;
        }
    }
    return list;
}

static vm_learned learn_with(rlim_t extra, rlim_t no_limit) {
    static vm_layout lay;
    const char *why = "";
    rlim_t now = address_space();
    limit_memory(now);
    void *blocks = take_what_is_left();
    limit_memory(now + extra);
    memset(&lay, 0, sizeof lay);
    vm_learned learned = vm_learn_all(&lay, &why);
    if (learned == VM_UNKNOWN) fprintf(stderr, "child: with %lu more bytes: %s\n", (unsigned long)extra, why);
    if (extra == 0) CHECK(vm_learn(&why) == NULL);
    limit_memory(no_limit);
    while (blocks != NULL) {
        void *next = *(void **)blocks;
        free(blocks);
        blocks = next;
    }
    CHECK(learned != VM_UNKNOWN);
    return learned;
}

static void little_memory(void) {
    struct rlimit limit;
    const char *why = "";
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(learn_with(0, limit.rlim_cur) == VM_LATER);
    CHECK(vm_learn(&why) != NULL);
    vm_learned learned = VM_LATER;
    for (rlim_t extra = 16384; extra <= 1 << 20; extra += 16384) learned = learn_with(extra, limit.rlim_cur);
    CHECK(learned == VM_LEARNED);
}

static void without_memory_it_is_tried_again_later(void **state) {
    (void)state;
    if (emulator_spoils("short memory: RLIMIT_AS does not limit what it runs")) skip();
    if (getenv("LJINSPECT_VALGRIND") != NULL) {
        print_message("valgrind needs more memory than there is to be\n");
        skip();
    }
    in_child(little_memory);
}
#endif

#if defined(__x86_64__) && !defined(SANITIZED)
/* The system call `number` fails with `error`, or ends the process if that is 0; if `flags` are given only where its
 * third argument has them. */
static void forbid(unsigned number, unsigned error, unsigned flags) {
    unsigned deny = error != 0 ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_KILL_PROCESS;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, flags),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, deny),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        fprintf(stderr, "child: no system call filters here: %s\n", strerror(errno));
        _exit(24);
    }
}

static void reading_processes_forbidden(void) {
    const char *why = "";
    forbid(SYS_process_vm_readv, 0, 0);
    forbid(SYS_ptrace, 0, 0);
    CHECK(vm_learn(&why) != NULL);
}

static void pipes_forbidden(void) {
    const char *why = "";
    forbid(SYS_pipe2, EPERM, 0);
    CHECK(vm_learn(&why) == NULL);
    CHECK(strstr(why, "may not look at its own memory") != NULL);
}

/* As with PR_SET_MDWE, or SELinux without execmem: memory that was writable never becomes executable. */
static void machine_code_forbidden(void) {
    const char *why = "";
    forbid(SYS_mprotect, EACCES, PROT_EXEC);
    const vm_layout *lay = vm_learn(&why);
    if (lay == NULL) fprintf(stderr, "child: %s\n", why);
    CHECK(lay != NULL);
    CHECK(!lay->has_traces);
}

/* Should the kernel refuse LuaJIT what it has just given us, LuaJIT would end the process. */
static void machine_code_forbidden_unexpectedly(void) {
    const char *why = "";
    forbid(SYS_mprotect, EACCES, PROT_EXEC);
    mprotect_lies = 2; /* may_compile() */
    const vm_layout *lay = vm_learn(&why);
    CHECK(lay == NULL || !lay->has_jit);
    if (lay == NULL) CHECK(strcmp(why, "the scratch VM panicked") == 0);
}

static void random_numbers_forbidden(void) {
    const char *why = "";
    forbid(SYS_getrandom, EPERM, 0);
    forbid(SYS_open, EPERM, 0);
    forbid(SYS_openat, EPERM, 0);
    const vm_layout *lay = vm_learn(&why); /* newer ones make no VM then */
    CHECK(lay != NULL || strcmp(why, "no scratch VM can be made") == 0);
}

static void a_system_call_filter_costs_the_engine_not_the_process(void **state) {
    (void)state;
    in_child(reading_processes_forbidden);
    in_child(pipes_forbidden);
    if (getenv("LJINSPECT_LUAJIT_ASSERTS") != NULL) {
        print_message("LuaJIT asserts that it gets random numbers: not tried without\n");
    } else {
        in_child(random_numbers_forbidden);
    }
}

static void where_machine_code_is_forbidden_nothing_is_compiled(void **state) {
    (void)state;
    in_child(machine_code_forbidden);
    in_child(machine_code_forbidden_unexpectedly);
}
#endif

/* ---- VMs of the program ----------------------------------------------------------------------------------------------- */

static void attaches(lua_State *L) {
    const char *why = "";
    vm v;
    if (!vm_attach(&v, L, &why)) fail_msg("refused: %s", why);
}

static void *own_allocator(void *ud, void *p, size_t old, size_t size) {
    (void)ud, (void)old;
    if (size != 0) return realloc(p, size);
    free(p);
    return NULL;
}

static void a_vm_with_an_allocator_of_its_own_is_recognised(void **state) {
    (void)state;
    lua_State *L = lua_newstate(own_allocator, NULL);
    assert_non_null(L);
    attaches(L);
    lua_close(L);
}

static void any_hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    attaches(L);
}

static int attach_here(lua_State *L) {
    attaches(L);
    return 0;
}

static void a_vm_in_any_state_is_recognised(void **state) {
    static const int masks[] = {LUA_MASKCALL, LUA_MASKRET, LUA_MASKLINE, LUA_MASKCOUNT, 0x0f};
    (void)state;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    attaches(L);
    lua_register(L, "attach_here", attach_here);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        lua_sethook(L, any_hook, masks[i], 1);
        attaches(L);
        run(L, "local t = {} for i = 1, 20 do t[i] = tostring(i) end attach_here()");
    }
    lua_sethook(L, NULL, 0, 0);
    run(L, "coroutine.wrap(attach_here)()");
    run(L, "coroutine.wrap(function() pcall(attach_here) end)()");
    run(L, "local p = newproxy(true) getmetatable(p).__gc = attach_here p = nil collectgarbage()");
    run(L, "for i = 1, 300 do attach_here() end"); /* while a trace is recorded, too */
    run(L, "for _, f in ipairs { 'off', 'on', 'flush' } do pcall(jit[f]) attach_here() end");
    run(L, "pcall(jit.attach, attach_here, 'trace') pcall(jit.attach, attach_here, 'bc') "
           "assert(loadstring('local s = 0 for i = 1, 300 do s = s + i end'))()");
    lua_close(L);
}

static void refused(lua_State *L, const char *expected) {
    const char *why = "";
    vm v = {.lay = NULL};
    assert_false(vm_attach(&v, L, &why));
    assert_non_null(strstr(why, expected));
    assert_null(v.lay);
}

static void a_vm_whose_table_somebody_else_uses_is_refused(void **state) {
    const char *why;
    (void)state;
    lua_State *L = luaL_newstate();
    const vm_layout *lay = vm_learn(&why);
    uintptr_t *fixed = (uintptr_t *)(void *)((char *)vm_ptr(L, VM_L_GLREF) + lay->g_dispatch) + lay->static_at;
    uintptr_t was = fixed[lay->number[VM_ADDVV]];
    fixed[lay->number[VM_ADDVV]] = fixed[lay->number[VM_SUBVV]];
    refused(L, "somebody else uses this VM's dispatch table");
    fixed[lay->number[VM_ADDVV]] = was;
    attaches(L);
    lua_close(L);
}

static void a_vm_that_is_none_is_refused(void **state) {
    static _Alignas(16) char no_state[128];
    (void)state;
    refused((lua_State *)(void *)no_state, "another LuaJIT");
    no_state[VM_GC_TYPE] = VM_TYPE_THREAD;
    refused((lua_State *)(void *)no_state, "another LuaJIT"); /* its global_State is at address 0 */
    void *nowhere = (void *)(uintptr_t)0x7f0012345000;
    vm_set_ptr(no_state, VM_L_GLREF, nowhere);
    refused((lua_State *)(void *)no_state, "another LuaJIT");
    refused(nowhere, "another LuaJIT");
}

/* ---- A second LuaJIT in the process ------------------------------------------------------------------------------------ */

#ifndef SANITIZED
static bool copy_file(const char *from, const char *to) {
    char buffer[4096];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    bool ok = in != NULL && out != NULL;
    while (ok && (n = fread(buffer, 1, sizeof buffer, in)) > 0) ok = fwrite(buffer, 1, n, out) == n;
    if (in != NULL) ok = fclose(in) == 0 && ok;
    if (out != NULL) ok = fclose(out) == 0 && ok;
    return ok;
}

/* A VM made by the LuaJIT in `library`, which must not be the one this program is linked to. */
static void a_vm_made_by(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (handle == NULL) fail_msg("%s", dlerror());
    lua_State *(*newstate)(void) = (lua_State * (*)(void)) dlsym(handle, "luaL_newstate");
    void (*close_state)(lua_State *) = (void (*)(lua_State *))dlsym(handle, "lua_close");
    assert_non_null(newstate);
    assert_true(newstate != luaL_newstate);
    lua_State *L = newstate();
    assert_non_null(L);
    refused(L, "this VM is of another LuaJIT than the one the library uses");
    close_state(L);
    dlclose(handle);
}

static void a_vm_of_a_second_copy_of_luajit_is_refused(void **state) {
    Dl_info info;
    test_dir dir;
    (void)state;
    assert_true(dladdr((void *)(uintptr_t)luaL_newstate, &info) != 0);
    if (strstr(info.dli_fname, "luajit-5.1.so") == NULL) {
        print_message("LuaJIT is linked statically: no library to load a second time\n");
        skip();
    }
    make_test_dir(&dir);
    assert_true(copy_file(info.dli_fname, in_dir(&dir, "second.so")));
    a_vm_made_by(in_dir(&dir, "second.so"));
    remove_test_dir(&dir);
}

/* The system's libluajit and OpenResty's: one of them is this program's. */
static void a_vm_of_another_luajit_is_refused(void **state) {
#if defined(__aarch64__)
    static const char lib[] = "/usr/lib/aarch64-linux-gnu/libluajit-5.1.so.2";
#else
    static const char lib[] = "/usr/lib/x86_64-linux-gnu/libluajit-5.1.so.2";
#endif
    struct stat own_file, other_file;
    Dl_info info;
    char path[PATH_MAX];
    int tried = 0;
    (void)state;
    assert_true(dladdr((void *)(uintptr_t)luaL_newstate, &info) != 0);
    assert_int_equal(stat(info.dli_fname, &own_file), 0);
    for (int i = 0; i < 2; i++) {
        const char *root = i == 0 ? "" : getenv("LJINSPECT_DEBS");
        if (root == NULL) continue;
        snprintf(path, sizeof path, "%s%s", root, lib);
        if (stat(path, &other_file) != 0) continue;
        if (own_file.st_dev == other_file.st_dev && own_file.st_ino == other_file.st_ino) continue;
        a_vm_made_by(path);
        tried++;
    }
    if (tried == 0) {
        print_message("no other libluajit here (cmake/fetch-debs.sh)\n");
        skip();
    }
}
#endif

/* ---- What it leaves ------------------------------------------------------------------------------------------------- */

/* What the program could notice, and the memory of the VM itself. */
typedef struct vm_state {
    uint8_t memory[10240]; /* global_State, the dispatch table and the JIT's state after it */
    size_t len;
    int gc_kb, gc_b, mask, count;
    lua_Hook hook;
    char jit[200];
} vm_state;

static void note(lua_State *L, vm_state *s) {
    memset(s, 0, sizeof *s);
    load_named(L,
               "return table.concat({tostring(jit.status()), select(2, jit.status()) or '',"
               " tostring(jit.util and jit.util.traceinfo and jit.util.traceinfo(1) ~= nil)}, ' ')",
               "=note");
    call_top(L, 1);
    snprintf(s->jit, sizeof s->jit, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    s->mask = lua_gethookmask(L);
    s->count = lua_gethookcount(L);
    s->hook = lua_gethook(L);
    s->gc_kb = lua_gc(L, LUA_GCCOUNT, 0);
    s->gc_b = lua_gc(L, LUA_GCCOUNTB, 0);
    s->len = vm_read_some(vm_ptr(L, VM_L_GLREF), s->memory, sizeof s->memory);
}

static const char LOOP[] = "jit.util = require 'jit.util' function loop() local s = 0 for i = 1, 1000 do s = s + i end "
                           "return s end loop() collectgarbage() collectgarbage('stop')";

static void attaching_changes_nothing_in_the_vm(void **state) {
    static vm_state before, after;
    const char *why;
    (void)state;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    run(L, LOOP);
    lua_sethook(L, any_hook, LUA_MASKCOUNT, 12345678);
    lua_sethook(L, NULL, 0, 0);
    note(L, &before);
    attaches(L);
    after.len = vm_read_some(vm_ptr(L, VM_L_GLREF), after.memory, sizeof after.memory);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.memory, before.memory, before.len);
    if (vm_learn(&why)->has_jit) assert_non_null(strstr(before.jit, "true"));
    lua_close(L);
}

/* The engine as a whole: nothing but its own memory in the collector's count. */
static void opening_the_engine_leaves_hooks_jit_and_traces_alone(void **state) {
    static vm_state before, after;
    static test_log log;
    const char *why;
    (void)state;
    setenv("LJINSPECT_ENGINE", "trap", 1);
    lua_State *L = new_vm(NULL);
    const vm_layout *lay = vm_learn(&why);
    run(L, LOOP);
    lua_sethook(L, vm_no_hook, LUA_MASKCOUNT, 1000000000);
    note(L, &before);
    assert_int_equal(ljinspect_set_logger(L, keep_log, &log), 0);
    assert_lua(L, "ljinspect.status().engine == 'trap'");
    note(L, &after);
    assert_string_equal(before.jit, after.jit);
    if (lay->has_jit) assert_non_null(strstr(after.jit, " true"));
    assert_int_equal(before.mask, after.mask);
    assert_int_equal(before.count, after.count);
    assert_true(before.hook == after.hook);
    size_t table = (lay->static_at + lay->static_len) * sizeof(uintptr_t);
    assert_memory_equal(before.memory + lay->g_dispatch, after.memory + lay->g_dispatch, table);
    assert_in_range(after.gc_kb, before.gc_kb, before.gc_kb + 16);
    assert_int_equal(log.at_level[LJINSPECT_WARN] + log.at_level[LJINSPECT_ERROR], 0);
    lua_close(L);
    unsetenv("LJINSPECT_ENGINE");
}

/* ---- A LuaJIT that is not known -------------------------------------------------------------------------------------- */

/* The thread sanitizer keeps no account of code. */
__attribute__((no_sanitize("thread"))) static void write_code(uintptr_t at, uint8_t byte) {
    uintptr_t page = at & ~(uintptr_t)4095;
    CHECK(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    *(volatile uint8_t *)at = byte;
    CHECK(mprotect((void *)page, 4096, PROT_READ | PROT_EXEC) == 0);
}

static uintptr_t hook_code;

/* What the process has written to its standard error, which leads to `file`, so far. */
static const char *complaints(FILE *file) {
    static char text[4096];
    fflush(stderr);
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* While the engine is opened, a byte of the interpreter's instruction hook is another one. The first call into the
 * library opens it, so that no logger of the program can be set before. */
static void open_in_an_unknown_luajit(void) {
    static const char work[] = "function work(a)\n local b = a + 1\n return b\nend";
    static const char warning[] = "ljinspect: no bytecode traps in this VM: "
                                  "the instruction hook's code is not the one we know\n";
    uint8_t byte = *(uint8_t *)(hook_code + 40);
    FILE *file = tmpfile();
    int own_stderr = dup(2);
    CHECK(file != NULL && own_stderr >= 0);
    setenv("LJINSPECT_ENGINE", "trap", 1);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_pushcfunction(L, luaopen_ljinspect);
    CHECK(lua_pcall(L, 0, 1, 0) == 0);
    lua_setglobal(L, "ljinspect");

    CHECK(dup2(fileno(file), 2) == 2);
    write_code(hook_code + 40, byte ^ 1);
    CHECK(luaL_dostring(L, "engine = ljinspect.status().engine") == 0);
    write_code(hook_code + 40, byte);
    counter c = {0};
    CHECK(luaL_loadbuffer(L, work, sizeof work - 1, "@work.lua") == 0 && lua_pcall(L, 0, 0, 0) == 0);
    CHECK(hook_counter(L, "work.lua", 3, &c) > 0);
    CHECK(luaL_dostring(L, "for i = 1, 500 do work(i) end") == 0);
    lua_getglobal(L, "engine");
    bool line = strcmp(lua_tostring(L, -1), "line") == 0;
    lua_close(L);
    const char *said = complaints(file);
    CHECK(dup2(own_stderr, 2) == 2);

    fprintf(stderr, "%s", said);
    CHECK(strcmp(said, warning) == 0);
    CHECK(line);
    CHECK(c.hits == 500 && c.destroyed == 1);
}

static void an_unknown_luajit_costs_one_log_line_and_gets_the_line_engine(void **state) {
    (void)state;
    if (hook_code == 0) skip();
    in_child(open_in_an_unknown_luajit);
}

/* In a child, so that this process has not learned anything yet: where the code is. */
static int find_hook_code(void **state) {
    static vm_layout lay;
    const char *why;
    (void)state;
    if (vm_learn_all(&lay, &why) == VM_LEARNED) hook_code = lay.inshook;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        /* First what must come before the process has learned */
        cmocka_unit_test(an_unknown_luajit_costs_one_log_line_and_gets_the_line_engine),
        cmocka_unit_test(sixteen_threads_may_learn_at_once),
        cmocka_unit_test(a_fork_while_another_thread_learns_does_no_harm),
        cmocka_unit_test(without_file_descriptors_it_is_tried_again_later),
#ifndef SANITIZED
        cmocka_unit_test(without_memory_it_is_tried_again_later),
#endif
#if defined(__x86_64__) && !defined(SANITIZED)
        cmocka_unit_test(a_system_call_filter_costs_the_engine_not_the_process),
        cmocka_unit_test(where_machine_code_is_forbidden_nothing_is_compiled),
#endif
        cmocka_unit_test(memory_is_read_up_to_where_it_ends),
        cmocka_unit_test(memory_that_a_sanitizer_guards_is_read),
        cmocka_unit_test(a_vm_with_an_allocator_of_its_own_is_recognised),
        cmocka_unit_test(a_vm_in_any_state_is_recognised),
        cmocka_unit_test(a_vm_whose_table_somebody_else_uses_is_refused),
        cmocka_unit_test(a_vm_that_is_none_is_refused),
#ifndef SANITIZED
        cmocka_unit_test(a_vm_of_a_second_copy_of_luajit_is_refused),
        cmocka_unit_test(a_vm_of_another_luajit_is_refused),
#endif
        cmocka_unit_test(attaching_changes_nothing_in_the_vm),
        cmocka_unit_test(opening_the_engine_leaves_hooks_jit_and_traces_alone),
    };
    return cmocka_run_group_tests(tests, find_hook_code, NULL);
}
