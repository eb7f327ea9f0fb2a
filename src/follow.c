#include "follow.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "at_fork.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static follower *first;
static int forking_thread; /* under the lock */
static bool registered;

static int this_thread(void) {
    return (int)syscall(SYS_gettid);
}

/* fork() holds the lock, so that the child finds the list whole. */
static void before_fork(void) {
    pthread_mutex_lock(&lock);
    forking_thread = this_thread();
}

static void in_parent(void) {
    pthread_mutex_unlock(&lock);
}

/* On the forking thread, the only one in the child. VMs of other threads stand still for ever, in whatever state. */
static void in_child(void) {
    int here = this_thread();
    for (follower *f = first; f != NULL; f = f->next) {
        if (f->thread != forking_thread) continue;
        f->thread = here;
        f->engine->class->wake_here(f->engine);
    }
    pthread_mutex_unlock(&lock);
}

static void start(void) {
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    at_fork(&begun, &registered, before_fork, in_parent, in_child);
}

bool follow(follower *f, engine *e) {
    if (pthread_once(&once, start) != 0 || !registered) return false;
    pthread_mutex_lock(&lock);
    f->thread = this_thread();
    if (f->engine == NULL) {
        f->engine = e;
        f->prev = NULL;
        f->next = first;
        if (first != NULL) first->prev = f;
        first = f;
    }
    pthread_mutex_unlock(&lock);
    return true;
}

void follow_end(follower *f) {
    if (f->engine == NULL) return;
    pthread_mutex_lock(&lock);
    *(f->prev != NULL ? &f->prev->next : &first) = f->next;
    if (f->next != NULL) f->next->prev = f->prev;
    f->engine = NULL;
    pthread_mutex_unlock(&lock);
}
