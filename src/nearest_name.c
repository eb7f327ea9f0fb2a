#include "nearest_name.h"

#include <string.h>

enum { LEN_MAX = 40, CHANGES_MAX = 3 };

static int least(int a, int b, int c) {
    int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters have to be put in, taken out or replaced. */
static int changes(const char *a, const char *b) {
    int row[LEN_MAX + 1];
    int a_len = (int)strlen(a), b_len = (int)strlen(b);
    for (int j = 0; j <= b_len; j++) row[j] = j;
    for (int i = 1; i <= a_len; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_len; j++) {
            int above = row[j];
            row[j] = least(row[j - 1] + 1, above + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *nearest_name(const char *name, const char *const *names, int n) {
    const char *best = NULL;
    size_t len = strlen(name);
    int best_changes = CHANGES_MAX + 1;
    if (len > LEN_MAX) return NULL;
    for (int i = 0; i < n; i++) {
        if (strlen(names[i]) > LEN_MAX) continue;
        int needed = changes(name, names[i]);
        if (needed >= best_changes || needed * 3 > (int)len + 2) continue;
        best = names[i];
        best_changes = needed;
    }
    return best;
}
