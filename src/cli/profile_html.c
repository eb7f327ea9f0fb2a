/*
 * A profile as one HTML file: the page of flame.html, with the profile in it as data. It loads nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "flame_page.h" /* made of flame.html when this is built: FLAME_PAGE */
#include "profile.h"
#include "text.h"

/* Inside of a script a string must not end it: "<" is written otherwise. */
static bool script_string(FILE *out, const char *text) {
    char *json = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&json, &size);
    if (memory == NULL) return false;
    json_string(memory, text);
    if (fclose(memory) != 0) {
        free(json);
        return false;
    }
    for (const char *c = json; *c != '\0'; c++) {
        if (*c == '<') {
            fputs("\\u003c", out);
        } else {
            fputc(*c, out);
        }
    }
    free(json);
    return true;
}

static bool write_data(const profile *p, FILE *out) {
    char label[512];
    fputs("{\"title\":", out);
    if (!script_string(out, p->title)) return false;
    fprintf(out, ",\"secondsASample\":%.9g,\n\"frames\":[", p->seconds_a_sample);
    for (size_t i = 0; i < p->n_frames; i++) {
        profile_label(&p->frames[i], label, sizeof label);
        fputs(i > 0 ? ",\n[" : "\n[", out);
        if (!script_string(out, label)) return false;
        fprintf(out, ",%d]", (int)p->frames[i].kind);
    }
    fputs("],\n\"nodes\":[", out); /* parent, frame, self; a parent comes before its children */
    for (size_t i = 1; i < p->n_nodes; i++)
        fprintf(out, "%s%" PRIu32 ",%" PRIu32 ",%" PRIu64, i > 1 ? ",\n" : "\n", p->nodes[i].parent, p->nodes[i].frame,
                p->nodes[i].self);
    fputs("]}", out);
    return true;
}

bool profile_write_html(const profile *p, FILE *out) {
    static const char MARK[] = "/*DATA*/";
    const char *page = (const char *)FLAME_PAGE, *mark = strstr(page, MARK);
    if (mark == NULL) abort();
    fwrite(page, 1, (size_t)(mark - page), out);
    if (!write_data(p, out)) return false;
    fputs(mark + sizeof MARK - 1, out);
    return !ferror(out);
}
