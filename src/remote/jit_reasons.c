/*
 * The numbers of the reasons why recording fails (lj_traceerr.h) are each build's own. Their texts stand in the module
 * jit.vmdef, which is made together with the build.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jit.h"

enum { HEADERS = 8, NAME = 6 /* of an instruction, in bcnames */ };

/* What is left out of a text where the VM would insert a name or a number. */
static void add(jit_reasons *r, const char *text, size_t len) {
    if (r->n == JIT_REASONS_MAX) return;
    char *out = r->text[r->n++];
    if (len > JIT_REASON_TEXT - 1) len = JIT_REASON_TEXT - 1;
    memcpy(out, text, len);
    out[len] = '\0';
    char *percent = strstr(out, " %");
    if (percent != NULL) *percent = '\0';
}

/* ---- As the VM has it ---- */

static bool table_field(heap *h, uint64_t table, const char *name, uint64_t *found) {
    uint64_t value;
    if (!heap_field(h, table, name, 0, &value)) return false;
    *found = remote_object(value, VM_TYPE_TABLE);
    return *found != 0;
}

static bool loaded_module(heap *h, const char *name, uint64_t *module) {
    const unsigned char *g = copy_at(h->c, h->vm.g, REMOTE_G_SIZE);
    uint64_t loaded;
    return g != NULL && table_field(h, remote_object(vm_u64(g, VM_G_REGISTRY), VM_TYPE_TABLE), "_LOADED", &loaded) &&
           table_field(h, loaded, name, module);
}

static bool from_vm(heap *h, jit_reasons *r) {
    uint64_t module, list, value;
    char text[JIT_REASON_TEXT];
    size_t len;
    if (!loaded_module(h, "jit.vmdef", &module) || !table_field(h, module, "traceerr", &list)) return false;
    for (uint64_t i = 0; i < JIT_REASONS_MAX && heap_field(h, list, NULL, i, &value); i++) {
        if (!remote_string(h->t, remote_object(value, VM_TYPE_STRING), text, sizeof text, &len)) break;
        add(r, text, strlen(text));
    }
    snprintf(r->from, sizeof r->from, "jit.vmdef, which the VM has loaded");
    return r->n > 0;
}

/* ---- From the file ---- */

/* bcnames = "ISLT  ISGE  ..." must have the VM's number of instructions. */
static bool fits(const heap *h, const char *text) {
    const char *at = strstr(text, "bcnames");
    const char *begin = at != NULL ? strchr(at, '"') : NULL, *end = begin != NULL ? strchr(begin + 1, '"') : NULL;
    return end != NULL && (size_t)(end - begin - 1) == NAME * ((size_t)h->vm.n_ops + HEADERS);
}

/* traceerr = { [0]="...", "...", }. The texts have no quotes in them. */
static bool parse(const heap *h, const char *text, jit_reasons *r) {
    const char *at = fits(h, text) ? strstr(text, "traceerr") : NULL;
    const char *end = at != NULL ? strchr(at, '}') : NULL;
    if (end == NULL) return false;
    while ((at = strchr(at, '"')) != NULL && at < end) {
        const char *close = strchr(at + 1, '"');
        if (close == NULL || close > end) return false;
        add(r, at + 1, (size_t)(close - at - 1));
        at = close + 1;
    }
    return r->n > 0;
}

/* Whoever the process belongs to may have put there what it likes. */
static bool from_file(const heap *h, const char *path, jit_reasons *r) {
    enum { SIZE_MAX_FILE = 1 << 18 };
    struct stat st;
    bool ok = false;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false; /* opening others may do something */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < SIZE_MAX_FILE) {
        char *text = calloc(1, (size_t)st.st_size + 1);
        ok = text != NULL && read(fd, text, (size_t)st.st_size) == st.st_size && parse(h, text, r);
        free(text);
    }
    close(fd);
    return ok;
}

/* package.path is a list of names with a question mark for the module's; those below /, as the process sees them. */
static bool from_files(heap *h, jit_reasons *r) {
    uint64_t module, value;
    char paths[4096], path[4096];
    size_t len;
    if (!loaded_module(h, "package", &module) || !heap_field(h, module, "path", 0, &value)) return false;
    if (!remote_string(h->t, remote_object(value, VM_TYPE_STRING), paths, sizeof paths, &len)) return false;
    char *rest = paths;
    for (const char *one; (one = strtok_r(rest, ";", &rest)) != NULL;) {
        const char *mark = strchr(one, '?');
        if (one[0] != '/' || mark == NULL) continue;
        int n = snprintf(path, sizeof path, "/proc/%d/root%.*sjit/vmdef%s", (int)target_pid(h->t), (int)(mark - one),
                         one, mark + 1);
        if (n < 0 || (size_t)n >= sizeof path || !from_file(h, path, r)) continue;
        snprintf(r->from, sizeof r->from, "%s", strchr(path + 6, '/') + 5);
        return true;
    }
    return false;
}

void jit_find_reasons(heap *h, bool is_process, jit_reasons *r) {
    *r = (jit_reasons){0};
    r->known = from_vm(h, r);
    if (r->known) return;
    r->n = 0;
    r->known = is_process && from_files(h, r);
}
