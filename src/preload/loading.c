#include "loading.h"

#include <dlfcn.h>
#include <limits.h>
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
 * what was opened with RTLD_GLOBAL), then among what the caller itself was opened with. So do we, at each call: two
 * plug-ins may each have a Lua of their own, and what was found once may have been closed, and lie elsewhere when it is
 * opened again.
 */

void *loading_next(enum loader_function which, const void *caller) {
    const char *name = NAMES[which];
    void *function = dlsym(RTLD_NEXT, name);
    Dl_info info = {.dli_fname = NULL};
    if (function == NULL && dladdr(caller, &info) != 0) {
        void *object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
        if (object != NULL) {
            function = dlsym(object, name);
            dlclose(object); /* the caller keeps it */
        }
    }
    if (function == NULL) {
        config_say("%s calls %s, and no library has it", info.dli_fname != NULL ? info.dli_fname : "code", name);
        _Exit(127);
    }
    return function;
}

/* ---- libljinspect ---- */

typedef int (*attach_fn)(struct lua_State *L, const ljinspect_attach_options *options);
typedef const char *(*strerror_fn)(int code);

/* The library, bound to one LuaJIT. */
typedef struct binding {
    const void *luajit_base; /* the object that LuaJIT is in */
    attach_fn attach;
    strerror_fn strerror;
} binding;

/* Set once, never freed. No lock: a thread may fork while another loads the library, or may be in a dlopen() and hold
 * the dynamic linker's lock. Two that load it at the same time find the same. */
static _Atomic(binding *) bound;
static atomic_bool failed, seen, told_foreign, told_error;

/* What keeps all VMs of this process from being attached to; said once. */
static void fail(const char *format, const char *what) __attribute__((format(printf, 1, 0)));

static void fail(const char *format, const char *what) {
    if (!atomic_exchange(&failed, true)) config_say(format, what);
}

/* Open the library that lies beside this one. Its undefined functions are looked for in the global scope. */
static void *open_library(void) {
    Dl_info self;
    char path[PATH_MAX];
    const char *slash = dladdr(&NAMES, &self) != 0 ? strrchr(self.dli_fname, '/') : NULL;
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

/* LuaJIT stays for good, as what is bound to it does. One that a plug-in has opened for itself is made global: it would
 * not be found else. */
static bool keep_global(const Dl_info *info) {
    int global = is_global(info->dli_fbase) ? 0 : RTLD_GLOBAL;
    void *object = dlopen(info->dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE | global);
    if (object != NULL) dlclose(object);
    return is_global(info->dli_fbase);
}

/* Load libljinspect for the LuaJIT in the object `info` tells of. NULL: not possible, and `failed`. */
static binding *load(const Dl_info *info) {
    if (!keep_global(info)) {
        fail("%s: not attached, another Lua library comes before it in this process", info->dli_fname);
        return NULL;
    }
    void *library = open_library();
    if (library == NULL) {
        const char *why = dlerror();
        fail("not attached: %s", why != NULL ? why : "libljinspect cannot be loaded");
        return NULL;
    }
    union {
        void *object;
        attach_fn attach;
        strerror_fn strerror;
    } attach = {.object = dlsym(library, "ljinspect_attach")},
      strerror = {.object = dlsym(library, "ljinspect_strerror")};
    if (attach.object == NULL || strerror.object == NULL) {
        fail("not attached: %s is of another version", CONFIG_LIBRARY);
        return NULL;
    }
    binding *new = malloc(sizeof *new), *other = NULL;
    if (new == NULL) {
        fail("not attached: %s", "no memory");
        return NULL;
    }
    *new = (binding){.luajit_base = info->dli_fbase, .attach = attach.attach, .strerror = strerror.strerror};
    if (atomic_compare_exchange_strong(&bound, &other, new)) return new;
    free(new);
    return other;
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

static void attach_vm(const binding *b, struct lua_State *L) {
    const ljinspect_attach_options options = {
        .hooks_file = config.hooks_file, .breakpoints = config.breakpoints, .hits = config.hits};
    int error = b->attach(L, &options);
    if (error != 0 && !atomic_exchange(&told_error, true)) config_say("not attached: %s", b->strerror(error));
}

/* The library for the LuaJIT that the function is in; NULL where there is none. */
static const binding *binding_for(const void *function) {
    Dl_info info;
    const binding *b = atomic_load(&bound);
    if (atomic_load(&failed) || dladdr(function, &info) == 0) return NULL;
    if (b == NULL) {
        if (!is_luajit(&info)) return NULL;
        atomic_store(&seen, true);
        if ((b = load(&info)) == NULL) return NULL;
    }
    if (info.dli_fbase == b->luajit_base) return b;
    if (is_luajit(&info) && !atomic_exchange(&told_foreign, true))
        config_say("%s: not attached, this process has two LuaJITs, and the other came first", info.dli_fname);
    return NULL;
}

void loading_attach(struct lua_State *L, enum loader_function which, const void *next) {
    static _Atomic(const void *) known[LOADER_COUNT]; /* functions of the LuaJIT that stays */
    const binding *b = next == atomic_load(&known[which]) ? atomic_load(&bound) : binding_for(next);
    if (b == NULL) return;
    atomic_store(&known[which], next);
    attach_vm(b, L);
}

void loading_attach_inside(struct lua_State *L) {
    void *function = dlsym(RTLD_DEFAULT, "luaJIT_setmode");
    const binding *b = function != NULL ? binding_for(function) : NULL;
    if (b != NULL) attach_vm(b, L);
}

bool loading_seen(void) {
    return atomic_load(&seen);
}
