/*
 * Recording, as ljinspect record was asked to.
 */
#ifndef LJINSPECT_CLI_RECORD_H
#define LJINSPECT_CLI_RECORD_H

#include <signal.h>

#include "sampler.h"

enum { RECORD_OUTPUTS_MAX = 16, RECORD_FREQUENCY_MAX = 1000 };

typedef struct record_request {
    double seconds; /* 0: until it is interrupted */
    unsigned hz;
    const char *outputs[RECORD_OUTPUTS_MAX];
    size_t n_outputs;
    const sampler_kind *kind; /* NULL: the best that works */
    bool waiting;             /* is asked for, not what is on a processor */
    bool children;            /* their processes, too */
    pid_t pid;
} record_request;

/* Set by SIGINT and SIGTERM: no more samples are wanted. */
extern volatile sig_atomic_t record_interrupted;

/* Sample one process into the profile. 0, or an exit status after a message; there may be samples all the same. *seconds is
 * how long that was, 0 where it was not begun. */
int record_process(const record_request *q, profile *p, recorder_counts *c, double *seconds);

/* The same of a process and of all that descend from it, also of those that are started meanwhile. What leaves its parent
 * before it is seen (a daemon) is not found. */
int record_children(const record_request *q, profile *p, recorder_counts *c, double *seconds);

#endif
