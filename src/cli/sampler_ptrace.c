/*
 * At each beat each VM is looked at. A thread that runs is stopped for some ten microseconds; one that waits, where those
 * are asked for, is read as it is.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sampler.h"

struct sampler {
    target *t;
    remote_vms *vms;
    recorder *r;
    remote_sample *samples; /* one of each VM */
    double period, next;
    bool waiting;
    unsigned seed;
};

double sampler_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ptrace_free(sampler *s) {
    for (size_t i = 0; s->samples != NULL && i < s->vms->n; i++) remote_free_sample(&s->samples[i]);
    free(s->samples);
    free(s);
}

static sampler *start(target *t, remote_vms *vms, recorder *r, unsigned hz, bool waiting, sampler_refusal *no) {
    sampler *s = calloc(1, sizeof *s);
    if (s != NULL) {
        *s = (sampler){.t = t,
                       .vms = vms,
                       .r = r,
                       .samples = calloc(vms->n, sizeof *s->samples),
                       .period = 1.0 / hz,
                       .next = sampler_now(),
                       .waiting = waiting,
                       .seed = (unsigned)getpid()};
        if (s->samples != NULL) return s;
        ptrace_free(s);
    }
    snprintf(no->why, sizeof no->why, "no memory");
    return NULL;
}

static sampler *ptrace_start(target *t, remote_vms *vms, recorder *r, unsigned hz, sampler_refusal *no) {
    return start(t, vms, r, hz, false, no);
}

static sampler *waiting_start(target *t, remote_vms *vms, recorder *r, unsigned hz, sampler_refusal *no) {
    return start(t, vms, r, hz, true, no);
}

static void sleep_until(double when) {
    double left = when - sampler_now();
    if (left <= 0) return;
    struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - floor(left)) * 1e9)};
    nanosleep(&t, NULL); /* a signal ends it: the caller looks */
}

/* One beat. */
static sample_result ptrace_collect(sampler *s) {
    size_t gone = 0;
    for (size_t i = 0; i < s->vms->n; i++) {
        sample_result result = recorder_sample(s->r, s->t, &s->vms->list[i], s->waiting, &s->samples[i]);
        if (result == SAMPLE_NO_MEMORY || result == SAMPLE_DENIED) return result;
        gone += result == SAMPLE_GONE;
    }
    if (gone == s->vms->n) return SAMPLE_GONE;
    /* A regular beat might march in step with what is measured. */
    double now = sampler_now();
    s->next += s->period;
    if (s->next < now) s->next = now;
    sleep_until(s->next + s->period * 0.5 * (double)rand_r(&s->seed) / RAND_MAX);
    return SAMPLE_OK;
}

static sample_result ptrace_stop(sampler *s) {
    (void)s;
    return SAMPLE_OK;
}

static double ptrace_seconds(const sampler *s, double seconds) {
    const recorder_counts *c = recorder_count(s->r);
    return c->ticks > 0 ? seconds * (double)s->vms->n / (double)c->ticks : s->period;
}

static void ptrace_summary(const sampler *s, double seconds) {
    const recorder_counts *c = recorder_count(s->r);
    uint64_t stops = c->good + c->inconsistent + c->outside;
    fprintf(stderr,
            "ljinspect: %.1f s: %" PRIu64 " samples; %" PRIu64 " inconsistent and left out; on a processor outside Lua "
            "%" PRIu64 ", waiting %" PRIu64 " times\n",
            seconds, c->good, c->inconsistent, c->outside, c->waiting);
    if (stops > 0)
        fprintf(stderr, "ljinspect: a sample stopped its thread for %.0f us in the mean, %.0f us at most\n",
                (double)c->stopped_ns / 1000 / (double)stops, (double)c->longest_ns / 1000);
}

static void waiting_summary(const sampler *s, double seconds) {
    const recorder_counts *c = recorder_count(s->r);
    fprintf(stderr,
            "ljinspect: %.1f s: %" PRIu64 " samples; %" PRIu64
            " inconsistent and left out; waiting outside Lua %" PRIu64 ", on a processor %" PRIu64 " times\n",
            seconds, c->good, c->inconsistent, c->outside, c->running);
}

const sampler_kind SAMPLER_PTRACE = {.name = "ptrace",
                                     .how = "ptrace: a sample stops a thread for some ten microseconds",
                                     .start = ptrace_start,
                                     .collect = ptrace_collect,
                                     .stop = ptrace_stop,
                                     .seconds_a_sample = ptrace_seconds,
                                     .print_summary = ptrace_summary,
                                     .free = ptrace_free};

const sampler_kind SAMPLER_WAITING = {.name = "off-cpu",
                                      .how = "a look at what waits: nothing is stopped",
                                      .start = waiting_start,
                                      .collect = ptrace_collect,
                                      .stop = ptrace_stop,
                                      .seconds_a_sample = ptrace_seconds,
                                      .print_summary = waiting_summary,
                                      .free = ptrace_free};
