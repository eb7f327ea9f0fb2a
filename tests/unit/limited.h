/* A VM whose memory is counted, and fails when told to. */
#ifndef LJINSPECT_TEST_LIMITED_H
#define LJINSPECT_TEST_LIMITED_H

#include "alloc.h"
#include "support.h"

typedef struct limited {
    long calls;   /* of the allocator that asked for memory */
    long fail_at; /* this call from now fails; 0: none */
    bool and_on;  /* and all after it */
    bool failing; /* it has */
} limited;

UNUSED static void *limited_alloc(void *ud, void *old, size_t old_size, size_t size) {
    limited *m = ud;
    if (size == 0) {
        free(old);
        return NULL;
    }
    if (size > old_size) {
        m->calls++;
        if ((m->failing && m->and_on) || (m->fail_at != 0 && --m->fail_at == 0)) {
            m->failing = true;
            return NULL;
        }
    }
    return __real_realloc(old, size);
}

/* As new_vm(); skips the test where LuaJIT takes no allocator. */
UNUSED static lua_State *new_limited_vm(limited *m) {
    *m = (limited){0};
    lua_State *L = lua_newstate(limited_alloc, m);
    if (L == NULL) {
        print_message("this LuaJIT takes no allocator\n");
        skip();
    }
    luaL_openlibs(L);
    return L;
}

#endif
