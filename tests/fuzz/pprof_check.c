#include "pprof_check.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes of a message, from `at` on. */
typedef struct span {
    const unsigned char *at, *end;
    bool bad;
} span;

/* A field: a number, or bytes (then `number` is what they are long). */
typedef struct field {
    unsigned id;
    bool is_bytes;
    uint64_t number;
    span bytes;
} field;

typedef struct function {
    uint64_t id, name, system_name, file, start;
} function;

typedef struct location {
    uint64_t id, function, line;
} location;

typedef struct sample {
    span locations, values;
} sample;

typedef struct file {
    span *strings;
    function *functions;
    location *locations;
    sample *samples;
    size_t n_strings, n_functions, n_locations, n_samples;
    uint64_t types[4], n_types, period_type[2], period, comment;
    bool bad;
} file;

static void *one_more(void *list, size_t n, size_t size) {
    if ((n & (n - 1)) != 0) return list;
    list = realloc(list, (n == 0 ? 1 : 2 * n) * size);
    if (list == NULL) abort();
    return list;
}

static uint64_t varint(span *s) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return value;
    }
    s->bad = true;
    return 0;
}

static bool next(span *s, field *f) {
    if (s->at >= s->end || s->bad) return false;
    uint64_t tag = varint(s);
    *f = (field){.id = (unsigned)(tag >> 3), .is_bytes = (tag & 7) == 2, .number = varint(s)};
    if ((tag & 7) != 0 && !f->is_bytes) s->bad = true;
    if (f->is_bytes) {
        if (f->number > (uint64_t)(s->end - s->at)) s->bad = true;
        if (s->bad) return false;
        f->bytes = (span){.at = s->at, .end = s->at + f->number};
        s->at += f->number;
    }
    return !s->bad;
}

/* Numbers of a message, by their fields: 0 where they are missing. */
static bool numbers(span s, uint64_t *to, unsigned n) {
    field f;
    while (next(&s, &f)) {
        if (f.id == 0 || f.id > n || f.is_bytes || to[f.id - 1] != 0) return false;
        to[f.id - 1] = f.number;
    }
    return !s.bad;
}

static bool read_location(span s, location *l) {
    uint64_t line[2] = {0};
    field f;
    bool ok = true;
    while (next(&s, &f)) {
        if (f.id == 1 && !f.is_bytes)
            l->id = f.number;
        else
            ok = ok && f.id == 4 && f.is_bytes && l->function == 0 && numbers(f.bytes, line, 2);
        l->function = line[0];
    }
    l->line = line[1];
    return ok && !s.bad;
}

static bool read_sample(span s, sample *to) {
    field f;
    bool ok = true;
    while (next(&s, &f)) {
        ok = ok && f.is_bytes && (f.id == 1 || f.id == 2);
        if (f.id == 1) to->locations = f.bytes;
        if (f.id == 2) to->values = f.bytes;
    }
    return ok && !s.bad;
}

static void read_field(file *o, const field *f) {
    uint64_t n[5] = {0};
    bool ok = f->is_bytes;
    switch (f->id) {
    case 1:
        ok = ok && o->n_types < 4 && numbers(f->bytes, &o->types[o->n_types], 2);
        o->n_types += 2;
        break;
    case 2:
        o->samples = one_more(o->samples, o->n_samples, sizeof *o->samples);
        o->samples[o->n_samples] = (sample){.locations.at = NULL};
        ok = ok && read_sample(f->bytes, &o->samples[o->n_samples++]);
        break;
    case 4:
        o->locations = one_more(o->locations, o->n_locations, sizeof *o->locations);
        o->locations[o->n_locations] = (location){.id = 0};
        ok = ok && read_location(f->bytes, &o->locations[o->n_locations++]);
        break;
    case 5:
        o->functions = one_more(o->functions, o->n_functions, sizeof *o->functions);
        ok = ok && numbers(f->bytes, n, 5);
        o->functions[o->n_functions++] =
            (function){.id = n[0], .name = n[1], .system_name = n[2], .file = n[3], .start = n[4]};
        break;
    case 6:
        o->strings = one_more(o->strings, o->n_strings, sizeof *o->strings);
        o->strings[o->n_strings++] = f->bytes;
        break;
    case 11: ok = ok && numbers(f->bytes, o->period_type, 2); break;
    case 12:
        ok = !f->is_bytes;
        o->period = f->number;
        break;
    case 13:
        ok = !f->is_bytes;
        o->comment = f->number;
        break;
    default: ok = false;
    }
    o->bad = o->bad || !ok;
}

static bool is_string(const file *o, uint64_t i, const char *text) {
    if (i >= o->n_strings) return false;
    size_t len = (size_t)(o->strings[i].end - o->strings[i].at);
    return len == strlen(text) && memcmp(o->strings[i].at, text, len) == 0;
}

static bool is_utf8(span s) {
    while (s.at < s.end) {
        unsigned char c = *s.at++;
        int more = c < 0x80                ? 0
                   : c >= 0xc2 && c < 0xe0 ? 1
                   : c >= 0xe0 && c < 0xf0 ? 2
                   : c >= 0xf0 && c < 0xf5 ? 3
                                           : -1;
        if (more < 0) return false;
        for (; more > 0; more--)
            if (s.at == s.end || (*s.at++ & 0xc0) != 0x80) return false;
    }
    return true;
}

/* Ids count from 1 on, in order; what is referred to is there. */
static bool is_complete(const file *o) {
    for (size_t i = 0; i < o->n_strings; i++)
        if (!is_utf8(o->strings[i])) return false;
    for (size_t i = 0; i < o->n_functions; i++) {
        const function *f = &o->functions[i];
        if (f->id != i + 1 || f->name >= o->n_strings || f->system_name != f->name || f->file >= o->n_strings)
            return false;
    }
    for (size_t i = 0; i < o->n_locations; i++) {
        const location *l = &o->locations[i];
        if (l->id != i + 1 || l->function == 0 || l->function > o->n_functions) return false;
    }
    return is_string(o, 0, "") && o->n_types == 4 && is_string(o, o->types[0], "samples") &&
           is_string(o, o->types[1], "count") && is_string(o, o->types[2], "cpu") &&
           is_string(o, o->types[3], "nanoseconds") && o->period_type[0] == o->types[2] &&
           o->period_type[1] == o->types[3];
}

/* The line that a label like "app.lua:14" ends with. */
static uint64_t line_at_end(const char *where) {
    const char *colon = strrchr(where, ':');
    char *end = NULL;
    long line = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
    return line > 0 && *end == '\0' ? (uint64_t)line : 0;
}

/* One that ends at the node: its functions by name, the innermost first, a line with its function. */
static bool is_stack(const profile *p, uint32_t node, const file *o, const sample *s) {
    span ids = s->locations, values = s->values;
    if (varint(&values) != p->nodes[node].self || varint(&values) != p->nodes[node].self * o->period || values.bad ||
        values.at != values.end)
        return false;
    for (uint32_t at = node; at != 0; at = p->nodes[at].parent) {
        uint64_t line = 0;
        char label[512];
        const profile_frame *f = &p->frames[p->nodes[at].frame];
        if (f->kind == FRAME_LINE && p->nodes[at].parent != 0) {
            line = line_at_end(f->where);
            at = p->nodes[at].parent;
            f = &p->frames[p->nodes[at].frame];
        }
        uint64_t id = varint(&ids);
        if (ids.bad || id == 0 || id > o->n_locations) return false;
        const location *l = &o->locations[id - 1];
        profile_label(f, label, sizeof label);
        if (l->line != line || !is_string(o, o->functions[l->function - 1].name, label)) return false;
    }
    return ids.at == ids.end;
}

static bool unpack(const unsigned char *packed, size_t size, unsigned char **to, size_t *n) {
    enum { ANY_WINDOW = 15, GZIP_ONLY = 16 };
    size_t max = 1 << 16;
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)packed, .avail_in = (uInt)size};
    int result = inflateInit2(&z, ANY_WINDOW + GZIP_ONLY);
    *to = NULL;
    while (result == Z_OK) {
        *to = realloc(*to, max *= 2);
        if (*to == NULL) abort();
        z.next_out = *to + z.total_out;
        z.avail_out = (uInt)(max - z.total_out);
        result = inflate(&z, Z_NO_FLUSH);
    }
    *n = z.total_out;
    inflateEnd(&z);
    return result == Z_STREAM_END && z.avail_in == 0;
}

bool pprof_check(const profile *p, const unsigned char *packed, size_t size) {
    file o = {.bad = false};
    field f;
    unsigned char *bytes;
    size_t n, k = 0;
    bool ok = unpack(packed, size, &bytes, &n);
    span all = {.at = bytes, .end = bytes + n};
    while (ok && next(&all, &f)) read_field(&o, &f);
    ok = ok && !all.bad && !o.bad && is_complete(&o) && is_string(&o, o.comment, p->title);
    for (uint32_t i = 1; ok && i < p->n_nodes; i++)
        if (p->nodes[i].self > 0) ok = k < o.n_samples && is_stack(p, i, &o, &o.samples[k++]);
    ok = ok && k == o.n_samples;
    free(o.strings);
    free(o.functions);
    free(o.locations);
    free(o.samples);
    free(bytes);
    return ok;
}
