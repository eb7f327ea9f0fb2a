/*
 * A text that grows: what hits are rendered into. Memory that cannot be had makes the text `failed`; further additions
 * do nothing then. Knows no Lua.
 */
#ifndef LJINSPECT_OUTBUF_H
#define LJINSPECT_OUTBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct outbuf {
    char *data; /* no terminating NUL unless out_terminate() has put one there */
    size_t len, cap;
    bool failed;
    long long second; /* out_time's last, and its text; "": none so far */
    char date[28];
} outbuf;

/* Empty it; the memory stays. */
void out_clear(outbuf *o);
void out_free(outbuf *o);

void out_bytes(outbuf *o, const char *bytes, size_t n);
void out_text(outbuf *o, const char *text);
void out_char(outbuf *o, char c);
void out_integer(outbuf *o, long long n);
void out_pointer(outbuf *o, const void *p);
/* As Lua writes numbers: %.14g. */
void out_number(outbuf *o, double n);
/* With one digit behind the point. Both write a point, whatever the host's locale has. */
void out_tenths(outbuf *o, double n);
/* Microseconds since 1970 as "2026-01-31T12:34:56.123456Z". */
void out_time(outbuf *o, long long us);

/* Seconds since 1970, UTC, as "2026-01-31T12:34:56" with a NUL; from 1970 to 9999. The C library's functions for that take a
 * lock, and a child that is forked while another thread holds it has it for ever: what runs on a thread of ours uses this. */
#define OUT_LAST_SECOND INT64_C(253402300799)
enum { OUT_DATE_SIZE = 20 };
void out_date(char *text, long long second);

/* A JSON string with its quotes, in which nothing is a control character (utf8.h). Bytes that are no UTF-8 become U+FFFD.
 * True if all were. */
bool out_json_string(outbuf *o, const char *bytes, size_t n);

/* A Lua string with its quotes; the bytes of control characters, and those that are no UTF-8, as \xHH. */
void out_quoted(outbuf *o, const char *bytes, size_t n);

/* The bytes without quotes, on one line: control characters, and what is no UTF-8, as \n and \xHH, all else as it is. */
void out_line(outbuf *o, const char *bytes, size_t n);
/* The same for a name of the program's: it may hold anything. out_text() is for our own words. */
void out_word(outbuf *o, const char *text);

/* The largest length up to `most` at which no UTF-8 character is cut. */
size_t out_utf8_cut(const char *bytes, size_t n, size_t most);

/* Put a NUL behind the text and return it; NULL if it has failed. */
const char *out_terminate(outbuf *o);

#endif
