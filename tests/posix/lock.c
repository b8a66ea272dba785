/* flock(2) and fcntl(2) locks between processes. */
#include "tests/posix/posix.h"

#include <sys/file.h>
#include <sys/wait.h>

/* A child does one thing with the file and exits with what became of it. */
static int ask(void (*fn)(void *arg), int what)
{
    return in_child(fn, (void *)(intptr_t)what);
}

static void try_flock(void *arg)
{
    int fd = open("file", O_RDWR);

    _exit(flock(fd, (int)(intptr_t)arg | LOCK_NB) == 0 ? 0 : errno);
}

/* An NFS client that has no lock manager to talk to says so. */
static void need_locks(int got)
{
    if (got == -1 && posix_mode == NFS && (errno == ENOLCK || errno == EOPNOTSUPP))
        posix_skip("no locks on this mount");
}

CASE(lock_flock)
{
    make_file("file", "x", 0644);
    int fd = OK(open("file", O_RDWR)), dup_fd = OK(dup(fd));
    int got = flock(fd, LOCK_EX);
    need_locks(got);
    EQ(0, got);
    EQ(EWOULDBLOCK, ask(try_flock, LOCK_EX));
    EQ(EWOULDBLOCK, ask(try_flock, LOCK_SH));
    OK(flock(dup_fd, LOCK_SH)); /* the same open file: converted */
    EQ(0, ask(try_flock, LOCK_SH));
    EQ(EWOULDBLOCK, ask(try_flock, LOCK_EX));
    OK(close(dup_fd)); /* still open */
    EQ(EWOULDBLOCK, ask(try_flock, LOCK_EX));
    OK(flock(fd, LOCK_UN));
    EQ(0, ask(try_flock, LOCK_EX));
    OK(flock(fd, LOCK_EX));
    OK(close(fd)); /* which unlocks */
    EQ(0, ask(try_flock, LOCK_EX));
    fd = OK(open("file", O_RDWR));
    ERR(EINVAL, flock(fd, 0));
    OK(close(fd));
    ERR(EBADF, flock(fd, LOCK_SH));
}

static int set_lock(int fd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, F_SETLK, &l);
}

static void try_write_lock(void *arg)
{
    int fd = open("file", O_RDWR);

    _exit(set_lock(fd, F_WRLCK, (intptr_t)arg, 1) == 0 ? 0 : errno);
}

static void try_read_lock(void *arg)
{
    int fd = open("file", O_RDWR);

    _exit(set_lock(fd, F_RDLCK, (intptr_t)arg, 1) == 0 ? 0 : errno);
}

static bool refused(int got)
{
    return got == EAGAIN || got == EACCES; /* POSIX allows both */
}

CASE(lock_fcntl)
{
    make_file("file", "x", 0644);
    int fd = OK(open("file", O_RDWR)), again = OK(open("file", O_RDWR));
    int got = set_lock(fd, F_WRLCK, 10, 10);
    need_locks(got);
    EQ(0, got);
    EQ(0, ask(try_write_lock, 9));
    TRUE(refused(ask(try_write_lock, 10)));
    TRUE(refused(ask(try_write_lock, 19)));
    TRUE(refused(ask(try_read_lock, 15)));
    EQ(0, ask(try_write_lock, 20));
    OK(set_lock(again, F_RDLCK, 10, 5)); /* the same process: split and converted */
    EQ(0, ask(try_read_lock, 12));
    TRUE(refused(ask(try_write_lock, 12)));
    TRUE(refused(ask(try_read_lock, 15)));
    OK(set_lock(fd, F_UNLCK, 12, 1));
    EQ(0, ask(try_write_lock, 12));
    OK(close(again)); /* any close drops all of the process */
    EQ(0, ask(try_write_lock, 15));
    OK(set_lock(fd, F_WRLCK, 0, 0)); /* to the end, wherever that is */
    TRUE(refused(ask(try_write_lock, 1 << 30)));
    OK(close(fd));
    fd = OK(open("file", O_RDONLY));
    ERR(EBADF, set_lock(fd, F_WRLCK, 0, 1));
    ERR(EINVAL, set_lock(fd, F_RDLCK, -5, 1));
    OK(close(fd));
}

CASE(lock_tells_holder)
{
    make_file("file", "x", 0644);
    int fd = OK(open("file", O_RDWR)), ready[2], done[2];
    int got = set_lock(fd, F_WRLCK, 0, 1);
    need_locks(got);
    OK(set_lock(fd, F_UNLCK, 0, 1));
    NEED(pipe(ready) == 0 && pipe(done) == 0);
    pid_t pid = fork();
    char c;
    if (pid == 0) {
        int own = open("file", O_RDWR);
        NEED(set_lock(own, F_WRLCK, 5, 10) == 0 && write(ready[1], "x", 1) == 1);
        _exit(read(done[0], &c, 1) == 1 ? 0 : 1);
    }
    NEED(read(ready[0], &c, 1) == 1);
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    OK(fcntl(fd, F_GETLK, &l));
    EQ(F_WRLCK, l.l_type);
    EQ(5, l.l_start);
    EQ(10, l.l_len);
    EQ(pid, l.l_pid);
    NEED(write(done[1], "x", 1) == 1);
    int status;
    NEED(waitpid(pid, &status, 0) == pid && status == 0);
    /* It waits for a lock until the holder's end, and gets it. */
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    OK(fcntl(fd, F_SETLKW, &l));
    OK(close(fd));
}

enum { COUNT_TO = 50 };

/* Four processes count in a file, each under a lock: none of them loses a step. */
static void count_locked(void *arg)
{
    (void)arg;
    for (int i = 0; i < COUNT_TO; i++) {
        int fd = open("count", O_RDWR);
        char text[16] = "";
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fd < 0 || fcntl(fd, F_SETLKW, &l) != 0)
            _exit(1);
        if (pread(fd, text, sizeof(text) - 1, 0) < 0)
            _exit(2);
        int n = snprintf(text, sizeof(text), "%08ld", strtol(text, NULL, 10) + 1);
        if (pwrite(fd, text, (size_t)n, 0) != n || close(fd) != 0)
            _exit(3);
    }
    _exit(0);
}

CASE(lock_protects)
{
    char text[16] = "";

    make_file("file", "x", 0644);
    make_file("count", "00000000", 0644);
    int fd = OK(open("file", O_RDWR)), status;
    int got = set_lock(fd, F_WRLCK, 0, 1);
    need_locks(got);
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0)
            count_locked(NULL);
        NEED(pid > 0);
    }
    for (int i = 0; i < 4; i++) {
        NEED(wait(&status) > 0);
        EQ(0, status);
    }
    OK(close(fd));
    fd = OK(open("count", O_RDONLY));
    EQ(8, read(fd, text, sizeof(text)));
    EQ(4 * COUNT_TO, strtol(text, NULL, 10));
    OK(close(fd));
}

static void try_open_lock(void *arg)
{
    int fd = open("file", O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    (void)arg;
    _exit(fcntl(fd, F_OFD_SETLK, &l) == 0 ? 0 : errno);
}

CASE(lock_of_open_file)
{
    make_file("file", "x", 0644);
    int fd = OK(open("file", O_RDWR)), other = OK(open("file", O_RDWR));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int got = fcntl(fd, F_OFD_SETLK, &l);
    need_locks(got);
    EQ(0, got);
    ERR(EAGAIN, fcntl(other, F_OFD_SETLK, &l)); /* even in the same process */
    OK(close(other));                           /* does not unlock fd's */
    EQ(EAGAIN, ask(try_open_lock, 0));
    OK(close(fd));
    EQ(0, ask(try_open_lock, 0));
}
