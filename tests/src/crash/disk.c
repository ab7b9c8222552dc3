/*
 * A disk that is full, or slow, for one process.
 *
 * Loaded into a node with LD_PRELOAD. Calls that make or write files below the folder WEIR_DISK_FOLDER fail with ENOSPC,
 * or take long, as the first words of the file WEIR_DISK_CONTROL say, which is shared memory: it is changed while the
 * process runs, and counts what was done to it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    uint64_t full;        /* not 0: there is no room */
    uint64_t slow_micros; /* how long each call takes */
    uint64_t refused;     /* calls that failed for want of room */
    uint64_t torn;        /* writes that were cut short for want of room */
    uint64_t delayed;     /* calls that took long */
};

static struct control *control;
static const char *folder;
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WEIR_DISK_CONTROL");
    folder = getenv("WEIR_DISK_FOLDER");
    if (!path || !folder) return;
    folder_length = strlen(folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) control = mapped;
}

static int below(const char *path) {
    return path && strncmp(path, folder, folder_length) == 0 && path[folder_length] == '/';
}

static int has_fault(void) {
    return control && (__atomic_load_n(&control->full, __ATOMIC_RELAXED) ||
                       __atomic_load_n(&control->slow_micros, __ATOMIC_RELAXED));
}

/* 0: go on; -1: fail, with errno set. */
static int pass(void) {
    uint64_t slow = __atomic_load_n(&control->slow_micros, __ATOMIC_RELAXED);
    if (slow) {
        __atomic_fetch_add(&control->delayed, 1, __ATOMIC_RELAXED);
        usleep(slow);
    }
    if (!__atomic_load_n(&control->full, __ATOMIC_RELAXED)) return 0;
    __atomic_fetch_add(&control->refused, 1, __ATOMIC_RELAXED);
    errno = ENOSPC;
    return -1;
}

static int pass_path(const char *path) { return has_fault() && below(path) ? pass() : 0; }

static int is_below(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int pass_fd(int fd) { return has_fault() && is_below(fd) ? pass() : 0; }

/* A disk that fills up takes what still fits: every other long write is cut short, and the next one fails. */
static int is_torn(int fd, size_t length) {
    static uint64_t turns;
    if (!control || length < 2 || !__atomic_load_n(&control->full, __ATOMIC_RELAXED) || !is_below(fd)) return 0;
    if (__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED) % 2) return 0;
    __atomic_fetch_add(&control->torn, 1, __ATOMIC_RELAXED);
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static mode_t mode_of(int flags, va_list rest) {
    /* O_TMPFILE is several bits, and one of them alone is O_DIRECTORY, which comes without a mode. */
    int has_mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name)                                                       \
    int name(const char *path, int flags, ...) {                          \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = mode_of(flags, rest);                               \
        va_end(rest);                                                     \
        if ((flags & O_CREAT) && pass_path(path)) return -1;              \
        return NEXT(name)(path, flags, mode);                             \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                    \
    int name(int at, const char *path, int flags, ...) {                  \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = mode_of(flags, rest);                               \
        va_end(rest);                                                     \
        if ((flags & O_CREAT) && pass_path(path)) return -1;              \
        return NEXT(name)(at, path, flags, mode);                         \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

ssize_t write(int fd, const void *bytes, size_t length) {
    if (is_torn(fd, length)) return NEXT(write)(fd, bytes, length / 2);
    return pass_fd(fd) ? -1 : NEXT(write)(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return pass_fd(fd) ? -1 : NEXT(writev)(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return pass_fd(fd) ? -1 : NEXT(pwrite64)(fd, bytes, length, offset);
}

int fsync(int fd) { return pass_fd(fd) ? -1 : NEXT(fsync)(fd); }

int fdatasync(int fd) { return pass_fd(fd) ? -1 : NEXT(fdatasync)(fd); }

int link(const char *from, const char *to) { return pass_path(to) ? -1 : NEXT(link)(from, to); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    return pass_path(to) ? -1 : NEXT(linkat)(from_at, from, to_at, to, flags);
}

int rename(const char *from, const char *to) { return pass_path(to) ? -1 : NEXT(rename)(from, to); }

int mkdir(const char *path, mode_t mode) { return pass_path(path) ? -1 : NEXT(mkdir)(path, mode); }
