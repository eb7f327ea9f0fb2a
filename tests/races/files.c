/* Hooks files and sinks' files, and how they change. */
#include "races.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *path_of(const char *name, unsigned number) {
    static _Thread_local char paths[8][128];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 8];
    const char *dot = strchr(name, '.');
    int stem = dot != NULL ? (int)(dot - name) : (int)strlen(name);
    snprintf(path, sizeof paths[0], "%s/%.*s%u%s", directory, stem, name, number, dot != NULL ? dot : "");
    return path;
}

/* What a hooks file says; "%u" is the number of a line of the program that has code. */
static const char *const contents[] = {
    "ljinspect.set_hook('races.lua', %u, nil, function() return false end)\n",
    "for i = 1, 30 do ljinspect.set_hook('races.lua', i, nil, function(info) return not not info.vals.n end) end\n",
    "ljinspect.set_hook('races.lua', %u, nil, function() end)\n",
    "ljinspect.set_hook('races.lua', %u, nil, function() error 'on purpose' end)\n",
    "ljinspect.set_hook('races.lua', %u, nil, function() ljinspect.unset_all() return false end)\n",
    "ljinspect.set_hook('races.lua', %u, nil, function() ljinspect.poll() return false end)\n",
    "ljinspect.set_hook { file = 'races.lua', line = %u, condition = 'n == 3', log = '{n}', per_second = 5 }\n",
    "ljinspect.set_hook { file = 'races.lua', line = %u, capture = true, sink = sink0, budget = 0 }\n",
    "ljinspect.set_hook { file = 'races.lua', line = %u, count = true, interval = 0.01, sink = sink1 }\n",
    "ljinspect.set_hook { file = 'later.lua', line = %u, log = 'later', sink = sink0, hits = 3 }\n",
    "ljinspect.unset_all()\n",
    "error 'on purpose'\n",
    "this is no Lua\n",
    "collectgarbage()\n",
    "",
};

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0, "%s: %s", path, strerror(errno));
    ssize_t n = write(fd, text, strlen(text));
    CHECK(n == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
    close(fd);
}

static void say(char *text, size_t size, dice *d, const char *end) {
    size_t len = (size_t)snprintf(text, size, "local ljinspect, sink0, sink1 = require 'ljinspect', '%s', '%s'\n",
                                  path_of("sink", 0), path_of("sink", 1));
    for (unsigned n = throw_dice(d, 4); n > 0; n--) {
        const char *one = contents[throw_dice(d, sizeof contents / sizeof contents[0])];
        unsigned line = 1 + throw_dice(d, 24);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        len += (size_t)snprintf(text + len, size - len, one, line);
#pragma GCC diagnostic pop
    }
    snprintf(text + len, size - len, "%s", end);
}

void edit(dice *d, history *h) {
    static const char *const ways[] = {"in place", "rename", "link", "remove", "touch", "directory", "sink"};
    char text[2048];
    unsigned number = throw_dice(d, FILES), way = throw_dice(d, sizeof ways / sizeof ways[0]);
    const char *path = path_of("hooks.lua", number), *new = path_of("new.lua", number);
    note_choice(h, ways[way], number, 0);
    say(text, sizeof text, d, "");
    switch (way) {
    case 0:
        rmdir(path);
        write_text(path, text);
        break;
    case 1:
        write_text(new, text);
        rmdir(path);
        CHECK(rename(new, path) == 0, "rename: %s", strerror(errno));
        break;
    case 2:
        write_text(path_of("target.lua", number), text);
        unlink(new);
        CHECK(symlink(path_of("target.lua", number), new) == 0, "symlink: %s", strerror(errno));
        rmdir(path);
        CHECK(rename(new, path) == 0, "rename: %s", strerror(errno));
        break;
    case 3: unlink(path); break;
    case 4: utimensat(AT_FDCWD, path, NULL, 0); break;
    case 5:
        unlink(path);
        mkdir(path, 0700);
        break;
    default: /* as logs are rotated */ rename(path_of("sink", number), path_of("old", number)); break;
    }
}

void edit_last(unsigned round) {
    char text[256];
    snprintf(text, sizeof text,
             "require('ljinspect').set_hook('races.lua', 4, nil, function() return false end)\nlast = %u\n", round);
    for (unsigned i = 0; i < FILES; i++) {
        const char *path = path_of("hooks.lua", i), *new = path_of("new.lua", i);
        unlink(new);
        write_text(new, text);
        rmdir(path);
        CHECK(rename(new, path) == 0, "rename: %s", strerror(errno));
    }
}
