#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool progress_wanted(void) {
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

void progress_show(const char *format, ...) {
    char text[256];
    struct winsize size;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) return;
    /* The last column stays empty: a line that fills it may go on in the next one, which is not written anew. */
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    fprintf(stderr, "\r%.*s\033[K", columns - 1, text);
}

void progress_end(void) {
    fputs("\r\033[K", stderr);
}
