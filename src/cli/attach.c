#include "attach.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

pid_t attach_pid(const char *text) {
    char *end;
    errno = 0;
    long pid = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

static void print_yama(void) {
    char text[16] = "";
    FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (f == NULL) return;
    if (fgets(text, sizeof text, f) != NULL && strtol(text, NULL, 10) > 0)
        fprintf(stderr, "kernel.yama.ptrace_scope keeps users from their own processes; with 0 they may.\n");
    fclose(f);
}

int attach_process(pid_t pid, target **t) {
    target_error error;
    *t = target_open(pid, &error);
    switch (error) {
    case TARGET_OK: return 0;
    case TARGET_NO_PROCESS: return cli_fail(ATTACH_NO_PROCESS, "there is no process %d", (int)pid);
    case TARGET_FOREIGN:
        return cli_fail(ATTACH_NO_LUAJIT, "process %d runs a program for another kind of processor", (int)pid);
    case TARGET_NO_PERMISSION:
        cli_fail(0, "process %d may not be read", (int)pid);
        fputs("Run ljinspect as root, or with CAP_SYS_PTRACE (sudo setcap cap_sys_ptrace+ep ljinspect);\n"
              "in a container it must be started with that capability (docker: --cap-add SYS_PTRACE).\n",
              stderr);
        print_yama();
        return ATTACH_NO_PERMISSION;
    default: return cli_fail(CLI_FAILED, "process %d: %s", (int)pid, strerror(errno));
    }
}

int attach_core(const char *core, const char *exe, target **t) {
    target_error error;
    *t = target_open_core(core, exe, &error);
    if (error == TARGET_OK) return 0;
    if (error == TARGET_BAD_FILE) return cli_fail(CLI_FAILED, "%s is no core file of an x86-64 or arm64 process", core);
    if (error == TARGET_FOREIGN) return cli_fail(CLI_FAILED, "%s is for another kind of processor than %s", exe, core);
    return cli_fail(CLI_FAILED, "%s: %s", core, strerror(error == TARGET_NO_MEMORY ? ENOMEM : errno));
}

int attach_vms(target *t, const char *name, remote_vms *vms) {
    if (!remote_find_vms(t, vms)) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    if (vms->n > 0) return 0;
    if (vms->unknown > 0) {
        return cli_fail(
            ATTACH_UNKNOWN_BUILD,
            "%s: there is a LuaJIT of a build that is not understood (LuaJIT 2.1 in GC64 mode since 2022 is)", name);
    }
    if (vms->foreign > 0)
        return cli_fail(ATTACH_UNKNOWN_BUILD,
                        "%s: an emulator runs a LuaJIT there that is for another kind of processor", name);
    if (vms->none_readable) return cli_fail(ATTACH_NO_LUAJIT, "%s: its memory cannot be read", name);
    if (vms->partial)
        return cli_fail(ATTACH_NO_LUAJIT, "%s: no LuaJIT VM was found; its mappings are too large to be searched whole",
                        name);
    return cli_fail(ATTACH_NO_LUAJIT, "%s: no LuaJIT VM was found (LuaJIT 2.1 in GC64 mode is looked for)", name);
}
