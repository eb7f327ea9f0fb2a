#include "report.h"

/* The subcommand as it is, with its functions in reach. */
#include "../../src/cli/stack.c" /* NOLINT(bugprone-suspicious-include) */

#include <stdarg.h>

#include "../../src/cli/profile.h"
#include "../../src/cli/recorder.h"
#include "../cli/take_still.h"
#include "json_check.h"
#include "pprof_check.h"

/* main.c's; what would be printed on standard error is left out. */
int cli_fail(int status, const char *format, ...) {
    va_list args;
    char text[512];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return status;
}

static FILE *memory(char **text, size_t *size) {
    FILE *out = open_memstream(text, size);
    if (out == NULL) abort();
    return out;
}

/* glibc's stdout and stderr may be set: what prints there prints to memory meanwhile, and nowhere. */
typedef struct streams {
    FILE *out, *messages, *nowhere;
    char *text;
    size_t size;
} streams;

static void begin(streams *s) {
    *s = (streams){.out = stdout, .messages = stderr, .nowhere = fopen("/dev/null", "w")};
    if (s->nowhere == NULL) abort();
    stdout = memory(&s->text, &s->size);
    stderr = s->nowhere;
}

static char *end(streams *s) {
    fclose(stdout);
    fclose(s->nowhere);
    stdout = s->out;
    stderr = s->messages;
    return s->text;
}

char *report_stack(target *t, bool json, bool all, bool locals) {
    const request r = {.all = all, .locals = locals, .json = json, .max_frames = 50};
    streams s;
    remote_vms vms;
    if (attach_vms(t, "image", &vms) != 0) return strdup("");
    begin(&s);
    if (json) putchar('[');
    for (size_t i = 0; i < vms.n && i < REPORT_VMS_MAX; i++) print_vm(t, &vms.list[i], i + 1, &r);
    if (json) puts("\n]");
    remote_free_vms(&vms);
    return end(&s);
}

/* Each VM's is a text of its own. */
char *report_copy(target *t, bool json, bool traces) {
    const copy_options options = {.max_bytes = 64 << 20};
    copied from = {.max_bytes = 64 << 20, .last = true};
    copy_error error;
    streams s;
    char *text = strdup("");
    from.c = copy_take(t, &options, &from.info, &error);
    if (from.c == NULL) return text;
    if (!remote_find_vms(copy_target(from.c), &from.vms)) abort();
    if (from.vms.n > 0) {
        free(text);
        begin(&s);
        if (traces)
            report_traces_vm(&from, 1, json);
        else
            report_gc_vm(&from, 1, json);
        text = end(&s);
    }
    remote_free_vms(&from.vms);
    copy_free(from.c);
    return text;
}

/* ---- What is to be true of texts ---- */

static size_t utf8_length(const unsigned char *p) {
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] <= 0xf4 ? 4 : 0;
    if (p[0] >= 0x80 && p[0] < 0xc2) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

void report_check_text(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        size_t n = utf8_length(p);
        bool control = n == 1 ? (*p < ' ' && *p != '\n') || *p == 0x7f : n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
        if (n == 0 || control) abort();
        p += n;
    }
}

void report_check_json(const char *text) {
    report_check_text(text);
    if (!json_check(text, strlen(text))) abort();
}

/* ---- A profile ---- */

static char *written(const profile *p, bool (*write)(const profile *p, FILE *out)) {
    char *text;
    size_t size;
    FILE *out = memory(&text, &size);
    bool ok = write(p, out);
    if (fclose(out) != 0 || !ok || strlen(text) != size) abort();
    return text;
}

static void check_folded(const profile *p) {
    profile again;
    const char *why;
    char *folded = written(p, profile_write_folded);
    report_check_text(folded);
    if (!profile_init(&again)) abort();
    FILE *in = fmemopen(folded, strlen(folded) + 1, "r");
    if (in == NULL || !profile_read_folded(&again, in, &why) || again.samples != p->samples) abort();
    fclose(in);
    profile_free(&again);
    free(folded);
}

static void check_page(const profile *p) {
    static const char BEGIN[] = "id=\"data\">";
    char *page = written(p, profile_write_html), *data = strstr(page, BEGIN);
    if (data == NULL) abort();
    data += sizeof BEGIN - 1;
    char *end = strchr(data, '<');
    if (end == NULL || strncmp(end, "</script>", 9) != 0) abort();
    *end = '\0';
    report_check_json(data);
    free(page);
}

static void check_pprof(const profile *p) {
    char *bytes;
    size_t size;
    FILE *out = memory(&bytes, &size);
    bool ok = profile_write_pprof(p, out);
    if (fclose(out) != 0 || !ok || !pprof_check(p, (const unsigned char *)bytes, size)) abort();
    free(bytes);
}

void report_check_profile(const profile *p) {
    check_folded(p);
    check_page(p);
    check_pprof(p);
    char *speedscope = written(p, profile_write_speedscope);
    report_check_json(speedscope);
    free(speedscope);
}

void report_profile(target *t) {
    remote_vms vms;
    profile p;
    if (!remote_find_vms(t, &vms)) abort();
    if (!profile_init(&p)) abort();
    recorder *r = recorder_new(&p);
    remote_sample *s = calloc(1, sizeof *s);
    if (r == NULL || s == NULL) abort();
    for (size_t i = 0; i < vms.n && i < REPORT_VMS_MAX; i++) recorder_sample(r, t, &vms.list[i], !target_is_core(t), s);
    if (p.samples > 0) {
        snprintf(p.title, sizeof p.title, "an image");
        report_check_profile(&p);
    }
    remote_free_sample(s);
    free(s);
    recorder_free(r);
    profile_free(&p);
    remote_free_vms(&vms);
}

/* Registers that are not the interpreter's are zero. */
static void still_registers(const target *t, const target_regs *r, __u64 *reg) {
    memset(reg, 0, STILL_REGS * sizeof *reg);
    reg[STILL_IP] = r->ip;
    if (target_cpu_of(t) == CPU_ARM64) {
        reg[STILL_ARM64_BASE] = r->base, reg[20] = r->kbase, reg[21] = r->pc, reg[22] = r->vm;
        reg[29] = r->fp, reg[30] = r->lr, reg[STILL_ARM64_SP] = r->sp;
    } else {
        reg[STILL_X64_BASE] = r->base, reg[3] = r->pc, reg[STILL_X64_SP] = r->sp;
        reg[5] = r->rb, reg[14] = r->vm, reg[15] = r->kbase;
    }
}

char *report_still(target *t) {
    char text[64];
    unsigned followed = 0;
    static struct still record;
    static remote_still still;
    remote_vms vms;
    profile p;
    if (!remote_find_vms(t, &vms) || !profile_init(&p)) abort();
    recorder *r = recorder_new(&p);
    remote_sample *s = calloc(1, sizeof *s);
    if (r == NULL || s == NULL) abort();
    for (size_t i = 0; i < vms.n && i < REPORT_VMS_MAX; i++) {
        target_regs regs;
        if (!target_stop(t, target_pid(t), &regs)) break;
        still_registers(t, &regs, record.reg);
        if (take_still(t, &vms.list[i], &record) && remote_still_open(&still, target_cpu_of(t), &record, sizeof record))
            recorder_still(r, t, &vms.list[i], &still, s), followed += still.followed;
    }
    snprintf(text, sizeof text, "%llu stills, %u instructions followed\n", (unsigned long long)recorder_count(r)->good,
             followed);
    remote_free_sample(s);
    free(s);
    recorder_free(r);
    profile_free(&p);
    remote_free_vms(&vms);
    return strdup(text);
}
