/* See options_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cmd/options_rig.h"

enum { ARGS_MAX = 48 };

static char rig_file[64];

const char *rig_path(void)
{
    if (!rig_file[0]) {
        (void)snprintf(rig_file, sizeof(rig_file), "/tmp/pailfs-options-XXXXXX");
        int fd = mkstemp(rig_file);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    return rig_file;
}

void rig_write(const char *text)
{
    FILE *f = fopen(rig_path(), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

void rig_remove(void)
{
    if (rig_file[0])
        (void)unlink(rig_file);
    rig_file[0] = '\0';
}

int rig_parse(const char *line, struct serve_options *ret, struct cmd_error *reterr)
{
    char buf[RIG_LINE_MAX], *argv[ARGS_MAX + 1] = {NULL}, *save = NULL;
    int argc = 0;

    assert_true(strlen(line) < sizeof(buf));
    (void)snprintf(buf, sizeof(buf), "%s", line);
    for (char *p = strtok_r(buf, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        assert_true(argc < ARGS_MAX);
        for (char *q = p; *q; q++)
            *q = *q == '~' ? ' ' : *q;
        argv[argc++] = strcmp(p, "@FILE") == 0 ? (char *)rig_path() : p;
    }
    return strncmp(argv[0], "mount", 5) == 0 ? serve_options_parse_mount(argc, argv, ret, reterr)
                                             : serve_options_parse(argc, argv, ret, reterr);
}

int rig_check(struct serve_options *ret, struct cmd_error *reterr)
{
    return serve_options_check_file(rig_path(), ret, reterr);
}

void rig_says(const char *what, const struct cmd_error *error, const char *part)
{
    if (!strstr(error->text, part))
        fail_msg("%s: \"%s\" does not contain \"%s\"", what, error->text, part);
}
