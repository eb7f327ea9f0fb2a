/*
 * All that the command would do with a target: find its VMs, print them as `stack` and `record` do, in all their forms.
 */
#ifndef LJINSPECT_FUZZ_REPORT_H
#define LJINSPECT_FUZZ_REPORT_H

#include <stdbool.h>

#include "../../src/cli/copied.h"
#include "../../src/cli/profile.h"
#include "../../src/remote/target.h"

enum { REPORT_VMS_MAX = 8 };

/* What `ljinspect stack` prints of it. The caller frees it. */
char *report_stack(target *t, bool json, bool all, bool locals);

/* What `ljinspect gc` prints of a copy of it, or `ljinspect traces`. */
char *report_copy(target *t, bool json, bool traces);
/* For one VM (report_gc.c, report_traces.c). */
void report_gc_vm(const copied *from, size_t number, bool json);
void report_traces_vm(const copied *from, size_t number, bool json);

/* Profile it as `ljinspect record` does, and check the profile. */
void report_profile(target *t);

/* Look at stills of it, as the kernel would take them, as `ljinspect record` does: how many were understood, and how many
 * instructions were followed for that. The caller frees it. */
char *report_still(target *t);

/* Write a profile in each format, and read it again. Aborts where the files are not what they are to be: JSON without control
 * characters, a page without tags in its data, folded stacks that have as many samples when they are read, the profile's
 * own stacks in pprof's format. */
void report_check_profile(const profile *p);

/* Aborts unless `text` is one JSON value. */
void report_check_json(const char *text);
/* Aborts unless it has no control characters but newlines, and is UTF-8. */
void report_check_text(const char *text);

#endif
