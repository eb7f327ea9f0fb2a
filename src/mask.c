#include "mask.h"

#include <stdlib.h>
#include <string.h>

static unsigned char lower(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

bool mask_add(mask_list *m, const char *word) {
    if (*word == '\0') return false;
    char *copy = strdup(word);
    char **words = copy != NULL ? realloc(m->words, (m->n + 1) * sizeof *words) : NULL;
    if (words == NULL) {
        free(copy);
        return false;
    }
    for (char *p = copy; *p != '\0'; p++) *p = (char)lower(*p);
    m->words = words;
    words[m->n++] = copy;
    m->first[(unsigned char)*copy] = true;
    return true;
}

bool mask_init(mask_list *m) {
    static const char *const always[] = {"password", "passwd", "secret", "token", "authorization", "cookie"};
    *m = (mask_list){.n = 0};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (mask_add(m, always[i])) continue;
        mask_free(m);
        return false;
    }
    return true;
}

void mask_free(mask_list *m) {
    for (size_t i = 0; i < m->n; i++) free(m->words[i]);
    free(m->words);
    *m = (mask_list){.n = 0};
}

static bool begins_with(const char *name, size_t len, const char *word) {
    size_t i = 0;
    while (i < len && word[i] != '\0' && lower(name[i]) == (unsigned char)word[i]) i++;
    return word[i] == '\0';
}

bool mask_matches(const mask_list *m, const char *name, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!m->first[lower(name[i])]) continue;
        for (size_t k = 0; k < m->n; k++) {
            if (begins_with(name + i, len - i, m->words[k])) return true;
        }
    }
    return false;
}
