/*
 * Names whose values are not shown: those that contain a word of a list, whatever the case of letters. Knows no Lua.
 */
#ifndef LJINSPECT_MASK_H
#define LJINSPECT_MASK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mask_list {
    char **words; /* in lower case */
    size_t n;
    bool first[256]; /* whether a word begins with this byte */
} mask_list;

/* The list that is always there: password, passwd, secret, token, authorization, cookie. False: no memory. */
bool mask_init(mask_list *m);
/* Add a word. False: no memory, or it is empty. */
bool mask_add(mask_list *m, const char *word);
void mask_free(mask_list *m);

bool mask_matches(const mask_list *m, const char *name, size_t len);

#endif
