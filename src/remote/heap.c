/*
 * Every object of a VM: by the collector's lists (lj_gc.c, lj_str.c), and how large each is (what lj_*_free gives back).
 */
#include "heap.h"

#include <stdlib.h>
#include <string.h>

const char *heap_type_name(int type) {
    static const char *const names[HEAP_TYPES] = {"string", "upvalue", "thread", "prototype", "function",
                                                  "trace",  "cdata",   "table",  "userdata"};
    return type >= HEAP_FIRST && type < HEAP_FIRST + HEAP_TYPES ? names[type - HEAP_FIRST] : "?";
}

bool heap_work(heap *h, uint64_t words) {
    h->work += words;
    if (h->work > h->max_work) h->overlaps = true;
    return !h->overlaps && !h->no_memory;
}

const unsigned char *heap_object(heap *h, uint64_t address, int type) {
    enum { HEAD = 16 };
    const unsigned char *o = address % 8 == 0 ? copy_at(h->c, address, HEAD) : NULL;
    return o != NULL && o[VM_GC_TYPE] == type ? o : NULL;
}

/* ---- Sizes ---- */

static bool string_size(const unsigned char *o, uint64_t *size) {
    *size = VM_STR_DATA + (((uint64_t)vm_u32(o, VM_STR_LEN) + 4) & ~UINT64_C(3));
    return true;
}

static bool func_size(const unsigned char *o, uint64_t *size) {
    unsigned n = o[VM_FUNC_NUPVALUES];
    *size = 8 * (uint64_t)n + (o[VM_FUNC_FFID] == 0 ? VM_FUNC_UPVALUES : VM_FUNC_C_UPVALUES);
    return true;
}

static bool trace_size(const unsigned char *o, uint64_t *size) {
    uint64_t nins = vm_u32(o, VM_TR_NINS), nk = vm_u32(o, VM_TR_NK);
    if (nk > nins || nins > UINT64_C(65536)) return false;
    *size =
        VM_TR_SIZE + 8 * (nins - nk) + 12 * (uint64_t)vm_u16(o, VM_TR_NSNAP) + 4 * (uint64_t)vm_u32(o, VM_TR_NSNAPMAP);
    return true;
}

/* lj_ctype.h: ctype_raw, CType: attributes stand before the type they belong to. */
static bool cdata_size(heap *h, uint64_t address, const unsigned char *o, uint64_t *size) {
    enum { CID_MASK = 0xffff, POINTER = 8, TURNS = 64 };
    if ((o[VM_GC_MARKED] & VM_CD_IS_VAR) != 0) {
        const unsigned char *head = copy_at(h->c, address - 8, 8);
        if (head == NULL) return false;
        *size = (uint64_t)vm_u32(head, 8 + VM_CD_VAR_LEN) + vm_u16(head, 8 + VM_CD_VAR_EXTRA);
        return true;
    }
    uint64_t id = vm_u16(o, VM_CD_TYPE);
    for (int i = 0; i < TURNS; i++) {
        const unsigned char *ct = id < h->n_ctypes ? copy_at(h->c, h->ctypes + VM_CT_BYTES * id, VM_CT_BYTES) : NULL;
        if (ct == NULL) return false;
        uint32_t info = vm_u32(ct, VM_CT_INFO), bytes = vm_u32(ct, VM_CT_SIZE);
        if (info >> VM_CT_KIND_SHIFT != VM_CT_ATTRIB) {
            *size = VM_CD_BYTES + (bytes != UINT32_MAX ? (uint64_t)bytes : POINTER);
            return true;
        }
        id = info & CID_MASK;
    }
    return false;
}

/* lj_tab.c: lj_tab_free. A small array part may be allocated with the table. */
static bool table_size(heap *h, const unsigned char *o, uint64_t *size) {
    enum { COLO_SIZE = 0x7f, COLO_LEFT = 0x80 }; /* slots allocated with it, and whether it has others now */
    uint64_t asize = vm_u32(o, VM_TAB_ASIZE), nodes = (uint64_t)vm_u32(o, VM_TAB_HMASK) + 1;
    const unsigned colo = o[VM_TAB_COLO];
    if ((nodes & (nodes - 1)) != 0) return false;
    if (asize > 0 && copy_at(h->c, vm_u64(o, VM_TAB_ARRAY), 8 * asize) == NULL) return false;
    *size = VM_TAB_BYTES + 8 * (uint64_t)(colo & COLO_SIZE);
    if (colo == 0 || (colo & COLO_LEFT) != 0) *size += 8 * asize;
    if (nodes == 1) return true;
    *size += VM_NODE_BYTES * nodes;
    return copy_at(h->c, vm_u64(o, VM_TAB_NODE), VM_NODE_BYTES * nodes) != NULL;
}

/* What an SBuf has allocated. */
static uint64_t buffer_size(heap *h, const unsigned char *b) {
    uint64_t begin = vm_u64(b, VM_SBUF_B), size = vm_u64(b, VM_SBUF_E) - begin;
    return size > 0 && copy_at(h->c, begin, size) != NULL ? size : 0;
}

static bool userdata_size(heap *h, uint64_t address, const unsigned char *o, uint64_t *size) {
    *size = VM_UD_BYTES + (uint64_t)vm_u32(o, VM_UD_LEN);
    if (copy_at(h->c, address, *size) == NULL) return false;
    if (o[VM_UD_TYPE] != VM_UD_BUFFER) return true;
    const unsigned char *b = copy_at(h->c, address + VM_UD_BYTES, VM_BUF_BYTES);
    if (b == NULL) return false;
    if ((vm_u64(b, VM_SBUF_L) & VM_BUF_NOT_OWN) == 0) *size += buffer_size(h, b);
    return true;
}

static bool thread_size(heap *h, uint64_t address, const unsigned char *o, uint64_t *size) {
    remote_thread th;
    if (!remote_read_thread(h->t, &h->vm, address, &th)) return false;
    *size = 8 * (uint64_t)vm_u32(o, VM_L_STACKSIZE);
    if (address != h->vm.main) *size += h->vm.g - h->vm.main; /* the main thread is part of the VM's own */
    return copy_at(h->c, th.stack, 8 * (uint64_t)vm_u32(o, VM_L_STACKSIZE)) != NULL;
}

/* The head alone tells how long an object's head is. */
static uint64_t head_size(const unsigned char *o, int type) {
    switch (type) {
    case VM_TYPE_STRING: return VM_STR_DATA;
    case VM_TYPE_UPVALUE: return VM_UV_BYTES;
    case VM_TYPE_THREAD: return VM_L_STACKSIZE + 4;
    case VM_TYPE_PROTO: return VM_PT_SIZE;
    case VM_TYPE_FUNC: return VM_FUNC_C_UPVALUES;
    case VM_TYPE_TRACE: return VM_TR_SIZE;
    case VM_TYPE_TABLE: return VM_TAB_BYTES;
    case VM_TYPE_USERDATA: return VM_UD_BYTES;
    default: (void)o; return VM_CD_BYTES;
    }
}

/* What an object and its parts in allocations of their own take; each must be in the copy. */
bool heap_size(heap *h, uint64_t address, int type, uint64_t *size) {
    const unsigned char *o = heap_object(h, address, type);
    bool ok = true;
    *size = 0;
    if (o == NULL || (type != VM_TYPE_FUNC && copy_at(h->c, address, head_size(o, type)) == NULL)) return false;
    switch (type) {
    case VM_TYPE_STRING: ok = string_size(o, size); break;
    case VM_TYPE_UPVALUE: *size = VM_UV_BYTES; break;
    case VM_TYPE_THREAD: return thread_size(h, address, o, size);
    case VM_TYPE_PROTO:
        *size = vm_u32(o, VM_PT_SIZEPT);
        ok = *size >= VM_PT_SIZE + 4 * (uint64_t)vm_u32(o, VM_PT_SIZEBC);
        break;
    case VM_TYPE_FUNC: ok = func_size(o, size); break;
    case VM_TYPE_TRACE: ok = trace_size(o, size); break;
    case VM_TYPE_CDATA: return cdata_size(h, address, o, size);
    case VM_TYPE_TABLE: return table_size(h, o, size);
    case VM_TYPE_USERDATA: return userdata_size(h, address, o, size);
    default: return false;
    }
    return ok && copy_at(h->c, address, *size) != NULL;
}

void heap_count(heap *h, uint64_t address, int type) {
    heap_sum *sum = &h->sums[type - HEAP_FIRST];
    uint64_t size;
    if (copy_bits_set(h->listed, h->c, address)) return;
    if (!heap_size(h, address, type, &size)) h->inconsistent++;
    sum->count++;
    sum->bytes += size;
    if (h->listed_fn != NULL) h->listed_fn(h, address, type, 0, h->listed_arg);
    /* Words of the language are never collected. */
    const unsigned char *o = copy_at(h->c, address, VM_CD_BYTES);
    if (type != VM_TYPE_STRING || o == NULL || (o[VM_GC_MARKED] & VM_GC_IS_FIXED) == 0) return;
    if (copy_bits_set(h->reached, h->c, address)) return;
    sum->reached++;
    sum->reached_bytes += size;
}

/* ---- The lists ---- */

/* A list of objects, of one type or (0) of any. Open upvalues hang on their thread. False where it is broken. */
static bool walk_list(heap *h, uint64_t object, int only) {
    while (object != 0) {
        const unsigned char *o = object % 8 == 0 ? copy_at(h->c, object, VM_CD_BYTES) : NULL;
        if (o == NULL || !heap_work(h, 1)) return false;
        int type = o[VM_GC_TYPE];
        if (type < HEAP_FIRST || type >= HEAP_FIRST + HEAP_TYPES || (only != 0 && type != only)) return false;
        if (copy_bits_test(h->listed, h->c, object)) return false; /* back into itself */
        heap_count(h, object, type);
        if (type == VM_TYPE_THREAD) {
            const unsigned char *th = copy_at(h->c, object, VM_L_ENV);
            if (th == NULL || !walk_list(h, vm_u64(th, VM_L_OPENUPVAL), VM_TYPE_UPVALUE)) h->lists_broken = true;
        }
        object = vm_u64(o, VM_GC_NEXT);
        if (h->options->progress != NULL && h->work % 65536 == 0)
            h->options->progress("objects", h->work, 0, h->options->arg);
    }
    return true;
}

/* The ring of what waits for its finalizer. */
static bool walk_ring(heap *h, uint64_t first) {
    uint64_t object = first;
    while (object != 0) {
        const unsigned char *o = object % 8 == 0 ? copy_at(h->c, object, VM_CD_BYTES) : NULL;
        if (o == NULL || !heap_work(h, 1)) return false;
        int type = o[VM_GC_TYPE];
        if (type != VM_TYPE_USERDATA && type != VM_TYPE_CDATA) return false;
        if (copy_bits_test(h->listed, h->c, object)) return false;
        heap_count(h, object, type);
        object = vm_u64(o, VM_GC_NEXT);
        if (object == first) return true;
    }
    return true;
}

/* A chain for each hash value; the lowest bit tells which hash it was. */
static bool walk_strings(heap *h, const unsigned char *g) {
    uint64_t n = (uint64_t)vm_u32(g, VM_G_STRMASK) + 1;
    const unsigned char *table = copy_at(h->c, vm_u64(g, VM_G_STRTAB), 8 * n);
    bool ok = true;
    if (table == NULL || (n & (n - 1)) != 0) return false;
    h->vm_bytes += 8 * n;
    for (uint64_t i = 0; i < n && heap_work(h, 1); i++)
        ok = walk_list(h, vm_u64(table, (ptrdiff_t)(8 * i)) & ~UINT64_C(1), VM_TYPE_STRING) && ok;
    return ok;
}

/* ---- What the VM has beside objects ---- */

static void find_ctypes(heap *h, const unsigned char *g) {
    uint64_t at = vm_u64(g, (ptrdiff_t)h->vm.g_cur_l + VM_CUR_L_CTYPES);
    const unsigned char *cts = at != 0 && at % 8 == 0 ? copy_at(h->c, at, VM_CTS_SIZE + 8) : NULL;
    if (cts == NULL || vm_u64(cts, VM_CTS_G) != h->vm.g) return;
    uint64_t n = vm_u32(cts, VM_CTS_TOP), size = vm_u32(cts, VM_CTS_SIZETAB);
    if (n > size || copy_at(h->c, vm_u64(cts, VM_CTS_TAB), VM_CT_BYTES * size) == NULL) return;
    h->ctypes = vm_u64(cts, VM_CTS_TAB);
    h->n_ctypes = n;
    h->finalizers_2022 = vm_u64(cts, VM_CTS_SIZE);
    h->vm_bytes += VM_CT_BYTES * size;
}

/* lj_jit.h: jit_State. Buffers of the compiler stand before the list of traces. */
static void count_jit(heap *h) {
    enum { BEFORE = 56, IR = 0, TOP = 8, BOTTOM = 12, SNAPS = 20, MAP_SIZE = 40, TRACES = 56, N_TRACES = 68, ALL = 72 };
    enum { BIAS = 0x8000, REFS = 0x10000, SNAPMAP_MAX = 1 << 24, NUMBERS = 1000 };
    remote_trace trace;
    for (unsigned i = 1; h->vm.traces_at == 0 && i < NUMBERS; i++) remote_read_trace(h->t, &h->vm, i, &trace);
    const unsigned char *j = h->vm.traces_at != 0 ? copy_at(h->c, h->vm.traces_at - BEFORE, ALL) : NULL;
    if (j == NULL) return;
    h->vm_bytes += 8 * (uint64_t)vm_u32(j, N_TRACES);
    uint64_t top = vm_u32(j, TOP), bottom = vm_u32(j, BOTTOM), snaps = vm_u32(j, SNAPS), map = vm_u32(j, MAP_SIZE);
    if (bottom > BIAS || top < BIAS || top > REFS || snaps > REFS || map > SNAPMAP_MAX) return;
    h->vm_bytes += 8 * (top - bottom) + 12 * snaps + 4 * map;
}

static void count_own(heap *h, const unsigned char *g) {
    enum {
        HEADERS = 8,
        ALIGNED = 16
    }; /* lj_dispatch.h: GG_State: a word for each built-in function behind the table */
    const unsigned known = 2 * h->vm.n_ops + HEADERS;
    const unsigned builtins = h->vm.n_dispatch > known ? h->vm.n_dispatch - known : 0;
    h->begin = h->vm.main;
    h->end = h->vm.dispatch != 0 ? h->vm.dispatch + 8 * (uint64_t)h->vm.n_dispatch + 4 * (uint64_t)builtins
                                 : h->vm.g + REMOTE_G_SIZE;
    h->end = (h->end + ALIGNED - 1) & ~(uint64_t)(ALIGNED - 1);
    h->vm_bytes = h->end - h->begin + buffer_size(h, g + VM_G_TMPBUF);
    find_ctypes(h, g);
    count_jit(h);
}

/* ---- All of it ---- */

/* What the thread that runs has on its stack above L->top. */
static bool sample_running(heap *h) {
    enum { FRAMES = 60000 };
    const sample_options options = {.max_frames = FRAMES};
    h->running = calloc(1, sizeof *h->running);
    if (h->running == NULL) return false;
    h->running_result = remote_sample_vm(h->t, &h->vm, &options, h->running);
    if (h->running_result == SAMPLE_NO_MEMORY) return false;
    if (h->running_result != SAMPLE_OK) h->running->n = 0;
    h->stack_unknown = h->running_result != SAMPLE_OK && h->running_result != SAMPLE_IDLE;
    return true;
}

static heap_error read_lists(heap *h, const remote_vm *vm) {
    remote_state state;
    const unsigned char *g = copy_at(h->c, vm->g, REMOTE_G_SIZE);
    if (g == NULL || !remote_read_state(h->t, vm, &state)) return HEAP_BROKEN;
    h->listed = copy_bits_new(h->c);
    h->reached = copy_bits_new(h->c);
    h->modes = calloc((size_t)1 << HEAP_MODES_LOG, sizeof *h->modes);
    if (h->listed == NULL || h->reached == NULL || h->modes == NULL) return HEAP_NO_MEMORY;
    h->max_work = copy_words(h->c) + 65536;
    h->total = state.heap;
    count_own(h, g);
    bool ok = walk_list(h, vm_u64(g, VM_G_GC_ROOT), 0);
    ok = walk_ring(h, vm_u64(g, VM_G_MMUDATA)) && ok;
    ok = walk_strings(h, g) && ok;
    h->lists_broken = h->lists_broken || !ok;
    h->work = 0;
    return HEAP_OK;
}

heap_error heap_read(heap *h, copy *c, const remote_vm *vm, const heap_options *options) {
    *h = (heap){.c = c, .t = copy_target(c), .vm = *vm, .options = options};
    heap_error error = read_lists(h, vm);
    if (error != HEAP_OK) return error;
    return sample_running(h) ? heap_reach(h) : HEAP_NO_MEMORY;
}

heap_error heap_list(heap *h, copy *c, const remote_vm *vm, heap_visit_fn visit, void *arg) {
    static const heap_options none = {.top = 0};
    *h = (heap){.c = c, .t = copy_target(c), .vm = *vm, .options = &none, .listed_fn = visit, .listed_arg = arg};
    return read_lists(h, vm);
}

void heap_free(heap *h) {
    for (int i = 0; i < HEAP_TYPES; i++) free(h->tops[i].list);
    free(h->nodes);
    free(h->modes);
    copy_bits_free(h->listed);
    copy_bits_free(h->reached);
    if (h->running != NULL) remote_free_sample(h->running);
    free(h->running);
    *h = (heap){0};
}
