/* ljinspect record: where a process spends its time, in Lua terms. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "progress.h"
#include "record.h"
#include "text.h"

static const char HELP[] = "Usage: ljinspect record [OPTION...] PID\n"
                           "Sample the Lua stacks of a process while it is on a processor, and write a\n"
                           "profile.\n"
                           "\n"
                           "  -d, --duration=SECONDS  how long; default: until Ctrl-C\n"
                           "  -F, --frequency=HZ      samples a second, 1 to 1000; default: 99\n"
                           "  -o, --output=FILE       may be repeated; the name's end says what it is:\n"
                           "                          .html   a flame graph, to be opened in a browser\n"
                           "                          .json   for https://www.speedscope.app\n"
                           "                          .pb.gz, .pprof   for pprof\n"
                           "                          others  folded stacks: flamegraph.pl, ljinspect report\n"
                           "                          default: ljinspect-PID.html and ljinspect-PID.folded\n"
                           "  -b, --backend=NAME      ebpf: the kernel takes the samples, nothing is\n"
                           "                          stopped; ptrace: each sample stops one thread of the\n"
                           "                          process for some ten microseconds; auto, the default:\n"
                           "                          ebpf where that may be\n"
                           "      --children          also the processes that it has started, and those it\n"
                           "                          starts meanwhile, and theirs, in one profile: nginx\n"
                           "                          and its workers\n"
                           "      --off-cpu           where Lua code waits, instead of where it runs;\n"
                           "                          nothing is stopped for it\n"
                           "  -h, --help              print this\n"
                           "\n"
                           "Functions that compiled code has inlined are shown, too. A sample that\n"
                           "contradicts itself is counted, and not in the profile. eBPF needs root, or\n"
                           "CAP_BPF and CAP_PERFMON.\n"
                           "\n"
                           "Example: ten seconds of a busy worker, as a flame graph\n"
                           "  sudo ljinspect record -d 10 -o worker.html 4711\n"
                           "\n" ATTACH_STATUSES;

volatile sig_atomic_t record_interrupted;

static void on_signal(int number) {
    (void)number;
    record_interrupted = 1;
}

/* It only ends a sleep: a thread that was to stop, and was late, stands now. */
static void on_child(int number) {
    (void)number;
}

/* ---- Recording ---- */

static void print_progress(const recorder_counts *c, double a_sample, double passed) {
    double share = passed > 0 ? 100.0 * (double)c->good * a_sample / passed : 0;
    progress_show("%.0f s: %" PRIu64 " samples, %" PRIu64 " inconsistent; in Lua %.0f %% of the time", passed, c->good,
                  c->inconsistent, share);
}

/* The backend that was asked for, or the first that works. NULL with an exit status after a message. */
static const sampler_kind *start_sampler(const record_request *q, target *t, remote_vms *vms, recorder *r, sampler **s,
                                         int *status) {
    sampler_refusal no = {0};
    const sampler_kind *kind = q->kind != NULL ? q->kind : &SAMPLER_EBPF;
    *s = kind->start(t, vms, r, q->hz, &no);
    if (*s == NULL && q->kind == NULL) {
        kind = &SAMPLER_PTRACE;
        cli_say("with %s; not eBPF: %s", kind->how, no.why);
        *s = kind->start(t, vms, r, q->hz, &no);
    } else if (*s != NULL) {
        fprintf(stderr, "ljinspect: with %s\n", kind->how);
    }
    if (*s != NULL) return kind;
    *status = cli_fail(no.denied ? ATTACH_NO_PERMISSION : CLI_FAILED, "%s: %s", kind->name, no.why);
    return NULL;
}

/* 0, or an exit status after a message; also when the process ended, which is no failure if there are samples. */
static int sample_loop(const sampler_kind *kind, sampler *s, const recorder *r, const record_request *q) {
    const double begin = sampler_now();
    double shown = begin;
    bool terminal = progress_wanted();
    sample_result result = SAMPLE_OK;
    for (double now; !record_interrupted && result == SAMPLE_OK;) {
        now = sampler_now();
        if (q->seconds > 0 && now - begin >= q->seconds) break;
        result = kind->collect(s);
        if (terminal && now - shown > 0.5) {
            shown = now;
            print_progress(recorder_count(r), kind->seconds_a_sample(s, now - begin), now - begin);
        }
    }
    sample_result end = kind->stop(s);
    if (result == SAMPLE_OK || result == SAMPLE_GONE) result = end;
    if (terminal) progress_end();
    if (result == SAMPLE_NO_MEMORY) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    if (result == SAMPLE_DENIED)
        return cli_fail(ATTACH_NO_PERMISSION, "process %d cannot be stopped: a debugger may have it", (int)q->pid);
    return 0;
}

/* ---- Writing ---- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_pprof(const char *path) {
    return ends_with(path, ".pb.gz") || ends_with(path, ".pprof");
}

/* A file is written beside its place and moved there when it is whole, so that what was there stays until then; a link
 * there is replaced, not followed. What is no plain file, and a link that was asked for, is written to as it is. */
static FILE *open_output(const char *path, bool asked, char **beside) {
    struct stat st;
    bool there = lstat(path, &st) == 0;
    *beside = NULL;
    if (asked && there && !S_ISREG(st.st_mode)) return fopen(path, "we");
    if (asprintf(beside, "%s.%d.part", path, (int)getpid()) < 0) {
        *beside = NULL;
        return NULL;
    }
    FILE *out = fopen(*beside, "wxe");
    if (out != NULL || errno != EEXIST) return out;
    unlink(*beside); /* of one that was killed */
    return fopen(*beside, "wxe");
}

static int write_output(const profile *p, const char *path, bool asked) {
    char *beside;
    FILE *out = open_output(path, asked, &beside);
    if (out == NULL) {
        int status = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
        free(beside);
        return status;
    }
    bool ok = ends_with(path, ".html")   ? profile_write_html(p, out)
              : ends_with(path, ".json") ? profile_write_speedscope(p, out)
              : is_pprof(path)           ? profile_write_pprof(p, out)
                                         : profile_write_folded(p, out);
    int reason = errno;
    if (fclose(out) != 0) {
        ok = false;
        reason = errno;
    }
    if (ok && beside != NULL && rename(beside, path) != 0) {
        ok = false;
        reason = errno;
    }
    if (!ok && beside != NULL) unlink(beside);
    free(beside);
    if (!ok) return cli_fail(CLI_FAILED, "%s: %s", path, strerror(reason));
    cli_say("wrote %s", path);
    return 0;
}

static int write_outputs(const profile *p, const record_request *q) {
    char html[64], folded[64];
    int status = 0;
    for (size_t i = 0; i < q->n_outputs; i++) {
        int one = write_output(p, q->outputs[i], true);
        if (status == 0) status = one;
    }
    if (q->n_outputs > 0) return status;
    snprintf(html, sizeof html, "ljinspect-%d.html", (int)q->pid);
    snprintf(folded, sizeof folded, "ljinspect-%d.folded", (int)q->pid);
    status = write_output(p, html, false);
    int other = write_output(p, folded, false);
    return status != 0 ? status : other;
}

/* What the samples tell, unless there are none. */
static int finish(profile *p, const recorder_counts *c, const record_request *q, double seconds) {
    snprintf(p->title, sizeof p->title,
             "ljinspect: process %d%s, %s%.1f s on %u Hz, %" PRIu64 " samples, %" PRIu64 " inconsistent", (int)q->pid,
             q->children ? " and its children" : "", q->waiting ? "waiting, " : "", seconds, q->hz, c->good,
             c->inconsistent);
    if (c->no_line > 0 || c->cut > 0)
        fprintf(stderr,
                "ljinspect: of the samples, %" PRIu64 " in compiled code without a line, %" PRIu64
                " too deep to be whole\n",
                c->no_line, c->cut);
    if (c->good == 0)
        return cli_fail(CLI_FAILED, "no sample: no Lua code %s", q->waiting ? "waited" : "was on a processor");
    return write_outputs(p, q);
}

static int record_vms(target *t, remote_vms *vms, const record_request *q, profile *p, recorder_counts *c,
                      double *seconds) {
    sampler *s;
    recorder *r = recorder_new(p);
    int status = r == NULL ? cli_fail(CLI_FAILED, "%s", strerror(ENOMEM)) : 0;
    const sampler_kind *kind = status == 0 ? start_sampler(q, t, vms, r, &s, &status) : NULL;
    if (kind != NULL) {
        double begin = sampler_now();
        status = sample_loop(kind, s, r, q);
        *seconds = sampler_now() - begin;
        p->seconds_a_sample = kind->seconds_a_sample(s, *seconds);
        kind->print_summary(s, *seconds);
        *c = *recorder_count(r);
        kind->free(s);
    }
    recorder_free(r);
    return status;
}

int record_process(const record_request *q, profile *p, recorder_counts *c, double *seconds) {
    target *t;
    remote_vms vms;
    char name[32];
    *c = (recorder_counts){0};
    *seconds = 0;
    snprintf(name, sizeof name, "process %d", (int)q->pid);
    int status = attach_process(q->pid, &t);
    if (status != 0) return status;
    status = attach_vms(t, name, &vms);
    if (status == 0) {
        status = record_vms(t, &vms, q, p, c, seconds);
        remote_free_vms(&vms);
    }
    target_close(t);
    return status;
}

static int record(const record_request *q) {
    profile p;
    recorder_counts c;
    double seconds;
    if (!profile_init(&p)) return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
    int status = q->children ? record_children(q, &p, &c, &seconds) : record_process(q, &p, &c, &seconds);
    if (seconds > 0 && (status == 0 || c.good > 0)) {
        int written = finish(&p, &c, q, seconds);
        if (status == 0) status = written;
    }
    profile_free(&p);
    return status;
}

/* ---- Options ---- */

static int usage(void) {
    fputs("ljinspect record --help tells how it is used.\n", stderr);
    return CLI_USAGE;
}

static bool number(const char *text, double low, double high, double *value) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && *value >= low && *value <= high;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, record_request *q) {
    static const struct option options[] = {
        {"duration", required_argument, NULL, 'd'}, {"frequency", required_argument, NULL, 'F'},
        {"output", required_argument, NULL, 'o'},   {"backend", required_argument, NULL, 'b'},
        {"children", no_argument, NULL, 'c'},       {"off-cpu", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "d:F:o:b:h", options, NULL)) != -1;) {
        double value;
        switch (option) {
        case 'd':
            if (!number(optarg, 0.001, 1e7, &q->seconds))
                return cli_fail(CLI_USAGE, "-d %s: a number of seconds expected", optarg);
            break;
        case 'F':
            if (!number(optarg, 1, RECORD_FREQUENCY_MAX, &value))
                return cli_fail(CLI_USAGE, "-F %s: a number from 1 to %d expected", optarg, RECORD_FREQUENCY_MAX);
            q->hz = (unsigned)value;
            break;
        case 'o':
            if (q->n_outputs == RECORD_OUTPUTS_MAX) return cli_fail(CLI_USAGE, "too many outputs");
            q->outputs[q->n_outputs++] = optarg;
            break;
        case 'b':
            q->kind = strcmp(optarg, "ebpf") == 0     ? &SAMPLER_EBPF
                      : strcmp(optarg, "ptrace") == 0 ? &SAMPLER_PTRACE
                                                      : NULL;
            if (q->kind == NULL && strcmp(optarg, "auto") != 0)
                return cli_fail(CLI_USAGE, "-b %s: ebpf, ptrace or auto expected", optarg);
            break;
        case 'c': q->children = true; break;
        case 'w': q->waiting = true; break;
        case 'h': fputs(HELP, stdout); return 0;
        default: return usage();
        }
    }
    if (q->waiting && q->kind != NULL) return cli_fail(CLI_USAGE, "--off-cpu goes without --backend");
    if (q->waiting) q->kind = &SAMPLER_WAITING;
    if (argc != optind + 1) return usage();
    q->pid = attach_pid(argv[optind]);
    return q->pid != 0 ? -1 : cli_fail(CLI_USAGE, "%s: a process id expected", argv[optind]);
}

int cli_record(int argc, char **argv) {
    record_request q = {.hz = 99};
    int status = read_options(argc, argv, &q);
    if (status >= 0) return status;
    const struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: sleeping ends */
    const struct sigaction child = {.sa_handler = on_child};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &child, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow further is an error like others */
    return record(&q);
}
