/* The runner: every case in a child process, in a directory of its own, with a limit. */
#include "tests/posix/posix.h"

#include <fnmatch.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { CASES_MAX = 400, CASE_LIMIT_S = 60, SKIPPED = 77 };

enum posix_mode posix_mode;
static struct {
    const char *name;
    posix_fn *fn;
} cases[CASES_MAX];
static size_t case_count;
static const char *case_name;
static int failures;

void posix_add(const char *name, posix_fn *fn)
{
    if (case_count == CASES_MAX)
        abort();
    cases[case_count].name = name;
    cases[case_count++].fn = fn;
}

static void tell(const struct posix_at *at, const char *text)
{
    failures++;
    printf("  %s: %s:%d: %s: %s\n", case_name, strrchr(at->file, '/') + 1, at->line, at->what,
           text);
    fflush(stdout);
}

int posix_ok(const struct posix_at *at, long got)
{
    char text[128];

    if (got == -1) {
        (void)snprintf(text, sizeof(text), "failed with %s", strerrorname_np(errno));
        tell(at, text);
    }
    return (int)got;
}

void posix_err(const struct posix_at *at, long got, int want)
{
    char text[128];
    int err = errno;
    const char *name = strerrorname_np(err), *wanted = strerrorname_np(want);

    if (got == -1 && err == want)
        return;
    if (got != -1)
        (void)snprintf(text, sizeof(text), "succeeded, want %s", wanted ? wanted : "?");
    else
        (void)snprintf(text, sizeof(text), "failed with %s (%d), want %s", name ? name : "?", err,
                       wanted ? wanted : "?");
    tell(at, text);
}

void posix_eq(const struct posix_at *at, long long want, long long got)
{
    char text[128];

    if (got == want)
        return;
    (void)snprintf(text, sizeof(text), "is %lld (0%llo), want %lld (0%llo)", got, got, want, want);
    tell(at, text);
}

void posix_true(const struct posix_at *at, bool good)
{
    if (!good)
        tell(at, "does not hold");
}

bool posix_can(const struct posix_at *at, int differ, long got)
{
    if (differs((enum differ)differ) && differ_errno((enum differ)differ)) {
        posix_err(at, got, differ_errno((enum differ)differ));
        return false;
    }
    return posix_ok(at, got) != -1;
}

void posix_skip(const char *why)
{
    printf("  %s: skipped: %s\n", case_name, why);
    fflush(stdout);
    _exit(failures ? 1 : SKIPPED);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    if (remove(path) != 0 && errno != ENOENT)
        printf("  %s: cannot be removed: %s\n", path, strerrorname_np(errno));
    return 0;
}

static _Noreturn void case_child(const char *dir, posix_fn *fn)
{
    alarm(CASE_LIMIT_S);
    umask(022);
    if (mkdir(dir, 0777) != 0 || chmod(dir, 0777) != 0 || chdir(dir) != 0) {
        printf("  %s: %s: %s\n", case_name, dir, strerrorname_np(errno));
        _exit(1);
    }
    fn();
    fflush(stdout);
    _exit(failures ? 1 : 0);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int case_run(const char *top, size_t i)
{
    char dir[4096];
    int status;
    double began = seconds();

    case_name = cases[i].name;
    (void)snprintf(dir, sizeof(dir), "%s/%s", top, case_name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        case_child(dir, cases[i].fn);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    (void)nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    int rc = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (WIFSIGNALED(status))
        printf("  %s: %s\n", case_name,
               WTERMSIG(status) == SIGALRM ? "not done in time" : strsignal(WTERMSIG(status)));
    printf("%-4s %s (%.2f s)\n",
           rc == 0         ? "ok"
           : rc == SKIPPED ? "skip"
                           : "FAIL",
           case_name, seconds() - began);
    return rc;
}

static int read_only(const char *dir)
{
    case_name = "read-only";
    if (chdir(dir) != 0)
        return 2;
    posix_read_only();
    printf("%s read-only (0.00 s)\n1 case, %d failed\n", failures ? "FAIL" : "ok", failures);
    return failures ? 1 : 0;
}

static bool wanted(const char *name, char **patterns)
{
    bool any = !*patterns || **patterns == '-';

    for (; *patterns; patterns++) {
        if (**patterns == '-' && fnmatch(*patterns + 1, name, 0) == 0)
            return false;
        any = any || fnmatch(*patterns, name, 0) == 0;
    }
    return any;
}

int main(int argc, char **argv)
{
    size_t ran = 0, failed = 0, skipped = 0;

    if (argc == 2 && strcmp(argv[1], "--differences") == 0) {
        differ_print();
        return 0;
    }
    if (argc < 3) {
        fprintf(stderr, "posix local|fuse|nfs DIRECTORY [CASE...]\n");
        return 2;
    }
    posix_mode = strcmp(argv[1], "nfs") == 0 ? NFS : strcmp(argv[1], "fuse") == 0 ? FUSE : LOCAL;
    setgroups(0, NULL);
    if (argc == 4 && strcmp(argv[3], "read-only") == 0)
        return read_only(argv[2]);
    for (size_t i = 0; i < case_count; i++) {
        if (!wanted(cases[i].name, argv + 3))
            continue;
        int rc = case_run(argv[2], i);
        ran++;
        failed += rc != 0 && rc != SKIPPED;
        skipped += rc == SKIPPED;
    }
    printf("%zu cases, %zu failed, %zu skipped\n", ran, failed, skipped);
    return failed || !ran ? 1 : 0;
}
