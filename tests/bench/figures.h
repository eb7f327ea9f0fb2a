/*
 * Clocks, and figures of a series of measurements.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds of a clock: CLOCK_THREAD_CPUTIME_ID, or CLOCK_MONOTONIC for wall-clock time. */
static inline int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the list. `n` > 0. */
static inline double median(double *list, int n) {
    qsort(list, (size_t)n, sizeof *list, by_size);
    return list[n / 2];
}

#endif
