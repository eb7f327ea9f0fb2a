/* The subcommand as it is, with its functions in reach. */
#include "../../src/cli/traces.c" /* NOLINT(bugprone-suspicious-include) */

#include "report.h"

void report_traces_vm(const copied *from, size_t number, bool json) {
    const request r = {.from = {.core = "an image"}, .json = json}; /* of a process it would look for a file */
    print_vm(from, number, (void *)(uintptr_t)&r);
}
