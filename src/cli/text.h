/*
 * What comes from another process, printed: it may hold anything, control characters of terminals included.
 */
#ifndef LJINSPECT_CLI_TEXT_H
#define LJINSPECT_CLI_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* Control characters (../utf8.h), and bytes that are no UTF-8, are shown as '?'; other UTF-8 passes. */
void text_print(FILE *out, const char *text);
/* A JSON string, with its quotes, in which nothing is a control character. What is not UTF-8 becomes U+FFFD. */
void json_string(FILE *out, const char *text);
/* Make what is not printable, and what `also` holds, a '?' (';' in names of folded stacks, say). */
void text_clean(char *text, const char *also);
/* "1.5 MB". Returns `out`, which has 32 bytes. */
const char *text_size(uint64_t bytes, char *out);

#endif
