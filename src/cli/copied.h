/*
 * What gc and traces look at: the VMs of a process or a core file, in a copy of its memory.
 */
#ifndef LJINSPECT_CLI_COPIED_H
#define LJINSPECT_CLI_COPIED_H

#include "../remote/copy.h"
#include "../remote/vms.h"

typedef struct copied_request {
    const char *pid, *core, *exe; /* `pid` or `core` */
    bool hold;
} copied_request;

typedef struct copied {
    copy *c;
    copy_info info;
    remote_vms vms;
    uint64_t max_bytes; /* of memory for more */
    unsigned holds;     /* how often the process was held for a copy */
    bool last;          /* there is no other try */
} copied;

/* The words behind the options: a process id, or none with a core. False where they are others. */
bool copied_arguments(copied_request *r, char **words);

/* Called for each VM, numbered from 1; returns an exit status. COPIED_AGAIN: the process was held in the midst of a change;
 * try again with a new copy. Not where it is the last try, and nothing was printed. */
enum { COPIED_AGAIN = -1 };
typedef int (*copied_visit_fn)(const copied *from, size_t number, void *arg);
/* Returns an exit status, after messages. JSON: a list around what is printed. */
int copied_each_vm(const copied_request *r, bool json, copied_visit_fn visit, void *arg);

/* Shows progress on a terminal; else NULL. The line is cleared at the end. */
copy_progress_fn copied_progress(void);
void copied_progress_end(void);

#endif
