/*
 * Who could have written a file: the ownership rules for code that is run in the host.
 */
#ifndef LJINSPECT_TRUST_H
#define LJINSPECT_TRUST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether nobody but root and the process's effective user could have chosen what `path` (absolute) shows: the open
 * file `fd`, every symbolic link on the way to it, and every directory on the way must be owned by one of them, and
 * the file and the directories that hold it or a link to it must be writable by their owner alone. Directories
 * further up may be writable by others if they are sticky, as /tmp is. Access control lists count through the group
 * bits, which are their mask. The way is walked from descriptor to descriptor and must end at the very file that is open:
 * what others put in its place meanwhile is not trusted for what was there before.
 *
 * False with the reason, and what it is about, in `why`, and errno set: 0 where the rules say no, ESTALE where the path
 * led elsewhere by then and may be tried again, otherwise what the system said. Needs two
 * descriptors for a moment, and 16 KiB of stack.
 */
bool trust_check(const char *path, int fd, char *why, size_t why_size);

#endif
