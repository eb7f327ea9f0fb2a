#include "listing.h"

#include <limits.h>
#include <stdlib.h>

#include "logpoint.h"
#include "ticks.h"

typedef struct listing {
    hook **hooks;
    engine_place *places;
    size_t n;
} listing;

static void locate(lua_State *L, context *c, void *arg) {
    listing *l = arg;
    c->engine->class->locate(c->engine, L, l->hooks, l->n, l->places);
}

static ljinspect_hook_info describe(const hook *h, const engine_place *place) {
    const filter *f = h->filter;
    ljinspect_hook_info info = {.id = h->id,
                                .key = h->key,
                                .file = h->file,
                                .line = h->line,
                                .state = LJINSPECT_PENDING,
                                .hits = h->hits,
                                .errors = h->errors,
                                .matched = h->matched,
                                .dropped = h->dropped,
                                .suspensions = f->meter.suspensions,
                                .tag = f->logpoint != NULL ? logpoint_tag(f->logpoint) : NULL};
    governor_cost(h, &info.mean_ns, &info.max_ns);
    if (f->meter.until != 0 && ticks_now() < f->meter.until) {
        info.state = LJINSPECT_SUSPENDED;
        info.places = h->places > 0 ? h->places : 1;
    } else if (h->places > 0 || h->hits > 0) {
        info.state = LJINSPECT_ARMED;
        info.places = h->places > 0 ? h->places : 1;
    } else if (place->file_known) {
        info.state = LJINSPECT_NO_CODE;
        info.line_before = place->line_before;
        info.line_after = place->line_after;
    }
    return info;
}

/* Find out where the hooks stand, unless it is known of all. 0 or LJINSPECT_ERR_NOMEM. */
static int fill(listing *l, context *c, lua_State *L) {
    bool known = true;
    for (size_t i = 0; i < l->n; i++) known = known && l->hooks[i]->places > 0;
    if (known) return 0;
    engine *e = c->engine;
    e->at_work++;
    int status = context_call(c, L, locate, l, 0);
    e->at_work--;
    if (status != 0) {
        lua_pop(L, 1);
        return LJINSPECT_ERR_NOMEM;
    }
    for (size_t i = 0; i < l->n; i++) l->hooks[i]->places = l->places[i].places;
    return 0;
}

int listing_visit(context *c, lua_State *L, ljinspect_hook_visitor visit, void *userdata) {
    hook_table *t = context_table(c);
    size_t count = hooks_count(t);
    if (visit == NULL || count == 0) return count > INT_MAX ? INT_MAX : (int)count;
    listing l = {.hooks = calloc(count, sizeof *l.hooks), .places = calloc(count, sizeof *l.places)};
    int error = LJINSPECT_ERR_NOMEM;
    if (l.hooks != NULL && l.places != NULL) {
        hooks_pin(t);
        for (hook *h = hooks_first(t); h != NULL && l.n < count; h = hooks_next(h)) l.hooks[l.n++] = h;
        error = fill(&l, c, L);
        for (size_t i = 0; error == 0 && i < l.n; i++) {
            const ljinspect_hook_info info = describe(l.hooks[i], &l.places[i]);
            if (visit(&info, userdata) != 0) break;
        }
        hooks_unpin(t);
    }
    free(l.hooks);
    free(l.places);
    return error != 0 ? error : (int)count;
}
