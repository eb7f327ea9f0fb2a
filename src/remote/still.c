#include "still.h"

#include <string.h>

bool remote_still_open(remote_still *s, target_cpu cpu, const void *record, size_t size) {
    const struct still *r = record;
    const size_t head = offsetof(struct still, data);
    if (size < head || r->used > size - head) return false;
    *s = (remote_still){.cpu = cpu, .vm = r->vm, .thread = (pid_t)r->thread};
    memcpy(s->reg, r->reg, sizeof s->reg);
    s->sp = s->reg[cpu == CPU_ARM64 ? STILL_ARM64_SP : STILL_X64_SP];
    for (size_t at = 0; at < r->used && s->n < STILL_PIECES;) {
        struct still_piece p;
        if (r->used - at < sizeof p) return false;
        memcpy(&p, r->data + at, sizeof p);
        at += sizeof p;
        if (p.len > r->used - at || p.address + p.len < p.address) return false;
        s->piece[s->n++] = (remote_piece){p.address, p.address + p.len, p.start, p.end, r->data + at};
        at += p.len;
    }
    return true;
}

void remote_still_regs(const remote_still *s, target_regs *regs) {
    if (s->cpu == CPU_ARM64) { /* in the order that the kernel has them */
        target_regs_from(CPU_ARM64, s->reg, STILL_FLAGS, regs);
        return;
    }
    *regs = (target_regs){.ip = s->reg[STILL_IP],
                          .sp = s->reg[STILL_X64_SP],
                          .base = s->reg[STILL_X64_BASE],
                          .pc = s->reg[3],
                          .vm = s->reg[14],
                          .kbase = s->reg[15],
                          .rb = s->reg[5]};
}

/* ---- Reading ---- */

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end) {
    return a < b_end && b < a_end;
}

static still_result read_pieces(const remote_still *s, uint64_t from, void *to, size_t len) {
    const uint64_t end = from + len;
    still_result result = overlap(from, end, s->c_stack, s->c_stack_end) ? STILL_NOT_COPIED : STILL_ELSEWHERE;
    for (size_t i = 0; i < s->n; i++) {
        const remote_piece *p = &s->piece[i];
        if (from >= p->address && end <= p->end) {
            memcpy(to, p->bytes + (from - p->address), len);
            return STILL_READ;
        }
        if (overlap(from, end, p->whole, p->whole_end)) result = STILL_NOT_COPIED;
    }
    return result;
}

still_result remote_still_read(const remote_still *s, uint64_t from, void *to, size_t len) {
    bool written = false;
    if (from > UINT64_MAX - 2 * sizeof(uint64_t) - len) return STILL_NOT_COPIED; /* no sum of these overflows */
    for (size_t i = 0; i < s->n_written; i++) {
        written = written || overlap(from, from + len, s->written_at[i], s->written_at[i] + 8);
        if (from < s->written_at[i] || from + len > s->written_at[i] + 8) continue;
        memcpy(to, (const char *)&s->written[i] + (from - s->written_at[i]), len);
        return STILL_READ;
    }
    still_result result = read_pieces(s, from, to, len);
    if (!written) return result;
    if (result != STILL_READ) return STILL_NOT_COPIED;
    for (size_t i = 0; i < s->n_written; i++)
        for (unsigned k = 0; k < 8; k++)
            if (s->written_at[i] + k >= from && s->written_at[i] + k < from + len)
                ((char *)to)[s->written_at[i] + k - from] = ((const char *)&s->written[i])[k];
    return result;
}

uint64_t remote_still_next(const remote_still *s, uint64_t at) {
    uint64_t next = UINT64_MAX;
    if (at < s->c_stack || at >= s->c_stack_end) return at;
    for (size_t i = 0; i < s->n; i++) {
        const remote_piece *p = &s->piece[i];
        if (p->end <= at || p->address >= s->c_stack_end) continue;
        if (p->address <= at) return at;
        if (p->address >= s->c_stack && p->address < next) next = p->address;
    }
    return next;
}

/* ---- Writing ---- */

bool remote_still_write(remote_still *s, uint64_t to, uint64_t value, size_t len) {
    const uint64_t word = to & ~UINT64_C(7);
    size_t i = 0;
    if (to - word + len > 8 || word > UINT64_MAX - 4 * sizeof word) return false;
    while (i < s->n_written && s->written_at[i] != word) i++;
    if (i == STILL_WRITES) return false;
    if (i == s->n_written) {
        still_result r = remote_still_read(s, word, &s->written[i], 8);
        /* Below the stack pointer nothing was copied, since nothing is there. */
        if (r != STILL_READ && (word < s->c_stack || word >= s->sp)) return false;
        if (r != STILL_READ) s->written[i] = 0;
        s->written_at[i] = word;
        s->n_written++;
    }
    memcpy((char *)&s->written[i] + (to - word), &value, len);
    return true;
}
