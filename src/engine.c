#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ljinspect.h"
#include "ticks.h"

/* Where none is asked for the first that works is used. */
static const engine_class *const CLASSES[] = {
#ifdef LJINSPECT_TRAP
    &engine_trap,
#endif
    &engine_line,
};
enum { N_CLASSES = sizeof(CLASSES) / sizeof(CLASSES[0]) };

const engine_class *engine_named(const char *name) {
    for (int i = 0; i < N_CLASSES; i++) {
        if (strcmp(name, CLASSES[i]->name) == 0) return CLASSES[i];
    }
    return NULL;
}

const engine_class *engine_ranked(int rank) {
    return rank < N_CLASSES ? CLASSES[rank] : NULL;
}

double engine_return_us(const engine_return *r) {
    return r->timed ? floor((double)r->ticks * 1e9 / (double)ticks_per_second() + 0.5) / 1000 : -1;
}

static const engine_class *wanted_class(lua_State *L, const engine_host *host) {
    const char *wanted = secure_getenv("LJINSPECT_ENGINE");
    if (wanted == NULL || *wanted == '\0') return NULL;
    const engine_class *class = engine_named(wanted);
    if (class == NULL) host->log(host->owner, L, LJINSPECT_WARN, "LJINSPECT_ENGINE=%s: no such engine here", wanted);
    return class;
}

engine *engine_open(lua_State *L, const engine_host *host) {
    const engine_class *wanted = wanted_class(L, host);
    engine *e = wanted != NULL ? wanted->open(L, host) : NULL;
    for (int i = 0; e == NULL && i < N_CLASSES; i++) {
        if (CLASSES[i] != wanted) e = CLASSES[i]->open(L, host);
    }
    return e;
}

void engine_disarm_all(engine *e, lua_State *L, hook *const *hooks, size_t n) {
    e->at_work++;
    if (e->class->disarm_all != NULL) {
        e->class->disarm_all(e, L, hooks, n);
    } else {
        for (size_t i = 0; i < n; i++) e->class->disarm(e, L, hooks[i]->file, hooks[i]->file_len, hooks[i]->at);
    }
    e->at_work--;
}

static int arm_each(engine *e, lua_State *L, hook *const *hooks, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int error = e->class->arm(e, L, hooks[i]->file, hooks[i]->file_len, hooks[i]->at, 0);
        if (error != 0) {
            engine_disarm_all(e, L, hooks, i);
            return error;
        }
    }
    return 0;
}

int engine_arm_all(engine *e, lua_State *L, hook *const *hooks, size_t n) {
    e->at_work++;
    int rc = e->class->arm_all != NULL ? e->class->arm_all(e, L, hooks, n) : arm_each(e, L, hooks, n);
    e->at_work--;
    return rc;
}
