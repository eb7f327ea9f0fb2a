/* Memory that fails when a test wants it: link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. */
#ifndef LJINSPECT_TEST_ALLOC_H
#define LJINSPECT_TEST_ALLOC_H

#include <stdatomic.h>
#include <stddef.h>

static atomic_long alloc_calls;   /* so far */
static atomic_long alloc_fail_at; /* the call that fails counted from now, 0 for none */
static atomic_bool alloc_failed;  /* it has */
static atomic_bool alloc_fail_on; /* and all after it */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int alloc_fails(void) {
    alloc_calls++;
    if (alloc_failed && alloc_fail_on) return 1;
    if (alloc_fail_at == 0 || --alloc_fail_at != 0) return 0;
    alloc_failed = 1;
    return 1;
}

void *__wrap_malloc(size_t size) {
    return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return alloc_fails() ? NULL : __real_realloc(old, size);
}

/* From now on the n-th allocation fails; with `and_on` all after it too. 0: none. */
__attribute__((unused)) static void fail_allocation(long n, int and_on) {
    alloc_failed = 0;
    alloc_fail_on = and_on != 0;
    alloc_fail_at = n;
}

#endif
