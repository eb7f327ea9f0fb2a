/*
 * fuzz_core FILE ROUNDS SEED [PROGRAM]: read a core file whose bytes are changed at random, more of them each round, and stills taken
 * of it, with registers that are made up. Whatever is found there may be wrong; that the reading ends, and ends well, is
 * the test. Prints how much was still understood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../src/remote/describe.h"
#include "../../src/remote/heap.h"
#include "../../src/remote/jit.h"
#include "../../src/remote/sample.h"
#include "take_still.h"

enum { SECONDS_A_ROUND = 20 };

static unsigned long long state;
static unsigned long random_number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned long)(state >> 16);
}

typedef struct page {
    unsigned char bytes[4096];
    size_t at;
} page;

/* Words that have to do with a VM are where changes hurt: pages that hold any are chosen more often. */
static void change(unsigned char *core, size_t size, const size_t *pages, size_t n_pages, unsigned changes) {
    for (unsigned i = 0; i < changes; i++) {
        size_t at = random_number() % 4 == 0 || n_pages == 0
                        ? random_number() % size
                        : pages[random_number() % n_pages] + random_number() % 4096;
        if (random_number() % 16 == 0) at = random_number() % (size < 8192 ? size : 8192); /* the file's head */
        if (at + 8 > size) continue;
        switch (random_number() % 4) {
        case 0: core[at] ^= (unsigned char)(1U << random_number() % 8); break;
        case 1: core[at] = (unsigned char)random_number(); break;
        case 2: memset(core + at / 8 * 8, random_number() % 2 == 0 ? 0 : 0xff, 8); break;
        default: { /* a pointer from elsewhere */
            size_t from = n_pages == 0 ? 0 : pages[random_number() % n_pages] + random_number() % 512 * 8;
            if (from + 8 <= size) memcpy(core + at / 8 * 8, core + from, 8);
        }
        }
    }
}

static void look(target *t, const remote_vm *vm, const remote_sample *s, void *arg) {
    char line[512], name[REMOTE_NAME_MAX], value[128];
    unsigned long *frames = arg;
    for (size_t k = 0; k < s->n; k++) {
        for (size_t i = 0; i < s->stack[k].frames.n; i++) {
            remote_text x;
            remote_describe(t, vm, &s->stack[k].frames, i, &x);
            remote_traceback_line(&x, line, sizeof line);
            const remote_frame *f = &s->stack[k].frames.list[i];
            for (uint32_t slot = 0; slot < f->func.framesize; slot++)
                if (!remote_local(t, &s->stack[k].where, f, slot, name, value, sizeof value)) break;
            ++*frames;
        }
    }
}

static bool count(const remote_thread *thread, void *arg) {
    (void)thread;
    ++*(unsigned long *)arg;
    return true;
}

/* Registers that may be: of the interpreter, in some piece of code. */
static void make_registers(target *t, const remote_vm *vm, __u64 *reg) {
    remote_state now;
    remote_thread th;
    uint64_t word = 0;
    for (unsigned i = 0; i < STILL_REGS; i++) reg[i] = random_number() % 3 == 0 ? random_number() : vm->g;
    if (!remote_read_state(t, vm, &now) || !remote_read_thread(t, vm, now.current, &th)) return;
    target_u64(t, vm->dispatch + random_number() % 300 * 8, &word);
    const bool arm64 = target_cpu_of(t) == CPU_ARM64;
    reg[STILL_IP] = word + random_number() % 3 * (random_number() % 200 & (arm64 ? ~3U : ~0U));
    reg[0] = random_number() % 256;
    reg[arm64 ? STILL_ARM64_BASE : STILL_X64_BASE] =
        th.base + (random_number() % 4 == 0 ? random_number() % 32 * 8 : 0);
    target_u64(t, th.base - random_number() % 8 * 8, &word);
    reg[arm64 ? 21 : 3] = word;
    reg[arm64 ? STILL_ARM64_SP : STILL_X64_SP] = th.cframe - (random_number() % 4 == 0 ? random_number() % 64 * 8 : 0);
    if (!arm64) reg[14] = vm->dispatch;
}

static void read_stills(target *t, remote_vm *vm, remote_sample *sample, unsigned long *results) {
    static struct still s;
    static remote_still still;
    for (unsigned i = 0; i < 20; i++) {
        const sample_options options = {.max_frames = 500, .look = look, .arg = &results[7]};
        make_registers(t, vm, s.reg);
        if (!take_still(t, vm, &s)) continue;
        for (unsigned k = i % 4 * random_number() % 16; k > 0 && s.used > 0; k--)
            s.data[random_number() % s.used] = (unsigned char)random_number();
        if (!remote_still_open(&still, target_cpu_of(t), &s,
                               random_number() % 8 == 0 ? random_number() % sizeof s : sizeof s))
            continue;
        results[6] += remote_sample_still(t, vm, &still, &options, sample) == SAMPLE_OK;
    }
}

static void read_jit(copy *c, const remote_vm *vm, unsigned long *results) {
    heap h;
    jit_protos protos = {0};
    jit_penalty penalties[JIT_PENALTIES];
    static jit_reasons reasons;
    if (heap_list(&h, c, vm, jit_note_proto, &protos) == HEAP_OK) {
        jit_sort_protos(&protos);
        size_t n = jit_read_penalties(&h, &protos, penalties);
        jit_find_reasons(&h, true, &reasons);
        for (size_t i = 0; i < n; i++) {
            remote_func f;
            results[10] += jit_proto_at(&h, &protos, penalties[i].pc, &f);
        }
    }
    heap_free(&h);
    free(protos.list);
}

static void read_heap(target *t, const remote_vm *vm, unsigned long *results) {
    enum { MOST = 1 << 30 };
    const copy_options how = {.max_bytes = MOST};
    const heap_options what = {.top = 5, .ways = 3, .by_held = true, .types = ~0U, .max_bytes = MOST};
    copy_info info;
    copy_error error;
    heap h;
    static char text[1 << 20];
    copy *c = copy_take(t, &how, &info, &error);
    if (c == NULL) return;
    if (heap_read(&h, c, vm, &what) == HEAP_OK) {
        results[8]++;
        for (int i = 0; i < HEAP_TYPES; i++) {
            for (size_t k = 0; k < h.tops[i].n; k++) {
                for (size_t w = 0; w < h.tops[i].list[k].n_ways; w++) {
                    FILE *out = fmemopen(text, sizeof text, "w");
                    if (out == NULL) continue;
                    heap_write_way(&h, h.tops[i].list[k].ways[w], out);
                    fclose(out);
                    results[9]++;
                }
            }
        }
    }
    heap_free(&h);
    read_jit(c, vm, results);
    copy_free(c);
}

static void read_all(const char *path, const char *exe, unsigned long *results) {
    target_error error;
    remote_vms vms;
    static remote_sample sample;
    target *t = target_open_core(path, exe, &error);
    results[0]++;
    if (t == NULL) return;
    results[1]++;
    if (remote_find_vms(t, &vms)) {
        for (size_t i = 0; i < vms.n; i++) {
            const sample_options options = {.max_frames = 500, .look = look, .arg = &results[4]};
            results[2]++;
            results[3] += remote_sample_vm(t, &vms.list[i], &options, &sample) == SAMPLE_OK;
            remote_each_thread(t, &vms.list[i], 100000, count, &results[5]);
            read_stills(t, &vms.list[i], &sample, results);
            read_heap(t, &vms.list[i], results);
        }
        remote_free_vms(&vms);
    }
    target_close(t);
    remote_free_sample(&sample);
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) return NULL;
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*size);
    if (bytes == NULL || fread(bytes, 1, *size, f) != *size) return NULL;
    fclose(f);
    return bytes;
}

int main(int argc, char **argv) {
    size_t size;
    unsigned long results[11] = {0};
    char path[64] = "/tmp/ljinspect-fuzz.XXXXXX";
    if (argc < 4 || argc > 5) return 2;
    unsigned char *core = read_file(argv[1], &size), *changed = core != NULL ? malloc(size) : NULL;
    int fd = mkstemp(path);
    if (changed == NULL || fd < 0) return 1;
    state = strtoull(argv[3], NULL, 10) * 2654435761U + 88172645463325252U;

    /* Pages with objects of a type: a header whose type byte is one, behind a pointer of this process. */
    static size_t pages[65536];
    size_t n_pages = 0;
    for (size_t at = 4096; at + 4096 <= size && n_pages < 65536; at += 4096) {
        unsigned objects = 0;
        for (size_t i = 0; i + 16 <= 4096; i += 8)
            objects += core[at + i + 6] == 0 && core[at + i + 7] == 0 && core[at + i + 5] >= 0x55 &&
                       core[at + i + 9] >= 4 && core[at + i + 9] <= 12;
        if (objects > 8) pages[n_pages++] = at;
    }
    for (unsigned long round = 0; round < strtoul(argv[2], NULL, 10); round++) {
        memcpy(changed, core, size);
        change(changed, size, pages, n_pages, round == 0 ? 0 : 1U << random_number() % 14);
        size_t len = round % 50 == 49 ? random_number() % size : size; /* cut short */
        if (ftruncate(fd, 0) != 0 || pwrite(fd, changed, len, 0) != (ssize_t)len) return 1;
        alarm(SECONDS_A_ROUND);
        read_all(path, argc == 5 ? argv[4] : NULL, results);
        alarm(0);
    }
    unlink(path);
    close(fd);
    free(core);
    free(changed);
    printf("%lu cores, %lu opened, %lu VMs found, %lu stacks read, %lu frames, %lu threads; of stills %lu stacks, %lu "
           "frames; %lu heaps, %lu ways, %lu penalties\n",
           results[0], results[1], results[2], results[3], results[4], results[5], results[6], results[7], results[8],
           results[9], results[10]);
    return results[3] == 0 || results[9] == 0; /* the unchanged core, at least, is understood */
}
