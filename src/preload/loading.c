#include "loading.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/ljinspect.h"
#include "config.h"

static const char *const NAMES[LOADER_COUNT] = {
#define LOADER_TEXT(name) #name,
    LOADERS(LOADER_TEXT)
#undef LOADER_TEXT
};

/* ---- The functions behind ours ----
 *
 * The dynamic linker looks for a name first in the global scope (the executable, preloaded libraries, what these need,
 * what was opened with RTLD_GLOBAL), then among what the caller itself was opened with. So do we, once for each object
 * that calls: two plug-ins may each have a Lua of their own, and a VM must never meet the other's functions.
 */

typedef struct caller_object {
    const void *base;
    char *path;
    struct caller_object *next;
    _Atomic(void *) functions[LOADER_COUNT];
} caller_object;

static _Atomic(caller_object *) callers; /* grows at its head. No lock: another thread may fork at any time */

static caller_object *search_callers(const Dl_info *info) {
    for (caller_object *c = atomic_load(&callers); c != NULL; c = c->next)
        if (c->base == info->dli_fbase && strcmp(c->path, info->dli_fname) == 0) return c;
    return NULL;
}

/* NULL: no memory. Two threads may both make an entry, which does no harm. */
static caller_object *find_caller(const Dl_info *info) {
    caller_object *c = search_callers(info);
    if (c != NULL || (c = calloc(1, sizeof *c)) == NULL) return c;
    c->path = strdup(info->dli_fname);
    if (c->path == NULL) {
        free(c);
        return NULL;
    }
    c->base = info->dli_fbase;
    c->next = atomic_load(&callers);
    while (!atomic_compare_exchange_weak(&callers, &c->next, c)) continue;
    return c;
}

static void *look_up(const char *name, const Dl_info *info) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function != NULL) return function;
    void *object = dlopen(info->dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (object == NULL) return NULL;
    function = dlsym(object, name);
    dlclose(object); /* the caller keeps it */
    return function;
}

void *loading_next(enum loader_function which, const void *caller) {
    Dl_info info;
    void *function = NULL;
    if (dladdr(caller, &info) == 0) info = (Dl_info){.dli_fname = ""}; /* code made at run time */
    caller_object *c = find_caller(&info);
    if (c != NULL) function = atomic_load(&c->functions[which]);
    if (function == NULL) function = look_up(NAMES[which], &info);
    if (c != NULL) atomic_store(&c->functions[which], function);
    if (function == NULL) {
        fprintf(stderr, "ljinspect: %s calls %s, and no library has it\n", info.dli_fname, NAMES[which]);
        _Exit(127);
    }
    return function;
}

/* ---- libljinspect ---- */

typedef int (*attach_fn)(struct lua_State *L, const ljinspect_attach_options *options);
typedef const char *(*strerror_fn)(int code);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* while it is loaded */
static const void *luajit_base;                          /* the object that LuaJIT is in, once `attach` is set */
static _Atomic(attach_fn) attach;
static strerror_fn strerror_of;
static bool failed;
static atomic_bool seen, told_foreign, told_error;

static void *function_in(void *object, const char *name) {
    void *function = dlsym(object, name);
    if (function == NULL) config_say("libljinspect lacks %s: another version?", name);
    return function;
}

/* Open the library that lies beside this one. Its undefined functions are looked for in the global scope. */
static void *open_library(void) {
    Dl_info self;
    char path[PATH_MAX];
    const char *slash = dladdr(&callers, &self) != 0 ? strrchr(self.dli_fname, '/') : NULL;
    if (slash == NULL) return dlopen(CONFIG_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    int n = snprintf(path, sizeof path, "%.*s/" CONFIG_LIBRARY, (int)(slash - self.dli_fname), self.dli_fname);
    return n > 0 && (size_t)n < sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* Whether the global scope has this LuaJIT and no other before it: libljinspect calls what is found there. */
static bool is_global(const void *base) {
    static const char *const tried[] = {"luaJIT_setmode", "lua_pcall", "lua_sethook", "lua_rawgeti"};
    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        Dl_info info;
        void *function = dlsym(RTLD_DEFAULT, tried[i]);
        if (function == NULL || dladdr(function, &info) == 0 || info.dli_fbase != base) return false;
    }
    return true;
}

/* Load libljinspect for the LuaJIT in the object `info` tells of. Under the lock; `failed` where that is not possible. */
static void load(const Dl_info *info) {
    if (!is_global(info->dli_fbase)) {
        /* Opened by a plug-in for itself: let others see it, too. It stays for good, as what is bound to it does. */
        dlopen(info->dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL | RTLD_NODELETE);
        if (!is_global(info->dli_fbase)) {
            config_say("%s: not attached, another Lua library comes before it in this process", info->dli_fname);
            failed = true;
            return;
        }
    }
    void *library = open_library();
    if (library == NULL) {
        config_say("not attached: %s", dlerror());
        failed = true;
        return;
    }
    union {
        void *object;
        attach_fn attach;
        strerror_fn strerror;
    } found = {.object = function_in(library, "ljinspect_strerror")};
    strerror_of = found.strerror;
    found.object = function_in(library, "ljinspect_attach");
    if (strerror_of == NULL || found.object == NULL) {
        failed = true;
        return;
    }
    luajit_base = info->dli_fbase;
    atomic_store(&attach, found.attach);
}

/* Whether the object is a LuaJIT: it has what no other Lua has. */
static bool is_luajit(const Dl_info *info) {
    Dl_info found;
    void *function = dlsym(RTLD_DEFAULT, "luaJIT_setmode");
    if (function != NULL && dladdr(function, &found) != 0 && found.dli_fbase == info->dli_fbase) return true;
    void *object = dlopen(info->dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (object == NULL) return false;
    function = dlsym(object, "luaJIT_setmode");
    dlclose(object);
    return function != NULL && dladdr(function, &found) != 0 && found.dli_fbase == info->dli_fbase;
}

static void attach_vm(struct lua_State *L) {
    const ljinspect_attach_options options = {
        .hooks_file = config.hooks_file, .breakpoints = config.breakpoints, .hits = config.hits};
    int error = atomic_load(&attach)(L, &options);
    if (error != 0 && !atomic_exchange(&told_error, true)) config_say("not attached: %s", strerror_of(error));
}

void loading_attach(struct lua_State *L, const void *next) {
    Dl_info info;
    if (dladdr(next, &info) == 0) return;
    if (atomic_load(&attach) == NULL) {
        if (!is_luajit(&info)) return;
        pthread_mutex_lock(&lock);
        atomic_store(&seen, true);
        if (atomic_load(&attach) == NULL && !failed) load(&info);
        pthread_mutex_unlock(&lock);
        if (atomic_load(&attach) == NULL) return;
    }
    if (info.dli_fbase == luajit_base)
        attach_vm(L);
    else if (is_luajit(&info) && !atomic_exchange(&told_foreign, true))
        config_say("%s: not attached, this process has two LuaJITs, and the other came first", info.dli_fname);
}

void loading_attach_inside(struct lua_State *L) {
    void *function = dlsym(RTLD_DEFAULT, "luaJIT_setmode");
    if (function != NULL) loading_attach(L, function);
}

bool loading_seen(void) {
    return atomic_load(&seen);
}
