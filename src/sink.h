/*
 * A file that lines are written to by a thread of its own: the VM's thread copies a line into a ring and goes on,
 * whatever the disk does. What does not fit is dropped and counted; the file tells how many.
 *
 * Knows no Lua. All but the thread itself runs on one thread: the VM's.
 */
#ifndef LJINSPECT_SINK_H
#define LJINSPECT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sink sink;

enum { SINK_RING_BYTES = 1 << 20 }; /* the longest line is half of it */

/*
 * Open a sink for the file `path` and start its thread; if `list` has one, use that once more. The thread opens the
 * file: it is created with mode 0640, must be a regular file and no symbolic link, and is opened anew when it was moved
 * away. NULL with *error an errno value. What is left when the process ends by exit() is written then, which takes at most
 * a second.
 */
sink *sink_open(sink **list, const char *path, int *error);

/* Give one use of it back. After the last its thread writes what is left and ends by itself; with `wait` this waits for
 * that, at most a second. */
void sink_close(sink **list, sink *s, bool wait);

/* Put a line, without its newline, into the ring. False: it was dropped; of one that begins with a brace the file tells in
 * JSON. A few hundred nanoseconds; no system call unless the thread sleeps because nothing came for a second. */
bool sink_write(sink *s, const char *line, size_t len);

/* What the thread could not do since the last call: an errno value, 0 for nothing. The same again only after a minute. */
int sink_error(sink *s);

const char *sink_path(const sink *s);

/* Wait until all that was written is in the file, at most `ms`. For tests. */
bool sink_flush(sink *s, int ms);

#endif
