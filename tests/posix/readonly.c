/* A mount that is read-only: every change is EROFS, all else works. DIRECTORY holds file ("text",
 * 0666), dir with another file in it, and link to file. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/statvfs.h>

void posix_read_only(void)
{
    struct statvfs fs;
    struct stat st;

    ERR(EROFS, open("file", O_WRONLY));
    ERR(EROFS, open("file", O_RDWR));
    ERR(EROFS, open("file", O_RDONLY | O_TRUNC));
    ERR(EROFS, open("new", O_CREAT | O_RDONLY, 0644));
    ERR(EROFS, open("dir/new", O_CREAT | O_EXCL | O_WRONLY, 0644));
    ERR(EEXIST, open("file", O_CREAT | O_EXCL | O_WRONLY, 0644));
    ERR(EROFS, truncate("file", 0));
    ERR(EROFS, mkdir("new", 0755));
    ERR(EEXIST, mkdir("dir", 0755));
    ERR(EROFS, rmdir("dir"));
    ERR(EROFS, unlink("file"));
    ERR(EROFS, rename("file", "new"));
    ERR(EROFS, rename("dir", "new"));
    ERR(EROFS, symlink("x", "new"));
    ERR(EROFS, link("file", "new"));
    ERR(EROFS, mknod("new", S_IFREG | 0644, 0));
    ERR(EROFS, chmod("file", 0600));
    ERR(EROFS, chown("file", 0, 0));
    ERR(EROFS, lchown("link", 0, 0));
    ERR(EROFS, utimensat(AT_FDCWD, "file", NULL, 0));
    ERR(EROFS, access("file", W_OK));
    ERR(EROFS, access("dir", W_OK));
    ERR(ENOENT, open("nothing", O_WRONLY));
    OK(access("file", R_OK));
    OK(stat("dir", &st));
    TRUE(holds("file", "text"));
    TRUE(holds("link", "text"));
    int fd = OK(open("file", O_RDONLY));
    ERR(EROFS, fchmod(fd, 0600));
    OK(close(fd));
    OK(statvfs(".", &fs));
    TRUE(fs.f_flag & ST_RDONLY);
    DIR *d = opendir("dir");
    NEED(d);
    int names = 0;
    while (readdir(d))
        names++;
    EQ(3, names);
    closedir(d);
}
