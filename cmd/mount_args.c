/* -o lists of mount(8), fstab and goofys, as long options. */
#include "cmd/mount_args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* For mount(8) and its callers, or true of this mount anyway. A name that ends in '*' stands for
 * all that begin so. */
static const char *const ignored[] = {
    "defaults",      "rw",        "user",      "user=*", "users",      "nouser",
    "group",         "owner",     "auto",      "noauto", "nofail",     "_netdev",
    "x-*",           "comment=*", "nonempty",  "async",  "big_writes", "default_permissions",
    "noallow_other", "fsname=*",  "subtype=*", "mand",   "nomand",     "silent",
    "loud",          "X-*",
};
/* What the kernel and fusermount3 know. */
static const char *const passed[] = {
    "nosuid", "suid",       "nodev",       "dev",      "noexec",     "exec",        "noatime",
    "atime",  "nodiratime", "diratime",    "relatime", "norelatime", "strictatime", "nostrictatime",
    "sync",   "dirsync",    "nosymfollow", "lazytime", "nolazytime",
};

static bool is_one_of(const char *word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (names[i][len - 1] == '*' ? strncmp(word, names[i], len - 1) == 0
                                     : strcmp(word, names[i]) == 0)
            return true;
    }
    return false;
}
#define IS_ONE_OF(word, names) is_one_of(word, names, sizeof(names) / sizeof((names)[0]))

static void add(struct mount_args *args, char *word)
{
    args->argv = mem_rearray(args->argv, (size_t)args->argc + 2, sizeof(*args->argv));
    args->argv[args->argc++] = word;
    args->argv[args->argc] = NULL;
}

/* One entry of a list: "ro", "uid=7", or as goofys has it "--file-mode=0666". */
static void add_entry(struct mount_args *args, const char *word, char **pass)
{
    if (!*word || IS_ONE_OF(word, ignored))
        return;
    if (IS_ONE_OF(word, passed)) {
        char *longer = *pass ? mem_printf("%s,%s", *pass, word) : mem_strdup(word);
        free(*pass);
        *pass = longer;
        return;
    }
    if (strcmp(word, "ro") == 0)
        word = "read-only";
    size_t dashes = strspn(word, "-");
    size_t name = strcspn(word + dashes, "=");
    char *option = dashes == 1 && name == 1 ? mem_strdup(word) : mem_printf("--%s", word + dashes);
    for (char *p = option + (dashes == 1 && name == 1 ? 0 : 2); *p && *p != '='; p++) {
        if (*p == '_') /* allow_other, as mount(8) writes words */
            *p = '-';
    }
    add(args, option);
}

/* A comma list, in which "\," is a comma of the word. */
static void add_list(struct mount_args *args, const char *list, char **pass)
{
    CLEANUP_FREE char *word = mem_zalloc(strlen(list) + 1);
    size_t n = 0;

    for (const char *p = list;; p++) {
        if (p[0] == '\\' && (p[1] == ',' || p[1] == '\\')) {
            word[n++] = *++p;
        } else if (*p == ',' || *p == '\0') {
            word[n] = '\0';
            add_entry(args, word, pass);
            n = 0;
            if (!*p)
                return;
        } else {
            word[n++] = *p;
        }
    }
}

/* What mount(8) gives to a program called mount.TYPE beside -o: -s -n -v change nothing here, -t
 * and -N have a value. True if args[*i] was one of them. */
static bool skip_helper_word(int argc, char **argv, int *i)
{
    const char *word = argv[*i];

    if (strcmp(word, "-t") == 0 || strcmp(word, "-N") == 0) {
        *i += *i + 1 < argc;
        return true;
    }
    return word[0] == '-' && word[1] && strspn(word + 1, "snvw") == strlen(word + 1);
}

int mount_args_make(int argc, char **argv, struct mount_args *ret, struct cmd_error *reterr)
{
    CLEANUP_FREE char *pass = NULL;
    int i = 1;

    *ret = (struct mount_args){.argc = 0};
    add(ret, mem_strdup(argv[0]));
    bool helper = strstr(argv[0], "mount.") != NULL;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (helper && skip_helper_word(argc, argv, &i))
            continue;
        bool list = strncmp(argv[i], "-o", 2) == 0;
        if (list && argv[i][2]) {
            add_list(ret, argv[i] + 2, &pass);
        } else if (list && ++i < argc) {
            add_list(ret, argv[i], &pass);
        } else if (list) {
            return cmd_error_set(reterr, -EINVAL, "option -o needs a value");
        } else {
            add(ret, mem_strdup(argv[i]));
        }
    }
    if (pass)
        add(ret, mem_printf("--fuse-options=%s", pass));
    for (; i < argc; i++)
        add(ret, mem_strdup(argv[i]));
    return 0;
}

void mount_args_clear(struct mount_args *args)
{
    for (int i = 0; i < args->argc; i++)
        free(args->argv[i]);
    free(args->argv);
    *args = (struct mount_args){.argc = 0};
}
