/* ljinspect gc: what is in the Lua heap of a process, and what holds it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../remote/heap.h"
#include "attach.h"
#include "cli.h"
#include "copied.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect gc [OPTION...] PID\n"
                           "       ljinspect gc [OPTION...] --core=FILE [--exe=FILE]\n"
                           "Show the Lua heap of a process by type, its biggest tables and strings, and what\n"
                           "holds them: the shortest ways from the globals, the registry and the stacks.\n"
                           "\n"
                           "  -n, --top=N       how many of the biggest of each type, 0 to 1000; default: 10\n"
                           "  -w, --ways=N      at most N ways to each, 1 to 8; default: 3\n"
                           "  -t, --types=LIST  which types; default: table,string\n"
                           "      --held        the biggest with all that is found through them first\n"
                           "      --stop        hold the process while its memory is copied: nothing changes\n"
                           "                    then\n"
                           "  -j, --json        print JSON: one object a VM\n"
                           "      --core=FILE   read a core file\n"
                           "      --exe=FILE    the program that left it, where it is not where it was\n"
                           "  -h, --help        print this\n"
                           "\n"
                           "The memory is copied first, which takes as much memory as the process has in\n"
                           "use. What a process changes meanwhile may not agree with itself: it is counted,\n"
                           "and said.\n"
                           "\n"
                           "Example: why does the worker grow?\n"
                           "  sudo ljinspect gc 4711\n"
                           "\n" ATTACH_STATUSES;

typedef struct request {
    copied_request from;
    bool json, by_held;
    size_t top, ways;
    unsigned types;
} request;

enum { TEXT_SHOWN = 60 };

/* ---- Text ---- */

/* A way, in memory of its own; NULL: no memory. */
static char *way_text(heap *h, heap_way way) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    heap_write_way(h, way, out);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

static void print_big(heap *h, int type, const heap_big *b) {
    char size[32], held[32], text[TEXT_SHOWN + 1];
    size_t len;
    printf("  %10s", text_size(b->own, size));
    if (type != VM_TYPE_STRING && type != VM_TYPE_CDATA) printf("  %10s", text_size(b->held, held));
    printf("  %s 0x%" PRIx64, heap_type_name(type), b->object);
    if (type == VM_TYPE_STRING && remote_string(h->t, b->object, text, sizeof text, &len)) {
        fputs(" \"", stdout);
        text_print(stdout, text);
        fputs(len > TEXT_SHOWN ? "\"..." : "\"", stdout);
    }
    putchar('\n');
    for (size_t i = 0; i < b->n_ways; i++) {
        char *way = way_text(h, b->ways[i]);
        fputs("                ", stdout);
        text_print(stdout, way != NULL ? way : strerror(ENOMEM));
        putchar('\n');
        free(way);
    }
    if (b->holders > b->n_ways) printf("                and %" PRIu64 " more ways\n", b->holders - (uint64_t)b->n_ways);
}

static void print_sums(const heap *h) {
    heap_sum all = {0};
    char size[32], lost[32], total[32];
    puts("  TYPE            COUNT       BYTES   NOT HELD       BYTES");
    for (int i = 0; i < HEAP_TYPES; i++) {
        const heap_sum *s = &h->sums[i];
        if (s->count == 0) continue;
        printf("  %-10s %10" PRIu64 "  %10s %10" PRIu64 "  %10s\n", heap_type_name(i + HEAP_FIRST), s->count,
               text_size(s->bytes, size), s->count - s->reached, text_size(s->bytes - s->reached_bytes, lost));
        all.count += s->count;
        all.bytes += s->bytes;
        all.reached += s->reached;
        all.reached_bytes += s->reached_bytes;
    }
    printf("  %-10s %10s  %10s\n", "the VM", "", text_size(h->vm_bytes, size));
    printf("  %-10s %10" PRIu64 "  %10s %10" PRIu64 "  %10s   LuaJIT's own count: %s\n", "all", all.count,
           text_size(all.bytes + h->vm_bytes, size), all.count - all.reached,
           text_size(all.bytes - all.reached_bytes, lost), text_size(h->total, total));
}

/* How sure the numbers are. */
static void print_doubts(const heap *h, const copy_info *info) {
    if (h->inconsistent > 0)
        printf("  inconsistent: %" PRIu64 " objects that do not agree with themselves%s\n", h->inconsistent,
               info->still ? "" : "; they changed while they were read");
    if (h->lists_broken) puts("  inconsistent: a list of objects was broken; what is not held may be missing");
    if (h->overlaps) puts("  inconsistent: objects seem to overlap; given up");
    if (h->stack_unknown)
        puts("  which frame runs could not be told: what its stack does not use any more counts as held");
}

static void print_heap(heap *h, const copied *from, size_t number) {
    const copy_info *info = &from->info;
    printf("VM %zu: ", number);
    text_print(stdout, h->vm.version[0] != '\0' ? h->vm.version : "LuaJIT");
    if (info->held_ns > 0) {
        printf("; held for %.1f ms", (double)info->held_ns / 1e6);
        if (from->holds > 1) printf(", the last of %u times", from->holds);
    } else {
        fputs(info->still ? "; it did not run meanwhile" : "; it ran while it was read: --stop is exact", stdout);
    }
    putchar('\n');
    print_sums(h);
    print_doubts(h, info);
    for (int i = HEAP_TYPES - 1; i >= 0; i--) {
        const heap_top *top = &h->tops[i];
        if (top->n == 0) continue;
        const int type = i + HEAP_FIRST;
        bool leaf = type == VM_TYPE_STRING || type == VM_TYPE_CDATA;
        printf("\n  %s\n", leaf ? "    ITSELF" : "    ITSELF  WITH WHAT IT HOLDS");
        for (size_t k = 0; k < top->n; k++) print_big(h, type, &top->list[k]);
    }
}

/* ---- JSON ---- */

static void json_big(heap *h, int type, const heap_big *b) {
    char text[TEXT_SHOWN + 1];
    size_t len;
    printf("{\"type\": \"%s\", \"address\": \"0x%" PRIx64 "\", \"bytes\": %" PRIu64 ", \"held_bytes\": %" PRIu64,
           heap_type_name(type), b->object, b->own, b->held);
    if (type == VM_TYPE_STRING && remote_string(h->t, b->object, text, sizeof text, &len)) {
        printf(", \"length\": %zu, \"text\": ", len);
        json_string(stdout, text);
    }
    printf(", \"holders\": %" PRIu64 ", \"ways\": [", b->holders);
    for (size_t i = 0; i < b->n_ways; i++) {
        char *way = way_text(h, b->ways[i]);
        if (i > 0) fputs(", ", stdout);
        json_string(stdout, way != NULL ? way : "");
        free(way);
    }
    fputs("]}", stdout);
}

static void json_heap(heap *h, const copied *from, size_t number) {
    const copy_info *info = &from->info;
    printf("%s\n  {\"vm\": %zu, \"version\": ", number > 1 ? "," : "", number);
    json_string(stdout, h->vm.version);
    printf(", \"held_ms\": %.3f, \"holds\": %u, \"still\": %s, \"heap_bytes\": %" PRIu64 ", \"vm_bytes\": %" PRIu64
           ", \"inconsistent\": %" PRIu64 ", \"lists_broken\": %s, \"overlaps\": %s, \"stack_unknown\": %s,\n"
           "   \"types\": {",
           (double)info->held_ns / 1e6, from->holds, info->still ? "true" : "false", h->total, h->vm_bytes,
           h->inconsistent, h->lists_broken ? "true" : "false", h->overlaps ? "true" : "false",
           h->stack_unknown ? "true" : "false");
    for (int i = 0; i < HEAP_TYPES; i++) {
        const heap_sum *s = &h->sums[i];
        printf("%s\n    \"%s\": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"held\": %" PRIu64
               ", \"held_bytes\": %" PRIu64 "}",
               i > 0 ? "," : "", heap_type_name(i + HEAP_FIRST), s->count, s->bytes, s->reached, s->reached_bytes);
    }
    fputs("},\n   \"biggest\": [", stdout);
    bool first = true;
    for (int i = HEAP_TYPES - 1; i >= 0; i--) {
        for (size_t k = 0; k < h->tops[i].n; k++) {
            fputs(first ? "\n    " : ",\n    ", stdout);
            first = false;
            json_big(h, i + HEAP_FIRST, &h->tops[i].list[k]);
        }
    }
    fputs("]}", stdout);
}

/* ---- A VM ---- */

static int print_vm(const copied *from, size_t number, void *arg) {
    const request *r = arg;
    const heap_options options = {.top = r->top,
                                  .ways = r->ways,
                                  .by_held = r->by_held,
                                  .types = r->types,
                                  .max_bytes = from->max_bytes,
                                  .progress = copied_progress()};
    heap h;
    int status = 0;
    heap_error error = heap_read(&h, from->c, &from->vms.list[number - 1], &options);
    copied_progress_end();
    if (error == HEAP_NO_MEMORY) {
        status = cli_fail(CLI_FAILED, "VM %zu: %s for as many objects as there are", number, strerror(ENOMEM));
    } else if (error == HEAP_BROKEN) {
        status = cli_fail(CLI_FAILED, "VM %zu: it could not be read", number);
    } else if (!from->last && (h.inconsistent > 0 || h.lists_broken || h.overlaps || from->info.missing > 0)) {
        status = COPIED_AGAIN;
    } else if (r->json) {
        json_heap(&h, from, number);
    } else {
        if (number > 1) putchar('\n');
        print_heap(&h, from, number);
    }
    heap_free(&h);
    return status;
}

/* ---- Options ---- */

static int usage(void) {
    fputs("ljinspect gc --help tells how it is used.\n", stderr);
    return CLI_USAGE;
}

static bool number(const char *text, long low, long high, size_t *value) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < low || n > high) return false;
    *value = (size_t)n;
    return true;
}

static bool set_types(const char *text, unsigned *types) {
    *types = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        unsigned found = 0;
        for (int i = 0; i < HEAP_TYPES; i++) {
            const char *name = heap_type_name(i + HEAP_FIRST);
            if (strlen(name) == len && memcmp(name, text, len) == 0) found = 1U << i;
        }
        if (found == 0) return false;
        *types |= found;
        text += len;
        text += *text == ',';
    }
    return *types != 0;
}

int cli_gc(int argc, char **argv) {
    enum { CORE = 256, EXE, HELD, STOP };
    static const struct option options[] = {
        {"top", required_argument, NULL, 'n'},   {"ways", required_argument, NULL, 'w'},
        {"types", required_argument, NULL, 't'}, {"held", no_argument, NULL, HELD},
        {"stop", no_argument, NULL, STOP},       {"json", no_argument, NULL, 'j'},
        {"core", required_argument, NULL, CORE}, {"exe", required_argument, NULL, EXE},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    request r = {
        .top = 10, .ways = 3, .types = 1U << (VM_TYPE_TABLE - HEAP_FIRST) | 1U << (VM_TYPE_STRING - HEAP_FIRST)};
    for (int option; (option = getopt_long(argc, argv, "n:w:t:jh", options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            if (!number(optarg, 0, HEAP_TOP_MAX, &r.top))
                return cli_fail(CLI_USAGE, "-n %s: a number from 0 to %d expected", optarg, HEAP_TOP_MAX);
            break;
        case 'w':
            if (!number(optarg, 1, HEAP_WAYS_MAX, &r.ways))
                return cli_fail(CLI_USAGE, "-w %s: a number from 1 to %d expected", optarg, HEAP_WAYS_MAX);
            break;
        case 't':
            if (!set_types(optarg, &r.types))
                return cli_fail(CLI_USAGE,
                                "-t %s: of string, table, function, userdata, cdata, thread, upvalue, "
                                "prototype, trace expected",
                                optarg);
            break;
        case HELD: r.by_held = true; break;
        case STOP: r.from.hold = true; break;
        case 'j': r.json = true; break;
        case CORE: r.from.core = optarg; break;
        case EXE: r.from.exe = optarg; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: return usage();
        }
    }
    if (!copied_arguments(&r.from, argv + optind)) return usage();
    return copied_each_vm(&r.from, r.json, print_vm, &r);
}
