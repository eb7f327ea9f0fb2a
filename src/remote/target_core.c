/*
 * The core file of a process (core(5), elf(5)). It holds the memory that could not be had elsewhere; the rest lies in
 * the files that were mapped, which the note NT_FILE names. Every offset and length in it is checked: it may be cut
 * short, or made up.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target_ops.h"

enum { MAX_THREADS = 1024, MAX_FILES = 4096, MAX_NOTES = 64 << 20 /* bytes */ };

typedef struct segment {
    uint64_t start, size; /* in memory */
    uint64_t offset;      /* in the file, of the first byte that is there */
    uint64_t in_file;     /* bytes that are there */
    unsigned flags;
} segment;

typedef struct mapped_file {
    uint64_t start, end, offset;
    int fd;
    bool owned; /* else one before it has the same */
} mapped_file;

typedef struct core_thread {
    pid_t id;
    target_regs regs;
} core_thread;

typedef struct core {
    int fd;
    unsigned machine; /* e_machine, of elf.h */
    uint64_t size;
    segment *segments; /* ascending, none overlap */
    size_t n_segments;
    mapped_file *files;
    size_t n_files;
    core_thread *threads;
    size_t n_threads;
    pid_t pid;
    uint64_t program_headers; /* address of the program's, where that is told; else 0 */
} core;

/* Copy what lies at `offset`. The file may become shorter while it is read: it is not mapped. */
static bool part(const core *c, uint64_t offset, void *to, size_t size) {
    char *out = to;
    if (offset > c->size || size > c->size - offset) return false;
    while (size > 0) {
        ssize_t n = pread(c->fd, out, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        out += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

/* ---- Memory ---- */

static size_t read_segments(const core *c, uint64_t from, void *to, size_t len) {
    size_t low = 0, high = c->n_segments;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->segments[middle].start <= from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) return 0;
    const segment *s = &c->segments[low - 1];
    if (from - s->start >= s->in_file) return 0;
    uint64_t left = s->in_file - (from - s->start);
    size_t n = len < left ? len : (size_t)left;
    return part(c, s->offset + (from - s->start), to, n) ? n : 0;
}

static size_t read_files(const core *c, uint64_t from, void *to, size_t len) {
    for (size_t i = 0; i < c->n_files; i++) {
        const mapped_file *f = &c->files[i];
        if (f->fd < 0 || from < f->start || from >= f->end) continue;
        uint64_t left = f->end - from;
        size_t n = len < left ? len : (size_t)left;
        ssize_t got = pread(f->fd, to, n, (off_t)(f->offset + (from - f->start)));
        if (got <= 0) return 0;
        memset((char *)to + got, 0, n - (size_t)got); /* what a mapping has behind the end of its file */
        return n;
    }
    return 0;
}

static size_t core_read(target *t, uint64_t from, void *to, size_t len) {
    const core *c = t->own;
    char *out = to;
    size_t done = 0;
    while (done < len) {
        size_t n = read_segments(c, from + done, out + done, len - done);
        if (n == 0) n = read_files(c, from + done, out + done, len - done);
        if (n == 0) break;
        done += n;
    }
    return done;
}

/* ---- Notes ---- */

/* struct elf_prstatus of linux/elfcore.h, the same on both processors but for the number of registers. */
enum { PRSTATUS_PID = 32, PRSTATUS_REGS = 112, PRSTATUS_END = 8 /* behind the registers */ };

static void add_thread(core *c, target_cpu cpu, const char *note, size_t size) {
    uint64_t words[TARGET_REGS_MAX];
    core_thread thread;
    int32_t id;
    if (size < PRSTATUS_REGS + PRSTATUS_END || c->n_threads == MAX_THREADS) return;
    size_t bytes = size - PRSTATUS_REGS - PRSTATUS_END;
    if (bytes > sizeof words) bytes = sizeof words;
    memcpy(words, note + PRSTATUS_REGS, bytes);
    memcpy(&id, note + PRSTATUS_PID, sizeof id);
    thread.id = id;
    if (!target_regs_from(cpu, words, bytes / sizeof words[0], &thread.regs)) return;
    core_thread *longer = realloc(c->threads, (c->n_threads + 1) * sizeof *longer);
    if (longer == NULL) return;
    c->threads = longer;
    c->threads[c->n_threads++] = thread;
}

/* A core may name anything, a device whose opening has consequences included: what it is is seen before it is opened. */
static int open_plain(const char *name) {
    struct stat st;
    char itself[32];
    int fd = -1, place = open(name, O_PATH | O_CLOEXEC);
    if (place < 0) return -1;
    if (fstat(place, &st) == 0 && S_ISREG(st.st_mode)) {
        snprintf(itself, sizeof itself, "/proc/self/fd/%d", place);
        fd = open(itself, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    close(place);
    return fd;
}

/* A program or library for another kind of processor is not what the process had, though it lies where that lay. */
static int open_ours(const core *c, const char *name, bool *foreign) {
    Elf64_Ehdr head;
    int fd = open_plain(name);
    *foreign = fd >= 0 && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head &&
               memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_machine != c->machine;
    if (!*foreign) return fd;
    close(fd);
    return -1;
}

/* The file of a mapping: `exe` where its name ends like that, else the one the core names. */
static int open_mapped(const core *c, const char *name, const char *exe) {
    const char *last = strrchr(name, '/'), *exe_last = exe != NULL ? strrchr(exe, '/') : NULL;
    bool foreign;
    if (exe != NULL && strcmp(last != NULL ? last + 1 : name, exe_last != NULL ? exe_last + 1 : exe) == 0) name = exe;
    return open_ours(c, name, &foreign);
}

static bool exe_is_foreign(const core *c, const char *exe) {
    bool foreign;
    int fd = open_ours(c, exe, &foreign);
    if (fd >= 0) close(fd);
    return foreign;
}

/* NT_FILE: count, page size; start, end and page of each; then the names, each with its zero. */
static void add_files(core *c, const char *note, size_t size, const char *exe) {
    uint64_t head[2], entry[3];
    if (size < sizeof head || c->files != NULL) return;
    memcpy(head, note, sizeof head);
    if (head[0] == 0 || head[0] > MAX_FILES || head[0] > (size - sizeof head) / sizeof entry) return;
    if (head[1] == 0 || head[1] > UINT32_MAX) return;
    const char *name = note + sizeof head + head[0] * sizeof entry, *end = note + size;
    c->files = calloc(head[0], sizeof *c->files);
    if (c->files == NULL) return;
    int previous = -1;
    const char *previous_name = "";
    for (size_t i = 0; i < head[0] && name < end; i++) {
        size_t len = strnlen(name, (size_t)(end - name));
        if (len == (size_t)(end - name)) break;
        memcpy(entry, note + sizeof head + i * sizeof entry, sizeof entry);
        bool again = i > 0 && strcmp(name, previous_name) == 0;
        if (!again) previous = open_mapped(c, name, exe);
        c->files[c->n_files++] = (mapped_file){entry[0], entry[1], entry[2] * head[1], previous, !again};
        previous_name = name;
        name += len + 1;
    }
}

/* NT_AUXV: pairs of what the kernel told the program when it began. */
static void add_vector(core *c, const char *note, size_t size) {
    uint64_t pair[2];
    for (; size >= sizeof pair; note += sizeof pair, size -= sizeof pair) {
        memcpy(pair, note, sizeof pair);
        if (pair[0] == AT_PHDR) c->program_headers = pair[1];
    }
}

static void read_notes(core *c, target_cpu cpu, const char *notes, size_t size, const char *exe) {
    while (size >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr head;
        memcpy(&head, notes, sizeof head);
        uint64_t name_size = ((uint64_t)head.n_namesz + 3) & ~UINT64_C(3);
        uint64_t data_size = ((uint64_t)head.n_descsz + 3) & ~UINT64_C(3);
        uint64_t whole = sizeof head + name_size + data_size;
        if (whole > size) return;
        const char *data = notes + sizeof head + name_size;
        if (head.n_type == NT_PRSTATUS) add_thread(c, cpu, data, head.n_descsz);
        if (head.n_type == NT_AUXV) add_vector(c, data, head.n_descsz);
        if (head.n_type == NT_FILE) add_files(c, data, head.n_descsz, exe);
        notes += whole;
        size -= whole;
    }
}

/* ---- Mappings: the segments, named after the files ---- */

static const char *file_name_at(const core *c, uint64_t address) {
    for (size_t i = 0; i < c->n_files; i++)
        if (address >= c->files[i].start && address < c->files[i].end) return "(file)";
    return "";
}

static int by_start(const void *a, const void *b) {
    const segment *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static bool add_segments(target *t, const Elf64_Phdr *headers, size_t n) {
    core *c = t->own;
    const unsigned bits = t->cpu == CPU_ARM64 ? 48 : 47; /* of addresses of a process */
    c->segments = calloc(n, sizeof *c->segments);
    if (c->segments == NULL) return false;
    for (size_t i = 0; i < n; i++) {
        Elf64_Phdr h;
        memcpy(&h, &headers[i], sizeof h);
        if (h.p_type != PT_LOAD || h.p_memsz == 0 || h.p_vaddr + h.p_memsz < h.p_vaddr) continue;
        if (h.p_vaddr >> bits != 0 || h.p_memsz >> bits != 0) continue; /* not a process's (vsyscall is the kernel's) */
        uint64_t here = h.p_offset < c->size ? c->size - h.p_offset : 0;
        if (h.p_filesz > h.p_memsz) h.p_filesz = h.p_memsz;
        c->segments[c->n_segments++] =
            (segment){h.p_vaddr, h.p_memsz, h.p_offset, h.p_filesz < here ? h.p_filesz : here, h.p_flags};
    }
    qsort(c->segments, c->n_segments, sizeof *c->segments, by_start);
    size_t kept = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < c->n_segments; i++) {
        if (c->segments[i].start < end) continue; /* overlaps: no kernel wrote that */
        end = c->segments[i].start + c->segments[i].size;
        c->segments[kept++] = c->segments[i];
    }
    c->n_segments = kept;
    return true;
}

static bool add_maps(target *t) {
    const core *c = t->own;
    for (size_t i = 0; i < c->n_segments; i++) {
        const segment *s = &c->segments[i];
        target_map m = {.start = s->start,
                        .end = s->start + s->size,
                        .readable = (s->flags & PF_R) != 0,
                        .writable = (s->flags & PF_W) != 0,
                        .executable = (s->flags & PF_X) != 0,
                        .path = strdup(file_name_at(c, s->start))};
        if (m.path == NULL || !target_add_map(t, m)) return false;
    }
    return true;
}

/* ---- Opening ---- */

static bool read_all_notes(core *c, target_cpu cpu, const Elf64_Phdr *headers, size_t n, const char *exe) {
    uint64_t room = MAX_NOTES;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = headers[i].p_filesz;
        if (headers[i].p_type != PT_NOTE || size == 0 || size > room) continue;
        char *notes = malloc(size);
        if (notes == NULL) return false;
        room -= size;
        if (part(c, headers[i].p_offset, notes, size)) read_notes(c, cpu, notes, size, exe);
        free(notes);
    }
    return true;
}

/* A core that names no files, as an emulator may write it, lacks the program's code: that lies where the program begins. */
static bool add_program(core *c, const char *exe) {
    enum { SEGMENTS = 32, PAGE = TARGET_PAGE };
    Elf64_Ehdr head;
    Elf64_Phdr h[SEGMENTS];
    uint64_t first = UINT64_MAX;
    int fd = open_mapped(c, exe, NULL);
    if (fd < 0) return true;
    bool ok = pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
              head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_phentsize == sizeof h[0] && head.e_phnum <= SEGMENTS;
    const size_t bytes = ok ? head.e_phnum * sizeof h[0] : 0;
    ok = ok && bytes > 0 && pread(fd, h, bytes, (off_t)head.e_phoff) == (ssize_t)bytes;
    if (ok) c->files = calloc(head.e_phnum, sizeof *c->files);
    if (c->files == NULL) {
        close(fd);
        return !ok;
    }
    for (unsigned i = 0; i < head.e_phnum; i++) {
        if (h[i].p_type != PT_LOAD) continue;
        if (first == UINT64_MAX) first = h[i].p_vaddr - h[i].p_offset;
        const uint64_t start = c->program_headers - (first + head.e_phoff) + h[i].p_vaddr, skipped = start % PAGE;
        const uint64_t end = (start + h[i].p_filesz + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        c->files[c->n_files] = (mapped_file){start - skipped, end, h[i].p_offset - skipped, fd, c->n_files == 0};
        c->n_files++;
    }
    if (c->n_files == 0) close(fd);
    return true;
}

static target_error read_core(target *t, const char *exe) {
    core *c = t->own;
    Elf64_Ehdr head;
    if (!part(c, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64)
        return TARGET_BAD_FILE;
    if (head.e_type != ET_CORE || head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum == 0) return TARGET_BAD_FILE;
    if (head.e_machine != EM_X86_64 && head.e_machine != EM_AARCH64) return TARGET_BAD_FILE;
    t->cpu = head.e_machine == EM_X86_64 ? CPU_X64 : CPU_ARM64;
    c->machine = head.e_machine;
    if (exe != NULL && exe_is_foreign(c, exe)) return TARGET_FOREIGN;
    Elf64_Phdr *headers = calloc(head.e_phnum, sizeof *headers);
    if (headers == NULL) return TARGET_NO_MEMORY;
    target_error error = TARGET_NO_MEMORY;
    if (!part(c, head.e_phoff, headers, head.e_phnum * sizeof *headers)) {
        error = TARGET_BAD_FILE;
    } else if (add_segments(t, headers, head.e_phnum) && read_all_notes(c, t->cpu, headers, head.e_phnum, exe) &&
               (c->files != NULL || c->program_headers == 0 || exe == NULL || add_program(c, exe)) && add_maps(t)) {
        error = TARGET_OK;
    }
    if (c->n_threads > 0) t->pid = c->threads[0].id;
    free(headers);
    return error;
}

static size_t core_threads(target *t, pid_t *ids, size_t max) {
    const core *c = t->own;
    size_t n = c->n_threads < max ? c->n_threads : max;
    for (size_t i = 0; i < n; i++) ids[i] = c->threads[i].id;
    return n;
}

static const core_thread *thread_of(const target *t, pid_t id) {
    const core *c = t->own;
    for (size_t i = 0; i < c->n_threads; i++)
        if (c->threads[i].id == id) return &c->threads[i];
    return NULL;
}

static thread_state core_thread_state(target *t, pid_t thread, uint64_t *sp, uint64_t *ip) {
    const core_thread *r = thread_of(t, thread);
    if (r == NULL) return THREAD_GONE;
    *sp = r->regs.sp;
    *ip = r->regs.ip;
    return THREAD_STOPPED;
}

static bool core_stop(target *t, pid_t thread, target_regs *regs) {
    const core_thread *r = thread_of(t, thread);
    if (r == NULL) return false;
    *regs = r->regs;
    return true;
}

static bool core_thread_runs(target *t, pid_t thread, uint64_t *count) {
    *count = 0;
    return thread_of(t, thread) != NULL;
}

/* What the core has, or the files that it names. */
static bool core_touched(target *t, uint64_t from, size_t len) {
    const core *c = t->own;
    size_t low = 0, high = c->n_segments; /* to the first that begins behind */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->segments[middle].start < from + len) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i > 0 && c->segments[i - 1].start + c->segments[i - 1].size > from; i--) {
        const segment *s = &c->segments[i - 1];
        if (s->in_file > 0 && s->start + s->in_file > from) return true;
    }
    const target_map *m = target_map_at(t, from);
    for (size_t i = 0; m != NULL && m->path[0] != '\0' && i < c->n_files; i++)
        if (c->files[i].fd >= 0 && c->files[i].start < from + len && c->files[i].end > from) return true;
    return false;
}

static bool core_lives(target *t) {
    (void)t;
    return true;
}

static bool core_remap(target *t) {
    (void)t;
    return true;
}

static bool core_run_on(target *t, unsigned us, target_regs *regs) {
    (void)t;
    (void)us;
    (void)regs;
    return false;
}

static void core_resume(target *t) {
    (void)t;
}

static void core_close(target *t) {
    core *c = t->own;
    if (c == NULL) return;
    for (size_t i = 0; i < c->n_files; i++)
        if (c->files[i].owned && c->files[i].fd >= 0) close(c->files[i].fd);
    if (c->fd >= 0) close(c->fd);
    free(c->segments);
    free(c->files);
    free(c->threads);
    free(c);
}

static const target_ops CORE = {.read = core_read,
                                .touched = core_touched,
                                .lives = core_lives,
                                .remap = core_remap,
                                .threads = core_threads,
                                .thread = core_thread_state,
                                .thread_runs = core_thread_runs,
                                .stop = core_stop,
                                .run_on = core_run_on,
                                .resume = core_resume,
                                .close = core_close};

static target_error open_core(core *c, const char *path) {
    struct stat st;
    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (c->fd < 0 || fstat(c->fd, &st) != 0) return TARGET_FAILED;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0) return TARGET_BAD_FILE;
    c->size = (uint64_t)st.st_size;
    return TARGET_OK;
}

target *target_open_core(const char *path, const char *exe, target_error *error) {
    target *t = target_new(&CORE, 0);
    *error = TARGET_NO_MEMORY;
    if (t == NULL) return NULL;
    t->own = calloc(1, sizeof(core));
    if (t->own != NULL) {
        *error = open_core(t->own, path);
        if (*error == TARGET_OK) *error = read_core(t, exe);
    }
    if (*error == TARGET_OK) return t;
    int kept = errno;
    target_close(t);
    errno = kept;
    return NULL;
}
