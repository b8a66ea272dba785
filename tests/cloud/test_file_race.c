/* The file:// store when several threads want the same key. */
#include "test_file_util.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a thread says when it has seen something wrong. */
static void *race_error(const char *text)
{
    return (void *)(uintptr_t)text;
}

enum { RACERS = 8, RACE_KEYS = 50 };

struct racer {
    struct env *env;
    int number;
    int won[RACE_KEYS];
};

static void *race_create(void *arg)
{
    struct racer *racer = arg;
    char key[32], text[16];

    for (int i = 0; i < RACE_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "race/%d/k", i);
        (void)snprintf(text, sizeof(text), "%d", racer->number);
        int err = put_full(racer->env, key, text, strlen(text), NULL, NULL, true, NULL);
        racer->won[i] = err == 0;
        if (err && err != -ESTALE)
            racer->won[i] = err;
    }
    return NULL;
}

static void test_race_if_none_match(void **state)
{
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    char key[32], text[16];

    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.env = *state, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, race_create, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        (void)pthread_join(threads[i], NULL);
    for (int k = 0; k < RACE_KEYS; k++) {
        int winners = 0, winner = -1;
        for (int i = 0; i < RACERS; i++) {
            assert_in_range(racers[i].won[k], 0, 1);
            winners += racers[i].won[k];
            winner = racers[i].won[k] ? i : winner;
        }
        assert_int_equal(winners, 1);
        (void)snprintf(key, sizeof(key), "race/%d/k", k);
        (void)snprintf(text, sizeof(text), "%d", winner);
        assert_body(*state, key, text);
    }
}

/* Counts up by compare-and-swap: no update may get lost. */
static void *race_count(void *arg)
{
    struct env *env = arg;
    char buf[16], etag[STORE_ETAG_MAX];

    for (int done = 0; done < 25;) {
        struct store_req get = {
            .op = STORE_GET, .key = "counter", .range_len = 15, .buf = buf, .buf_len = 15};
        if (req_run(env, &get))
            return race_error("get failed");
        buf[get.got] = '\0';
        memcpy(etag, get.object.etag, sizeof(etag));
        store_req_clear(&get);
        (void)snprintf(buf, sizeof(buf), "%d", (int)strtol(buf, NULL, 10) + 1);
        int err = put_full(env, "counter", buf, strlen(buf), NULL, etag, false, NULL);
        if (err && err != -ESTALE)
            return race_error("put failed");
        done += err == 0;
    }
    return NULL;
}

static void test_race_if_match(void **state)
{
    pthread_t threads[4];
    void *error;

    assert_int_equal(put(*state, "counter", "0"), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_count, *state), 0);
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], &error);
        assert_null(error);
    }
    assert_body(*state, "counter", "100");
}

/* Puts below a directory that another thread removes whenever it is empty. */
static void *race_put(void *arg)
{
    for (int i = 0; i < 100; i++) {
        int err = put(arg, "come/and/go", "x");
        if (err && err != -EAGAIN)
            return race_error("put failed");
        if (!err && delete_key(arg, "come/and/go", NULL))
            return race_error("delete failed");
    }
    return NULL;
}

static void *race_rmdir(void *arg)
{
    for (int i = 0; i < 200; i++) {
        if (delete_key(arg, "come/and/", NULL) || delete_key(arg, "come/", NULL))
            return race_error("rmdir failed");
    }
    return NULL;
}

static void test_race_parents(void **state)
{
    pthread_t putter, remover;
    void *error;

    assert_int_equal(pthread_create(&putter, NULL, race_put, *state), 0);
    assert_int_equal(pthread_create(&remover, NULL, race_rmdir, *state), 0);
    (void)pthread_join(putter, &error);
    assert_null(error);
    (void)pthread_join(remover, &error);
    assert_null(error);
}

/* Readers of a key that is replaced all the time see whole versions only. */
static atomic_bool race_stop;

static void *race_replace(void *arg)
{
    static const char *const bodies[] = {"aaaaaaaa", "bbbbbbbbbbbb"};

    for (int i = 0; !atomic_load(&race_stop); i++) {
        if (put(arg, "whole", bodies[i % 2]))
            return race_error("put failed");
    }
    return NULL;
}

static void test_race_readers(void **state)
{
    pthread_t writer;
    char buf[32];
    void *error;

    assert_int_equal(put(*state, "whole", "aaaaaaaa"), 0);
    atomic_store(&race_stop, false);
    assert_int_equal(pthread_create(&writer, NULL, race_replace, *state), 0);
    for (int i = 0; i < 2000; i++) {
        ssize_t n = get_range(*state, "whole", 0, buf, sizeof(buf) - 1, NULL);
        if (n == -EAGAIN || n == -ENOENT) {
            assert_int_not_equal(n, -ENOENT);
            continue;
        }
        assert_true(n == 8 || n == 12);
        buf[n] = '\0';
        assert_string_equal(buf, n == 8 ? "aaaaaaaa" : "bbbbbbbbbbbb");
    }
    atomic_store(&race_stop, true);
    (void)pthread_join(writer, &error);
    assert_null(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_race_if_none_match),
        TEST(test_race_if_match),
        TEST(test_race_parents),
        TEST(test_race_readers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
