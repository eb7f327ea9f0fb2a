#include "own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int own_fd(int fd) {
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), reason = errno;
    close(fd);
    errno = reason;
    return higher;
}
