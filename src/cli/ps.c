/* ljinspect ps: the processes that have LuaJIT VMs. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect ps [OPTION...] [PID...]\n"
                           "List processes with LuaJIT VMs in them: all that may be read, or those named.\n"
                           "\n"
                           "  -j, --json   print JSON: one object a process\n"
                           "  -h, --help   print this\n"
                           "\n"
                           "Example: which workers run Lua, and how large are their heaps?\n"
                           "  sudo ljinspect ps\n"
                           "\n" ATTACH_STATUSES;

typedef struct process {
    pid_t pid;
    char command[256];
    remote_vms vms;
    uint64_t heap; /* of all VMs */
    size_t jit_on; /* VMs with the JIT compiler on */
} process;

/* The command line, with spaces for the zeros between its words. */
static void read_command(pid_t pid, char *out, size_t size) {
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(out, 1, size - 1, f) : 0;
    if (f != NULL) fclose(f);
    while (n > 0 && out[n - 1] == '\0') n--;
    for (size_t i = 0; i < n; i++)
        if (out[i] == '\0') out[i] = ' ';
    out[n] = '\0';
}

static void sum_up(target *t, process *p) {
    for (size_t i = 0; i < p->vms.n; i++) {
        remote_state state;
        if (!remote_read_state(t, &p->vms.list[i], &state)) continue;
        p->heap += state.heap;
        p->jit_on += state.jit_on;
    }
}

/* ---- Printing ---- */

static const char *version_of(const process *p) {
    const char *version = p->vms.list[0].version;
    return version[0] != '\0' ? version : "LuaJIT, version not found";
}

static void print_row(const process *p) {
    char size[32], jit[32];
    if (p->jit_on == 0 || p->jit_on == p->vms.n) {
        snprintf(jit, sizeof jit, "%s", p->jit_on == 0 ? "off" : "on");
    } else {
        snprintf(jit, sizeof jit, "on in %zu", p->jit_on);
    }
    printf("%8d %4zu%s %10s  %-4s ", (int)p->pid, p->vms.n, p->vms.too_many ? "+" : " ", text_size(p->heap, size), jit);
    text_print(stdout, version_of(p));
    fputs("  ", stdout);
    text_print(stdout, p->command);
    putchar('\n');
}

static void print_json(const process *p, bool first) {
    printf("%s\n  {\"pid\": %d, \"command\": ", first ? "" : ",", (int)p->pid);
    json_string(stdout, p->command);
    printf(", \"vms\": %zu, \"heap_bytes\": %" PRIu64 ", \"vms_with_jit_on\": %zu, \"version\": ", p->vms.n, p->heap,
           p->jit_on);
    json_string(stdout, p->vms.list[0].version);
    printf(", \"more_vms\": %s}", p->vms.too_many ? "true" : "false");
}

/* ---- All processes ---- */

typedef struct listing {
    bool json, any;
    unsigned denied;
    bool failed;
} listing;

/* Takes over what is in `vms`. */
static void list_process(target *t, remote_vms *vms, listing *l) {
    process p = {.pid = target_pid(t), .vms = *vms};
    if (p.vms.n > 0) {
        read_command(p.pid, p.command, sizeof p.command);
        sum_up(t, &p);
        if (l->json) {
            print_json(&p, !l->any);
        } else {
            if (!l->any) puts("     PID  VMS       HEAP  JIT  VERSION  COMMAND");
            print_row(&p);
        }
        l->any = true;
    }
    remote_free_vms(&p.vms);
}

static int list_all(listing *l) {
    DIR *d = opendir("/proc");
    if (d == NULL) return cli_fail(CLI_FAILED, "/proc: %s", strerror(errno));
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        target_error error;
        pid_t pid = attach_pid(e->d_name);
        if (pid == 0 || pid == getpid()) continue;
        target *t = target_open(pid, &error);
        l->denied += error == TARGET_NO_PERMISSION;
        if (t == NULL) continue;
        remote_vms vms;
        if (remote_find_vms(t, &vms)) {
            list_process(t, &vms, l);
        } else {
            l->failed = true;
        }
        target_close(t);
    }
    closedir(d);
    return 0;
}

static int list_named(char **names, listing *l) {
    int status = 0;
    for (; *names != NULL; names++) {
        target *t;
        pid_t pid = attach_pid(*names);
        if (pid == 0) return cli_fail(CLI_USAGE, "%s: a process id expected", *names);
        int one = attach_process(pid, &t);
        if (one == 0) {
            remote_vms vms;
            one = attach_vms(t, *names, &vms);
            if (one == 0) list_process(t, &vms, l);
            target_close(t);
        }
        if (status == 0) status = one;
    }
    return status;
}

int cli_ps(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    listing l = {.json = false};
    for (int option; (option = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
        switch (option) {
        case 'j': l.json = true; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: fputs("ljinspect ps --help tells how it is used.\n", stderr); return CLI_USAGE;
        }
    }
    if (l.json) putchar('[');
    int status = argv[optind] != NULL ? list_named(argv + optind, &l) : list_all(&l);
    if (l.json) puts(l.any ? "\n]" : "]");
    if (l.failed) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    if (l.denied > 0 && !l.json)
        fprintf(stderr, "ljinspect: %u processes may not be read; root, or CAP_SYS_PTRACE, may\n", l.denied);
    if (status == 0 && !l.any) {
        if (l.denied > 0) return ATTACH_NO_PERMISSION;
        if (!l.json) cli_fail(0, "no process with a LuaJIT VM was found");
        return ATTACH_NO_LUAJIT;
    }
    return status;
}
