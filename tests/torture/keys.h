/*
 * Lines of functions and what was counted there: the table both the discovery of lines, the oracle and the hooks fill,
 * and the file it travels in from one run to the next. One line of the file: "COUNT LINE SOURCE", the source with "%"
 * and what is not printable as "%XX".
 */
#ifndef LJINSPECT_TORTURE_KEYS_H
#define LJINSPECT_TORTURE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct key {
    char *source; /* a chunk name, as it is */
    int line;
    uint64_t count;
    int64_t id;  /* of the hook, 0 for none */
    bool always; /* that hook was there from the beginning */
} key;

typedef struct keys {
    key *list;
    size_t n, room;
    size_t *table; /* open hash table: index + 1 */
    size_t slots;
} keys;

/* Find or make an entry. Ends the program where memory is short. Pointers are valid until the next is made. */
key *keys_get(keys *k, const char *source, int line);
/* False, with a message, where that fails. All entries, or those with a count only. */
bool keys_read(keys *k, const char *file);
bool keys_write(const keys *k, const char *file, bool counted_only);

#endif
