#include "keys.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p) {
    if (p == NULL) {
        fputs("torture: no memory\n", stderr);
        exit(2);
    }
    return p;
}

static size_t *slot_of(const keys *k, const char *source, int line) {
    size_t h = (size_t)line * 0x9e3779b97f4a7c15u;
    for (const char *s = source; *s != '\0'; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    for (size_t i = h ^ (h >> 32);; i++) {
        size_t *at = &k->table[i & (k->slots - 1)];
        if (*at == 0) return at;
        const key *entry = &k->list[*at - 1];
        if (entry->line == line && strcmp(entry->source, source) == 0) return at;
    }
}

static void grow(keys *k) {
    free(k->table);
    k->slots = k->slots == 0 ? 4096 : k->slots * 2;
    k->table = checked(calloc(k->slots, sizeof(*k->table)));
    for (size_t i = 0; i < k->n; i++) *slot_of(k, k->list[i].source, k->list[i].line) = i + 1;
}

key *keys_get(keys *k, const char *source, int line) {
    if (k->slots < 2 * (k->n + 1)) grow(k);
    size_t *at = slot_of(k, source, line);
    if (*at == 0) {
        if (k->n == k->room) {
            k->room = k->room == 0 ? 1024 : k->room * 2;
            k->list = checked(realloc(k->list, k->room * sizeof(*k->list)));
        }
        k->list[k->n] = (key){.source = checked(strdup(source)), .line = line};
        *at = ++k->n;
    }
    return &k->list[*at - 1];
}

static bool complain(const char *file) {
    perror(file);
    return false;
}

bool keys_write(const keys *k, const char *file, bool counted_only) {
    FILE *out = fopen(file, "w");
    if (out == NULL) return complain(file);
    for (size_t i = 0; i < k->n; i++) {
        const key *entry = &k->list[i];
        if (counted_only && entry->count == 0) continue;
        fprintf(out, "%" PRIu64 " %d ", entry->count, entry->line);
        for (const char *s = entry->source; *s != '\0'; s++) {
            fprintf(out, *s == '%' || !isgraph((unsigned char)*s) ? "%%%02x" : "%c", (unsigned char)*s);
        }
        fputc('\n', out);
    }
    bool ok = ferror(out) == 0;
    return fclose(out) == 0 && ok ? true : complain(file);
}

static void unquote(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0' && *from != '\n'; from++) {
        unsigned byte;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

bool keys_read(keys *k, const char *file) {
    FILE *in = fopen(file, "r");
    if (in == NULL) return complain(file);
    char *text = NULL;
    size_t room = 0;
    bool ok = true;
    while (ok && getline(&text, &room, in) > 0) {
        uint64_t count;
        int line, at = 0;
        ok = sscanf(text, "%" SCNu64 " %d %n", &count, &line, &at) == 2 && at > 0;
        if (!ok) {
            fprintf(stderr, "%s: not a list of lines\n", file);
            break;
        }
        unquote(text + at);
        keys_get(k, text + at, line)->count += count;
    }
    free(text);
    fclose(in);
    return ok;
}
