/*
 * The file watcher where the system stands in its way: mounts, which it is not told of; limits that are reached, and raised
 * again; a queue of events that overflows; a host that takes its descriptors away. It runs in namespaces of its own, for
 * mounts and limits that are nobody else's.
 */
#include "watching.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static bool mounts, limits; /* whether they are ours to change */

static void need(bool there, const char *what) {
    if (!there) {
        print_message("SKIPPED: the kernel does not let this test have %s of its own\n", what);
        skip();
    }
}

/* -- mounts ---------------------------------------------------------------------------------------------------- */

static void mount_over(const char *from, const char *to) {
    bool bind = from != NULL;
    if (mount(bind ? from : "none", to, bind ? NULL : "tmpfs", bind ? MS_BIND : 0, NULL) != 0) {
        fail_msg("mount on %s: %s", to, strerror(errno));
    }
}

static void unmount(const char *at) {
    int64_t end = now_ms() + DEADLINE_MS;
    while (umount(at) != 0) {
        if (errno != EBUSY || now_ms() > end) {
            fail_msg("umount %s: %s", at, strerror(errno));
        }
        sleep_ms(1);
    }
}

static void a_mount_over_the_file_is_found(void **state) {
    fixture *f = *state;
    need(mounts, "mounts");
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    put(f, "other", "22");
    start(f, "hooks.lua");
    for (int i = 0; i < 3; i++) {
        mount_over(in(f, "other"), in(f, "hooks.lua"));
        expect_text(f, "hooks.lua", "22");
        unmount(in(f, "hooks.lua"));
        expect_text(f, "hooks.lua", "1");
    }
}

static void a_mount_over_the_directory_is_found(void **state) {
    fixture *f = *state;
    need(mounts, "mounts");
    f->delay_ms = 30;
    make_dir(f, "d");
    put(f, "d/hooks.lua", "1");
    start(f, "d/hooks.lua");
    mount_over(NULL, in(f, "d"));
    expect_text(f, "d/hooks.lua", "-");
    put(f, "d/hooks.lua", "22");
    expect_text(f, "d/hooks.lua", "22");
    put(f, "d/hooks.lua.new", "333");
    move(f, "d/hooks.lua.new", "d/hooks.lua");
    expect_text(f, "d/hooks.lua", "333");
    unmount(in(f, "d"));
    expect_text(f, "d/hooks.lua", "1");
    put(f, "d/hooks.lua", "4444");
    expect_text(f, "d/hooks.lua", "4444");
}

static void a_mount_further_up_is_found_and_what_happens_in_it(void **state) {
    fixture *f = *state;
    need(mounts, "mounts");
    f->delay_ms = 30;
    make_dir(f, "a");
    make_dir(f, "a/b");
    make_dir(f, "c");
    make_dir(f, "c/b");
    put(f, "a/b/hooks.lua", "1");
    put(f, "c/b/hooks.lua", "22");
    make_link(f, "a/b/hooks.lua", "hooks.lua");
    start(f, "hooks.lua");
    mount_over(in(f, "c"), in(f, "a"));
    expect_text(f, "hooks.lua", "22");
    put(f, "c/b/hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
    move(f, "c/b", "c/away");
    expect_text(f, "hooks.lua", "-");
    move(f, "c/away", "c/b");
    expect_text(f, "hooks.lua", "333");
    unmount(in(f, "a"));
    expect_text(f, "hooks.lua", "1");
}

/* -- limits ---------------------------------------------------------------------------------------------------- */

static void set_limit(const char *what, const char *value) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/sys/user/max_inotify_%s", what);
    if (!write_text(path, value)) {
        fail_msg("%s: %s", path, strerror(errno));
    }
}

static void when_there_are_instances_again_the_system_notifies_again(void **state) {
    fixture *f = *state;
    need(limits, "limits");
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    set_limit("instances", "0");
    start(f, "hooks.lua");
    assert_int_equal(watch_mode(f->w), WATCH_POLLING);
    assert_int_equal(watch_inotify_errno(f->w), EMFILE);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    assert_int_equal(watch_mode(f->w), WATCH_POLLING);
    set_limit("instances", "1000");
    expect_mode(f, WATCH_INOTIFY);
    expect_report(f); /* of that, for the log */
    drain(f);
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

static void when_there_are_watches_again_the_system_notifies_again(void **state) {
    fixture *f = *state;
    need(limits, "limits");
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    set_limit("watches", "1");
    start(f, "hooks.lua");
    assert_int_equal(watch_mode(f->w), WATCH_POLLING);
    assert_int_equal(watch_inotify_errno(f->w), ENOSPC);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    set_limit("watches", "1000");
    expect_mode(f, WATCH_INOTIFY);
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

/* The way to the file becomes longer than there are watches for. */
static void when_watches_run_out_while_it_runs_it_polls(void **state) {
    fixture *f = *state;
    need(limits, "limits");
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_int_equal(watch_mode(f->w), WATCH_INOTIFY);
    make_dir(f, "a");
    make_dir(f, "a/b");
    make_dir(f, "a/b/c");
    put(f, "a/b/c/file", "22");
    set_limit("watches", "2");
    make_link(f, "a/b/c/file", "new");
    move(f, "new", "hooks.lua");
    expect_text(f, "hooks.lua", "22");
    expect_mode(f, WATCH_POLLING);
    assert_int_equal(watch_inotify_errno(f->w), ENOSPC);
    put(f, "a/b/c/file", "333");
    expect_text(f, "hooks.lua", "333");
    set_limit("watches", "1000");
    expect_mode(f, WATCH_INOTIFY);
    put(f, "a/b/c/file", "4444");
    expect_text(f, "hooks.lua", "4444");
}

static void when_there_are_descriptors_again_the_system_notifies_again(void **state) {
    fixture *f = *state;
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    struct rlimit old = limit_descriptors(1);
    start(f, "hooks.lua");
    enum watch_mode mode = watch_mode(f->w);
    int error = watch_inotify_errno(f->w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(mode, WATCH_POLLING);
    assert_int_equal(error, EMFILE);
    expect_mode(f, WATCH_INOTIFY);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
}

/* -- a queue that overflows ------------------------------------------------------------------------------------- */

static atomic_bool held, holding;

static void hold(void *owner) {
    (void)owner;
    atomic_store(&holding, true);
    while (atomic_load(&held)) {
        sleep_ms(1);
    }
}

static int queued_bytes(int fd) {
    int bytes = -1;
    assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

static long most_queued(void) {
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return strtol(text, NULL, 10);
}

/* Files come and go in the directory until no event is queued any more. */
static void flood(const fixture *f, int inotify_fd) {
    int before = -1;
    long most = most_queued();
    for (long i = 0; before != queued_bytes(inotify_fd); i++) {
        assert_true(i < 2 * most);
        before = queued_bytes(inotify_fd);
        for (int k = 0; k < 100; k++) {
            put(f, "noise", "x");
            remove_file(f, "noise");
        }
    }
}

static void the_thread_is_held(fixture *f, const char *name) {
    watch_options options = {.path = in(f, name), .delay_ms = f->delay_ms, .wake = hold, .owner = f};
    atomic_store(&held, true);
    atomic_store(&holding, false);
    assert_int_equal(watch_start(&options, &f->w), 0);
    put(f, name, "22");
    for (int64_t end = now_ms() + DEADLINE_MS; !atomic_load(&holding);) {
        assert_true(now_ms() < end);
        sleep_ms(1);
    }
}

static void changes_behind_an_overflow_are_found(void **state) {
    fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    put(f, "a/hooks.lua", "1");
    put(f, "b/hooks.lua", "other");
    make_link(f, "a/hooks.lua", "hooks.lua");
    the_thread_is_held(f, "hooks.lua");
    flood(f, inotify_descriptor());
    put(f, "a/hooks.lua", "last");
    atomic_store(&held, false);
    expect_text(f, "hooks.lua", "last");

    /* The directory is another one afterwards: it must be the one that is watched. */
    atomic_store(&held, true);
    atomic_store(&holding, false);
    put(f, "a/hooks.lua", "4444");
    for (int64_t end = now_ms() + DEADLINE_MS; !atomic_load(&holding);) {
        assert_true(now_ms() < end);
        sleep_ms(1);
    }
    flood(f, inotify_descriptor());
    move(f, "a", "c");
    move(f, "b", "a");
    atomic_store(&held, false);
    expect_text(f, "hooks.lua", "other");
    put(f, "a/hooks.lua", "the end");
    expect_text(f, "hooks.lua", "the end");
}

/* -- a host that takes the descriptors away ---------------------------------------------------------------------- */

enum { NUMBERS = 256 };

static void note_open(bool *open) {
    for (int fd = 0; fd < NUMBERS; fd++) {
        open[fd] = fcntl(fd, F_GETFD) >= 0;
    }
}

static int64_t cpu_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void host_takes_numbers(fixture *f, bool socket) {
    bool before[NUMBERS];
    bool after[NUMBERS];
    int pairs[NUMBERS][2];
    note_open(before);
    start(f, "hooks.lua");
    note_open(after);
    put(f, "host", "the host's own");
    int taken = 0;
    for (int fd = 0; fd < NUMBERS; fd++) {
        int own = -1;
        if (!after[fd] || before[fd]) {
            continue;
        }
        taken++;
        if (socket) {
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[fd]), 0);
            own = pairs[fd][0];
            assert_int_equal(write(pairs[fd][1], "data", 4), 4);
        } else {
            own = open(in(f, "host"), O_RDWR | O_CLOEXEC);
        }
        assert_true(own >= 0);
        assert_int_equal(dup2(own, fd), fd);
        close(own);
    }
    assert_int_equal(taken, f->poll_only ? 1 : 2);

    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    expect_mode(f, f->poll_only ? WATCH_POLLING : WATCH_INOTIFY);
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
    int64_t used = cpu_ms();
    sleep_ms(500);
    used = cpu_ms() - used;
    if (used > 250) {
        fail_msg("%lld ms of 500 used", (long long)used);
    }
    stop(f);

    for (int fd = 0; fd < NUMBERS; fd++) {
        char text[32] = "";
        if (!after[fd] || before[fd]) {
            continue;
        }
        if (socket) {
            assert_int_equal(recv(pairs[fd][1], text, sizeof(text), MSG_DONTWAIT), -1); /* nothing was written */
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 4); /* and nothing read */
            close(pairs[fd][1]);
        } else {
            assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
            assert_int_equal(read(fd, text, sizeof(text)), 14);
            assert_string_equal(text, "the host's own");
        }
        assert_int_equal(close(fd), 0);
    }
    note_open(after);
    assert_memory_equal(before, after, sizeof(before));
}

static void files_of_the_host_in_the_place_of_its_descriptors_are_left_alone(void **state) {
    fixture *f = *state;
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    host_takes_numbers(f, false);
}

/* Of these the system tells less than of others: there is no file open behind them, only its place. */
static void places_of_the_host_in_the_place_of_its_descriptors_are_left_alone(void **state) {
    fixture *f = *state;
    bool before[NUMBERS];
    bool after[NUMBERS];
    f->delay_ms = 30000; /* the thread does not look meanwhile */
    put(f, "hooks.lua", "1");
    note_open(before);
    start(f, "hooks.lua");
    note_open(after);
    for (int fd = 0; fd < NUMBERS; fd++) {
        if (!after[fd] || before[fd]) {
            continue;
        }
        int own = open(in(f, "hooks.lua"), O_PATH | O_CLOEXEC);
        assert_true(own >= 0);
        assert_int_equal(dup2(own, fd), fd);
        close(own);
    }
    stop(f);
    for (int fd = 0; fd < NUMBERS; fd++) {
        if (after[fd] && !before[fd]) {
            assert_int_equal(close(fd), 0);
        }
    }
}

static void sockets_of_the_host_in_the_place_of_its_descriptors_are_left_alone(void **state) {
    fixture *f = *state;
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    host_takes_numbers(f, true);
}

/* The host's own are of the same kinds, and the thread has begun to wait for ours. */
static void events_of_the_host_in_the_place_of_its_descriptors_are_left_alone(void **state) {
    fixture *f = *state;
    bool before[NUMBERS];
    bool after[NUMBERS];
    char path[64];
    char kind[64];
    _Alignas(struct inotify_event) char events[512];
    f->delay_ms = 30;
    put(f, "hooks.lua", "1");
    make_dir(f, "host");
    note_open(before);
    start(f, "hooks.lua");
    note_open(after);
    sleep_ms(100);
    int inotify = -1;
    int event = -1;
    for (int fd = 0; fd < NUMBERS; fd++) {
        if (!after[fd] || before[fd]) {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, kind, sizeof(kind) - 1);
        assert_true(n > 0);
        kind[n] = '\0';
        bool notifies = strstr(kind, "inotify") != NULL;
        int own = notifies ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(own >= 0);
        assert_int_equal(dup2(own, fd), fd);
        close(own);
        *(notifies ? &inotify : &event) = fd;
    }
    assert_true(event >= 0 && (inotify >= 0) == !f->poll_only);
    if (inotify >= 0) {
        assert_true(inotify_add_watch(inotify, in(f, "host"), IN_CREATE) > 0);
    }
    sleep_ms(200);
    put(f, "host/file", "");
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    sleep_ms(200);
    stop(f);
    if (inotify >= 0) {
        ssize_t n = read(inotify, events, sizeof(events));
        const struct inotify_event *e = (const struct inotify_event *)(const void *)events;
        assert_int_equal(n, sizeof(*e) + e->len); /* its event, and no other's */
        assert_string_equal(e->name, "file");
        assert_int_equal(close(inotify), 0);
    }
    assert_int_equal(read(event, events, 8), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(close(event), 0);
}

/* -- a host without standard input, output and error ------------------------------------------------------------- */

static void its_descriptors_do_not_become_standard_ones(void **state) {
    fixture *f = *state;
    int status;
#if defined(THREAD_SANITIZER)
    print_message("SKIPPED: the thread sanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    put(f, "hooks.lua", "1");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        watcher *w = NULL;
        watch_options options = {.path = in(f, "hooks.lua"), .delay_ms = 1000, .poll_only = f->poll_only};
        for (int fd = 0; fd < 3; fd++) {
            close(fd);
        }
        bool ok = watch_start(&options, &w) == 0;
        for (int fd = 0; fd < 3; fd++) {
            ok = ok && fcntl(fd, F_GETFD) < 0;
        }
        watch_stop(w);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* -- whose namespaces -------------------------------------------------------------------------------------------- */

/* Before there is a thread. */
static void enter_namespaces(void) {
    char map[64];
    unsigned uid = (unsigned)geteuid();
    unsigned gid = (unsigned)getegid();
    limits = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    mounts = limits || unshare(CLONE_NEWNS) == 0;
    if (limits) {
        snprintf(map, sizeof(map), "0 %u 1", uid);
        bool mapped = write_text("/proc/self/uid_map", map) && write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof(map), "0 %u 1", gid);
        limits = mapped && write_text("/proc/self/gid_map", map) &&
                 write_text("/proc/sys/user/max_inotify_watches", "1000") &&
                 write_text("/proc/sys/user/max_inotify_instances", "1000");
        (void)prctl(PR_SET_DUMPABLE, 1); /* for those who look for leaks */
    }
    mounts = mounts && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(a_mount_over_the_file_is_found),
        BOTH(a_mount_over_the_directory_is_found),
        BOTH(a_mount_further_up_is_found_and_what_happens_in_it),
        INOTIFY(when_there_are_instances_again_the_system_notifies_again),
        INOTIFY(when_there_are_watches_again_the_system_notifies_again),
        INOTIFY(when_watches_run_out_while_it_runs_it_polls),
        INOTIFY(when_there_are_descriptors_again_the_system_notifies_again),
        INOTIFY(changes_behind_an_overflow_are_found),
        BOTH(files_of_the_host_in_the_place_of_its_descriptors_are_left_alone),
        BOTH(places_of_the_host_in_the_place_of_its_descriptors_are_left_alone),
        BOTH(sockets_of_the_host_in_the_place_of_its_descriptors_are_left_alone),
        BOTH(events_of_the_host_in_the_place_of_its_descriptors_are_left_alone),
        BOTH(its_descriptors_do_not_become_standard_ones),
    };
    enter_namespaces();
    return cmocka_run_group_tests_name("watch, system", tests, NULL, NULL);
}
