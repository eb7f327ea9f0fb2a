/* Who could have written a file. Most rules are about other users, so most tests need root; without, they say so. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trust.h"

enum { OTHER = 12345, ANOTHER = 23456 };

/* A directory of root's in one that everybody may write and that is sticky: base/d. */
typedef struct fixture {
    char base[PATH_MAX];
    char why[2 * PATH_MAX];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    char name[] = "/tmp/ljinspect-trust.XXXXXX";
    if (mkdtemp(name) == NULL || realpath(name, f->base) == NULL || chmod(f->base, 0755) != 0) return -1;
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state) {
    fixture *f = *state;
    nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* `name` below the base; an absolute one as it is. Four results are valid at a time. */
static const char *in(const fixture *f, const char *name) {
    static char paths[4][3 * PATH_MAX];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s%s%s", name[0] == '/' ? "" : f->base, name[0] == '/' ? "" : "/", name);
    return path;
}

static void make_file(fixture *f, const char *name) {
    int fd = open(in(f, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) fail_msg("%s: %s", name, strerror(errno));
    assert_int_equal(fchmod(fd, 0644), 0);
    close(fd);
}

static void make_dir(fixture *f, const char *name) {
    assert_int_equal(mkdir(in(f, name), 0755), 0);
    assert_int_equal(chmod(in(f, name), 0755), 0);
}

static void make_link(fixture *f, const char *target, const char *name) {
    assert_int_equal(symlink(target, in(f, name)), 0);
}

static void set_mode(fixture *f, const char *name, mode_t mode) {
    assert_int_equal(chmod(in(f, name), mode), 0);
}

static void set_owner(fixture *f, const char *name, uid_t owner) {
    assert_int_equal(lchown(in(f, name), owner, (gid_t)-1), 0);
}

static bool check(fixture *f, const char *name) {
    int fd = open(in(f, name), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_msg("%s: %s", name, strerror(errno));
    memset(f->why, 0, sizeof f->why);
    bool ok = trust_check(in(f, name), fd, f->why, sizeof f->why);
    close(fd);
    return ok;
}

#define assert_trusted(f, name)                                                \
    do {                                                                       \
        if (!check((f), (name))) fail_msg("%s refused: %s", (name), (f)->why); \
    } while (0)

/* Whether the reason, "<what> <path> is ...", names this path, maybe with dots in it. */
static bool names(const char *why, const char *path) {
    char named[2 * PATH_MAX], real[PATH_MAX];
    const char *begin = strchr(why, ' '), *end = begin != NULL ? strstr(begin, " is ") : NULL;
    if (end == NULL) return false;
    snprintf(named, sizeof named, "%.*s", (int)(end - begin - 1), begin + 1);
    return strcmp(named, path) == 0 || (realpath(named, real) != NULL && strcmp(real, path) == 0);
}

/* Refused, because of `about` (a name below the base), for `reason`. */
static void assert_refused(fixture *f, const char *name, const char *about, const char *reason) {
    if (check(f, name)) fail_msg("%s is trusted", name);
    if (strstr(f->why, reason) == NULL) fail_msg("\"%s\" does not say \"%s\"", f->why, reason);
    if (!names(f->why, in(f, about))) fail_msg("\"%s\" does not name %s", f->why, in(f, about));
}

static const char writable[] = "writable by others";
static const char owned[] = "is owned by user 12345";

static void need_root(void) {
    if (geteuid() == 0) return;
    print_message("SKIPPED: this test changes owners and needs root\n");
    skip();
}

/* ---- The file ---- */

static void a_plain_file_in_a_plain_directory_is_trusted(void **state) {
    fixture *f = *state;
    make_file(f, "file");
    assert_trusted(f, "file");
    for (mode_t mode = 0400; mode <= 0755; mode++) {
        if ((mode & 0022) != 0 || (mode & 0400) == 0) continue;
        set_mode(f, "file", mode);
        assert_trusted(f, "file");
    }
}

static void a_file_writable_by_group_or_others_is_refused(void **state) {
    fixture *f = *state;
    make_file(f, "file");
    static const mode_t modes[] = {0664, 0646, 0666, 0620, 0602, 0777, 04666, 01666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        set_mode(f, "file", modes[i]);
        assert_refused(f, "file", "file", writable);
    }
}

static void a_file_of_another_user_is_refused(void **state) {
    fixture *f = *state;
    need_root();
    make_file(f, "file");
    set_owner(f, "file", OTHER);
    assert_refused(f, "file", "file", owned);
}

/* Run `body` as user OTHER; its result. */
static int as_other(int (*body)(fixture *f), fixture *f) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (setegid(OTHER) != 0 || seteuid(OTHER) != 0) _exit(99);
        _exit(body(f));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int is_trusted(fixture *f) {
    return check(f, "d/file");
}

static void the_processs_user_and_root_are_trusted_by_a_process_that_is_not_root(void **state) {
    fixture *f = *state;
    need_root();
    make_dir(f, "d");
    make_file(f, "d/file");
    assert_int_equal(as_other(is_trusted, f), 1);
    set_owner(f, "d/file", OTHER);
    assert_int_equal(as_other(is_trusted, f), 1);
    set_owner(f, "d", OTHER);
    assert_int_equal(as_other(is_trusted, f), 1);
    set_owner(f, "d/file", ANOTHER);
    assert_int_equal(as_other(is_trusted, f), 0);
    set_owner(f, "d/file", 0);
    set_owner(f, "d", ANOTHER);
    assert_int_equal(as_other(is_trusted, f), 0);
}

/* ---- Directories ---- */

static void a_file_in_a_writable_directory_is_refused(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    make_file(f, "d/file");
    static const mode_t modes[] = {0775, 0757, 0777, 01777, 02775};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        set_mode(f, "d", modes[i]);
        assert_refused(f, "d/file", "d", writable);
    }
    set_mode(f, "d", 0755);
    assert_trusted(f, "d/file");
}

static void a_file_in_a_directory_of_another_user_is_refused(void **state) {
    fixture *f = *state;
    need_root();
    make_dir(f, "d");
    make_file(f, "d/file");
    set_owner(f, "d", OTHER);
    assert_refused(f, "d/file", "d", owned);
}

static void an_ancestor_of_another_user_is_refused(void **state) {
    fixture *f = *state;
    need_root();
    make_dir(f, "d");
    make_dir(f, "d/e");
    make_file(f, "d/e/file");
    set_owner(f, "d", OTHER);
    assert_refused(f, "d/e/file", "d", owned);
}

static void an_ancestor_writable_by_others_is_refused_unless_it_is_sticky(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    make_dir(f, "d/e");
    make_file(f, "d/e/file");
    set_mode(f, "d", 0777);
    assert_refused(f, "d/e/file", "d", writable);
    set_mode(f, "d", 0775);
    assert_refused(f, "d/e/file", "d", writable);
    set_mode(f, "d", 01777);
    assert_trusted(f, "d/e/file");
    set_mode(f, "d", 01775);
    assert_trusted(f, "d/e/file");
}

/* A sticky directory keeps others from renaming what is ours, not what is theirs. */
static void in_a_sticky_ancestor_a_directory_of_another_user_is_refused(void **state) {
    fixture *f = *state;
    need_root();
    make_dir(f, "d");
    make_dir(f, "d/e");
    make_file(f, "d/e/file");
    set_mode(f, "d", 01777);
    set_owner(f, "d/e", OTHER);
    assert_refused(f, "d/e/file", "d/e", owned);
}

static void a_file_right_in_tmp_is_refused(void **state) {
    fixture *f = *state;
    struct stat st;
    char name[] = "/tmp/ljinspect-trust-file.XXXXXX";
    if (stat("/tmp", &st) != 0 || (st.st_mode & 0002) == 0) {
        print_message("SKIPPED: /tmp is not writable by others here\n");
        skip();
    }
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    bool ok = trust_check(name, fd, f->why, sizeof f->why);
    close(fd);
    unlink(name);
    assert_false(ok);
    assert_non_null(strstr(f->why, "/tmp is writable"));
}

/* ---- Links ---- */

static void a_link_is_followed_to_a_trusted_file(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    make_dir(f, "e");
    make_file(f, "d/file");
    make_link(f, "../d/file", "e/relative");
    make_link(f, in(f, "d/file"), "e/absolute");
    make_link(f, "relative", "e/chain");
    make_link(f, ".//.././d/../d//file", "e/winding");
    make_link(f, "../d/", "e/directory");
    assert_trusted(f, "e/relative");
    assert_trusted(f, "e/absolute");
    assert_trusted(f, "e/chain");
    assert_trusted(f, "e/winding");
    assert_trusted(f, "e/directory/file");
    assert_trusted(f, "e/../e/directory/../e/chain");
}

static void a_link_of_another_user_is_refused(void **state) {
    fixture *f = *state;
    need_root();
    make_dir(f, "d");
    make_file(f, "d/file");
    make_link(f, "d/file", "link");
    set_owner(f, "link", OTHER);
    assert_refused(f, "link", "link", owned);
    make_link(f, "link", "second");
    assert_refused(f, "second", "link", owned);
}

static void a_link_in_a_writable_directory_is_refused(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    make_dir(f, "e");
    make_file(f, "d/file");
    make_link(f, "../d/file", "e/link");
    set_mode(f, "e", 0777);
    assert_refused(f, "e/link", "e", writable);
    set_mode(f, "e", 01777);
    assert_refused(f, "e/link", "e", writable);
}

static void a_link_to_a_file_in_a_writable_directory_is_refused(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    make_file(f, "d/file");
    make_link(f, "d/file", "link");
    set_mode(f, "d", 01777);
    assert_refused(f, "link", "d", writable);
    set_mode(f, "d", 0755);
    set_mode(f, "d/file", 0666);
    assert_refused(f, "link", "link", writable); /* the open file is known by the path it was asked for */
}

static void each_link_of_a_chain_counts(void **state) {
    fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    make_dir(f, "c");
    make_file(f, "c/file");
    make_link(f, "../c/file", "b/link");
    make_link(f, "../b/link", "a/link");
    assert_trusted(f, "a/link");
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        set_mode(f, names[i], 0777);
        assert_refused(f, "a/link", names[i], writable);
        set_mode(f, names[i], 0755);
    }
}

static void a_link_to_a_directory_on_the_way_counts(void **state) {
    fixture *f = *state;
    make_dir(f, "real");
    make_dir(f, "real/sub");
    make_file(f, "real/sub/file");
    make_dir(f, "way");
    make_link(f, "../real", "way/to");
    assert_trusted(f, "way/to/sub/file");
    set_mode(f, "way", 01777); /* it holds a link, so that sticky does not help */
    assert_refused(f, "way/to/sub/file", "way", writable);
    set_mode(f, "way", 0755);
    set_mode(f, "real", 0777);
    assert_refused(f, "way/to/sub/file", "real", writable);
    set_mode(f, "real", 0755);
    set_mode(f, "real/sub", 0775);
    assert_refused(f, "way/to/sub/file", "real/sub", writable);
}

/* "link/.." is the directory that holds the link's target. */
static void dots_behind_a_link_lead_where_the_system_says(void **state) {
    fixture *f = *state;
    make_dir(f, "real");
    make_dir(f, "real/sub");
    make_file(f, "real/file");
    make_dir(f, "way");
    make_link(f, "../real/sub", "way/link");
    assert_trusted(f, "way/link/../file");
    set_mode(f, "real", 0777);
    if (check(f, "way/link/../file")) fail_msg("trusted");
    set_mode(f, "real", 0755);
    make_dir(f, "open");
    make_file(f, "open/file");
    make_link(f, "../real/sub/../../open/file", "way/winding");
    assert_trusted(f, "way/winding");
    set_mode(f, "open", 0777);
    if (check(f, "way/winding")) fail_msg("trusted");
}

static void a_chain_of_as_many_links_as_the_system_follows_is_checked(void **state) {
    fixture *f = *state;
    char name[16], target[16];
    make_file(f, "0");
    for (int i = 1; i <= 40; i++) {
        snprintf(name, sizeof name, "%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        make_link(f, target, name);
    }
    assert_trusted(f, "40");
    make_dir(f, "d");
    make_file(f, "d/file");
    unlink(in(f, "0"));
    make_link(f, "d/file", "0"); /* 40 is one too many for the system now */
    assert_true(open(in(f, "40"), O_RDONLY | O_CLOEXEC) < 0);
    assert_trusted(f, "39");
    set_mode(f, "d", 0777);
    assert_refused(f, "39", "d", writable);
}

static void an_endless_chain_of_links_ends(void **state) {
    fixture *f = *state;
    make_file(f, "file");
    make_link(f, "two", "one");
    make_link(f, "one", "two");
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    assert_false(trust_check(in(f, "one"), fd, f->why, sizeof f->why));
    close(fd);
    assert_non_null(strstr(f->why, strerror(ELOOP)));
}

static void what_cannot_be_looked_at_is_refused(void **state) {
    fixture *f = *state;
    make_file(f, "file");
    make_link(f, "nowhere", "dangling");
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    assert_false(trust_check(in(f, "dangling"), fd, f->why, sizeof f->why));
    assert_non_null(strstr(f->why, strerror(ENOENT)));
    assert_false(trust_check(in(f, "missing/file"), fd, f->why, sizeof f->why));
    close(fd);
    assert_false(trust_check(in(f, "file"), -1, f->why, sizeof f->why));
    assert_non_null(strstr(f->why, strerror(EBADF)));
}

static void a_path_too_long_is_refused(void **state) {
    fixture *f = *state;
    char path[3 * PATH_MAX];
    make_file(f, "file");
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s", f->base);
    for (size_t len = strlen(path); len < 2 * PATH_MAX; len += 2) strcpy(path + len, "/x");
    assert_false(trust_check(path, fd, f->why, sizeof f->why));
    memset(path + 1, 'x', PATH_MAX + 10);
    path[PATH_MAX + 11] = '\0';
    assert_false(trust_check(path, fd, f->why, sizeof f->why));
    assert_true(strlen(f->why) > 0 && strlen(f->why) < sizeof f->why);
    close(fd);
}

static void a_reason_that_does_not_fit_is_cut(void **state) {
    fixture *f = *state;
    char why[8];
    make_file(f, "file");
    set_mode(f, "file", 0666);
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    memset(why, '?', sizeof why);
    assert_false(trust_check(in(f, "file"), fd, why, sizeof why));
    close(fd);
    assert_int_equal(why[7], '\0');
}

/* ---- All together ---- */

static const uid_t owners[] = {0, OTHER, ANOTHER};

/* One way to a file, base/g/d/file, straight or over a link in base/way. */
typedef struct way {
    uid_t host; /* the effective user of the process */
    uid_t file_owner, dir_owner, above_owner;
    mode_t file_mode, dir_mode, above_mode;
    bool link; /* and if so: */
    uid_t link_owner, way_owner;
    mode_t way_mode;
} way;

/* The rule, said once more and otherwise. */
static bool may_be_trusted(const way *w) {
    const struct {
        bool counts;
        uid_t owner;
        mode_t mode;
        bool sticky_helps;
    } all[] = {{true, w->file_owner, w->file_mode, false},
               {true, w->dir_owner, w->dir_mode, false},
               {true, w->above_owner, w->above_mode, true},
               {w->link, w->link_owner, 0, false},
               {w->link, w->way_owner, w->way_mode, false}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!all[i].counts) continue;
        if (all[i].owner != 0 && all[i].owner != w->host) return false;
        if ((all[i].mode & 0022) != 0 && !(all[i].sticky_helps && (all[i].mode & 01000) != 0)) return false;
    }
    return true;
}

static void try_way(fixture *f, const way *w, unsigned *trusted, unsigned *refused) {
    const char *name = w->link ? "way/link" : "g/d/file";
    assert_int_equal(seteuid(w->host), 0);
    bool ok = check(f, name);
    assert_int_equal(seteuid(0), 0);
    if (ok != may_be_trusted(w))
        fail_msg("process of %u, file %u %04o, directory %u %04o, the one above %u %04o, link %d %u in %u %04o: %s %s",
                 w->host, w->file_owner, w->file_mode, w->dir_owner, w->dir_mode, w->above_owner, w->above_mode,
                 w->link, w->link_owner, w->way_owner, w->way_mode, ok ? "trusted" : "refused,", f->why);
    ++*(ok ? trusted : refused);
}

static void try_links(fixture *f, way w, unsigned *trusted, unsigned *refused) {
    static const mode_t modes[] = {0755, 01777};
    w.link = false;
    try_way(f, &w, trusted, refused);
    w.link = true;
    for (size_t i = 0; i < 3 * 3 * 2; i++) {
        w.link_owner = owners[i % 3];
        w.way_owner = owners[i / 3 % 3];
        w.way_mode = modes[i / 9];
        set_owner(f, "way/link", w.link_owner);
        set_owner(f, "way", w.way_owner);
        set_mode(f, "way", w.way_mode);
        try_way(f, &w, trusted, refused);
    }
}

static void every_combination_of_owners_and_modes_is_as_the_rule_says(void **state) {
    fixture *f = *state;
    static const mode_t file_modes[] = {0644, 0664, 01646}, dir_modes[] = {0755, 0775, 0757, 01777},
                        above_modes[] = {0755, 0777, 01777};
    unsigned trusted = 0, refused = 0;
    need_root();
    make_dir(f, "g");
    make_dir(f, "g/d");
    make_dir(f, "way");
    make_file(f, "g/d/file");
    make_link(f, "../g/d/file", "way/link");
    for (size_t i = 0; i < 2 * 9 * 12; i++) {
        way w = {.host = owners[i % 2], .file_owner = owners[i / 2 % 3], .file_mode = file_modes[i / 6 % 3]};
        w.dir_owner = owners[i / 18 % 3];
        w.dir_mode = dir_modes[i / 54];
        set_owner(f, "g/d/file", w.file_owner);
        set_mode(f, "g/d/file", w.file_mode); /* after the owner: that takes special bits away */
        set_owner(f, "g/d", w.dir_owner);
        set_mode(f, "g/d", w.dir_mode);
        for (size_t k = 0; k < 3 * 3; k++) {
            w.above_owner = owners[k % 3];
            w.above_mode = above_modes[k / 3];
            set_owner(f, "g", w.above_owner);
            set_mode(f, "g", w.above_mode);
            try_links(f, w, &trusted, &refused);
        }
    }
    print_message("%u ways trusted, %u refused\n", trusted, refused);
    assert_int_equal(trusted + refused, 216 * 9 * 19);
}

/* ---- While others change it ---- */

/* What was opened is not what the path leads to by now. */
static void a_file_put_in_anothers_place_meanwhile_is_refused(void **state) {
    fixture *f = *state;
    make_file(f, "file");
    make_file(f, "new");
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    assert_true(trust_check(in(f, "file"), fd, f->why, sizeof f->why));
    assert_int_equal(rename(in(f, "new"), in(f, "file")), 0);
    assert_false(trust_check(in(f, "file"), fd, f->why, sizeof f->why));
    assert_int_equal(errno, ESTALE);
    assert_non_null(strstr(f->why, "changed while"));
    close(fd);
}

static void without_descriptors_the_reason_is_the_systems(void **state) {
    fixture *f = *state;
    struct rlimit old;
    make_file(f, "file");
    int fd = open(in(f, "file"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (int room = 1; room <= 3; room++) {
        struct rlimit low = {.rlim_cur = (rlim_t)fd + (rlim_t)room, .rlim_max = old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        bool ok = trust_check(in(f, "file"), fd, f->why, sizeof f->why);
        int error = errno;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(ok == (room == 3));
        if (!ok) assert_int_equal(error, EMFILE);
    }
    close(fd);
}

/* Hosts run VMs on threads with small stacks. */
static void *check_chain(void *arg) {
    static char why[2 * PATH_MAX];
    const char *path = arg;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return (void *)(intptr_t)trust_check(path, fd, why, sizeof why);
}

static void a_long_chain_of_links_is_checked_on_a_small_stack(void **state) {
    fixture *f = *state;
    char name[16], target[16];
    make_file(f, "0");
    for (int i = 1; i <= 39; i++) {
        snprintf(name, sizeof name, "%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        make_link(f, target, name);
    }
    fflush(NULL);
    pid_t child = fork(); /* which may overflow its stack */
    if (child == 0) {
        pthread_attr_t attr;
        pthread_t thread;
        void *trusted = NULL;
        pthread_attr_init(&attr);
        if (pthread_attr_setstacksize(&attr, 256 * 1024) != 0) _exit(98);
        if (pthread_create(&thread, &attr, check_chain, (void *)(uintptr_t)in(f, "39")) != 0) _exit(97);
        pthread_join(thread, &trusted);
        _exit(trusted != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) fail_msg("died of signal %d: stack overflow", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_plain_file_in_a_plain_directory_is_trusted),
        T(a_file_writable_by_group_or_others_is_refused),
        T(a_file_of_another_user_is_refused),
        T(the_processs_user_and_root_are_trusted_by_a_process_that_is_not_root),
        T(a_file_in_a_writable_directory_is_refused),
        T(a_file_in_a_directory_of_another_user_is_refused),
        T(an_ancestor_of_another_user_is_refused),
        T(an_ancestor_writable_by_others_is_refused_unless_it_is_sticky),
        T(in_a_sticky_ancestor_a_directory_of_another_user_is_refused),
        T(a_file_right_in_tmp_is_refused),
        T(a_link_is_followed_to_a_trusted_file),
        T(a_link_of_another_user_is_refused),
        T(a_link_in_a_writable_directory_is_refused),
        T(a_link_to_a_file_in_a_writable_directory_is_refused),
        T(each_link_of_a_chain_counts),
        T(a_link_to_a_directory_on_the_way_counts),
        T(dots_behind_a_link_lead_where_the_system_says),
        T(a_chain_of_as_many_links_as_the_system_follows_is_checked),
        T(an_endless_chain_of_links_ends),
        T(what_cannot_be_looked_at_is_refused),
        T(a_path_too_long_is_refused),
        T(a_reason_that_does_not_fit_is_cut),
        T(a_long_chain_of_links_is_checked_on_a_small_stack),
        T(every_combination_of_owners_and_modes_is_as_the_rule_says),
        T(a_file_put_in_anothers_place_meanwhile_is_refused),
        T(without_descriptors_the_reason_is_the_systems),
    };
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
