/* From the first call to lua_close: many VMs, threads, processes, finalizers. */
#include "emulator.h"
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

static const char target[] = "function target(a)\n"
                             "  local b = a\n" /* 2 */
                             "  return b\n"
                             "end\n"
                             "function waits()\n"
                             "  coroutine.yield(1)\n" /* 6 */
                             "end\n";

static int entries(const char *path) {
    DIR *d = opendir(path);
    int n = 0;
    assert_non_null(d);
    while (readdir(d) != NULL) n++;
    closedir(d);
    return n;
}

static int fds(void) {
    return entries("/proc/self/fd");
}

static int threads(void) {
    return entries("/proc/self/task") - 2; /* "." and ".." */
}

static test_dir dir;
static char hooks_file[PATH_MAX];
static int fds_before, threads_before;

static int setup(void **state) {
    (void)state;
    make_test_dir(&dir);
    snprintf(hooks_file, sizeof hooks_file, "%s", in_dir(&dir, "hooks.lua"));
    write_file(hooks_file, "require('ljinspect').set_hook('target.lua', 3, nil, function() return false end)\n");
    fds_before = fds();
    threads_before = threads();
    return 0;
}

/* A thread that has been joined may stay in /proc for a moment. */
static int teardown(void **state) {
    (void)state;
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (threads() != threads_before && now_ms() < deadline) sleep_ms(1);
    remove_test_dir(&dir);
    if (threads() == threads_before && fds() == fds_before) return 0;
    print_error("%d threads, %d before; %d descriptors, %d before\n", threads(), threads_before, fds(), fds_before);
    return -1;
}

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L, (void)level, (void)message, (void)userdata;
}

static lua_State *quiet_vm(void) {
    lua_State *L = new_vm(NULL);
    assert_int_equal(ljinspect_set_logger(L, no_log, NULL), 0);
    return L;
}

static int watch_it(lua_State *L) {
    return ljinspect_watch(L, hooks_file, 60, LJINSPECT_WATCH_INSECURE);
}

/* ---- Many ---- */

static void vms_come_and_go_with_hooks_armed_and_the_watcher_running(void **state) {
    (void)state;
#ifdef THREAD_SANITIZER
    enum { VMS = 200 };
#else
    enum { VMS = 2000 };
#endif
    for (int i = 0; i < VMS; i++) {
        counter c = {0};
        lua_State *L = quiet_vm();
        /* Few with inotify: closing its descriptor waits for the kernel. */
        unsigned how = LJINSPECT_WATCH_INSECURE | (i % 16 == 0 ? 0 : LJINSPECT_WATCH_POLL);
        assert_int_equal(ljinspect_watch(L, hooks_file, 60, how), 0);
        assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
        if (i % 4 == 0) {
            run_named(L, target, "@target.lua");
            run(L, "for i = 1, 3 do target(i) end");
            assert_int_equal(c.hits, 3);
        }
        if (i % 3 == 0) write_file(hooks_file, "\n");
        lua_close(L);
        assert_int_equal(c.destroyed, 1);
    }
    assert_int_equal(fds(), fds_before);
}

static void more_vms_than_there_are_debug_hook_functions_are_armed_at_once(void **state) {
    (void)state;
    enum { VMS = 200 };
    static lua_State *L[VMS];
    static counter c[VMS];
    memset(c, 0, sizeof c);
    for (int i = 0; i < VMS; i++) {
        L[i] = quiet_vm();
        run_named(L[i], target, "@target.lua");
        assert_true(hook_counter(L[i], "target.lua", 2, &c[i]) > 0);
    }
    for (int i = 0; i < VMS; i++) {
        run(L[i], "for i = 1, 10 do target(i) end coroutine.wrap(target)(1)");
        assert_int_equal(c[i].hits, 11);
    }
    for (int i = 0; i < VMS; i += 2) lua_close(L[i]);
    for (int i = 0; i < VMS; i += 2) { /* in the places that are free now */
        L[i] = quiet_vm();
        run_named(L[i], target, "@target.lua");
        assert_int_equal(c[i].destroyed, 1);
        c[i] = (counter){0};
        assert_true(hook_counter(L[i], "target.lua", 2, &c[i]) > 0);
    }
    for (int i = 0; i < VMS; i++) {
        int before = c[i].hits;
        run(L[i], "for i = 1, 10 do target(i) end");
        assert_int_equal(c[i].hits, before + 10);
    }
    for (int i = 0; i < VMS; i++) {
        assert_int_equal(ljinspect_unset_all(L[i]), 1);
        assert_null(lua_gethook(L[i]));
        assert_lua(L[i], "jit.status()");
        lua_close(L[i]);
    }
}

typedef struct worker {
    pthread_t thread;
    int n;
    long hits;
    bool ok;
} worker;

static int add_hit(ljinspect_hit *hit, void *userdata) {
    ++*(long *)userdata;
    ljinspect_hit_local(hit, "a");
    return LJINSPECT_KEEP;
}

/* No cmocka assertion on a thread of our own. */
static void *work(void *arg) {
    worker *w = arg;
    for (int round = 0; round < 3; round++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        ljinspect_set_logger(L, no_log, NULL);
        const ljinspect_filter f = {.kind = LJINSPECT_FILTER_C, .call = add_hit, .userdata = &w->hits};
        w->ok = w->ok && ljinspect_watch(L, in_dir(&dir, "none.lua"), 0.01, LJINSPECT_WATCH_INSECURE) == 0;
        w->ok = w->ok && ljinspect_set_hook(L, "target.lua", 2, 0, &f) > 0;
        w->ok = w->ok && luaL_loadbuffer(L, target, strlen(target), "@target.lua") == 0 && lua_pcall(L, 0, 0, 0) == 0;
        w->ok = w->ok && luaL_dostring(L, "for i = 1, 2000 do target(i) end") == 0;
        for (int i = 0; i < 50; i++) {
            int64_t id = ljinspect_set_hook(L, "x.lua", i + 1, 0, &f);
            w->ok = w->ok && id > 0 && ljinspect_poll(L) >= 0 && ljinspect_hooks(L, NULL, NULL) == 2 &&
                    ljinspect_unset_id(L, id) == 1;
        }
        w->ok = w->ok && ljinspect_unset_all(L) == 1;
        lua_close(L);
    }
    return NULL;
}

static void vms_on_sixteen_threads_are_hooked_independently(void **state) {
    (void)state;
    worker w[16];
    for (int i = 0; i < 16; i++) {
        w[i] = (worker){.n = i, .ok = true};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 16; i++) pthread_join(w[i].thread, NULL);
    for (int i = 0; i < 16; i++) {
        assert_true(w[i].ok);
        assert_int_equal(w[i].hits, 6000);
    }
}

/* The watcher's thread wakes a VM while its thread works, sleeps and closes it. */
static void *write_often(void *arg) {
    atomic_bool *stop = arg;
    for (int i = 0; !atomic_load(stop); i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "generation = %d\n"
                 "require('ljinspect').set_hook('target.lua', %d, nil, function() return false end)\n",
                 i, 2 + i % 2);
        write_file(in_dir(&dir, "new"), text);
        rename(in_dir(&dir, "new"), hooks_file);
        sleep_ms(2);
    }
    return NULL;
}

static int nap(lua_State *L) {
    (void)L;
    sleep_ms(1);
    return 0;
}

static void vms_are_closed_while_changes_arrive(void **state) {
    (void)state;
    atomic_bool stop = false;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_often, &stop), 0);
    int64_t until = now_ms() + 2000;
    while (now_ms() < until) {
        lua_State *L = quiet_vm();
        lua_pushcfunction(L, nap);
        lua_setglobal(L, "nap");
        run_named(L, target, "@target.lua");
        assert_int_equal(watch_it(L), 0);
        run(L, "local x\n"
               "for i = 1, 5 do\n"
               "  nap()\n"
               "  for j = 1, 200 do x = {target(j)} end\n"
               "end\n");
        lua_close(L);
    }
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
}

/* ---- Closing ---- */

static void a_vm_closes_with_coroutines_suspended_on_hooked_lines(void **state) {
    (void)state;
    counter c = {0};
    lua_State *L = quiet_vm();
    run_named(L, target, "@target.lua");
    assert_true(hook_counter(L, "target.lua", 6, &c) > 0);
    run(L, "kept = {}\n"
           "for i = 1, 100 do\n"
           "  local co = coroutine.create(waits)\n"
           "  coroutine.resume(co)\n"
           "  if i % 2 == 0 then kept[i] = co end\n"
           "end\n"
           "collectgarbage()\n");
    assert_int_equal(c.hits, 100);
    lua_close(L);
    assert_int_equal(c.destroyed, 1);
}

static void a_vm_closes_with_a_change_waiting(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        lua_State *L = quiet_vm();
        assert_int_equal(watch_it(L), 0);
        write_file(hooks_file, "x = 1\n");
        sleep_ms(i * 2);
        lua_close(L);
    }
}

static void a_vm_that_was_never_used_with_us_closes(void **state) {
    (void)state;
    lua_State *L = luaL_newstate();
    assert_int_equal(ljinspect_unset_all(L), 0);
    assert_int_equal(ljinspect_unset_hook(L, "a", 1), 0);
    assert_int_equal(ljinspect_hooks(L, NULL, NULL), 0);
    assert_int_equal(ljinspect_poll(L), 0);
    assert_int_equal(ljinspect_unwatch(L), 0);
    lua_close(L);
}

static void a_vm_without_libraries_is_served(void **state) {
    (void)state;
    counter c = {0};
    lua_State *L = luaL_newstate();
    ljinspect_set_logger(L, no_log, NULL);
    assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
    assert_int_equal(ljinspect_hooks(L, NULL, NULL), 1);
    run_named(L, "function target(a)\n  local b = a\n  return b\nend\nfor i = 1, 5 do target(i) end\n", "@target.lua");
    assert_int_equal(c.hits, 5);
    lua_close(L);
    assert_int_equal(c.destroyed, 1);
}

/* ---- Finalizers ---- */

typedef struct gc_calls {
    int runs;
    int64_t set;
    int unset, listed, polled, watched, unwatched, logger, status;
} gc_calls;

static gc_calls last_gc;

static int call_all(lua_State *L) {
    static counter c;
    ljinspect_status s;
    last_gc.runs++;
    last_gc.set = hook_counter(L, "gc.lua", 1, &c);
    last_gc.listed = ljinspect_hooks(L, NULL, NULL);
    last_gc.watched = watch_it(L);
    last_gc.polled = ljinspect_poll(L);
    last_gc.unwatched = ljinspect_unwatch(L);
    last_gc.logger = ljinspect_set_logger(L, no_log, NULL);
    last_gc.status = ljinspect_get_status(L, &s);
    last_gc.unset = ljinspect_unset_all(L);
    return 0;
}

/* An object whose finalizer calls everything; left on the stack. */
static void push_finalized(lua_State *L, lua_CFunction finalizer) {
    lua_newuserdata(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalizer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

static void assert_calls_answered(void) {
    assert_true(last_gc.runs > 0);
    assert_true(last_gc.set > 0 || last_gc.set == LJINSPECT_ERR_BUSY || last_gc.set == LJINSPECT_ERR_CLOSED);
    assert_true(last_gc.listed >= 0);
    assert_true(last_gc.watched == 0 || last_gc.watched == LJINSPECT_ERR_BUSY ||
                last_gc.watched == LJINSPECT_ERR_CLOSED);
    assert_true(last_gc.unset >= 0);
    assert_true(last_gc.unwatched >= 0);
}

static void finalizers_may_call_the_api(void **state) {
    (void)state;
    for (int hooked = 0; hooked < 2; hooked++) {
        counter c = {0};
        lua_State *L = quiet_vm();
        run_named(L, target, "@target.lua");
        if (hooked) assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
        last_gc = (gc_calls){0};
        push_finalized(L, call_all);
        lua_pop(L, 1);
        run(L, "collectgarbage() collectgarbage()");
        assert_calls_answered();
        /* The finalizer's last call was to unset all: that takes effect when the VM lets us. */
        run(L, "for i = 1, 3 do target(i) end");
        assert_int_equal(c.hits, 0);
        assert_int_equal(c.destroyed, hooked);
        assert_null(lua_gethook(L));
        assert_lua(L, "jit.status()");
        assert_int_equal(ljinspect_hooks(L, NULL, NULL), 0);
        /* And all goes on. */
        counter again = {0};
        assert_true(hook_counter(L, "target.lua", 2, &again) > 0);
        run(L, "for i = 1, 3 do target(i) end");
        assert_int_equal(again.hits, 3);
        lua_close(L);
        assert_int_equal(again.destroyed, 1);
    }
}

static void finalizers_may_call_the_api_during_lua_close(void **state) {
    (void)state;
    enum { NEVER, BEFORE, AFTER };
    for (int order = NEVER; order <= AFTER; order++) {
        counter c = {0};
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        last_gc = (gc_calls){0};
        if (order != AFTER) {
            push_finalized(L, call_all);
            lua_setglobal(L, "object");
        }
        if (order != NEVER) {
            ljinspect_set_logger(L, no_log, NULL);
            assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
            assert_int_equal(watch_it(L), 0);
            assert_int_equal(ljinspect_unset_all(L), 1);
            assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
        }
        if (order == AFTER) {
            push_finalized(L, call_all);
            lua_setglobal(L, "object");
        }
        lua_close(L);
        assert_calls_answered();
        assert_int_equal(c.destroyed, order == NEVER ? 0 : 2 + (order != NEVER && c.destroyed == 3));
    }
}

static int unset_in_gc(lua_State *L) {
    last_gc.runs++;
    last_gc.unset = ljinspect_unset_all(L);
    return 0;
}

static void the_last_hook_may_go_in_a_finalizer(void **state) {
    (void)state;
    counter c = {0};
    lua_State *L = quiet_vm();
    run_named(L, target, "@target.lua");
    for (int i = 0; i < 3; i++) {
        last_gc = (gc_calls){0};
        assert_true(hook_counter(L, "target.lua", 2, &c) > 0);
        push_finalized(L, unset_in_gc);
        lua_pop(L, 1);
        run(L, "local x for i = 1, 100000 do x = {target(i)} end collectgarbage()");
        assert_int_equal(last_gc.unset, 1);
        assert_int_equal(c.destroyed, i + 1);
        assert_null(lua_gethook(L));
        assert_lua(L, "jit.status()");
        int before = c.hits;
        run(L, "target(1)");
        assert_int_equal(c.hits, before);
    }
    lua_close(L);
}

static bool setting;
static int64_t set_meanwhile[64];
static size_t n_set_meanwhile;

/* Sets a hook if one is being set, and comes again at the next collection. */
static int set_in_gc(lua_State *L) {
    static counter c;
    if (setting && n_set_meanwhile < 64) {
        setting = false;
        int64_t id = hook_counter(L, "other.lua", 3, &c);
        if (id != LJINSPECT_ERR_BUSY) set_meanwhile[n_set_meanwhile++] = id;
    }
    lua_newuserdata(L, 1);
    lua_getmetatable(L, 1);
    lua_setmetatable(L, -2);
    return 0;
}

/* An engine that allocates in the VM to arm a hook lets finalizers run. */
static void a_hook_set_by_a_finalizer_while_one_is_set_has_its_own_id(void **state) {
    (void)state;
    counter c = {0};
    ljinspect_status s;
    lua_State *L = quiet_vm();
    run_named(L, target, "@target.lua");
    assert_true(hook_counter(L, "never.lua", 1, &c) > 0);
    assert_int_equal(ljinspect_get_status(L, &s), 0);
    push_finalized(L, set_in_gc);
    lua_pop(L, 1);
    lua_gc(L, LUA_GCSETPAUSE, 0);
    lua_gc(L, LUA_GCSETSTEPMUL, 100000);
    n_set_meanwhile = 0;
    for (int i = 0; i < 20; i++) {
        size_t before = n_set_meanwhile;
        setting = true;
        int64_t id = hook_counter(L, "target.lua", 2, &c);
        setting = false;
        assert_true(id > 0);
        for (size_t n = before; n < n_set_meanwhile; n++) {
            assert_true(set_meanwhile[n] > 0);
            assert_int_not_equal(set_meanwhile[n], id);
            assert_int_equal(ljinspect_unset_id(L, set_meanwhile[n]), 1);
        }
        assert_int_equal(ljinspect_unset_id(L, id), 1);
    }
    if (strcmp(s.engine, "trap") == 0) assert_true(n_set_meanwhile > 0); /* else nothing was tried */
    lua_close(L);
}

static lua_State *destroying;
static int64_t set_while_destroyed;

static void set_again(void *userdata) {
    (void)userdata;
    static counter c;
    set_while_destroyed = hook_counter(destroying, "again.lua", 1, &c);
    ljinspect_unset_all(destroying);
    ljinspect_hooks(destroying, NULL, NULL);
}

static void a_destructor_that_runs_in_lua_close_may_use_the_api(void **state) {
    (void)state;
    lua_State *L = quiet_vm();
    destroying = L;
    const ljinspect_filter f = {.kind = LJINSPECT_FILTER_C, .call = count_hit, .destroy = set_again};
    assert_true(ljinspect_set_hook(L, "x.lua", 1, 0, &f) > 0);
    assert_true(ljinspect_set_hook(L, "x.lua", 2, 0, &f) > 0);
    lua_close(L);
    assert_int_equal(set_while_destroyed, LJINSPECT_ERR_CLOSED);
}

/* ---- Processes ---- */

static int child_status(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int as_child(lua_State *L) {
    bool counted = !emulator_spoils("how many threads a child has: the emulator starts one of its own there");
    ljinspect_status s;
    counter c = {0};
    if (ljinspect_get_status(L, &s) != 0 || strcmp(s.watcher, "forked") != 0) return 1;
    if (counted && threads() != 1) return 2;
    if (luaL_dostring(L, "for i = 1, 3 do target(i) end") != 0) return 3;
    if (hook_counter(L, "target.lua", 2, &c) <= 0) return 4;
    if (luaL_dostring(L, "for i = 1, 3 do target(i) end") != 0 || c.hits != 3) return 5;
    if (watch_it(L) != 0 || ljinspect_get_status(L, &s) != 0 || strcmp(s.watcher, "forked") == 0) return 6;
    if (counted && threads() != 2) return 7;
    if (luaL_dostring(L, "generation = nil") != 0) return 8;
    write_file(hooks_file, "generation = 'child'\n");
    int64_t deadline = now_ms() + DEADLINE_MS;
    for (;;) { /* the child's own watcher sees it: nothing here polls */
        if (luaL_dostring(L, "local t for i = 1, 1000 do t = {i} end return generation") != 0) return 9;
        bool seen = lua_isstring(L, -1);
        lua_settop(L, 0);
        if (seen) break;
        if (now_ms() > deadline) return 10;
        sleep_ms(1);
    }
    lua_close(L);
    return 0;
}

static void a_child_process_has_its_hooks_and_starts_its_own_watcher(void **state) {
    (void)state;
#ifdef THREAD_SANITIZER
    print_message("SKIPPED: with the thread sanitizer no child of a process with threads may start one\n");
    skip();
#endif
    lua_State *L = quiet_vm();
    run_named(L, target, "@target.lua");
    assert_int_equal(watch_it(L), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(as_child(L));
    assert_int_equal(child_status(child), 0);
    ljinspect_status s;
    assert_int_equal(ljinspect_get_status(L, &s), 0);
    assert_string_equal(s.watcher, "inotify");
    run(L, "generation = nil");
    write_file(hooks_file, "generation = 'parent'\n");
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (number(L, "generation == 'parent'") == 0 && now_ms() < deadline) {
        run(L, "local t for i = 1, 1000 do t = {i} end");
        sleep_ms(1);
    }
    assert_lua(L, "generation == 'parent'");
    lua_close(L);
}

static void a_child_process_may_close_the_vm_at_once(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        lua_State *L = quiet_vm();
        assert_int_equal(watch_it(L), 0);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            if (i % 3 == 1) ljinspect_unwatch(L);
            if (i % 3 == 2) ljinspect_poll(L);
            lua_close(L);
            _exit(0);
        }
        assert_int_equal(child_status(child), 0);
        write_file(hooks_file, "x = 1\n");
        lua_close(L);
    }
}

/* The library's locks are held long, so that a fork comes amid that. */
static atomic_bool hold_long;
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m) {
    if (atomic_load(&hold_long)) sleep_ms(2);
    return __real_pthread_mutex_unlock(m);
}

/* What opening a VM takes of the library: an engine, a watcher. */
static bool begin_anew(lua_State *L) {
    counter c = {0};
    if (ljinspect_set_engine(L, "line") != 0 || ljinspect_set_engine(L, NULL) != 0) return false;
    int64_t id = hook_counter(L, "target.lua", 2, &c);
    return id > 0 && ljinspect_unset_id(L, id) == 1;
}

static void *begin_often(void *arg) {
    atomic_bool *stop = arg;
    lua_State *L = quiet_vm();
    while (!atomic_load(stop)) {
        if (!begin_anew(L) || watch_it(L) != 0 || ljinspect_unwatch(L) != 1 || ljinspect_unset_all(L) < 0) abort();
    }
    lua_close(L);
    return NULL;
}

/* VMs themselves are neither opened nor closed meanwhile: LuaJIT registers each with libgcc, whose lock a child may find held. */
static void a_child_process_finds_no_lock_held_by_another_thread(void **state) {
    (void)state;
#ifdef ADDRESS_SANITIZER
    print_message("SKIPPED: the address sanitizer's malloc() may leave a child a lock that another thread holds\n");
    skip();
#endif
    if (under_valgrind()) {
        print_message("SKIPPED: a thread's memory is lost in a child that it is not in: valgrind says so\n");
        skip();
    }
    atomic_bool stop = false;
    pthread_t other;
    lua_State *L = quiet_vm();
    atomic_store(&hold_long, true);
    assert_int_equal(pthread_create(&other, NULL, begin_often, &stop), 0);
    sleep_ms(50); /* its VM is there */
    int status = 0;
    for (int i = 0; i < 30 && status == 0; i++) {
        sleep_ms(i % 5);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            atomic_store(&hold_long, false);
            alarm((unsigned)DEADLINE_MS / 1000);
            _exit(begin_anew(L) ? 0 : 1);
        }
        status = child_status(child);
    }
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    assert_int_equal(status, 0);
    atomic_store(&hold_long, false);
    lua_close(L);
}

static void another_program_inherits_no_descriptor_of_ours(void **state) {
    (void)state;
    lua_State *L = quiet_vm();
    assert_int_equal(watch_it(L), 0);
    int with = fds();
    assert_true(with > fds_before);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char script[128];
        /* "." and ".." were counted too, and opendir's own; ls has the last as well. */
        snprintf(script, sizeof script, "test $(ls -a /proc/self/fd | wc -l) -le %d", fds_before + 1);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(child_status(child), 0);
    lua_close(L);
}

/* ---- The module ---- */

static void the_module_may_be_opened_twice(void **state) {
    (void)state;
    lua_State *L = quiet_vm();
    lua_pushcfunction(L, luaopen_ljinspect);
    lua_call(L, 0, 1);
    lua_setglobal(L, "second");
    run_named(L, target, "@target.lua");
    run(L, "n = 0\n"
           "assert(second ~= ljinspect)\n"
           "local function f() n = n + 1 return false end\n"
           "ljinspect.set_hook('target.lua', 2, nil, f)\n"
           "second.set_hook('target.lua', 2, nil, f)\n"
           "assert(#ljinspect.hooks() == 2 and #second.hooks() == 2)\n"
           "target(1)\n"
           "assert(n == 2)\n"
           "assert(second.unset_hook('target.lua', 2) == 2)\n"
           "assert(#ljinspect.hooks() == 0)\n");
    lua_close(L);
}

static void another_copy_of_the_library_is_noticed(void **state) {
    (void)state;
    counter c = {0};
    lua_State *L = luaL_newstate();
    lua_newuserdata(L, 64);
    lua_rawseti(L, LUA_REGISTRYINDEX, -0x6c6a6901); /* where another copy has its context (context.c, OWNER_KEY) */
    assert_int_equal(hook_counter(L, "a", 1, &c), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_unset_all(L), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_unset_hook(L, "a", 1), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_unset_id(L, 1), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_hooks(L, NULL, NULL), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_poll(L), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(ljinspect_unwatch(L), LJINSPECT_ERR_FOREIGN);
    assert_int_equal(watch_it(L), LJINSPECT_ERR_FOREIGN);
    lua_close(L);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void *no_work(void *arg) {
    return arg;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(vms_come_and_go_with_hooks_armed_and_the_watcher_running),
        T(more_vms_than_there_are_debug_hook_functions_are_armed_at_once),
        T(vms_on_sixteen_threads_are_hooked_independently),
        T(vms_are_closed_while_changes_arrive),
        T(a_vm_closes_with_coroutines_suspended_on_hooked_lines),
        T(a_vm_closes_with_a_change_waiting),
        T(a_vm_that_was_never_used_with_us_closes),
        T(a_vm_without_libraries_is_served),
        T(finalizers_may_call_the_api),
        T(finalizers_may_call_the_api_during_lua_close),
        T(the_last_hook_may_go_in_a_finalizer),
        T(a_hook_set_by_a_finalizer_while_one_is_set_has_its_own_id),
        T(a_destructor_that_runs_in_lua_close_may_use_the_api),
        T(a_child_process_has_its_hooks_and_starts_its_own_watcher),
        T(a_child_process_may_close_the_vm_at_once),
        T(a_child_process_finds_no_lock_held_by_another_thread),
        T(another_program_inherits_no_descriptor_of_ours),
        T(the_module_may_be_opened_twice),
        T(another_copy_of_the_library_is_noticed),
    };
    /* A sanitizer starts a thread of its own with the first one: before threads are counted. */
    pthread_t first;
    if (pthread_create(&first, NULL, no_work, NULL) != 0 || pthread_join(first, NULL) != 0) return 1;
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
