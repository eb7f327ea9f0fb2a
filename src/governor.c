#include "governor.h"

#include "context.h"
#include "log.h"
#include "ticks.h"

static meter *meter_of(const hook *h) {
    return &((filter *)h->filter)->meter;
}

static double ms_of(uint64_t ticks) {
    return (double)ticks * 1000 / (double)ticks_per_second();
}

/* Suspend a hook that took `spent` of the second that began at `second`; `budget` is what it has gone over. */
static void suspend(context *c, lua_State *L, hook *h, uint64_t now, double budget, const char *whose) {
    meter *m = meter_of(h);
    uint64_t second = ticks_per_second();
    bool again = m->back != 0 && now - m->back < 2 * second;
    m->in_a_row = again ? m->in_a_row + 1 : 1;
    double took = ms_of(m->spent), in = ms_of(ticks_between(m->second, now));
    m->spent = 0;
    if (m->in_a_row > GOVERNOR_SUSPENSIONS) {
        log_message(c, L, LJINSPECT_WARN,
                    "%s: hook removed: it took %.1f ms in %.1f ms, more than %s budget of %.4g %% of a core, after %d "
                    "suspensions in a row",
                    h->key, took, in, whose, budget * 100, GOVERNOR_SUSPENSIONS);
        context_remove(c, L, c->hooks, h);
        return;
    }
    int pause_s = 1 << (m->in_a_row - 1);
    m->suspensions++;
    m->until = now + (uint64_t)pause_s * second;
    log_message(c, L, LJINSPECT_WARN,
                "%s: hook suspended for %d s: it took %.1f ms in %.1f ms, more than %s budget of %.4g %% of a core",
                h->key, pause_s, took, in, whose, budget * 100);
}

bool governor_suspended(context *c, lua_State *L, hook *h, uint64_t now) {
    meter *m = meter_of(h);
    if (m->until == 0) return false;
    if (now < m->until) return true;
    m->until = 0;
    m->back = m->second = now;
    m->spent = 0;
    log_message(c, L, LJINSPECT_INFO, "%s: hook resumed", h->key);
    return false;
}

/* The hook that took most of the second at hand. */
static hook *dearest(const context *c, uint64_t now) {
    hook *most = NULL;
    for (hook *h = hooks_first(c->hooks); h != NULL; h = hooks_next(h)) {
        const meter *m = meter_of(h);
        if (m->until != 0 || ticks_between(m->second, now) > 2 * ticks_per_second()) continue;
        if (most == NULL || m->spent > meter_of(most)->spent) most = h;
    }
    return most;
}

void governor_charge(context *c, lua_State *L, hook *h, bool stays, uint64_t start, uint64_t end) {
    meter *m = meter_of(h);
    governor *g = &c->governor;
    uint64_t took = ticks_between(start, end), second = ticks_per_second();
    m->total += took;
    if (took > m->max) m->max = took;
    if (ticks_between(m->second, start) >= second) {
        m->second = start;
        m->spent = 0;
    }
    m->spent += took;
    if (m->budget > 0 && (double)m->spent > m->budget * (double)second && stays)
        suspend(c, L, h, end, m->budget, "its");
    if (g->budget <= 0) return;
    if (ticks_between(g->second, start) >= second) {
        g->second = start;
        g->spent = 0;
    }
    g->spent += took;
    if ((double)g->spent <= g->budget * (double)second) return;
    hook *most = dearest(c, end);
    g->spent = 0;
    hook_table *t = c->hooks; /* a logger may have a hooks file applied */
    hooks_pin(t);
    if (most != NULL && (meter_of(most) != m || stays)) suspend(c, L, most, end, g->budget, "all hooks'");
    hooks_unpin(t);
}

void governor_cost(const hook *h, double *mean_ns, double *max_ns) {
    const meter *m = meter_of(h);
    double ns = 1e9 / (double)ticks_per_second();
    *mean_ns = h->timed > 0 ? (double)m->total * ns / (double)h->timed : 0;
    *max_ns = (double)m->max * ns;
}
