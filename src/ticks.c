#include "ticks.h"

#include <pthread.h>

bool ticks_counter;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t per_second = 1000000000u;

#if defined(__x86_64__)
static uint64_t monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* "Invariant TSC": it runs at one rate, also in power-saving states. */
static bool counter_is_constant(void) {
    unsigned a, b, c, d;
    return __get_cpuid(0x80000000u, &a, &b, &c, &d) != 0 && a >= 0x80000007u &&
           __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
}

/* Good to a few parts in a thousand, which is enough for what a filter costs. */
static void measure(void) {
    enum { MEASURE_NS = 200000 };
    uint64_t from_ns = monotonic_ns(), from = __rdtsc(), to_ns;
    do {
        to_ns = monotonic_ns();
    } while (to_ns - from_ns < MEASURE_NS);
    uint64_t to = __rdtsc();
    if (to > from) {
        per_second = (uint64_t)((double)(to - from) * 1e9 / (double)(to_ns - from_ns));
        ticks_counter = true;
    }
}
#endif

static void open_once(void) {
#if defined(__x86_64__)
    if (counter_is_constant()) measure();
#endif
}

void ticks_open(void) {
    pthread_once(&once, open_once);
}

uint64_t ticks_per_second(void) {
    return per_second;
}
