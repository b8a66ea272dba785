/* What is done while things go wrong. */
#include "tests/fault/sweep.h"

#define KB(n) ((uint64_t)(n) << 10)
#define UNITS(n) ((uint64_t)(n) << 40) /* sweep_scale makes bytes of them */

#define FILE_OF(name, size, seed)                                  \
    {STEP_CREATE, .path = (name)},                                 \
    {                                                              \
        STEP_WRITE, .path = (name), .len = (size), .value = (seed) \
    }

struct scenario sweep_scenarios[] = {
    {"create-write-commit",
     .steps = {FILE_OF("new", KB(600), 1),
               {STEP_SYNC_WRITE, .path = "new", .off = 100, .len = 50, .value = 2},
               {STEP_MKDIR, .path = "d"},
               FILE_OF("d/inner", 10, 3)}},
    {"big-upload", .steps = {FILE_OF("big", UNITS(18), 4)}},
    {"overwrite-big", .setup = {FILE_OF("big", UNITS(18), 5)},
     .steps = {{STEP_SYNC_WRITE, .path = "big", .off = UNITS(9), .len = KB(20), .value = 6},
               {STEP_WRITE, .path = "big", .off = UNITS(18), .len = UNITS(1), .value = 7}}},
    {"rename-file",
     .setup = {FILE_OF("a", KB(3), 8), {STEP_MKDIR, .path = "d"}, FILE_OF("b", KB(2), 9)},
     .steps = {{STEP_RENAME, .path = "a", .to = "d/a2"},
               {STEP_RENAME, .path = "b", .to = "a"},
               {STEP_SYNC_WRITE, .path = "a", .off = 1, .len = 5, .value = 10},
               {STEP_RENAME, .path = "d/a2", .to = "b"}}},
    {"rename-dir",
     .setup = {{STEP_MKDIR, .path = "p"},
               {STEP_MKDIR, .path = "p/sub"},
               {STEP_MKDIR, .path = "p/empty"},
               FILE_OF("p/1", KB(1), 11),
               FILE_OF("p/2", KB(2), 12),
               FILE_OF("p/sub/3", KB(3), 13)},
     .steps = {{STEP_RENAME, .path = "p", .to = "q"},
               {STEP_SYNC_WRITE, .path = "q/1", .off = 10, .len = 10, .value = 14},
               {STEP_REMOVE, .path = "q/2"},
               {STEP_MKDIR, .path = "p"},
               FILE_OF("p/1", 100, 15),
               {STEP_RENAME, .path = "q/sub", .to = "p/sub"}}},
    {"rm-rf",
     .setup = {{STEP_MKDIR, .path = "t"},
               {STEP_MKDIR, .path = "t/u"},
               FILE_OF("t/1", 10, 16),
               FILE_OF("t/2", 20, 17),
               FILE_OF("t/u/3", 30, 18),
               FILE_OF("keep", 40, 19)},
     .steps = {{STEP_REMOVE, .path = "t/1"},
               {STEP_REMOVE, .path = "t/2"},
               {STEP_REMOVE, .path = "t/u/3"},
               {STEP_RMDIR, .path = "t/u"},
               {STEP_RMDIR, .path = "t"}}},
    {"rename-over",
     .setup = {FILE_OF("x", KB(5), 20), FILE_OF("y", KB(6), 21), FILE_OF("z", KB(7), 22)},
     .steps = {{STEP_RENAME, .path = "x", .to = "y"},
               {STEP_SYNC_WRITE, .path = "z", .off = 5, .len = 5, .value = 23},
               {STEP_RENAME, .path = "z", .to = "y"},
               FILE_OF("x", 11, 24)}},
    {"truncate", .setup = {FILE_OF("f", KB(9), 25), FILE_OF("g", KB(9), 26)},
     .steps = {{STEP_TRUNCATE, .path = "f", .len = KB(4)},
               {STEP_TRUNCATE, .path = "f", .len = KB(20)},
               {STEP_TRUNCATE, .path = "g", .len = 0},
               {STEP_SYNC_WRITE, .path = "g", .len = 7, .value = 27}}},
    {"setattr", .setup = {FILE_OF("f", KB(1), 28), FILE_OF("g", KB(1), 29)},
     .steps = {{STEP_CHMOD, .path = "f", .value = 0600},
               {STEP_CHMOD, .path = "f", .value = 0640},
               {STEP_SYNC_WRITE, .path = "g", .len = 7, .value = 30},
               {STEP_CHMOD, .path = "g", .value = 0755}}},
    {"moves",
     .setup = {{STEP_MKDIR, .path = "a"},
               {STEP_MKDIR, .path = "a/b"},
               {STEP_MKDIR, .path = "c"},
               FILE_OF("a/f", 100, 31),
               FILE_OF("a/b/g", 200, 32),
               FILE_OF("c/h", 300, 33)},
     .steps = {{STEP_RENAME, .path = "a/b", .to = "c/b"},
               {STEP_RENAME, .path = "a", .to = "d"},
               {STEP_RENAME, .path = "c", .to = "a"},
               {STEP_RENAME, .path = "a/b/g", .to = "d/g"},
               {STEP_SYNC_WRITE, .path = "d/f", .off = 50, .len = 100, .value = 34},
               {STEP_RENAME, .path = "d", .to = "c"},
               {STEP_RENAME, .path = "a/b", .to = "c/b"}}},
    {"swap",
     .setup = {FILE_OF("1", 100, 35),
               FILE_OF("2", 200, 36),
               {STEP_MKDIR, .path = "x"},
               FILE_OF("x/f", 10, 37),
               {STEP_MKDIR, .path = "y"},
               FILE_OF("y/f", 20, 38)},
     .steps = {{STEP_RENAME, .path = "1", .to = "t"},
               {STEP_RENAME, .path = "2", .to = "1"},
               {STEP_RENAME, .path = "t", .to = "2"},
               {STEP_RENAME, .path = "x", .to = "t"},
               {STEP_RENAME, .path = "y", .to = "x"},
               {STEP_RENAME, .path = "t", .to = "y"}}},
    {"exchange",
     .setup = {FILE_OF("1", 100, 135),
               FILE_OF("2", 200, 136),
               {STEP_MKDIR, .path = "x"},
               FILE_OF("x/f", 10, 137),
               {STEP_MKDIR, .path = "y"},
               FILE_OF("y/f", 20, 138)},
     .steps = {{STEP_EXCHANGE, .path = "1", .to = "2"},
               {STEP_EXCHANGE, .path = "x", .to = "y"},
               {STEP_SYNC_WRITE, .path = "1", .off = 5, .len = 5, .value = 139},
               {STEP_EXCHANGE, .path = "x", .to = "2"},
               {STEP_EXCHANGE, .path = "2/f", .to = "1"}}},
    {"open", /* what a client has open is removed, and its name is used again */
     .setup = {FILE_OF("o", KB(3), 140), {STEP_MKDIR, .path = "d"}, FILE_OF("d/p", 30, 141)},
     .steps = {{STEP_REMOVE_OPEN, .path = "o"},
               FILE_OF("o", KB(4), 142),
               {STEP_REMOVE_OPEN, .path = "o"},
               {STEP_REMOVE_OPEN, .path = "d/p"},
               {STEP_RMDIR, .path = "d"},
               FILE_OF("d", 40, 143)}},
    {"zeros-and-copies", .setup = {FILE_OF("c", KB(300), 150), FILE_OF("z", KB(20), 151)},
     .steps = {{STEP_PUNCH, .path = "z", .off = KB(3), .len = KB(9)},
               {STEP_CREATE, .path = "c1"},
               {STEP_COPY, .path = "c1", .to = "c"},
               {STEP_PUNCH, .path = "c1", .off = KB(1), .len = KB(400)},
               {STEP_COPY, .path = "z", .to = "c"},
               {STEP_CREATE, .path = "c2"},
               {STEP_COPY, .path = "c2", .to = "c"},
               {STEP_RENAME, .path = "c2", .to = "c"}}},
    {"save", /* as editors do it; and a file that a client holds open while its name goes on */
     .setup = {FILE_OF("doc", KB(3), 39)},
     .steps = {FILE_OF("doc~", KB(4), 40),
               {STEP_RENAME, .path = "doc", .to = ".nfs01"},
               {STEP_RENAME, .path = "doc~", .to = "doc"},
               {STEP_SYNC_WRITE, .path = ".nfs01", .off = KB(3), .len = 10, .value = 41},
               FILE_OF("doc~", KB(5), 42),
               {STEP_RENAME, .path = "doc~", .to = "doc"},
               {STEP_REMOVE, .path = ".nfs01"}}},
    {"kinds", /* one name, now a file, now a directory */
     .setup = {FILE_OF("n", 100, 43), {STEP_MKDIR, .path = "m"}, FILE_OF("m/f", 10, 44)},
     .steps = {{STEP_REMOVE, .path = "n"},
               {STEP_MKDIR, .path = "n"},
               FILE_OF("n/f", 20, 45),
               {STEP_REMOVE, .path = "m/f"},
               {STEP_RMDIR, .path = "m"},
               FILE_OF("m", 30, 46),
               {STEP_RENAME, .path = "n", .to = "o"},
               {STEP_RENAME, .path = "m", .to = "n"}}},
    {0},
};

uint64_t sweep_unit;

static uint64_t scaled(uint64_t bytes)
{
    return bytes >> 40 ? (bytes >> 40) * sweep_unit : bytes;
}

void sweep_scale(uint64_t unit)
{
    sweep_unit = unit;
    for (struct scenario *s = sweep_scenarios; s->name; s++) {
        for (struct step *step = s->setup; step->op != STEP_END; step++) {
            step->off = scaled(step->off);
            step->len = scaled(step->len);
        }
        for (struct step *step = s->steps; step->op != STEP_END; step++) {
            step->off = scaled(step->off);
            step->len = scaled(step->len);
        }
    }
}
