/* What leaves holes or moves ranges: fallocate, lseek, copy_file_range. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/exercise/exercise.h"

/* NFSv3 has no such requests; elsewhere refusing is a fault. */
static bool holes_refused(struct exercise_worker *w, int err)
{
    return w->config->lacking && (err == EOPNOTSUPP || err == EINVAL || err == EXDEV);
}

/* True if it was done. */
static bool holes_fallocate(struct exercise_worker *w, struct exercise_file *f, int mode,
                            size_t off, size_t len)
{
    exercise_note(w, "fallocate %s mode %d at %zu len %zu size %zu", f->path, mode, off, len,
                  f->size);
    if (fallocate(f->fd, mode, (off_t)off, (off_t)len) == 0)
        return true;
    if (!holes_refused(w, errno))
        exercise_wrong(w, "fallocate: %s", strerrordesc_np(errno));
    return false;
}

void exercise_punch(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len)
{
    if (holes_fallocate(w, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) &&
        off < f->size)
        memset(f->bytes + off, 0, f->size - off < len ? f->size - off : len);
}

void exercise_zero(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len)
{
    bool keep = exercise_random(w, 2);

    if (!holes_fallocate(w, f, FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), off, len))
        return;
    if (!keep && off + len > f->size)
        f->size = off + len;
    if (off < f->size)
        memset(f->bytes + off, 0, f->size - off < len ? f->size - off : len);
}

void exercise_allocate(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len)
{
    bool keep = exercise_random(w, 2);

    if (holes_fallocate(w, f, keep ? FALLOC_FL_KEEP_SIZE : 0, off, len) && !keep &&
        off + len > f->size)
        f->size = off + len;
}

/* What lseek calls a hole must be zeros; where it finds data need not be other than zero. */
void exercise_seek(struct exercise_worker *w, struct exercise_file *f, size_t off)
{
    if (off >= f->size)
        return;
    exercise_note(w, "seek %s from %zu size %zu", f->path, off, f->size);
    off_t data = lseek(f->fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        if (!holes_refused(w, errno))
            exercise_wrong(w, "SEEK_DATA: %s", strerrordesc_np(errno));
        return;
    }
    size_t end = data < 0 ? f->size : (size_t)data;
    if (end < off || end > f->size)
        exercise_wrong(w, "SEEK_DATA gave %zu", end);
    for (size_t i = off; i < end; i++)
        if (f->bytes[i])
            exercise_wrong(w, "%s: SEEK_DATA skipped byte %zu", f->path, i);
    off_t hole = lseek(f->fd, (off_t)off, SEEK_HOLE);
    if (hole < (off_t)off || hole > (off_t)f->size)
        exercise_wrong(w, "SEEK_HOLE gave %lld", (long long)hole);
}

void exercise_copy(struct exercise_worker *w, struct exercise_file *from, struct exercise_file *to)
{
    bool whole = exercise_random(w, 3) == 0;
    size_t at = whole ? 0 : exercise_random(w, from->size);
    size_t len = whole ? from->size : exercise_random(w, 4UL * EXERCISE_IO_MAX);
    off_t in = (off_t)at, out = whole ? 0 : (off_t)exercise_random(w, w->config->file_max / 2);

    if (len > w->config->file_max - (size_t)out)
        len = w->config->file_max - (size_t)out;
    exercise_note(w, "copy %s at %zu to %s at %lld len %zu", from->path, at, to->path,
                  (long long)out, len);
    ssize_t n = copy_file_range(from->fd, &in, to->fd, &out, len, 0);
    if (n < 0 && holes_refused(w, errno))
        return;
    if (n < 0 || (size_t)n > len || (n == 0 && len > 0 && at < from->size))
        exercise_wrong(w, "copy_file_range gave %zd: %s", n, n < 0 ? strerrordesc_np(errno) : "");
    size_t end = (size_t)out; /* the kernel moved it on */
    memcpy(to->bytes + end - (size_t)n, from->bytes + at, (size_t)n);
    if (n > 0 && end > to->size)
        to->size = end;
}
