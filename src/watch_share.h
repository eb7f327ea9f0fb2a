/*
 * One watcher for all VMs of a process that watch the same file: a thread and an inotify instance, of which a user has
 * few (128 by default), however many VMs there are. Each share has reports of its own, so that each VM deals with each
 * change. Knows no Lua.
 */
#ifndef LJINSPECT_WATCH_SHARE_H
#define LJINSPECT_WATCH_SHARE_H

#include "watch.h"

typedef struct watch_share watch_share;

/* As watch_start(); what is in use for the same path, delay and way of looking is shared. `wake` is called on the
 * watcher's thread, also for other VMs' changes; it must not call a function of this header. `lasting`: the watcher may
 * stay when the last share has stopped, for the next VM (closing an inotify instance takes the kernel some 10 ms). At most
 * one in a process does. */
int watch_share_start(const watch_options *options, bool lasting, watch_share **out);

/* As the functions of watch.h with these names. */
void watch_share_stop(watch_share *s);
bool watch_share_waiting(const watch_share *s);
bool watch_share_take(watch_share *s);
enum watch_mode watch_share_mode(const watch_share *s);
int watch_share_inotify_errno(const watch_share *s);

#endif
