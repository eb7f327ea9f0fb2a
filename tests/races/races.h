/* What the parts of the races share: see races.c. */
#ifndef LJINSPECT_RACES_H
#define LJINSPECT_RACES_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

enum { THREADS = 4, VMS = 6, FILES = 2, CHOICES = 24, DEADLINE_S = 60 };

/* A stream of choices: the same seed and number give the same ones. */
typedef struct dice {
    uint64_t state;
} dice;

dice dice_of(uint64_t seed, uint64_t number);
/* 0 to n-1. */
unsigned throw_dice(dice *d, unsigned n);

/* What a thread did last, for the report of a failure. Written by that thread alone. */
typedef struct history {
    char name[16];
    struct {
        _Atomic(const char *) what; /* a text that lives as long as the program */
        atomic_uint vm, with;
    } choices[CHOICES];
    atomic_uint n; /* ever */
} history;

void note_choice(history *h, const char *what, unsigned vm, unsigned with);

/* Print the text, the seed and every thread's last choices, and abort. Any thread. */
_Noreturn void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define CHECK(condition, ...)                  \
    do {                                       \
        if (!(condition)) failed(__VA_ARGS__); \
    } while (0)

/* A place for a VM, which threads use in turns. */
typedef struct vm_place {
    pthread_mutex_t lock;
    lua_State *L; /* NULL: closed */
    unsigned number;
    int64_t last_id; /* of a hook that was set */
    bool watching;   /* a hooks file, as far as this program has asked for it */
} vm_place;

typedef struct counts {
    atomic_ulong actions, vms, children, edits, applied, hits;
} counts;

/* Read: the thread runs Lua. Write: for the moment of fork() none does. LuaJIT throws through libgcc, whose lock a child would
 * find held; the library's own threads go on. */
extern pthread_rwlock_t in_lua;
extern counts total;
extern char directory[64];
extern const char *only_engine; /* NULL: chosen by dice */

/* ---- vm.c: one VM ---- */

void vm_open(vm_place *p, dice *d);
void vm_close(vm_place *p);
/* Do one thing of many to the VM, which `p`'s lock protects. */
void vm_act(vm_place *p, dice *d, history *h);
/* Run all of the program; its results must be what they are without hooks. */
void vm_check(lua_State *L);
/* If it watches a hooks file, wait until it has applied the last one of this round by itself, without being told to look. */
void vm_converge(vm_place *p, unsigned round, history *h);

/* ---- child.c ---- */

/* fork(): the child uses the VM, and ends; what goes wrong there fails here. */
void fork_child(vm_place *p, dice *d, history *h);

/* ---- files.c: what changes outside ---- */

/* "hooks0.lua", "sink1": where it is. The result is the thread's, of the last eight calls. */
const char *path_of(const char *name, unsigned number);
/* Change a hooks file, in one way of many, or move a sink's file away. */
void edit(dice *d, history *h);
/* The last change of a round, to all hooks files. */
void edit_last(unsigned round);

#endif
