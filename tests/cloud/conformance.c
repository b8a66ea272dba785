/*
 * store_conformance URL [--endpoint URL] [--region R] [--path-style] [--connections N]
 *     [--ca-file PEM] [--no-verify]
 *
 * What store.h promises, tried on a real store. Works below a directory of its own and leaves it
 * empty. Keys for S3 come from the environment.
 */
#include "tests/cloud/conformance.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct store *conf_store;
struct store_caps conf_caps;
static char conf_dir[64];

const char *conf_key(const char *name)
{
    static char ring[8][STORE_KEY_MAX + 64];
    static unsigned next;
    char *key = ring[next++ % 8];

    (void)snprintf(key, sizeof(ring[0]), "%s/%s", conf_dir, name);
    return key;
}

struct store_req conf_do(struct store_req req)
{
    req.deadline_ns = clock_mono_ns() + 60 * CLOCK_S;
    req.prio = STORE_PRIO_READ;
    (void)store_call(conf_store, &req);
    if (req.err)
        print_message("    op %d: err %d %s\n", req.op, req.err, req.error_text);
    return req;
}

int conf_put(const char *key, const void *data, size_t len, struct conf_put how, char *ret_etag)
{
    struct store_req req = conf_do((struct store_req){.op = STORE_PUT,
                                                      .key = key,
                                                      .buf = (void *)data,
                                                      .buf_len = len,
                                                      .if_match = how.if_match,
                                                      .if_none_match = how.if_none_match,
                                                      .meta = how.meta});
    int err = req.err;

    if (ret_etag)
        memcpy(ret_etag, req.object.etag, STORE_ETAG_MAX);
    store_req_clear(&req);
    return err;
}

int conf_head(const char *key, struct store_object *ret)
{
    struct store_req req = conf_do((struct store_req){.op = STORE_HEAD, .key = key});
    int err = req.err;

    if (ret) {
        *ret = req.object;
        req.object = (struct store_object){0};
    }
    store_req_clear(&req);
    return err;
}

int conf_get(const char *key, uint64_t off, void *buf, size_t len, const char *if_match,
             size_t *ret_got)
{
    struct store_req req = conf_do((struct store_req){.op = STORE_GET,
                                                      .key = key,
                                                      .range_off = off,
                                                      .range_len = len,
                                                      .buf = buf,
                                                      .buf_len = len,
                                                      .if_match = if_match});
    int err = req.err;

    *ret_got = req.got;
    store_req_clear(&req);
    return err;
}

int conf_delete(const char *key, const char *if_match)
{
    struct store_delete del = {.key = key, .if_match = if_match};
    struct store_req req =
        conf_do((struct store_req){.op = STORE_DELETE, .deletes = &del, .delete_count = 1});

    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    return del.err;
}

bool conf_is_directory(const struct store_object *obj)
{
    size_t len = strlen(obj->key);

    return conf_caps.real_dirs && !obj->is_prefix && obj->key[len - 1] == '/';
}

void conf_fill(uint8_t *buf, size_t len, unsigned seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        buf[i] = (uint8_t)x;
    }
}

/* Deletes all that is below the directory of this run; returns how many objects there were. */
static size_t conf_sweep(void)
{
    size_t swept = 0, count;

    do {
        struct store_req list =
            conf_do((struct store_req){.op = STORE_LIST, .prefix = conf_key("")});
        struct store_delete dels[1000];
        /* Backwards: a store with real directories wants children gone before their parents. */
        for (count = 0; count < list.object_count && count < 1000; count++)
            dels[count] =
                (struct store_delete){.key = list.objects[list.object_count - 1 - count].key};
        for (size_t i = 0; i < count; i += conf_caps.delete_max) {
            size_t n = count - i < conf_caps.delete_max ? count - i : conf_caps.delete_max;
            struct store_req del = conf_do(
                (struct store_req){.op = STORE_DELETE, .deletes = dels + i, .delete_count = n});
            for (size_t j = 0; j < n; j++)
                if (dels[i + j].err)
                    return swept; /* no endless loop */
            store_req_clear(&del);
        }
        swept += count;
        store_req_clear(&list);
    } while (count > 0 && swept < 100000);
    return swept;
}

static void test_nothing_left(void **state)
{
    (void)state;
    (void)conf_sweep();
    struct store_req list = conf_do((struct store_req){.op = STORE_LIST, .prefix = conf_key("")});
    assert_int_equal(list.err, 0);
    for (size_t i = 0; i < list.object_count; i++)
        print_message("left: %s\n", list.objects[i].key);
    assert_int_equal(list.object_count, 0);
    store_req_clear(&list);
    /* The probe cleans up too. */
    list = conf_do((struct store_req){.op = STORE_LIST, .prefix = ".pailfs-probe"});
    assert_int_equal(list.object_count, 0);
    store_req_clear(&list);
}

static const struct CMUnitTest last_tests[] = {cmocka_unit_test(test_nothing_left)};

static int run_group(const char *name, const struct CMUnitTest *tests, size_t count)
{
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

static void print_caps(void)
{
    const struct store_caps *c = &conf_caps;

    print_message(
        "caps: list_sorted %d, list_meta %d, cond_put %d, cond_copy %d, cond_delete %d, "
        "part_copy %d, meta_patch %d, real_dirs %d, one_kind %d, writable %d, delete_max %u\n",
        c->list_sorted, c->list_meta, c->cond_put, c->cond_copy, c->cond_delete, c->part_copy,
        c->meta_patch, c->real_dirs, c->one_kind, c->writable, c->delete_max);
}

static int parse_args(int argc, char **argv, struct store_config *config)
{
    static const struct option options[] = {
        {"endpoint", required_argument, NULL, 'e'},
        {"region", required_argument, NULL, 'r'},
        {"connections", required_argument, NULL, 'c'},
        {"path-style", no_argument, NULL, 'p'},
        {"ca-file", required_argument, NULL, 'a'},
        {"no-verify", no_argument, NULL, 'n'},
        {"storage-class", required_argument, NULL, 's'},
        {"acl", required_argument, NULL, 'l'},
        {"sse-c", no_argument, NULL, 'k'},
        {"requester-pays", no_argument, NULL, 'q'},
        {"list-v1", no_argument, NULL, '1'},
        {"no-checksum", no_argument, NULL, 'u'},
        {0},
    };
    int option;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'e')
            config->endpoint = optarg;
        else if (option == 'r')
            config->region = optarg;
        else if (option == 'c')
            config->connections = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'p')
            config->path_style = true;
        else if (option == 'a')
            config->ca_file = optarg;
        else if (option == 'n')
            config->no_verify = true;
        else if (option == 's')
            config->storage_class = optarg;
        else if (option == 'l')
            config->acl = optarg;
        else if (option == 'k')
            config->sse = STORE_SSE_C; /* with a key of zeros */
        else if (option == 'q')
            config->requester_pays = true;
        else if (option == '1')
            config->list = STORE_LIST_V1;
        else if (option == 'u')
            config->no_checksum = true;
        else
            return -1;
    }
    return argc - optind == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct store_config config = {0};
    struct store_error error;

    if (parse_args(argc, argv, &config)) {
        (void)fprintf(stderr, "usage: %s URL [--endpoint URL] [--region R] [--connections N]\n",
                      argv[0]);
        return 2;
    }
    (void)snprintf(conf_dir, sizeof(conf_dir), "conformance-%llx",
                   (unsigned long long)clock_wall_ns());
    int err = store_open(argv[optind], &config, &conf_store, &error);
    if (err) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    store_get_caps(conf_store, &conf_caps);
    print_caps();
    int failed = run_group("objects", conf_object_tests, conf_object_count);
    failed += run_group("listing", conf_list_tests, conf_list_count);
    failed += run_group("multipart", conf_multi_tests, conf_multi_count);
    failed += run_group("the end", last_tests, 1);
    store_close(conf_store);
    return failed ? 1 : 0;
}
