/* ljinspect stack: the Lua stacks of a process, at this moment. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../remote/describe.h"
#include "../remote/sample.h"
#include "attach.h"
#include "cli.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect stack [OPTION...] PID\n"
                           "       ljinspect stack [OPTION...] --core=FILE [--exe=FILE]\n"
                           "Show where the Lua code of a process is, as debug.traceback() would. The process\n"
                           "needs nothing for it, may hang in an endless loop, and goes on. A thread that\n"
                           "runs is stopped for the moment the reading takes.\n"
                           "\n"
                           "  -a, --all         all coroutines, not only the one that runs\n"
                           "  -l, --locals      names and values of local variables\n"
                           "  -n, --frames=N    at most N frames of each stack; default: 200\n"
                           "  -j, --json        print JSON: one object a VM\n"
                           "      --core=FILE   read a core file\n"
                           "      --exe=FILE    the program that left it, where it is not where it was\n"
                           "  -h, --help        print this\n"
                           "\n"
                           "Example: what is the worker that eats a processor doing?\n"
                           "  sudo ljinspect stack 4711\n"
                           "\n" ATTACH_STATUSES;

enum { COROUTINE_MS = 5000, FRAMES_LIMIT = 60000, COROUTINES_MAX = 100000, OBJECTS_MAX = 200000000, VALUE_MAX = 128 };

typedef struct request {
    bool all, locals, json;
    size_t max_frames;
    const char *core, *exe, *pid;
} request;

/* ---- One stack, written to memory while the target holds still ---- */

typedef struct page {
    const request *r;
    char *text;
    size_t size;
    bool failed;
} page;

static void write_locals(FILE *out, target *t, const remote_stack *s, const remote_frame *f, bool json) {
    char name[REMOTE_NAME_MAX], value[VALUE_MAX];
    bool first = true;
    if (json) fputs(", \"locals\": [", out);
    for (uint32_t slot = 0; slot < f->func.framesize; slot++) {
        if (!remote_local(t, &s->where, f, slot, name, value, sizeof value)) break;
        if (name[0] == '(') continue;
        fputs(json ? (first ? "{\"name\": " : ", {\"name\": ") : "            ", out);
        first = false;
        if (json) {
            json_string(out, name);
            fputs(", \"value\": ", out);
            json_string(out, value);
            fputc('}', out);
        } else {
            text_print(out, name);
            fputs(" = ", out);
            text_print(out, value);
            fputc('\n', out);
        }
    }
    if (json) fputc(']', out);
}

static void write_frame_json(FILE *out, const remote_text *x, unsigned trace) {
    fputs("{\"name\": ", out);
    json_string(out, x->name);
    fprintf(out, ", \"namewhat\": \"%s\", \"what\": \"%s\", \"source\": ", x->what,
            !x->is_lua   ? "C"
            : x->is_main ? "main"
                         : "Lua");
    json_string(out, x->source);
    fputs(", \"short_src\": ", out);
    json_string(out, x->short_source);
    fprintf(out, ", \"currentline\": %d, \"linedefined\": %d", x->line > 0 ? x->line : -1, x->linedefined);
    if (x->builtin != 0) fprintf(out, ", \"builtin\": %u", x->builtin);
    if (!x->is_lua) fprintf(out, ", \"address\": \"0x%" PRIx64 "\"", x->c_address);
    if (trace != 0) fprintf(out, ", \"trace\": %u", trace);
}

static void write_stack(FILE *out, target *t, const remote_vm *vm, const remote_stack *s, const request *r) {
    char line[512];
    if (r->json) fputc('[', out);
    for (size_t i = 0; i < s->frames.n; i++) {
        const remote_frame *f = &s->frames.list[i];
        unsigned trace = f->compiled ? s->where.trace : 0;
        remote_text x;
        remote_describe(t, vm, &s->frames, i, &x);
        if (r->json) {
            fputs(i == 0 ? "\n      " : ",\n      ", out);
            write_frame_json(out, &x, trace);
            if (r->locals && f->func.is_lua) write_locals(out, t, s, f, true);
            fputc('}', out);
            continue;
        }
        remote_traceback_line(&x, line, sizeof line);
        fputs("        ", out);
        text_print(out, line);
        if (f->compiled && trace != 0) fprintf(out, " [trace %u]", trace);
        if (f->compiled && trace == 0) fputs(" [trace]", out);
        fputc('\n', out);
        if (r->locals && f->func.is_lua) write_locals(out, t, s, f, false);
    }
    if (r->json) fputc(']', out);
    if (s->frames.cut && !r->json) fputs("        ...\n", out);
}

static const char *thread_name(const remote_vm *vm, const remote_thread *th, char *out, size_t size) {
    if (th->address == vm->main) return "main thread";
    snprintf(out, size, "coroutine 0x%" PRIx64, th->address);
    return out;
}

static void write_sample(target *t, const remote_vm *vm, const remote_sample *s, void *arg) {
    page *p = arg;
    char name[40];
    free(p->text);
    p->text = NULL;
    FILE *out = open_memstream(&p->text, &p->size);
    p->failed = out == NULL;
    if (out == NULL) return;
    for (size_t i = 0; i < s->n; i++) {
        const char *who = thread_name(vm, &s->stack[i].where.thread, name, sizeof name);
        if (p->r->json) {
            fprintf(out, "%s\n    {\"thread\": \"%s\", \"status\": \"%s\", \"cut\": %s, \"frames\": ", i > 0 ? "," : "",
                    who, i == 0 ? "running" : "normal", s->stack[i].frames.cut ? "true" : "false");
        } else {
            fprintf(out, "    %s%s:\n", i > 0 ? "resumed by " : "", who);
        }
        write_stack(out, t, vm, &s->stack[i], p->r);
        if (p->r->json) fputc('}', out);
    }
    p->failed = fclose(out) != 0;
}

/* ---- Coroutines that do not run ---- */

typedef struct coroutines {
    uint64_t *list;
    size_t n, max;
    const remote_sample *running;
} coroutines;

static bool collect(const remote_thread *th, void *arg) {
    coroutines *c = arg;
    for (size_t i = 0; i < c->running->n; i++)
        if (c->running->stack[i].where.thread.address == th->address) return true;
    if (c->n == c->max) {
        size_t more = c->max == 0 ? 64 : 2 * c->max;
        uint64_t *longer = more <= COROUTINES_MAX ? realloc(c->list, more * sizeof *longer) : NULL;
        if (longer == NULL) return false;
        c->list = longer;
        c->max = more;
    }
    c->list[c->n++] = th->address;
    return true;
}

/* lib_base.c: coroutine.status. The main thread has no function of its own between its host's calls. */
static const char *status_of(const remote_vm *vm, const remote_thread *th, size_t frames) {
    if (th->cframe != 0) return "normal";
    if (th->status == 1) return "suspended";
    if (th->status != 0) return "dead, of an error";
    if (th->address == vm->main) return "idle";
    return frames == 0 && th->top <= th->base ? "dead" : "not started";
}

/* One coroutine in words. NULL where it cannot be read. */
static char *write_coroutine(target *t, const remote_vm *vm, uint64_t address, const request *r, remote_stack *s) {
    remote_thread th;
    char *text = NULL, name[40];
    size_t size;
    target_forget(t);
    target_limit(t, COROUTINE_MS);
    if (!remote_read_thread(t, vm, address, &th)) return NULL;
    if (remote_sample_thread(t, vm, &th, r->max_frames, s) != SAMPLE_OK) return NULL;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    const char *status = status_of(vm, &th, s->frames.n);
    const char *who = thread_name(vm, &th, name, sizeof name);
    if (r->json) {
        fprintf(out, ",\n    {\"thread\": \"%s\", \"status\": \"%s\", \"cut\": %s, \"frames\": ", who, status,
                s->frames.cut ? "true" : "false");
    } else {
        fprintf(out, "    %s (%s):\n", who, status);
    }
    write_stack(out, t, vm, s, r);
    if (r->json) fputc('}', out);
    if (fclose(out) == 0 && !target_late(t)) return text;
    free(text);
    return NULL;
}

/* They are read twice: what is the same both times held still. Returns how many were not. */
static size_t print_coroutines(target *t, const remote_vm *vm, const request *r, const remote_sample *running) {
    coroutines c = {.running = running};
    remote_stack s = {0};
    size_t moved = 0;
    target_forget(t);
    bool whole = remote_each_thread(t, vm, OBJECTS_MAX, collect, &c);
    for (size_t i = 0; i < c.n; i++) {
        char *once = write_coroutine(t, vm, c.list[i], r, &s), *twice = write_coroutine(t, vm, c.list[i], r, &s);
        bool same = once != NULL && twice != NULL && strcmp(once, twice) == 0;
        if (same) fputs(once, stdout);
        moved += !same;
        free(once);
        free(twice);
    }
    target_limit(t, 0);
    if (!whole) fputs("ljinspect: the list of coroutines changed while it was read; some may be missing\n", stderr);
    remote_free_frames(&s.frames);
    free(c.list);
    return moved;
}

/* ---- A VM ---- */

static const char *doing(const remote_sample *s, sample_result result, char *out, size_t size) {
    static const char *const states[] = {"interpreted code",       "a C function",       "the garbage collector",
                                         "the exit of a trace",    "the trace recorder", "the optimizer of traces",
                                         "the assembler of traces"};
    int state = s->stack[0].where.vmstate;
    if (result == SAMPLE_IDLE) return "idle";
    if (result != SAMPLE_OK) return "not known";
    if (state >= 0) {
        const unsigned trace = s->stack[0].where.trace;
        if (trace == 0) return "compiled code";
        snprintf(out, size, "compiled code, trace %u", trace);
        return out;
    }
    return ~state < (int)(sizeof states / sizeof states[0]) ? states[~state] : "not known";
}

static void print_head(target *t, const remote_vm *vm, size_t number, const remote_sample *s, sample_result result,
                       bool json) {
    remote_state state = {0};
    char size[32], what[64];
    target_forget(t);
    remote_read_state(t, vm, &state);
    doing(s, result, what, sizeof what);
    if (json) {
        printf("%s\n  {\"vm\": %zu, \"main_thread\": \"0x%" PRIx64 "\", \"version\": ", number > 1 ? "," : "", number,
               vm->main);
        json_string(stdout, vm->version);
        printf(", \"heap_bytes\": %" PRIu64 ", \"jit\": %s, \"thread_id\": %d, \"runs\": \"%s\", \"stopped_us\": %.1f, "
               "\"stacks\": [",
               state.heap, state.jit_on ? "true" : "false", (int)s->thread, doing(s, result, what, sizeof what),
               (double)s->stopped_ns / 1000);
        return;
    }
    printf("VM %zu: ", number);
    text_print(stdout, vm->version[0] != '\0' ? vm->version : "LuaJIT");
    printf(", heap %s, JIT %s; runs: %s", text_size(state.heap, size), state.jit_on ? "on" : "off",
           doing(s, result, what, sizeof what));
    if (s->thread != 0) printf("; thread %d", (int)s->thread);
    if (s->stopped_ns != 0) printf(", stopped for %.0f us", (double)s->stopped_ns / 1000);
    putchar('\n');
}

static int complain(sample_result result, size_t number) {
    switch (result) {
    case SAMPLE_OK:
    case SAMPLE_IDLE: return 0;
    case SAMPLE_DENIED:
        return cli_fail(ATTACH_NO_PERMISSION, "VM %zu: its thread cannot be stopped: a debugger may have it", number);
    case SAMPLE_GONE: return cli_fail(ATTACH_NO_PROCESS, "the process has ended");
    case SAMPLE_NO_MEMORY: return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    default: return cli_fail(CLI_FAILED, "VM %zu: no consistent stack could be read; try again", number);
    }
}

static int print_vm(target *t, remote_vm *vm, size_t number, const request *r) {
    remote_sample *s = calloc(1, sizeof *s);
    page p = {.r = r};
    const sample_options options = {.max_frames = r->max_frames, .look = write_sample, .arg = &p};
    if (s == NULL) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    sample_result result = remote_sample_vm(t, vm, &options, s);
    if (p.failed) result = SAMPLE_NO_MEMORY;
    if (result != SAMPLE_OK) s->n = 0;
    print_head(t, vm, number, s, result, r->json);
    if (result == SAMPLE_OK && p.text != NULL) fputs(p.text, stdout);
    size_t moved = 0;
    if (r->all && result != SAMPLE_GONE) {
        /* JSON: each begins with a comma. */
        if (r->json && result != SAMPLE_OK) fputs("\n    {\"thread\": null}", stdout);
        moved = print_coroutines(t, vm, r, s);
    }
    if (r->json) printf("]}");
    if (moved > 0)
        fprintf(stderr, "ljinspect: VM %zu: %zu coroutines ran meanwhile and are not shown\n", number, moved);
    int status = complain(result, number);
    free(p.text);
    remote_free_sample(s);
    free(s);
    return status;
}

static int print_all(target *t, const char *name, const request *r) {
    remote_vms vms;
    int status = attach_vms(t, name, &vms);
    if (status != 0) return status;
    if (r->json) putchar('[');
    for (size_t i = 0; i < vms.n; i++) {
        int one = print_vm(t, &vms.list[i], i + 1, r);
        if (status == 0) status = one;
    }
    if (r->json) puts("\n]");
    remote_free_vms(&vms);
    return status;
}

/* ---- Options ---- */

static int usage(void) {
    fputs("ljinspect stack --help tells how it is used.\n", stderr);
    return CLI_USAGE;
}

static bool set_frames(request *r, const char *text) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 1 || n > FRAMES_LIMIT) return false;
    r->max_frames = (size_t)n;
    return true;
}

int cli_stack(int argc, char **argv) {
    enum { CORE = 256, EXE };
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},          {"locals", no_argument, NULL, 'l'},
        {"frames", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
        {"core", required_argument, NULL, CORE},  {"exe", required_argument, NULL, EXE},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    request r = {.max_frames = 200};
    for (int option; (option = getopt_long(argc, argv, "aln:jh", options, NULL)) != -1;) {
        switch (option) {
        case 'a': r.all = true; break;
        case 'l': r.locals = true; break;
        case 'n':
            if (!set_frames(&r, optarg))
                return cli_fail(CLI_USAGE, "-n %s: a number from 1 to %d expected", optarg, FRAMES_LIMIT);
            break;
        case 'j': r.json = true; break;
        case CORE: r.core = optarg; break;
        case EXE: r.exe = optarg; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: return usage();
        }
    }
    r.pid = argv[optind];
    if ((r.pid == NULL) == (r.core == NULL) || (r.pid != NULL && argc > optind + 1)) return usage();
    if (r.exe != NULL && r.core == NULL) return usage();
    target *t;
    pid_t pid = r.pid != NULL ? attach_pid(r.pid) : 0;
    if (r.pid != NULL && pid == 0) return cli_fail(CLI_USAGE, "%s: a process id expected", r.pid);
    int status = pid != 0 ? attach_process(pid, &t) : attach_core(r.core, r.exe, &t);
    if (status != 0) return status;
    status = print_all(t, pid != 0 ? r.pid : r.core, &r);
    target_close(t);
    return status;
}
