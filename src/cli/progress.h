/*
 * The one line that shows how far a command is, on terminals only.
 */
#ifndef LJINSPECT_CLI_PROGRESS_H
#define LJINSPECT_CLI_PROGRESS_H

#include <stdbool.h>

/* Whether standard error is a terminal that can write a line anew. */
bool progress_wanted(void);
/* Show it in place of what was shown, cut to the width of the terminal. No newline in it. */
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Take it away again. */
void progress_end(void);

#endif
