/*
 * The Lua heap of a VM in a copy of its process's memory: every object, how large it is, and what holds it.
 *
 * Objects are found in two ways, by the collector's lists and from its roots: the lists have garbage, too, which is not
 * collected yet; the roots say who holds what. Nothing is believed that does not agree with itself: an object is counted as
 * inconsistent where its type, its size or its place is none that it can have. Each object is looked at once, and since
 * objects do not overlap the work is bounded by the copy's size; where they seem to, the walk ends.
 */
#ifndef LJINSPECT_REMOTE_HEAP_H
#define LJINSPECT_REMOTE_HEAP_H

#include <stdio.h>

#include "copy.h"
#include "sample.h"

/* Types from VM_TYPE_STRING to VM_TYPE_USERDATA. */
enum { HEAP_FIRST = VM_TYPE_STRING, HEAP_TYPES = VM_TYPE_USERDATA - VM_TYPE_STRING + 1, HEAP_TOP_MAX = 1000 };

/* How an object refers to another, with a number. */
typedef enum heap_link {
    LINK_ROOT,  /* heap_root */
    LINK_ARRAY, /* a table's value: index */
    LINK_HASH,  /* a table's value: number of the node that has its key */
    LINK_KEY,   /* a table's key: number of its node */
    LINK_METATABLE,
    LINK_ENV,        /* of a function, a userdata or a thread */
    LINK_UPVALUE,    /* of a Lua function, its number */
    LINK_VALUE,      /* what an upvalue is */
    LINK_C_UPVALUE,  /* of a C function, its number */
    LINK_PROTO,      /* of a function */
    LINK_CONSTANT,   /* of a prototype */
    LINK_CHUNK_NAME, /* of a prototype */
    LINK_TRACE,      /* of a prototype or a trace, the other's number */
    LINK_IN_TRACE,   /* a constant of a trace, or where it begins */
    LINK_SLOT,       /* of a thread's stack: slot */
    LINK_BUFFER      /* of a string.buffer */
} heap_link;

typedef enum heap_root {
    ROOT_GLOBALS,
    ROOT_REGISTRY,
    ROOT_MAIN,
    ROOT_CURRENT,   /* the coroutine that runs */
    ROOT_VM_THREAD, /* LuaJIT's own, for finalizers */
    ROOT_FINALIZE,  /* waits for its finalizer */
    ROOT_VM         /* + number: the VM's own: names and metatables of types, standard input and output */
} heap_root;

/* What holds an object first: on the shortest way from a root. */
typedef struct heap_node {
    uint64_t object; /* address, and the type above 48 bits */
    uint32_t parent; /* UINT32_MAX: a root holds it */
    uint32_t link;   /* heap_link above 27 bits, the number below */
    uint64_t held;   /* bytes of it and of all that was found through it first */
} heap_node;
enum { LINK_SHIFT = 27 };

typedef struct heap_sum {
    uint64_t count, bytes;
    uint64_t reached, reached_bytes; /* of these, what is held */
} heap_sum;

/* A way to an object: who holds it, and how. */
typedef struct heap_way {
    uint32_t parent, link;
} heap_way;

enum { HEAP_WAYS_MAX = 8 };

typedef struct heap_big {
    uint64_t object, own, held;   /* address; bytes */
    heap_way ways[HEAP_WAYS_MAX]; /* the shortest first */
    size_t n_ways;
    uint64_t holders; /* how many references there are */
} heap_big;

typedef struct heap_top {
    heap_big *list; /* the biggest first */
    size_t n;
} heap_top;

typedef enum heap_error { HEAP_OK, HEAP_BROKEN, HEAP_NO_MEMORY } heap_error;

typedef struct heap_options {
    size_t top;         /* how many of the biggest, at most HEAP_TOP_MAX */
    size_t ways;        /* how many ways to each, 1 to HEAP_WAYS_MAX */
    bool by_held;       /* the biggest with all that was found through them, not by themselves */
    unsigned types;     /* of which the biggest are wanted: 1 << (type - HEAP_FIRST) */
    uint64_t max_bytes; /* of memory for this */
    copy_progress_fn progress;
    void *arg;
} heap_options;

typedef struct heap_mode {
    uint64_t metatable;
    unsigned mode;
} heap_mode;
enum { HEAP_MODES_LOG = 14 };

typedef struct heap {
    copy *c;
    target *t; /* the copy's */
    remote_vm vm;
    uint64_t begin, end; /* of the VM's own allocation */
    uint64_t total;      /* what the VM says it has allocated */
    uint64_t vm_bytes;   /* of these, its own tables and buffers as far as they are known */
    heap_sum sums[HEAP_TYPES];
    uint64_t inconsistent; /* objects that do not agree with themselves */
    bool lists_broken;     /* the collector's lists could not be followed to their ends */
    bool overlaps;         /* objects seem to overlap: the walk was given up */
    bool stack_unknown;    /* the frame that runs could not be told: all of the stack counts */
    heap_top tops[HEAP_TYPES];
    heap_node *nodes;
    uint32_t n_nodes, max_nodes;

    /* For the walks. */
    const heap_options *options;
    copy_bits *listed, *reached;
    uint64_t work, max_work;
    uint64_t ctypes, n_ctypes, finalizers, finalizers_2022;
    remote_sample *running;
    sample_result running_result;
    heap_mode *modes; /* by metatable */
    uint64_t mode_work;
    bool no_memory;
    void (*listed_fn)(struct heap *h, uint64_t address, int type, uint32_t link, void *arg);
    void *listed_arg;
} heap;

/* Read all of it. HEAP_BROKEN where there is no VM in the copy. heap_free() in any case. */
heap_error heap_read(heap *h, copy *c, const remote_vm *vm, const heap_options *options);
/* Only look at the collector's lists: `visit` gets each object. The same otherwise. */
typedef void (*heap_visit_fn)(heap *h, uint64_t address, int type, uint32_t link, void *arg);
heap_error heap_list(heap *h, copy *c, const remote_vm *vm, heap_visit_fn visit, void *arg);
void heap_free(heap *h);

/* A field of a table by its name, or number `index` where the name is NULL: its value. False where there is none. */
bool heap_field(heap *h, uint64_t table, const char *name, uint64_t index, uint64_t *value);

static inline uint64_t heap_address(uint64_t object) {
    return object & ((UINT64_C(1) << 48) - 1);
}
static inline int heap_type(uint64_t object) {
    return (int)(object >> 48);
}
/* "table", "string"... */
const char *heap_type_name(int type);

/* A way in words, "_G.app.cache[3]", cut where it is longer. */
void heap_write_way(heap *h, heap_way way, FILE *out);

/* ---- Inside (heap*.c) ---- */

/* The head of an object of this type; NULL where there is none. */
const unsigned char *heap_object(heap *h, uint64_t address, int type);
/* Bytes that an object takes. False where it contradicts itself. */
bool heap_size(heap *h, uint64_t address, int type, uint64_t *size);
/* Count an object among those of its type, unless it was before. */
void heap_count(heap *h, uint64_t address, int type);

/* Each object that an object holds. */
void heap_each_link(heap *h, uint64_t object, heap_visit_fn visit, void *arg);
/* Each root. */
void heap_each_root(heap *h, heap_visit_fn visit, void *arg);
/* False where the walk is to end. */
bool heap_work(heap *h, uint64_t words);
static inline uint32_t heap_link_of(heap_link kind, uint64_t number) {
    const uint32_t most = (1U << LINK_SHIFT) - 1;
    return (uint32_t)kind << LINK_SHIFT | (number < most ? (uint32_t)number : most);
}
/* Nodes for all that can be reached, and the biggest. */
heap_error heap_reach(heap *h);

#endif
