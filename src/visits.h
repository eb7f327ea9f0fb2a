/*
 * Which frames have control on a hooked line: what tells an arrival from the return of a call made on the line.
 *
 * A debug hook sees "line n" again each time a call made on line n returns. The first event of a frame at a line opens a
 * visit; while it is open further events of that frame at that line are no arrivals. It closes when the frame shows
 * another line, returns, or when its stack slot is taken by a new call.
 *
 * Frames are told apart by their coroutine and their depth, any number that grows from caller to callee. Coroutines are
 * compared, never followed, so one that is gone does no harm: whatever runs at its address begins with a call.
 *
 * Knows neither Lua nor hooks. Not thread-safe.
 */
#ifndef LJINSPECT_VISITS_H
#define LJINSPECT_VISITS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct visit {
    const void *thread;
    int depth;
    int line;
    bool loops;              /* control can come back to the line without leaving it: a loop within one line */
    bool away;               /* something else ran since the frame's last event */
    bool returned;           /* the instruction now at hand is where a call made on the line returned to */
    struct visit *next;      /* in the bucket, or among the free */
    struct visit *next_loop; /* among those with `loops` */
} visit;

/* What zeroes make is empty. */
typedef struct visits {
    visit **buckets; /* by thread */
    size_t mask;     /* buckets - 1, 0 before the first visit */
    visit *free;     /* closed ones, to be used again: opening a visit rarely allocates */
    size_t count;    /* open visits */
    visit *loops;    /* open visits with `loops` */
    size_t looping;  /* how many these are */
} visits;

/* Forget all and free the memory. */
void visits_clear(visits *v);

/* The open visit of a frame; NULL where there is none. Valid until it is closed. */
visit *visits_find(visits *v, const void *thread, int depth);

/* Open a visit of a frame that has none. NULL when memory is short. */
visit *visits_open(visits *v, const void *thread, int depth, int line, bool loops);

void visits_close(visits *v, visit *which);

/* The frame at `depth` ended or a call took its place: it and all above it are gone. */
void visits_close_from(visits *v, const void *thread, int depth);

/* A frame of the thread above these is running: note that in those below `depth`. */
void visits_mark_away(visits *v, const void *thread, int depth);

/* An instruction of the frame (thread, depth) is about to run; needed only while `looping` is not 0. */
void visits_step(visits *v, const void *thread, int depth);

#endif
