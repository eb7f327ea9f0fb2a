/* The subcommand as it is, with its functions in reach. */
#include "../../src/cli/gc.c" /* NOLINT(bugprone-suspicious-include) */

#include "report.h"

void report_gc_vm(const copied *from, size_t number, bool json) {
    const request r = {
        .from = {.core = "an image"}, .json = json, .by_held = number % 2 == 0, .top = 3, .ways = 2, .types = ~0U};
    print_vm(from, number, (void *)(uintptr_t)&r);
}
