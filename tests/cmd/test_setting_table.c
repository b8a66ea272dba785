/* The tables of options themselves: what they say of defaults, and that they fit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"

/* What a target has, but for where its strings lie. */
struct values {
    struct serve_options process;
    struct export_options export;
};

static void take(struct values *ret, const struct serve_options *o)
{
    /* With what lies between the members: those of before and after are compared. */
    memcpy(&ret->process, o, sizeof(ret->process));
    memcpy(&ret->export, &o->defaults, sizeof(ret->export));
    memset(&ret->process.pool, 0, sizeof(ret->process.pool));
    memset(&ret->process.defaults, 0, sizeof(ret->process.defaults));
}

/* A default that help and README show is what the options have when nothing is said. */
static void test_defaults(void **state)
{
    (void)state;
    int tried = 0;

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (!s->fallback || s->fallback[0] == '(')
            continue;
        struct serve_options o;
        struct values before, after;
        const char *why = "";
        memset(&o, 0, sizeof(o));
        serve_options_default(&o);
        struct setting_target target = {.pool = &o.pool, .process = &o, .export = &o.defaults};
        take(&before, &o);
        if (s->def.set(&target, s->fallback, &why))
            fail_msg("%s: the default %s is refused: %s", s->def.name, s->fallback, why);
        take(&after, &o);
        if (memcmp(&before, &after, sizeof(before)) != 0)
            fail_msg("%s: %s is not the default", s->def.name, s->fallback);
        serve_options_clear(&o);
        tried++;
    }
    assert_true(tried > 30);
}

static const struct {
    const char *name, *value;
} others[] = {
    {"listen", "127.0.0.3"},
    {"nfs-port", "1"},
    {"mount-port", "1"},
    {"portmap", "on"},
    {"allow", "10.0.0.0/8"},
    {"squash", "all"},
    {"anonuid", "1"},
    {"anongid", "1"},
    {"secure", "no"},
    {"uid", "1"},
    {"gid", "1"},
    {"file-mode", "1"},
    {"dir-mode", "1"},
    {"umask", "1"},
    {"attr-ttl", "1s"},
    {"list-ttl", "1s"},
    {"request-deadline", "1s"},
    {"state-dir", "/x"},
    {"commit", "store"},
    {"quiet-time", "1s"},
    {"memory-limit", "1G"},
    {"stage-limit", "1G"},
    {"shutdown-timeout", "1s"},
    {"uploads", "7"},
    {"part-size", "6M"},
    {"parts", "7"},
    {"multipart-age", "1s"},
    {"endpoint", "http://x"},
    {"region", "x"},
    {"profile", "x"},
    {"passwd-file", "/x"},
    {"storage-class", "X"},
    {"cold-min-size", "1"},
    {"acl", "private"},
    {"sse-kms", "x"},
    {"sse-c", "@x"},
    {"list-type", "1"},
    {"connections", "7"},
    {"connect-timeout", "1s"},
    {"stall-timeout", "1s"},
    {"retries", "1"},
    {"retry-min", "1s"},
    {"retry-max", "1s"},
    {"ca-file", "/x"},
    {"log-file", "x"},
    {"log-level", "debug"},
    {"fuse-options", "x"},
    {"fsname", "x"},
    {"url", "s3://x"},
};

/* Every option changes something: none is there for show. */
static void test_effect(void **state)
{
    (void)state;

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        const char *value = s->def.arg ? NULL : "yes", *why = "";
        if (s->scope & (SETTING_FILE | SETTING_FUSE | SETTING_SUBMOUNT | SETTING_ENTRIES))
            continue; /* these are looked for by name */
        if (!s->def.arg && s->fallback && strcmp(s->fallback, "yes") == 0)
            value = "no";
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            if (strcmp(others[k].name, s->def.name) == 0)
                value = others[k].value;
        }
        if (!value)
            fail_msg("%s: this test has no value for it", s->def.name);
        struct serve_options o;
        struct values before, after;
        memset(&o, 0, sizeof(o));
        serve_options_default(&o);
        struct setting_target target = {.pool = &o.pool, .process = &o, .export = &o.defaults};
        take(&before, &o);
        if (s->def.set(&target, value, &why))
            fail_msg("%s %s: %s", s->def.name, value, why);
        take(&after, &o);
        if (memcmp(&before, &after, sizeof(before)) == 0)
            fail_msg("%s %s changes nothing", s->def.name, value);
        serve_options_clear(&o);
    }
}

static bool is_of(const char *name, unsigned program)
{
    for (size_t i = 0; i < setting_foreign_count; i++) {
        if (setting_foreign_table[i].programs & program &&
            setting_name_is(name, setting_foreign_table[i].name))
            return true;
    }
    return false;
}

static void check_answered(const char *words, unsigned program)
{
    CLEANUP_FREE char *copy = mem_strdup(words);
    char *save = NULL;

    for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        if (!is_of(p, program))
            fail_msg("%s is not in the table", p);
    }
}

/* Every option of goofys, and those of s3fs that are seen most, are answered. */
static void test_complete(void **state)
{
    (void)state;
    check_answered("help version o cache dir-mode file-mode uid gid endpoint region requester-pays "
                   "storage-class profile use-content-type sse sse-kms sse-c acl subdomain cheap "
                   "no-implicit-dir stat-cache-ttl type-cache-ttl http-timeout debug_fuse debug_s3 "
                   "f",
                   FOREIGN_GOOFYS);
    check_answered("passwd_file url use_path_request_style endpoint allow_other umask uid gid "
                   "mp_umask use_sse storage_class default_acl multipart_size parallel_count "
                   "ensure_diskfree use_cache del_cache stat_cache_expire enable_noobj_cache "
                   "nocopyapi norenameapi use_xattr retries connect_timeout readwrite_timeout "
                   "iam_role no_check_certificate compat_dir dbglevel f o",
                   FOREIGN_S3FS);
}

static void test_foreign(void **state)
{
    (void)state;
    for (size_t i = 0; i < setting_foreign_count; i++) {
        const struct setting_foreign *f = &setting_foreign_table[i];
        const struct setting *own = setting_find(f->name, UINT32_MAX & ~(unsigned)SETTING_URL);
        const struct setting *to = f->to ? setting_find(f->to, UINT32_MAX) : NULL;
        if (strcmp(f->name, "help") == 0 || strcmp(f->name, "version") == 0)
            continue; /* of every program */
        switch (f->kind) {
        case FOREIGN_SAME:
            if (!to || (!own && strlen(f->name) > 1) || (own && own != to))
                fail_msg("%s: not an option of ours", f->name);
            if (strlen(f->name) == 1 && to->def.letter != f->name[0])
                fail_msg("-%s is not %s", f->name, f->to);
            break;
        case FOREIGN_OTHER:
            if (!to || !own || !f->note)
                fail_msg("%s: what does it mean here?", f->name);
            break;
        case FOREIGN_AS:
            if (!to || own)
                fail_msg("%s: %s", f->name, own ? "we have that" : "as what?");
            /* A flag of theirs gives a value, and a value of theirs is not lost. */
            if (to->def.arg ? f->has_value == (f->value != NULL) : f->has_value)
                fail_msg("%s: where does the value of %s come from?", f->name, f->to);
            break;
        case FOREIGN_NOTED:
        case FOREIGN_REFUSED:
            if (own || f->to || !f->note || f->note[strlen(f->note) - 1] == '.')
                fail_msg("%s: expected one sentence without a full stop", f->name);
            break;
        }
    }
}

/* What one name finds does not depend on the order of the table. */
static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < setting_count; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct setting *a = &setting_table[i], *b = &setting_table[k];
            if (setting_name_is(a->def.name, b->def.name)) {
                if (a->scope & b->scope)
                    fail_msg("%s is there twice", a->def.name);
            }
            if (a->def.letter && a->def.letter == b->def.letter)
                fail_msg("-%c is there twice", a->def.letter);
        }
    }
    assert_true(setting_name_is("a_b-c", "a-b-c"));
    assert_true(setting_name_is("a-b", "a_b"));
    assert_false(setting_name_is("a-b", "a-bc"));
    assert_false(setting_name_is("a-bc", "a-b"));
    assert_false(setting_name_is("A", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_effect),
        cmocka_unit_test(test_complete), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
