/*
 * A C program that embeds LuaJIT and knows nothing of ljinspect. What it prints depends on its script alone.
 *
 *   embed once SCRIPT          one VM
 *   embed bare SCRIPT          one VM with some of the libraries, opened one by one: no `require`, no `jit`
 *   embed many COUNT SCRIPT    so many VMs, one after the other
 *   embed keep COUNT SCRIPT    so many VMs at the same time
 *   embed threads COUNT SCRIPT so many threads, each with a VM of its own, all at the same time
 *   embed fork SCRIPT          one VM; runs the script, then again in a child process
 *   embed elsewhere DIRECTORY SCRIPT  goes there, then one VM
 * A script gets a number as its argument, that of the VM, and returns a string that is printed. `pause(ms)` is there.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pause_ms(lua_State *L) {
    long ms = (long)luaL_checkinteger(L, 1);
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
    return 0;
}

static lua_State *open_vm(int bare) {
    static const luaL_Reg some[] = {{"", luaopen_base}, {LUA_STRLIBNAME, luaopen_string}, {NULL, NULL}};
    lua_State *L = luaL_newstate();
    if (L == NULL) exit(2);
    if (!bare) luaL_openlibs(L);
    for (const luaL_Reg *lib = some; bare && lib->func != NULL; lib++) {
        lua_pushcfunction(L, lib->func);
        lua_pushstring(L, lib->name);
        lua_call(L, 1, 0);
    }
    lua_register(L, "pause", pause_ms);
    return L;
}

/* Run the script; what it returns is left on the stack. */
static const char *run(lua_State *L, const char *script, int number) {
    if (luaL_loadfile(L, script) == 0) {
        lua_pushinteger(L, number);
        if (lua_pcall(L, 1, 1, 0) == 0) return lua_tostring(L, -1);
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
}

static void one(const char *script, int number, int bare) {
    lua_State *L = open_vm(bare);
    printf("%s\n", run(L, script, number));
    lua_close(L);
}

static void keep(const char *script, int count) {
    lua_State **all = calloc((size_t)count, sizeof *all);
    if (all == NULL) exit(2);
    for (int i = 0; i < count; i++) printf("%s\n", run(all[i] = open_vm(0), script, i + 1));
    for (int i = 0; i < count; i++) lua_close(all[i]);
    free(all);
}

typedef struct job {
    pthread_t thread;
    const char *script;
    int number;
    char *result;
} job;

static void *run_job(void *arg) {
    job *j = arg;
    lua_State *L = open_vm(0);
    j->result = strdup(run(L, j->script, j->number));
    lua_close(L);
    return NULL;
}

static void threads(const char *script, int count) {
    job *jobs = calloc((size_t)count, sizeof *jobs);
    if (jobs == NULL) exit(2);
    for (int i = 0; i < count; i++) {
        jobs[i].script = script;
        jobs[i].number = i + 1;
        if (pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]) != 0) exit(2);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(jobs[i].thread, NULL);
        printf("%s\n", jobs[i].result);
        free(jobs[i].result);
    }
    free(jobs);
}

static int in_child_too(const char *script) {
    int status = 0;
    lua_State *L = open_vm(0);
    printf("parent: %s\n", run(L, script, 1));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) printf("child: %s\n", run(L, script, 2));
    if (child > 0) waitpid(child, &status, 0);
    lua_close(L);
    return status != 0;
}

int embed_main(int argc, char **argv);

int embed_main(int argc, char **argv) {
    const char *how = argc > 2 ? argv[1] : "", *script = argc > 2 ? argv[argc - 1] : NULL;
    int count = argc > 3 ? atoi(argv[2]) : 1;
    if (strcmp(how, "once") == 0 || strcmp(how, "bare") == 0) {
        one(script, 1, strcmp(how, "bare") == 0);
    } else if (strcmp(how, "elsewhere") == 0 && argc > 3 && chdir(argv[2]) == 0) {
        one(script, 1, 0);
    } else if (strcmp(how, "many") == 0) {
        for (int i = 1; i <= count; i++) one(script, i, 0);
    } else if (strcmp(how, "keep") == 0) {
        keep(script, count);
    } else if (strcmp(how, "threads") == 0) {
        threads(script, count);
    } else if (strcmp(how, "fork") == 0) {
        return in_child_too(script);
    } else {
        fputs("embed once|bare|elsewhere DIRECTORY|many COUNT|keep COUNT|threads COUNT|fork SCRIPT\n", stderr);
        return 2;
    }
    return 0;
}

#ifndef EMBED_PLUGIN
int main(int argc, char **argv) {
    return embed_main(argc, argv);
}
#endif
