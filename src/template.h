/*
 * A log template, "n={#items} of {user.name}": texts and Lua expressions in braces. A doubled brace stands for itself.
 * Braces, quotes and comments inside an expression are Lua's. Knows no Lua VM.
 */
#ifndef LJINSPECT_TEMPLATE_H
#define LJINSPECT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of the template's text. */
typedef struct template_part {
    const char *text;
    size_t len;
    bool expression;
} template_part;

enum { TEMPLATE_PARTS_MAX = 200 };

/* Split `text` into at most `max` parts and return how many; or -1 with what is wrong in *why and where, from 0, in
 * *at. Parts point into `text`. */
int template_split(const char *text, size_t len, template_part *parts, int max, const char **why, size_t *at);

#endif
