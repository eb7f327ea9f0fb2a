/*
 * Names of an expression as variables of the hooked function: its innermost active local of the name, else its upvalue,
 * else the global of its environment.
 *
 * At the returns of functions some names stand for what is known of the return: RESOLVE_RETURNS and what follows.
 *
 * Where the variables are is found once and remembered. The same instruction has the same locals; where the engine
 * cannot tell, which locals are active is checked at each hit, by the innermost of them: locals live on a stack, so the
 * same innermost local at the same place means the same ones below.
 */
#ifndef LJINSPECT_RESOLVE_H
#define LJINSPECT_RESOLVE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;

typedef enum resolve_kind {
    RESOLVE_GLOBAL,
    RESOLVE_LOCAL,
    RESOLVE_UPVALUE,
    RESOLVE_RETURNS, /* "returns", "duration_us", "tail_call" */
    RESOLVE_DURATION,
    RESOLVE_TAIL_CALL
} resolve_kind;

typedef struct resolve_name {
    char *text;
    resolve_kind kind;
    int index; /* local or upvalue */
} resolve_name;

enum { RESOLVE_NAMES_MAX = 240, RESOLVE_HIDDEN_MAX = 12 };

typedef struct resolver {
    resolve_name *names;
    int n;
    bool at_return;   /* of a hook on returns; set before names are added */
    bool returns;     /* "returns" is among the names */
    int slot;         /* of the context's weak table, where the function lies that the names were found in; 0: none */
    bool valid;       /* the names have been found */
    uint64_t site;    /* the instruction they were found at, see engine.h; 0: unknown */
    bool only_locals; /* all of them are locals */
    int named;        /* index of the innermost local with a name of its own; 0 for none */
    int active;       /* how many locals are active; those past `named` are the compiler's own */
    const char *seen[RESOLVE_HIDDEN_MAX + 1]; /* their names, from `named` on */
    const void *function;                     /* the function; tells closures apart where no local has a name */
} resolver;

/* The index of a name, which is added if it is new. RESOLVE_FULL: there are too many; RESOLVE_NO_MEMORY. */
enum { RESOLVE_FULL = -1, RESOLVE_NO_MEMORY = -2 };
int resolve_add(resolver *r, const char *text, size_t len);

/* Give up what the context holds. Raises no error. */
void resolve_forget(resolver *r, struct context *c);

/* Free all but the structure itself and what the context holds. */
void resolve_free(resolver *r);

/* What one hit is resolved against. */
typedef struct resolve_frame {
    struct context *context;
    lua_State *L;
    const lua_Debug *frame;
    int function; /* stack index of the hooked function; 0: not needed so far */
    int returns;  /* the same of the list of returned values, or of nil where it was not made so far */
} resolve_frame;

/* Find the variables, or see that they are where they were. May leave the function on the stack. May raise a memory
 * error. */
void resolve_prepare(resolver *r, resolve_frame *f);

/* Whether the names were found at the very instruction of this hit, see engine.h: then they are where they were. */
bool resolve_is_known(const resolver *r, const struct context *c);

/* The same, without a frame: push the value of a local, or what is known of a return but for its values; there is room for
 * it. False, with nothing pushed, for another name. To be called where resolve_is_known(). */
bool resolve_push_local(const resolver *r, struct context *c, lua_State *L, int name);

/* Push the value of a name. False where that takes a function: a global that a metamethod of the environment gives.
 * Nothing is pushed then, and resolve_call pushes it, or the error and returns its status. Each needs 4 stack slots. */
bool resolve_push(const resolver *r, const resolve_frame *f, int name);
int resolve_call(const resolver *r, const resolve_frame *f, int name);

/* Push the list of the values that are returned at a hit of a return, with their number in `n`. May raise a memory error. */
void resolve_push_returns(lua_State *L, struct context *c);

#endif
