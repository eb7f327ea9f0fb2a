#include "copied.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "progress.h"
#include "text.h"

/* ---- Progress ---- */

static double shown_at;

static double now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_progress(const char *what, uint64_t done, uint64_t of, void *arg) {
    double now = now_seconds();
    (void)arg;
    if (now - shown_at < 0.2) return;
    shown_at = now;
    if (of > 0) {
        progress_show("%s: %.0f %%", what, 100.0 * (double)done / (double)of);
    } else {
        progress_show("%s: %" PRIu64, what, done);
    }
}

copy_progress_fn copied_progress(void) {
    if (!progress_wanted()) return NULL;
    if (shown_at == 0) shown_at = now_seconds();
    return print_progress;
}

void copied_progress_end(void) {
    if (progress_wanted()) progress_end();
}

/* ---- Memory ---- */

/* Half of what the system can give; the other half is for everybody else. */
static uint64_t available(void) {
    char line[256];
    unsigned long long kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "MemAvailable:", 13) == 0) kb = strtoull(line + 13, NULL, 10);
    if (f != NULL) fclose(f);
    return kb > 0 ? kb * 1024 / 2 : UINT64_MAX;
}

/* ---- Taking it ---- */

bool copied_arguments(copied_request *r, char **words) {
    r->pid = words[0];
    return (r->pid == NULL) != (r->core == NULL) && (r->pid == NULL || words[1] == NULL) &&
           (r->exe == NULL || r->core != NULL) && !(r->hold && r->core != NULL);
}

static int complain(copy_error error, const copied_request *r, const copied *from) {
    char size[32], most[32];
    switch (error) {
    case COPY_GONE: return cli_fail(ATTACH_NO_PROCESS, "the process has ended");
    case COPY_NO_STOP:
        return cli_fail(ATTACH_NO_PERMISSION, "process %s cannot be held: %s", r->pid,
                        errno == EPERM ? "a debugger may have it" : strerror(errno));
    default:
        return cli_fail(CLI_FAILED, "a copy of the memory would take %s; half of what is available here is %s",
                        text_size(from->info.bytes, size), text_size(from->max_bytes, most));
    }
}

/* While the collector or the compiler runs, lists and tables may be in the midst of a change. */
static bool is_good_moment(target *t, void *arg) {
    const remote_vms *vms = arg;
    for (size_t i = 0; i < vms->n; i++) {
        remote_state state;
        if (!remote_read_state(t, &vms->list[i], &state)) return false;
        if (state.vmstate < ~VM_STATE_C) return false;
    }
    return true;
}

/* Take a copy in place of the one before. Returns 0, or an exit status after a message. */
static int take(target *t, const copied_request *r, copied *from) {
    copy_error error;
    const copy_options options = {.hold = r->hold,
                                  .is_good_moment = is_good_moment,
                                  .max_bytes = from->max_bytes,
                                  .progress = copied_progress(),
                                  .arg = &from->vms};
    copy_free(from->c);
    from->c = copy_take(t, &options, &from->info, &error);
    copied_progress_end();
    if (from->c == NULL) return complain(error, r, from);
    from->holds += from->info.held_ns > 0;
    return 0;
}

static int each_vm(target *t, const copied_request *r, const char *name, bool json, copied_visit_fn visit, void *arg) {
    enum { TRIES = 3 };
    const uint64_t most = available();
    copied from = {.max_bytes = most};
    int status = attach_vms(t, name, &from.vms);
    if (status != 0) return status;
    status = take(t, r, &from);
    if (json && status == 0) putchar('[');
    for (size_t i = 0; from.c != NULL && i < from.vms.n; i++) {
        int one = COPIED_AGAIN;
        for (int try = 1; one == COPIED_AGAIN; try++) {
            from.last = !r->hold || try == TRIES;
            from.max_bytes = most - (from.info.bytes < most ? from.info.bytes : most);
            one = visit(&from, i + 1, arg);
            from.max_bytes = most;
            if (one != COPIED_AGAIN && from.info.missing > 0)
                fprintf(stderr, "ljinspect: %u threads did not come out of the kernel, and were not held\n",
                        from.info.missing);
            if (one == COPIED_AGAIN && take(t, r, &from) != 0) one = CLI_FAILED;
        }
        if (status == 0) status = one;
    }
    if (json && from.c != NULL) puts("\n]");
    copy_free(from.c);
    remote_free_vms(&from.vms);
    return status;
}

int copied_each_vm(const copied_request *r, bool json, copied_visit_fn visit, void *arg) {
    target *t;
    pid_t pid = r->pid != NULL ? attach_pid(r->pid) : 0;
    if (r->pid != NULL && pid == 0) return cli_fail(CLI_USAGE, "%s: a process id expected", r->pid);
    int status = pid != 0 ? attach_process(pid, &t) : attach_core(r->core, r->exe, &t);
    if (status != 0) return status;
    status = each_vm(t, r, pid != 0 ? r->pid : r->core, json, visit, arg);
    target_close(t);
    return status;
}
