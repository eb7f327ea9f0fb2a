/*
 * A hit as one line: the variables of the hooked function and the stack it was reached by, as text or as JSON. The
 * schema of the JSON is in docs/logpoints.md.
 */
#ifndef LJINSPECT_SNAPSHOT_H
#define LJINSPECT_SNAPSHOT_H

#include "hooks.h"
#include "ljinspect.h"
#include "render.h"

enum { SNAPSHOT_STACK_MAX = 200 };

typedef struct snapshot_options {
    unsigned what;    /* LJINSPECT_CAPTURE_... */
    int stack;        /* frames of the stack; 0: none */
    int stack_locals; /* so many of them with their locals */
    render_limits limits;
    mask_list masks;
} snapshot_options;

/* What is known of a hit beside the frame. */
typedef struct snapshot_head {
    const char *tag;     /* NULL: none */
    const char *message; /* the log line; NULL: none */
    size_t message_len;
    enum ljinspect_level level;
    long long us;         /* since 1970 */
    const char *function; /* at a return: what the function is called, for names that are masked; NULL: not known */
} snapshot_head;

/* Fill *options from what the user asked for. 0, or LJINSPECT_ERR_NOMEM, or _ARGUMENT with *why. NULL: the defaults of
 * everything, no snapshot. */
int snapshot_read(snapshot_options *options, const ljinspect_capture *asked, const char **why);
void snapshot_free(snapshot_options *options);

/* Append what every line of JSON begins with: "{", and members without a comma behind the last. */
void snapshot_put_head(const snapshot_head *head, const hook *h, outbuf *o);

/* Append the line. May raise a memory error. */
void snapshot_render(const snapshot_options *options, ljinspect_hit *hit, const snapshot_head *head, outbuf *o);

#endif
