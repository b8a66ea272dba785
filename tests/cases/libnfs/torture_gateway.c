/* The gateway of the torture: started, killed at moments that the seed chooses, started again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

enum { STOP_MS = 60000, SLOW_STOP_MS = 30000, SLOW_START_MS = 20000, ARGS_MAX = 64 };

static struct {
    pid_t pid;
    int64_t started_ms;
    int64_t kill_ms;  /* when; 0: some time after it answered */
    int64_t after_ms; /* how long after */
    bool ending;      /* SIGTERM was sent */
    bool killed;
} gateway;

static unsigned pick(unsigned n)
{
    return chance_pick(&torture.chance, n);
}

/* Each run of it has other habits: what it caches, and how soon it uploads. */
static void choose_args(char *args[ARGS_MAX])
{
    static const char *const quiet[] = {"1ms", "20ms", "200ms", "2s"};
    static const char *const ttl[] = {"0", "60s"};
    size_t n = 0;

    for (; torture.server[n]; n++)
        args[n] = torture.server[n];
    args[n++] = (char *)(uintptr_t) "--quiet-time";
    args[n++] = (char *)(uintptr_t)quiet[pick(4)];
    args[n++] = (char *)(uintptr_t) "--attr-ttl";
    args[n++] = (char *)(uintptr_t)ttl[pick(2)];
    args[n] = NULL;
    trace("gateway: quiet-time %s, attr-ttl %s", args[n - 3], args[n - 1]);
}

static void run(char *const args[], pid_t parent)
{
    char path[1024];
    sigset_t none;
    int log;

    (void)snprintf(path, sizeof(path), "%s/pailfs.log", torture.dir);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    execv(args[0], args);
    perror(args[0]);
    _exit(126);
}

static void start(void)
{
    char *args[ARGS_MAX];
    pid_t parent = getpid();

    choose_args(args);
    gateway.kill_ms = 0;
    gateway.after_ms = 30 + pick(3) * pick(700);
    gateway.started_ms = rig_now_ms();
    gateway.ending = gateway.killed = false;
    if (pick(100) < 35)
        gateway.kill_ms = gateway.started_ms + 20 + pick(480);
    gateway.pid = fork();
    if (gateway.pid == 0)
        run(args, parent);
    if (gateway.pid < 0)
        FAIL("fork: %s", strerror(errno));
    torture.starts++;
    trace("gateway %d starts", (int)gateway.pid);
}

bool gateway_runs(void)
{
    return gateway.pid > 0 && !gateway.killed;
}

bool gateway_is_ending(void)
{
    return gateway.pid > 0 && gateway.ending;
}

void gateway_answers(void)
{
    if (torture.up_since_ms || !gateway_runs())
        return;
    torture.up_since_ms = rig_now_ms();
    trace("gateway answers after %d ms", (int)(torture.up_since_ms - gateway.started_ms));
}

/* What it was sent, and did not answer, goes out again. */
static void ended(void)
{
    gateway.pid = 0;
    torture.up_since_ms = 0;
    torture.epoch++;
    for (unsigned i = 0; i < torture.client_count; i++)
        wire_drop(&torture.clients[i], "the gateway has gone");
}

/* SIGTERM came before it was handled. */
static bool early(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && !torture.up_since_ms;
}

static void look_for_end(void)
{
    int status;

    if (gateway.pid <= 0 || waitpid(gateway.pid, &status, WNOHANG) == 0)
        return;
    trace("gateway %d ends with status %#x", (int)gateway.pid, (unsigned)status);
    if (!gateway.killed && !(gateway.ending && (status == 0 || early(status)))) {
        gateway.pid = 0;
        FAIL("the gateway has ended by itself with status %#x", (unsigned)status);
    }
    ended();
}

static void kill_now(void)
{
    int status;

    trace("gateway %d is killed", (int)gateway.pid);
    (void)kill(gateway.pid, SIGKILL);
    if (waitpid(gateway.pid, &status, 0) == gateway.pid && WIFSIGNALED(status))
        torture.kills++;
    else if (!(gateway.ending && status == 0))
        FAIL("the gateway has ended by itself with status %#x", (unsigned)status);
    ended();
}

/* Now and then it is asked to end before it is killed. */
static void end_it(void)
{
    if (!gateway.ending && pick(100) < 8) {
        trace("gateway %d is asked to end", (int)gateway.pid);
        (void)kill(gateway.pid, SIGTERM);
        gateway.ending = true;
        gateway.kill_ms = rig_now_ms() + pick(600);
        return;
    }
    kill_now();
}

void gateway_step(bool may_kill)
{
    int64_t now = rig_now_ms();

    look_for_end();
    if (gateway.pid <= 0) {
        start();
        return;
    }
    if (torture.up_since_ms == 0 && now - gateway.started_ms > SLOW_START_MS)
        FAIL("the gateway does not answer %d s after its start", SLOW_START_MS / 1000);
    if (!may_kill && !gateway.ending)
        return;
    if (gateway.kill_ms == 0 && torture.up_since_ms)
        gateway.kill_ms = torture.up_since_ms + gateway.after_ms;
    if (gateway.kill_ms && now >= gateway.kill_ms)
        end_it();
}

void gateway_stop(void)
{
    int64_t began = rig_now_ms();
    int status = 0;

    trace("gateway %d is asked to end, everything must be in the bucket", (int)gateway.pid);
    (void)kill(gateway.pid, SIGTERM);
    while (waitpid(gateway.pid, &status, WNOHANG) == 0) {
        if (rig_now_ms() - began > STOP_MS)
            FAIL("the gateway does not end");
        (void)poll(NULL, 0, 5);
    }
    gateway.pid = 0;
    ended();
    if (status != 0)
        FAIL("after SIGTERM the gateway has ended with status %#x", (unsigned)status);
    if (rig_now_ms() - began > SLOW_STOP_MS)
        FAIL("the gateway took %d ms to end: something waits for itself",
             (int)(rig_now_ms() - began));
}
