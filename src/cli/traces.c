/* ljinspect traces: what the JIT compiler has made of a process's Lua code, and what it could not. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../remote/jit.h"
#include "../remote/traces.h"
#include "attach.h"
#include "cli.h"
#include "copied.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect traces [OPTION...] PID\n"
                           "       ljinspect traces [OPTION...] --core=FILE [--exe=FILE]\n"
                           "Show the traces that the JIT compiler of a process has made: where they start,\n"
                           "what they link to, how large they are, how often they were left; and the loops\n"
                           "and functions that it has given up or failed at, with the reason where it is\n"
                           "still known.\n"
                           "\n"
                           "      --stop        hold the process while its memory is copied: nothing changes\n"
                           "                    then\n"
                           "  -j, --json        print JSON: one object a VM\n"
                           "      --core=FILE   read a core file\n"
                           "      --exe=FILE    the program that left it, where it is not where it was\n"
                           "  -h, --help        print this\n"
                           "\n"
                           "Example: why is the worker slow? Which loops are not compiled?\n"
                           "  sudo ljinspect traces 4711\n"
                           "\n" ATTACH_STATUSES;

enum {
    PLACE_MAX = REMOTE_SHORT_MAX + 16,
    EXITS_MAX = 1 << 16,
    SHOWN = 50,
    CONTINUED = 255 /* lj_jit.h: SNAPCOUNT_DONE */
};

typedef struct request {
    copied_request from;
    bool json;
} request;

typedef struct view {
    heap h;
    jit_protos protos;
    jit_penalty penalties[JIT_PENALTIES];
    size_t n_penalties;
    jit_reasons reasons;
    bool json;
} view;

/* ---- Places ---- */

/* "app.lua:12", and its function: "function <app.lua:10>" or "main chunk". */
static void describe(view *v, const remote_func *f, uint64_t pc, char *place, char *function) {
    char source[REMOTE_SOURCE_MAX], file[REMOTE_SHORT_MAX];
    if (!remote_source(v->h.t, f, source, sizeof source)) snprintf(source, sizeof source, "=?");
    remote_short_source(source, f->firstline, file);
    int line = remote_func_has(f, pc) ? remote_line(v->h.t, f, (uint32_t)((pc - f->header) / 4)) : 0;
    if (line > 0) {
        snprintf(place, PLACE_MAX, "%s:%d", file, line);
    } else {
        snprintf(place, PLACE_MAX, "%s:?", file);
    }
    if (f->firstline == 0 && f->numline != 0) {
        snprintf(function, PLACE_MAX + 16, "main chunk");
    } else {
        snprintf(function, PLACE_MAX + 16, "function <%s:%d>", file, f->firstline);
    }
}

static void print_reason(const view *v, unsigned reason) {
    if (v->reasons.known && reason < v->reasons.n) {
        text_print(stdout, v->reasons.text[reason]);
    } else {
        printf("reason %u", reason);
    }
}

/* ---- Traces ---- */

typedef struct exits {
    unsigned n, taken, continued; /* exits; how often taken; those that have a side trace */
    uint8_t counts[EXITS_MAX];
} exits;

/* A trace that is no loop ends with a snapshot that is no exit (lj_trace.c: trace_state). */
static void read_exits(view *v, const remote_trace *tr, exits *e) {
    enum { SNAP_BYTES = 12, SNAP_COUNT = 11 };
    const unsigned n = vm_u16(tr->head, VM_TR_NSNAP);
    const unsigned char *s = copy_at(v->h.c, vm_u64(tr->head, VM_TR_SNAP), SNAP_BYTES * (uint64_t)n);
    e->n = s == NULL ? 0 : n > 0 && vm_u32(tr->head, VM_TR_MCLOOP) == 0 ? n - 1 : n;
    e->taken = e->continued = 0;
    for (unsigned i = 0; i < e->n; i++) {
        e->counts[i] = s[SNAP_BYTES * i + SNAP_COUNT];
        e->continued += e->counts[i] == CONTINUED;
        e->taken += e->counts[i] != CONTINUED ? e->counts[i] : 0;
    }
}

/* lj_jit.h: TraceLink. */
static const char *link_name(unsigned type) {
    static const char *const names[] = {"none",           "root",        "loop",   "tail-recursion", "up-recursion",
                                        "down-recursion", "interpreter", "return", "stitch"};
    return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

static void print_trace(view *v, const remote_trace *tr, const exits *e, bool first) {
    enum { BIAS = 0x8000, LINK_ROOT_TYPE = 1, LINK_STITCH = 8 };
    char place[PLACE_MAX], function[PLACE_MAX + 16], link[48], side[24];
    remote_func f = {0};
    const unsigned nins = vm_u32(tr->head, VM_TR_NINS), nk = vm_u32(tr->head, VM_TR_NK);
    const unsigned ir = nins > BIAS ? nins - BIAS - 1 : 0, constants = nk < BIAS ? BIAS - nk : 0;
    if (!remote_read_proto(v->h.t, tr->start_proto, &f)) f = (remote_func){0};
    describe(v, &f, tr->start_pc, place, function);
    if (v->json) {
        printf("%s\n    {\"trace\": %u, \"root\": %u, \"at\": ", first ? "" : ",", tr->number, tr->root);
        json_string(stdout, place);
        fputs(", \"in\": ", stdout);
        json_string(stdout, function);
        printf(", \"link\": \"%s\", \"to\": %u, \"ir\": %u, \"constants\": %u, \"code_bytes\": %" PRIu64
               ", \"exits\": [",
               link_name(tr->linktype), tr->link, ir, constants, tr->code_size);
        for (unsigned i = 0; i < e->n; i++)
            printf(e->counts[i] == CONTINUED ? "%snull" : "%s%u", i > 0 ? "," : "", (unsigned)e->counts[i]);
        fputs("]}", stdout);
        return;
    }
    if (first) puts("  TRACE  SIDE OF  EXITS  CONTINUED  TAKEN     IR     CODE  LINK             STARTS AT");
    snprintf(side, sizeof side, "%u", tr->root);
    if (tr->linktype == LINK_ROOT_TYPE) {
        snprintf(link, sizeof link, "trace %u", tr->link);
    } else if (tr->linktype == LINK_STITCH) {
        snprintf(link, sizeof link, "stitch, trace %u", tr->link);
    } else {
        snprintf(link, sizeof link, "%s", link_name(tr->linktype));
    }
    printf("  %5u %8s %6u %10u %6u %6u %8" PRIu64 "  %-16s ", tr->number, tr->root != 0 ? side : "-", e->n,
           e->continued, e->taken, ir, tr->code_size, link);
    text_print(stdout, place);
    fputs(" in ", stdout);
    text_print(stdout, function);
    putchar('\n');
}

/* Returns how many there are. */
static unsigned print_traces(view *v) {
    unsigned char size[8];
    unsigned n = 0;
    exits *e = calloc(1, sizeof *e);
    if (v->json) fputs("\"traces\": [", stdout);
    const bool found = v->h.vm.traces_at != 0 && target_read(v->h.t, v->h.vm.traces_at + 8, size, sizeof size);
    for (uint32_t i = 1; e != NULL && found && i < vm_u32(size, 4) && i < UINT16_MAX; i++) {
        remote_trace tr;
        if (!remote_read_trace(v->h.t, &v->h.vm, i, &tr)) continue;
        read_exits(v, &tr, e);
        print_trace(v, &tr, e, n++ == 0);
    }
    if (v->json) fputs(n > 0 ? "\n   ],\n   " : "],\n   ", stdout);
    free(e);
    return n;
}

/* ---- What is not compiled ---- */

/* Instructions that count no more: the compiler has given up what they begin (lj_trace.c: blacklist_pc). */
static const char *given_up(vm_op op) {
    switch (op) {
    case VM_IFORL:
    case VM_IITERL:
    case VM_ILOOP: return "loop";
    case VM_IFUNCF: return "function";
    default: return NULL;
    }
}

static const char *is_counted(vm_op op) {
    switch (op) {
    case VM_FORL:
    case VM_ITERL:
    case VM_ITERN:
    case VM_LOOP: return "loop";
    case VM_FUNCF: return "function";
    default: return NULL;
    }
}

static bool instruction(view *v, uint64_t pc, vm_op *op) {
    vm_ins ins;
    if (!target_read(v->h.t, pc, &ins, sizeof ins)) return false;
    *op = remote_op(&v->h.vm, ins);
    return true;
}

typedef struct section {
    const char *key, *title;
    size_t n;
} section;

/* A line of a section; `penalty` is NULL where none is known. */
static void print_place(view *v, section *s, const remote_func *f, uint64_t pc, const char *what,
                        const jit_penalty *penalty, bool with_reason) {
    char place[PLACE_MAX], function[PLACE_MAX + 16];
    describe(v, f, pc, place, function);
    if (v->json) {
        printf("%s\n    {\"at\": ", s->n > 0 ? "," : "");
        json_string(stdout, place);
        fputs(", \"in\": ", stdout);
        json_string(stdout, function);
        printf(", \"what\": \"%s\"", what);
        if (penalty != NULL) printf(", \"reason\": %u, \"penalty\": %u", penalty->reason, penalty->value);
        if (penalty != NULL && v->reasons.known && penalty->reason < v->reasons.n) {
            fputs(", \"text\": ", stdout);
            json_string(stdout, v->reasons.text[penalty->reason]);
        }
        putchar('}');
    } else if (s->n < SHOWN) {
        if (s->n == 0) printf("\n  %s\n", s->title);
        fputs("    ", stdout);
        text_print(stdout, place);
        printf(", %s in ", what);
        text_print(stdout, function);
        if (with_reason) fputs(": ", stdout);
        if (with_reason && penalty != NULL) print_reason(v, penalty->reason);
        if (with_reason && penalty == NULL) fputs("the reason is not known any more", stdout);
        putchar('\n');
    }
    s->n++;
}

static void begin(const view *v, const section *s) {
    if (v->json) printf("\"%s\": [", s->key);
}

static void end(const view *v, const section *s, bool last) {
    if (v->json) {
        printf("%s]%s", s->n > 0 ? "\n   " : "", last ? "" : ",\n   ");
    } else if (s->n > SHOWN) {
        printf("    and %zu more\n", s->n - SHOWN);
    }
}

static void print_given_up(view *v) {
    section s = {"given_up", "Given up: these are not compiled, whatever happens", 0};
    begin(v, &s);
    for (size_t i = 0; i < v->protos.n; i++) {
        remote_func f = {0};
        if (!remote_read_proto(v->h.t, v->protos.list[i], &f) || (f.flags & VM_PT_NOJIT) != 0) continue;
        const unsigned char *code = copy_at(v->h.c, f.header, 4 * (uint64_t)f.n_ins);
        for (uint32_t k = 0; code != NULL && k < f.n_ins; k++) {
            const char *what = given_up(remote_op(&v->h.vm, vm_u32(code, 4 * (ptrdiff_t)k)));
            uint64_t pc = f.header + 4 * (uint64_t)k;
            if (what != NULL) print_place(v, &s, &f, pc, what, jit_penalty_of(v->penalties, v->n_penalties, pc), true);
        }
    }
    end(v, &s, false);
}

static void print_failed(view *v) {
    section s = {"failed", "Failed so far: these are tried again later", 0};
    begin(v, &s);
    for (size_t i = 0; i < v->n_penalties; i++) {
        const jit_penalty *p = &v->penalties[i];
        remote_func f;
        vm_op op;
        if (!jit_proto_at(&v->h, &v->protos, p->pc, &f) || (f.flags & VM_PT_NOJIT) != 0) continue;
        const char *what = instruction(v, p->pc, &op) ? is_counted(op) : NULL;
        if (what != NULL) print_place(v, &s, &f, p->pc, what, p, true);
    }
    end(v, &s, false);
}

static void print_off(view *v) {
    section s = {"off", "Switched off by the program (jit.off)", 0};
    begin(v, &s);
    for (size_t i = 0; i < v->protos.n; i++) {
        remote_func f = {0};
        if (!remote_read_proto(v->h.t, v->protos.list[i], &f) || (f.flags & VM_PT_NOJIT) == 0) continue;
        if (f.firstline != ~0) print_place(v, &s, &f, f.header, "all", NULL, false); /* not the VM's own */
    }
    end(v, &s, true);
}

/* ---- A VM ---- */

static void print_head(const view *v, const copied *from, size_t number) {
    remote_state state = {0};
    remote_read_state(v->h.t, &v->h.vm, &state);
    if (v->json) {
        printf("%s\n  {\"vm\": %zu, \"version\": ", number > 1 ? "," : "", number);
        json_string(stdout, v->h.vm.version);
        printf(", \"jit\": %s, \"still\": %s, \"held_ms\": %.3f, \"lists_broken\": %s, \"reasons_from\": ",
               state.jit_on ? "true" : "false", from->info.still ? "true" : "false", (double)from->info.held_ns / 1e6,
               v->h.lists_broken ? "true" : "false");
        json_string(stdout, v->reasons.known ? v->reasons.from : "");
        fputs(",\n   ", stdout);
        return;
    }
    if (number > 1) putchar('\n');
    printf("VM %zu: ", number);
    text_print(stdout, v->h.vm.version[0] != '\0' ? v->h.vm.version : "LuaJIT");
    printf(", JIT %s", state.jit_on ? "on" : "off");
    if (from->info.held_ns > 0) {
        printf("; held for %.1f ms", (double)from->info.held_ns / 1e6);
    } else {
        fputs(from->info.still ? "; it did not run meanwhile" : "; it ran while it was read: --stop is exact", stdout);
    }
    putchar('\n');
    if (v->h.lists_broken) puts("  inconsistent: a list of objects was broken; functions may be missing");
}

static void print_view(view *v, const copied *from, size_t number) {
    print_head(v, from, number);
    unsigned n = print_traces(v);
    if (!v->json && n == 0) puts("  no traces");
    print_given_up(v);
    print_failed(v);
    print_off(v);
    if (v->json) {
        putchar('}');
    } else if (v->n_penalties > 0 && v->reasons.known) {
        fputs("\n  Reasons in words are from ", stdout);
        text_print(stdout, v->reasons.from);
        putchar('\n');
    } else if (v->n_penalties > 0) {
        puts("\n  What the numbers of reasons mean stands in this build's jit/vmdef.lua, traceerr");
    }
}

static int print_vm(const copied *from, size_t number, void *arg) {
    const request *r = arg;
    view *v = calloc(1, sizeof *v);
    if (v == NULL) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    v->json = r->json;
    int status = 0;
    heap_error error = heap_list(&v->h, from->c, &from->vms.list[number - 1], jit_note_proto, &v->protos);
    if (error == HEAP_NO_MEMORY || v->protos.no_memory) {
        status = cli_fail(CLI_FAILED, "VM %zu: %s", number, strerror(ENOMEM));
    } else if (error == HEAP_BROKEN) {
        status = cli_fail(CLI_FAILED, "VM %zu: it could not be read", number);
    } else if (!from->last && (v->h.lists_broken || v->h.overlaps || from->info.missing > 0)) {
        status = COPIED_AGAIN;
    } else {
        jit_sort_protos(&v->protos);
        v->n_penalties = jit_read_penalties(&v->h, &v->protos, v->penalties);
        jit_find_reasons(&v->h, r->from.core == NULL, &v->reasons);
        print_view(v, from, number);
    }
    heap_free(&v->h);
    free(v->protos.list);
    free(v);
    return status;
}

int cli_traces(int argc, char **argv) {
    enum { CORE = 256, EXE, STOP };
    static const struct option options[] = {
        {"stop", no_argument, NULL, STOP},       {"json", no_argument, NULL, 'j'},
        {"core", required_argument, NULL, CORE}, {"exe", required_argument, NULL, EXE},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    request r = {.json = false};
    for (int option; (option = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
        switch (option) {
        case STOP: r.from.hold = true; break;
        case 'j': r.json = true; break;
        case CORE: r.from.core = optarg; break;
        case EXE: r.from.exe = optarg; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: fputs("ljinspect traces --help tells how it is used.\n", stderr); return CLI_USAGE;
        }
    }
    if (!copied_arguments(&r.from, argv + optind)) {
        fputs("ljinspect traces --help tells how it is used.\n", stderr);
        return CLI_USAGE;
    }
    return copied_each_vm(&r.from, r.json, print_vm, &r);
}
