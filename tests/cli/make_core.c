/*
 * make_core PID FILE: write a core file of a process, which goes on, as the kernel would: its threads' registers, the
 * files that are mapped, and the memory that is not from files. So that tests need no core_pattern.
 */
#include <dirent.h>
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../../src/remote/target.h"

enum { PAGE = 4096, MAX_THREADS = 64 };

static char notes[1 << 20];
static size_t n_notes;

static void add_note(unsigned type, const void *data, size_t size) {
    Elf64_Nhdr head = {.n_namesz = 5, .n_descsz = (Elf64_Word)size, .n_type = type};
    memcpy(notes + n_notes, &head, sizeof head);
    memcpy(notes + n_notes + sizeof head, "CORE\0\0\0", 8);
    memcpy(notes + n_notes + sizeof head + 8, data, size);
    n_notes += sizeof head + 8 + (size + 3) / 4 * 4;
}

static int add_threads(target *t, pid_t *ids) {
    size_t n = target_threads(t, ids, MAX_THREADS);
    for (size_t i = 0; i < n; i++) {
        int status;
        struct elf_prstatus s = {.pr_pid = ids[i]};
        if (ptrace(PTRACE_SEIZE, ids[i], NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, ids[i], NULL, NULL) != 0)
            return -1;
        if (waitpid(ids[i], &status, __WALL) != ids[i] || !WIFSTOPPED(status)) return -1;
        struct iovec io = {.iov_base = &s.pr_reg, .iov_len = sizeof s.pr_reg};
        if (ptrace(PTRACE_GETREGSET, ids[i], NT_PRSTATUS, &io) != 0) return -1;
        add_note(NT_PRSTATUS, &s, sizeof s);
    }
    return (int)n;
}

static int is_file(const target_map *m) {
    return m->path[0] == '/';
}

static void add_files(const target_map *maps, size_t n) {
    static char data[1 << 18];
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) count += is_file(&maps[i]) ? 1 : 0;
    uint64_t head[2] = {count, PAGE};
    memcpy(data, head, sizeof head);
    size_t at = sizeof head, name = sizeof head + 24 * count;
    for (size_t i = 0; i < n; i++) {
        if (!is_file(&maps[i])) continue;
        uint64_t entry[3] = {maps[i].start, maps[i].end, maps[i].offset / PAGE};
        memcpy(data + at, entry, sizeof entry);
        at += sizeof entry;
        strcpy(data + name, maps[i].path);
        name += strlen(maps[i].path) + 1;
    }
    add_note(NT_FILE, data, name);
}

/* What a file has is left out, unless the process has written there. */
static uint64_t kept(const target_map *m) {
    if (!m->readable || strcmp(m->path, "[vvar]") == 0 || strncmp(m->path, "[vsys", 5) == 0) return 0;
    return is_file(m) && !m->writable ? 0 : m->end - m->start;
}

static int write_core(target *t, const target_map *maps, size_t n, FILE *out) {
    uint64_t at = sizeof(Elf64_Ehdr) + (n + 1) * sizeof(Elf64_Phdr);
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_CORE,
                       .e_machine = TARGET_CPU_HERE == CPU_ARM64 ? EM_AARCH64 : EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof head,
                       .e_ehsize = sizeof head,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = (Elf64_Half)(n + 1)};
    Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = at, .p_filesz = n_notes};
    fwrite(&head, sizeof head, 1, out);
    fwrite(&p, sizeof p, 1, out);
    at = (at + n_notes + PAGE - 1) / PAGE * PAGE;
    for (size_t i = 0; i < n; i++) {
        const target_map *m = &maps[i];
        p = (Elf64_Phdr){.p_type = PT_LOAD,
                         .p_flags = (m->readable ? PF_R : 0U) | (m->writable ? PF_W : 0U) | (m->executable ? PF_X : 0U),
                         .p_offset = at,
                         .p_vaddr = m->start,
                         .p_filesz = kept(m),
                         .p_memsz = m->end - m->start};
        at += p.p_filesz;
        fwrite(&p, sizeof p, 1, out);
    }
    fwrite(notes, n_notes, 1, out);
    while (ftell(out) % PAGE != 0) fputc(0, out);
    static char page[PAGE];
    for (size_t i = 0; i < n; i++) {
        for (uint64_t a = 0; a < kept(&maps[i]); a += PAGE) {
            memset(page, 0, PAGE);
            target_read_bulk(t, maps[i].start + a, page, PAGE);
            fwrite(page, PAGE, 1, out);
        }
    }
    return ferror(out);
}

int main(int argc, char **argv) {
    target_error error;
    pid_t ids[MAX_THREADS];
    size_t n;
    if (argc != 3) return 2;
    target *t = target_open((pid_t)atoi(argv[1]), &error);
    FILE *out = fopen(argv[2], "wb");
    if (t == NULL || out == NULL) return 1;
    int threads = add_threads(t, ids);
    if (threads <= 0) return 1;
    const target_map *maps = target_maps(t, &n);
    add_files(maps, n);
    int failed = write_core(t, maps, n, out);
    for (int i = 0; i < threads; i++) ptrace(PTRACE_DETACH, ids[i], NULL, NULL);
    target_close(t);
    return fclose(out) != 0 || failed;
}
