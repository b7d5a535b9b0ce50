/* Preloaded: refuses system calls for all paths under one folder, as network and FUSE volumes do.

   REFUSE_UNDER   the folder
   REFUSE         NAME=ERRNO pairs with blanks between: flock, lock (fcntl), fsync, syncfs, chmod, utime, write, link
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utime.h>

static int refused(const char *call)
{
    const char *at = getenv("REFUSE");
    size_t length = strlen(call);
    while (at && *at) {
        if (!strncmp(at, call, length) && at[length] == '=') {
            return atoi(at + length + 1);
        }
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return 0;
}

static int is_under(const char *path)
{
    const char *folder = getenv("REFUSE_UNDER");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int fd_is_under(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_under(path);
}

static int at_is_under(int dirfd, const char *name)
{
    char path[PATH_MAX * 2], base[PATH_MAX];
    if (!name) return fd_is_under(dirfd);
    if (name[0] == '/') return is_under(name);
    if (dirfd == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length < 0) return 0;
        base[length] = 0;
    }
    snprintf(path, sizeof path, "%s/%s", base, name);
    return is_under(path);
}

#define REFUSE(call, under) do { int no = refused(call); if (no && (under)) { errno = no; return -1; } } while (0)
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

int flock(int fd, int how) { REFUSE("flock", fd_is_under(fd)); return REAL(flock)(fd, how); }
int fsync(int fd) { REFUSE("fsync", fd_is_under(fd)); return REAL(fsync)(fd); }
int fdatasync(int fd) { REFUSE("fsync", fd_is_under(fd)); return REAL(fdatasync)(fd); }
int syncfs(int fd) { REFUSE("syncfs", fd_is_under(fd)); return REAL(syncfs)(fd); }

static int lock_is_refused(int fd, int what)
{
    return (what == F_SETLK || what == F_SETLKW || what == F_OFD_SETLK || what == F_OFD_SETLKW)
        && refused("lock") && fd_is_under(fd);
}
#define FCNTL(name) int name(int fd, int what, ...) { \
    va_list more; va_start(more, what); void *argument = va_arg(more, void *); va_end(more); \
    if (lock_is_refused(fd, what)) { errno = refused("lock"); return -1; } \
    return ((int (*)(int, int, ...)) dlsym(RTLD_NEXT, #name))(fd, what, argument); }
FCNTL(fcntl)
FCNTL(fcntl64)

int link(const char *from, const char *to)
{ REFUSE("link", at_is_under(AT_FDCWD, to)); return REAL(link)(from, to); }
int linkat(int from, const char *source, int to, const char *name, int flags)
{ REFUSE("link", at_is_under(to, name)); return REAL(linkat)(from, source, to, name, flags); }

int chmod(const char *path, mode_t mode)
{ REFUSE("chmod", at_is_under(AT_FDCWD, path)); return REAL(chmod)(path, mode); }
int lchmod(const char *path, mode_t mode)
{ REFUSE("chmod", at_is_under(AT_FDCWD, path)); return REAL(lchmod)(path, mode); }
int fchmod(int fd, mode_t mode) { REFUSE("chmod", fd_is_under(fd)); return REAL(fchmod)(fd, mode); }
int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{ REFUSE("chmod", at_is_under(dirfd, path)); return REAL(fchmodat)(dirfd, path, mode, flags); }

int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{ REFUSE("utime", at_is_under(dirfd, path)); return REAL(utimensat)(dirfd, path, times, flags); }
int futimens(int fd, const struct timespec times[2])
{ REFUSE("utime", fd_is_under(fd)); return REAL(futimens)(fd, times); }
int utimes(const char *path, const struct timeval times[2])
{ REFUSE("utime", at_is_under(AT_FDCWD, path)); return REAL(utimes)(path, times); }
int lutimes(const char *path, const struct timeval times[2])
{ REFUSE("utime", at_is_under(AT_FDCWD, path)); return REAL(lutimes)(path, times); }
int utime(const char *path, const struct utimbuf *times)
{ REFUSE("utime", at_is_under(AT_FDCWD, path)); return REAL(utime)(path, times); }

ssize_t write(int fd, const void *data, size_t size)
{ REFUSE("write", fd_is_under(fd)); return REAL(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count)
{ REFUSE("write", fd_is_under(fd)); return REAL(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{ REFUSE("write", fd_is_under(fd)); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{ REFUSE("write", fd_is_under(fd)); return REAL(pwrite64)(fd, data, size, at); }
