/* ljinspect report: the top functions and lines of a recorded profile. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "profile.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect report [OPTION...] FILE\n"
                           "Print the functions and lines where most of the samples are, of folded stacks\n"
                           "that ljinspect record wrote.\n"
                           "\n"
                           "  -n, --top=N     how many of each; default: 20\n"
                           "  -j, --json      print JSON\n"
                           "  -h, --help      print this\n"
                           "\n"
                           "Example:\n"
                           "  ljinspect report ljinspect-4711.folded\n"
                           "\n"
                           "Exit status: 0; 1 where the file cannot be read, 2 for a wrong option.\n";

typedef struct row {
    uint64_t self, total;
    const profile_frame *frame;
} row;

static int by_self(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->self != y->self) return x->self < y->self ? 1 : -1;
    if (x->total != y->total) return x->total < y->total ? 1 : -1;
    return strcmp(x->frame->where, y->frame->where);
}

static void print_rows(const row *rows, size_t n, size_t top, const profile *p, bool lines, bool json) {
    char label[512];
    size_t printed = 0;
    if (json) {
        printf("%s\"%s\": [", lines ? ",\n " : "", lines ? "lines" : "functions");
    } else {
        printf("%s    itself  with what it called  %s\n", lines ? "\n" : "", lines ? "line" : "function");
    }
    for (size_t i = 0; i < n && printed < top; i++) {
        if ((rows[i].frame->kind == FRAME_LINE) != lines) continue;
        profile_label(rows[i].frame, label, sizeof label);
        if (json) {
            fputs(printed > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ", stdout);
            json_string(stdout, label);
            printf(", \"self\": %" PRIu64 ", \"total\": %" PRIu64 "}", rows[i].self, rows[i].total);
        } else {
            printf("%8.2f %% %18.2f %%  ", 100.0 * (double)rows[i].self / (double)p->samples,
                   100.0 * (double)rows[i].total / (double)p->samples);
            text_print(stdout, label);
            putchar('\n');
        }
        printed++;
    }
    if (json) putchar(']');
}

static int report(const profile *p, size_t top, bool json) {
    row *rows = calloc(p->n_frames + 1, sizeof *rows);
    uint64_t *self = calloc(p->n_frames + 1, sizeof *self), *total = calloc(p->n_frames + 1, sizeof *total);
    bool ok = rows != NULL && self != NULL && total != NULL && profile_sums(p, self, total);
    if (ok) {
        for (size_t i = 0; i < p->n_frames; i++) rows[i] = (row){self[i], total[i], &p->frames[i]};
        qsort(rows, p->n_frames, sizeof *rows, by_self);
        printf(json ? "{\"samples\": %" PRIu64 ",\n " : "%" PRIu64 " samples\n\n", p->samples);
        print_rows(rows, p->n_frames, top, p, false, json);
        print_rows(rows, p->n_frames, top, p, true, json);
        if (json) puts("}");
    }
    free(rows);
    free(self);
    free(total);
    return ok ? 0 : cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
}

int cli_report(int argc, char **argv) {
    static const struct option options[] = {{"top", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool json = false;
    long top = 20;
    for (int option; (option = getopt_long(argc, argv, "n:jh", options, NULL)) != -1;) {
        char *end;
        switch (option) {
        case 'n':
            top = strtol(optarg, &end, 10);
            if (*optarg == '\0' || *end != '\0' || top < 1)
                return cli_fail(CLI_USAGE, "-n %s: a count expected", optarg);
            break;
        case 'j': json = true; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: fputs("ljinspect report --help tells how it is used.\n", stderr); return CLI_USAGE;
        }
    }
    if (argc != optind + 1) {
        fputs("ljinspect report --help tells how it is used.\n", stderr);
        return CLI_USAGE;
    }
    const char *path = argv[optind], *why = "no memory";
    FILE *in = fopen(path, "re");
    profile p;
    if (in == NULL) return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    int status;
    if (!profile_init(&p)) {
        status = cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    } else {
        status = !profile_read_folded(&p, in, &why)
                     ? cli_fail(CLI_FAILED, "%s is no file of folded stacks: %s", path, why)
                 : p.samples == 0 ? cli_fail(CLI_FAILED, "%s has no samples", path)
                                  : report(&p, (size_t)top, json);
        profile_free(&p);
    }
    fclose(in);
    return status;
}
