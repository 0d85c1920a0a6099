/* Loaded before libc (LD_PRELOAD): a wall clock that is wrong, and death at the k-th call that changes a file.
 *
 * SHIM_CLOCK_SECONDS   added to the wall clock of the process; the monotonic clock is left alone
 * shim_arm(k)          end the process with status 9 at the k-th side (before, after) of such a call
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by;
static long left;

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("SHIM_CLOCK_SECONDS");
    wrong_by = given ? atol(given) : 0;
}

void shim_arm(long point) { left = point; }

static void pass_by(void) {
    if (left > 0 && --left == 0) _exit(9);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define AROUND(type, name, parameters, arguments) \
    type name parameters {                        \
        REAL(name);                               \
        pass_by();                                \
        type answer = real arguments;             \
        pass_by();                                \
        return answer;                            \
    }

AROUND(int, fsync, (int fd), (fd))
AROUND(int, fdatasync, (int fd), (fd))
AROUND(int, ftruncate, (int fd, off_t n), (fd, n))
AROUND(int, ftruncate64, (int fd, off64_t n), (fd, n))
AROUND(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
AROUND(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
AROUND(int, rename, (const char *from, const char *to), (from, to))
AROUND(int, unlink, (const char *path), (path))

/* Only on files: a pipe to the parent is no part of what must survive. */
ssize_t write(int fd, const void *p, size_t n) {
    REAL(write);
    struct stat what;
    int counts = left > 0 && fstat(fd, &what) == 0 && S_ISREG(what.st_mode);
    if (counts) pass_by();
    ssize_t answer = real(fd, p, n);
    if (counts) pass_by();
    return answer;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    REAL(clock_gettime);
    int answer = real(which, now);
    if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) now->tv_sec += wrong_by;
    return answer;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    now->tv_sec = real.tv_sec;
    now->tv_usec = real.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    if (where) *where = real.tv_sec;
    return real.tv_sec;
}
