/*
 * The log sink: one line per message, with the prefix "ljinspect: ", control characters escaped so that no value can
 * forge a line.
 */
#ifndef LJINSPECT_LOG_H
#define LJINSPECT_LOG_H

#include <lua.h>
#include <stddef.h>

#include "ljinspect.h"

struct context;

/* Log one message on the VM's thread. Raises no error; where the sink fails the message goes to standard error. */
void log_message(struct context *c, lua_State *L, enum ljinspect_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The text of the error value on top of L, of whatever type: its own, or one put into `buffer` (LOG_ERROR_TEXT bytes are
 * enough). No metamethods, no allocation. */
enum { LOG_ERROR_TEXT = 64 };
const char *log_error_text(lua_State *L, char *buffer, size_t size);

/* "debug", "info", "warn", "error". */
const char *log_level_name(enum ljinspect_level level);

#endif
