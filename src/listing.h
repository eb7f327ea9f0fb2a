/*
 * The hooks as the API shows them: with where they stand in loaded code.
 */
#ifndef LJINSPECT_LISTING_H
#define LJINSPECT_LISTING_H

#include "context.h"

/* Visit the hooks of context_table(c); as ljinspect_hooks. */
int listing_visit(context *c, lua_State *L, ljinspect_hook_visitor visit, void *userdata);

#endif
