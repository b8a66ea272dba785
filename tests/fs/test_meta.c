/* Attributes in object metadata: every dialect is read, DataSync's is written, the rest is carried
 * over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs_int.h"

#define SECOND CLOCK_S

static const struct fs_volume plain = {
    .config = {.uid = 4321, .gid = 8765, .file_mode = FS_DEFAULT, .dir_mode = FS_DEFAULT}};

struct want {
    enum fs_type type;
    uint32_t mode, uid, gid;
    int64_t mtime_ns, atime_ns;
};

/* pairs: name, value, ..., NULL */
static void check(const char *const *pairs, const struct want *want)
{
    struct store_object obj = {.has_meta = true, .mtime_ns = 9 * SECOND};

    for (; *pairs; pairs += 2)
        store_meta_set(&obj.meta, pairs[0], pairs[1]);
    struct inode ino = {.type = meta_type(&obj.meta)};
    meta_apply(&plain, &ino, &obj);
    assert_int_equal(ino.type, want->type);
    assert_int_equal(ino.mode, want->mode);
    if (want->uid)
        assert_int_equal(ino.uid, want->uid);
    if (want->gid)
        assert_int_equal(ino.gid, want->gid);
    assert_int_equal(ino.mtime_ns, want->mtime_ns);
    assert_int_equal(ino.atime_ns, want->atime_ns ? want->atime_ns : want->mtime_ns);
    assert_true(ino.flags & INODE_META_KNOWN);
    free(ino.extra_meta);
    free(ino.target);
    store_meta_clear(&obj.meta);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_datasync(void **state)
{
    (void)state;
    check(PAIRS("file-permissions", "0100640", "file-owner", "1000", "file-group", "100",
                "file-mtime", "1595002920000000123ns", "file-atime", "1595002921000"),
          &(struct want){FS_REG, 0640, 1000, 100, INT64_C(1595002920000000123),
                         INT64_C(1595002921) * SECOND});
    check(PAIRS("file-permissions", "0120777", "file-mtime", "5000"),
          &(struct want){FS_LNK, 0777, 0, 0, 5 * SECOND, 0});
    check(PAIRS("file-permissions", "0104755"), &(struct want){FS_REG, 04755, 0, 0, 9 * SECOND, 0});
}

static void test_s3fs(void **state)
{
    (void)state;
    check(PAIRS("mode", "33188", "uid", "7", "gid", "8", "mtime", "1700000000.25"),
          &(struct want){FS_REG, 0644, 7, 8, INT64_C(1700000000) * SECOND + SECOND / 4, 0});
    check(PAIRS("mode", "41471", "mtime", "3"), &(struct want){FS_LNK, 0777, 0, 0, 3 * SECOND, 0});
}

static void test_others(void **state)
{
    (void)state;
    /* rclone */
    check(PAIRS("mtime", "1354040105.123456789"),
          &(struct want){FS_REG, 0644, 0, 0, INT64_C(1354040105123456789), 0});
    check(PAIRS("mtime", "2012-11-27T18:15:05.5Z"),
          &(struct want){FS_REG, 0644, 0, 0, INT64_C(1354040105) * SECOND + SECOND / 2, 0});
    /* gsutil */
    check(PAIRS("goog-reserved-posix-mode", "600", "goog-reserved-posix-uid", "5",
                "goog-reserved-posix-gid", "6", "goog-reserved-file-mtime", "77"),
          &(struct want){FS_REG, 0600, 5, 6, 77 * SECOND, 0});
    /* gcsfuse: its own time before gsutil's */
    check(PAIRS("gcsfuse_mtime", "1970-01-01T00:00:02Z", "goog-reserved-file-mtime", "77"),
          &(struct want){FS_REG, 0644, 0, 0, 2 * SECOND, 0});
    check(PAIRS("goog-reserved-file-is-symlink", "true"),
          &(struct want){FS_LNK, 0777, 0, 0, 9 * SECOND, 0});
    check(PAIRS("gcsfuse_symlink_target", "a/b"),
          &(struct want){FS_LNK, 0777, 0, 0, 9 * SECOND, 0});
    /* s3sync, blobfuse, and names in capitals */
    check(PAIRS("permissions", "33152", "owner", "3", "group", "4"),
          &(struct want){FS_REG, 0600, 3, 4, 9 * SECOND, 0});
    check(PAIRS("Is_Symlink", "TRUE"), &(struct want){FS_LNK, 0777, 0, 0, 9 * SECOND, 0});
    check(PAIRS("File-Permissions", "0100600"), &(struct want){FS_REG, 0600, 0, 0, 9 * SECOND, 0});
}

/* What is not a value of its dialect is as if it were not there. */
static void test_nonsense(void **state)
{
    (void)state;
    check(PAIRS("file-permissions", "rw-r--r--", "file-owner", "-1", "file-group", "4294967296",
                "file-mtime", "yesterday", "mode", "0x1ff", "mtime", "1e9"),
          &(struct want){FS_REG, 0644, 0, 0, 9 * SECOND, 0});
    check(PAIRS("file-mtime", "99999999999999999999ns", "mtime", ""),
          &(struct want){FS_REG, 0644, 0, 0, 9 * SECOND, 0});
}

static void test_round_trip(void **state)
{
    struct store_object obj = {.has_meta = true, .mtime_ns = 9 * SECOND};
    struct inode out = {.type = FS_REG,
                        .mode = 01751,
                        .uid = 12,
                        .gid = 34,
                        .mtime_ns = INT64_C(1700000000000000001),
                        .atime_ns = INT64_C(1700000000000000002)};
    struct inode in = {.type = FS_REG};

    (void)state;
    out.extra_meta = strdup("color=blue\nowner-note=x=y\n");
    meta_encode(&out, &obj.meta);
    assert_string_equal(store_meta_get(&obj.meta, "file-permissions"), "0101751");
    assert_string_equal(store_meta_get(&obj.meta, "file-mtime"), "1700000000000000001ns");
    assert_string_equal(store_meta_get(&obj.meta, "color"), "blue");
    assert_string_equal(store_meta_get(&obj.meta, "owner-note"), "x=y");
    meta_apply(&plain, &in, &obj);
    assert_int_equal(in.mode, out.mode);
    assert_int_equal(in.uid, out.uid);
    assert_int_equal(in.gid, out.gid);
    assert_int_equal(in.mtime_ns, out.mtime_ns);
    assert_int_equal(in.atime_ns, out.atime_ns);
    assert_string_equal(in.extra_meta, out.extra_meta);
    free(in.extra_meta);
    free(out.extra_meta);
    store_meta_clear(&obj.meta);
}

/* What an object does not say follows the configuration, and nothing else does. */
static void test_defaults(void **state)
{
    (void)state;
    struct fs_volume vol = {
        .root = 16,
        .config = {.uid = 7, .gid = 8, .file_mode = 0666, .dir_mode = FS_DEFAULT, .umask = 022}};
    static const struct {
        const char *name, *value;
        enum fs_type type;
        uint32_t mode, uid, gid, defaults;
    } table[] = {
        {"color", "blue", FS_REG, 0644, 7, 8, INODE_DEFAULTS},
        {"file-permissions", "0100666", FS_REG, 0666, 7, 8, INODE_UID_DEFAULT | INODE_GID_DEFAULT},
        {"file-owner", "3", FS_REG, 0644, 3, 8, INODE_MODE_DEFAULT | INODE_GID_DEFAULT},
        {"file-group", "3", FS_REG, 0644, 7, 3, INODE_MODE_DEFAULT | INODE_UID_DEFAULT},
        {"is_symlink", "true", FS_LNK, 0777, 7, 8, INODE_DEFAULTS},
        {"color", "blue", FS_DIR, 0755, 7, 8, INODE_DEFAULTS},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct store_object obj = {.has_meta = true};
        struct inode ino = {.type = table[i].type};
        store_meta_set(&obj.meta, table[i].name, table[i].value);
        meta_apply(&vol, &ino, &obj);
        assert_int_equal(ino.mode, table[i].mode);
        assert_int_equal(ino.uid, table[i].uid);
        assert_int_equal(ino.gid, table[i].gid);
        assert_int_equal(ino.flags & INODE_DEFAULTS, table[i].defaults);
        /* an object that said something, and then no more */
        store_meta_clear(&obj.meta);
        meta_apply(&vol, &ino, &obj);
        assert_int_equal(ino.flags & INODE_DEFAULTS, INODE_DEFAULTS);
        free(ino.extra_meta);
    }
    struct inode root = {.id = 16, .type = FS_DIR, .flags = INODE_DEFAULTS};
    defaults_apply(&vol, &root);
    assert_int_equal(root.mode, 0755); /* of 0777 */
    vol.config.dir_mode = 02770;
    defaults_apply(&vol, &root);
    assert_int_equal(root.mode, 02750);
    defaults_end(&root);
    vol.config.dir_mode = 0;
    vol.config.uid = 9;
    defaults_apply(&vol, &root);
    assert_int_equal(root.mode, 02750);
    assert_int_equal(root.uid, 7);
}

/* The type of content is kept beside the metadata, and is none of it. */
static void test_content_type(void **state)
{
    (void)state;
    static char *const types[] = {(char *)"text/x-a", (char *)"binary/octet-stream", NULL};

    for (size_t i = 0; i < 3; i++) {
        struct store_object obj = {.content_type = types[i]}, out = {0};
        struct inode ino = {.type = FS_REG};
        store_meta_set(&obj.meta, "a", "1");
        meta_apply(&plain, &ino, &obj);
        char *type = meta_content_type(&ino);
        if (i == 0)
            assert_string_equal(type, "text/x-a");
        else
            assert_null(type);
        meta_encode(&ino, &out.meta);
        assert_int_equal(out.meta.count, 2 + 1); /* times; the rest are defaults */
        assert_string_equal(store_meta_get(&out.meta, "a"), "1");
        free(type);
        free(ino.extra_meta);
        store_meta_clear(&obj.meta);
        store_meta_clear(&out.meta);
    }
}

static void test_names(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'x', sizeof(name));
    name[255] = '\0';
    assert_int_equal(name_check(name), 0);
    name[255] = 'x';
    name[256] = '\0';
    assert_int_equal(name_check(name), -ENAMETOOLONG);
    assert_int_equal(name_check("a b+%#&\xc3\xa4"), 0);
    assert_int_equal(name_check(""), -EINVAL);
    assert_int_equal(name_check("."), -EINVAL);
    assert_int_equal(name_check(".."), -EINVAL);
    assert_int_equal(name_check("a/b"), -EINVAL);
    assert_int_equal(name_check("\xff"), -EINVAL);
    assert_int_equal(name_check("\xc0\xaf"), -EINVAL); /* an overlong '/' */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datasync),     cmocka_unit_test(test_s3fs),
        cmocka_unit_test(test_others),       cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_content_type), cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
