// Copyright 2026 FDR Recorder maintainers
//
// Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
// in compliance with the License. You may obtain a copy of the License at
//     http://www.apache.org/licenses/LICENSE-2.0
// Unless required by applicable law or agreed to in writing, software distributed under the License
// is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
// or implied. See the License for the specific language governing permissions and limitations under
// the License.


// A network that comes up late, or is slow, for one process: preloaded before the C library
// (LD_PRELOAD).
//
// For the first $FDR_NETWORK_AFTER_MS milliseconds from the first message that the process sends
// over UDP, what it sends is lost, and so is what was sent to it: it looks sent, and never arrives.
//
// Each of the first fifty messages that it sends over UDP leaves after $FDR_SEND_TAKES_MS.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

static int is_udp(int fd)
{
  int type = 0, domain = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_DGRAM) return 0;
  size = sizeof(domain);
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET;
}

static int is_down(int fd)
{
  static long long first_ms;
  struct timespec now;
  const char *after = getenv("FDR_NETWORK_AFTER_MS");
  if (after == NULL || !is_udp(fd)) return 0;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  if (first_ms == 0) first_ms = now_ms;
  return now_ms < first_ms + atoll(after);
}

static void be_slow(int fd)
{
  static int sent;
  const char *takes = getenv("FDR_SEND_TAKES_MS");
  if (takes != NULL && sent < 50 && is_udp(fd)) {
    sent++;
    struct timespec pause = {0, atoll(takes) * 1000000};
    nanosleep(&pause, NULL);
  }
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
  static ssize_t (*real)(int, const struct msghdr *, int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "sendmsg");
  be_slow(fd);
  if (!is_down(fd)) return real(fd, message, flags);
  ssize_t size = 0;
  for (size_t part = 0; part < message->msg_iovlen; part++) size += message->msg_iov[part].iov_len;
  return size;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
               socklen_t length)
{
  static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "sendto");
  be_slow(fd);
  return is_down(fd) ? (ssize_t)size : real(fd, data, size, flags, to, length);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
  static ssize_t (*real)(int, struct msghdr *, int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "recvmsg");
  for (;;) {
    ssize_t size = real(fd, message, flags);
    if (size < 0 || !is_down(fd)) return size;
  }
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from,
                 socklen_t *length)
{
  static ssize_t (*real)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
  if (real == NULL) real = dlsym(RTLD_NEXT, "recvfrom");
  for (;;) {
    ssize_t got = real(fd, data, size, flags, from, length);
    if (got < 0 || !is_down(fd)) return got;
  }
}
