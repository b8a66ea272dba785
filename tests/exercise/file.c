/* Writing, reading, mapping and cutting one file, and the same in memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/exercise/exercise.h"

enum { DIRECT_ALIGN = 4096 };

void exercise_file_open(struct exercise_worker *w, struct exercise_file *f, int more_flags)
{
    f->direct = w->config->direct && exercise_random(w, 5) == 0;
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | more_flags | (f->direct ? O_DIRECT : 0);

    exercise_note(w, "open %s flags %o", f->path, (unsigned)flags);
    f->fd = open(f->path, flags, 0644);
    if (f->fd < 0)
        exercise_wrong(w, "open: %s", strerrordesc_np(errno));
    if (more_flags & O_TRUNC) {
        memset(f->bytes, 0, f->size);
        f->size = 0;
    }
}

/* O_DIRECT wants whole blocks. */
static void file_align(const struct exercise_worker *w, const struct exercise_file *f, size_t *off,
                       size_t *len)
{
    if (!f->direct)
        return;
    *off -= *off % DIRECT_ALIGN;
    *len += DIRECT_ALIGN - 1;
    *len -= *len % DIRECT_ALIGN;
    while (*off + *len > w->config->file_max || *len > EXERCISE_IO_MAX)
        *len -= DIRECT_ALIGN;
}

void exercise_write(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len)
{
    file_align(w, f, &off, &len);
    if (len == 0)
        return;
    exercise_note(w, "write %s at %zu len %zu size %zu%s", f->path, off, len, f->size,
                  f->direct ? " direct" : "");
    exercise_fill(w, w->buf, len);
    ssize_t n = pwrite(f->fd, w->buf, len, (off_t)off);
    if (n != (ssize_t)len)
        exercise_wrong(w, "pwrite gave %zd: %s", n, n < 0 ? strerrordesc_np(errno) : "short");
    memcpy(f->bytes + off, w->buf, len);
    if (off + len > f->size)
        f->size = off + len;
}

void exercise_read(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len)
{
    file_align(w, f, &off, &len);
    exercise_note(w, "read %s at %zu len %zu size %zu%s", f->path, off, len, f->size,
                  f->direct ? " direct" : "");
    size_t want = off >= f->size ? 0 : f->size - off < len ? f->size - off : len;
    ssize_t n = pread(f->fd, w->buf, len, (off_t)off);
    if (n != (ssize_t)want)
        exercise_wrong(w, "pread gave %zd, not %zu: %s", n, want,
                       n < 0 ? strerrordesc_np(errno) : "short or long");
    exercise_compare(w, f->path, w->buf, f->bytes + off, off, want);
}

void exercise_map(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len,
                  bool write)
{
    if (f->direct || off >= f->size)
        return;
    if (len > f->size - off)
        len = f->size - off;
    exercise_note(w, "map %s at %zu len %zu size %zu %s", f->path, off, len, f->size,
                  write ? "write" : "read");
    uint8_t *map = mmap(NULL, f->size, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, f->fd, 0);
    if (map == MAP_FAILED)
        exercise_wrong(w, "mmap: %s", strerrordesc_np(errno));
    exercise_compare(w, f->path, map + off, f->bytes + off, off, len);
    if (write) {
        exercise_fill(w, f->bytes + off, len);
        memcpy(map + off, f->bytes + off, len);
        if (exercise_random(w, 2) && msync(map, f->size, MS_SYNC))
            exercise_wrong(w, "msync: %s", strerrordesc_np(errno));
    }
    if (munmap(map, f->size))
        exercise_wrong(w, "munmap: %s", strerrordesc_np(errno));
}

void exercise_truncate(struct exercise_worker *w, struct exercise_file *f, size_t size)
{
    bool by_path = !f->gone && exercise_random(w, 3) == 0;

    exercise_note(w, "truncate %s from %zu to %zu", f->path, f->size, size);
    if (by_path ? truncate(f->path, (off_t)size) : ftruncate(f->fd, (off_t)size))
        exercise_wrong(w, "truncate: %s", strerrordesc_np(errno));
    if (size < f->size)
        memset(f->bytes + size, 0, f->size - size);
    f->size = size;
}

void exercise_file_check(struct exercise_worker *w, struct exercise_file *f)
{
    struct stat st;

    if (fstat(f->fd, &st))
        exercise_wrong(w, "fstat: %s", strerrordesc_np(errno));
    if (st.st_size != (off_t)f->size)
        exercise_wrong(w, "%s has %lld bytes, not %zu", f->path, (long long)st.st_size, f->size);
    for (size_t off = 0; off < f->size; off += EXERCISE_IO_MAX / DIRECT_ALIGN * DIRECT_ALIGN)
        exercise_read(w, f, off, EXERCISE_IO_MAX / DIRECT_ALIGN * DIRECT_ALIGN);
}
