/*
 * Hooked functions and their places, and the writing of traps.
 */
#include "trap.h"

#include <ljinspect.h>
#include <stdlib.h>

static size_t hash(const void *p, size_t buckets) {
    return (size_t)(((uintptr_t)p >> 2) * 0x9e3779b97f4a7c15u >> 20) & (buckets - 1);
}

trap_place *trap_find_place(const trap_engine *e, const vm_ins *at) {
    if (e->place_buckets == 0) return NULL;
    trap_place *p = e->places[hash(at, e->place_buckets)];
    while (p != NULL && p->at != at) p = p->next_in_bucket;
    return p;
}

trap_proto *trap_find_proto(const trap_engine *e, const vm_proto *pt) {
    if (e->proto_buckets == 0) return NULL;
    trap_proto *p = e->protos[hash(pt, e->proto_buckets)];
    while (p != NULL && p->pt != pt) p = p->next_in_bucket;
    return p;
}

/* Both tables grow before anything is put in, so that putting in cannot fail. */
static bool grow_protos(trap_engine *e) {
    if (e->n_protos < e->proto_buckets) return true;
    size_t n = e->proto_buckets == 0 ? 16 : e->proto_buckets * 2;
    trap_proto **table = calloc(n, sizeof(*table));
    if (table == NULL) return false;
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            p->next_in_bucket = table[hash(p->pt, n)];
            table[hash(p->pt, n)] = p;
        }
    }
    free(e->protos);
    e->protos = table;
    e->proto_buckets = n;
    return true;
}

static bool grow_places(trap_engine *e, size_t more) {
    size_t n = e->place_buckets == 0 ? 64 : e->place_buckets;
    while (n < e->n_places + more) n *= 2;
    if (n == e->place_buckets) return true;
    trap_place **table = calloc(n, sizeof(*table));
    if (table == NULL) return false;
    for (size_t i = 0; i < e->place_buckets; i++) {
        for (trap_place *p = e->places[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            p->next_in_bucket = table[hash(p->at, n)];
            table[hash(p->at, n)] = p;
        }
    }
    free(e->places);
    e->places = table;
    e->place_buckets = n;
    return true;
}

static void add_places(trap_engine *e, trap_proto *p) {
    for (uint32_t i = 0; i < p->n_places; i++) {
        trap_place **bucket = &e->places[hash(p->places[i].at, e->place_buckets)];
        p->places[i].next_in_bucket = *bucket;
        *bucket = &p->places[i];
    }
    e->n_places += p->n_places;
    e->changes++;
}

static void remove_places(trap_engine *e, trap_proto *p) {
    for (uint32_t i = 0; i < p->n_places; i++) {
        trap_place **at = &e->places[hash(p->places[i].at, e->place_buckets)];
        while (*at != &p->places[i]) at = &(*at)->next_in_bucket;
        *at = p->places[i].next_in_bucket;
    }
    e->n_places -= p->n_places;
    e->changes++;
}

/* ---- Bytes and slots ------------------------------------------------------------------------------------------- */

/* Lead an opcode to us, or give it back. The dynamic slot is left alone while a hook or the recorder holds it: they go
 * on to the static one, and LuaJIT copies the static half back when they end. */
static void take_slot(trap_engine *e, uint8_t op, bool take) {
    uintptr_t own = e->v.lay->handler[op], *dynamic = &e->v.dispatch[op];
    e->v.dispatch[e->v.lay->static_at + op] = take ? TRAP_STUB : own;
    uintptr_t old = take ? own : TRAP_STUB, new = take ? TRAP_STUB : own;
    if (*dynamic == old) *dynamic = new;
    if (e->pause.slots[op] == old) e->pause.slots[op] = new; /* it may come back from there */
}

static void use_slot(trap_engine *e, uint8_t op, int change) {
    unsigned before = e->slot_users[op];
    e->slot_users[op] = (unsigned)((int)before + change);
    if (before == 0 || e->slot_users[op] == 0) take_slot(e, op, change > 0);
}

void trap_insert(trap_engine *e, trap_proto *p) {
    (void)e;
    for (uint32_t i = 0; i < p->n_places; i++) {
        trap_place *place = &p->places[i];
        if (place->how != TRAP_SLOT) trap_set_opcode(place->at, place->trap);
    }
}

void trap_extract(trap_engine *e, trap_proto *p) {
    for (uint32_t i = 0; i < p->n_places; i++) {
        trap_place *place = &p->places[i];
        if (place->how != TRAP_SLOT && trap_is_trap(e, VM_INS_OP(*place->at)))
            trap_set_opcode(place->at, place->opcode);
    }
}

void trap_reread(const trap_engine *e, trap_proto *p) {
    for (uint32_t i = 0; i < p->n_places; i++) {
        trap_place *place = &p->places[i];
        if (place->how != TRAP_SLOT && !trap_is_trap(e, VM_INS_OP(*place->at))) place->opcode = VM_INS_OP(*place->at);
    }
}

/* A return that is no place any more does not come a second time (trap_hit.c). */
static void forget_return(trap_engine *e) {
    if (e->ret.L != NULL && trap_find_place(e, e->ret.pc - 1) == NULL) e->ret.L = NULL;
}

static void count_slots(trap_engine *e, const trap_proto *p, int change) {
    for (uint32_t i = 0; i < p->n_places; i++) {
        use_slot(e, p->places[i].how == TRAP_SLOT ? p->places[i].opcode : p->places[i].trap, change);
    }
}

/* ---- Functions -------------------------------------------------------------------------------------------------- */

bool trap_begins_on(const vm_proto *pt, int line) {
    return vm_proto_size(pt) > 1 && vm_proto_line(pt, 1) == line;
}

bool trap_key_matches(const trap_key *k, const vm_proto *pt) {
    return k->count > 0 && trap_key_about(k, pt);
}

bool trap_key_about(const trap_key *k, const vm_proto *pt) {
    size_t len;
    if (k->returns ? !trap_begins_on(pt, k->line) : !vm_proto_has_line(pt, k->line)) return false;
    const char *source = vm_proto_source(pt, &len);
    return hooks_suffix(source, len, k->file, k->file_len);
}

bool trap_wanted(const trap_engine *e, const vm_proto *pt) {
    for (size_t i = 0; i < e->n_keys; i++) {
        if (trap_key_matches(&e->keys[i], pt)) return true;
    }
    return false;
}

static bool is_given_up(const vm_layout *lay, vm_ins ins) {
    uint8_t op = lay->name[VM_INS_OP(ins)];
    return op == VM_IFORL || op == VM_IITERL || op == VM_ILOOP || op == VM_IFUNCF;
}

/* As lj_trace.c: lj_trace_reenableproto. */
void trap_reenable(const vm_layout *lay, vm_proto *pt, const uint32_t *keep, uint32_t n) {
    vm_ins *code = vm_proto_code(pt);
    uint32_t kept = 0;
    if ((vm_u8(pt, VM_PT_FLAGS) & lay->flag_iloop) == 0) return;
    for (uint32_t i = 0; i < vm_proto_size(pt); i++) {
        if (kept < n && keep[kept] == i) {
            kept++;
        } else if (is_given_up(lay, code[i])) {
            trap_set_opcode(&code[i], (uint8_t)(VM_INS_OP(code[i]) - 1));
        }
    }
    if (n == 0) ((uint8_t *)pt)[VM_PT_FLAGS] &= (uint8_t)~lay->flag_iloop;
}

static bool remember_loops(const vm_layout *lay, trap_proto *p) {
    if ((vm_u8(p->pt, VM_PT_FLAGS) & lay->flag_iloop) == 0) return true;
    const vm_ins *code = vm_proto_code(p->pt);
    uint32_t size = vm_proto_size(p->pt), n = 0;
    for (uint32_t i = 0; i < size; i++) n += is_given_up(lay, code[i]);
    if (n == 0) return true;
    if ((p->old_iloops = calloc(n, sizeof(uint32_t))) == NULL) return false;
    for (uint32_t i = 0; i < size; i++) {
        if (is_given_up(lay, code[i])) p->old_iloops[p->n_old_iloops++] = i;
    }
    return true;
}

void trap_drop_overlapping(trap_engine *e, const vm_proto *pt) {
    const char *begin = (const char *)pt, *end = (const char *)(vm_proto_code(pt) + vm_proto_size(pt));
    for (size_t i = 0; i < e->proto_buckets; i++) {
        for (trap_proto *p = e->protos[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if ((const char *)p->pt < end && begin < p->end) trap_drop_proto(e, p, false);
        }
    }
}

trap_proto *trap_add_proto(trap_engine *e, vm_proto *pt) {
    trap_proto *p = calloc(1, sizeof(*p));
    if (p == NULL || !grow_protos(e)) {
        free(p);
        return NULL;
    }
    p->pt = pt;
    p->serial = ++e->last_serial;
    p->end = (const char *)(vm_proto_code(pt) + vm_proto_size(pt));
    if (!remember_loops(e->v.lay, p)) {
        free(p);
        return NULL;
    }
    p->was_nojit = (vm_u8(pt, VM_PT_FLAGS) & e->v.lay->flag_nojit) != 0;
    ((uint8_t *)pt)[VM_PT_FLAGS] |= e->v.lay->flag_nojit;
    trap_proto **bucket = &e->protos[hash(pt, e->proto_buckets)];
    p->next_in_bucket = *bucket;
    *bucket = p;
    e->n_protos++;
    return p;
}

static void set_clock(trap_engine *e, trap_proto *p, bool returns) {
    if (!returns)
        p->clock = 0;
    else if (p->clock == 0)
        p->clock = ++e->last_clock;
    p->loops = false;
    for (uint32_t i = 0; i < p->n_places; i++) p->loops = p->loops || p->places[i].loops;
}

int trap_replan(trap_engine *e, trap_proto *p) {
    int lines = vm_proto_num_lines(p->pt) + 1, rc = 0;
    trap_place *places = NULL;
    uint32_t n = 0;
    bool *hooked = calloc((size_t)lines, sizeof(*hooked)), any = false, returns = false;
    if (hooked == NULL) return LJINSPECT_ERR_NOMEM;
    trap_step_finish(e);
    for (size_t i = 0; i < e->n_keys; i++) {
        if (!trap_key_matches(&e->keys[i], p->pt)) continue;
        if (e->keys[i].returns)
            returns = true;
        else
            hooked[e->keys[i].line - vm_proto_first_line(p->pt)] = true;
        any = true;
    }
    trap_extract(e, p);
    if (any) rc = trap_plan(e, p, hooked, returns, &places, &n);
    free(hooked);
    if (rc == 0 && !grow_places(e, n)) {
        free(places);
        rc = LJINSPECT_ERR_NOMEM;
    }
    if (rc == 0) {
        trap_place *old = p->places;
        trap_proto before = *p;
        remove_places(e, p);
        p->places = places;
        p->n_places = n;
        count_slots(e, p, 1); /* first, so that slots both use are not given back in between */
        count_slots(e, &before, -1);
        add_places(e, p);
        free(old);
        set_clock(e, p, returns);
    }
    trap_insert(e, p);
    forget_return(e);
    return rc;
}

/* Where the program has switched the JIT on for a function whose loops LuaJIT had given up on, LuaJIT made them count
 * again (lj_trace.c: lj_trace_reenableproto), but for those where a trap stood. */
static void lower_places(const vm_layout *lay, const trap_proto *p) {
    if ((vm_u8(p->pt, VM_PT_FLAGS) & lay->flag_iloop) != 0) return;
    for (uint32_t i = 0; i < p->n_places; i++) {
        vm_ins *at = p->places[i].at;
        if (is_given_up(lay, *at)) trap_set_opcode(at, (uint8_t)(VM_INS_OP(*at) - 1));
    }
}

void trap_drop_proto(trap_engine *e, trap_proto *p, bool alive) {
    trap_step_finish(e);
    trap_proto **at = &e->protos[hash(p->pt, e->proto_buckets)];
    while (*at != p) at = &(*at)->next_in_bucket;
    *at = p->next_in_bucket;
    e->n_protos--;
    if (alive) {
        trap_extract(e, p);
        lower_places(e->v.lay, p);
        if (!p->was_nojit) {
            ((uint8_t *)p->pt)[VM_PT_FLAGS] &= (uint8_t)~e->v.lay->flag_nojit;
            trap_reenable(e->v.lay, p->pt, p->old_iloops, p->n_old_iloops);
        }
    }
    if (p->n_places > 0) remove_places(e, p);
    count_slots(e, p, -1);
    free(p->places);
    free(p->old_iloops);
    free(p);
    forget_return(e);
}

int trap_is_jump(engine *base, lua_State *L, int func, int pc) {
    const trap_engine *e = (trap_engine *)(void *)base;
    const vm_layout *lay = e->v.lay;
    const vm_proto *pt = vm_func_proto(lay, lua_topointer(L, func));
    if (pt == NULL || pc < 1 || (uint32_t)pc >= vm_proto_size(pt)) return -1;
    const trap_place *p = trap_find_place(e, vm_proto_code(pt) + pc);
    if (p == NULL || p->how == TRAP_SLOT || VM_INS_OP(*p->at) != p->trap) return -1;
    switch (lay->name[p->opcode]) {
    case VM_JMP:
    case VM_ISNEXT:
    case VM_UCLO:
    case VM_FORI:
    case VM_FORL:
    case VM_IFORL:
    case VM_ITERL:
    case VM_IITERL:
    case VM_LOOP:
    case VM_ILOOP: return 1;
    default: return 0;
    }
}
