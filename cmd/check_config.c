/* "pailfs check-config": tells the first mistake in a configuration file, or what it asks for. */
#include <errno.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/serve_options.h"

void command_check_config_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs check-config FILE\n"
        "\n"
        "Reads a configuration file as \"pailfs serve -c FILE\" does, and starts nothing: says\n"
        "what the file asks for, or what is wrong, with the line and what was expected there.\n"
        "Buckets, directories and files that it names are not looked at, nor is the\n"
        "environment, so a file can be checked on any host.\n"
        "\n"
        "Exit status: 0 the file can be served, 1 it has a mistake or cannot be read, 2 called\n"
        "wrongly.\n",
        out);
}

static void print_what(const struct serve_options *o)
{
    for (size_t i = 0; i < o->export_count; i++) {
        const struct serve_export *e = &o->exports[i];
        if (!e->hidden)
            (void)printf("export %s: %s%s\n", e->name, e->url,
                         e->options.volume.read_only ? ", read-only" : "");
    }
    for (size_t i = 0; i < o->mount_count; i++) {
        const struct serve_mount *m = &o->mounts[i];
        (void)printf("mount %s: %s%s\n", m->dir,
                     strcmp(m->name, m->dir) == 0 ? m->options.url : m->name,
                     m->options.volume.read_only ? ", read-only" : "");
    }
    for (size_t i = 0; i < o->submount_count; i++)
        (void)printf("submount %s: %s\n", o->submounts[i].path, o->submounts[i].url);
}

int command_check_config(int argc, char **argv)
{
    struct serve_options options;
    struct cmd_error error = {{0}};
    const char *path = argc > 2 && strcmp(argv[1], "--") == 0 ? argv[2] : argv[1];
    int status = 0;

    if (argc < 2 || (path == argv[1] && (argc > 2 || argv[1][0] == '-')) ||
        (path != argv[1] && argc > 3)) {
        (void)fputs("pailfs: expected one FILE: pailfs check-config FILE\n", stderr);
        return COMMAND_USAGE;
    }
    if (serve_options_check_file(path, &options, &error)) {
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
        status = COMMAND_FAILED;
    } else {
        serve_options_tell(&options);
        print_what(&options);
    }
    serve_options_clear(&options);
    return fflush(stdout) == 0 ? status : COMMAND_FAILED;
}
