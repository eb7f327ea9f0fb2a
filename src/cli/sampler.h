/*
 * How record comes by its samples: by stopping threads (ptrace), or from the kernel, which stops nothing (eBPF). Threads that
 * wait are read as they are.
 */
#ifndef LJINSPECT_CLI_SAMPLER_H
#define LJINSPECT_CLI_SAMPLER_H

#include "recorder.h"

typedef struct sampler sampler;

/* Why there are no samples to be had. */
typedef struct sampler_refusal {
    bool denied; /* others may */
    char why[384];
} sampler_refusal;

typedef struct sampler_kind {
    const char *name, *how; /* "ptrace"; what it is, for people */
    /* Ready to sample `hz` times a second. NULL: refused. Target, VMs and recorder stay the caller's. */
    sampler *(*start)(target *t, remote_vms *vms, recorder *r, unsigned hz, sampler_refusal *no);
    /* Sample for a while, a tenth of a second at most; a signal may end it earlier. SAMPLE_OK: go on. SAMPLE_GONE: the
     * process has ended. Else what recorder_sample() says. */
    sample_result (*collect)(sampler *s);
    /* Take no more samples, and the last of those that were taken into the profile. */
    sample_result (*stop)(sampler *s);
    /* What a sample stands for, `seconds` after the beginning. */
    double (*seconds_a_sample)(const sampler *s, double seconds);
    void (*print_summary)(const sampler *s, double seconds);
    void (*free)(sampler *s);
} sampler_kind;

extern const sampler_kind SAMPLER_PTRACE;
extern const sampler_kind SAMPLER_EBPF;
extern const sampler_kind SAMPLER_WAITING; /* where time is spent waiting */

double sampler_now(void); /* seconds, by a clock that only goes forward */

#endif
