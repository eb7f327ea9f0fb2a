/*
 * Profiles as files: folded stacks, as flamegraph.pl reads them, one a line; and the format of speedscope.app.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "text.h"

enum { LABEL_MAX = 512, DEPTH_MAX = 70000 };

/* The frames of a node, the outermost first. Returns how many. */
static size_t path_of(const profile *p, uint32_t node, uint32_t *path) {
    size_t n = 0;
    for (uint32_t at = node; at != 0 && n < DEPTH_MAX; at = p->nodes[at].parent) path[n++] = p->nodes[at].frame;
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t swapped = path[i];
        path[i] = path[n - 1 - i];
        path[n - 1 - i] = swapped;
    }
    return n;
}

bool profile_write_folded(const profile *p, FILE *out) {
    char label[LABEL_MAX];
    uint32_t *path = malloc(DEPTH_MAX * sizeof *path);
    if (path == NULL) return false;
    for (uint32_t i = 1; i < p->n_nodes; i++) {
        if (p->nodes[i].self == 0) continue;
        size_t n = path_of(p, i, path);
        for (size_t k = 0; k < n; k++) {
            profile_label(&p->frames[path[k]], label, sizeof label);
            fprintf(out, "%s%s", k > 0 ? ";" : "", label);
        }
        fprintf(out, " %" PRIu64 "\n", p->nodes[i].self);
    }
    free(path);
    return !ferror(out);
}

/* ---- speedscope ---- */

/* "app.lua:10" is a file and a line. */
static void write_frame(const profile_frame *f, FILE *out) {
    char label[LABEL_MAX], file[LABEL_MAX];
    profile_label(f, label, sizeof label);
    fputs("{\"name\": ", out);
    json_string(out, label);
    if ((size_t)snprintf(file, sizeof file, "%s", f->where) >= sizeof file) text_end_whole(file);
    char *colon = strrchr(file, ':'), *end = NULL;
    long line = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
    if (f->kind != FRAME_STATE && line > 0) {
        *colon = '\0';
        fputs(", \"file\": ", out);
        json_string(out, file);
        fprintf(out, ", \"line\": %ld", line);
    }
    fputc('}', out);
}

static void write_samples(const profile *p, uint32_t *path, FILE *out) {
    bool first = true;
    for (uint32_t i = 1; i < p->n_nodes; i++) {
        if (p->nodes[i].self == 0) continue;
        size_t n = path_of(p, i, path);
        fputs(first ? "[" : ",\n[", out);
        first = false;
        for (size_t k = 0; k < n; k++) fprintf(out, "%s%" PRIu32, k > 0 ? "," : "", path[k]);
        fputc(']', out);
    }
}

bool profile_write_speedscope(const profile *p, FILE *out) {
    uint32_t *path = malloc(DEPTH_MAX * sizeof *path);
    if (path == NULL) return false;
    fputs("{\"$schema\": \"https://www.speedscope.app/file-format-schema.json\",\n\"exporter\": \"ljinspect\",\n"
          "\"shared\": {\"frames\": [\n",
          out);
    for (size_t i = 0; i < p->n_frames; i++) {
        if (i > 0) fputs(",\n", out);
        write_frame(&p->frames[i], out);
    }
    fputs("\n]},\n\"profiles\": [{\"type\": \"sampled\", \"unit\": \"seconds\", \"name\": ", out);
    json_string(out, p->title);
    fprintf(out, ", \"startValue\": 0, \"endValue\": %.6f,\n\"samples\": [\n",
            (double)p->samples * p->seconds_a_sample);
    write_samples(p, path, out);
    fputs("\n],\n\"weights\": [", out);
    bool first = true;
    for (uint32_t i = 1; i < p->n_nodes; i++) {
        if (p->nodes[i].self == 0) continue;
        fprintf(out, "%s%.6f", first ? "" : ",", (double)p->nodes[i].self * p->seconds_a_sample);
        first = false;
    }
    fputs("]}]}\n", out);
    free(path);
    return !ferror(out);
}

/* ---- Reading folded stacks ---- */

/* What profile_label() wrote, taken apart. */
static uint32_t read_frame(profile *p, char *label, bool last) {
    char *at = strrchr(label, '@');
    if (strncmp(label, "[C] ", 4) == 0) return profile_frame_id(p, FRAME_NATIVE, "", label + 4);
    if (at != NULL) {
        *at = '\0';
        return profile_frame_id(p, FRAME_FUNCTION, at + 1, strcmp(label, "?") == 0 ? "" : label);
    }
    if (label[0] == '(') return profile_frame_id(p, FRAME_STATE, label, "");
    return profile_frame_id(p, last && strrchr(label, ':') != NULL ? FRAME_LINE : FRAME_STATE, label, "");
}

static bool read_stack(profile *p, char *line, uint32_t *path, const char **why) {
    char *space = strrchr(line, ' '), *end = NULL;
    size_t n = 0;
    *why = "a line does not end with a space and a count";
    if (space == NULL) return false;
    errno = 0;
    unsigned long long count = strtoull(space + 1, &end, 10);
    if (end == space + 1 || *end != '\0' || errno != 0) return false;
    *space = '\0';
    *why = "a stack is too deep";
    for (char *label = line; label != NULL; n++) {
        char *next = strchr(label, ';');
        if (next != NULL) *next++ = '\0';
        if (n == DEPTH_MAX) return false;
        path[n] = read_frame(p, label, next == NULL);
        if (path[n] == UINT32_MAX) {
            *why = "no memory";
            return false;
        }
        label = next;
    }
    *why = count > UINT64_MAX - p->samples ? "the counts are too large" : "no memory";
    return profile_add(p, path, n, count);
}

bool profile_read_folded(profile *p, FILE *in, const char **why) {
    char *line = NULL;
    size_t size = 0;
    uint32_t *path = malloc(DEPTH_MAX * sizeof *path);
    bool ok = path != NULL;
    *why = "no memory";
    while (ok && getline(&line, &size, in) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0') ok = read_stack(p, line, path, why);
    }
    if (ok && ferror(in)) {
        *why = strerror(errno);
        ok = false;
    }
    free(line);
    free(path);
    return ok;
}
