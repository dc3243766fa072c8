/*
 * steady SECONDS [log]: watches, for so many seconds of the guest's own time or until SIGTERM, what a guest may rely on while it is saved, restored
 * and moved: vector registers keep their values across system calls, clocks never go back and do not run apart, timers fire as often as they should.
 * With "log" it prints "clock NUMBER MONOTONIC REALTIME" every 20 ms, in nanoseconds, for somebody with a clock of his own.
 * "steady clocks" prints such a line and does nothing else.
 * Ends with "steady: checks=N errors=N elapsed_ms=N tsc_apart_us=N realtime_apart_us=N timer_apart_us=N clocksource=NAME registers=ymm|xmm".
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 10000000
#define MAX_SAMPLES 1000000

static _Atomic uint64_t checks, errors;
static _Atomic int stop;
static volatile sig_atomic_t ended;

static void end_early(int number)
{
    (void)number;
    ended = 1;
}

static void check(int good, const char *what, int64_t a, int64_t b)
{
    atomic_fetch_add(&checks, 1);
    if (!good && atomic_fetch_add(&errors, 1) < 20) {
        printf("steady: ERROR %s: %" PRId64 " %" PRId64 "\n", what, a, b);
        fflush(stdout);
    }
}

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static uint64_t tsc(void)
{
    uint32_t low, high;

    asm volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Sixteen vector registers with a pattern of their own before a system call have it afterwards. */
static void hold_vectors(uint64_t round, long number, long argument)
{
    static __thread uint64_t before[64] __attribute__((aligned(32))), after[64] __attribute__((aligned(32)));
    int avx = __builtin_cpu_supports("avx");

    for (int i = 0; i < 64; i++)
        before[i] = round * 0x9e3779b97f4a7c15u + (uint64_t)i * 0x0101010101010101u;
    memset(after, 0, sizeof after);
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)
#define LOAD_YMM(n) "vmovdqa 32*" #n "(%[b]), %%ymm" #n "\n"
#define STORE_YMM(n) "vmovdqa %%ymm" #n ", 32*" #n "(%[a])\n"
#define LOAD_XMM(n) "movdqa 32*" #n "(%[b]), %%xmm" #n "\n"
#define STORE_XMM(n) "movdqa %%xmm" #n ", 32*" #n "(%[a])\n"
#define CLOBBERS "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
    long result;
    if (avx)
        asm volatile(EACH(LOAD_YMM) "syscall\n" EACH(STORE_YMM) "vzeroupper" : "=a"(result)
                     : "a"(number), "D"(argument), "S"(0), [b] "r"(before), [a] "r"(after) : CLOBBERS);
    else
        asm volatile(EACH(LOAD_XMM) "syscall\n" EACH(STORE_XMM) : "=a"(result)
                     : "a"(number), "D"(argument), "S"(0), [b] "r"(before), [a] "r"(after) : CLOBBERS);
    for (int i = 0; i < 64; i++)
        if (avx || i % 4 < 2)
            check(before[i] == after[i], "vector register", (int64_t)before[i], (int64_t)after[i]);
}

static void *vectors(void *unused)
{
    struct timespec pause = { 0, 2000000 };

    (void)unused;
    for (uint64_t round = 1; !stop; round++) {
        hold_vectors(round, SYS_getppid, 0);
        hold_vectors(~round, SYS_nanosleep, (long)&pause);
        hold_vectors(round << 32, SYS_sched_yield, 0);
    }
    return NULL;
}

/* Where the kernel itself does not trust the TSC, as on hosts whose own processors disagree about it, nothing is promised of it. */
static int watches_tsc;
static char clocksource[32];

static void find_clocksource(void)
{
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");

    if (file && fgets(clocksource, sizeof clocksource, file))
        clocksource[strcspn(clocksource, "\n")] = 0;
    if (file)
        fclose(file);
    watches_tsc = !strcmp(clocksource, "tsc");
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Whoever reads a clock after somebody else, on whatever processor, sees no earlier time. */
static void *order(void *unused)
{
    static int64_t last_monotonic, last_realtime;
    static uint64_t last_tsc;

    (void)unused;
    while (!stop) {
        pthread_mutex_lock(&mutex);
        uint64_t t = tsc();
        int64_t m = nanoseconds(CLOCK_MONOTONIC), r = nanoseconds(CLOCK_REALTIME);

        check(!watches_tsc || t >= last_tsc, "TSC went back", (int64_t)last_tsc, (int64_t)t);
        check(m >= last_monotonic, "monotonic clock went back", last_monotonic, m);
        check(r >= last_realtime, "wall clock went back", last_realtime, r);
        last_tsc = t, last_monotonic = m, last_realtime = r;
        pthread_mutex_unlock(&mutex);
        usleep(500);
    }
    return NULL;
}

static uint64_t expirations;

static void *timer(void *unused)
{
    struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);

    (void)unused;
    timerfd_settime(fd, 0, &period, NULL);
    int64_t start = nanoseconds(CLOCK_MONOTONIC), before, after;
    do {
        uint64_t count;

        before = nanoseconds(CLOCK_MONOTONIC);
        check(read(fd, &count, sizeof count) == sizeof count, "timerfd", 0, 0);
        after = nanoseconds(CLOCK_MONOTONIC);
        expirations += count;
    } while (!stop);

    /* As many as there were periods, whatever lay between two of them: the last read counted at an instant between the two clocks. */
    int64_t missing = (before - start) / PERIOD_NS - (int64_t)expirations;
    int64_t excess = (int64_t)expirations - (after - start) / PERIOD_NS;
    check(missing <= 1 && excess <= 1, "timer", missing, excess);
    return (void *)(intptr_t)(missing > 0 ? missing : 0);
}

int main(int argc, char **argv)
{
    static struct { uint64_t tsc; int64_t monotonic, realtime; } samples[MAX_SAMPLES];
    int64_t seconds = argc > 1 ? atoll(argv[1]) : 1, count = 0;
    int logs = argc > 2 && !strcmp(argv[2], "log");
    pthread_t threads[8];
    void *(*const work[])(void *) = { vectors, vectors, order, order, timer };
    const int workers = sizeof work / sizeof *work;
    void *timer_apart = NULL;

    if (argc > 1 && !strcmp(argv[1], "clocks")) {
        int64_t m = nanoseconds(CLOCK_MONOTONIC), r = nanoseconds(CLOCK_REALTIME);

        printf("clock 0 %" PRId64 " %" PRId64 "\n", m, r);
        return 0;
    }

    find_clocksource();
    /* System calls in all threads go on after it. */
    signal(SIGTERM, end_early);
    for (int i = 0; i < workers; i++)
        pthread_create(&threads[i], NULL, work[i], NULL);
    int64_t end = nanoseconds(CLOCK_MONOTONIC) + seconds * 1000000000ll;
    while (!ended && nanoseconds(CLOCK_MONOTONIC) < end && count < MAX_SAMPLES) {
        /* All three at one instant: the best of some readings. */
        uint64_t best = ~0ull;

        for (int i = 0; i < 8; i++) {
            uint64_t first = tsc();
            int64_t m = nanoseconds(CLOCK_MONOTONIC), r = nanoseconds(CLOCK_REALTIME);
            uint64_t last = tsc();

            if (last - first < best) {
                best = last - first;
                samples[count].tsc = first + best / 2;
                samples[count].monotonic = m;
                samples[count].realtime = r;
            }
        }
        if (logs) {
            printf("clock %" PRId64 " %" PRId64 " %" PRId64 "\n", count, samples[count].monotonic, samples[count].realtime);
            fflush(stdout);
        }
        count++;
        usleep(20000);
    }
    stop = 1;
    for (int i = 0; i < workers; i++)
        pthread_join(threads[i], i == workers - 1 ? &timer_apart : NULL);

    /* How far the others are from the line on which they would be if all ran evenly. */
    double elapsed = (double)(samples[count - 1].monotonic - samples[0].monotonic), cycles = (double)(samples[count - 1].tsc - samples[0].tsc);
    double tsc_apart = 0, realtime_apart = 0;

    for (int64_t i = 0; i < count; i++) {
        double m = (double)(samples[i].monotonic - samples[0].monotonic);
        double by_tsc = (double)(samples[i].tsc - samples[0].tsc) * elapsed / cycles;
        double r = (double)(samples[i].realtime - samples[0].realtime);

        if (watches_tsc && (m - by_tsc > tsc_apart || by_tsc - m > tsc_apart))
            tsc_apart = m > by_tsc ? m - by_tsc : by_tsc - m;
        if (m - r > realtime_apart || r - m > realtime_apart)
            realtime_apart = m > r ? m - r : r - m;
    }
    printf("steady: checks=%" PRIu64 " errors=%" PRIu64 " elapsed_ms=%.0f tsc_apart_us=%.0f realtime_apart_us=%.0f timer_apart_us=%" PRId64 " clocksource=%s registers=%s\n",
           checks, errors, elapsed / 1e6, tsc_apart / 1e3, realtime_apart / 1e3, (int64_t)(intptr_t)timer_apart * PERIOD_NS / 1000, clocksource,
           __builtin_cpu_supports("avx") ? "ymm" : "xmm");
    return errors != 0;
}
