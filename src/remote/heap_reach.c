/*
 * What can be reached from the roots, breadth first: so that the way to each object is a shortest one. And the biggest.
 */
#include <stdlib.h>
#include <string.h>

#include "heap.h"

/* ---- The biggest ---- */

static uint64_t rank(const heap *h, const heap_big *b) {
    return h->options->by_held ? b->held : b->own;
}

/* The smallest is the last until heap_reach() sorts: then it is the one to be replaced. */
static void consider(heap *h, int type, const heap_big *b) {
    heap_top *top = &h->tops[type - HEAP_FIRST];
    if ((h->options->types >> (type - HEAP_FIRST) & 1) == 0 || h->options->top == 0) return;
    if (top->list == NULL) top->list = calloc(h->options->top, sizeof *top->list);
    if (top->list == NULL) {
        h->no_memory = true;
        return;
    }
    if (top->n == h->options->top) {
        if (rank(h, b) <= rank(h, &top->list[top->n - 1])) return;
        top->n--;
    }
    size_t i = top->n++;
    for (; i > 0 && rank(h, &top->list[i - 1]) < rank(h, b); i--) top->list[i] = top->list[i - 1];
    top->list[i] = *b;
}

/* ---- Breadth first ---- */

static bool add_node(heap *h, const heap_node *node) {
    enum { FIRST = 65536 };
    if (h->n_nodes == h->max_nodes) {
        uint64_t more = h->max_nodes == 0 ? FIRST : 2 * (uint64_t)h->max_nodes;
        heap_node *longer = NULL;
        if (more < UINT32_MAX && more * sizeof *longer <= h->options->max_bytes)
            longer = realloc(h->nodes, more * sizeof *longer);
        if (longer == NULL) return false;
        h->nodes = longer;
        h->max_nodes = (uint32_t)more;
    }
    h->nodes[h->n_nodes++] = *node;
    return true;
}

static bool is_leaf(int type) {
    return type == VM_TYPE_STRING || type == VM_TYPE_CDATA;
}

static void reach(heap *h, uint64_t address, int type, uint32_t link, void *arg) {
    const uint32_t parent = *(const uint32_t *)arg;
    uint64_t size;
    if (heap_object(h, address, type) == NULL) {
        h->inconsistent++;
        return;
    }
    if (copy_bits_set(h->reached, h->c, address)) return;
    const bool own = address >= h->begin && address < h->end; /* the empty string, the main thread */
    if (!own || type == VM_TYPE_THREAD) heap_count(h, address, type);
    if (!heap_size(h, address, type, &size)) size = 0;
    if (own && type != VM_TYPE_THREAD) size = 0;
    heap_sum *sum = &h->sums[type - HEAP_FIRST];
    sum->reached += !own || type == VM_TYPE_THREAD;
    sum->reached_bytes += size;
    if (is_leaf(type)) {
        const heap_big b = {
            .object = address, .own = size, .held = size, .ways = {{.parent = parent, .link = link}}, .n_ways = 1};
        if (parent != UINT32_MAX) h->nodes[parent].held += size;
        consider(h, type, &b);
        return;
    }
    const heap_node node = {.object = address | (uint64_t)type << 48, .parent = parent, .link = link, .held = size};
    if (!add_node(h, &node)) h->no_memory = true;
}

/* Bytes are added up from the ends of the ways to their beginnings, which come first. */
static void sum_up(heap *h) {
    for (uint32_t i = h->n_nodes; i-- > 0;) {
        const heap_node *n = &h->nodes[i];
        if (n->parent != UINT32_MAX) h->nodes[n->parent].held += n->held;
    }
    for (uint32_t i = 0; i < h->n_nodes; i++) {
        const heap_node *n = &h->nodes[i];
        heap_big b = {.object = heap_address(n->object),
                      .held = n->held,
                      .ways = {{.parent = n->parent, .link = n->link}},
                      .n_ways = 1};
        int type = heap_type(n->object);
        if ((h->options->types >> (type - HEAP_FIRST) & 1) == 0) continue;
        heap_size(h, b.object, type, &b.own);
        consider(h, type, &b);
    }
}

/* ---- Other ways to the biggest ---- */

enum { SLOTS = 1 << 15 };

typedef struct wanted {
    heap_big *slots[SLOTS]; /* by address */
    uint32_t parent;
} wanted;

static heap_big **find(wanted *w, uint64_t address) {
    size_t i = address / 8 * UINT64_C(0x9e3779b97f4a7c15) >> 49;
    while (w->slots[i % SLOTS] != NULL && w->slots[i % SLOTS]->object != address) i++;
    return &w->slots[i % SLOTS];
}

static void note_way(heap *h, uint64_t address, int type, uint32_t link, void *arg) {
    wanted *w = arg;
    heap_big *b = *find(w, address);
    (void)type;
    if (b == NULL) return;
    b->holders++;
    if (b->n_ways >= h->options->ways || (b->ways[0].parent == w->parent && b->ways[0].link == link)) return;
    b->ways[b->n_ways++] = (heap_way){.parent = w->parent, .link = link};
}

/* Who comes first is nearest to a root: further ways are in the order of their lengths, too. */
static void find_ways(heap *h) {
    _Static_assert(HEAP_TOP_MAX * HEAP_TYPES < SLOTS / 2, "tables of addresses stay half empty");
    wanted *w = calloc(1, sizeof *w);
    if (w == NULL) {
        h->no_memory = true;
        return;
    }
    for (int i = 0; i < HEAP_TYPES; i++)
        for (size_t k = 0; k < h->tops[i].n; k++) *find(w, h->tops[i].list[k].object) = &h->tops[i].list[k];
    h->work = 0;
    w->parent = UINT32_MAX;
    heap_each_root(h, note_way, w);
    for (uint32_t i = 0; i < h->n_nodes && heap_work(h, 1); i++) {
        w->parent = i;
        heap_each_link(h, h->nodes[i].object, note_way, w);
        if (h->options->progress != NULL && i % 65536 == 0)
            h->options->progress("ways", i, h->n_nodes, h->options->arg);
    }
    free(w);
}

heap_error heap_reach(heap *h) {
    uint32_t parent = UINT32_MAX;
    heap_each_root(h, reach, &parent);
    for (uint32_t i = 0; i < h->n_nodes && !h->no_memory && !h->overlaps; i++) {
        parent = i;
        heap_each_link(h, h->nodes[i].object, reach, &parent);
        if (h->options->progress != NULL && i % 65536 == 0)
            h->options->progress("reached", i, h->n_nodes, h->options->arg);
    }
    sum_up(h);
    const uint64_t inconsistent = h->inconsistent; /* the second look counts nothing */
    if (!h->no_memory && h->options->top > 0) find_ways(h);
    h->inconsistent = inconsistent;
    return h->no_memory ? HEAP_NO_MEMORY : HEAP_OK;
}
