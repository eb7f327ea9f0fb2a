/* Descriptors of the library's own that stay open for long. */
#ifndef LJINSPECT_OWN_FD_H
#define LJINSPECT_OWN_FD_H

/* `fd`, just opened, or another number for it: a host that has closed its standard input, output or error goes on to use these
 * numbers, and what it prints would come into our file. Below 0, with errno, where `fd` is, or where there is no number left;
 * it is closed then. */
int own_fd(int fd);

#endif
