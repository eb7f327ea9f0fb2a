/*
 * Bytes: one that chooses, then a text: a log template, an expression, a name and words that mask it, keys and a chunk name,
 * folded stacks, or what is to be written as a string of JSON or Lua. Each against what is true of its result.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/cli/profile.h"
#include "../../src/cli/text.h"
#include "../../src/expr_scan.h"
#include "../../src/hooks.h"
#include "../../src/mask.h"
#include "../../src/outbuf.h"
#include "../../src/template.h"
#include "json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Parts come in order, from within the text. */
static void split(const char *text, size_t len) {
    template_part parts[8];
    const char *why = NULL, *from = text;
    size_t at = SIZE_MAX;
    int n = template_split(text, len, parts, 8, &why, &at);
    if (n > 8 || (n < 0 && (why == NULL || at > len))) abort();
    for (int i = 0; i < n; i++) {
        if (parts[i].text < from || parts[i].text + parts[i].len > text + len) abort();
        from = parts[i].text + parts[i].len;
    }
}

static void scan(const char *text, size_t len) {
    static expr_scan s;
    if (!expr_scan_text(text, len, &s) && s.n_names != EXPR_NAMES_MAX) abort();
    for (int i = 0; i < s.n_names; i++)
        if (s.names[i].len == 0 || s.names[i].at < text || s.names[i].at + s.names[i].len > text + len) abort();
}

static char *copy(const char *text, size_t len) {
    char *to = malloc(len + 1);
    if (to == NULL) abort();
    memcpy(to, text, len);
    to[len] = '\0';
    return to;
}

/* "word\nword\nname": masked exactly where it contains one of the words. */
static void mask(const char *text, size_t len) {
    mask_list m;
    char *all = copy(text, len), *name = strrchr(all, '\n'), *rest = all;
    if (name != NULL && mask_init(&m)) {
        bool expected = false;
        *name++ = '\0';
        for (char *word; (word = strsep(&rest, "\n")) != NULL;)
            if (mask_add(&m, word)) expected = expected || strcasestr(name, word) != NULL;
        static const char *const always[] = {"password", "passwd", "secret", "token", "authorization", "cookie"};
        for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
            expected = expected || strcasestr(name, always[i]) != NULL;
        if (mask_matches(&m, name, strlen(name)) != expected) abort();
        mask_free(&m);
    }
    free(all);
}

static void release(hook *h, void *owner) {
    (void)h;
    (void)owner;
}

static void visited(hook *h, void *arg) {
    (void)h;
    ++*(int *)arg;
}

/* "file\nfile\nchunk": a hook for each file, and those are hit that the chunk name ends with. Some go again before. */
static void match(const char *text, size_t len) {
    char *all = copy(text, len), *source = strrchr(all, '\n'), *rest = all;
    hook_table *t = hooks_new(release, NULL);
    int expected = 0, hit = 0;
    int64_t id = 0;
    if (source != NULL && t != NULL) {
        *source++ = '\0';
        size_t n = strlen(source);
        for (char *file; (file = strsep(&rest, "\n")) != NULL;) {
            size_t m = strlen(file);
            int line = 1 + (int)(m % 2);
            hook *h = hooks_add(t, ++id, file, m, line, NULL);
            if (h == NULL) abort();
            if (m % 5 == 4) {
                hooks_remove(t, h);
            } else {
                bool is = m <= n && memcmp(source + n - m, file, m) == 0;
                if (hooks_suffix(source, n, file, m) != is) abort();
                expected += is && line == 1;
            }
        }
        if (hooks_dispatch(t, source, n, 1, visited, &hit) != expected || hit != expected) abort();
        if (hooks_matches(t, source, n, 1) != (expected > 0)) abort();
    }
    hooks_free(t);
    free(all);
}

static void folded(const char *text, size_t len) {
    profile p;
    const char *why;
    if (len == 0 || !profile_init(&p)) return;
    FILE *in = fmemopen((void *)(uintptr_t)text, len, "r");
    if (in == NULL) abort();
    if (profile_read_folded(&p, in, &why)) {
        uint64_t *sums = calloc(2 * p.n_frames + 1, sizeof *sums);
        if (sums == NULL || !profile_sums(&p, sums, sums + p.n_frames)) abort();
        for (size_t i = 0; i < p.n_frames; i++)
            if (sums[p.n_frames + i] > p.samples || sums[i] > sums[p.n_frames + i]) abort();
        free(sums);
    }
    fclose(in);
    profile_free(&p);
}

static void quote(const char *text, size_t len) {
    outbuf o = {.data = NULL};
    out_json_string(&o, text, len);
    if (!json_check(o.data, o.len)) abort();
    out_clear(&o);
    out_quoted(&o, text, len);
    out_line(&o, text, len);
    for (size_t i = 0; i < o.len; i++)
        if ((unsigned char)o.data[i] < ' ' || o.data[i] == 0x7f) abort();
    for (size_t most = 0; most < len && most < 9; most++)
        if (out_utf8_cut(text, len, most) > most) abort();
    out_free(&o);
    char *all = copy(text, len), *json = NULL;
    size_t size;
    FILE *out = open_memstream(&json, &size);
    if (out == NULL) abort();
    json_string(out, all);
    fclose(out);
    if (!json_check(json, size)) abort();
    free(json);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static void (*const kinds[])(const char *text, size_t len) = {split, scan, mask, match, folded, quote};
    if (size == 0) return 0;
    /* Exactly as long as it is, so that what reads beyond is seen. */
    char *text = malloc(size);
    if (text == NULL) abort();
    memcpy(text, bytes + 1, size - 1);
    char *exact = realloc(text, size > 1 ? size - 1 : 1);
    if (exact == NULL) abort();
    kinds[bytes[0] % (sizeof kinds / sizeof kinds[0])](exact, size - 1);
    free(exact);
    return 0;
}
