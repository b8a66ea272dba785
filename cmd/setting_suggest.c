/* Which option somebody may have meant. */
#include <string.h>

#include "cmd/setting.h"

enum { SUGGEST_NAME_MAX = 48, SUGGEST_FAR = 3 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* How many letters are to be changed, left out or put in between (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[SUGGEST_NAME_MAX + 1];
    size_t len = strlen(b);

    for (unsigned k = 0; k <= len; k++)
        row[k] = k;
    for (unsigned i = 0; a[i]; i++) {
        unsigned corner = i;
        row[0] = i + 1;
        for (unsigned k = 1; k <= len; k++) {
            unsigned change = corner + (a[i] != b[k - 1] && !(a[i] == '_' && b[k - 1] == '-'));
            corner = row[k];
            row[k] = least(change, row[k] + 1, row[k - 1] + 1);
        }
    }
    return row[len];
}

const char *setting_suggest(struct text_pool *pool, const char *name, unsigned scope)
{
    const char *best = NULL;
    unsigned best_far = SUGGEST_FAR;

    for (size_t i = 0; i < setting_count && strlen(name) < SUGGEST_NAME_MAX; i++) {
        const char *own = setting_table[i].def.name;
        unsigned far = setting_table[i].scope & scope && strlen(own) < SUGGEST_NAME_MAX
                           ? distance(name, own)
                           : SUGGEST_FAR;
        if (far < best_far && far * 3 <= strlen(own)) {
            best_far = far;
            best = own;
        }
    }
    return best ? text_pool_printf(pool, ": did you mean %s?", best) : "";
}
