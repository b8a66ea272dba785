/*
 * The options that say how pailfs serves and mounts: one table behind three syntaxes, the command
 * line ("--name value"), a configuration file ("name = value") and mount's "-o name=value,...".
 *
 * Reading is in two steps. Names are looked up and values kept, with the place where they stood
 * (setting_add); then levels of them are applied to a target, the more special ones later
 * (setting_apply): defaults, the file's [defaults], its section, the command line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cmd/options.h"
#include "cmd/text_pool.h"

struct serve_options;
struct export_options;

/* What an option is said of. */
enum setting_scope {
    SETTING_PROCESS = 1, /* the process, whatever it does */
    SETTING_SERVE = 2,   /* the process as an NFS server */
    SETTING_DETACH = 4,  /* the process of "pailfs mount" */
    SETTING_EXPORT = 8,  /* NFS clients of an export */
    SETTING_MOUNT = 16,  /* a mount on this host */
    SETTING_VOLUME = 32, /* names, attributes and data of one bucket */
    SETTING_STORE = 64,  /* how a bucket is talked to */
    SETTING_URL = 128,   /* the url of a section */
    /* Only on the command line: */
    SETTING_FILE = 256,     /* where the configuration is */
    SETTING_SUBMOUNT = 512, /* --submount */
    SETTING_FUSE = 1024,    /* serve's --fuse */
    SETTING_ENTRIES = 2048, /* mount's -o */

    SETTING_FOR_SERVE = SETTING_PROCESS | SETTING_SERVE | SETTING_EXPORT | SETTING_MOUNT |
                        SETTING_VOLUME | SETTING_STORE | SETTING_FILE | SETTING_SUBMOUNT |
                        SETTING_FUSE,
    SETTING_FOR_MOUNT = SETTING_PROCESS | SETTING_DETACH | SETTING_MOUNT | SETTING_VOLUME |
                        SETTING_STORE | SETTING_FILE | SETTING_SUBMOUNT | SETTING_ENTRIES,
    SETTING_OF_PROCESS = SETTING_PROCESS | SETTING_SERVE | SETTING_DETACH | SETTING_FILE |
                         SETTING_SUBMOUNT | SETTING_FUSE | SETTING_ENTRIES,
    SETTING_OF_EXPORT = SETTING_EXPORT | SETTING_MOUNT | SETTING_VOLUME | SETTING_STORE,
};

/* What the setters of the table get. One that is not said of export leaves that alone. */
struct setting_target {
    struct text_pool *pool; /* strings that are kept live there */
    struct serve_options *process;
    struct export_options *export;
    bool look; /* files that are named must be there */
};

struct setting {
    struct option_def def; /* set gets a struct setting_target; value NULL: a flag that is given.
                              With list, NULL is: forget what there is */
    unsigned scope;
    const char *fallback; /* the default as one would write it; in words it begins with '(' */
    bool list;            /* may be given more than once */
};
extern const struct setting setting_table[];
extern const size_t setting_count;

/* --- names of other programs --- */

enum foreign_program {
    FOREIGN_GOOFYS = 1,
    FOREIGN_GEESEFS = 2,
    FOREIGN_S3FS = 4,
    FOREIGN_FUSE = 8
};
enum foreign_kind {
    FOREIGN_SAME,    /* our option has that name and meaning; for documentation */
    FOREIGN_OTHER,   /* we have an option of that name with another meaning; the same */
    FOREIGN_AS,      /* to, with the given value, or with value if that is set */
    FOREIGN_NOTED,   /* accepted; nothing is to be done, note says why */
    FOREIGN_REFUSED, /* note says what there is instead */
};
struct setting_foreign {
    const char *name; /* with dashes */
    unsigned programs;
    enum foreign_kind kind;
    bool has_value;
    const char *to, *value;
    const char *unit; /* of a value that is only digits */
    const char *note; /* one sentence, without its full stop */
};
extern const struct setting_foreign setting_foreign_table[];
extern const size_t setting_foreign_count;

/* --- what was given --- */

struct setting_given {
    const struct setting *setting;
    const char *value;
    const char *what; /* "--nfs-port lots", for sentences */
    unsigned line;    /* of the file; 0: the command line */
};
struct setting_list {
    struct setting_given *all;
    size_t count;
};
void setting_list_clear(struct setting_list *list);

/* Reads of one configuration have one of these. */
struct setting_reader {
    struct text_pool *pool;
    const char *file; /* for sentences */
    char **notes;     /* of accepted options that mean nothing here */
    size_t note_count;
};
void setting_note(struct setting_reader *reader, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* True if the names are the same: '_' is '-'. */
bool setting_name_is(const char *given, const char *name);
/* The option of that name that may be said of one of scope; NULL: none. */
const struct setting *setting_find(const char *name, unsigned scope);
const struct setting_foreign *setting_find_foreign(const char *name);

/* ": did you mean NAME?" if an option that may be said of one of scope is nearly called so, else
 * "". In the pool. */
const char *setting_suggest(struct text_pool *pool, const char *name, unsigned scope);

/*
 * Looks name up and keeps it in list. 0; -ENOENT: there is no such option, or not in that scope, no
 * sentence is set; -EINVAL and a sentence. what is kept, value and name are copied.
 */
int setting_add(struct setting_reader *reader, struct setting_list *list, unsigned scope,
                const char *name, const char *value, const char *what, unsigned line,
                struct cmd_error *reterr);

/* Applies those of list that are said of scope. 0, or -EINVAL and a sentence. */
int setting_apply(const struct setting_reader *reader, const struct setting_list *list,
                  unsigned scope, struct setting_target *target, struct cmd_error *reterr);

/* The last one given of that name, or NULL. */
const struct setting_given *setting_last(const struct setting_list *list, const char *name);

/* Help of the options of a scope. */
void setting_help(unsigned scope, FILE *out);

/* Options of the command line that are said of scope, in the order given; "--" ends them. ret_first
 * as in options_parse. */
int setting_scan(struct setting_reader *reader, unsigned scope, int argc, char **argv,
                 struct setting_list *list, int *ret_first, struct cmd_error *reterr);

/*
 * Options of one bucket as a person gives them to what runs: entries as behind -o,
 * "region=x,cheap". They are applied over what ret holds. The pool gets the strings and has to
 * stay. 0, or -EINVAL and a sentence.
 */
int setting_bucket_entries(struct text_pool *pool, const char *entries, struct export_options *ret,
                           struct cmd_error *reterr);

/* The entries of one -o. pass: those for mount(8) and fusermount3 are appended to it, a comma
 * list in the pool, NULL when empty. */
int setting_scan_entries(struct setting_reader *reader, unsigned scope, const char *entries,
                         struct setting_list *list, const char **pass, struct cmd_error *reterr);
