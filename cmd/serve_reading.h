/* The reading of a command line and a configuration file while it goes on: serve_read.c goes
 * through them, serve_add.c makes exports, mounts and sub-mounts of what it finds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cmd/config_file.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"

struct reading {
    struct serve_options *o;
    struct setting_reader reader;
    struct setting_list line; /* the command line */
    struct config_file file;
    const char *text; /* of the file; NULL: it is read */
    size_t text_len;
    bool mount, look;
    unsigned scope;   /* of the process's options */
    const char *pass; /* from -o, for mount(8) */
    /* Called as a mount program, under this name: fstab has NAME#BUCKET, which "mount -a" looks for
     * among what is mounted. */
    const char *helper;
    char **args; /* behind the options */
    int arg_count;
    struct cmd_error *reterr;
};

/* -EINVAL and a sentence, with the file's name before it. line: of the file; 0: the command line.
 */
int reading_refuse(struct reading *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Applies those of list that are said of scope. */
int reading_apply(struct reading *r, const struct setting_list *list, unsigned scope,
                  struct export_options *export);

/* What holds for one: the defaults, then section, which may be NULL, then the command line. */
int reading_make_options(struct reading *r, const struct config_section *section,
                         struct export_options *ret);

/* The mountpoint as it is on this host; of the pool. NULL and a sentence. */
const char *reading_resolve(struct reading *r, const char *dir, unsigned line);
/* Whether the url of section, or what it was replaced by, is one. */
int reading_check_url(struct reading *r, const struct config_section *section, const char *url);

int reading_add_export(struct reading *r, const char *url, const char *name, unsigned line,
                       bool hidden, const struct export_options *options);
int reading_add_mount(struct reading *r, const char *name, const char *dir, unsigned line,
                      const struct export_options *options);

int reading_add_section_export(struct reading *r, const struct config_section *section);
int reading_add_section_mount(struct reading *r, const struct config_section *section);
int reading_add_section_submount(struct reading *r, const struct config_section *section);
/* PATH=URL of --submount, [EXPORT:]MOUNTPOINT of --fuse. */
int reading_add_line_submount(struct reading *r, const char *value);
int reading_add_line_fuse(struct reading *r, const char *value);
