/*
 * Ways in words: by the names of fields, local variables and upvalues.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "heap.h"

enum { KEY_SHOWN = 40, STEPS_SHOWN = 24 };

/* ---- Fields ---- */

static bool is_name(const char *text) {
    static const char letters[] = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    return *text != '\0' && (*text < '0' || *text > '9') && text[strspn(text, letters)] == '\0';
}

static void write_string_key(heap *h, uint64_t address, FILE *out) {
    char text[KEY_SHOWN + 1];
    size_t len;
    if (!remote_string(h->t, address, text, sizeof text, &len)) {
        fputs("[?]", out);
    } else if (len == strlen(text) && is_name(text)) {
        fprintf(out, ".%s", text);
    } else {
        fprintf(out, "[\"%s\"%s]", text, len > KEY_SHOWN ? "..." : "");
    }
}

/* lj_obj.h: the complements of tags. */
static void write_key(heap *h, uint64_t key, FILE *out) {
    enum { FALSE = 1, TRUE, LIGHT, INTEGER = 13 };
    double number;
    int type = vm_is_double(key) ? -1 : vm_type_of(key);
    switch (type) {
    case -1:
        memcpy(&number, &key, sizeof number);
        fprintf(out, "[%.14g]", number);
        break;
    case FALSE: fputs("[false]", out); break;
    case TRUE: fputs("[true]", out); break;
    case LIGHT: fputs("[light userdata]", out); break;
    case INTEGER: fprintf(out, "[%d]", (int)(uint32_t)key); break;
    case VM_TYPE_STRING: write_string_key(h, key & VM_ADDRESS_MASK, out); break;
    default: fprintf(out, "[%s: 0x%" PRIx64 "]", heap_type_name(type), (uint64_t)(key & VM_ADDRESS_MASK));
    }
}

/* The key of a table's node. */
static bool node_key(heap *h, uint64_t table, uint64_t number, uint64_t *key) {
    const unsigned char *t = copy_at(h->c, table, VM_TAB_BYTES);
    const unsigned char *node =
        t != NULL ? copy_at(h->c, vm_u64(t, VM_TAB_NODE) + VM_NODE_BYTES * number, VM_NODE_BYTES) : NULL;
    if (node == NULL) return false;
    *key = vm_u64(node, VM_NODE_KEY);
    return true;
}

/* ---- Upvalues and local variables ---- */

static void write_upvalue(heap *h, uint64_t function, uint32_t number, FILE *out) {
    remote_func f;
    char name[REMOTE_NAME_MAX], source[REMOTE_SOURCE_MAX], file[REMOTE_SHORT_MAX];
    bool is_func = remote_read_func(h->t, &h->vm, function, &f);
    if (is_func && remote_upvalue_name(h->t, &f, number, name)) {
        fprintf(out, " (upvalue %s", name);
    } else {
        fprintf(out, " (upvalue %u", number + 1);
    }
    if (is_func && remote_source(h->t, &f, source, sizeof source)) {
        remote_short_source(source, f.firstline, file);
        fprintf(out, ", %s:%d", file, f.firstline);
    }
    fputc(')', out);
}

/* What a slot is to the frame it is in: frames stand in the order of their slots, the highest first. */
static void write_frame_slot(heap *h, const remote_frames *frames, size_t i, uint64_t at, FILE *out) {
    const remote_frame *f = &frames->list[i];
    char name[REMOTE_NAME_MAX];
    remote_text x;
    remote_describe(h->t, &h->vm, frames, i, &x);
    uint64_t slot = (at - f->frame) / 8;
    if (at < f->frame) {
        fputs(" (function", out);
    } else if (f->known && remote_local_name(h->t, &f->func, f->index, (uint32_t)slot, name) && name[0] != '(') {
        fprintf(out, " (local %s", name);
    } else {
        fprintf(out, " (slot %" PRIu64, slot + 1);
    }
    if (x.name[0] != '\0') fprintf(out, " of '%s'", x.name);
    if (x.line > 0) {
        fprintf(out, ", %s:%d)", x.short_source, x.line);
    } else if (x.is_lua) {
        fprintf(out, ", %s:%d)", x.short_source, x.linedefined);
    } else {
        fprintf(out, " in C)");
    }
}

static void write_slot(heap *h, uint64_t thread, uint32_t number, FILE *out) {
    enum { FRAMES = 60000 };
    remote_thread th;
    remote_stack *own = NULL;
    const remote_frames *frames = NULL;
    if (!remote_read_thread(h->t, &h->vm, thread, &th)) th = (remote_thread){0};
    uint64_t at = th.stack + 8 * (uint64_t)number;
    for (size_t k = 0; k < h->running->n; k++)
        if (h->running->stack[k].where.thread.address == thread) frames = &h->running->stack[k].frames;
    if (frames == NULL && th.stack != 0 && (own = calloc(1, sizeof *own)) != NULL &&
        remote_sample_thread(h->t, &h->vm, &th, FRAMES, own) == SAMPLE_OK)
        frames = &own->frames;
    bool written = false;
    for (size_t i = 0; frames != NULL && !written && i < frames->n; i++) {
        const remote_frame *f = &frames->list[i];
        if (at >= f->frame - 16) {
            write_frame_slot(h, frames, i, at, out);
            written = true;
        } else if (f->varargs != 0 && at >= f->varargs) {
            fputs(" (extra argument)", out);
            written = true;
        }
    }
    if (!written) fprintf(out, " (stack slot %u)", number);
    if (own != NULL) remote_free_frames(&own->frames);
    free(own);
}

/* ---- Roots ---- */

static void write_vm_root(heap *h, uint32_t number, FILE *out) {
    static const char *const types[VM_ROOT_METATABLES] = {
        "nil",        "booleans",  "booleans", "light userdata", "strings", "upvalues", "threads",
        "prototypes", "functions", "traces",   "cdata",          "tables",  "userdata", "numbers"};
    uint32_t names = 0;
    const unsigned char *roots = copy_at(h->c, h->vm.g + h->vm.g_cur_l + VM_CUR_L_ROOTS, 8 * (uint64_t)VM_ROOTS_MAX);
    while (roots != NULL && names < VM_ROOTS_MAX &&
           heap_object(h, vm_u64(roots, 8 * (ptrdiff_t)names), VM_TYPE_STRING) != NULL)
        names++;
    if (number < names) {
        fputs("name of a metamethod", out);
    } else if (number - names < VM_ROOT_METATABLES) {
        fprintf(out, "metatable of %s", types[number - names]);
    } else if (number - names < VM_ROOT_METATABLES + 2) {
        fprintf(out, "default %s", number - names == VM_ROOT_METATABLES ? "input" : "output");
    } else {
        fputs("finalizers of the FFI", out);
    }
}

static void write_root(heap *h, uint32_t number, FILE *out) {
    static const char *const names[] = {
        "_G", "registry", "main thread", "running coroutine", "LuaJIT's own thread", "waits for its finalizer"};
    if (number < ROOT_VM) {
        fputs(names[number], out);
    } else {
        write_vm_root(h, number - ROOT_VM, out);
    }
}

/* ---- Steps ---- */

static void write_step(heap *h, heap_way way, FILE *out) {
    const heap_link kind = (heap_link)(way.link >> LINK_SHIFT);
    const uint32_t number = way.link & ((1U << LINK_SHIFT) - 1);
    const uint64_t from = way.parent != UINT32_MAX ? heap_address(h->nodes[way.parent].object) : 0;
    uint64_t key;
    switch (kind) {
    case LINK_ROOT: write_root(h, number, out); break;
    case LINK_ARRAY: fprintf(out, "[%u]", number); break;
    case LINK_HASH:
        if (node_key(h, from, number, &key)) {
            write_key(h, key, out);
        } else {
            fputs("[?]", out);
        }
        break;
    case LINK_KEY: fputs(" (key)", out); break;
    case LINK_METATABLE: fputs(" (metatable)", out); break;
    case LINK_ENV: fputs(" (environment)", out); break;
    case LINK_UPVALUE: write_upvalue(h, from, number, out); break;
    case LINK_VALUE: break;
    case LINK_C_UPVALUE: fprintf(out, " (upvalue %u of a C function)", number + 1); break;
    case LINK_PROTO: fputs(" (code)", out); break;
    case LINK_CONSTANT: fputs(" (constant)", out); break;
    case LINK_CHUNK_NAME: fputs(" (chunk name)", out); break;
    case LINK_TRACE: fprintf(out, " (trace %u)", number); break;
    case LINK_IN_TRACE: fputs(" (in compiled code)", out); break;
    case LINK_SLOT: write_slot(h, from, number, out); break;
    case LINK_BUFFER: fputs(" (buffer)", out); break;
    }
}

/* "registry._LOADED" is known as package.loaded. */
static bool is_loaded(heap *h, heap_way root, heap_way step) {
    uint64_t key;
    char text[16];
    size_t len;
    return root.link == heap_link_of(LINK_ROOT, ROOT_REGISTRY) && step.link >> LINK_SHIFT == LINK_HASH &&
           node_key(h, heap_address(h->nodes[step.parent].object), step.link & ((1U << LINK_SHIFT) - 1), &key) &&
           remote_object(key, VM_TYPE_STRING) != 0 &&
           remote_string(h->t, remote_object(key, VM_TYPE_STRING), text, sizeof text, &len) &&
           strcmp(text, "_LOADED") == 0;
}

void heap_write_way(heap *h, heap_way way, FILE *out) {
    enum { MOST_MS = 2000 };                       /* names that a hostile target makes up may have no end */
    heap_way begin[STEPS_SHOWN], end[STEPS_SHOWN]; /* the steps nearest to the root, and to the object */
    uint64_t n = 1;
    for (uint32_t at = way.parent; at != UINT32_MAX; at = h->nodes[at].parent) n++;
    uint64_t i = n;
    for (heap_way at = way;;) {
        i--;
        if (i < STEPS_SHOWN) begin[i] = at;
        if (n - i <= STEPS_SHOWN) end[n - i - 1] = at;
        if (at.parent == UINT32_MAX) break;
        const heap_node *node = &h->nodes[at.parent];
        at = (heap_way){.parent = node->parent, .link = node->link};
    }
    target_limit(h->t, MOST_MS);
    uint64_t first = n < STEPS_SHOWN ? n : STEPS_SHOWN;
    i = 0;
    if (first > 1 && is_loaded(h, begin[0], begin[1])) {
        fputs("package.loaded", out);
        i = 2;
    }
    for (; i < first; i++) write_step(h, begin[i], out);
    uint64_t left = n - first, last = left < STEPS_SHOWN ? left : STEPS_SHOWN;
    if (left > last) fprintf(out, " ... %" PRIu64 " more ... ", left - last);
    while (last-- > 0) write_step(h, end[last], out);
    target_limit(h->t, 0);
}
