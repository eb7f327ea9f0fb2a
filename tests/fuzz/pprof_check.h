/* Whether a file for pprof says what a profile does: read by a reader of its own. */
#ifndef LJINSPECT_FUZZ_PPROF_CHECK_H
#define LJINSPECT_FUZZ_PPROF_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "../../src/cli/profile.h"

bool pprof_check(const profile *p, const unsigned char *file, size_t size);

#endif
