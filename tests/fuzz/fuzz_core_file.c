/* Bytes: a core file. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_ends(target *t) {
    size_t n;
    const target_map *maps = target_maps(t, &n);
    for (size_t i = 0; i < n; i++) {
        uint64_t word;
        if (maps[i].start >= maps[i].end || (i > 0 && maps[i].start < maps[i - 1].end)) abort();
        target_read(t, maps[i].start, &word, sizeof word);
        target_read(t, maps[i].end - 4, &word, sizeof word);
        if (target_map_at(t, maps[i].end - 1) != &maps[i]) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static int fd = -1;
    target_error error;
    char path[32];
    if (fd < 0) fd = memfd_create("core", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    target *t = target_open_core(path, NULL, &error);
    if (t == NULL) return 0;
    read_ends(t);
    char *text = report_stack(t, true, true, true);
    if (text[0] != '\0') report_check_json(text);
    free(text);
    target_close(t);
    return 0;
}
