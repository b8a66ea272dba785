/* The rules: what strikes where, read from text or from the control file, and asked at each call.
 */
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/fault.h"

enum { RULES_MAX = 512, RULE_TEXT_MAX = 1 << 16 };

struct rule {
    uint32_t points; /* a bit for each */
    char *key;       /* glob, or NULL */
    uint64_t from, count;
    double chance; /* 1 = always */
    uint64_t random;
    enum fault_action action;
    int err;
    int64_t delay_ns;
    uint64_t seen, hits;
};

struct rules {
    struct rule list[RULES_MAX];
    size_t count;
    char *caps; /* words of the lines that begin with caps */
    bool reset;
};

/* Guards all below. Innermost: nothing else is locked while it is held. */
static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rules rules;
static struct stat control_was; /* the control file that was read */
static bool control_missing = true;
static _Atomic uint64_t rules_gen = 1;

static const struct {
    const char *name;
    enum fault_action action;
} actions[] = {
    {"cut", FAULT_CUT},     {"twice", FAULT_TWICE}, {"lose", FAULT_LOSE},
    {"stall", FAULT_STALL}, {"kill", FAULT_KILL},   {"kill_after", FAULT_KILL_AFTER},
};

static const struct {
    const char *name;
    int err;
} errors[] = {
    {"EAGAIN", EAGAIN}, {"EIO", EIO},       {"ENOSPC", ENOSPC},   {"ESTALE", ESTALE},
    {"EACCES", EACCES}, {"ENOENT", ENOENT}, {"ENOTSUP", ENOTSUP}, {"EROFS", EROFS},
    {"EINVAL", EINVAL}, {"EDQUOT", EDQUOT}, {"EMFILE", EMFILE},   {"EFBIG", EFBIG},
};

/* "store.put,db.*" */
static uint32_t parse_points(char *text)
{
    uint32_t points = 0;
    char *rest = text;

    for (char *glob; (glob = strsep(&rest, ","));) {
        for (int i = 0; i < FAULT_POINTS; i++) {
            if (fnmatch(glob, fault_point_name((enum fault_point)i), 0) == 0)
                points |= UINT32_C(1) << i;
        }
    }
    return points;
}

static bool parse_error(const char *value, int *ret)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strcmp(value, errors[i].name) == 0) {
            *ret = -errors[i].err;
            return true;
        }
    }
    return false;
}

static bool parse_delay(const char *value, int64_t *ret)
{
    char *end;
    double number = strtod(value, &end);
    int64_t unit = strcmp(end, "ms") == 0 ? CLOCK_MS : strcmp(end, "s") == 0 ? CLOCK_S : 0;

    *ret = (int64_t)(number * (double)unit);
    return unit > 0 && number >= 0;
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(word, name, len) == 0;
}

static bool parse_word(struct rule *rule, const char *word)
{
    const char *value = strchr(word, '=');

    if (!value) {
        for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
            if (strcmp(word, actions[i].name) == 0) {
                rule->action = actions[i].action;
                return true;
            }
        }
        return false;
    }
    size_t len = (size_t)(value++ - word);
    if (word_is(word, len, "error"))
        return parse_error(value, &rule->err);
    if (word_is(word, len, "delay"))
        return parse_delay(value, &rule->delay_ns);
    if (word_is(word, len, "key"))
        rule->key = mem_strdup(value);
    else if (word_is(word, len, "nth"))
        rule->from = strtoull(value, NULL, 10);
    else if (word_is(word, len, "from"))
        rule->from = strtoull(value, NULL, 10);
    else if (word_is(word, len, "count"))
        rule->count = strtoull(value, NULL, 10);
    else if (word_is(word, len, "seed"))
        rule->random = strtoull(value, NULL, 10) * 2 + 1;
    else if (word_is(word, len, "p"))
        rule->chance = strtod(value, NULL);
    else
        return false;
    if (word_is(word, len, "nth"))
        rule->count = 1;
    return true;
}

static bool parse_line(struct rules *ret, char *line)
{
    struct rule rule = {.from = 1, .count = UINT64_MAX, .chance = 1, .random = 1};
    char *rest = line, *word;

    line[strcspn(line, "#")] = '\0';
    while ((word = strsep(&rest, " \t")) && !*word)
        ;
    if (!word)
        return true;
    if (strcmp(word, "reset") == 0)
        return ret->reset = true;
    if (strcmp(word, "caps") == 0) {
        char *old = ret->caps;
        ret->caps = mem_printf("%s %s", old ? old : "", rest ? rest : "");
        free(old);
        return true;
    }
    rule.points = parse_points(word);
    bool good = rule.points != 0 && ret->count < RULES_MAX;
    while (good && (word = strsep(&rest, " \t")))
        good = !*word || parse_word(&rule, word);
    if (rule.err && rule.action == FAULT_NONE)
        rule.action = FAULT_ERROR;
    if (!rule.err && (rule.action == FAULT_LOSE || rule.action == FAULT_STALL))
        rule.err = -EAGAIN;
    if (good)
        ret->list[ret->count++] = rule;
    else
        free(rule.key);
    return good;
}

static void rules_clear(struct rules *old)
{
    for (size_t i = 0; i < old->count; i++)
        free(old->list[i].key);
    free(old->caps);
    *old = (struct rules){0};
}

/* Lock held. */
static int rules_parse(const char *text)
{
    CLEANUP_FREE char *copy = mem_strdup(text ? text : "");
    char *rest = copy;
    int err = 0;

    rules_clear(&rules);
    for (char *line; (line = strsep(&rest, "\n"));) {
        CLEANUP_FREE char *said = mem_strdup(line);
        if (!parse_line(&rules, line)) {
            (void)fprintf(stderr, "fault: cannot read the rule \"%s\"\n", said);
            err = -EINVAL;
        }
    }
    if (rules.reset)
        fault_counts_reset();
    atomic_fetch_add(&rules_gen, 1);
    return err;
}

/* Lock held. Reads the control file again if it is another one than before. */
static void rules_look(void)
{
    const char *control = getenv("PAILFS_FAULT"); /* NOLINT(concurrency-mt-unsafe) */
    struct stat now;

    if (!control)
        return;
    if (stat(control, &now)) {
        if (!control_missing)
            (void)rules_parse(NULL);
        control_missing = true;
        return;
    }
    if (!control_missing && now.st_ino == control_was.st_ino &&
        now.st_size == control_was.st_size && now.st_mtim.tv_sec == control_was.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == control_was.st_mtim.tv_nsec)
        return;
    CLEANUP_FREE char *text = mem_zalloc(RULE_TEXT_MAX);
    FILE *file = fopen(control, "re");
    if (file) {
        (void)fread(text, 1, RULE_TEXT_MAX - 1, file);
        (void)fclose(file);
    }
    control_missing = false;
    control_was = now;
    if (rules_parse(text))
        abort(); /* a test that asks for something that is not there must not pass */
}

int fault_rules_set(const char *text)
{
    LOCK_SCOPE(&rules_lock);
    return rules_parse(text);
}

uint64_t fault_rules_gen(void)
{
    LOCK_SCOPE(&rules_lock);
    rules_look();
    return atomic_load(&rules_gen);
}

uint64_t fault_rule_seen(size_t rule)
{
    LOCK_SCOPE(&rules_lock);
    return rule < rules.count ? rules.list[rule].seen : 0;
}

uint64_t fault_rule_hits(size_t rule)
{
    LOCK_SCOPE(&rules_lock);
    return rule < rules.count ? rules.list[rule].hits : 0;
}

void fault_rule_end(size_t rule)
{
    LOCK_SCOPE(&rules_lock);
    if (rule < rules.count)
        rules.list[rule].count = 0;
}

/* splitmix64: the same seed strikes the same calls. */
static double rule_random(struct rule *rule)
{
    uint64_t z = rule->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) / (double)(UINT64_C(1) << 53);
}

/* Lock held. Does the rule strike at this call? */
static bool rule_strikes(struct rule *rule, enum fault_point point, const char *name, bool per_key)
{
    if (!(rule->points & UINT32_C(1) << point))
        return false;
    if (per_key && (rule->key != NULL) != (name != NULL))
        return false;
    if (rule->key && (!name || fnmatch(rule->key, name, 0) != 0))
        return false;
    uint64_t at = ++rule->seen;
    if (at < rule->from || at - rule->from >= rule->count)
        return false;
    return rule->chance >= 1 || rule_random(rule) < rule->chance;
}

void fault_kill(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

struct fault_decision fault_decide(enum fault_point point, const char *name, bool per_key)
{
    struct fault_decision d = {0};

    LOCK_SCOPE(&rules_lock);
    rules_look();
    for (size_t i = 0; i < rules.count; i++) {
        struct rule *rule = &rules.list[i];
        if (!rule_strikes(rule, point, name, per_key))
            continue;
        rule->hits++;
        if (rule->delay_ns > d.delay_ns)
            d.delay_ns = rule->delay_ns;
        if (d.action == FAULT_NONE && rule->action != FAULT_NONE) {
            d.action = rule->action;
            d.err = rule->err;
            atomic_fetch_add(&fault_counts()[point].faults, 1);
        }
    }
    if (d.action == FAULT_KILL)
        fault_kill();
    return d;
}

/* ---- capabilities ---- */

static void caps_set(struct store_caps *caps, const char *name, size_t len, uint64_t value)
{
    const struct {
        const char *name;
        bool *flag;
        uint32_t *number;
        uint64_t *big;
    } fields[] = {
        {"list_meta", &caps->list_meta, NULL, NULL},
        {"cond_put", &caps->cond_put, NULL, NULL},
        {"cond_copy", &caps->cond_copy, NULL, NULL},
        {"cond_delete", &caps->cond_delete, NULL, NULL},
        {"part_copy", &caps->part_copy, NULL, NULL},
        {"meta_patch", &caps->meta_patch, NULL, NULL},
        {"writable", &caps->writable, NULL, NULL},
        {"delete_max", NULL, &caps->delete_max, NULL},
        {"part_count_max", NULL, &caps->part_count_max, NULL},
        {"part_min", NULL, NULL, &caps->part_min},
        {"part_max", NULL, NULL, &caps->part_max},
        {"put_max", NULL, NULL, &caps->put_max},
        {"copy_size_max", NULL, NULL, &caps->copy_size_max},
        {"object_max", NULL, NULL, &caps->object_max},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!word_is(name, len, fields[i].name))
            continue;
        if (fields[i].flag)
            *fields[i].flag = value != 0;
        else if (fields[i].number)
            *fields[i].number = (uint32_t)value;
        else
            *fields[i].big = value;
        return;
    }
    (void)fprintf(stderr, "fault: no capability is called %.*s\n", (int)len, name);
    abort();
}

void fault_caps(struct store_caps *caps)
{
    LOCK_SCOPE(&rules_lock);
    rules_look();
    CLEANUP_FREE char *copy = mem_strdup(rules.caps ? rules.caps : "");
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " \t"));) {
        const char *value = strchr(word, '=');
        if (value)
            caps_set(caps, word, (size_t)(value - word), strtoull(value + 1, NULL, 10));
    }
}
