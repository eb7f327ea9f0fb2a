/*
 * The table that a filter in Lua gets.
 *
 * What is the same at each hit of an instruction (names, places in the source) is looked up at its first hits only, and
 * then stands in a Lua function that fills a table of just these fields. Where the engine cannot tell instructions apart
 * (engine.h: `site`) everything is looked up each time.
 */
#ifndef LJINSPECT_INFO_H
#define LJINSPECT_INFO_H

#include "capture.h"

/* Push the table with the parts that `uses` names (filter_use.h). Raises a Lua error when memory is short. */
void info_push(ljinspect_hit *hit, unsigned uses);

/* Free what a filter remembers of its hits. NULL is allowed. */
typedef struct info_cache info_cache;
void info_forget(context *c, info_cache *cache);

#endif
