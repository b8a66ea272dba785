/* The options of a server as a whole: defaults, help, and freeing them. */
#include "cmd/serve_options.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cmd/setting.h"

enum { SERVE_PORT = 2049 };

void serve_options_default(struct serve_options *ret)
{
    *ret = (struct serve_options){
        .nfs = true,
        .nfs_port = SERVE_PORT,
        .portmap = PORTMAP_AUTO,
        .quiet_ns = 2 * CLOCK_S,
        .deadline_ns = 20 * CLOCK_S,
        .shutdown_ns = 30 * CLOCK_S,
        .memory_limit = UINT64_C(512) << 20,
        .stage_limit = UINT64_C(10) << 30,
        .log_level = LOG_INFO,
    };
    export_options_default(&ret->defaults);
}

void serve_options_clear(struct serve_options *options)
{
    free(options->listen);
    free(options->exports);
    free(options->mounts);
    free(options->submounts);
    free(options->notes);
    free(options->log_file);
    free(options->state_dir);
    text_pool_clear(&options->pool);
    *options = (struct serve_options){.listen = NULL};
}

void serve_options_tell(const struct serve_options *options)
{
    for (size_t i = 0; i < options->note_count; i++)
        (void)fprintf(stderr, "pailfs: note: %s\n", options->notes[i]);
}

void serve_options_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs serve [options] URL[=/EXPORT]...\n"
        "       pailfs serve -c FILE [options] [URL[=/EXPORT]...]\n"
        "\n"
        "Serves buckets and directories over NFSv3 until SIGTERM or SIGINT.\n"
        "\n"
        "  s3://BUCKET[/PREFIX]   a bucket, or the part of it below PREFIX\n"
        "  file:///DIRECTORY      a directory of plain files on this host\n"
        "\n"
        "EXPORT is the path that clients mount; without it, the name of the bucket or of the\n"
        "directory: s3://media is mounted as host:/media. Options hold for all URLs; in a\n"
        "configuration file each export has its own, see README.\n",
        out);
    setting_help(SETTING_FOR_SERVE, out);
    (void)fputs(
        "\nExamples:\n"
        "  pailfs serve s3://media\n"
        "  pailfs serve --listen 0.0.0.0 --allow 10.0.0.0/8 s3://media s3://logs/2026=/logs\n"
        "  pailfs serve --endpoint http://127.0.0.1:7070 --path-style s3://media\n"
        "  pailfs serve file:///srv/data\n"
        "  pailfs serve -c /etc/pailfs.conf\n",
        out);
}

void serve_options_help_mount(FILE *out)
{
    (void)fputs(
        "usage: pailfs mount [options] URL MOUNTPOINT\n"
        "       pailfs mount -c FILE [options] [MOUNTPOINT]\n"
        "\n"
        "Mounts a bucket or a directory on this host by FUSE, and goes into the background.\n"
        "\"fusermount3 -u MOUNTPOINT\", umount or SIGTERM ends it; what is not in the bucket\n"
        "then is sent first, for at most --shutdown-timeout. BUCKET[:PREFIX] is understood as\n"
        "s3://BUCKET/PREFIX.\n"
        "\n"
        "-o takes a comma list of mount(8)'s options and of the ones below; a comma in a value\n"
        "is \"\\,\". Options of goofys, GeeseFS and s3fs are understood where they have the\n"
        "same meaning, see README.\n",
        out);
    setting_help(SETTING_FOR_MOUNT, out);
    (void)fputs(
        "\nExamples:\n"
        "  pailfs mount s3://media /mnt/media\n"
        "  pailfs mount -o ro,allow_other,endpoint=http://127.0.0.1:7070 media /mnt/media\n",
        out);
}
