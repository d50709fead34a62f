/* Preloaded: adds an error to this process's CLOCK_REALTIME. $FALSE_CLOCK names a file that holds
   the error, int64 nanoseconds. Everything else in the process sees the same clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *error_ns;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FALSE_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *error_ns, PROT_READ, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED)
            error_ns = page;
        close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result;

    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    result = real(clock, now);
    if (result == 0 && error_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + *error_ns;
        now->tv_sec = ns / 1000000000;
        now->tv_nsec = ns % 1000000000;
        if (now->tv_nsec < 0) {
            now->tv_nsec += 1000000000;
            now->tv_sec -= 1;
        }
    }
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);

    (void)zone;
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now)
{
    struct timespec spec;

    clock_gettime(CLOCK_REALTIME, &spec);
    if (now)
        *now = spec.tv_sec;
    return spec.tv_sec;
}

/* The kernel has the true clock: deadlines by the false one must be given back. */

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static struct timespec true_deadline(const struct timespec *deadline, int is_realtime)
{
    struct timespec now, steady, result = *deadline;
    int64_t ns = ns_of(deadline);

    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    if (!is_realtime)
        is_realtime = llabs(ns - ns_of(&now)) < llabs(ns - ns_of(&steady));
    if (is_realtime && error_ns) {
        ns -= *error_ns;
        result.tv_sec = ns / 1000000000;
        result.tv_nsec = ns % 1000000000;
    }
    return result;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *deadline)
{
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec until = true_deadline(deadline, 0);

    if (!wait)
        wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!wait)
        wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return wait(condition, mutex, &until);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *deadline)
{
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec until = *deadline;

    if (clock == CLOCK_REALTIME)
        until = true_deadline(deadline, 1);
    if (!wait)
        wait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    return wait(condition, mutex, clock, &until);
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *deadline)
{
    static int (*lock)(pthread_mutex_t *, const struct timespec *);
    struct timespec until = true_deadline(deadline, 1);

    if (!lock)
        lock = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    return lock(mutex, &until);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline)
{
    static int (*wait)(sem_t *, const struct timespec *);
    struct timespec until = true_deadline(deadline, 1);

    if (!wait)
        wait = dlsym(RTLD_NEXT, "sem_timedwait");
    return wait(semaphore, &until);
}
