/* Checking a state directory: the order of the parts, and what is told of what they find. */
#include "fs/check_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { CHECK_DAMAGE_MAX = 100 };

static struct check_told *check_told_find(struct check *c, enum fs_check_kind kind, const char *fmt)
{
    for (size_t i = 0; i < c->told_count; i++) {
        if (c->told[i].fmt == fmt)
            return &c->told[i];
    }
    if (c->told_count == CHECK_KINDS_MAX)
        return &c->told[CHECK_KINDS_MAX - 1];
    struct check_told *told = &c->told[c->told_count++];
    *told = (struct check_told){.fmt = fmt, .kind = kind};
    return told;
}

void check_say(struct check *c, enum fs_check_kind kind, const char *fmt, ...)
{
    struct check_told *told = check_told_find(c, kind, fmt);
    char text[2048];
    va_list ap;

    if (kind == FS_CHECK_PROBLEM)
        c->counts->problems++;
    if (++told->count > CHECK_TOLD_MAX)
        return;
    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!told->first)
        told->first = mem_strdup(text);
    c->fn(c->ctx, kind, text);
}

/* How many of each kind there were beyond those that were given. */
static void check_tell_rest(struct check *c)
{
    for (size_t i = 0; i < c->told_count; i++) {
        struct check_told *told = &c->told[i];
        if (told->count > CHECK_TOLD_MAX) {
            char *text =
                mem_printf("%llu more like this: %s",
                           (unsigned long long)(told->count - CHECK_TOLD_MAX), told->first);
            c->fn(c->ctx, told->kind, text);
            free(text);
        }
        free(told->first);
    }
}

void check_database_errors(struct check *c, const char *about)
{
    struct db_error error;

    if (db_view_error(c->view, &error))
        check_problem(c, "%s; so %s could not be checked to the end", error.text, about);
}

static void check_damage(void *ctx, const char *sentence)
{
    check_problem((struct check *)ctx, "database: %s", sentence);
}

static void check_free(struct check *c)
{
    check_path_close(c);
    for (size_t i = 0; i < c->volume_count; i++)
        free(c->volumes[i].identity);
    free(c->volumes);
    db_view_close(c->view);
    free(c);
}

int fs_check(const struct fs_check_config *config, fs_check_fn *fn, void *ctx,
             struct fs_check_counts *ret, struct fs_error *reterr)
{
    struct check *c = mem_zalloc(sizeof(*c));
    struct db_error db_error = {{0}};

    *ret = (struct fs_check_counts){0};
    c->config = config;
    c->counts = ret;
    c->fn = fn;
    c->ctx = ctx;
    int err = db_view_open(config->state_dir, &c->view, &db_error);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s", db_error.text);
        free(c);
        return err;
    }
    db_view_damage(c->view, CHECK_DAMAGE_MAX, check_damage, c);
    check_database_errors(c, "the database as a whole");
    check_tree(c);
    check_path_open(c);
    check_rows(c);
    check_keys(c);
    check_stage(c);
    if (config->store)
        check_stores(c);
    check_tell_rest(c);
    check_free(c);
    return 0;
}
