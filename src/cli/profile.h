/*
 * A profile: how often which stack was seen. Stacks share what they begin with, as branches of a tree.
 */
#ifndef LJINSPECT_CLI_PROFILE_H
#define LJINSPECT_CLI_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum frame_kind {
    FRAME_FUNCTION, /* of Lua */
    FRAME_NATIVE,   /* a C function */
    FRAME_LINE,     /* the line that ran, below its function */
    FRAME_STATE     /* what LuaJIT did: collect garbage, compile */
} frame_kind;

typedef struct profile_frame {
    frame_kind kind;
    char *where; /* "app.lua:10": file, and the line where the function begins, or the line that ran */
    char *name;  /* a function's; "": none is known yet */
} profile_frame;

/* A place in the tree. 0 is the root, which has no frame. */
typedef struct profile_node {
    uint32_t parent, frame;
    uint64_t self; /* samples that end here */
} profile_node;

typedef struct profile {
    profile_frame *frames;
    size_t n_frames, max_frames;
    profile_node *nodes;
    size_t n_nodes, max_nodes;
    uint32_t *frame_table, *node_table; /* hash tables of numbers above 0 */
    size_t frame_slots, node_slots;
    uint64_t samples;
    double seconds_a_sample;
    char title[256];
} profile;

/* False: no memory. */
bool profile_init(profile *p);
void profile_free(profile *p);

/* The number of a frame, the same for the same kind and `where`; for C functions also `name` counts. UINT32_MAX: no
 * memory. Characters that formats give a meaning are replaced. */
uint32_t profile_frame_id(profile *p, frame_kind kind, const char *where, const char *name);
/* Give a function that has none the name by which it was called. False: no memory. */
bool profile_name(profile *p, uint32_t frame, const char *name);
/* Count a stack, the outermost frame first. False: no memory, or too many samples to be counted. */
bool profile_add(profile *p, const uint32_t *frames, size_t n, uint64_t count);

/* "work@app.lua:10", "[C] gsub", "app.lua:14" or "(garbage collector)". */
void profile_label(const profile_frame *f, char *out, size_t size);

/* Samples that each frame is the last of, or in at all (once where it is in a stack several times): arrays of n_frames.
 * False: no memory. */
bool profile_sums(const profile *p, uint64_t *self, uint64_t *total);

/* profile_write.c, profile_html.c, profile_pprof.c. False with errno; ENOTSUP where the build cannot. */
bool profile_write_folded(const profile *p, FILE *out);
bool profile_write_speedscope(const profile *p, FILE *out);
bool profile_write_html(const profile *p, FILE *out);
bool profile_write_pprof(const profile *p, FILE *out);
/* Read folded stacks, those of others included. False with a sentence in `why`. */
bool profile_read_folded(profile *p, FILE *in, const char **why);

#endif
