// Copyright 2026 FDR Recorder maintainers
//
// Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
// in compliance with the License. You may obtain a copy of the License at
//     http://www.apache.org/licenses/LICENSE-2.0
// Unless required by applicable law or agreed to in writing, software distributed under the License
// is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
// or implied. See the License for the specific language governing permissions and limitations under
// the License.


// A disk that does not answer, for one process: preloaded before the C library (LD_PRELOAD).
//
// Calls about files below $FDR_SLOW_ROOT that the file $FDR_SLOW_CALLS names ("write fsync", or
// "all") block until it no longer does, as in the kernel: without the interpreter's lock, deaf to
// signals that have a handler. "$FDR_SLOW_CALLS.reached" exists once a call has met this.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_named(const char *call)
{
  char text[256] = "";
  const char *control = getenv("FDR_SLOW_CALLS");
  if (control == NULL) return 0;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  long length = syscall(SYS_read, fd, text, sizeof(text) - 1);
  syscall(SYS_close, fd);
  if (length <= 0) return 0;
  for (char *rest = text, *word; (word = strsep(&rest, " \n")) != NULL;)
    if (strcmp(word, call) == 0 || strcmp(word, "all") == 0) return 1;
  return 0;
}

static int is_below(const char *path)
{
  const char *root = getenv("FDR_SLOW_ROOT");
  size_t length = root == NULL ? 0 : strlen(root);
  return length > 0 && path != NULL && strncmp(path, root, length) == 0 &&
         (path[length] == 0 || path[length] == '/');
}

static int is_below_fd(int fd)
{
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static void hang(const char *call)
{
  if (!is_named(call)) return;
  char reached[PATH_MAX];
  snprintf(reached, sizeof(reached), "%s.reached", getenv("FDR_SLOW_CALLS"));
  syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, reached, O_CREAT | O_WRONLY, 0600));
  while (is_named(call)) usleep(10000);
}

static void hang_at(int directory, const char *path, const char *call)
{
  if (path != NULL && path[0] == '/' ? is_below(path) : is_below_fd(directory)) hang(call);
}

#define REAL(result, name, parameters) \
  static result (*real)parameters; \
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name)

#define BY_FD(result, name, call, parameters, ...) \
  result name parameters \
  { \
    REAL(result, name, parameters); \
    if (is_below_fd(fd)) hang(call); \
    return real(__VA_ARGS__); \
  }

#define BY_PATH(result, name, call, parameters, ...) \
  result name parameters \
  { \
    REAL(result, name, parameters); \
    if (is_below(path)) hang(call); \
    return real(__VA_ARGS__); \
  }

#define BY_STREAM(result, name, parameters, ...) \
  result name parameters \
  { \
    REAL(result, name, parameters); \
    if (stream != NULL && is_below_fd(fileno(stream))) hang("write"); \
    return real(__VA_ARGS__); \
  }

BY_STREAM(size_t, fwrite, (const void *d, size_t s, size_t n, FILE *stream), d, s, n, stream)
BY_STREAM(int, fflush, (FILE *stream), stream)
BY_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), fd, data, size)
BY_FD(ssize_t, writev, "write", (int fd, const struct iovec *iov, int n), fd, iov, n)
BY_FD(ssize_t, pwrite64, "write", (int fd, const void *data, size_t n, off_t at), fd, data, n, at)
BY_FD(int, fsync, "fsync", (int fd), fd)
BY_FD(int, fdatasync, "fsync", (int fd), fd)
BY_FD(int, ftruncate64, "truncate", (int fd, off_t size), fd, size)
BY_FD(int, posix_fallocate64, "allocate", (int fd, off_t at, off_t size), fd, at, size)
BY_FD(int, close, "close", (int fd), fd)
BY_PATH(int, unlink, "unlink", (const char *path), path)
BY_PATH(int, mkdir, "mkdir", (const char *path, mode_t mode), path, mode)
BY_PATH(int, statvfs64, "statvfs", (const char *path, struct statvfs64 *status), path, status)
BY_PATH(int, statvfs, "statvfs", (const char *path, struct statvfs *status), path, status)
BY_FD(int, fstatvfs64, "statvfs", (int fd, struct statvfs64 *status), fd, status)
BY_FD(int, fstatvfs, "statvfs", (int fd, struct statvfs *status), fd, status)
BY_PATH(int, rename, "rename", (const char *path, const char *to), path, to)

int unlinkat(int directory, const char *path, int flags)
{
  REAL(int, unlinkat, (int, const char *, int));
  hang_at(directory, path, "unlink");
  return real(directory, path, flags);
}

int mkdirat(int directory, const char *path, mode_t mode)
{
  REAL(int, mkdirat, (int, const char *, mode_t));
  hang_at(directory, path, "mkdir");
  return real(directory, path, mode);
}

int renameat(int directory, const char *path, int to_directory, const char *to)
{
  REAL(int, renameat, (int, const char *, int, const char *));
  hang_at(directory, path, "rename");
  return real(directory, path, to_directory, to);
}

int open64(const char *path, int flags, ...)
{
  REAL(int, open64, (const char *, int, ...));
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  if (is_below(path)) hang("open");
  return real(path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...)
{
  REAL(int, openat64, (int, const char *, int, ...));
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  hang_at(directory, path, "open");
  return real(directory, path, flags, mode);
}
