/*
 * The sweep's program: fault_sweep [--store URL] [--endpoint URL] [--jobs N] [--thin N] [--nth N]
 * [--rules TEXT] [--keep] [PATTERN...]. A job is called SCENARIO/KIND/FAULT; PATTERN is a glob of
 * job names. Each job runs in a process and a directory of its own; its log is shown if it fails.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/fault/sweep.h"

enum { MAIN_JOBS = 6, MAIN_UNIT = 32 << 10, MAIN_UNIT_S3 = 1 << 20 };

static const struct fault {
    const char *words;
    enum sweep_kind kind;
    bool lasting;
    uint64_t stride;
} faults[] = {
    {"store.* error=EAGAIN", SWEEP_TOGETHER, false, 1},
    {"store.* error=EIO", SWEEP_TOGETHER, false, 2},
    {"store.* lose", SWEEP_TOGETHER, false, 1},
    {"store.* twice", SWEEP_TOGETHER, false, 3},
    {"store.* error=EAGAIN", SWEEP_TOGETHER, true, 1},
    {"store.get cut", SWEEP_TOGETHER, false, 1},
    {"store.* kill", SWEEP_KILLS, false, 1},
    {"store.* kill_after", SWEEP_KILLS, false, 1},
    {"db.* error=EIO", SWEEP_ALONE, false, 3},
    {"db.* error=ENOSPC", SWEEP_ALONE, true, 7},
    {"db.write cut error=ENOSPC", SWEEP_ALONE, false, 5},
    {"db.sync kill_after", SWEEP_KILLS, false, 1},
    {"db.* kill", SWEEP_KILLS, false, 5},
    {"stage.* error=EIO", SWEEP_ALONE, false, 1},
    {"stage.* error=ENOSPC", SWEEP_ALONE, true, 1},
    {"stage.write cut", SWEEP_ALONE, false, 1},
    {"stage.* kill", SWEEP_KILLS, false, 1},
    {"stage.* kill_after", SWEEP_KILLS, false, 1},
    {"db.[!r]*,store.*,stage.* kill", SWEEP_RECOVERY, false, 5},
    {"db.*,stage.* error=EIO", SWEEP_RECOVERY, false, 5},
};

static const char *const kinds[] = {"alone", "together", "kills", "recovery"};

struct options {
    const char *store, *endpoint;
    size_t jobs;
    uint64_t nth, thin;
    bool keep;
    char **patterns;
    int pattern_count;
};

struct worker {
    pid_t pid;
    char *name, *top;
    struct job job;
    int64_t began_ns;
};

static bool wanted(const struct options *o, const char *name)
{
    for (int i = 0; i < o->pattern_count; i++) {
        if (fnmatch(o->patterns[i], name, 0) == 0)
            return true;
    }
    return o->pattern_count == 0;
}

/* In a process of its own. */
static int worker_run(const struct options *o, const struct worker *w)
{
    CLEANUP_FREE char *state = mem_printf("%s/state", w->top);
    CLEANUP_FREE char *bucket = mem_printf("%s/bucket", w->top);
    CLEANUP_FREE char *log = mem_printf("%s/log", w->top);
    CLEANUP_FREE char *url = o->store ? mem_printf("%s/%s", o->store, strrchr(w->top, '-') + 1)
                                      : mem_printf("file://%s", bucket);
    struct sweep_place place = {
        .state_dir = state, .url = url, .endpoint = o->endpoint, .small_parts = !o->store};
    uint64_t runs = 0;

    if (mkdir(state, 0700) || mkdir(bucket, 0700) || !freopen(log, "w", stderr))
        return 1;
    (void)setvbuf(stderr, NULL, _IOLBF, 0);
    log_level_set(o->keep ? LOG_DEBUG : LOG_WARN);
    bool good = job_run(&w->job, &place, o->nth, &runs);
    (void)printf("%-6s %4lu runs %5.1f s  %s\n", good ? "ok" : "FAILED", (unsigned long)runs,
                 (double)(clock_mono_ns() - w->began_ns) / 1e9, w->name);
    (void)fflush(stdout);
    return good ? 0 : 1;
}

static struct worker worker_start(const struct options *o, const char *scenario,
                                  const struct fault *fault, char *name)
{
    struct worker w = {
        .name = name, .top = mem_strdup("/tmp/pailfs-sweep-XXXXXX"), .began_ns = clock_mono_ns()};

    w.job = (struct job){.scenario = scenario,
                         .fault = fault->words,
                         .kind = fault->kind,
                         .lasting = fault->lasting,
                         .stride = fault->stride * o->thin};
    if (!mkdtemp(w.top))
        abort();
    (void)fflush(stdout);
    w.pid = fork();
    if (w.pid == 0)
        exit(worker_run(o, &w)); /* NOLINT(concurrency-mt-unsafe) */
    return w;
}

static void run_command(char *command)
{
    (void)fflush(stdout);
    (void)!system(command); /* NOLINT(concurrency-mt-unsafe,cert-env33-c): on a test's directory */
    free(command);
}

/* Nobody else writes to the bucket: who finds others there has mistaken himself for them. */
static bool worker_sees_others(const struct worker *w)
{
    CLEANUP_FREE char *path = mem_printf("%s/log", w->top);
    FILE *log = fopen(path, "re");
    char line[1024];
    bool others = false;

    while (log && fgets(line, sizeof(line), log)) {
        if (strstr(line, "conflict") || strstr(line, "event=removed_by_others")) {
            (void)printf("FAILED %s: %s", w->name, line);
            others = true;
        }
    }
    if (log)
        (void)fclose(log);
    return others;
}

/* Waits for one of them. True if it failed. */
static bool worker_wait(const struct options *o, struct worker *workers, size_t count)
{
    int status;
    pid_t pid = wait(&status);
    bool failed = status != 0;

    for (size_t i = 0; i < count; i++) {
        struct worker *w = &workers[i];
        if (w->pid != pid)
            continue;
        if (status) {
            (void)printf("FAILED %s: status %x\n", w->name, status);
            run_command(mem_printf("grep -a '^sweep:' %s/log; grep -a -v '^sweep:' %s/log | "
                                   "tail -n 12",
                                   w->top, w->top));
        }
        failed = worker_sees_others(w) || failed;
        if (!o->keep || (!failed && !o->nth))
            run_command(mem_printf("rm -rf %s", w->top));
        else
            (void)printf("kept %s\n", w->top);
        free(w->name);
        free(w->top);
        *w = (struct worker){0};
        break;
    }
    return failed;
}

static size_t run_all(const struct options *o, size_t *ret_failed)
{
    struct worker *workers = mem_array(o->jobs, sizeof(*workers));
    size_t busy = 0, count = 0;

    *ret_failed = 0;
    for (const struct scenario *s = sweep_scenarios; s->name; s++) {
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
            char *name = mem_printf("%s/%s/%s%s", s->name, kinds[faults[i].kind], faults[i].words,
                                    faults[i].lasting ? " lasting" : "");
            if (!wanted(o, name)) {
                free(name);
                continue;
            }
            if (busy == o->jobs) {
                *ret_failed += worker_wait(o, workers, o->jobs);
                busy--;
            }
            size_t at = 0;
            while (workers[at].pid)
                at++;
            workers[at] = worker_start(o, s->name, &faults[i], name);
            busy++;
            count++;
        }
    }
    for (; busy > 0; busy--)
        *ret_failed += worker_wait(o, workers, o->jobs);
    free(workers);
    return count;
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        {"store", required_argument, NULL, 's'}, {"endpoint", required_argument, NULL, 'e'},
        {"jobs", required_argument, NULL, 'j'},  {"nth", required_argument, NULL, 'n'},
        {"rules", required_argument, NULL, 'r'}, {"thin", required_argument, NULL, 't'},
        {"keep", no_argument, NULL, 'k'},        {0}};
    struct options o = {.jobs = MAIN_JOBS, .thin = 1};
    size_t failed;

    for (int c; (c = getopt_long(argc, argv, "s:e:j:n:r:t:k", table, NULL)) != -1;) {
        if (c == 's')
            o.store = optarg;
        else if (c == 'e')
            o.endpoint = optarg;
        else if (c == 'j')
            o.jobs = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            o.nth = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            sweep_always = optarg; /* "store.* delay=20ms", "caps cond_put=0" */
        else if (c == 't')
            o.thin = strtoull(optarg, NULL, 10);
        else if (c == 'k')
            o.keep = true;
        else
            return 2;
    }
    o.patterns = argv + optind;
    o.pattern_count = argc - optind;
    int64_t began = clock_mono_ns();
    sweep_scale(o.store ? MAIN_UNIT_S3 : MAIN_UNIT);
    size_t count = run_all(&o, &failed);
    (void)printf("%zu jobs, %zu failed, %.0f s\n", count, failed,
                 (double)(clock_mono_ns() - began) / 1e9);
    return failed || count == 0 ? 1 : 0;
}
