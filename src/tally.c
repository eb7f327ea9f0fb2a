#include "tally.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ticks.h"

int tally_bucket(double value) {
    int exponent;
    if (!(value >= 1)) return 0;
    if (isinf(value)) return TALLY_BUCKETS - 1;
    frexp(value, &exponent); /* value = m * 2^exponent, 0.5 <= m < 1 */
    return exponent < TALLY_BUCKETS - 1 ? exponent : TALLY_BUCKETS - 1;
}

void tally_hit(tally *t, uint64_t now) {
    if (t->begun == 0) t->begun = now;
    t->hits++;
}

bool tally_value(tally *t, double value) {
    if (isnan(value)) return false;
    if (t->values == 0 || value < t->least) t->least = value;
    if (t->values == 0 || value > t->most) t->most = value;
    t->sum += value;
    t->values++;
    t->buckets[tally_bucket(value)]++;
    return true;
}

bool tally_due(const tally *t, uint64_t now) {
    return t->interval != 0 && t->begun != 0 && ticks_between(t->begun, now) >= t->interval;
}

static void put_bound(outbuf *o, int power) {
    out_number(o, ldexp(1, power));
}

static void put_bucket(outbuf *o, int k, uint64_t n) {
    if (k == 0) {
        out_text(o, "<1: ");
    } else if (k == TALLY_BUCKETS - 1) {
        out_text(o, ">=");
        put_bound(o, k - 1);
        out_text(o, ": ");
    } else {
        out_char(o, '[');
        put_bound(o, k - 1);
        out_text(o, ", ");
        put_bound(o, k);
        out_text(o, "): ");
    }
    out_integer(o, (long long)n);
}

static void put_values(const tally *t, const char *what, outbuf *o) {
    out_text(o, "; ");
    out_line(o, what, strlen(what));
    if (t->values == 0) {
        out_text(o, ": no values");
        return;
    }
    out_text(o, ": min ");
    out_number(o, t->least);
    out_text(o, ", mean ");
    out_number(o, t->sum / (double)t->values);
    out_text(o, ", max ");
    out_number(o, t->most);
    for (int k = 0; k < TALLY_BUCKETS; k++) {
        if (t->buckets[k] == 0) continue;
        out_text(o, ", ");
        put_bucket(o, k, t->buckets[k]);
    }
}

void tally_summary(tally *t, uint64_t now, const char *what, outbuf *o) {
    char text[64];
    double seconds = (double)ticks_between(t->begun, now) / (double)ticks_per_second();
    snprintf(text, sizeof text, "%llu hit%s in %.1f s (%.1f/s)", (unsigned long long)t->hits, t->hits == 1 ? "" : "s",
             seconds, seconds > 0 ? (double)t->hits / seconds : 0);
    out_text(o, text);
    if (what != NULL) put_values(t, what, o);
    *t = (tally){.interval = t->interval, .begun = now};
}
