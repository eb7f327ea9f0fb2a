#include "text.h"

#include <stdbool.h>
#include <string.h>

/* The length of the UTF-8 sequence at `p`; 0: none that is well-formed and no control character. */
static size_t utf8(const unsigned char *p) {
    if (p[0] < 0x80) return p[0] >= ' ' && p[0] != 0x7f;
    size_t len = p[0] >= 0xf0 && p[0] <= 0xf4  ? 4
                 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                                               : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (len == 3 && p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (len == 3 && p[0] == 0xed && p[1] >= 0xa0) return 0;
    if (len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))) return 0;
    if (len == 2 && p[0] == 0xc2 && p[1] < 0xa0) return 0; /* control characters U+0080 to U+009F */
    return len;
}

void text_print(FILE *out, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        size_t n = utf8(p);
        if (n == 0) {
            fputc('?', out);
            p++;
        } else {
            fwrite(p, 1, n, out);
            p += n;
        }
    }
}

void json_string(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        size_t n = utf8(p);
        if (n == 0) {
            fprintf(out, *p < 0x80 ? "\\u%04x" : "\\ufffd", *p);
            p++;
            continue;
        }
        if (*p == '"' || *p == '\\') fputc('\\', out);
        fwrite(p, 1, n, out);
        p += n;
    }
    fputc('"', out);
}

void text_clean(char *text, const char *also) {
    for (char *p = text; *p != '\0';) {
        size_t n = utf8((const unsigned char *)p);
        if (n == 0 || (n == 1 && strchr(also, *p) != NULL)) {
            *p++ = '?';
        } else {
            p += n;
        }
    }
}

void text_end_whole(char *text) {
    size_t len = strlen(text), n = 1;
    while (n < len && n < 4 && ((unsigned char)text[len - n] & 0xc0) == 0x80) n++;
    if (n <= len && utf8((const unsigned char *)text + len - n) == 0) text[len - n] = '\0';
}

const char *text_size(uint64_t bytes, char *out) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}
