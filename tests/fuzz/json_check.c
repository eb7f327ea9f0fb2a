#include "json_check.h"

#include <string.h>

typedef struct reader {
    const char *at, *end;
    int depth;
} reader;

enum { DEPTH_MAX = 200 };

static void space(reader *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL && *r->at != '\0') r->at++;
}

static bool word(reader *r, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n) != 0) return false;
    r->at += n;
    return true;
}

static bool string(reader *r) {
    if (!word(r, "\"")) return false;
    for (; r->at < r->end && *r->at != '"'; r->at++) {
        if ((unsigned char)*r->at < ' ') return false;
        if (*r->at != '\\') continue;
        if (++r->at == r->end || strchr("\"\\/bfnrtu", *r->at) == NULL) return false;
        if (*r->at != 'u') continue;
        for (int i = 0; i < 4; i++)
            if (++r->at >= r->end || strchr("0123456789abcdefABCDEF", *r->at) == NULL) return false;
    }
    return word(r, "\"");
}

static bool digits(reader *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > from;
}

static bool number(reader *r) {
    word(r, "-");
    if (!word(r, "0") && !digits(r)) return false;
    if (word(r, ".") && !digits(r)) return false;
    if (!word(r, "e") && !word(r, "E")) return true;
    if (!word(r, "+")) word(r, "-");
    return digits(r);
}

static bool value(reader *r);

/* The members between brackets; `named` where each has a name. */
static bool members(reader *r, const char *close, bool named) {
    space(r);
    if (word(r, close)) return true;
    do {
        space(r);
        if (named) {
            if (!string(r)) return false;
            space(r);
            if (!word(r, ":")) return false;
        }
        if (!value(r)) return false;
        space(r);
    } while (word(r, ","));
    return word(r, close);
}

static bool value(reader *r) {
    if (++r->depth > DEPTH_MAX) return false;
    space(r);
    bool ok = word(r, "{")   ? members(r, "}", true)
              : word(r, "[") ? members(r, "]", false)
                             : word(r, "true") || word(r, "false") || word(r, "null") ||
                                   (r->at < r->end && *r->at == '"' ? string(r) : number(r));
    r->depth--;
    return ok;
}

bool json_check(const char *text, size_t len) {
    reader r = {.at = text, .end = text + len};
    if (!value(&r)) return false;
    space(&r);
    return r.at == r.end;
}
