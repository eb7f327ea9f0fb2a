/*
 * What an object holds, as the collector sees it (lj_gc.c: gc_traverse_*): weak entries of tables hold nothing.
 */
#include <string.h>

#include "heap.h"

enum { WEAK_KEYS = 1, WEAK_VALUES = 2 };

typedef struct walk {
    heap *h;
    heap_visit_fn visit;
    void *arg;
} walk;

/* A tagged value. */
static void value(const walk *w, uint64_t v, heap_link kind, uint64_t number) {
    int type = vm_is_double(v) ? -1 : vm_type_of(v);
    if (type >= HEAP_FIRST && type < HEAP_FIRST + HEAP_TYPES)
        w->visit(w->h, v & VM_ADDRESS_MASK, type, heap_link_of(kind, number), w->arg);
}

/* The same in a weak table: strings are values, which are not cleared (lj_gc.c: gc_mayclear). */
static void weak_value(const walk *w, bool weak, uint64_t v, heap_link kind, uint64_t number) {
    if (!weak || remote_object(v, VM_TYPE_STRING) != 0) value(w, v, kind, number);
}

/* An address that is known to be of one type. */
static void object(const walk *w, uint64_t address, int type, heap_link kind, uint64_t number) {
    if (address != 0) w->visit(w->h, address, type, heap_link_of(kind, number), w->arg);
}

/* An address without a type: that in the object's head counts. */
static void untyped(const walk *w, uint64_t address, heap_link kind, uint64_t number) {
    const unsigned char *o = address % 8 == 0 ? copy_at(w->h->c, address, VM_CD_BYTES) : NULL;
    if (address == 0) return;
    if (o == NULL || o[VM_GC_TYPE] < HEAP_FIRST || o[VM_GC_TYPE] >= HEAP_FIRST + HEAP_TYPES) {
        w->h->inconsistent++;
        return;
    }
    object(w, address, o[VM_GC_TYPE], kind, number);
}

/* ---- Tables ---- */

static bool is_string(heap *h, uint64_t v, const char *text) {
    const uint64_t at = vm_is_double(v) ? 0 : remote_object(v, VM_TYPE_STRING);
    const unsigned char *o = at != 0 ? heap_object(h, at, VM_TYPE_STRING) : NULL;
    size_t len = strlen(text);
    if (o == NULL) return false;
    const unsigned char *s = copy_at(h->c, at, VM_STR_DATA + len + 1);
    return s != NULL && vm_u32(s, VM_STR_LEN) == len && memcmp(s + VM_STR_DATA, text, len) == 0;
}

bool heap_field(heap *h, uint64_t address, const char *name, uint64_t index, uint64_t *found) {
    const unsigned char *o = heap_object(h, address, VM_TYPE_TABLE);
    const unsigned char *t = o != NULL ? copy_at(h->c, address, VM_TAB_BYTES) : NULL;
    if (t == NULL) return false;
    if (name == NULL) {
        const unsigned char *slot =
            index < vm_u32(t, VM_TAB_ASIZE) ? copy_at(h->c, vm_u64(t, VM_TAB_ARRAY) + 8 * index, 8) : NULL;
        if (slot != NULL) *found = vm_u64(slot, 0);
        return slot != NULL;
    }
    uint64_t n = (uint64_t)vm_u32(t, VM_TAB_HMASK) + 1;
    const unsigned char *nodes = copy_at(h->c, vm_u64(t, VM_TAB_NODE), VM_NODE_BYTES * n);
    for (uint64_t i = 0; nodes != NULL && i < n; i++) {
        if (!is_string(h, vm_u64(nodes, (ptrdiff_t)(VM_NODE_BYTES * i + VM_NODE_KEY)), name)) continue;
        *found = vm_u64(nodes, (ptrdiff_t)(VM_NODE_BYTES * i + VM_NODE_VALUE));
        return true;
    }
    return false;
}

/* A metatable may be looked at more than once. */
static bool mode_work(heap *h) {
    enum { TIMES = 4 };
    if (++h->mode_work > TIMES * h->max_work) h->overlaps = true;
    return !h->overlaps;
}

/* The metatable's __mode. */
static unsigned read_mode(heap *h, uint64_t metatable) {
    const unsigned char *o = heap_object(h, metatable, VM_TYPE_TABLE);
    const unsigned char *t = o != NULL ? copy_at(h->c, metatable, VM_TAB_BYTES) : NULL;
    unsigned mode = 0;
    if (t == NULL || vm_u32(t, VM_TAB_HMASK) == 0) return 0;
    uint64_t n = (uint64_t)vm_u32(t, VM_TAB_HMASK) + 1;
    const unsigned char *nodes = copy_at(h->c, vm_u64(t, VM_TAB_NODE), VM_NODE_BYTES * n);
    for (uint64_t i = 0; nodes != NULL && i < n && mode_work(h); i++) {
        const unsigned char *node = nodes + VM_NODE_BYTES * i;
        uint64_t v = vm_u64(node, VM_NODE_VALUE);
        if (!is_string(h, vm_u64(node, VM_NODE_KEY), "__mode") || remote_object(v, VM_TYPE_STRING) == 0) continue;
        char text[16];
        size_t len;
        if (!remote_string(h->t, remote_object(v, VM_TYPE_STRING), text, sizeof text, &len)) continue;
        if (strchr(text, 'k') != NULL) mode |= WEAK_KEYS;
        if (strchr(text, 'v') != NULL) mode |= WEAK_VALUES;
    }
    return mode;
}

/* Metatables are few, as a rule. */
static unsigned mode_of(heap *h, uint64_t metatable) {
    if (metatable == 0) return 0;
    heap_mode *m = &h->modes[(metatable / 8 * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - HEAP_MODES_LOG)];
    if (m->metatable != metatable) *m = (heap_mode){.metatable = metatable, .mode = read_mode(h, metatable)};
    return m->mode;
}

static void table(const walk *w, uint64_t address) {
    heap *h = w->h;
    const unsigned char *t = copy_at(h->c, address, VM_TAB_BYTES);
    if (t == NULL) return;
    uint64_t metatable = vm_u64(t, VM_TAB_METATABLE), asize = vm_u32(t, VM_TAB_ASIZE);
    uint64_t n = (uint64_t)vm_u32(t, VM_TAB_HMASK) + 1;
    unsigned mode = mode_of(h, metatable);
    object(w, metatable, VM_TYPE_TABLE, LINK_METATABLE, 0);
    if (address == h->finalizers || address == h->finalizers_2022) mode &= ~(unsigned)WEAK_VALUES;
    const unsigned char *array = asize > 0 ? copy_at(h->c, vm_u64(t, VM_TAB_ARRAY), 8 * asize) : NULL;
    const bool weak_keys = (mode & WEAK_KEYS) != 0, weak_values = (mode & WEAK_VALUES) != 0;
    if (array != NULL) {
        if (!heap_work(h, asize)) return;
        for (uint64_t i = 0; i < asize; i++)
            weak_value(w, weak_values, vm_u64(array, (ptrdiff_t)(8 * i)), LINK_ARRAY, i);
    }
    if (n == 1) return;
    const unsigned char *nodes = copy_at(h->c, vm_u64(t, VM_TAB_NODE), VM_NODE_BYTES * n);
    if (nodes == NULL || !heap_work(h, VM_NODE_BYTES / 8 * n)) return;
    for (uint64_t i = 0; i < n; i++) {
        const unsigned char *node = nodes + VM_NODE_BYTES * i;
        uint64_t v = vm_u64(node, VM_NODE_VALUE);
        if (v == UINT64_MAX) continue; /* nil: the key is dead */
        weak_value(w, weak_values, v, LINK_HASH, i);
        weak_value(w, weak_keys, vm_u64(node, VM_NODE_KEY), LINK_KEY, i);
    }
}

/* ---- Functions ---- */

static void function(const walk *w, uint64_t address) {
    const unsigned char *f = copy_at(w->h->c, address, VM_FUNC_UPVALUES);
    if (f == NULL) return;
    unsigned n = f[VM_FUNC_NUPVALUES];
    bool lua = f[VM_FUNC_FFID] == 0;
    object(w, vm_u64(f, VM_FUNC_ENV), VM_TYPE_TABLE, LINK_ENV, 0);
    if (lua) object(w, vm_u64(f, VM_FUNC_PC) - VM_PT_SIZE, VM_TYPE_PROTO, LINK_PROTO, 0);
    uint64_t at = address + (lua ? VM_FUNC_UPVALUES : VM_FUNC_C_UPVALUES);
    const unsigned char *up = n > 0 ? copy_at(w->h->c, at, 8 * (uint64_t)n) : NULL;
    for (unsigned i = 0; up != NULL && i < n; i++) {
        uint64_t v = vm_u64(up, 8 * (ptrdiff_t)i);
        if (lua) {
            object(w, v, VM_TYPE_UPVALUE, LINK_UPVALUE, i);
        } else {
            value(w, v, LINK_C_UPVALUE, i);
        }
    }
}

static void upvalue(const walk *w, uint64_t address) {
    const unsigned char *u = copy_at(w->h->c, address, VM_UV_BYTES);
    const unsigned char *v = u != NULL ? copy_at(w->h->c, vm_u64(u, VM_UV_V), 8) : NULL;
    if (v != NULL) {
        value(w, vm_u64(v, 0), LINK_VALUE, 0);
    } else {
        w->h->inconsistent++;
    }
}

static void trace_link(const walk *w, unsigned number) {
    remote_trace trace;
    if (number != 0 && w->h->vm.traces_at != 0 && remote_read_trace(w->h->t, &w->h->vm, number, &trace))
        object(w, trace.address, VM_TYPE_TRACE, LINK_TRACE, number);
}

static void proto(const walk *w, uint64_t address) {
    const unsigned char *p = copy_at(w->h->c, address, VM_PT_SIZE);
    if (p == NULL) return;
    uint64_t n = vm_u32(p, VM_PT_SIZEKGC), end = vm_u64(p, VM_PT_K);
    object(w, vm_u64(p, VM_PT_CHUNKNAME), VM_TYPE_STRING, LINK_CHUNK_NAME, 0);
    const unsigned char *k = n > 0 ? copy_at(w->h->c, end - 8 * n, 8 * n) : NULL;
    if (n > 0 && k == NULL) w->h->inconsistent++;
    if (k != NULL && heap_work(w->h, n))
        for (uint64_t i = 0; i < n; i++) untyped(w, vm_u64(k, (ptrdiff_t)(8 * (n - 1 - i))), LINK_CONSTANT, i);
    trace_link(w, vm_u16(p, VM_PT_TRACE));
}

/*
 * Constants of compiled code: an instruction, whose type is the object's, and the object's address behind it. Numbers of
 * instructions differ between builds, so what is no object that the lists have is passed over.
 */
static void trace(const walk *w, uint64_t address) {
    enum { BIAS = 0x8000, IR_BYTES = 8, IR_TYPE = 4, TYPE_MASK = 31 };
    heap *h = w->h;
    const unsigned char *t = copy_at(h->c, address, VM_TR_SIZE);
    if (t == NULL) return;
    uint64_t nk = vm_u32(t, VM_TR_NK), n = nk < BIAS ? BIAS - nk : 0;
    const unsigned char *ir = n > 0 ? copy_at(h->c, vm_u64(t, VM_TR_IR) + IR_BYTES * nk, IR_BYTES * n) : NULL;
    for (uint64_t i = 0; ir != NULL && i + 1 < n && heap_work(h, 1); i++) {
        int type = ir[IR_BYTES * i + IR_TYPE] & TYPE_MASK;
        uint64_t constant = vm_u64(ir, (ptrdiff_t)(IR_BYTES * (i + 1)));
        if (type < HEAP_FIRST || type >= HEAP_FIRST + HEAP_TYPES || heap_object(h, constant, type) == NULL) continue;
        if (copy_bits_test(h->listed, h->c, constant)) object(w, constant, type, LINK_IN_TRACE, 0);
    }
    object(w, vm_u64(t, VM_TR_STARTPT), VM_TYPE_PROTO, LINK_IN_TRACE, 0);
    trace_link(w, vm_u16(t, VM_TR_LINK));
    trace_link(w, vm_u16(t, VM_TR_NEXTROOT));
    trace_link(w, vm_u16(t, VM_TR_NEXTSIDE));
}

/* ---- Others ---- */

/* The end of what a thread's stack may hold above L->top: the frame that runs; where that is not known, anything. */
static uint64_t stack_top(heap *h, const remote_thread *th) {
    const remote_sample *s = h->running;
    const bool runs = s->n > 0 && s->stack[0].where.thread.address == th->address;
    uint64_t base = runs ? s->stack[0].where.base : th->base, top = th->top, v;
    remote_func f;
    if (h->stack_unknown && th->cframe != 0) return th->stack_end;
    if (base >= th->stack + 16 && base < th->stack_end && target_u64(h->t, base - 16, &v) &&
        remote_read_func(h->t, &h->vm, remote_object(v, VM_TYPE_FUNC), &f) && f.is_lua &&
        base + 8 * (uint64_t)f.framesize > top)
        top = base + 8 * (uint64_t)f.framesize;
    return top < th->stack_end ? top : th->stack_end;
}

/* A slot above L->top may be one that is not in use, and name an object that is no more. */
static bool is_listed(heap *h, uint64_t v) {
    const uint64_t address = v & VM_ADDRESS_MASK;
    return !vm_is_double(v) && heap_object(h, address, vm_type_of(v)) != NULL &&
           copy_bits_test(h->listed, h->c, address);
}

static void thread(const walk *w, uint64_t address) {
    heap *h = w->h;
    remote_thread th;
    if (!remote_read_thread(h->t, &h->vm, address, &th)) return;
    const unsigned char *L = copy_at(h->c, address, VM_L_STACKSIZE + 4);
    uint64_t n = (stack_top(h, &th) - th.stack) / 8, sure = (th.top - th.stack) / 8;
    const unsigned char *stack = copy_at(h->c, th.stack, 8 * n);
    /* The two lowest slots are the thread itself. */
    for (uint64_t i = 2; stack != NULL && heap_work(h, 1) && i < n; i++) {
        uint64_t v = vm_u64(stack, (ptrdiff_t)(8 * i));
        if (i < sure || is_listed(h, v)) value(w, v, LINK_SLOT, i);
    }
    if (L != NULL) object(w, vm_u64(L, VM_L_ENV), VM_TYPE_TABLE, LINK_ENV, 0);
}

static void userdata(const walk *w, uint64_t address) {
    const unsigned char *u = copy_at(w->h->c, address, VM_UD_BYTES);
    if (u == NULL) return;
    object(w, vm_u64(u, VM_UD_METATABLE), VM_TYPE_TABLE, LINK_METATABLE, 0);
    object(w, vm_u64(u, VM_UD_ENV), VM_TYPE_TABLE, LINK_ENV, 0);
    if (u[VM_UD_TYPE] != VM_UD_BUFFER) return;
    const unsigned char *b = copy_at(w->h->c, address + VM_UD_BYTES, VM_BUF_BYTES);
    if (b == NULL) return;
    if ((vm_u64(b, VM_SBUF_L) & 2) != 0) untyped(w, vm_u64(b, VM_BUF_COW), LINK_BUFFER, 0);
    object(w, vm_u64(b, VM_BUF_DICT_STR), VM_TYPE_TABLE, LINK_BUFFER, 1);
    object(w, vm_u64(b, VM_BUF_DICT_MT), VM_TYPE_TABLE, LINK_BUFFER, 2);
}

void heap_each_link(heap *h, uint64_t o, heap_visit_fn visit, void *arg) {
    const walk w = {.h = h, .visit = visit, .arg = arg};
    uint64_t address = heap_address(o);
    if (!heap_work(h, 1)) return;
    switch (heap_type(o)) {
    case VM_TYPE_UPVALUE: upvalue(&w, address); break;
    case VM_TYPE_THREAD: thread(&w, address); break;
    case VM_TYPE_PROTO: proto(&w, address); break;
    case VM_TYPE_FUNC: function(&w, address); break;
    case VM_TYPE_TRACE: trace(&w, address); break;
    case VM_TYPE_TABLE: table(&w, address); break;
    case VM_TYPE_USERDATA: userdata(&w, address); break;
    default: break;
    }
}

/* ---- Roots ---- */

/* The array's length differs: names of metamethods, as many as there are, metatables, and up to three more. */
static void vm_roots(const walk *w, const unsigned char *roots) {
    enum { FILES = 2 };
    uint64_t i = 0;
    while (i < VM_ROOTS_MAX && heap_object(w->h, vm_u64(roots, (ptrdiff_t)(8 * i)), VM_TYPE_STRING) != NULL) {
        object(w, vm_u64(roots, (ptrdiff_t)(8 * i)), VM_TYPE_STRING, LINK_ROOT, ROOT_VM + i);
        i++;
    }
    const uint64_t metatables = i, files = i + VM_ROOT_METATABLES, last = files + FILES;
    for (; i <= last && i < VM_ROOTS_MAX; i++) {
        int type = i >= metatables && i < files ? VM_TYPE_TABLE : i == last ? VM_TYPE_TABLE : VM_TYPE_USERDATA;
        uint64_t address = vm_u64(roots, (ptrdiff_t)(8 * i));
        if (address == 0 || heap_object(w->h, address, type) == NULL) continue;
        if (i == last && !copy_bits_test(w->h->listed, w->h->c, address)) continue; /* older: no such root */
        if (i == last) w->h->finalizers = address;
        object(w, address, type, LINK_ROOT, ROOT_VM + i);
    }
}

void heap_each_root(heap *h, heap_visit_fn visit, void *arg) {
    const walk w = {.h = h, .visit = visit, .arg = arg};
    const unsigned char *g = copy_at(h->c, h->vm.g, REMOTE_G_SIZE);
    const unsigned char *main = copy_at(h->c, h->vm.main, VM_L_STACKSIZE + 4);
    const unsigned char *roots = copy_at(h->c, h->vm.g + h->vm.g_cur_l + VM_CUR_L_ROOTS, 8 * (uint64_t)VM_ROOTS_MAX);
    if (g == NULL || main == NULL) return;
    uint64_t current = vm_u64(g, (ptrdiff_t)h->vm.g_cur_l);
    object(&w, vm_u64(main, VM_L_ENV), VM_TYPE_TABLE, LINK_ROOT, ROOT_GLOBALS);
    value(&w, vm_u64(g, VM_G_REGISTRY), LINK_ROOT, ROOT_REGISTRY);
    object(&w, h->vm.main, VM_TYPE_THREAD, LINK_ROOT, ROOT_MAIN);
    if (current != h->vm.main) object(&w, current, VM_TYPE_THREAD, LINK_ROOT, ROOT_CURRENT);
    uint64_t after = vm_u64(g, VM_G_REGISTRY + 8); /* since 2023: LuaJIT's own thread; before, an upvalue's head */
    if (after != 0 && heap_object(h, after, VM_TYPE_THREAD) != NULL && copy_bits_test(h->listed, h->c, after))
        object(&w, after, VM_TYPE_THREAD, LINK_ROOT, ROOT_VM_THREAD);
    if (roots != NULL) vm_roots(&w, roots);
    uint64_t first = vm_u64(g, VM_G_MMUDATA), u = first;
    while (u != 0 && heap_work(h, 1)) {
        const unsigned char *o = u % 8 == 0 ? copy_at(h->c, u, VM_CD_BYTES) : NULL;
        if (o == NULL) break;
        untyped(&w, u, LINK_ROOT, ROOT_FINALIZE);
        u = vm_u64(o, VM_GC_NEXT);
        if (u == first) break;
    }
}
