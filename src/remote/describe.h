/*
 * Frames in words: what debug.getinfo() and debug.traceback() would say of them.
 */
#ifndef LJINSPECT_REMOTE_DESCRIBE_H
#define LJINSPECT_REMOTE_DESCRIBE_H

#include "frames.h"

typedef struct remote_text {
    char name[REMOTE_NAME_MAX];     /* by which it was called; "": none is known */
    const char *what;               /* "local", "global", "method", "field", "upvalue", "metamethod" or "" */
    char source[REMOTE_SOURCE_MAX]; /* as lua_Debug has it */
    char short_source[REMOTE_SHORT_MAX];
    int line; /* 0: not known */
    int linedefined;
    bool is_lua, is_main;
    unsigned builtin;   /* number of a built-in function; 0: none */
    uint64_t c_address; /* of a C function */
} remote_text;

/* Frame `i`; the target must hold still since the walk. */
void remote_describe(target *t, const remote_vm *vm, const remote_frames *frames, size_t i, remote_text *text);
/* A line as debug.traceback() prints it, without the indent. */
void remote_traceback_line(const remote_text *text, char *out, size_t size);

/* A local variable: its name and its value in Lua's words. False where the frame has no more. `slot` is 0 for the first. */
bool remote_local(target *t, const remote_where *where, const remote_frame *frame, uint32_t slot, char *name,
                  char *value, size_t size);

#endif
