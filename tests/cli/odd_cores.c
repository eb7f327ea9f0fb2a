/*
 * Core files that no kernel wrote: each case is told on a line; the exit status counts those that failed.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../src/remote/target.h"

enum { PAGE = 4096 };
static int failures;
static char core[] = "/tmp/ljinspect-core.XXXXXX", named[] = "/tmp/ljinspect-named.XXXXXX";

static void check(const char *name, bool ok) {
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    fflush(stdout);
    failures += !ok;
}

static void put(int fd, const void *bytes, size_t size) {
    if (write(fd, bytes, size) != (ssize_t)size) abort();
}

/* A core of `n` segments of a page each, every one with the byte pattern of its number; a note that maps `files` pages of
 * the file `name` behind them. */
static void write_core(unsigned n, unsigned files, const char *name) {
    int fd = open(core, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t names = files * (strlen(name) + 1), desc = 16 + 24 * (size_t)files + names;
    const Elf64_Nhdr note = {.n_namesz = 5, .n_descsz = (Elf64_Word)desc, .n_type = NT_FILE};
    size_t note_size = sizeof note + 8 + ((desc + 3) & ~(size_t)3);
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_CORE,
                       .e_machine = TARGET_CPU_HERE == CPU_ARM64 ? EM_AARCH64 : EM_X86_64,
                       .e_phoff = sizeof head,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = (Elf64_Half)(n + 1)};
    uint64_t at = sizeof head + (n + 1) * sizeof(Elf64_Phdr);
    put(fd, &head, sizeof head);
    Elf64_Phdr notes = {.p_type = PT_NOTE, .p_offset = at, .p_filesz = note_size};
    put(fd, &notes, sizeof notes);
    at += note_size;
    for (unsigned i = 0; i < n; i++) {
        Elf64_Phdr h = {.p_type = PT_LOAD,
                        .p_flags = PF_R | PF_W,
                        .p_offset = at + (uint64_t)(i % 16) * PAGE,
                        .p_vaddr = (uint64_t)(n - i) * 2 * PAGE, /* descending: they are to be sorted */
                        .p_filesz = PAGE,
                        .p_memsz = PAGE};
        put(fd, &h, sizeof h);
    }
    put(fd, &note, sizeof note);
    put(fd, "CORE\0\0\0", 8);
    const uint64_t counts[2] = {files, PAGE};
    put(fd, counts, sizeof counts);
    for (unsigned i = 0; i < files; i++) {
        const uint64_t start = UINT64_C(0x7f0000000000) + (uint64_t)i * PAGE, entry[3] = {start, start + PAGE, i};
        put(fd, entry, sizeof entry);
    }
    for (unsigned i = 0; i < files; i++) put(fd, name, strlen(name) + 1);
    put(fd, "\0\0\0", ((desc + 3) & ~(size_t)3) - desc);
    for (unsigned i = 0; i < 16; i++) {
        char page[PAGE];
        memset(page, (int)i + 1, sizeof page);
        put(fd, page, sizeof page);
    }
    close(fd);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool holds(target *t, uint64_t address, int byte) {
    unsigned char c;
    return target_read(t, address, &c, 1) && c == byte;
}

static void many_segments(void) {
    enum { MANY = 65000 };
    target_error error;
    size_t n = 0;
    write_core(MANY, 1, "/nonexistent");
    double begin = seconds();
    target *t = target_open_core(core, NULL, &error);
    bool right = t != NULL;
    for (unsigned i = 0; right && i < MANY; i += 7)
        right = holds(t, (uint64_t)(MANY - i) * 2 * PAGE, (int)(i % 16) + 1);
    right = right && !holds(t, 3 * PAGE, 0);
    if (t != NULL) target_maps(t, &n);
    check("65,000 segments: each is found", right && n == MANY);
    check("... in less than a second of the processor", seconds() - begin < 1);
    target_close(t);
}

static void many_files(void) {
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    target_error error;
    int fd = open(named, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 200; i++) {
        char page[PAGE];
        memset(page, i, sizeof page);
        put(fd, page, sizeof page);
    }
    close(fd);
    write_core(1, 200, named);
    setrlimit(RLIMIT_NOFILE, &few);
    target *t = target_open_core(core, NULL, &error);
    check("200 mappings of one file need one descriptor",
          t != NULL && holds(t, UINT64_C(0x7f0000000000) + 199 * PAGE, 199));
    target_close(t);
}

static void what_is_no_file_is_not_opened(void) {
    target_error error;
    char event[4096];
    unlink(named);
    if (mkfifo(named, 0600) != 0) abort();
    write_core(1, 1, named);
    int watch = inotify_init1(IN_NONBLOCK);
    if (inotify_add_watch(watch, named, IN_OPEN) < 0) abort();
    target *t = target_open_core(core, NULL, &error);
    check("what a core names and is no plain file is not opened", t != NULL && read(watch, event, sizeof event) < 0);
    target_close(t);
    close(watch);
}

static void another_processors_file(void) {
    enum { OURS = TARGET_CPU_HERE == CPU_ARM64 ? EM_AARCH64 : EM_X86_64, OTHER = EM_RISCV };
    for (int foreign = 0; foreign < 2; foreign++) {
        Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                           .e_machine = foreign ? OTHER : OURS};
        target_error error;
        int fd = open(named, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        put(fd, &head, sizeof head);
        close(fd);
        write_core(1, 1, named);
        target *t = target_open_core(core, NULL, &error);
        check(foreign ? "a named file of another processor's is not read"
                      : "a named file of the core's processor is read",
              t != NULL && holds(t, UINT64_C(0x7f0000000000), ELFMAG0) == !foreign);
        target_close(t);
        t = target_open_core(core, named, &error);
        check(foreign ? "... and as the program it is refused" : "... and as the program, too",
              foreign ? t == NULL && error == TARGET_FOREIGN
                      : t != NULL && holds(t, UINT64_C(0x7f0000000000), ELFMAG0));
        target_close(t);
    }
}

static void shorter_meanwhile(void) {
    target_error error;
    write_core(16, 1, "/nonexistent");
    target *t = target_open_core(core, NULL, &error);
    if (truncate(core, 3000) != 0) abort();
    check("a core that becomes shorter while it is read has less in it", t != NULL && !holds(t, 2 * PAGE, 16));
    target_close(t);
}

int main(void) {
    if (mkstemp(core) < 0 || mkstemp(named) < 0) return 1;
    alarm(60);
    many_segments();
    what_is_no_file_is_not_opened();
    unlink(named);
    another_processors_file();
    many_files();
    shorter_meanwhile();
    unlink(core);
    unlink(named);
    return failures;
}
