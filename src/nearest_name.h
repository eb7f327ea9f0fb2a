/*
 * The known name that was probably meant. Knows no Lua.
 */
#ifndef LJINSPECT_NEAREST_NAME_H
#define LJINSPECT_NEAREST_NAME_H

/* The one of the `n` names that takes the fewest changes of a letter to become from `name`; NULL where none is near:
 * more than a third of the letters would change, or more than 3. */
const char *nearest_name(const char *name, const char *const *names, int n);

#endif
