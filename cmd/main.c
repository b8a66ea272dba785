/* The pailfs program: finds the command that is asked for. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);
static void main_help(FILE *out);
static void version_help(FILE *out);

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
    void (*help)(FILE *out);
} commands[] = {
    {"serve", "serve buckets and directories over NFSv3", command_serve, command_serve_help},
    {"mount", "mount a bucket on this host by FUSE", command_mount, command_mount_help},
    {"status", "tell what is not in the buckets yet, and what went wrong", command_status,
     command_status_help},
    {"submount", "show another bucket below a path of one that is served", command_submount,
     command_submount_help},
    {"stat", "tell what is known of one file", command_stat, command_stat_help},
    {"flush", "send what waits to the bucket now, and wait for it", command_flush,
     command_flush_help},
    {"check", "inspect the state directory of a pailfs that does not run", command_check,
     command_check_help},
    {"check-config", "check a configuration file", command_check_config, command_check_config_help},
    {"help", "tell what a command does", command_help, main_help},
    {"version", "print the version", command_version, version_help},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void main_help(FILE *out)
{
    (void)fputs("usage: pailfs COMMAND [options] [arguments]\n"
                "\n"
                "Serves object-storage buckets as file systems.\n"
                "\n"
                "Commands:\n",
                out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\n\"pailfs help COMMAND\" tells more.\n", out);
}

static void version_help(FILE *out)
{
    (void)fputs("usage: pailfs version\n\nPrints the version.\n", out);
}

static int report_unknown(const char *name)
{
    (void)fprintf(stderr, "pailfs: unknown command %s: expected one of", name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
    (void)fputs("\n", stderr);
    return COMMAND_USAGE;
}

/* What was printed must have arrived: "pailfs help > /dev/full" fails. */
static int finish_output(void)
{
    return fflush(stdout) == 0 ? 0 : COMMAND_FAILED;
}

static int command_help(int argc, char **argv)
{
    if (argc < 2) {
        main_help(stdout);
        return finish_output();
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return report_unknown(argv[1]);
    command->help(stdout);
    return finish_output();
}

static int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)puts("pailfs " PAILFS_VERSION);
    return finish_output();
}

/* "pailfs COMMAND ... --help" is "pailfs help COMMAND". */
static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* Called as mount(8) calls the programs of file systems: "mount.fuse3 URL DIR -o ..." runs "pailfs
 * URL DIR -o ...", and a link called mount.pailfs or mount.fuse.pailfs is run at once. For buckets,
 * which goofys's lines in fstab name without a scheme, the absolute path of DIR tells. */
static bool is_mount_helper(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');

    if (strncmp(slash ? slash + 1 : argv[0], "mount.", 6) == 0)
        return true;
    return argc > 2 && !find_command(argv[1]) && (strstr(argv[1], "://") || argv[2][0] == '/');
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        main_help(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return command_help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return command_version(argc - 1, argv + 1);
    if (is_mount_helper(argc, argv))
        return command_mount(argc, argv);
    const struct command *command = find_command(argv[1]);
    if (!command)
        return report_unknown(argv[1]);
    if (asks_help(argc - 1, argv + 1)) {
        command->help(stdout);
        return finish_output();
    }
    return command->run(argc - 1, argv + 1);
}
