/*
 * Lua values as text or JSON: within bounds, and without running anything of the program's unless asked to.
 *
 * Bounds: how deep tables are opened, how many entries of each, how much of a string, and how much text in all: past
 * that, tables are closed and values reduced to their types, so that JSON stays JSON.
 */
#ifndef LJINSPECT_RENDER_H
#define LJINSPECT_RENDER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "mask.h"
#include "outbuf.h"

enum { RENDER_DEPTH_MAX = 20, RENDER_ENTRIES_MAX = 1000, RENDER_STRING_MAX = 65536, RENDER_BYTES_MAX = 1 << 20 };

typedef struct render_limits {
    int depth;   /* how many tables within each other are opened: 1 is a table's own entries; 0: none */
    int entries; /* of a table */
    int string;  /* bytes of a string */
    int bytes;   /* of the whole */
} render_limits;

typedef struct render {
    lua_State *L;
    outbuf *out;
    const render_limits *limits;
    const mask_list *masks;
    bool json;
    bool tostring; /* ask __tostring of values that have one */
    int depth;     /* tables open at the moment */
    const void *path[RENDER_DEPTH_MAX];
} render;

/* Whether the text has come to its bound. */
bool render_full(const render *r);

/* The value at `index`, in whose table or frame it is called `name` (NULL: nothing). May raise a memory error where the
 * Lua stack cannot grow; with `tostring` metamethods run, their errors become text. */
void render_value(render *r, int index, const char *name);

/* The value as a part of a line: a string stands for itself. */
void render_plain(render *r, int index);

#endif
