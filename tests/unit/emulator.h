/* What qemu-user, which runs the tests of a cross build, does otherwise than a kernel: there tests leave a check out, and
 * say so. */
#ifndef LJINSPECT_TEST_EMULATOR_H
#define LJINSPECT_TEST_EMULATOR_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* True where the program runs under an emulator; prints which part of the test is not done, and why. */
static inline bool emulator_spoils(const char *what) {
    const char *emulator = getenv("LJINSPECT_EMULATOR");
    if (emulator == NULL || *emulator == '\0') return false;
    fprintf(stderr, "NOT CHECKED under the emulator: %s\n", what);
    return true;
}

#endif
