/*
 * Samples are taken by the kernel, in the interrupt of a clock on each processor (../bpf/still.bpf.c). They are read here
 * some hundredths of a second later.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sampler.h"
#include "still_program.h"

struct sampler {
    target *t;
    remote_vms *vms;
    recorder *r;
    struct bpf_object *object;
    struct ring_buffer *ring;
    int counts; /* map of them */
    int processors;
    int *clock; /* one for each processor; -1: that is not there */
    struct bpf_link **link;
    uint64_t period_ns;
    unsigned hz, seed;
    sample_result failed;
    uint64_t outside, lost; /* as far as they were counted */
    remote_still still;
    remote_sample sample;
};

/* ---- Loading ---- */

/* `error` is an errno, or 0. */
static bool fail(sampler_refusal *no, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool fail(sampler_refusal *no, int error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t n = (size_t)vsnprintf(no->why, sizeof no->why, format, args);
    va_end(args);
    no->denied = error == EPERM || error == EACCES;
    const char *advice = no->denied        ? " (it takes root, or CAP_BPF and CAP_PERFMON: "
                                             "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep ljinspect)"
                         : error == EINVAL ? " (it takes Linux 5.17 or later)"
                                           : "";
    if (error != 0 && n < sizeof no->why) snprintf(no->why + n, sizeof no->why - n, ": %s%s", strerror(error), advice);
    return false;
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args) {
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

/* The number that a process has in its own namespace is the last of those that the kernel lists. */
static bool fill_config(struct still_config *c, pid_t pid, sampler_refusal *no) {
    char path[40], line[256];
    struct stat space;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    if (stat(path, &space) != 0) return fail(no, errno, "%s", path);
    c->namespace_inode = space.st_ino;
    c->namespace_device = (uint64_t)major(space.st_dev) << 20 | minor(space.st_dev);
    c->process = (uint32_t)pid;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return fail(no, errno, "%s", path);
    while (fgets(line, sizeof line, f) != NULL) {
        const char *last = strrchr(line, '\t');
        if (strncmp(line, "NSpid:", 6) == 0 && last != NULL) c->process = (uint32_t)strtoul(last, NULL, 10);
    }
    fclose(f);
    return true;
}

static bool fill_maps(sampler *s, const struct still_config *config, sampler_refusal *no) {
    enum { HOT_COUNTS = 128 }; /* lj_dispatch.h: GG_State.hotcount */
    uint32_t key = 0;
    bool ok = bpf_map_update_elem(bpf_object__find_map_fd_by_name(s->object, "config"), &key, config, BPF_ANY) == 0;
    int vms = bpf_object__find_map_fd_by_name(s->object, "vms");
    for (; ok && key < config->vms; key++) {
        const remote_vm *vm = &s->vms->list[key];
        const target_map *heap = target_map_at(s->t, vm->main);
        const struct still_vm v = {.main = vm->main,
                                   .g = vm->g,
                                   .table = vm->dispatch - HOT_COUNTS,
                                   .table_end = vm->dispatch + 8 * (uint64_t)vm->n_dispatch,
                                   .g_bytes = REMOTE_G_SIZE,
                                   .heap = heap != NULL ? heap->start : 0,
                                   .heap_end = heap != NULL ? heap->end : 0,
                                   .cur_l = vm->g_cur_l,
                                   .jit_base = vm->g_jit_base};
        if (vm->dispatch == 0) return fail(no, 0, "the interpreter's dispatch table was not found");
        ok = bpf_map_update_elem(vms, &key, &v, BPF_ANY) == 0;
    }
    return ok || fail(no, errno, "eBPF maps");
}

static int on_still(void *context, void *record, size_t size);

/* A power of two: a second of samples, rather in a processor's cache than too large. */
static uint32_t ring_size(int processors) {
    enum { LEAST = 1 << 21, MOST = 1 << 26 };
    uint32_t size = LEAST;
    while (size < MOST && size < (uint32_t)processors * (LEAST / 2)) size *= 2;
    return size;
}

static bool load(sampler *s, sampler_refusal *no) {
    struct still_config config = {.vms = (uint32_t)s->vms->n};
    libbpf_set_print(say_nothing);
    s->object = bpf_object__open_mem(STILL_PROGRAM, sizeof STILL_PROGRAM - 1, NULL);
    if (s->object == NULL) return fail(no, errno, "the eBPF program cannot be read");
    struct bpf_map *works = bpf_object__find_map_by_name(s->object, "works");
    struct bpf_map *stills = bpf_object__find_map_by_name(s->object, "stills");
    if (works == NULL || bpf_map__set_max_entries(works, (uint32_t)s->processors) != 0 || stills == NULL ||
        bpf_map__set_max_entries(stills, ring_size(s->processors)) != 0)
        return fail(no, 0, "the eBPF program has no room for %d processors", s->processors);
    int error = -bpf_object__load(s->object);
    if (error != 0) return fail(no, error, "the kernel does not load the eBPF program");
    if (!fill_config(&config, target_pid(s->t), no) || !fill_maps(s, &config, no)) return false;
    s->counts = bpf_object__find_map_fd_by_name(s->object, "counts");
    s->ring = ring_buffer__new(bpf_object__find_map_fd_by_name(s->object, "stills"), on_still, s, NULL);
    return s->ring != NULL || fail(no, errno, "eBPF ring buffer");
}

/* ---- Clocks ---- */

static bool start_clocks(sampler *s, sampler_refusal *no) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_CPU_CLOCK,
                                   .sample_period = s->period_ns,
                                   .exclude_idle = 1};
    const struct bpf_program *program = bpf_object__find_program_by_name(s->object, "take_still");
    bool any = false;
    for (int i = 0; i < s->processors; i++) {
        s->clock[i] = (int)syscall(SYS_perf_event_open, &attr, -1, i, -1, PERF_FLAG_FD_CLOEXEC);
        if (s->clock[i] < 0 && errno == ENODEV) continue; /* switched off */
        if (s->clock[i] < 0) return fail(no, errno, "perf_event_open()");
        s->link[i] = bpf_program__attach_perf_event(program, s->clock[i]);
        if (s->link[i] == NULL) return fail(no, errno, "the eBPF program cannot be run");
        any = true;
    }
    return any || fail(no, 0, "no processor has a clock that can be used");
}

/* A regular beat might march in step with what is measured: it is changed at each chance, by a quarter at most. */
static void change_beat(sampler *s) {
    for (int i = 0; i < s->processors; i++) {
        uint64_t period = s->period_ns * 3 / 4 + (uint64_t)((double)s->period_ns / 2 * rand_r(&s->seed) / RAND_MAX);
        if (s->link[i] != NULL) ioctl(s->clock[i], PERF_EVENT_IOC_PERIOD, &period);
    }
}

static void stop_clocks(sampler *s) {
    for (int i = 0; i < s->processors; i++) {
        bpf_link__destroy(s->link[i]); /* closes the clock, too */
        if (s->link[i] == NULL && s->clock[i] >= 0) close(s->clock[i]);
        s->link[i] = NULL;
        s->clock[i] = -1;
    }
}

/* ---- A sampler ---- */

static void ebpf_free(sampler *s) {
    if (s->clock != NULL && s->link != NULL) stop_clocks(s);
    ring_buffer__free(s->ring);
    bpf_object__close(s->object);
    remote_free_sample(&s->sample);
    free(s->clock);
    free(s->link);
    free(s);
}

static sampler *ebpf_start(target *t, remote_vms *vms, recorder *r, unsigned hz, sampler_refusal *no) {
    sampler *s = NULL;
    int processors = libbpf_num_possible_cpus();
    if (vms->n > STILL_VMS) {
        fail(no, 0, "the process has %zu VMs, and the eBPF program looks at %d at most", vms->n, (int)STILL_VMS);
        return NULL;
    }
    if (processors > 0) s = calloc(1, sizeof *s);
    if (s != NULL) {
        *s = (sampler){.t = t,
                       .vms = vms,
                       .r = r,
                       .processors = processors,
                       .clock = malloc((size_t)processors * sizeof *s->clock),
                       .link = calloc((size_t)processors, sizeof(struct bpf_link *)),
                       .period_ns = 1000000000U / hz,
                       .hz = hz,
                       .seed = (unsigned)getpid()};
        for (int i = 0; s->clock != NULL && i < processors; i++) s->clock[i] = -1;
    }
    if (s == NULL || s->clock == NULL || s->link == NULL) {
        fail(no, processors > 0 ? ENOMEM : -processors, "eBPF");
    } else if (load(s, no) && start_clocks(s, no)) {
        return s;
    }
    if (s != NULL) ebpf_free(s);
    return NULL;
}

/* Called for each record. */
static int on_still(void *context, void *record, size_t size) {
    sampler *s = context;
    if (!remote_still_open(&s->still, target_cpu_of(s->t), record, size) || s->still.vm >= s->vms->n) {
        recorder_count_others(s->r, 0, 1);
        return 0;
    }
    sample_result result = recorder_still(s->r, s->t, &s->vms->list[s->still.vm], &s->still, &s->sample);
    if (result != SAMPLE_NO_MEMORY) return 0;
    s->failed = result;
    return -ENOMEM;
}

static uint64_t counted(const sampler *s, uint32_t what) {
    uint64_t sum = 0, *each = calloc((size_t)s->processors, sizeof *each);
    if (each == NULL) return 0;
    if (bpf_map_lookup_elem(s->counts, &what, each) == 0)
        for (int i = 0; i < s->processors; i++) sum += each[i];
    free(each);
    return sum;
}

static sample_result take_records(sampler *s) {
    if (target_lives(s->t)) target_forget(s->t);
    ring_buffer__consume(s->ring);
    return s->failed != SAMPLE_OK ? s->failed : SAMPLE_OK;
}

static sample_result ebpf_collect(sampler *s) {
    enum { WAIT_MS = 50 };
    struct pollfd full = {.fd = ring_buffer__epoll_fd(s->ring), .events = POLLIN};
    change_beat(s);
    poll(&full, 1, WAIT_MS); /* it is asked for records in any case */
    sample_result result = take_records(s);
    if (result != SAMPLE_OK) return result;
    return target_lives(s->t) ? SAMPLE_OK : SAMPLE_GONE;
}

static sample_result ebpf_stop(sampler *s) {
    stop_clocks(s);
    sample_result result = take_records(s);
    uint64_t outside = counted(s, STILL_OUTSIDE), lost = counted(s, STILL_LOST);
    recorder_count_others(s->r, outside - s->outside, lost - s->lost);
    s->outside = outside;
    s->lost = lost;
    return result;
}

static double ebpf_seconds(const sampler *s, double seconds) {
    (void)seconds;
    return 1.0 / s->hz;
}

static void ebpf_summary(const sampler *s, double seconds) {
    const recorder_counts *c = recorder_count(s->r);
    fprintf(stderr,
            "ljinspect: %.1f s: %" PRIu64 " samples; %" PRIu64 " inconsistent and left out; on a processor outside Lua "
            "%" PRIu64 " times; %" PRIu64 " lost\n",
            seconds, c->good, c->inconsistent, c->outside, c->lost);
}

const sampler_kind SAMPLER_EBPF = {.name = "ebpf",
                                   .how = "eBPF: nothing is stopped",
                                   .start = ebpf_start,
                                   .collect = ebpf_collect,
                                   .stop = ebpf_stop,
                                   .seconds_a_sample = ebpf_seconds,
                                   .print_summary = ebpf_summary,
                                   .free = ebpf_free};
