/*
 * UTF-8, and which of its characters may be shown to somebody as they are. Knows no Lua.
 */
#ifndef LJINSPECT_UTF8_H
#define LJINSPECT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the character that starts at `p`, with `n` bytes left, at least one; 0 for none: too long a form, a
 * surrogate, cut, no character. */
static inline size_t utf8_len(const unsigned char *p, size_t n) {
    size_t len;
    if (*p < 0x80) return 1;
    if (*p >= 0xc2 && *p <= 0xdf)
        len = 2;
    else if ((*p & 0xf0) == 0xe0)
        len = 3;
    else if (*p >= 0xf0 && *p <= 0xf4)
        len = 4;
    else
        return 0;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

/* Its code point; of these lengths, 1 to 3, alone. */
static inline unsigned utf8_code(const unsigned char *p, size_t len) {
    if (len == 1) return p[0];
    if (len == 2) return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

/* Whether the character does more than to be seen: controls (those from U+0080 on are commands to some terminals), ends of
 * lines and paragraphs, and what changes the direction of the text around it (Unicode's Bidi_Control), by which a line
 * can be made to read otherwise than it is. */
static inline bool utf8_is_control(const unsigned char *p, size_t len) {
    if (len == 1) return *p < 0x20 || *p == 0x7f;
    if (len > 3 || (len == 3 && *p != 0xe2)) return false;
    unsigned c = utf8_code(p, len);
    return c < 0xa0 || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* The length of a character that may be shown as it is; 0: the byte at `p` must be written otherwise. */
static inline size_t utf8_shown(const unsigned char *p, size_t n) {
    size_t len = utf8_len(p, n);
    return len > 0 && utf8_is_control(p, len) ? 0 : len;
}

#endif
