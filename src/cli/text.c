#include "text.h"

#include <stdbool.h>
#include <string.h>

#include "../utf8.h"

/* The length of what starts at `p`; *shown: it is a character that may be shown. */
static size_t next(const char *p, bool *shown) {
    const unsigned char *at = (const unsigned char *)p;
    size_t len = utf8_len(at, strnlen(p, 4));
    *shown = len > 0 && !utf8_is_control(at, len);
    return len > 0 ? len : 1;
}

void text_print(FILE *out, const char *text) {
    bool shown;
    for (size_t n; *text != '\0'; text += n) {
        n = next(text, &shown);
        if (shown)
            fwrite(text, 1, n, out);
        else
            fputc('?', out);
    }
}

void json_string(FILE *out, const char *text) {
    bool shown;
    fputc('"', out);
    for (size_t n; *text != '\0'; text += n) {
        const unsigned char *p = (const unsigned char *)text;
        n = next(text, &shown);
        if (!shown) {
            fprintf(out, "\\u%04x", n == 1 && *p >= 0x80 ? 0xfffd : utf8_code(p, n));
            continue;
        }
        if (*p == '"' || *p == '\\') fputc('\\', out);
        fwrite(p, 1, n, out);
    }
    fputc('"', out);
}

void text_clean(char *text, const char *also) {
    char *to = text;
    bool shown;
    for (size_t n; *text != '\0'; text += n) {
        n = next(text, &shown);
        if (shown && (n > 1 || strchr(also, *text) == NULL)) {
            memmove(to, text, n);
            to += n;
        } else {
            *to++ = '?';
        }
    }
    *to = '\0';
}

void text_end_whole(char *text) {
    size_t len = strlen(text), n = 1;
    while (n < len && n < 4 && ((unsigned char)text[len - n] & 0xc0) == 0x80) n++;
    if (n <= len && utf8_len((const unsigned char *)text + len - n, n) == 0) text[len - n] = '\0';
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
