/*
 * Profiles in pprof's format: profile.proto (github.com/google/pprof/proto), packed by gzip. Fields are written in the wire
 * format of protocol buffers: a number with a tag of field and kind before it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "text.h"

#ifdef LJINSPECT_ZLIB
#include <zlib.h>

enum { LABEL_MAX = 512 };

/* Numbers of the fields, by message. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    VALUE_TYPE = 1,
    VALUE_UNIT = 2,
    SAMPLE_LOCATION = 1,
    SAMPLE_VALUE = 2,
    LOCATION_ID = 1,
    LOCATION_LINE = 4,
    LINE_FUNCTION = 1,
    LINE_LINE = 2,
    FUNCTION_ID = 1,
    FUNCTION_NAME = 2,
    FUNCTION_SYSTEM_NAME = 3,
    FUNCTION_FILE = 4,
    FUNCTION_START = 5
};

/* ---- Bytes ---- */

typedef struct bytes {
    unsigned char *at;
    size_t n, max;
    bool failed; /* no memory */
} bytes;

static void put(bytes *b, const void *from, size_t n) {
    if (b->failed || n == 0) return;
    if (b->max - b->n < n) {
        size_t more = 2 * b->max + n + 64;
        unsigned char *longer = realloc(b->at, more);
        b->failed = longer == NULL;
        if (longer == NULL) return;
        b->at = longer;
        b->max = more;
    }
    memcpy(b->at + b->n, from, n);
    b->n += n;
}

static void put_varint(bytes *b, uint64_t value) {
    unsigned char out[10];
    size_t n = 0;
    do {
        out[n++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    put(b, out, n);
}

enum { KIND_NUMBER = 0, KIND_BYTES = 2 };

/* Zero is what is not written. */
static void put_number(bytes *b, unsigned field, uint64_t value) {
    if (value == 0) return;
    put_varint(b, (uint64_t)field << 3 | KIND_NUMBER);
    put_varint(b, value);
}

static void put_bytes(bytes *b, unsigned field, const void *from, size_t n) {
    put_varint(b, (uint64_t)field << 3 | KIND_BYTES);
    put_varint(b, n);
    put(b, from, n);
}

/* A message inside of another; `part` is empty again then. */
static void put_part(bytes *b, unsigned field, bytes *part) {
    put_bytes(b, field, part->at, part->n);
    b->failed = b->failed || part->failed;
    part->n = 0;
}

/* ---- The profile ---- */

/* A function and the line in it that ran. */
typedef struct place {
    uint32_t function, line; /* frames */
} place;

typedef struct writer {
    const profile *p;
    bytes out, part, inner;
    uint64_t n_strings;
    place *places; /* ascending */
    size_t n_places;
} writer;

static uint64_t add_string(writer *w, const char *text) {
    put_bytes(&w->out, PROFILE_STRING, text, strlen(text));
    return w->n_strings++;
}

static int by_frame(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->function != y->function) return x->function < y->function ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static bool is_line(const profile *p, uint32_t node) {
    const profile_node *n = &p->nodes[node];
    return node != 0 && n->parent != 0 && p->frames[n->frame].kind == FRAME_LINE;
}

static place place_of(const profile *p, uint32_t node) {
    return (place){.function = p->nodes[p->nodes[node].parent].frame, .line = p->nodes[node].frame};
}

static bool find_places(writer *w) {
    const profile *p = w->p;
    size_t n = 0;
    w->places = calloc(p->n_nodes + 1, sizeof *w->places);
    if (w->places == NULL) return false;
    for (uint32_t i = 1; i < p->n_nodes; i++)
        if (is_line(p, i)) w->places[n++] = place_of(p, i);
    if (n > 0) qsort(w->places, n, sizeof *w->places, by_frame);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_frame(&w->places[i], &w->places[w->n_places - 1]) != 0)
            w->places[w->n_places++] = w->places[i];
    return true;
}

/* The line at the end of "app.lua:10", and where it begins; 0: there is none. */
static long line_of(const char *where, size_t *file) {
    const char *colon = strrchr(where, ':');
    char *end = NULL;
    *file = strlen(where);
    if (colon == NULL) return 0;
    long line = strtol(colon + 1, &end, 10);
    if (*end != '\0' || line <= 0) return 0;
    *file = (size_t)(colon - where);
    return line;
}

/* A function for each frame that is no line, with the frame's number and one; the same number for its location without a
 * line. */
static void write_function(writer *w, uint32_t frame) {
    const profile_frame *f = &w->p->frames[frame];
    char label[LABEL_MAX], file[LABEL_MAX];
    size_t len;
    profile_label(f, label, sizeof label);
    long start = line_of(f->where, &len);
    snprintf(file, sizeof file, "%.*s", (int)(len < LABEL_MAX ? len : LABEL_MAX), f->where);
    if (len >= LABEL_MAX) text_end_whole(file);
    uint64_t name = add_string(w, label);
    put_number(&w->part, FUNCTION_ID, (uint64_t)frame + 1);
    put_number(&w->part, FUNCTION_NAME, name);
    put_number(&w->part, FUNCTION_SYSTEM_NAME, name);
    if (f->kind == FRAME_FUNCTION) {
        put_number(&w->part, FUNCTION_FILE, add_string(w, file));
        put_number(&w->part, FUNCTION_START, (uint64_t)start);
    }
    put_part(&w->out, PROFILE_FUNCTION, &w->part);
}

static void write_location(writer *w, uint64_t id, uint32_t function, long line) {
    put_number(&w->inner, LINE_FUNCTION, (uint64_t)function + 1);
    put_number(&w->inner, LINE_LINE, (uint64_t)line);
    put_number(&w->part, LOCATION_ID, id);
    put_part(&w->part, LOCATION_LINE, &w->inner);
    put_part(&w->out, PROFILE_LOCATION, &w->part);
}

static void write_locations(writer *w) {
    const profile *p = w->p;
    for (uint32_t i = 0; i < p->n_frames; i++) {
        write_function(w, i);
        write_location(w, (uint64_t)i + 1, i, 0);
    }
    for (size_t i = 0; i < w->n_places; i++) {
        size_t file;
        long line = line_of(p->frames[w->places[i].line].where, &file);
        write_location(w, p->n_frames + i + 1, w->places[i].function, line);
    }
}

/* The innermost first. A line is one location with its function. */
static void write_sample(writer *w, uint32_t node, uint64_t period) {
    const profile *p = w->p;
    for (uint32_t at = node; at != 0; at = p->nodes[at].parent) {
        uint64_t id = (uint64_t)p->nodes[at].frame + 1;
        if (is_line(p, at)) {
            const place wanted = place_of(p, at);
            const place *found = bsearch(&wanted, w->places, w->n_places, sizeof *w->places, by_frame);
            id = p->n_frames + (uint64_t)(found - w->places) + 1;
            at = p->nodes[at].parent;
        }
        put_varint(&w->inner, id);
    }
    put_part(&w->part, SAMPLE_LOCATION, &w->inner);
    put_varint(&w->inner, p->nodes[node].self);
    put_varint(&w->inner, p->nodes[node].self * period);
    put_part(&w->part, SAMPLE_VALUE, &w->inner);
    put_part(&w->out, PROFILE_SAMPLE, &w->part);
}

static void write_type(writer *w, unsigned field, uint64_t type, uint64_t unit) {
    put_number(&w->part, VALUE_TYPE, type);
    put_number(&w->part, VALUE_UNIT, unit);
    put_part(&w->out, field, &w->part);
}

static void write_profile(writer *w) {
    const profile *p = w->p;
    const uint64_t period = (uint64_t)(p->seconds_a_sample * 1e9 + 0.5);
    add_string(w, ""); /* number 0 */
    uint64_t samples = add_string(w, "samples"), count = add_string(w, "count");
    uint64_t cpu = add_string(w, "cpu"), ns = add_string(w, "nanoseconds");
    write_type(w, PROFILE_SAMPLE_TYPE, samples, count);
    write_type(w, PROFILE_SAMPLE_TYPE, cpu, ns);
    write_type(w, PROFILE_PERIOD_TYPE, cpu, ns);
    put_number(&w->out, PROFILE_PERIOD, period);
    put_number(&w->out, PROFILE_COMMENT, add_string(w, p->title));
    write_locations(w);
    for (uint32_t i = 1; i < p->n_nodes; i++)
        if (p->nodes[i].self > 0) write_sample(w, i, period);
}

/* ---- The file ---- */

static bool write_gzip(const bytes *b, FILE *out) {
    enum { WINDOW = 15, GZIP = 16, LEVEL_MEMORY = 8 };
    unsigned char piece[1 << 14];
    z_stream z = {.next_in = b->at, .avail_in = 0};
    size_t left = b->n;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW + GZIP, LEVEL_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        errno = ENOMEM;
        return false;
    }
    int result = Z_OK;
    while (result == Z_OK) {
        if (z.avail_in == 0) {
            z.avail_in = left < (1U << 30) ? (uInt)left : 1U << 30;
            left -= z.avail_in;
        }
        z.next_out = piece;
        z.avail_out = sizeof piece;
        result = deflate(&z, left == 0 ? Z_FINISH : Z_NO_FLUSH);
        fwrite(piece, 1, sizeof piece - z.avail_out, out);
    }
    deflateEnd(&z);
    return result == Z_STREAM_END && !ferror(out);
}

bool profile_write_pprof(const profile *p, FILE *out) {
    writer w = {.p = p};
    bool ok = find_places(&w);
    if (ok) {
        write_profile(&w);
        ok = !w.out.failed && !w.part.failed && !w.inner.failed;
    }
    if (ok) {
        ok = write_gzip(&w.out, out);
    } else {
        errno = ENOMEM;
    }
    free(w.places);
    free(w.out.at);
    free(w.part.at);
    free(w.inner.at);
    return ok;
}
#else
bool profile_write_pprof(const profile *p, FILE *out) {
    (void)p;
    (void)out;
    errno = ENOTSUP; /* this build has no zlib */
    return false;
}
#endif
