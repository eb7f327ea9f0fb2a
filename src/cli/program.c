#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Finding ---- */

/* NULL with errno where it is no file that may be executed. */
static char *executable(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return NULL;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0) {
        errno = EACCES;
        return NULL;
    }
    return strdup(path);
}

char *program_find(const char *name) {
    if (strchr(name, '/') != NULL) return executable(name);
    const char *path = getenv("PATH");
    if (path == NULL) path = "/bin:/usr/bin";
    int reason = ENOENT;
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, ":");
        char *full = NULL;
        if (asprintf(&full, "%.*s%s%s", (int)len, at, len > 0 ? "/" : "./", name) < 0) return NULL;
        char *found = *name != '\0' ? executable(full) : NULL;
        if (found == NULL && *name != '\0' && errno == EACCES) reason = EACCES;
        free(full);
        if (found != NULL) return found;
        at += len;
        if (*at == '\0') break;
    }
    errno = reason;
    return NULL;
}

/* ---- ELF ---- */

typedef struct image {
    const unsigned char *bytes;
    size_t size;
} image;

/* What lies at `offset`; NULL where the file is not so long. */
static const void *part(const image *i, uint64_t offset, uint64_t size) {
    return offset <= i->size && size <= i->size - offset ? i->bytes + offset : NULL;
}

static bool mentions(const image *i, const char *text) {
    return memmem(i->bytes, i->size, text, strlen(text)) != NULL;
}

static const ElfW(Phdr) * program_header(const image *i, const ElfW(Ehdr) * head, unsigned type) {
    const ElfW(Phdr) *headers = part(i, head->e_phoff, (uint64_t)head->e_phnum * sizeof *headers);
    for (unsigned n = 0; headers != NULL && n < head->e_phnum; n++)
        if (headers[n].p_type == type) return &headers[n];
    return NULL;
}

/* Whether the file exports a function of this name to what it loads. */
static bool exports(const image *i, const ElfW(Ehdr) * head, const char *name) {
    const ElfW(Shdr) *sections = part(i, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections);
    for (unsigned n = 0; sections != NULL && n < head->e_shnum; n++) {
        const ElfW(Shdr) *s = &sections[n];
        if (s->sh_type != SHT_DYNSYM || s->sh_link >= head->e_shnum) continue;
        const ElfW(Shdr) *text = &sections[s->sh_link];
        const ElfW(Sym) *symbols = part(i, s->sh_offset, s->sh_size);
        const char *names = part(i, text->sh_offset, text->sh_size);
        size_t len = strlen(name) + 1;
        for (size_t k = 0; symbols != NULL && names != NULL && k < s->sh_size / sizeof *symbols; k++) {
            if (symbols[k].st_shndx == SHN_UNDEF || symbols[k].st_name > text->sh_size) continue;
            if (text->sh_size - symbols[k].st_name < len) continue;
            if (memcmp(names + symbols[k].st_name, name, len) == 0) return true;
        }
    }
    return false;
}

static enum program_kind elf_kind(const image *i) {
    const ElfW(Ehdr) *head = part(i, 0, sizeof *head);
    const ElfW(Ehdr) *self = part(i, 0, EI_NIDENT);
    if (self == NULL) return PROGRAM_UNKNOWN;
    bool ours_class = i->bytes[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
#if defined(__x86_64__)
    const unsigned machine = EM_X86_64;
#elif defined(__aarch64__)
    const unsigned machine = EM_AARCH64;
#else
    const unsigned machine = head != NULL ? head->e_machine : EM_NONE; /* not checked */
#endif
    if (head == NULL || !ours_class || head->e_machine != machine) return PROGRAM_FOREIGN;
    if (head->e_phentsize != sizeof(ElfW(Phdr))) return PROGRAM_UNKNOWN;
    if (program_header(i, head, PT_INTERP) == NULL) return PROGRAM_STATIC;
    /* Every LuaJIT has this, in jit.version and in a symbol. A program that uses a shared one may show it, too. */
    if (mentions(i, "libluajit") || !mentions(i, "LuaJIT 2.")) return PROGRAM_PRELOAD;
    return exports(i, head, "luaJIT_setmode") && mentions(i, "LUA_INIT") ? PROGRAM_LUA_INIT : PROGRAM_INSIDE;
}

/* ---- Scripts ---- */

/* The interpreter that a "#!" line names, "env" looked through. NULL: none can be told. */
static char *interpreter(const image *i) {
    char line[256], *rest = line + 2;
    size_t size = i->size < sizeof line - 1 ? i->size : sizeof line - 1;
    memcpy(line, i->bytes, size);
    line[size] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *word = strtok_r(rest, " \t", &rest);
    if (word == NULL) return NULL;
    const char *slash = strrchr(word, '/');
    if (slash != NULL && strcmp(slash, "/env") == 0) do
            word = strtok_r(rest, " \t", &rest);
        while (word != NULL && (word[0] == '-' || strchr(word, '=') != NULL));
    return word != NULL ? program_find(word) : NULL;
}

static enum program_kind kind_of(const char *path, bool script) {
    struct stat st;
    enum program_kind kind = PROGRAM_UNKNOWN;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return PROGRAM_UNKNOWN;
    void *memory = MAP_FAILED;
    if (fstat(fd, &st) == 0 && st.st_size > EI_NIDENT)
        memory = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) return PROGRAM_UNKNOWN;
    image i = {.bytes = memory, .size = (size_t)st.st_size};
    if (memcmp(i.bytes, ELFMAG, SELFMAG) == 0) {
        kind = (st.st_mode & (S_ISUID | S_ISGID)) != 0 && geteuid() != 0 ? PROGRAM_SETUID : elf_kind(&i);
    } else if (script && memcmp(i.bytes, "#!", 2) == 0) {
        char *runs = interpreter(&i);
        if (runs != NULL) kind = kind_of(runs, false);
        free(runs);
    }
    munmap(memory, i.size);
    return kind;
}

enum program_kind program_kind(const char *path) {
    return kind_of(path, true);
}
