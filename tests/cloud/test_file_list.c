/* Listing of the file:// store: order, folding, pages, large directories, odd names. */
#include "test_file_util.h"

#include "cloud/file_sort.h"

/* All pages of a listing, as one array of keys; prefixes have a '\1' before them. */
struct keys {
    char **names;
    size_t count, room;
};

static void keys_add(struct keys *keys, const char *name, bool is_prefix)
{
    if (keys->count == keys->room) {
        keys->room = keys->room ? 2 * keys->room : 64;
        keys->names = mem_rearray(keys->names, keys->room, sizeof(char *));
    }
    keys->names[keys->count++] = mem_printf("%s%s", is_prefix ? "\1" : "", name);
}

static void keys_clear(struct keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free(keys->names[i]);
    free(keys->names);
    *keys = (struct keys){0};
}

static const char *key_of(const char *name)
{
    return name[0] == '\1' ? name + 1 : name;
}

static int key_compare(const void *a, const void *b)
{
    return strcmp(key_of(*(char *const *)a), key_of(*(char *const *)b));
}

/* Lists it all in pages of max_keys. by_start_after: goes on by the last key instead of the token.
 */
static void list_all(struct env *env, const char *prefix, bool delimiter, const char *start_after,
                     uint32_t max_keys, bool by_start_after, struct keys *ret)
{
    char *token = NULL, *after = mem_strdup(start_after);

    for (;;) {
        struct store_req req = {.op = STORE_LIST,
                                .prefix = prefix,
                                .delimiter = delimiter,
                                .start_after = after,
                                .token = token,
                                .max_keys = max_keys};
        assert_int_equal(req_run(env, &req), 0);
        if (max_keys)
            assert_in_range(req.object_count, req.next_token ? max_keys : 0, max_keys);
        for (size_t i = 0; i < req.object_count; i++) {
            const struct store_object *obj = &req.objects[i];
            keys_add(ret, obj->key, obj->is_prefix);
            assert_int_not_equal(obj->is_prefix, obj->has_meta);
            assert_int_not_equal(obj->is_prefix, obj->etag[0] != '\0');
        }
        free(token);
        token = NULL;
        bool more = req.next_token != NULL;
        if (more) {
            free(after);
            after = mem_strdup(req.objects[req.object_count - 1].key);
            token = by_start_after ? NULL : mem_strdup(req.next_token);
        }
        store_req_clear(&req);
        if (!more)
            break;
    }
    free(after);
}

/* What LIST is: filter, fold, sort. */
static void model_list(const struct keys *all, const char *prefix, bool delimiter,
                       const char *start_after, struct keys *ret)
{
    size_t len = strlen(prefix);
    char fold[1100];

    for (size_t i = 0; i < all->count; i++) {
        const char *key = all->names[i];
        if (strncmp(key, prefix, len) != 0)
            continue;
        const char *slash = delimiter ? strchr(key + len, '/') : NULL;
        size_t fold_len = slash ? (size_t)(slash - key) + 1 : strlen(key);
        memcpy(fold, key, fold_len);
        fold[fold_len] = '\0';
        if (start_after && strcmp(fold, start_after) <= 0)
            continue;
        if (!ret->count || strcmp(key_of(ret->names[ret->count - 1]), fold) != 0)
            keys_add(ret, fold, slash != NULL);
    }
}

static void assert_keys(const struct keys *have, const struct keys *want, const char *what)
{
    for (size_t i = 0; i < have->count || i < want->count; i++) {
        const char *a = i < have->count ? have->names[i] : "(end)";
        const char *b = i < want->count ? want->names[i] : "(end)";
        if (strcmp(a, b) != 0)
            fail_msg("%s: number %zu is \"%s\", should be \"%s\"", what, i, a, b);
    }
}

static void check_list(struct env *env, const struct keys *all, const char *prefix, bool delimiter,
                       const char *start_after, uint32_t max_keys, bool by_start_after)
{
    struct keys have = {0}, want = {0};
    char what[256];

    (void)snprintf(what, sizeof(what), "prefix=%s delimiter=%d after=%s max=%u %s", prefix,
                   delimiter, start_after ? start_after : "-", max_keys,
                   by_start_after ? "start_after" : "token");
    list_all(env, prefix, delimiter, start_after, max_keys, by_start_after, &have);
    model_list(all, prefix, delimiter, start_after, &want);
    assert_keys(&have, &want, what);
    keys_clear(&have);
    keys_clear(&want);
}

/* Makes the files, and fills all with every key that there is then (with directory markers). */
static void make_tree(struct env *env, const char *const *files, size_t count, struct keys *all)
{
    for (size_t i = 0; i < count; i++) {
        char *key = mem_strdup(files[i]);
        for (char *slash = key; (slash = strchr(slash, '/')); slash++) {
            char end = slash[1];
            slash[1] = '\0';
            if (mkdir(env_path(env, key), 0755) == 0)
                keys_add(all, key, false);
            slash[1] = end;
        }
        if (key[strlen(key) - 1] != '/') {
            env_write(env, key, "x");
            keys_add(all, key, false);
        }
        free(key);
    }
    qsort(all->names, all->count, sizeof(char *), key_compare);
}

static void test_every_way(void **state)
{
    static const char *const files[] = {
        "a",       "a-b",      "a.c",    "a0",        "b-/x",     "b/c",      "b/c-",
        "b/d/e/f", "b/d/e0",   "b/d-",   "b/empty/",  "b0",       "c/-",      "c/0",
        "d/",      "e/e/e/e",  "e/e-/e", "z z/+%#&?", "\xff\xfe", "\xc3\xa9", "\x01\n/\x7f\\",
        "d-/x",    "e/e.e/ee", "b/c0/0", "b/c0/1",    "f",        "f-/g",     "b/d/e/g/h/i/j",
    };
    static const char *const prefixes[] = {"",    "b/", "b",  "b/d/",   "b/d",   "a",   "b/c",
                                           "zzz", "e/", "d/", "b/d/e/", "b/c/",  "b//", "../",
                                           "/",   "d",  "f",  "e/e",    "b/x/y/"};
    static const char *const afters[] = {NULL,  "",      "a",       "a-",    "b",    "b/",   "b/c",
                                         "b/d", "b/d/",  "b/d/e/f", "b/d/e", "b0",   "\xff", "e/e",
                                         "e/",  "b/d/z", "c/",      "b/d0",  "b/c-", "zzz"};
    struct keys all = {0};

    make_tree(*state, files, sizeof(files) / sizeof(files[0]), &all);
    for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
        for (size_t a = 0; a < sizeof(afters) / sizeof(afters[0]); a++) {
            for (int how = 0; how < 4; how++) {
                check_list(*state, &all, prefixes[p], how & 1, afters[a], 1, how & 2);
                check_list(*state, &all, prefixes[p], how & 1, afters[a], 3, how & 2);
                check_list(*state, &all, prefixes[p], how & 1, afters[a], 0, how & 2);
            }
        }
    }
    keys_clear(&all);
}

static void test_marker_first(void **state)
{
    struct env *env = *state;
    struct store_req req = {.op = STORE_LIST, .prefix = "d/", .delimiter = true};

    assert_int_equal(put(env, "d/x/y", "1"), 0);
    assert_int_equal(put(env, "d/-", "12"), 0);
    assert_int_equal(req_run(env, &req), 0);
    assert_int_equal(req.object_count, 3);
    assert_string_equal(req.objects[0].key, "d/");
    assert_false(req.objects[0].is_prefix);
    assert_string_equal(req.objects[0].etag, etag_of(env, "d/"));
    assert_string_equal(req.objects[1].key, "d/-");
    assert_int_equal(req.objects[1].size, 2);
    assert_string_equal(req.objects[1].etag, etag_of(env, "d/-"));
    assert_string_equal(store_meta_get(&req.objects[1].meta, "file-permissions"), "0100644");
    assert_string_equal(req.objects[2].key, "d/x/");
    assert_true(req.objects[2].is_prefix);
    store_req_clear(&req);
    req.prefix = "";
    assert_int_equal(req_run(env, &req), 0); /* no marker of the root, nothing of ours */
    assert_int_equal(req.object_count, 1);
    assert_string_equal(req.objects[0].key, "d/");
    store_req_clear(&req);
}

/* Every byte that a name can have, as objects of the store and listed. */
static void test_odd_bytes(void **state)
{
    struct env *env = *state;
    struct keys all = {0};
    char key[32];

    keys_add(&all, "odd/", false);
    for (int c = 1; c < 256; c++) {
        if (c == '/')
            continue;
        (void)snprintf(key, sizeof(key), "odd/%c%c-%c", c, c, c);
        assert_int_equal(put(env, key, "x"), 0);
        assert_body(env, key, "x");
        keys_add(&all, key, false);
    }
    qsort(all.names, all.count, sizeof(char *), key_compare);
    check_list(env, &all, "odd/", true, NULL, 10, false);
    check_list(env, &all, "", false, NULL, 0, false);
    for (size_t i = 0; i < all.count; i += 7)
        check_list(env, &all, "odd/", true, all.names[i], 100, true);
    keys_clear(&all);
}

static void make_many(struct env *env, const char *dir, int from, int to)
{
    char path[256];

    (void)mkdir(env_path(env, dir), 0755);
    int dir_fd = open(env_path(env, dir), O_RDONLY | O_DIRECTORY);
    assert_true(dir_fd >= 0);
    for (int i = from; i < to; i++) {
        (void)snprintf(path, sizeof(path), "name-%07d", i);
        int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    (void)close(dir_fd);
}

static void test_many(void **state)
{
    enum { MANY = 100000 };
    struct env *env = *state;
    struct keys all = {0};
    char key[64];

    make_many(env, "many", 0, MANY);
    list_all(env, "many/", true, NULL, 0, false, &all);
    assert_int_equal(all.count, MANY + 1);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(key, sizeof(key), "many/name-%07d", i);
        assert_string_equal(all.names[i + 1], key);
    }
    keys_clear(&all);
    list_all(env, "many/", true, "many/name-0049999", 0, true, &all);
    assert_int_equal(all.count, MANY / 2);
    assert_string_equal(all.names[0], "many/name-0050000");
    keys_clear(&all);
    list_all(env, "many/name-00123", false, NULL, 7, false, &all);
    assert_int_equal(all.count, 100);
    assert_string_equal(all.names[99], "many/name-0012399");
    keys_clear(&all);
}

/* What is there all the time is listed once, whatever comes and goes meanwhile; a new listing sees
 * everything that was there when it began. */
static void test_changes_meanwhile(void **state)
{
    struct env *env = *state;
    struct store_req req = {.op = STORE_LIST, .prefix = "c/", .delimiter = true, .max_keys = 100};
    char key[64], *token = NULL;
    int seen = 0, pages = 0;

    make_many(env, "c", 0, 5000);
    do {
        req.token = token;
        assert_int_equal(req_run(env, &req), 0);
        for (size_t i = 0; i < req.object_count; i++) {
            int number;
            if (sscanf(req.objects[i].key, "c/name-%d", &number) == 1 && number % 2 == 0) {
                assert_int_equal(number, 2 * seen);
                seen++;
            }
        }
        free(token);
        token = mem_strdup(req.next_token);
        store_req_clear(&req);
        pages++;
        (void)snprintf(key, sizeof(key), "c/name-%07d", pages * 40 + 1);
        (void)unlink(env_path(env, key)); /* removed: before or behind where we are */
        (void)snprintf(key, sizeof(key), "c/name-%07dx", 4999 - pages);
        env_write(env, key, "new");
    } while (token);
    assert_int_equal(seen, 2500);

    for (int i = 0; i < 12; i++) {
        struct keys all = {0};
        (void)snprintf(key, sizeof(key), "c/fresh-%d", i);
        env_write(env, key, "");
        list_all(env, "c/fresh", true, NULL, 0, true, &all);
        assert_int_equal(all.count, i + 1);
        keys_clear(&all);
        list_all(env, "c/", true, NULL, 1000, false, &all);
        size_t fresh = 0;
        for (size_t k = 0; k < all.count; k++)
            fresh += strncmp(all.names[k], "c/fresh", 7) == 0;
        assert_int_equal(fresh, i + 1);
        keys_clear(&all);
    }
}

static void test_sort(void **state)
{
    enum { NAMES = 3000 };
    char *arena = mem_alloc(NAMES * 12);
    uint32_t *offsets = mem_array(NAMES, sizeof(uint32_t)), used = 0;
    unsigned seed = 12345;

    (void)state;
    for (int round = 0; round < 20; round++) {
        used = 0;
        for (int i = 0; i < NAMES; i++) {
            seed = seed * 1103515245 + 12345;
            unsigned number = (seed >> 8) % (round % 2 ? 100000 : 50); /* with and without equals */
            offsets[i] = used;
            used +=
                (uint32_t)snprintf(arena + used, 12, "%s%u", round % 3 ? "a\xff" : "", number) + 1;
        }
        size_t k = seed % NAMES;
        file_sort_select(arena, offsets, NAMES, k);
        for (size_t i = 0; i < NAMES; i++) {
            int order = strcmp(arena + offsets[i], arena + offsets[k]);
            assert_true(i < k ? order <= 0 : order >= 0);
        }
        file_sort_names(arena, offsets, NAMES);
        for (size_t i = 1; i < NAMES; i++)
            assert_true(strcmp(arena + offsets[i - 1], arena + offsets[i]) <= 0);
    }
    free(arena);
    free(offsets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort), TEST(test_every_way),         TEST(test_marker_first),
        TEST(test_odd_bytes),        TEST(test_changes_meanwhile), TEST(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
