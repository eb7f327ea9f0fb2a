/*
 * Counting instead of a line per hit: how many, and how the values of an expression are spread, in buckets that double.
 * Knows no Lua.
 */
#ifndef LJINSPECT_TALLY_H
#define LJINSPECT_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "outbuf.h"

enum { TALLY_BUCKETS = 66 };

typedef struct tally {
    uint64_t interval; /* ticks between summaries; 0: no tally */
    uint64_t begun;    /* when the present one began; 0: not yet */
    uint64_t hits, values;
    double least, most, sum;
    /* 0: below 1, zero and negative numbers; k: from 2^(k-1) to below 2^k; the last: all above; NaN is no value */
    uint64_t buckets[TALLY_BUCKETS];
} tally;

/* Which bucket a value belongs to. */
int tally_bucket(double value);

/* Count one hit; start the interval if none runs. */
void tally_hit(tally *t, uint64_t now);
/* Count a value. False for NaN. */
bool tally_value(tally *t, double value);

/* Whether a summary is due. */
bool tally_due(const tally *t, uint64_t now);

/* Write the summary, "1234 hits in 10.0 s (123.4/s)", with `what` (NULL: no values) the spread of its values; or the
 * same as members of a JSON object. */
void tally_summary(const tally *t, uint64_t now, const char *what, outbuf *o);
void tally_json(const tally *t, uint64_t now, const char *what, outbuf *o);
/* Begin anew. */
void tally_begin(tally *t, uint64_t now);

#endif
