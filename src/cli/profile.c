#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- Tables: open addressing, at most half full ---- */

static uint64_t mix(uint64_t h, uint64_t value) {
    h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t frame_hash(frame_kind kind, const char *where, const char *name) {
    uint64_t h = (uint64_t)kind + 1;
    for (const char *c = where; *c != '\0'; c++) h = mix(h, (unsigned char)*c);
    if (kind == FRAME_NATIVE)
        for (const char *c = name; *c != '\0'; c++) h = mix(h, (unsigned char)*c);
    return h;
}

static uint64_t node_hash(const profile_node *n) {
    return mix(mix(1, n->parent), n->frame);
}

static void put(uint32_t *table, size_t slots, uint64_t hash, uint32_t value) {
    size_t i = hash % slots;
    while (table[i] != 0) i = (i + 1) % slots;
    table[i] = value;
}

/* Room for one more; tables hold numbers + 1. */
static bool grow_frames(profile *p) {
    if (p->n_frames < p->max_frames) return true;
    size_t more = p->max_frames == 0 ? 256 : 2 * p->max_frames;
    profile_frame *longer = realloc(p->frames, more * sizeof *longer);
    if (longer == NULL) return false;
    p->frames = longer;
    uint32_t *table = calloc(2 * more, sizeof *table);
    if (table == NULL) return false;
    for (size_t i = 0; i < p->n_frames; i++) {
        const profile_frame *f = &p->frames[i];
        put(table, 2 * more, frame_hash(f->kind, f->where, f->name), (uint32_t)i + 1);
    }
    free(p->frame_table);
    p->frame_table = table;
    p->frame_slots = 2 * more;
    p->max_frames = more;
    return true;
}

static bool grow_nodes(profile *p) {
    if (p->n_nodes < p->max_nodes) return true;
    size_t more = p->max_nodes == 0 ? 1024 : 2 * p->max_nodes;
    profile_node *longer = realloc(p->nodes, more * sizeof *longer);
    if (longer == NULL) return false;
    p->nodes = longer;
    uint32_t *table = calloc(2 * more, sizeof *table);
    if (table == NULL) return false;
    for (size_t i = 1; i < p->n_nodes; i++) put(table, 2 * more, node_hash(&p->nodes[i]), (uint32_t)i);
    free(p->node_table);
    p->node_table = table;
    p->node_slots = 2 * more;
    p->max_nodes = more;
    return true;
}

/* ---- Making one ---- */

bool profile_init(profile *p) {
    *p = (profile){.seconds_a_sample = 1};
    if (!grow_frames(p) || !grow_nodes(p)) {
        profile_free(p);
        return false;
    }
    p->nodes[0] = (profile_node){0};
    p->n_nodes = 1;
    return true;
}

void profile_free(profile *p) {
    for (size_t i = 0; i < p->n_frames; i++) {
        free(p->frames[i].where);
        free(p->frames[i].name);
    }
    free(p->frames);
    free(p->nodes);
    free(p->frame_table);
    free(p->node_table);
    *p = (profile){0};
}

static char *clean_copy(const char *text) {
    char *copy = strdup(text);
    if (copy != NULL) text_clean(copy, ";");
    return copy;
}

uint32_t profile_frame_id(profile *p, frame_kind kind, const char *where, const char *name) {
    if (!grow_frames(p)) return UINT32_MAX;
    profile_frame new = {.kind = kind, .where = clean_copy(where), .name = clean_copy(name)};
    if (new.where != NULL &&new.name != NULL) {
        uint64_t hash = frame_hash(kind, new.where, new.name);
        size_t i = hash % p->frame_slots;
        for (; p->frame_table[i] != 0; i = (i + 1) % p->frame_slots) {
            const profile_frame *f = &p->frames[p->frame_table[i] - 1];
            bool same = f->kind == kind && strcmp(f->where, new.where) == 0;
            if (!same || (kind == FRAME_NATIVE && strcmp(f->name, new.name) != 0)) continue;
            free(new.where);
            free(new.name);
            return p->frame_table[i] - 1;
        }
        p->frame_table[i] = (uint32_t)p->n_frames + 1;
        p->frames[p->n_frames] = new;
        return (uint32_t)p->n_frames++;
    }
    free(new.where);
    free(new.name);
    return UINT32_MAX;
}

bool profile_name(profile *p, uint32_t frame, const char *name) {
    if (p->frames[frame].name[0] != '\0' || p->frames[frame].kind == FRAME_NATIVE) return true;
    char *copy = clean_copy(name);
    if (copy == NULL) return false;
    free(p->frames[frame].name);
    p->frames[frame].name = copy;
    return true;
}

static uint32_t child(profile *p, uint32_t parent, uint32_t frame) {
    if (!grow_nodes(p)) return UINT32_MAX;
    profile_node new = {.parent = parent, .frame = frame};
    size_t i = node_hash(&new) % p->node_slots;
    for (; p->node_table[i] != 0; i = (i + 1) % p->node_slots) {
        const profile_node *n = &p->nodes[p->node_table[i]];
        if (n->parent == parent && n->frame == frame) return p->node_table[i];
    }
    p->node_table[i] = (uint32_t)p->n_nodes;
    p->nodes[p->n_nodes] = new;
    return (uint32_t)p->n_nodes++;
}

bool profile_add(profile *p, const uint32_t *frames, size_t n, uint64_t count) {
    uint32_t at = 0;
    if (count > UINT64_MAX - p->samples) return false;
    for (size_t i = 0; i < n; i++) {
        at = child(p, at, frames[i]);
        if (at == UINT32_MAX) return false;
    }
    p->nodes[at].self += count;
    p->samples += count;
    return true;
}

/* ---- Asking one ---- */

void profile_label(const profile_frame *f, char *out, size_t size) {
    int n;
    switch (f->kind) {
    case FRAME_FUNCTION: n = snprintf(out, size, "%s@%s", f->name[0] != '\0' ? f->name : "?", f->where); break;
    case FRAME_NATIVE: n = snprintf(out, size, "[C] %s", f->name[0] != '\0' ? f->name : f->where); break;
    default: n = snprintf(out, size, "%s", f->where);
    }
    if (n < 0 || (size_t)n >= size) text_end_whole(out);
}

bool profile_sums(const profile *p, uint64_t *self, uint64_t *total) {
    uint32_t *last = calloc(p->n_frames + 1, sizeof *last); /* the node that counted a frame last */
    if (last == NULL) return false;
    memset(self, 0, p->n_frames * sizeof *self);
    memset(total, 0, p->n_frames * sizeof *total);
    for (uint32_t i = 1; i < p->n_nodes; i++) {
        if (p->nodes[i].self == 0) continue;
        /* The line that ran belongs to its function. */
        bool own = true;
        for (uint32_t at = i; at != 0; at = p->nodes[at].parent) {
            uint32_t frame = p->nodes[at].frame;
            if (own) self[frame] += p->nodes[i].self;
            if (last[frame] != i) total[frame] += p->nodes[i].self;
            last[frame] = i;
            own = own && p->frames[frame].kind == FRAME_LINE;
        }
    }
    free(last);
    return true;
}
