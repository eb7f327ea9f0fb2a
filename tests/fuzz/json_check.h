/* Whether a text is one JSON value (RFC 8259), and nothing more. */
#ifndef LJINSPECT_FUZZ_JSON_CHECK_H
#define LJINSPECT_FUZZ_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

bool json_check(const char *text, size_t len);

#endif
