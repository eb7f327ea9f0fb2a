#include "vms.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* Larger mappings are reserved address space. */
#define MAPPING_MAX (UINT64_C(1) << 40)
/* Seeing that memory was never touched takes half a second for so much of it: after that, the rest of large mappings is
 * left out. */
#define LARGE (UINT64_C(4) << 30)
#define UNTOUCHED_MAX (UINT64_C(1) << 40)

enum {
    CHUNK = 1 << 20,
    SPAN = 64 << 20,
    GAP_MIN = 0x60, /* from the main thread to global_State: the size of lua_State, with what builds add to it */
    GAP_MAX = 0x100,
    STACK_MAX = 64 << 20,
    OPS_2021 = 89, /* lj_bc.h: opcodes below FUNCF, before and since there are bit operators (2026) */
    OPS_2026 = 96,
    BIT_OPS = OPS_2026 - OPS_2021,
    FUNCC_ABOVE = 6, /* FUNCC is the seventh function header */
    MIN_STACK = 20   /* lua.h: LUA_MINSTACK, operand A of the header of C functions */
};

/* ---- One VM ---- */

static bool is_thread(target *t, uint64_t address, uint64_t g) {
    unsigned char head[VM_L_GLREF + 8];
    if (address == 0 || address % 8 != 0 || !target_read(t, address, head, sizeof head)) return false;
    return head[VM_GC_TYPE] == VM_TYPE_THREAD && vm_u64(head, VM_L_GLREF) == g;
}

/* lj_state.c, lua_newstate: two headers of C functions stand before cur_L; the second is FUNCCW where the host set a
 * wrapper. */
static bool find_cur_l(remote_vm *vm, const unsigned char *g) {
    for (unsigned at = VM_G_REGISTRY; at + 24 <= REMOTE_G_SIZE; at += 8) {
        const unsigned char *p = g + at;
        if (p[1] != MIN_STACK || p[5] != MIN_STACK || p[2] != 0 || p[3] != 0 || p[6] != 0 || p[7] != 0) continue;
        if (p[0] < FUNCC_ABOVE || (p[4] != p[0] && p[4] != p[0] + 1)) continue;
        vm->n_ops = p[0] - FUNCC_ABOVE;
        vm->g_cur_l = at + 8;
        vm->g_jit_base = at + 16;
        return true;
    }
    return false;
}

static bool vmstate_is_sound(int state) {
    return state >= ~VM_STATE_ASM && state <= UINT16_MAX;
}

/* Whether global_State looks like one. `like` is set where it may be one of another build. */
static bool check_global(target *t, remote_vm *vm, bool *like) {
    unsigned char g[REMOTE_G_SIZE];
    unsigned back = 0;
    if (!target_read(t, vm->g, g, sizeof g)) return false;
    for (unsigned at = 0; at < sizeof g; at += 8) back += vm_u64(g, at) == vm->main;
    *like = back >= 2;
    if (vm_u64(g, VM_G_MAINTHREF) != vm->main || !vmstate_is_sound(vm_i32(g, VM_G_VMSTATE))) return false;
    if (g[VM_G_STREMPTY + VM_GC_TYPE] != VM_TYPE_STRING || vm_u32(g, VM_G_STREMPTY + VM_STR_LEN) != 0) return false;
    if (remote_object(vm_u64(g, VM_G_REGISTRY), VM_TYPE_TABLE) == 0 || !find_cur_l(vm, g)) return false;
    uint64_t current = vm_u64(g, (ptrdiff_t)vm->g_cur_l);
    return current == 0 || is_thread(t, current, vm->g);
}

/* The interpreter is one piece of code: what dispatches, and a little behind the last of it (lj_vm.h: lj_vm_asm_begin).
 * Slots may lead elsewhere, where someone has put something of his own. */
static void find_code(target *t, remote_vm *vm, const uint64_t *slots) {
    enum { BEHIND = 4096 };
    const target_map *m = target_map_at(t, slots[vm->n_dynamic]);
    vm->code_low = UINT64_MAX;
    for (unsigned i = 0; i < vm->n_dispatch; i++) {
        if (target_map_at(t, slots[i]) != m) continue;
        if (slots[i] < vm->code_low) vm->code_low = slots[i];
        if (slots[i] + BEHIND > vm->code_high) vm->code_high = slots[i] + BEHIND;
    }
}

/* lj_dispatch.h: GG_State ends with the dispatch table, a long run of addresses of code: a slot for each opcode and
 * built-in function in assembler, and again one for each opcode below FUNCF. Returns where it begins in `words`, and the
 * number of slots in `run`; `n` where there is none. */
static size_t find_run(target *t, const remote_vm *vm, const uint64_t *words, size_t n, bool executable, size_t *run) {
    enum { RUN_MIN = 160 };
    const target_map *last = NULL;
    *run = 0;
    for (size_t i = 0; i <= n; i++) {
        bool code = i < n && words[i] != 0;
        if (code && (last == NULL || words[i] < last->start || words[i] >= last->end))
            last = target_map_at(t, words[i]);
        if (code && last != NULL && (executable ? last->executable : !last->writable && last->path[0] != '\0')) {
            ++*run;
            continue;
        }
        if (*run >= RUN_MIN && *run >= 2U * vm->n_ops + FUNCC_ABOVE + 2) return i - *run;
        *run = 0;
    }
    return n;
}

/* What an emulator runs is not code for this processor: the file that it is from says so. */
static bool is_foreign(target *t, uint64_t code) {
    const target_map *m = target_map_at(t, code);
    size_t n;
    const target_map *maps = target_maps(t, &n);
    Elf64_Ehdr head;
    for (size_t i = 0; m != NULL && m->path[0] != '\0' && i < n; i++) {
        if (strcmp(maps[i].path, m->path) != 0) continue;
        const unsigned machine = target_cpu_of(t) == CPU_ARM64 ? EM_AARCH64 : EM_X86_64;
        return target_read(t, maps[i].start, &head, sizeof head) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
               head.e_machine != machine;
    }
    return false;
}

/* False where the interpreter's code is another processor's. */
static bool find_dispatch(target *t, remote_vm *vm) {
    enum { WORDS = 2048 };
    uint64_t words[WORDS];
    size_t n = target_read_bulk(t, vm->g, words, sizeof words) / sizeof words[0], run;
    size_t at = find_run(t, vm, words, n, true, &run);
    if (at == n) {
        at = find_run(t, vm, words, n, false, &run);
        return at == n || target_is_core(t) || !is_foreign(t, words[at]);
    }
    vm->dispatch = vm->g + 8 * at;
    vm->n_dispatch = (unsigned)run;
    vm->n_dynamic = (unsigned)run - vm->n_ops;
    /* Some emulators let what they run stay executable. */
    if (!target_is_core(t) && is_foreign(t, words[at + vm->n_dynamic])) return false;
    find_code(t, vm, words + at);
    return true;
}

/* The longest string that begins like a version. */
static void note_versions(remote_vm *vm, const char *piece, size_t size) {
    static const char WORD[] = "LuaJIT 2.";
    for (const char *at = piece; (at = memmem(at, size - (size_t)(at - piece), WORD, sizeof WORD - 1)) != NULL; at++) {
        size_t room = size - (size_t)(at - piece), len = sizeof WORD - 1;
        while (len < room && len < REMOTE_VERSION_MAX - 1 && at[len] > ' ' && at[len] < 0x7f) len++;
        if (len <= strlen(vm->version)) continue;
        memcpy(vm->version, at, len);
        vm->version[len] = '\0';
    }
}

/* The version stands in the file that the interpreter's code is from. VMs of the same code share it; more than a few
 * LuaJITs are not looked into. */
static void find_version(target *t, remote_vm *vm, const remote_vms *found) {
    enum { PIECE = 1 << 16, OVERLAP = 64, LIMIT = 64 << 20, DIFFERENT_MAX = 16 };
    uint64_t code;
    size_t n;
    const target_map *maps = target_maps(t, &n), *of = NULL;
    if (vm->dispatch == 0 || !target_u64(t, vm->dispatch + 8 * (uint64_t)vm->n_dynamic, &code)) return;
    vm->code = code;
    of = target_map_at(t, code);
    for (size_t i = 0; i < found->n; i++) {
        if (i < DIFFERENT_MAX && found->list[i].code != code) continue;
        memcpy(vm->version, found->list[i].version, sizeof vm->version);
        return;
    }
    char *piece = of != NULL && of->path[0] != '\0' ? malloc(PIECE + OVERLAP) : NULL;
    uint64_t looked = 0;
    for (size_t i = 0; piece != NULL && i < n; i++) {
        if (!maps[i].readable || strcmp(maps[i].path, of->path) != 0) continue;
        for (uint64_t at = maps[i].start; at < maps[i].end && looked < LIMIT; at += PIECE, looked += PIECE) {
            uint64_t left = maps[i].end - at;
            size_t got = target_read_bulk(t, at, piece, left < PIECE + OVERLAP ? (size_t)left : PIECE + OVERLAP);
            note_versions(vm, piece, got);
        }
    }
    free(piece);
}

/* ---- All VMs ---- */

static bool leads_back(target *t, const remote_vm *vm) {
    uint64_t main;
    return target_u64(t, vm->g + VM_G_MAINTHREF, &main) && main == vm->main;
}

static bool add_vm(target *t, remote_vms *found, uint64_t main, uint64_t g) {
    enum { TRIES = 5 };
    remote_vm vm = {.main = main, .g = g};
    remote_thread thread;
    bool like = false, sound = false;
    /* The coroutine that runs may have ended, and others be where it was, between two reads. */
    for (int i = 0; i < TRIES && !sound; i++) {
        if (i > 0) target_forget(t);
        sound = check_global(t, &vm, &like) && remote_read_thread(t, &vm, main, &thread);
        if (!sound && !leads_back(t, &vm)) break;
    }
    if (!sound) {
        found->unknown += like;
        return true;
    }
    if (!find_dispatch(t, &vm)) {
        found->foreign++;
        return true;
    }
    if (found->n == REMOTE_VMS_MAX) {
        found->too_many = true;
        return true;
    }
    if ((found->n & (found->n - 1)) == 0) {
        remote_vm *longer = realloc(found->list, (found->n == 0 ? 1 : 2 * found->n) * sizeof *longer);
        if (longer == NULL) return false;
        found->list = longer;
    }
    find_version(t, &vm, found);
    found->list[found->n++] = vm;
    return true;
}

/* What the process never touched is not read: it would be made for it, and there may be terabytes (the shadow memory of
 * sanitizers, say). Where nothing can be read for long, as in the mapping of a device, or one that a damaged core file makes up, the rest is
 * left out. */
static bool scan(target *t, const target_map *m, char *chunk, remote_vms *found) {
    enum { EMPTY_MAX = 64, PAGE = 4096 };
    unsigned empty = 0;
    uint64_t known = m->start; /* where something was touched until here */
    for (uint64_t at = m->start; at < m->end && empty < EMPTY_MAX;) {
        uint64_t left = m->end - at;
        /* What was read is touched by now: a page that the piece before has reached into says nothing. */
        uint64_t fresh = (at + PAGE - 1) & ~(uint64_t)(PAGE - 1), ahead = m->end > fresh ? m->end - fresh : 0;
        size_t want = left < CHUNK ? (size_t)left : CHUNK;
        if (fresh >= known) {
            size_t span = ahead < SPAN ? (size_t)ahead : SPAN;
            if (!target_touched(t, fresh, span)) {
                at = fresh + span;
                found->untouched += span;
                if (m->end - m->start > LARGE && found->untouched > UNTOUCHED_MAX) {
                    found->partial = true;
                    break;
                }
                continue;
            }
            known = fresh + span;
        }
        size_t piece = ahead < CHUNK ? (size_t)ahead : CHUNK;
        if (piece > 0 && !target_touched(t, fresh, piece)) {
            at = fresh + piece;
            continue;
        }
        size_t got = target_read_bulk(t, at, chunk, want);
        found->scanned += got;
        empty = got == 0 ? empty + 1 : 0;
        for (size_t i = 0; i + VM_L_GLREF + 8 <= got; i += 8) {
            uint64_t gap = vm_u64(chunk, (ptrdiff_t)i + VM_L_GLREF) - (at + i);
            if (gap < GAP_MIN || gap > GAP_MAX || gap % 8 != 0) continue;
            if (vm_u8(chunk, (ptrdiff_t)i + VM_GC_TYPE) != VM_TYPE_THREAD) continue;
            if (!add_vm(t, found, at + i, at + i + gap)) return false;
        }
        if (want >= left && got == want) break;
        /* The next piece begins where a head may have been cut; what cannot be read is skipped. */
        uint64_t next = got == want ? at + got - VM_L_GLREF
                        : got == 0  ? at + want
                                    : (at + got + PAGE) & ~(uint64_t)(PAGE - 1);
        if (next <= at) break;
        at = next;
    }
    return true;
}

bool remote_find_vms(target *t, remote_vms *found) {
    size_t n;
    const target_map *maps = target_maps(t, &n);
    *found = (remote_vms){0};
    char *chunk = malloc(CHUNK);
    bool ok = chunk != NULL;
    for (int large = 0; large < 2; large++) { /* the large ones last */
        for (size_t i = 0; ok && i < n; i++) {
            const target_map *m = &maps[i];
            uint64_t size = m->end - m->start;
            if (!m->readable || !m->writable || m->shared || strncmp(m->path, "[stack", 6) == 0) continue;
            if (size > MAPPING_MAX || (size > LARGE) != (large == 1)) continue;
            ok = scan(t, m, chunk, found);
        }
    }
    found->none_readable = found->scanned == 0;
    free(chunk);
    if (!ok) remote_free_vms(found);
    return ok;
}

void remote_free_vms(remote_vms *found) {
    free(found->list);
    *found = (remote_vms){0};
}

/* ---- What they do ---- */

bool remote_read_state(target *t, const remote_vm *vm, remote_state *state) {
    unsigned char g[REMOTE_G_SIZE];
    if (!target_read(t, vm->g, g, sizeof g) || vm_u64(g, VM_G_MAINTHREF) != vm->main) return false;
    state->vmstate = vm_i32(g, VM_G_VMSTATE);
    state->current = vm_u64(g, (ptrdiff_t)vm->g_cur_l);
    state->jit_base = vm_u64(g, (ptrdiff_t)vm->g_jit_base);
    state->heap = vm_u64(g, VM_G_GC_TOTAL);
    state->jit_on = (g[VM_G_HOOKMASK + 1] & VM_MODE_JIT) != 0;
    return vmstate_is_sound(state->vmstate);
}

bool remote_read_thread(target *t, const remote_vm *vm, uint64_t address, remote_thread *thread) {
    unsigned char L[VM_L_STACKSIZE + 4];
    if (address == 0 || address % 8 != 0 || !target_read(t, address, L, sizeof L)) return false;
    if (L[VM_GC_TYPE] != VM_TYPE_THREAD || vm_u64(L, VM_L_GLREF) != vm->g) return false;
    uint64_t slots = vm_u32(L, VM_L_STACKSIZE);
    *thread = (remote_thread){.address = address,
                              .base = vm_u64(L, VM_L_BASE),
                              .top = vm_u64(L, VM_L_TOP),
                              .stack = vm_u64(L, VM_L_STACK),
                              .cframe = vm_u64(L, VM_L_CFRAME) & ~UINT64_C(3),
                              .status = L[VM_L_STATUS]};
    if (slots < 8 || slots > STACK_MAX / 8 || thread->stack == 0 || thread->stack % 8 != 0) return false;
    thread->stack_end = thread->stack + 8 * slots;
    return thread->base % 8 == 0 && thread->top % 8 == 0 && thread->base >= thread->stack + 8 &&
           thread->base <= thread->stack_end && thread->top >= thread->stack && thread->top <= thread->stack_end;
}

bool remote_each_thread(target *t, const remote_vm *vm, uint64_t max, remote_visit_fn visit, void *arg) {
    uint64_t object;
    /* A list that changes under the reader, or was made up, may lead back into itself: then an object that was remembered
     * comes again. Which one is remembered changes after 1, 2, 4, 8... steps. */
    uint64_t remembered = 0, steps = 0, turn = 1;
    if (!target_u64(t, vm->g + VM_G_GC_ROOT, &object)) return false;
    for (; object != 0 && max > 0; max--) {
        if (object == remembered) return false;
        if (++steps == turn) {
            remembered = object;
            turn *= 2;
        }
        unsigned char head[VM_GC_TYPE + 1];
        if (object % 8 != 0 || !target_read(t, object, head, sizeof head)) return false;
        if (head[VM_GC_TYPE] < VM_TYPE_STRING || head[VM_GC_TYPE] > VM_TYPE_TABLE + 1) return false;
        remote_thread thread;
        if (head[VM_GC_TYPE] == VM_TYPE_THREAD) {
            if (!remote_read_thread(t, vm, object, &thread)) return false;
            if (!visit(&thread, arg)) return true;
        }
        object = vm_u64(head, VM_GC_NEXT);
    }
    return object == 0;
}

/* ---- Opcodes ---- */

/* The list of vm_ops.h is in lj_bc.h's order. */
vm_op remote_op(const remote_vm *vm, vm_ins ins) {
    unsigned op = VM_INS_OP(ins);
    if (vm->n_ops == OPS_2026) return op + 1 < VM_OP__COUNT ? (vm_op)(op + 1) : VM_OP_UNKNOWN;
    if (vm->n_ops != OPS_2021) return VM_OP_UNKNOWN;
    if (op >= OPS_2021) op += BIT_OPS;
    return op + 1 < VM_OP__COUNT ? (vm_op)(op + 1) : VM_OP_UNKNOWN;
}
