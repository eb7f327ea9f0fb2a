/*
 * What the environment asks for, read once when the process starts: programs clear their environment (nginx's workers).
 *
 *   LJINSPECT_HOOKS_FILE    the hooks file
 *   LJINSPECT_BREAKPOINTS   FILE:LINE, one a line
 *   LJINSPECT_HITS          how many hits of each breakpoint are shown; 0: all; default: CONFIG_HITS
 *   LJINSPECT_VERBOSE       "1": at its end each process that has used no LuaJIT says so; a process id: that process does.
 *                           Only with one of the first two
 *
 * In a set-user-id program, and its like, nothing of it counts.
 */
#ifndef LJINSPECT_PRELOAD_CONFIG_H
#define LJINSPECT_PRELOAD_CONFIG_H

#include <stdbool.h>

#define CONFIG_LIBRARY "libljinspect.so.0"
enum { CONFIG_HITS = 10 };

struct config {
    char *hooks_file;  /* NULL: none */
    char *breakpoints; /* NULL: none */
    int hits;
    int verbose_fd; /* standard error, for programs that close it at their end; -1: not verbose */
};
extern struct config config;

/* Whether there is anything to attach for. */
bool config_wanted(void);

/* One line on standard error, "ljinspect: " before it. */
void config_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
