/*
 * Opening what a subcommand looks at, with messages that say what to do when it fails.
 */
#ifndef LJINSPECT_CLI_ATTACH_H
#define LJINSPECT_CLI_ATTACH_H

#include "../remote/vms.h"

/* Exit statuses of the subcommands that look at another process. */
enum { ATTACH_NO_PROCESS = 3, ATTACH_NO_PERMISSION = 4, ATTACH_NO_LUAJIT = 5, ATTACH_UNKNOWN_BUILD = 6 };
#define ATTACH_STATUSES                                                              \
    "Exit status: 0; 1 where it failed, 2 for a wrong option, 3 where there is no\n" \
    "such process, 4 where it may not be read, 5 where no LuaJIT VM is in it, 6\n"   \
    "where there is one of a build that is not understood.\n"

/* A process id; 0 where `text` is none. */
pid_t attach_pid(const char *text);
/* Each returns 0, or the exit status after a message. */
int attach_process(pid_t pid, target **t);
int attach_core(const char *core, const char *exe, target **t);
/* Find the VMs; `name` names the target in messages. */
int attach_vms(target *t, const char *name, remote_vms *vms);

#endif
