/*
 * The configuration file: INI as libinih reads it, with sections that have a name.
 *
 *     [pailfs]                 the process
 *     [defaults]               what holds for all of the following
 *     [export /media]          for NFS clients; url = s3://media
 *     [mount /mnt/media]       on this host; url = s3://media, or that of an export
 *     [submount "/media/a"]    another bucket below an export or a mount
 *
 * Every mistake is refused with a sentence that begins with FILE:LINE.
 */
#pragma once

#include "cmd/setting.h"

enum config_kind {
    CONFIG_PAILFS,
    CONFIG_DEFAULTS,
    CONFIG_EXPORT,
    CONFIG_MOUNT,
    CONFIG_SUBMOUNT,
    CONFIG_KINDS,
};

struct config_section {
    enum config_kind kind;
    const char *name;  /* "/media"; NULL: the kind has none. The pool's */
    const char *title; /* "[export /media]", for sentences */
    unsigned line;
    struct setting_list settings;
};

struct config_file {
    struct config_section *sections;
    size_t count;
};

enum { CONFIG_SIZE_MAX = 1 << 20, CONFIG_SECTIONS_MAX = 1024 };

/* Reads reader->file. 0, or a negative errno and a sentence. ret is to be cleared in both cases. */
int config_read(struct setting_reader *reader, struct config_file *ret, struct cmd_error *reterr);
/* The same from memory; reader->file is only its name. */
int config_parse(struct setting_reader *reader, const char *text, size_t len,
                 struct config_file *ret, struct cmd_error *reterr);
void config_clear(struct config_file *config);

/* The section of a kind that has no name, or NULL. */
const struct config_section *config_find(const struct config_file *config, enum config_kind kind);
