/*
 * Turning samples of VMs into stacks of a profile.
 */
#ifndef LJINSPECT_CLI_RECORDER_H
#define LJINSPECT_CLI_RECORDER_H

#include "../remote/sample.h"
#include "profile.h"

typedef struct recorder_counts {
    uint64_t ticks;        /* looks at a VM */
    uint64_t good;         /* stacks in the profile */
    uint64_t outside;      /* not in Lua: the host's own code */
    uint64_t waiting;      /* not on a processor */
    uint64_t running;      /* on one, where those that wait were asked for */
    uint64_t inconsistent; /* could not be read in a way that agrees with itself */
    uint64_t cut;          /* of the good: deeper than is looked at */
    uint64_t no_line;      /* of the good: compiled code whose place in the program could not be told */
    uint64_t lost;         /* there was no room for them */
    uint64_t stopped_ns, longest_ns;
} recorder_counts;

typedef struct recorder recorder;

/* NULL: no memory. `p` is the caller's. */
recorder *recorder_new(profile *p);
void recorder_free(recorder *r);
const recorder_counts *recorder_count(const recorder *r);

/* Look at a VM once; what its thread runs goes into the profile if it is on a processor, or if it `waits`. SAMPLE_GONE,
 * SAMPLE_DENIED and SAMPLE_NO_MEMORY are for the caller to act on; the others are counted. */
sample_result recorder_sample(recorder *r, target *t, remote_vm *vm, bool waits, remote_sample *s);
/* The same of a still. */
sample_result recorder_still(recorder *r, target *t, remote_vm *vm, remote_still *still, remote_sample *s);
/* Count samples that were not given to it. */
void recorder_count_others(recorder *r, uint64_t outside, uint64_t lost);

#endif
