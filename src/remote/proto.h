/*
 * Functions of a target: where their code is, its lines, and the names that its bytecode and debug information tell.
 */
#ifndef LJINSPECT_REMOTE_PROTO_H
#define LJINSPECT_REMOTE_PROTO_H

#include "vms.h"

enum { REMOTE_NAME_MAX = 128, REMOTE_SOURCE_MAX = 512, REMOTE_SHORT_MAX = 60 /* luaconf.h: LUA_IDSIZE */ };

/* A function object, and its prototype if it is a Lua function. */
typedef struct remote_func {
    uint64_t address;
    bool is_lua;
    uint8_t ffid;       /* number of a built-in function; 0 and 1: none */
    uint64_t header;    /* address of its first instruction */
    uint64_t c_address; /* of a C function */
    uint64_t proto;
    uint32_t n_ins;
    uint64_t constants;
    uint8_t numparams, framesize, flags;
    int firstline, numline;
    unsigned char head[VM_PT_SIZE]; /* the prototype, as it was read */
} remote_func;

/* False where there is no function. */
bool remote_read_func(target *t, const remote_vm *vm, uint64_t address, remote_func *f);
/* What a prototype tells of its functions, into `f`, which may hold a function already; false where there is none. */
bool remote_read_proto(target *t, uint64_t address, remote_func *f);
static inline bool remote_func_has(const remote_func *f, uint64_t pc) {
    return f->is_lua && pc >= f->header && pc < f->header + 4 * (uint64_t)f->n_ins && pc % 4 == 0;
}

/* The line of instruction `index`; 0 where it cannot be told. */
int remote_line(target *t, const remote_func *f, uint32_t index);
/* The chunk's name, with its first character, cut where it is longer than `size` - 1. Control characters stay. */
bool remote_source(target *t, const remote_func *f, char *out, size_t size);
/* As lua_Debug.short_src has it (lj_debug.c: lj_debug_shortname). `out` has REMOTE_SHORT_MAX bytes. */
void remote_short_source(const char *source, int firstline, char *out);

/* By what name the caller calls: `index` is its instruction that does. "" where it has none. */
void remote_call_name(target *t, const remote_vm *vm, const remote_func *caller, uint32_t index, char *name,
                      const char **what);

/* The name of the local variable in `slot` when instruction `index` runs; false where none is active there. */
bool remote_local_name(target *t, const remote_func *f, uint32_t index, uint32_t slot, char *name);

/* The name of an upvalue; false where the debug information was stripped. */
bool remote_upvalue_name(target *t, const remote_func *f, uint32_t n, char *name);

/* A string object, cut to `size` - 1; its whole length in `len`. False where there is none. */
bool remote_string(target *t, uint64_t address, char *out, size_t size, size_t *len);

#endif
