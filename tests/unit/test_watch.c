/*
 * The file watcher. Most tests run twice: with inotify and a delay so long that looking cannot help, and with polling
 * alone. The reader here does what the product does: it reads the file after watch_take() said so, and at no other
 * time; what it knows then must in the end be what the file says.
 */
#include "watching.h"

#include <pthread.h>

#include "emulator.h"

/* -- the file itself ------------------------------------------------------------------------------------------- */

static void a_file_that_does_not_change_is_not_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    expect_none(f);
    assert_int_equal(watch_mode(f->w), f->poll_only ? WATCH_POLLING : WATCH_INOTIFY);
    assert_int_equal(watch_inotify_errno(f->w), 0);
    assert_int_equal(f->wakes, 0);
}

static void a_write_in_place_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

static void a_write_through_a_descriptor_that_stays_open_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "");
    start(f, "hooks.lua");
    int fd = open(in(f, "hooks.lua"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "1", 1), 1);
    expect_text(f, "hooks.lua", "1");
    assert_int_equal(write(fd, "2", 1), 1);
    expect_text(f, "hooks.lua", "12");
    close(fd);
}

static void a_rename_over_the_file_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    put_over(f, "hooks.lua", "2");
    expect_text(f, "hooks.lua", "2");
    put_over(f, "hooks.lua", "3");
    expect_text(f, "hooks.lua", "3");
    put(f, "hooks.lua", "44");
    expect_text(f, "hooks.lua", "44");
}

static void an_editor_that_keeps_a_backup_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    move(f, "hooks.lua", "hooks.lua~");
    put(f, "hooks.lua", "22");
    remove_file(f, "hooks.lua~");
    expect_text(f, "hooks.lua", "22");
}

static void a_file_that_is_deleted_and_made_again_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    remove_file(f, "hooks.lua");
    expect_text(f, "hooks.lua", "-");
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    remove_file(f, "hooks.lua");
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

static void a_file_that_was_missing_at_start_is_reported(void **state) {
    fixture *f = *state;
    start(f, "hooks.lua");
    put(f, "hooks.lua", "1");
    expect_text(f, "hooks.lua", "1");
}

static void a_hard_link_put_in_its_place_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    put(f, "other", "22");
    start(f, "hooks.lua");
    remove_file(f, "hooks.lua");
    assert_int_equal(link(in(f, "other"), in(f, "hooks.lua")), 0);
    expect_text(f, "hooks.lua", "22");
}

static void a_write_through_another_hard_link_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "far");
    put(f, "hooks.lua", "1");
    assert_int_equal(link(in(f, "hooks.lua"), in(f, "far/away")), 0);
    start(f, "hooks.lua");
    put(f, "far/away", "22");
    expect_text(f, "hooks.lua", "22");
}

static void a_change_of_mode_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_int_equal(chmod(in(f, "hooks.lua"), 0600), 0);
    expect_report(f);
}

static void a_change_of_the_directorys_mode_is_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_int_equal(chmod(f->dir, 0755), 0);
    expect_report(f);
}

static void a_change_of_owner_is_reported(void **state) {
    fixture *f = *state;
    if (geteuid() != 0) {
        print_message("SKIPPED: this test changes owners and needs root\n");
        skip();
    }
    make_dir(f, "d");
    make_dir(f, "d/e");
    put(f, "d/e/file", "1");
    make_link(f, "d/e/file", "hooks.lua");
    start(f, "hooks.lua");
    static const char *const whose[] = {"d/e/file", "d/e", "hooks.lua"};
    for (uid_t owner = 65534; owner != (uid_t)-1; owner = owner != 0 ? 0 : (uid_t)-1) {
        for (size_t i = 0; i < sizeof(whose) / sizeof(whose[0]); i++) {
            assert_int_equal(lchown(in(f, whose[i]), owner, (gid_t)-1), 0);
            expect_report(f);
            drain(f);
        }
    }
}

/* A clock that was set back, or an archive that was unpacked: the time of the file is no sign of a change. */
static void a_file_whose_time_goes_back_is_reported(void **state) {
    fixture *f = *state;
    struct timespec back[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (char text[] = "2"; text[0] < '6'; text[0]++) { /* of the same size, and from the second on of the same time */
        put_over(f, "hooks.lua", text);
        assert_int_equal(utimensat(AT_FDCWD, in(f, "hooks.lua"), back, 0), 0);
        expect_text(f, "hooks.lua", text);
        text[0]++;
        put(f, "hooks.lua", text);
        assert_int_equal(utimensat(AT_FDCWD, in(f, "hooks.lua"), back, 0), 0);
        expect_text(f, "hooks.lua", text);
        back[1].tv_sec--;
    }
}

static void chains_of_renames_are_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (char text[] = "2"; text[0] < '8'; text[0]++) {
        put(f, "a", text);
        move(f, "hooks.lua", "old");
        move(f, "a", "b");
        move(f, "old", "older");
        move(f, "b", "hooks.lua");
        move(f, "hooks.lua", "c");
        move(f, "older", "hooks.lua");
        move(f, "c", "hooks.lua");
        expect_text(f, "hooks.lua", text);
    }
}

static void a_fifo_does_not_block_the_watcher(void **state) {
    fixture *f = *state;
    assert_int_equal(mkfifo(in(f, "hooks.lua"), 0600), 0);
    start(f, "hooks.lua");
    put_over(f, "hooks.lua", "1");
    expect_text(f, "hooks.lua", "1");
    remove_file(f, "hooks.lua");
    assert_int_equal(mkfifo(in(f, "hooks.lua"), 0600), 0);
    expect_report(f);
}

static void reading_the_file_is_not_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (int i = 0; i < 100; i++) {
        char c;
        int fd = open(in(f, "hooks.lua"), O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, &c, 1), 1);
        close(fd);
    }
    expect_none(f);
}

static void other_names_in_the_directory_are_not_reported(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (int i = 0; i < 300; i++) {
        put(f, "hooks.lua.log", "x");
        move(f, "hooks.lua.log", "hooks");
        make_dir(f, "d");
        assert_int_equal(rmdir(in(f, "d")), 0);
        remove_file(f, "hooks");
    }
    expect_none(f);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
}

/* -- symbolic links and directories ---------------------------------------------------------------------------- */

static void a_link_re_pointed_by_rename_is_reported(void **state) {
    fixture *f = *state;
    put(f, "v1", "1");
    put(f, "v2", "22");
    make_link(f, "v1", "hooks.lua");
    start(f, "hooks.lua");
    make_link(f, in(f, "v2"), "new");
    move(f, "new", "hooks.lua");
    expect_text(f, "hooks.lua", "22");
    put(f, "v2", "333");
    expect_text(f, "hooks.lua", "333");
    put(f, "v1", "4444");
    expect_none(f);
}

static void a_link_that_is_unlinked_and_made_again_is_reported(void **state) {
    fixture *f = *state;
    put(f, "v1", "1");
    put(f, "v2", "22");
    make_link(f, "v1", "hooks.lua");
    start(f, "hooks.lua");
    remove_file(f, "hooks.lua");
    make_link(f, "v2", "hooks.lua");
    expect_text(f, "hooks.lua", "22");
    remove_file(f, "hooks.lua");
    expect_text(f, "hooks.lua", "-");
}

static void a_change_of_the_links_target_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "real");
    put(f, "real/file", "1");
    make_link(f, "real/file", "hooks.lua");
    start(f, "hooks.lua");
    put(f, "real/file", "22");
    expect_text(f, "hooks.lua", "22");
    put_over(f, "real/file", "333");
    expect_text(f, "hooks.lua", "333");
    remove_file(f, "real/file");
    expect_text(f, "hooks.lua", "-");
}

static void a_change_anywhere_in_a_chain_of_links_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    put(f, "b/one", "1");
    put(f, "b/two", "22");
    make_link(f, "a/second", "hooks.lua");
    make_link(f, "../a/./third", "a/second");
    make_link(f, in(f, "b/one"), "a/third");
    start(f, "hooks.lua");
    make_link(f, "../b/two", "new");
    move(f, "new", "a/third");
    expect_text(f, "hooks.lua", "22");
    remove_file(f, "a/second");
    make_link(f, "../b/one", "a/second");
    expect_text(f, "hooks.lua", "1");
    put(f, "b/one", "333");
    expect_text(f, "hooks.lua", "333");
}

static void a_re_pointed_directory_link_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "..v1");
    make_dir(f, "..v2");
    put(f, "..v1/hooks.lua", "1");
    put(f, "..v2/hooks.lua", "22");
    make_link(f, "..v1", "..data");
    make_link(f, "..data/hooks.lua", "hooks.lua");
    start(f, "hooks.lua");
    make_link(f, "..v2", "..data_tmp");
    move(f, "..data_tmp", "..data");
    remove_file(f, "..v1/hooks.lua");
    assert_int_equal(rmdir(in(f, "..v1")), 0);
    expect_text(f, "hooks.lua", "22");
    put(f, "..v2/hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

static void a_target_that_appears_is_reported(void **state) {
    fixture *f = *state;
    make_link(f, "later/file", "hooks.lua");
    start(f, "hooks.lua");
    assert_int_equal(watch_look(in(f, "hooks.lua")).error, ENOENT);
    make_dir(f, "later");
    put(f, "later/file", "1");
    expect_text(f, "hooks.lua", "1");
}

static void directories_that_appear_later_are_followed(void **state) {
    fixture *f = *state;
    start(f, "a/b/hooks.lua");
    make_dir(f, "a");
    drain(f);
    make_dir(f, "a/b");
    drain(f);
    put(f, "a/b/hooks.lua", "1");
    expect_text(f, "a/b/hooks.lua", "1");
    remove_file(f, "a/b/hooks.lua");
    assert_int_equal(rmdir(in(f, "a/b")) | rmdir(in(f, "a")), 0);
    expect_text(f, "a/b/hooks.lua", "-");
    make_dir(f, "a");
    make_dir(f, "a/b");
    put(f, "a/b/hooks.lua", "22");
    expect_text(f, "a/b/hooks.lua", "22");
}

static void a_directory_that_is_moved_away_and_back_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "a/b");
    put(f, "a/b/hooks.lua", "1");
    start(f, "a/b/hooks.lua");
    for (int i = 0; i < 2; i++) {
        const char *from = i == 0 ? "a/b" : "a";
        move(f, from, "away");
        expect_text(f, "a/b/hooks.lua", "-");
        move(f, "away", from);
        expect_text(f, "a/b/hooks.lua", "1");
    }
    put(f, "a/b/hooks.lua", "22");
    expect_text(f, "a/b/hooks.lua", "22");
}

static void a_directory_replaced_by_another_is_reported(void **state) {
    fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    put(f, "a/hooks.lua", "1");
    put(f, "b/hooks.lua", "2");
    start(f, "a/hooks.lua");
    move(f, "a", "c");
    move(f, "b", "a");
    expect_text(f, "a/hooks.lua", "2");
    put(f, "a/hooks.lua", "33");
    expect_text(f, "a/hooks.lua", "33");
    put(f, "c/hooks.lua", "444");
    expect_none(f);
}

static void links_in_a_circle_are_an_error_until_cut(void **state) {
    fixture *f = *state;
    make_link(f, "b", "hooks.lua");
    make_link(f, "c", "b");
    make_link(f, "hooks.lua", "c");
    assert_int_equal(watch_look(in(f, "hooks.lua")).error, ELOOP);
    start(f, "hooks.lua");
    expect_none(f);
    put_over(f, "c", "1");
    expect_text(f, "hooks.lua", "1");
}

/* -- many changes ---------------------------------------------------------------------------------------------- */

static void *edit_often(void *arg) {
    fixture *f = arg;
    char text[64];
    int64_t end = now_ms() + EDITING_MS;
    for (int i = 0; i < 2000 && now_ms() < end; i++) {
        snprintf(text, sizeof(text), "edit %04d", i);
        (i % 3 == 0 ? put_over : put)(f, "hooks.lua", text);
    }
    put(f, "hooks.lua", "edit 2000");
    atomic_store(&f->editing, false);
    return NULL;
}

static void the_last_of_many_fast_edits_is_reported(void **state) {
    fixture *f = *state;
    pthread_t editor;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    atomic_store(&f->editing, true);
    assert_int_equal(pthread_create(&editor, NULL, edit_often, f), 0);
    expect_text(f, "hooks.lua", "edit 2000");
    pthread_join(editor, NULL);
}

static void *point_often(void *arg) {
    fixture *f = arg;
    int64_t end = now_ms() + EDITING_MS;
    for (int i = 0; i < 1000 && now_ms() < end; i++) {
        make_link(f, i % 2 == 0 ? "v1" : "v2", "new");
        move(f, "new", "data");
    }
    make_link(f, "v2", "new");
    move(f, "new", "data");
    put(f, "v2/hooks.lua", "last");
    atomic_store(&f->editing, false);
    return NULL;
}

static void the_target_of_a_link_that_was_re_pointed_often_is_watched(void **state) {
    fixture *f = *state;
    pthread_t editor;
    make_dir(f, "v1");
    make_dir(f, "v2");
    put(f, "v1/hooks.lua", "1");
    put(f, "v2/hooks.lua", "2");
    make_link(f, "v1", "data");
    start(f, "data/hooks.lua");
    atomic_store(&f->editing, true);
    assert_int_equal(pthread_create(&editor, NULL, point_often, f), 0);
    expect_text(f, "data/hooks.lua", "last");
    pthread_join(editor, NULL);
    put(f, "v2/hooks.lua", "more");
    expect_text(f, "data/hooks.lua", "more");
}

static void a_closed_file_is_reported_at_once(void **state) {
    fixture *f = *state;
    int64_t best = DEADLINE_MS;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (int i = 0; i < 50 && best > 25; i++) {
        int64_t begin = now_ms();
        put(f, "hooks.lua", "2");
        expect_report(f);
        best = now_ms() - begin < best ? now_ms() - begin : best;
        drain(f);
    }
    assert_true(best <= 25);
}

/* Two writes within one tick of the file system's clock can leave all that stat says as it is. */
static void a_file_closed_after_writing_is_reported_whatever_stat_says(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    int fd = open(in(f, "hooks.lua"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    expect_report(f);
}

static void a_file_that_is_being_written_is_reported_when_it_is_quiet(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "");
    start(f, "hooks.lua");
    int fd = open(in(f, "hooks.lua"), O_WRONLY | O_CLOEXEC);
    int64_t begin = now_ms();
    assert_int_equal(write(fd, "1", 1), 1);
    expect_report(f);
    assert_true(now_ms() - begin >= 45);

    begin = now_ms();
    while (!watch_take(f->w)) {
        assert_int_equal(write(fd, "1", 1), 1);
        assert_true(now_ms() - begin < DEADLINE_MS);
        sleep_ms(5);
    }
    close(fd);
}

/* -- the thread ------------------------------------------------------------------------------------------------ */

static void wake_is_called_until_the_report_is_taken(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (int turn = 0; turn < 2; turn++) {
        int64_t begin = now_ms();
        atomic_store(&f->wakes, 0);
        put(f, "hooks.lua", turn == 0 ? "22" : "333");
        while (atomic_load(&f->wakes) < 10) {
            assert_true(now_ms() - begin < DEADLINE_MS);
            sleep_ms(1);
        }
        assert_true(watch_waiting(f->w));
        /* 1, 2, 4, 8, 16, 32, 50, 50: at most 7 calls in 63 ms, then one in 50; and again for a report or two more. */
        assert_true(atomic_load(&f->wakes) <= 3 * 7 + (now_ms() - begin) / 50 + 1);
        drain(f);
        int wakes = atomic_load(&f->wakes);
        sleep_ms(200);
        assert_int_equal(atomic_load(&f->wakes), wakes);
        assert_false(watch_waiting(f->w));
    }
}

static void wake_is_not_called_after_stop(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    for (int i = 0; i < 20; i++) {
        int64_t end = now_ms() + DEADLINE_MS;
        start(f, "hooks.lua");
        atomic_store(&f->wakes, 0);
        put(f, "hooks.lua", i % 2 == 0 ? "22" : "1");
        while (atomic_load(&f->wakes) == 0) {
            assert_true(now_ms() < end);
            sched_yield();
        }
        stop(f);
        int wakes = atomic_load(&f->wakes);
        sleep_ms(20);
        assert_int_equal(atomic_load(&f->wakes), wakes);
    }
}

/* What is found by looking alone is reported once more, see the header. */
static void a_report_is_taken_once(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_false(watch_take(f->w));
    assert_int_equal(chmod(in(f, "hooks.lua"), 0600), 0);
    expect_report(f);
    if (f->poll_only) {
        expect_report(f);
    }
    expect_none(f);
}

static void nothing_is_left_after_stop(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    int fds = count_entries("/proc/self/fd");
    int threads = count_entries("/proc/self/task");
    for (int i = 0; i < 100; i++) {
        start(f, "hooks.lua");
        stop(f);
    }
    assert_int_equal(count_entries("/proc/self/fd"), fds);
    /* The kernel lets a joiner go on shortly before the thread leaves /proc. */
    for (int64_t end = now_ms() + DEADLINE_MS; count_entries("/proc/self/task") != threads;) {
        assert_true(now_ms() < end);
        sleep_ms(1);
    }
}

static int count_watches(int fd) {
    char line[256];
    int count = 0;
    snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(line, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        count += strncmp(line, "inotify wd:", 11) == 0;
    }
    fclose(file);
    return count;
}

static void watches_go_although_a_child_holds_the_descriptor(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    int held = dup(inotify_descriptor());
    assert_true(held >= 0);
    assert_true(count_watches(held) > 0);
    stop(f);
    assert_int_equal(count_watches(held), 0);
    close(held);
}

static void stop_does_not_wait_for_the_delay(void **state) {
    fixture *f = *state;
    f->delay_ms = 86400000;
    start(f, "hooks.lua");
    int64_t begin = now_ms();
    stop(f);
    assert_true(now_ms() - begin < DEADLINE_MS);
    watch_stop(NULL);
}

static void descriptors_are_closed_on_exec(void **state) {
    fixture *f = *state;
    int open_before = 0;
    for (int turn = 0; turn < 2; turn++) {
        int inherited = 0;
        for (int fd = 0; fd < 256; fd++) {
            int flags = fcntl(fd, F_GETFD);
            inherited += flags >= 0 && (flags & FD_CLOEXEC) == 0;
        }
        if (turn == 0) {
            open_before = inherited;
            start(f, "hooks.lua");
        } else {
            assert_int_equal(inherited, open_before);
        }
    }
}

/* The watcher's thread's line `field` of /proc/self/task/.../status, as a number in base 16. False when there is no
 * such thread, or not by that name yet. */
static bool thread_status(const char *field, unsigned long long *value) {
    bool found = false;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        char line[256] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        bool ours = fgets(line, sizeof(line), file) != NULL && strcmp(line, "Name:\tljinspect-watch\n") == 0;
        while (ours && !found && fgets(line, sizeof(line), file) != NULL) {
            if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':') {
                *value = strtoull(line + strlen(field) + 1, NULL, 16);
                found = true;
            }
        }
        fclose(file);
    }
    closedir(dir);
    return found;
}

static atomic_int signals_handled;

static void handle_signal(int sig) {
    (void)sig;
    atomic_fetch_add(&signals_handled, 1);
}

static void signals_are_not_delivered_to_the_thread(void **state) {
    fixture *f = *state;
    struct sigaction action = {.sa_handler = handle_signal};
    struct sigaction old_action;
    sigset_t set;
    sigset_t old;
    sigset_t pending;
    unsigned long long blocked = 0;

    atomic_store(&signals_handled, 0);
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    for (int64_t end = now_ms() + DEADLINE_MS; !thread_status("SigBlk", &blocked);) {
        assert_true(now_ms() < end);
        sleep_ms(1);
    }
    /* Valgrind delivers signals itself: what /proc says under it is its own mask. */
    const char *preload = getenv("LD_PRELOAD");
    bool emulated = (preload != NULL && strstr(preload, "vgpreload") != NULL) ||
                    emulator_spoils("the thread's signal mask: /proc shows the emulator's own");
    for (int sig = 1; !emulated && sig <= SIGRTMAX; sig++) {
        if (sig != SIGKILL && sig != SIGSTOP && (sig < 32 || sig >= SIGRTMIN)) {
            assert_true((blocked >> (sig - 1) & 1) != 0);
        }
    }

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, &old_action), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    assert_int_equal(atomic_load(&signals_handled), 0);
    assert_int_equal(sigpending(&pending), 0);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    assert_int_equal(atomic_load(&signals_handled), 1);
    assert_int_equal(sigaction(SIGUSR1, &old_action, NULL), 0);
}

static int stop_inherited(fixture *f) {
    int fds = count_entries("/proc/self/fd");
    if (watch_mode(f->w) != WATCH_FORKED) {
        return 1;
    }
    stop(f);
    return count_entries("/proc/self/fd") == fds - (f->poll_only ? 1 : 2) ? 0 : 2;
}

static void a_child_process_has_no_watcher_and_leaves_the_parents_alone(void **state) {
    fixture *f = *state;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_int_equal(in_child(f, stop_inherited), 0);
    assert_int_equal(watch_mode(f->w), f->poll_only ? WATCH_POLLING : WATCH_INOTIFY);
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
}

static int watch_anew(fixture *f) {
    watcher *inherited = f->w;
    start(f, "hooks.lua");
    put(f, "hooks.lua", "in the child");
    bool reported = reported_within(f, DEADLINE_MS);
    bool forked = watch_mode(f->w) == WATCH_FORKED || watch_mode(inherited) != WATCH_FORKED;
    stop(f);
    watch_stop(inherited);
    return reported && !forked ? 0 : 1;
}

static void a_child_process_may_start_its_own(void **state) {
    fixture *f = *state;
#ifdef THREAD_SANITIZER
    skip(); /* it takes the new thread for the parent's, whose stack the child uses again */
#endif
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    assert_int_equal(in_child(f, watch_anew), 0);
    expect_text(f, "hooks.lua", "in the child");
}

static void a_child_forked_during_changes_can_stop(void **state) {
    fixture *f = *state;
    pthread_t editor;
    put(f, "hooks.lua", "1");
    start(f, "hooks.lua");
    atomic_store(&f->editing, true);
    assert_int_equal(pthread_create(&editor, NULL, edit_often, f), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(in_child(f, stop_inherited), 0);
    }
    pthread_join(editor, NULL);
    put(f, "hooks.lua", "the end");
    expect_text(f, "hooks.lua", "the end");
}

/* -- when the system refuses ----------------------------------------------------------------------------------- */

static void bad_options_are_refused(void **state) {
    fixture *f = *state;
    static const watch_options bad[] = {{.path = NULL, .delay_ms = 100},
                                        {.path = "", .delay_ms = 100},
                                        {.path = "tmp/x", .delay_ms = 100},
                                        {.path = "/tmp/x", .delay_ms = 9},
                                        {.path = "/tmp/x", .delay_ms = 86400001}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        watcher *w = (watcher *)f;
        assert_int_equal(watch_start(&bad[i], &w), -EINVAL);
        assert_null(w);
    }
}

static void without_any_descriptor_start_fails(void **state) {
    fixture *f = *state;
    watch_options options = {.path = in(f, "hooks.lua"), .delay_ms = 100};
    struct rlimit old = limit_descriptors(0);
    int error = watch_start(&options, &f->w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(error, -EMFILE);
    assert_null(f->w);
}

static void a_directory_that_may_not_be_read_is_polled(void **state) {
    fixture *f = *state;
    bool root = geteuid() == 0;
    f->delay_ms = 20;
    put(f, "hooks.lua", "1");
    assert_int_equal(chmod(f->dir, 0311), 0);
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    start(f, "hooks.lua");
    assert_int_equal(watch_mode(f->w), WATCH_POLLING);
    assert_int_equal(watch_inotify_errno(f->w), EACCES);
    put(f, root ? "/dev/null" : "hooks.lua", "22");
    if (root) {
        assert_int_equal(seteuid(0), 0);
        put(f, "hooks.lua", "22");
        assert_int_equal(seteuid(65534), 0);
    }
    expect_text(f, "hooks.lua", "22");
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    expect_mode(f, WATCH_INOTIFY);
    assert_int_equal(watch_inotify_errno(f->w), 0);
}

static int watch_without_watches(fixture *f) {
    char map[64];
    snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
    if (unshare(CLONE_NEWUSER) != 0 || !write_text("/proc/self/uid_map", map) ||
        !write_text("/proc/sys/user/max_inotify_watches", "1")) {
        return 77;
    }
    start(f, "hooks.lua");
    if (watch_mode(f->w) != WATCH_POLLING || watch_inotify_errno(f->w) != ENOSPC) {
        return 1;
    }
    put(f, "hooks.lua", "22");
    bool reported = reported_within(f, DEADLINE_MS);
    stop(f);
    return reported ? 0 : 2;
}

static void without_enough_watches_the_watcher_polls(void **state) {
    fixture *f = *state;
    f->delay_ms = 20;
    put(f, "hooks.lua", "1");
    int status = in_child(f, watch_without_watches);
    if (status == 77) {
        skip(); /* no user namespaces here */
    }
    assert_int_equal(status, 0);
}

static void a_path_through_too_many_directories_is_polled(void **state) {
    fixture *f = *state;
    char name[4 * WATCH_NODES_MAX] = "";
    f->delay_ms = 20;
    for (int i = 0; i < WATCH_NODES_MAX; i++) {
        strcat(name, i == 0 ? "d" : "/d");
        make_dir(f, name);
    }
    strcat(name, "/f");
    put(f, name, "1");
    start(f, name);
    assert_int_equal(watch_mode(f->w), WATCH_POLLING);
    assert_int_equal(watch_inotify_errno(f->w), ENAMETOOLONG);
    put(f, name, "22");
    expect_text(f, name, "22");
}

static void a_host_that_closes_all_descriptors_does_not_blind_the_watcher(void **state) {
    fixture *f = *state;
    bool ours[256];
    f->delay_ms = 20;
    put(f, "hooks.lua", "1");
    for (int fd = 0; fd < 256; fd++) {
        ours[fd] = fcntl(fd, F_GETFD) >= 0;
    }
    start(f, "hooks.lua");
    for (int fd = 0; fd < 256; fd++) {
        if (!ours[fd]) {
            close(fd);
        }
    }
    put(f, "hooks.lua", "22");
    expect_text(f, "hooks.lua", "22");
    expect_mode(f, WATCH_INOTIFY); /* with another one */
    assert_int_not_equal(inotify_descriptor(), -1);
    put(f, "hooks.lua", "333");
    expect_text(f, "hooks.lua", "333");
}

/* -- the state of a path --------------------------------------------------------------------------------------- */

static void a_look_tells_why_a_path_leads_nowhere(void **state) {
    fixture *f = *state;
    char name[16];
    char long_path[2 * PATH_MAX];
    put(f, "file", "1");
    assert_int_equal(watch_look(in(f, "file")).error, 0);
    assert_int_equal(watch_look(in(f, "none")).error, ENOENT);
    assert_int_equal(watch_look(in(f, "file/x")).error, ENOTDIR);
    assert_int_equal(watch_look("/").error, 0);
    memset(long_path, '/', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(watch_look(long_path).error, ENAMETOOLONG);
    make_link(f, "file", "0");
    for (int i = 1; i < 41; i++) {
        char target[16];
        snprintf(target, sizeof(target), "%d", i - 1);
        snprintf(name, sizeof(name), "%d", i);
        make_link(f, target, name);
    }
    assert_int_equal(watch_look(in(f, "39")).error, 0);
    assert_int_equal(watch_look(in(f, "40")).error, ELOOP);
}

static void a_look_sees_each_link_and_its_text(void **state) {
    fixture *f = *state;
    make_dir(f, "d");
    put(f, "d/file", "1");
    make_link(f, "d", "dir");
    make_link(f, "./dir/../dir//file", "hooks.lua");
    watch_state first = watch_look(in(f, "hooks.lua"));
    assert_int_equal(first.error, 0);
    assert_true(watch_state_equal(first, watch_look(in(f, "hooks.lua"))));
    put(f, "elsewhere", "1");
    assert_true(watch_state_equal(first, watch_look(in(f, "hooks.lua"))));
    make_link(f, "./d", "new");
    move(f, "new", "dir");
    assert_false(watch_state_equal(first, watch_look(in(f, "hooks.lua"))));
}

static void a_plan_names_what_matters_once(void **state) {
    fixture *f = *state;
    watch_plan *plan = malloc(sizeof(*plan));
    char real[PATH_MAX];
    make_dir(f, "d");
    put(f, "d/file", "1");
    make_link(f, "d", "dir");
    make_link(f, "dir/../dir/file", "hooks.lua");
    assert_non_null(realpath(f->dir, real));
    watch_plan_make(plan, in(f, "hooks.lua"));
    assert_int_equal(plan->error, 0);
    assert_int_equal(plan->name_count, 3);
    const struct {
        const char *name;
        enum watch_name_kind kind;
    } expected[] = {{"hooks.lua", WATCH_NAME_LINK}, {"dir", WATCH_NAME_LINK}, {"file", WATCH_NAME_FILE}};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(plan->names[i].name, expected[i].name);
        assert_int_equal(plan->names[i].kind, expected[i].kind);
        assert_int_equal(plan->nodes[plan->names[i].node].kind, WATCH_HOLDER);
    }
    assert_string_equal(plan->nodes[plan->names[0].node].path, real);
    assert_int_equal(plan->names[0].node, plan->names[1].node);
    watch_node *last = &plan->nodes[plan->node_count - 1];
    assert_int_equal(last->kind, WATCH_FILE);
    assert_string_equal(last->path, strcat(real, "/d/file"));

    remove_file(f, "d/file");
    watch_plan_make(plan, in(f, "hooks.lua"));
    assert_int_equal(plan->state.error, ENOENT);
    assert_int_equal(plan->names[2].kind, WATCH_NAME_MISSING);
    assert_true(watch_state_equal(plan->state, watch_look(in(f, "hooks.lua"))));
    free(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(a_file_that_does_not_change_is_not_reported),
        BOTH(a_write_in_place_is_reported),
        BOTH(a_write_through_a_descriptor_that_stays_open_is_reported),
        BOTH(a_rename_over_the_file_is_reported),
        BOTH(an_editor_that_keeps_a_backup_is_reported),
        BOTH(a_file_that_is_deleted_and_made_again_is_reported),
        BOTH(a_file_that_was_missing_at_start_is_reported),
        BOTH(a_hard_link_put_in_its_place_is_reported),
        BOTH(a_write_through_another_hard_link_is_reported),
        BOTH(a_change_of_mode_is_reported),
        BOTH(a_change_of_the_directorys_mode_is_reported),
        BOTH(a_change_of_owner_is_reported),
        BOTH(a_file_whose_time_goes_back_is_reported),
        BOTH(chains_of_renames_are_reported),
        BOTH(a_fifo_does_not_block_the_watcher),
        BOTH(reading_the_file_is_not_reported),
        BOTH(other_names_in_the_directory_are_not_reported),
        BOTH(a_link_re_pointed_by_rename_is_reported),
        BOTH(a_link_that_is_unlinked_and_made_again_is_reported),
        BOTH(a_change_of_the_links_target_is_reported),
        BOTH(a_change_anywhere_in_a_chain_of_links_is_reported),
        BOTH(a_re_pointed_directory_link_is_reported),
        BOTH(a_target_that_appears_is_reported),
        BOTH(directories_that_appear_later_are_followed),
        BOTH(a_directory_that_is_moved_away_and_back_is_reported),
        BOTH(a_directory_replaced_by_another_is_reported),
        BOTH(links_in_a_circle_are_an_error_until_cut),
        BOTH(the_last_of_many_fast_edits_is_reported),
        BOTH(the_target_of_a_link_that_was_re_pointed_often_is_watched),
        INOTIFY(a_closed_file_is_reported_at_once),
        INOTIFY(a_file_closed_after_writing_is_reported_whatever_stat_says),
        INOTIFY(a_file_that_is_being_written_is_reported_when_it_is_quiet),
        BOTH(wake_is_called_until_the_report_is_taken),
        BOTH(wake_is_not_called_after_stop),
        BOTH(a_report_is_taken_once),
        BOTH(nothing_is_left_after_stop),
        INOTIFY(watches_go_although_a_child_holds_the_descriptor),
        BOTH(stop_does_not_wait_for_the_delay),
        BOTH(descriptors_are_closed_on_exec),
        BOTH(signals_are_not_delivered_to_the_thread),
        BOTH(a_child_process_has_no_watcher_and_leaves_the_parents_alone),
        BOTH(a_child_process_may_start_its_own),
        BOTH(a_child_forked_during_changes_can_stop),
        INOTIFY(bad_options_are_refused),
        BOTH(without_any_descriptor_start_fails),
        INOTIFY(a_directory_that_may_not_be_read_is_polled),
        INOTIFY(without_enough_watches_the_watcher_polls),
        INOTIFY(a_path_through_too_many_directories_is_polled),
        INOTIFY(a_host_that_closes_all_descriptors_does_not_blind_the_watcher),
        INOTIFY(a_look_tells_why_a_path_leads_nowhere),
        INOTIFY(a_look_sees_each_link_and_its_text),
        INOTIFY(a_plan_names_what_matters_once),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
