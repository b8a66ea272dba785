/* One job: a scenario with one kind of fault, at each call in turn. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tests/fault/sweep.h"

enum { JOB_RUNS_MAX = 2000, JOB_TOGETHER_BYTES = 200 << 20, JOB_THREADS_MAX = 40 };

static const struct scenario *job_scenario(const struct job *job)
{
    for (const struct scenario *s = sweep_scenarios; s->name; s++) {
        if (strcmp(s->name, job->scenario) == 0)
            return s;
    }
    abort();
}

static struct run job_new_run(const struct job *job, uint64_t n)
{
    struct run run = {.scenario = job_scenario(job), .fault = job->fault, .lasting = job->lasting};

    (void)snprintf(run.name, sizeof(run.name), "r%lu", (unsigned long)n);
    return run;
}

static char *job_rule(const struct job *job, uint64_t n, const char *key)
{
    return mem_printf("%s %s%s%s %s=%lu", job->fault, key ? "key=" : "", key ? key : "",
                      key ? "/*" : "", job->lasting ? "from" : "nth", (unsigned long)n);
}

static bool job_verdict(const struct job *job, const struct run *run, uint64_t n)
{
    if (run->problem)
        (void)fprintf(stderr, "sweep: %s: %s %s=%lu: %s\n", job->scenario, job->fault,
                      job->lasting ? "from" : "nth", (unsigned long)n, run->problem);
    return !run->problem;
}

/* Jobs that leave out some calls do not all leave out the same. */
static uint64_t job_first(const struct job *job, uint64_t only)
{
    uint64_t sum = 0;

    for (const char *c = job->scenario; *c; c++)
        sum = sum * 31 + (unsigned char)*c;
    return only ? only : job->stride > 1 ? 1 + sum % job->stride : 1;
}

static uint64_t job_next(const struct job *job, uint64_t n)
{
    return n + (job->stride ? job->stride : 1);
}

/* ---- one at a time ---- */

static bool job_alone(const struct job *job, const struct sweep_place *place, uint64_t only,
                      uint64_t *ret_runs)
{
    struct gateway g;
    bool good = true, reached = true;

    gateway_start(&g, place, NULL);
    for (uint64_t n = job_first(job, only); good && reached; n = job_next(job, n)) {
        struct run run = job_new_run(job, n);
        CLEANUP_FREE char *rule = job_rule(job, n, NULL);
        run_prepare(&g, &run);
        run_quiet(&g, &run, "setup");
        sweep_rules(rule);
        if (!run.problem)
            run_steps(&g, &run);
        sweep_rules(NULL);
        good = job_verdict(job, &run, n);
        reached = run.reached && !only && n < JOB_RUNS_MAX;
        ++*ret_runs;
        run_clear(&run);
    }
    gateway_stop(&g, SWEEP_WAIT_S);
    return good;
}

/* ---- many at a time ---- */

struct together {
    const struct job *job;
    struct gateway g;
    struct run *runs;
    size_t count;
    _Atomic size_t next;
    bool prepared;
};

static void *together_main(void *arg)
{
    struct together *t = arg;

    for (size_t i; (i = atomic_fetch_add(&t->next, 1)) < t->count;) {
        if (!t->prepared)
            run_prepare(&t->g, &t->runs[i]);
        else if (!t->runs[i].problem)
            run_steps(&t->g, &t->runs[i]);
    }
    return NULL;
}

static void together_all(struct together *t, size_t thread_count)
{
    pthread_t threads[JOB_THREADS_MAX];

    atomic_store(&t->next, 0);
    for (size_t i = 0; i < thread_count; i++) {
        if (thread_start(&threads[i], "client", together_main, t))
            abort();
    }
    for (size_t i = 0; i < thread_count; i++)
        (void)pthread_join(threads[i], NULL);
}

static size_t together_threads(const struct scenario *scenario)
{
    uint64_t most = 1;

    for (size_t i = 0; scenario->setup[i].op != STEP_END; i++)
        most = scenario->setup[i].len > most ? scenario->setup[i].len : most;
    for (size_t i = 0; scenario->steps[i].op != STEP_END; i++)
        most = scenario->steps[i].len > most ? scenario->steps[i].len : most;
    most = JOB_TOGETHER_BYTES / 4 / most;
    return most < 1 ? 1 : most > JOB_THREADS_MAX ? JOB_THREADS_MAX : most;
}

/* How many calls there are: one run without a fault. */
static uint64_t together_count(struct together *t, bool *ret_good)
{
    struct run run = job_new_run(t->job, 0);
    CLEANUP_FREE char *points = mem_strndup(t->job->fault, strcspn(t->job->fault, " "));
    CLEANUP_FREE char *rule = mem_printf("%s key=%s/*", points, run.name);

    run_prepare(&t->g, &run);
    sweep_rules(rule);
    if (!run.problem)
        run_steps(&t->g, &run);
    uint64_t seen = fault_rule_seen(0);
    *ret_good = job_verdict(t->job, &run, 0);
    run_clear(&run);
    sweep_rules(NULL);
    return seen;
}

static bool job_together(const struct job *job, const struct sweep_place *place, uint64_t only,
                         uint64_t *ret_runs)
{
    struct together t = {.job = job};
    size_t threads = together_threads(job_scenario(job));
    char *rules = mem_strdup("");
    bool good;

    gateway_start(&t.g, place, NULL);
    uint64_t calls = together_count(&t, &good), first = job_first(job, only);
    t.runs = mem_array(calls + 3, sizeof(*t.runs));
    for (uint64_t n = first; n <= calls + 2 && (!only || n == only); n = job_next(job, n)) {
        struct run *run = &t.runs[t.count];
        *run = job_new_run(job, n);
        run->rule = t.count++;
        CLEANUP_FREE char *rule = job_rule(job, n, run->name), *old = rules;
        rules = mem_printf("%s%s\n", old, rule);
    }
    together_all(&t, threads);
    sweep_rules(rules);
    t.prepared = true;
    if (good)
        together_all(&t, threads);
    sweep_rules(NULL);
    gateway_stop(&t.g, SWEEP_WAIT_S);
    for (size_t i = 0; i < t.count; i++) {
        good = job_verdict(job, &t.runs[i], strtoull(t.runs[i].name + 1, NULL, 10)) && good;
        run_clear(&t.runs[i]);
    }
    *ret_runs += t.count;
    free(t.runs);
    free(rules);
    return good;
}

/* ---- killed each time ---- */

struct life {
    const struct job *job;
    const struct sweep_place *place;
    uint64_t before; /* the run that an earlier life left; 0: none */
    uint64_t now;    /* the run to begin; 0: none */
    const char *rule;
    bool early;                /* the rule is for the start of the gateway and for run before */
    struct progress *progress; /* of run before, then of run now */
};

/* Takes up what the life before left. */
static bool life_resume(struct gateway *g, const struct life *life)
{
    struct run run = job_new_run(life->job, life->before);

    run.progress = life->progress;
    run_resume(g, &run);
    bool good = job_verdict(life->job, &run, life->before);
    run_clear(&run);
    return good;
}

static bool life_begin(struct gateway *g, const struct life *life)
{
    struct run run = job_new_run(life->job, life->now);

    memset(life->progress, 0, sizeof(*life->progress));
    run.progress = life->progress;
    run_prepare(g, &run);
    run_quiet(g, &run, "setup");
    sweep_rules(life->rule);
    atomic_store(&life->progress->armed, true);
    if (!run.problem)
        run_steps(g, &run);
    bool good = job_verdict(life->job, &run, life->now);
    run_clear(&run);
    return good;
}

/* In a process of its own. Returns unless it is killed. */
static bool life_run(const struct life *life)
{
    struct gateway g;
    bool good = true;

    atomic_store(&life->progress->armed, life->early);
    atomic_store(&life->progress->reached, false);
    gateway_start(&g, life->place, life->early ? life->rule : NULL);
    if (life->early && strstr(life->rule, "error=")) {
        atomic_store(&life->progress->reached, fault_rule_hits(0) > 0);
        fault_rule_end(0);
    }
    /* What started in spite of an error may be read-only: what it left alone is looked at then. */
    if (life->before && !atomic_load(&life->progress->reached))
        good = life_resume(&g, life);
    if (life->now && good)
        good = life_begin(&g, life);
    gateway_stop(&g, atomic_load(&life->progress->reached) ? 0 : SWEEP_WAIT_S);
    return good;
}

enum life_end { LIFE_STRUCK, LIFE_FINISHED, LIFE_BAD };

static enum life_end life_live(const struct life *life)
{
    int status;

    (void)fflush(stderr);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0)
        exit(life_run(life) ? 0 : 1); /* NOLINT(concurrency-mt-unsafe): with its leak check */
    if (waitpid(pid, &status, 0) != pid)
        abort();
    bool armed = atomic_load(&life->progress->armed);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && armed)
        return LIFE_STRUCK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SWEEP_REFUSED && life->early)
        return LIFE_STRUCK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return atomic_load(&life->progress->reached) ? LIFE_STRUCK : LIFE_FINISHED;
    (void)fprintf(stderr, "sweep: %s: %s nth=%lu: the process ended with status %x\n",
                  life->job->scenario, life->rule ? life->rule : "no fault",
                  (unsigned long)life->now, status);
    return LIFE_BAD;
}

/* The next life takes up what the last one left, and goes on to run n. */
static enum life_end job_crash(const struct job *job, struct life *life, uint64_t n,
                               const char *rule)
{
    *life = (struct life){.job = job,
                          .place = life->place,
                          .before = life->now,
                          .now = n,
                          .rule = rule,
                          .progress = life->progress};
    return life_live(life);
}

static enum life_end job_kill(const struct job *job, struct life *life, uint64_t n)
{
    CLEANUP_FREE char *rule = job_rule(job, n, NULL);

    return job_crash(job, life, n, rule);
}

/* Killed in the middle; then the fault, while that is taken up. */
static enum life_end job_recovery(const struct job *job, struct life *life, uint64_t n)
{
    CLEANUP_FREE char *rule = job_rule(job, n, NULL);
    enum life_end end = job_crash(job, life, n, "db.sync nth=5 kill_after");

    if (end != LIFE_STRUCK)
        return LIFE_BAD;
    struct life second = {.job = job,
                          .place = life->place,
                          .before = n,
                          .rule = rule,
                          .early = true,
                          .progress = life->progress};
    return life_live(&second);
}

static bool job_kills(const struct job *job, const struct sweep_place *place, uint64_t only,
                      uint64_t *ret_runs)
{
    struct progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct life life = {.place = place, .progress = progress};
    enum life_end end = LIFE_STRUCK;

    assert(progress != MAP_FAILED);
    for (uint64_t n = job_first(job, only); end == LIFE_STRUCK && n < JOB_RUNS_MAX;
         n = only ? JOB_RUNS_MAX : job_next(job, n)) {
        end = job->kind == SWEEP_KILLS ? job_kill(job, &life, n) : job_recovery(job, &life, n);
        ++*ret_runs;
    }
    if (end == LIFE_STRUCK) /* only this one, and it was */
        end = job_crash(job, &life, 0, NULL);
    (void)munmap(progress, sizeof(*progress));
    return end == LIFE_FINISHED;
}

bool job_run(const struct job *job, const struct sweep_place *place, uint64_t only,
             uint64_t *ret_runs)
{
    switch (job->kind) {
    case SWEEP_ALONE:
        return job_alone(job, place, only, ret_runs);
    case SWEEP_TOGETHER:
        return job_together(job, place, only, ret_runs);
    case SWEEP_KILLS:
    case SWEEP_RECOVERY:
        return job_kills(job, place, only, ret_runs);
    }
    abort();
}
