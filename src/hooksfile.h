/*
 * The hooks file of a VM: watched, and applied as a whole or not at all.
 *
 * All functions run on the VM's thread but hooksfile_waiting. None raises a Lua error unless it says so.
 */
#ifndef LJINSPECT_HOOKSFILE_H
#define LJINSPECT_HOOKSFILE_H

#include <lua.h>
#include <stdbool.h>

struct context;
typedef struct hooksfile hooksfile;

/* Start watching `path`, with LJINSPECT_WATCH_LATER at the first safepoint; what the context watched before goes on
 * until it is stopped. `flags` as for ljinspect_watch. 0 with *out set, to what the context has where that already does
 * what is asked; or an ljinspect_error (errno set for _SYSTEM) with *out NULL. Applies nothing: that is for the first
 * hooksfile_poll. */
int hooksfile_start(struct context *c, lua_State *L, const char *path, int delay_ms, unsigned flags, hooksfile **out);

/* Stop watching and free all, at once or, from within hooksfile_poll, at its end; the hooks stay. */
void hooksfile_stop(hooksfile *f, struct context *c, lua_State *L);

/* Look at the file and apply it if it changed: 1 applied or its hooks removed, 0 nothing to do, or an
 * ljinspect_error, with the hooks in force left as they were. Nothing is done from within applying it. */
int hooksfile_poll(hooksfile *f, struct context *c, lua_State *L);

/* What is to be done at a safepoint: hooksfile_poll, but a watcher that is to start later, or anew in a child process,
 * only if the host is ready for it. If it is not, the next safepoint comes with a garbage collection, with fork(), or with
 * hooksfile_rouse: to ask at each step of a host's setting up would make that slow. */
void hooksfile_safepoint(hooksfile *f, struct context *c, lua_State *L);

/* VM's thread: code was loaded and will run, perhaps as the first of a host that is ready now. */
void hooksfile_rouse(hooksfile *f);

/* Whether a change waits, or the watcher is to start. Any thread. */
bool hooksfile_waiting(const hooksfile *f);

const char *hooksfile_path(const hooksfile *f);

/* "off" (to start later), "inotify", "polling" or "forked". */
const char *hooksfile_watcher(const hooksfile *f);

#endif
