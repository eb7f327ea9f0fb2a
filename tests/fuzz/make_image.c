/*
 * make_image CORE FILE [PROGRAM]: the part of a core file that its report needs, as an image (image.h), a few kilobytes: how
 * the seeds in corpus/image were made, of cores of tests/cli/make_core, and of those that qemu-user leaves, which name no
 * program. What the report does not miss is left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/remote/target_ops.h"
#include "image.h"
#include "report.h"

enum { LINE = 64, LINES = 8192, PAGES = 512, BYTES = 1 << 20, DISPATCH = 16384 };

typedef struct slice {
    uint64_t address;
    uint8_t bytes[LINE];
    bool out;
} slice;

static slice lines[LINES];
static size_t n_lines;
static uint64_t pages[PAGES];
static size_t n_pages;
static const target_ops *core_ops;
static uint8_t out[BYTES];

static void note_page(uint64_t page) {
    for (size_t i = 0; i < n_pages; i++)
        if (pages[i] == page) return;
    if (n_pages == PAGES) abort();
    pages[n_pages++] = page;
}

/* What is searched through is not needed, what is read piece by piece is. */
static size_t noting_read(target *t, uint64_t from, void *to, size_t len) {
    if (len <= DISPATCH)
        for (uint64_t at = from - from % TARGET_PAGE; at < from + len; at += TARGET_PAGE) note_page(at);
    return core_ops->read(t, from, to, len);
}

static void cut_up(target *t) {
    static const uint8_t none[LINE];
    uint8_t page[TARGET_PAGE];
    for (size_t i = 0; i < n_pages; i++) {
        if (core_ops->read(t, pages[i], page, sizeof page) != sizeof page) continue;
        for (unsigned at = 0; at < TARGET_PAGE; at += LINE) {
            if (at > 0 && memcmp(page + at, none, LINE) == 0) continue;
            if (n_lines == LINES) abort();
            slice *l = &lines[n_lines++];
            l->address = pages[i] + at;
            memcpy(l->bytes, page + at, LINE);
        }
    }
}

/* ---- Writing ---- */

static size_t size;

static void put(uint64_t value, unsigned bytes) {
    memcpy(out + size, &value, bytes);
    size += bytes;
}

static bool has_page(uint64_t page) {
    for (size_t i = 0; i < n_lines; i++)
        if (!lines[i].out && lines[i].address - lines[i].address % TARGET_PAGE == page) return true;
    return false;
}

static unsigned bits_of(const target_map *m) {
    return m->readable | (unsigned)m->writable << 1 | (unsigned)m->executable << 2 | (unsigned)m->shared << 3 |
           (unsigned)(m->path[0] != '\0') << 4;
}

/* Code whole, for addresses in it are looked up; of the others the pages that there are. */
static void put_maps(target *t) {
    size_t n, at = size, count = 0;
    const target_map *maps = target_maps(t, &n);
    put(0, 1);
    for (size_t i = 0; i < n && count < IMAGE_MAPS; i++) {
        uint64_t start = maps[i].start;
        if (maps[i].executable) {
            put(start, 8), put(maps[i].end, 8), put(bits_of(&maps[i]), 1);
            count++;
            continue;
        }
        while (start < maps[i].end && count < IMAGE_MAPS) {
            uint64_t end = start;
            while (end < maps[i].end && has_page(end)) end += TARGET_PAGE;
            if (end > start) {
                put(start, 8), put(end, 8), put(bits_of(&maps[i]), 1);
                count++;
            }
            start = end + TARGET_PAGE;
            if (maps[i].end - maps[i].start > (64 << 20)) break;
        }
    }
    out[at] = (uint8_t)count;
}

static size_t write_image(target *core, const target_regs *r) {
    const uint64_t regs[] = {r->ip, r->sp, r->base, r->pc, r->vm, r->kbase, r->rb, r->lr, r->fp};
    const bool arm64 = target_cpu_of(core) == CPU_ARM64;
    size_t n = 0;
    size = 0;
    put(arm64 ? IMAGE_ARM64 : 0, 1);
    put_maps(core);
    for (size_t i = 0; i < sizeof regs / sizeof regs[0] - (arm64 ? 0 : 2); i++) put(regs[i], 8);
    for (size_t i = 0; i < n_lines; i++) n += !lines[i].out;
    put(n, 2);
    for (size_t i = 0; i < n_lines; i++) {
        if (lines[i].out) continue;
        put(lines[i].address, 8), put(LINE, 1);
        memcpy(out + size, lines[i].bytes, LINE);
        size += LINE;
    }
    return size;
}

static char *report(target *core, const target_regs *r) {
    target *t = image_open(out, write_image(core, r));
    if (t == NULL) abort();
    char *stack = report_stack(t, true, true, true), *still = report_still(t), *text = NULL;
    if (stack == NULL || still == NULL || asprintf(&text, "%s%s", still, stack) < 0) abort();
    free(stack);
    free(still);
    target_close(t);
    return text;
}

/* Leave out what makes no difference, many lines at once at first. */
static void leave_out(target *core, const target_regs *r, const char *expected) {
    for (size_t step = 256; step > 0; step /= 4) {
        for (size_t from = 0; from < n_lines; from += step) {
            size_t end = from + step < n_lines ? from + step : n_lines;
            bool before[256];
            for (size_t i = from; i < end; i++) {
                before[i - from] = lines[i].out;
                lines[i].out = true;
            }
            char *text = report(core, r);
            if (strcmp(text, expected) != 0)
                for (size_t i = from; i < end; i++) lines[i].out = before[i - from];
            free(text);
        }
    }
}

int main(int argc, char **argv) {
    target_error error;
    target_regs regs;
    pid_t thread;
    if (argc < 3 || argc > 4) return 2;
    target *core = target_open_core(argv[1], argc == 4 ? argv[3] : NULL, &error);
    if (core == NULL || target_threads(core, &thread, 1) != 1 || !target_stop(core, thread, &regs)) return 1;
    target_ops noting = *core->ops;
    core_ops = core->ops;
    noting.read = noting_read;
    core->ops = &noting;
    free(report_stack(core, true, true, true));
    free(report_still(core));
    core->ops = core_ops;
    cut_up(core);
    char *expected = report(core, &regs);
    leave_out(core, &regs, expected);
    FILE *f = fopen(argv[2], "wb");
    size_t len = write_image(core, &regs);
    if (f == NULL || fwrite(out, 1, len, f) != len || fclose(f) != 0) return 1;
    printf("%zu bytes: %s", len, expected);
    free(expected);
    target_close(core);
    return 0;
}
