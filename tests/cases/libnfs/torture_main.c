/*
 * torture SEED CLIENTS KILLS ROUNDS PORT EXPORT DIR PAILFS ARGS...: see torture.h. In the end of
 * each round the clients let their requests be answered, commit, and look at everything; then the
 * gateway is asked to end and DIR/want says what the bucket has to hold. "compare" on stdout and a
 * line on stdin let somebody else look. DIR/trace has all that was sent and answered.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

enum { FLIGHT = 6, DROP_OF = 4000 };

struct torture torture;
static FILE *trace_file;
static int64_t began_ms;

/* ---- chance: splitmix64 ---- */

uint64_t chance_next(struct chance *chance)
{
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned chance_pick(struct chance *chance, unsigned n)
{
    return (unsigned)(chance_next(chance) % n);
}

bool chance_of(struct chance *chance, unsigned percent)
{
    return chance_pick(chance, 100) < percent;
}

/* ---- telling ---- */

void trace(const char *format, ...)
{
    int64_t now = rig_now_ms() - began_ms;
    va_list args;

    (void)fprintf(trace_file, "%4d.%03d ", (int)(now / 1000), (int)(now % 1000));
    va_start(args, format);
    (void)vfprintf(trace_file, format, args);
    va_end(args);
    (void)fputc('\n', trace_file);
}

void torture_fail(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trace("FAILED: %s", text);
    (void)fflush(trace_file);
    (void)printf("FAILED after %u kills, %u requests (seed %lu): %s [%s:%d]\n", torture.kills,
                 torture.ops, (unsigned long)torture.seed, text, file, line);
    (void)fflush(stdout);
    _exit(1); /* the gateway goes with us */
}

/* ---- what the bucket must hold ---- */

static void put_sha(FILE *out, const struct thing *file)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!EVP_Digest(file->want, file->size, sum, &len, EVP_sha256(), NULL))
        FAIL("no SHA-256");
    for (unsigned i = 0; i < len; i++)
        (void)fprintf(out, "%02x", sum[i]);
}

/* kind mode uid gid mtime size sha path target */
static void put_want(FILE *out, const struct thing *dir)
{
    static const char *const kinds[] = {"", "dir", "file", "link"};

    for (size_t i = 0; i < dir->kid_count; i++) {
        const struct thing *thing = dir->kids[i];
        (void)fprintf(out, "%s\t%u\t%u\t%u\t%ld\t%lu\t", kinds[thing->kind], thing->mode,
                      thing->uid, thing->gid, (long)thing->mtime_ns, (unsigned long)thing->size);
        if (thing->kind == PLAIN)
            put_sha(out, thing);
        (void)fprintf(out, "\t%s\t%s\n", thing_path(thing) + 1, thing->target);
        put_want(out, thing);
    }
}

static void compare(void)
{
    char path[1024], line[64];
    FILE *out;

    (void)snprintf(path, sizeof(path), "%s/want", torture.dir);
    out = fopen(path, "we");
    if (!out)
        FAIL("%s: %s", path, strerror(errno));
    put_want(out, torture.root);
    (void)fclose(out);
    (void)fflush(trace_file);
    (void)printf("compare\n");
    (void)fflush(stdout);
    if (!fgets(line, sizeof(line), stdin) || strcmp(line, "good\n") != 0)
        FAIL("the bucket is not as it must be");
}

/* ---- the loop ---- */

/* Where more requests come from; false: there are none. */
typedef bool more_fn(struct client *client);

static bool more_torture(struct client *client)
{
    plan_next(client);
    return true;
}

static bool more_none(struct client *client)
{
    (void)client;
    return false;
}

static bool more_commits(struct client *client)
{
    plan_commit_all(client);
    return client->queue_end > 0;
}

static bool more_verify(struct client *client)
{
    plan_verify_all(client);
    return client->queue_end > 0;
}

/* Starts what may be in flight together. True: there is nothing left to do. */
static bool feed(struct client *client, more_fn *more)
{
    for (unsigned tries = 0; client->op_count < FLIGHT && tries < 50; tries++) {
        if (client->queue_at == client->queue_end) {
            client->queue_at = client->queue_end = 0;
            if (!more(client))
                return client->op_count == 0;
        }
        if (client->queue_at == client->queue_end)
            continue;
        struct want want = client->queue[client->queue_at++];
        if (!op_start(client, &want)) {
            client->queue_at--;
            break;
        }
    }
    return false;
}

/* Another connection, as clients take one when they are impatient. Not with a WRITE under way: the
 * first copy could still be carried out after the second, and after what came then. */
static void maybe_drop(struct client *client)
{
    struct call *call;

    if (!client->connected || chance_pick(&client->noise, DROP_OF) != 0)
        return;
    TAILQ_FOREACH (call, &client->calls, link)
        if (call->proc == P_WRITE)
            return;
    torture.dropped++;
    wire_drop(client, "to take another one");
}

/* Until all clients have nothing left, or kills have been done. */
static void run(more_fn *more, unsigned kills)
{
    struct pollfd polls[CLIENTS_MAX];
    bool done = false;

    while (!done && (kills == 0 || torture.kills < kills)) {
        gateway_step(kills != 0);
        for (unsigned i = 0; i < torture.client_count; i++) {
            struct client *client = &torture.clients[i];
            polls[i] = (struct pollfd){.fd = client->fd, .events = wire_events(client)};
        }
        (void)poll(polls, torture.client_count, 5);
        done = kills == 0 && !gateway_is_ending();
        for (unsigned i = 0; i < torture.client_count; i++) {
            struct client *client = &torture.clients[i];
            wire_step(client, polls[i].fd == client->fd ? polls[i].revents : 0);
            if (!feed(client, more))
                done = false;
            if (kills)
                maybe_drop(client);
        }
    }
}

static void round_ends(unsigned round)
{
    run(more_none, 0);
    run(more_commits, 0);
    for (unsigned i = 0; i < torture.client_count; i++)
        torture.clients[i].verify_at = 0;
    run(more_verify, 0);
    gateway_stop();
    (void)printf(
        "round %u: %u kills, %u starts, %u requests; sent again after a kill %u, twice %u, "
        "replies given again %u, connections dropped %u, JUKEBOX %u, unstable writes "
        "rewritten %u\n",
        round, torture.kills, torture.starts, torture.ops, torture.resent, torture.doubled,
        torture.replayed, torture.dropped, torture.jukebox, torture.rewritten);
    compare();
}

/* ---- beginning and end ---- */

static void mount_root(void)
{
    struct server server = {.port = torture.port};
    struct conn *conn;

    while (!torture.up_since_ms) {
        gateway_step(false);
        (void)poll(NULL, 0, 5);
        if (wire_answers())
            gateway_answers();
    }
    conn = conn_open(&server);
    torture.root = thing_new(DIRECTORY, UINT32_MAX);
    torture.root->shared = true;
    torture.root->fh = rig_mount(conn, torture.export);
    conn_close(conn);
}

static void clients_new(void)
{
    for (unsigned i = 0; i < torture.client_count; i++) {
        struct client *client = &torture.clients[i];
        client->number = i;
        client->letter = (char)('a' + i);
        client->chance.state = torture.seed * 1000 + i;
        client->noise.state = torture.seed * 1000 + 500 + i;
        wire_open(client);
        plan_shared(client);
    }
}

static void take_shared(void)
{
    for (size_t i = 0; i < torture.root->kid_count; i++)
        if (torture.root->kids[i]->shared)
            torture.shared[torture.shared_count++] = torture.root->kids[i];
}

int main(int argc, char **argv)
{
    char path[1024];

    if (argc < 9) {
        (void)fprintf(stderr,
                      "usage: %s SEED CLIENTS KILLS ROUNDS PORT EXPORT DIR PAILFS ARGS...\n",
                      argv[0]);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    torture.seed = strtoul(argv[1], NULL, 10);
    torture.client_count = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned kills = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned rounds = (unsigned)strtoul(argv[4], NULL, 10);
    torture.port = (uint16_t)strtoul(argv[5], NULL, 10);
    torture.export = argv[6];
    torture.dir = argv[7];
    torture.server = argv + 8;
    torture.chance.state = torture.seed * 1000 + 999;
    began_ms = rig_now_ms();
    (void)snprintf(path, sizeof(path), "%s/trace", torture.dir);
    trace_file = fopen(path, "we");
    if (!trace_file) {
        perror(path);
        return 2;
    }
    (void)printf("seed %lu\n", (unsigned long)torture.seed);
    mount_root();
    clients_new();
    run(more_none, 0);
    take_shared();
    for (unsigned round = 1; round <= rounds; round++) {
        run(more_torture, kills * round / rounds);
        round_ends(round);
    }
    for (unsigned i = 0; i < torture.client_count; i++)
        wire_close(&torture.clients[i]);
    thing_free_all();
    (void)fclose(trace_file);
    return 0;
}
