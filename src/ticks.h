/*
 * A clock that can be read at each hit: the processor's time stamp counter where it runs at a constant rate, else the
 * system's monotonic clock in nanoseconds. Differences of one process only.
 */
#ifndef LJINSPECT_TICKS_H
#define LJINSPECT_TICKS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

/* Whether ticks_now() reads the counter; settled by ticks_open(). */
extern bool ticks_counter;

/* Settle which clock is used and measure it. Cheap after the first call. Any thread. */
void ticks_open(void);

/* Ticks in a second. */
uint64_t ticks_per_second(void);

static inline uint64_t ticks_now(void) {
#if defined(__x86_64__)
    if (ticks_counter) return __rdtsc();
#endif
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* From `start` to `end`; 0 where the counter of another core lags behind. */
static inline uint64_t ticks_between(uint64_t start, uint64_t end) {
    return end > start ? end - start : 0;
}

#endif
