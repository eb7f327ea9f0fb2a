/*
 * What can be told of a program before it runs: whether libljinspect-preload.so will reach its LuaJIT.
 */
#ifndef LJINSPECT_CLI_PROGRAM_H
#define LJINSPECT_CLI_PROGRAM_H

enum program_kind {
    PROGRAM_PRELOAD,  /* dynamically linked: preloading works, if it uses a shared LuaJIT */
    PROGRAM_LUA_INIT, /* LuaJIT inside, exported, LUA_INIT is read: like the luajit command */
    PROGRAM_INSIDE,   /* LuaJIT inside and out of reach */
    PROGRAM_STATIC,   /* statically linked as a whole: nothing can be preloaded */
    PROGRAM_SETUID,   /* the system ignores what is to be preloaded */
    PROGRAM_FOREIGN,  /* for another processor or word size */
    PROGRAM_UNKNOWN   /* no ELF file that can be read; to be tried */
};

/* Look at the executable file `path`; for a script at its interpreter. */
enum program_kind program_kind(const char *path);

/* The path of `name` as execvp would find it, in memory of its own. NULL with errno: ENOENT, or EACCES for a file that
 * may not be executed. */
char *program_find(const char *name);

#endif
