#include "inside.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "config.h"
#include "loading.h"

struct lua_State;

static const char variable[] = "LUA_INIT";
static char *users;        /* LUA_INIT as the user has set it; NULL: not set */
static bool users_pending; /* it is still to be run */

/* ---- Is it one? ---- */

/* The executable is the first object. Its name is empty. */
static int search_executable(struct dl_phdr_info *info, size_t size, void *found) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_R) == 0 || (p->p_flags & PF_W) != 0) continue;
        union {
            ElfW(Addr) address;
            const void *memory;
        } at = {.address = info->dlpi_addr + p->p_vaddr};
        if (memmem(at.memory, p->p_filesz, variable, sizeof variable) != NULL) *(bool *)found = true;
    }
    return 1;
}

/* luajit -E takes no notice of LUA_INIT (luajit.c, collectargs: options end with the script, "-" or "--"; -e, -j and -l
 * take the next word where nothing follows in the same). */
static bool ignores_environment(int argc, char **argv) {
    for (int i = 1; i < argc && argv[i] != NULL && argv[i][0] == '-'; i++) {
        const char option = argv[i][1];
        if (option == 'E') return true;
        if (option == '\0' || option == '-') return false;
        if (strchr("ejl", option) != NULL && argv[i][2] == '\0') i++;
    }
    return false;
}

static bool is_inside(void) {
    union {
        unsigned long address;
        const void *memory;
    } headers = {.address = getauxval(AT_PHDR)}; /* the executable's */
    Dl_info executable, luajit;
    bool found = false;
    const void *function = dlsym(RTLD_DEFAULT, "luaJIT_setmode");
    if (function == NULL || dladdr(function, &luajit) == 0 || dladdr(headers.memory, &executable) == 0) return false;
    if (luajit.dli_fbase != executable.dli_fbase) return false;
    dl_iterate_phdr(search_executable, &found);
    return found;
}

/* ---- What LUA_INIT calls ---- */

/* These are in the executable; nothing but dlsym() can name them here. */
typedef int (*load_file_fn)(struct lua_State *L, const char *path);
typedef int (*load_buffer_fn)(struct lua_State *L, const char *code, size_t size, const char *name);
typedef int (*error_fn)(struct lua_State *L);

/* Push what the user has set LUA_INIT to, compiled as luajit does (luajit.c, handle_luainit). Returns 1; 0 where there
 * is none. Raises the errors of compiling. */
static int push_users(struct lua_State *L) {
    union {
        void *object;
        load_file_fn load_file;
        load_buffer_fn load_buffer;
        error_fn error;
    } load_file = {.object = dlsym(RTLD_DEFAULT, "luaL_loadfile")},
      load_buffer = {.object = dlsym(RTLD_DEFAULT, "luaL_loadbuffer")},
      error = {.object = dlsym(RTLD_DEFAULT, "lua_error")};
    if (!users_pending || load_file.object == NULL || load_buffer.object == NULL || error.object == NULL) return 0;
    users_pending = false;
    int status = users[0] == '@' ? load_file.load_file(L, users + 1)
                                 : load_buffer.load_buffer(L, users, strlen(users), "=LUA_INIT");
    return status == 0 ? 1 : error.error(L);
}

/* A C function for Lua: attaches, and returns what is to run then. */
__attribute__((visibility("default"))) int ljinspect_preload_attach(struct lua_State *L);

int ljinspect_preload_attach(struct lua_State *L) {
    if (users != NULL)
        setenv(variable, users, 1);
    else
        unsetenv(variable);
    loading_attach_inside(L);
    return push_users(L);
}

/* `path` may hold anything: every byte as Lua's decimal escape. */
static char *make_code(const char *path) {
    static const char before[] = "local f = package.loadlib(\"",
                      after[] = "\", \"ljinspect_preload_attach\") f = f and f() if f then return f() end";
    size_t size = sizeof before + sizeof after + 4 * strlen(path);
    char *code = malloc(size), *at = code;
    if (code == NULL) return NULL;
    at += sprintf(at, "%s", before);
    for (; *path != '\0'; path++) at += sprintf(at, "\\%03u", (unsigned)(unsigned char)*path);
    sprintf(at, "%s", after);
    return code;
}

void inside_start(int argc, char **argv) {
    Dl_info self;
    if (!is_inside() || ignores_environment(argc, argv) || dladdr(&variable, &self) == 0) return;
    const char *value = getenv(variable);
    char *code = make_code(self.dli_fname);
    if (value != NULL && code != NULL && strcmp(value, code) == 0) value = NULL; /* a parent has not used it */
    users = value != NULL ? strdup(value) : NULL;
    if (code == NULL || (value != NULL && users == NULL) || setenv(variable, code, 1) != 0)
        config_say("not attached: no memory");
    users_pending = users != NULL;
    free(code);
}
