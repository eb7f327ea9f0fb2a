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

static double seconds_of(const tally *t, uint64_t now) {
    return (double)ticks_between(t->begun, now) / (double)ticks_per_second();
}

void tally_summary(const tally *t, uint64_t now, const char *what, outbuf *o) {
    double seconds = seconds_of(t, now);
    out_integer(o, (long long)t->hits);
    out_text(o, t->hits == 1 ? " hit in " : " hits in ");
    out_tenths(o, seconds);
    out_text(o, " s (");
    out_tenths(o, seconds > 0 ? (double)t->hits / seconds : 0);
    out_text(o, "/s)");
    if (what != NULL) put_values(t, what, o);
}

/* JSON has no infinity. */
static void put_json_number(outbuf *o, double n) {
    if (isfinite(n))
        out_number(o, n);
    else
        out_text(o, isnan(n) ? "\"nan\"" : n > 0 ? "\"inf\"" : "\"-inf\"");
}

static void put_json_field(outbuf *o, const char *name, double n) {
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    put_json_number(o, n);
}

static void put_json_buckets(const tally *t, outbuf *o) {
    const char *separator = "";
    out_text(o, ",\"buckets\":[");
    for (int k = 0; k < TALLY_BUCKETS; k++) {
        if (t->buckets[k] == 0) continue;
        out_text(o, separator);
        separator = ",";
        out_text(o, "{\"n\":");
        out_integer(o, (long long)t->buckets[k]);
        if (k > 0) put_json_field(o, "from", ldexp(1, k - 1));
        if (k < TALLY_BUCKETS - 1) put_json_field(o, "below", ldexp(1, k));
        out_char(o, '}');
    }
    out_char(o, ']');
}

void tally_json(const tally *t, uint64_t now, const char *what, outbuf *o) {
    out_text(o, "\"hits\":");
    out_integer(o, (long long)t->hits);
    put_json_field(o, "seconds", seconds_of(t, now));
    if (what == NULL) return;
    out_text(o, ",\"of\":");
    out_json_string(o, what, strlen(what));
    put_json_field(o, "values", (double)t->values);
    if (t->values == 0) return;
    put_json_field(o, "min", t->least);
    put_json_field(o, "mean", t->sum / (double)t->values);
    put_json_field(o, "max", t->most);
    put_json_buckets(t, o);
}

void tally_begin(tally *t, uint64_t now) {
    *t = (tally){.interval = t->interval, .begun = now};
}
