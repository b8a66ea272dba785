/* Where mounts keep their state, and how they are found by paths below them; what a mountpoint is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/dir.h"
#include "cmd/mount_point.h"
#include "cmd/mount_state.h"
#include "cmd/store_options.h"

static char scratch[] = "/tmp/pailfs-test-mount-XXXXXX";

enum { NOBODY = 65534 };

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(scratch) && setenv("XDG_STATE_HOME", scratch, 1) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    CLEANUP_FREE char *command = mem_printf("rm -rf %s", scratch);

    (void)state;
    return system(command);
}

/* Each mount has a place of its own, and always the same; the name can be read, and is one name. */
static void test_default(void **state)
{
    struct cmd_error error = {{0}};
    CLEANUP_FREE char *base = state_dir_default(&error);
    CLEANUP_FREE char *one = mount_state_default("s3://media/films", "/srv/a", &error);
    CLEANUP_FREE char *again = mount_state_default("s3://media/films", "/srv/a", &error);
    CLEANUP_FREE char *elsewhere = mount_state_default("s3://media/films", "/srv/b", &error);
    CLEANUP_FREE char *other = mount_state_default("s3://media-films", "/srv/a", &error);
    CLEANUP_FREE char *mounts = mem_printf("%s/mounts/s3-media-films-", base);

    (void)state;
    assert_string_equal(one, again);
    assert_string_not_equal(one, elsewhere);
    assert_string_not_equal(one, other);
    assert_int_equal(strncmp(one, mounts, strlen(mounts)), 0);
    assert_null(strchr(one + strlen(base) + strlen("/mounts/"), '/'));
}

/* A URL can be longer than a file name may be, and begin with dots. */
static void test_name_length(void **state)
{
    struct cmd_error error = {{0}};
    char url[2000] = "../";

    (void)state;
    memset(url + 3, 'x', sizeof(url) - 4);
    CLEANUP_FREE char *dir = mount_state_default(url, "/", &error);
    const char *name = strrchr(dir, '/') + 1;
    assert_true(strlen(name) <= 255 && name[0] != '.');
}

static void check_found(const char *path, const char *state_dir, const char *rest)
{
    CLEANUP_FREE char *whole = NULL;
    const char *got_rest = NULL;
    CLEANUP_FREE char *got = mount_state_find(path, &whole, &got_rest);

    if (!state_dir) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, state_dir);
    assert_string_equal(got_rest, rest);
}

/* The nearest mountpoint counts, the last process there, and symlinks on the way do not matter. */
static void test_find(void **state)
{
    (void)state;
    bool root = geteuid() == 0; /* as root it would leave links in /var/lib */
    if (root)
        assert_true(chown(scratch, NOBODY, NOBODY) == 0 && seteuid(NOBODY) == 0);
    CLEANUP_FREE char *mnt = mem_printf("%s/mnt", scratch);
    CLEANUP_FREE char *inner = mem_printf("%s/inner", mnt);
    CLEANUP_FREE char *link = mem_printf("%s/link", scratch);
    CLEANUP_FREE char *below = mem_printf("%s/a/b", mnt);
    CLEANUP_FREE char *inner_below = mem_printf("%s/c", inner);
    CLEANUP_FREE char *neighbour = mem_printf("%s2", mnt);

    assert_int_equal(dir_make(inner), 0);
    assert_int_equal(symlink(mnt, link), 0);
    check_found(mnt, NULL, NULL);
    mount_state_remember(mnt, "/state/old");
    mount_state_remember(mnt, "/state/one");
    mount_state_remember(inner, "/state/two");
    check_found(mnt, "/state/one", "");
    check_found(below, "/state/one", "/a/b");
    check_found(inner_below, "/state/two", "/c");
    check_found(link, "/state/one", "");
    check_found(neighbour, NULL, NULL);
    check_found("/", NULL, NULL);
    mount_state_forget(mnt, "/state/old"); /* another one has the place by now */
    check_found(mnt, "/state/one", "");
    mount_state_forget(mnt, "/state/one");
    check_found(mnt, NULL, NULL);
    check_found(inner, "/state/two", "");
    assert_true(!root || seteuid(0) == 0);
}

static void test_resolve(void **state)
{
    struct cmd_error error = {{0}};
    CLEANUP_FREE char *dir = mem_printf("%s/there", scratch);
    CLEANUP_FREE char *with_dots = mem_printf("%s/there/../there/", scratch);
    CLEANUP_FREE char *missing = mem_printf("%s/missing", scratch);

    (void)state;
    assert_int_equal(dir_make(dir), 0);
    CLEANUP_FREE char *real = realpath(dir, NULL);
    CLEANUP_FREE char *got = mount_point_resolve(with_dots, &error);
    assert_string_equal(got, real);
    assert_null(mount_point_resolve(missing, &error));
    assert_non_null(strstr(error.text, "expected a directory"));
    assert_null(mount_point_resolve("/dev/null", &error));
    assert_int_equal(mount_point_check(dir, &error), 0);
}

static void test_absolute(void **state)
{
    CLEANUP_FREE char *here = getcwd(NULL, 0);
    CLEANUP_FREE char *want = mem_printf("%s/x", here);
    CLEANUP_FREE char *relative = dir_absolute("x"), *absolute = dir_absolute("/x");

    (void)state;
    assert_string_equal(relative, want);
    assert_string_equal(absolute, "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),  cmocka_unit_test(test_name_length),
        cmocka_unit_test(test_find),     cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_absolute),
    };

    return cmocka_run_group_tests_name("cmd_mount_state", tests, set_up, tear_down);
}
