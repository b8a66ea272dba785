/*
 * store_stress URL ENDPOINT ROUNDS: many threads create, read back and remove objects, each step
 * conditional on the one before. Whatever happens to the store meanwhile, with retries every step
 * must come out as if it had happened once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cloud/store.h"

enum { THREADS = 16, BYTES = 5000 };

static struct store *store;
static unsigned long rounds;
static atomic_uint bad;

static void check(bool ok, const char *what, const char *key, int err, const char *text)
{
    if (ok)
        return;
    atomic_fetch_add(&bad, 1);
    (void)printf("%s %s: %d %s\n", what, key, err, text);
}

static void round_trip(const char *key, int fill)
{
    char sent[BYTES], got[BYTES];
    int64_t deadline_ns = clock_mono_ns() + 60 * CLOCK_S;

    memset(sent, fill, sizeof(sent));
    struct store_req put = {.op = STORE_PUT,
                            .key = key,
                            .buf = sent,
                            .buf_len = sizeof(sent),
                            .if_none_match = true,
                            .deadline_ns = deadline_ns};
    int err = store_call(store, &put);
    check(err == 0, "put", key, err, put.error_text);
    struct store_req get = {.op = STORE_GET,
                            .key = key,
                            .buf = got,
                            .buf_len = sizeof(got),
                            .range_len = sizeof(got),
                            .if_match = put.object.etag,
                            .deadline_ns = deadline_ns};
    err = store_call(store, &get);
    bool same = get.got == sizeof(got) && memcmp(sent, got, sizeof(got)) == 0;
    check(err == 0 && same, "get", key, err, get.error_text);
    struct store_delete del = {.key = key, .if_match = put.object.etag};
    struct store_req remove = {
        .op = STORE_DELETE, .deletes = &del, .delete_count = 1, .deadline_ns = deadline_ns};
    err = store_call(store, &remove);
    check(err == 0 && del.err == 0, "delete", key, del.err, remove.error_text);
    store_req_clear(&put);
    store_req_clear(&get);
    store_req_clear(&remove);
}

static void *worker(void *arg)
{
    int number = *(int *)arg;
    char key[64];

    for (unsigned long i = 0; i < rounds; i++) {
        /* No '/': versitygw keeps objects in files, and takes away a directory that gets empty
         * under the feet of whoever is about to put another object there. */
        (void)snprintf(key, sizeof(key), "stress-%d-%lu", number, i);
        round_trip(key, number * 31 + (int)i);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct store_config config = {0};
    struct store_error error;
    pthread_t threads[THREADS];
    int numbers[THREADS];

    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s URL ENDPOINT ROUNDS\n", argv[0]);
        return 2;
    }
    config.endpoint = argv[2];
    rounds = strtoul(argv[3], NULL, 10);
    if (store_open(argv[1], &config, &store, &error)) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (thread_start(&threads[i], "stress", worker, &numbers[i]))
            return 1;
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    store_close(store);
    (void)printf("%lu rounds by %d threads, %u bad\n", rounds, THREADS, atomic_load(&bad));
    return atomic_load(&bad) ? 1 : 0;
}
