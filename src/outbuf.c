#include "outbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

void out_clear(outbuf *o) {
    o->len = 0;
    o->failed = false;
}

void out_free(outbuf *o) {
    free(o->data);
    *o = (outbuf){.data = NULL};
}

/* Room for `n` more bytes and a NUL. */
static bool room(outbuf *o, size_t n) {
    if (o->failed) return false;
    if (o->cap - o->len > n) return true;
    size_t cap = o->cap < 512 ? 512 : o->cap;
    while (cap - o->len <= n) {
        if (cap > SIZE_MAX / 2) {
            o->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *data = realloc(o->data, cap);
    if (data == NULL) {
        o->failed = true;
        return false;
    }
    o->data = data;
    o->cap = cap;
    return true;
}

void out_bytes(outbuf *o, const char *bytes, size_t n) {
    if (n == 0 || !room(o, n)) return;
    memcpy(o->data + o->len, bytes, n);
    o->len += n;
}

void out_text(outbuf *o, const char *text) {
    out_bytes(o, text, strlen(text));
}

void out_char(outbuf *o, char c) {
    if (!room(o, 1)) return;
    o->data[o->len++] = c;
}

void out_integer(outbuf *o, long long n) {
    char digits[24], *p = digits + sizeof digits;
    unsigned long long left = n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;
    do {
        *--p = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0) *--p = '-';
    out_bytes(o, p, (size_t)(digits + sizeof digits - p));
}

void out_pointer(outbuf *o, const void *p) {
    static const char digits[] = "0123456789abcdef";
    uintptr_t left = (uintptr_t)p;
    char text[2 + 2 * sizeof left], *at = text + sizeof text;
    do {
        *--at = digits[left & 15];
        left >>= 4;
    } while (left > 0);
    *--at = 'x';
    *--at = '0';
    out_bytes(o, at, (size_t)(text + sizeof text - at));
}

/* What snprintf() has made of a number, whose decimal point is that of the host's locale: a comma, or more than one byte. */
static void put_number(outbuf *o, const char *text) {
    static const char own[] = "0123456789+-aefin";
    for (size_t n; *text != '\0'; text += n) {
        n = strspn(text, own);
        out_bytes(o, text, n);
        if (n > 0) continue;
        out_char(o, '.');
        n = strcspn(text, own);
    }
}

void out_number(outbuf *o, double n) {
    char text[32];
    if (n > -1e14 && n < 1e14 && n == (double)(long long)n && (n != 0 || 1 / n > 0)) {
        out_integer(o, (long long)n);
        return;
    }
    if (snprintf(text, sizeof text, "%.14g", n) > 0) put_number(o, text);
}

void out_tenths(outbuf *o, double n) {
    char text[352]; /* the largest has 309 digits */
    if (snprintf(text, sizeof text, "%.1f", n) > 0) put_number(o, text);
}

/* Decimal digits at a fixed place. */
static void put_digits(char *to, int n, long long value) {
    while (n > 0) {
        to[--n] = (char)('0' + value % 10);
        value /= 10;
    }
}

static bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

void out_date(char *text, long long second) {
    static const int months[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (second < 0) second = 0;
    if (second > OUT_LAST_SECOND) second = OUT_LAST_SECOND;
    long long day = second / 86400;
    int year = 1970, month = 0, of_day = (int)(second % 86400);
    for (; day >= 365 + is_leap(year); year++) day -= 365 + is_leap(year);
    for (; day >= months[month] + (month == 1 && is_leap(year)); month++)
        day -= months[month] + (month == 1 && is_leap(year));
    memcpy(text, "0000-00-00T00:00:00", OUT_DATE_SIZE);
    put_digits(text, 4, year);
    put_digits(text + 5, 2, month + 1);
    put_digits(text + 8, 2, day + 1);
    put_digits(text + 11, 2, of_day / 3600);
    put_digits(text + 14, 2, of_day / 60 % 60);
    put_digits(text + 17, 2, of_day % 60);
}

void out_time(outbuf *o, long long us) {
    static const char pattern[] = "0000-00-00T00:00:00.000000Z";
    char *text = o->date;
    long long now = us / 1000000;
    if (now != o->second || *text == '\0') { /* taking a time apart costs more than all else here */
        memcpy(text, pattern, sizeof pattern);
        out_date(text, now);
        text[OUT_DATE_SIZE - 1] = '.';
        o->second = now;
    }
    put_digits(text + 20, 6, us % 1000000);
    out_bytes(o, text, sizeof pattern - 1);
}

/* ---- UTF-8 ---- */

size_t out_utf8_cut(const char *bytes, size_t n, size_t most) {
    if (n <= most) return n;
    size_t cut = most;
    while (cut > 0 && most - cut < 3 && ((unsigned char)bytes[cut] & 0xc0) == 0x80) cut--;
    return ((unsigned char)bytes[cut] & 0xc0) == 0x80 ? most : cut;
}

static void escape(outbuf *o, const char *format, unsigned c) {
    char text[8];
    int len = snprintf(text, sizeof text, format, c);
    if (len > 0) out_bytes(o, text, (size_t)len);
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Writes the `len` bytes of a character that cannot stand for itself; 0: one byte that is no UTF-8. */
typedef void (*special_fn)(outbuf *o, const unsigned char *p, size_t len);

/* The bytes in quotes, what cannot stand for itself written by `special`. True if all were UTF-8. */
static bool quote(outbuf *o, const char *bytes, size_t n, special_fn special) {
    const unsigned char *p = (const unsigned char *)bytes;
    bool valid = true;
    out_char(o, '"');
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && is_plain(p[i])) i++;
        out_bytes(o, bytes + from, i - from);
        if (i == n) break;
        size_t len = utf8_len(p + i, n - i);
        if (len > 1 && !utf8_is_control(p + i, len)) {
            out_bytes(o, bytes + i, len);
            i += len;
            continue;
        }
        if (len == 0) valid = false;
        special(o, p + i, len);
        i += len > 0 ? len : 1;
    }
    out_char(o, '"');
    return valid;
}

static void json_special(outbuf *o, const unsigned char *p, size_t len) {
    if (len == 0) {
        out_text(o, "\\ufffd");
    } else if (*p == '"' || *p == '\\') {
        out_char(o, '\\');
        out_char(o, (char)*p);
    } else if (*p == '\n') {
        out_text(o, "\\n");
    } else {
        escape(o, "\\u%04x", utf8_code(p, len));
    }
}

static void lua_special(outbuf *o, const unsigned char *p, size_t len) {
    if (*p == '"' || *p == '\\') {
        out_char(o, '\\');
        out_char(o, (char)*p);
    } else if (*p == '\n') {
        out_text(o, "\\n");
    } else {
        size_t i = 0;
        do escape(o, "\\x%02x", p[i]);
        while (++i < len);
    }
}

bool out_json_string(outbuf *o, const char *bytes, size_t n) {
    return quote(o, bytes, n, json_special);
}

void out_quoted(outbuf *o, const char *bytes, size_t n) {
    quote(o, bytes, n, lua_special);
}

void out_line(outbuf *o, const char *bytes, size_t n) {
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        for (size_t len; i < n && (len = utf8_shown(p + i, n - i)) > 0;) i += len;
        out_bytes(o, bytes + from, i - from);
        if (i < n) lua_special(o, p + i++, 0);
    }
}

void out_word(outbuf *o, const char *text) {
    out_line(o, text, strlen(text));
}

const char *out_terminate(outbuf *o) {
    if (!room(o, 0)) return NULL;
    o->data[o->len] = '\0';
    return o->data;
}
