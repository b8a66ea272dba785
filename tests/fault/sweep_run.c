/* One run: a scenario with one fault, and what has to be true of it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/sweep.h"

enum { RUN_POLL_US = 10 * 1000, RUN_POLL_PATIENT_US = 100 * 1000 };

static int64_t run_limit(void)
{
    return clock_mono_ns() + SWEEP_WAIT_S * CLOCK_S;
}

void run_clear(struct run *run)
{
    tree_clear(&run->tree);
    free(run->problem);
    run->problem = NULL;
}

/* Takes text. The first problem is the one that counts. */
static void run_problem(struct run *run, const char *when, char *text)
{
    if (!run->problem)
        run->problem = mem_printf("%s: %s", when, text);
    free(text);
}

/* The client sees what it was told. */
static void run_check_view(struct gateway *g, struct run *run, const char *when)
{
    struct tree view = {0};
    int err = client_view(g, run->dir, &view);
    char *problem = err ? mem_strdup(strerrordesc_np(-err)) : tree_differs(&view, &run->tree);

    if (problem)
        run_problem(run, when, problem);
    tree_clear(&view);
}

static void run_pause(const struct run *run)
{
    (void)usleep(run->patient ? RUN_POLL_PATIENT_US : RUN_POLL_US);
}

/* What would come by itself, now: a run alone in its gateway need not wait for quiet times. */
static void run_hurry(struct gateway *g, const struct run *run)
{
    struct fs_flush flush;

    if (run->patient)
        return;
    if (fs_flush(g->vol, "", fs_mark_now(g->fs), false, clock_mono_ns(), &flush) == 0)
        fs_flush_clear(&flush);
}

/* Waits until the bucket has what the client was told; false at the limit. */
static bool run_settle(struct gateway *g, struct run *run, int64_t limit_ns, const char *when)
{
    CLEANUP_FREE char *prefix = mem_printf("%s/", run->name);
    struct tree bucket = {0};
    char *problem;

    for (;;) {
        int err = bucket_view(g, prefix, &bucket);
        problem = err ? mem_strdup(strerrordesc_np(-err)) : bucket_differs(&bucket, &run->tree);
        if (!problem || clock_mono_ns() >= limit_ns)
            break;
        free(problem);
        run_hurry(g, run);
        run_pause(run);
    }
    tree_clear(&bucket);
    if (problem && when)
        run_problem(run, when, problem);
    else
        free(problem);
    return problem == NULL;
}

/* Counts of calls then belong to the next run alone. */
void run_quiet(struct gateway *g, struct run *run, const char *when)
{
    int64_t limit = run_limit();
    struct fs_left left;

    do {
        run_hurry(g, run);
        run_pause(run);
        fs_get_left(g->fs, &left);
    } while (left.files + left.intents > 0 && clock_mono_ns() < limit);
    if (left.files + left.intents > 0)
        run_problem(run, when, mem_strdup("something is still on its way to the bucket"));
}

static void run_done(struct run *run, const struct step *step, size_t at, uint64_t ino)
{
    tree_apply(&run->tree, step, ino);
    if (run->progress && ino)
        run->progress->inos[at] = ino;
}

static size_t steps_count(const struct step *steps)
{
    size_t count = 0;

    while (steps[count].op != STEP_END)
        count++;
    return count;
}

void run_prepare(struct gateway *g, struct run *run)
{
    const struct step *setup = run->scenario->setup;
    uint64_t ino;

    int err = client_make_dir(g, fs_root(g->vol), run->name, &run->dir);
    for (size_t i = 0; setup[i].op != STEP_END && !err; i++) {
        err = client_step(g, run->dir, &setup[i], run_limit(), &ino);
        if (!err)
            run_done(run, &setup[i], i, ino);
    }
    if (err)
        run_problem(run, "setup", mem_strdup(strerrordesc_np(-err)));
    else
        (void)run_settle(g, run, run_limit(), "setup, in the bucket");
}

static bool step_repeatable(const struct step *step)
{
    return step->op == STEP_WRITE || step->op == STEP_SYNC_WRITE || step->op == STEP_TRUNCATE ||
           step->op == STEP_CHMOD || step->op == STEP_PUNCH || step->op == STEP_COPY;
}

/* The step was not acknowledged: it happened, or it did not, as a whole. True: it did, and need not
 * be done again. */
static bool run_old_or_new(struct gateway *g, struct run *run, const struct step *step, size_t at,
                           const char *when)
{
    bool unstable = step->op == STEP_WRITE || step->op == STEP_PUNCH || step->op == STEP_COPY;
    const char *loose = unstable ? step->path : NULL;
    struct tree view = {0}, after = {0};
    bool happened = false;

    tree_copy(&after, &run->tree);
    tree_apply(&after, step, 0);
    int err = client_view(g, run->dir, &view);
    char *not_new = err ? mem_strdup(strerrordesc_np(-err)) : tree_differs(&view, &after);
    char *not_old = err ? mem_strdup("it cannot be read")
                        : tree_differs_loose(&view, &run->tree, &after, loose);
    if (not_new && not_old) {
        run_problem(
            run, when,
            mem_printf("step %zu is neither done (%s) nor undone (%s)", at, not_new, not_old));
    } else if (!not_new && !step_repeatable(step)) {
        const struct node *made = tree_find(&view, step->path);
        run_done(run, step, steps_count(run->scenario->setup) + at,
                 made && (step->op == STEP_MKDIR || step->op == STEP_CREATE) ? made->ino : 0);
        happened = true;
    }
    free(not_new);
    free(not_old);
    tree_clear(&view);
    tree_clear(&after);
    return happened;
}

/* Once more, now that nothing is in the way. A write may be told late of what went wrong before. */
static void run_again(struct gateway *g, struct run *run, const struct step *step, size_t at)
{
    uint64_t ino;
    int err = client_step(g, run->dir, step, run_limit(), &ino);

    if (err && step_repeatable(step))
        err = client_step(g, run->dir, step, run_limit(), &ino);
    if (err)
        run_problem(run, "again, without a fault",
                    mem_printf("step %zu: %s", at, strerrordesc_np(-err)));
    else
        run_done(run, step, steps_count(run->scenario->setup) + at, ino);
}

static void run_step(struct gateway *g, struct run *run, const struct step *step, size_t at)
{
    int64_t blink = clock_mono_ns() + SWEEP_BLINK_MS * CLOCK_MS;
    uint64_t ino;
    int err = client_step(g, run->dir, step, run->lasting ? blink : run_limit(), &ino);

    if (!err) {
        run_done(run, step, steps_count(run->scenario->setup) + at, ino);
        return;
    }
    fault_rule_end(run->rule);
    if (fault_rule_hits(run->rule) == 0 && !run->lasting)
        run_problem(run, "an error without a fault",
                    mem_printf("step %zu: %s", at, strerrordesc_np(-err)));
    else if (!run_old_or_new(g, run, step, at, "after an error"))
        run_again(g, run, step, at);
}

static void run_end(struct gateway *g, struct run *run)
{
    if (run->lasting) {
        int64_t blink = clock_mono_ns() + SWEEP_BLINK_MS * CLOCK_MS;
        (void)run_settle(g, run, blink, NULL);
        fault_rule_end(run->rule);
    }
    if (fault_rule_hits(run->rule) > 0)
        run_check_view(g, run, "after the steps");
    if (!run->problem)
        (void)run_settle(g, run, run_limit(), "in the bucket");
    run->reached = fault_rule_hits(run->rule) > 0;
    fault_rule_end(run->rule);
    run_check_view(g, run, "in the end");
}

void run_steps(struct gateway *g, struct run *run)
{
    const struct step *steps = run->scenario->steps;

    for (size_t i = 0; steps[i].op != STEP_END && !run->problem; i++) {
        run_step(g, run, &steps[i], i);
        if (run->progress)
            atomic_store(&run->progress->acked, (uint32_t)i + 1);
    }
    if (!run->problem)
        run_end(g, run);
    if (!run->problem)
        run_quiet(g, run, "in the end");
}

void run_resume(struct gateway *g, struct run *run)
{
    const struct step *setup = run->scenario->setup, *steps = run->scenario->steps;
    size_t setups = steps_count(setup), acked = atomic_load(&run->progress->acked);
    int err = client_lookup(g, fs_root(g->vol), run->name, &run->dir);

    for (size_t i = 0; i < setups; i++)
        tree_apply(&run->tree, &setup[i], run->progress->inos[i]);
    for (size_t i = 0; i < acked; i++)
        tree_apply(&run->tree, &steps[i], run->progress->inos[setups + i]);
    if (err)
        run_problem(run, "after the kill", mem_strdup(strerrordesc_np(-err)));
    else if (steps[acked].op == STEP_END)
        run_check_view(g, run, "after the kill");
    else if (run_old_or_new(g, run, &steps[acked], acked, "after the kill"))
        atomic_store(&run->progress->acked, (uint32_t)++acked);
    for (; steps[acked].op != STEP_END && !run->problem; acked++) {
        run_again(g, run, &steps[acked], acked);
        atomic_store(&run->progress->acked, (uint32_t)acked + 1);
    }
    if (!run->problem)
        (void)run_settle(g, run, run_limit(), "in the bucket after a kill");
    if (!run->problem)
        run_check_view(g, run, "in the end after a kill");
    if (!run->problem)
        run_quiet(g, run, "in the end after a kill");
}
