/*
 * A copy of a target's memory, as far as Lua objects may be in it: it holds still, and is read without system calls.
 *
 * It takes as much memory as the target has in use. Taking it is what a process may be held for; looking at it is not.
 */
#ifndef LJINSPECT_REMOTE_COPY_H
#define LJINSPECT_REMOTE_COPY_H

#include "target.h"

typedef struct copy copy;

typedef enum copy_error {
    COPY_OK,
    COPY_NO_MEMORY, /* ours; `bytes` of the information says how much it would take */
    COPY_NO_STOP,   /* the process could not be held: see errno */
    COPY_GONE       /* the process has ended */
} copy_error;

/* How it was taken. */
typedef struct copy_info {
    uint64_t bytes;
    uint64_t copied_ns; /* how long the copying took */
    uint64_t held_ns;   /* 0: the process was not held */
    unsigned missing;   /* threads that could not be held; they were in the kernel */
    bool still;         /* nothing in the process has run meanwhile */
} copy_info;

/* Called now and then while work goes on: how much of it is done. */
typedef void (*copy_progress_fn)(const char *what, uint64_t done, uint64_t of, void *arg);

typedef struct copy_options {
    /* Asked while the process is held, before anything is copied: whether the moment is a good one. If not, it goes on for
     * a little, and is held again; some ten times at most. NULL: any moment is. */
    bool (*is_good_moment)(target *t, void *arg);
    bool hold;                 /* hold all threads meanwhile */
    uint64_t max_bytes;        /* COPY_NO_MEMORY where it would take more */
    copy_progress_fn progress; /* or NULL */
    void *arg;
} copy_options;

/* NULL with the reason in `error`. `t` must outlive the copy: code is read from it. */
copy *copy_take(target *t, const copy_options *options, copy_info *info, copy_error *error);
void copy_free(copy *c);

/* The copy as a target whose threads stand. It belongs to the copy. */
target *copy_target(copy *c);

/* What was at `address`; NULL where not all of `len` bytes are in the copy. */
const unsigned char *copy_at(copy *c, uint64_t address, uint64_t len);

/* Words of eight bytes in it. */
uint64_t copy_words(const copy *c);

/* A bit for each word of the copy. */
typedef struct copy_bits copy_bits;
copy_bits *copy_bits_new(const copy *c); /* all clear; NULL: no memory */
void copy_bits_free(copy_bits *b);
/* Set the bit of the word at `address`, which must be in the copy and a multiple of 8. Returns whether it was set before. */
bool copy_bits_set(copy_bits *b, copy *c, uint64_t address);
bool copy_bits_test(const copy_bits *b, copy *c, uint64_t address);

#endif
