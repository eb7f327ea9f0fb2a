#include "visits.h"

#include <stdint.h>
#include <stdlib.h>

/* Far more coroutines than ever wait on hooked lines at a time. Visits of coroutines that were collected while they
 * waited stay until their address is used again; at this number all are forgotten, and a return may once count as an
 * arrival. */
enum { VISITS_MAX = 1 << 17, BUCKETS_MIN = 64 };

static size_t bucket_of(const visits *v, const void *thread) {
    return (size_t)(((uint64_t)(uintptr_t)thread * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & v->mask;
}

/* Unlink the visit that `link` points at. */
static void close_at(visits *v, visit **link) {
    visit *gone = *link;
    *link = gone->next;
    gone->next = v->free;
    v->free = gone;
    v->count--;
    if (gone->loops) {
        visit **loop = &v->loops;
        while (*loop != gone) loop = &(*loop)->next_loop;
        *loop = gone->next_loop;
        v->looping--;
    }
}

static void close_all(visits *v) {
    if (v->buckets == NULL) return;
    for (size_t b = 0; b <= v->mask; b++)
        while (v->buckets[b] != NULL) close_at(v, &v->buckets[b]);
}

void visits_clear(visits *v) {
    close_all(v);
    while (v->free != NULL) {
        visit *next = v->free->next;
        free(v->free);
        v->free = next;
    }
    free(v->buckets);
    *v = (visits){0};
}

visit *visits_find(visits *v, const void *thread, int depth) {
    if (v->count == 0) return NULL;
    visit *x = v->buckets[bucket_of(v, thread)];
    while (x != NULL && (x->thread != thread || x->depth != depth)) x = x->next;
    return x;
}

void visits_close(visits *v, visit *which) {
    visit **link = &v->buckets[bucket_of(v, which->thread)];
    while (*link != which) link = &(*link)->next;
    close_at(v, link);
}

/* Twice the buckets, or the first ones. False: no memory; what there is goes on to serve. */
static bool grow(visits *v) {
    size_t n = v->buckets != NULL ? (v->mask + 1) * 2 : BUCKETS_MIN;
    visits larger = *v;
    larger.buckets = calloc(n, sizeof *larger.buckets);
    if (larger.buckets == NULL) return v->buckets != NULL;
    larger.mask = n - 1;
    for (size_t b = 0; v->buckets != NULL && b <= v->mask; b++) {
        visit *next;
        for (visit *x = v->buckets[b]; x != NULL; x = next) {
            visit **head = &larger.buckets[bucket_of(&larger, x->thread)];
            next = x->next;
            x->next = *head;
            *head = x;
        }
    }
    free(v->buckets);
    *v = larger;
    return true;
}

visit *visits_open(visits *v, const void *thread, int depth, int line, bool loops) {
    if (v->count == VISITS_MAX) close_all(v);
    if ((v->buckets == NULL || v->count > v->mask) && !grow(v)) return NULL;
    visit *x = v->free;
    if (x != NULL)
        v->free = x->next;
    else if ((x = malloc(sizeof *x)) == NULL)
        return NULL;
    visit **head = &v->buckets[bucket_of(v, thread)];
    *x = (visit){.thread = thread, .depth = depth, .line = line, .loops = loops, .next = *head};
    *head = x;
    v->count++;
    if (loops) {
        x->next_loop = v->loops;
        v->loops = x;
        v->looping++;
    }
    return x;
}

void visits_close_from(visits *v, const void *thread, int depth) {
    if (v->count == 0) return;
    visit **link = &v->buckets[bucket_of(v, thread)];
    while (*link != NULL) {
        if ((*link)->thread == thread && (*link)->depth >= depth)
            close_at(v, link);
        else
            link = &(*link)->next;
    }
}

void visits_mark_away(visits *v, const void *thread, int depth) {
    if (v->count == 0) return;
    for (visit *x = v->buckets[bucket_of(v, thread)]; x != NULL; x = x->next)
        if (x->thread == thread && x->depth < depth) x->away = true;
}

void visits_step(visits *v, const void *thread, int depth) {
    for (visit *x = v->loops; x != NULL; x = x->next_loop) {
        bool here = x->thread == thread && x->depth == depth;
        x->returned = here && x->away;
        x->away = !here;
    }
}
