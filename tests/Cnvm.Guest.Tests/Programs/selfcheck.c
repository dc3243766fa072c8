/*
 * selfcheck digests            one line "NAME DIGEST" for each computation: the same on every correct processor
 * selfcheck run SECONDS THREADS  repeats all computations in THREADS threads and compares each result with that of the first round,
 *                              beside checks of what the system does; ends with "selfcheck: checks=N errors=N rounds=N"
 *
 * Static, and without libm: its functions choose their instructions by the processor, and round differently with each choice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t checks, errors;
static volatile int sink;

static void check(int good, const char *what, uint64_t a, uint64_t b)
{
    atomic_fetch_add(&checks, 1);
    if (!good) {
        atomic_fetch_add(&errors, 1);
        printf("selfcheck: ERROR %s: %016" PRIx64 " %016" PRIx64 "\n", what, a, b);
        fflush(stdout);
    }
}

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
    digest ^= value;
    digest *= 0x100000001b3u;
    return digest ^ (digest >> 29);
}

static uint64_t mix_bytes(uint64_t digest, const void *data, size_t size)
{
    const unsigned char *p = data;
    while (size--)
        digest = mix(digest, *p++);
    return digest;
}

/* Patterns that find stuck, swapped and lost bits: walking ones, each word its own address, and random data moved about. */
static uint64_t memory_patterns(void)
{
    enum { words = 1 << 15 };
    uint64_t *a = malloc(words * 8), *b = malloc(words * 8 + 64);
    uint64_t digest = 1, state = 88172645463325252u;
    if (!a || !b)
        abort();
    for (int bit = 0; bit < 64; bit += 9) {
        for (int i = 0; i < words; i++)
            a[i] = 1ull << ((bit + i) & 63);
        for (int i = 0; i < words; i++)
            if (a[i] != 1ull << ((bit + i) & 63))
                check(0, "walking bit", i, a[i]);
    }
    for (int i = 0; i < words; i++)
        a[i] = (uint64_t)i * 0x9e3779b97f4a7c15u;
    for (int i = words - 1; i >= 0; i--)
        if (a[i] != (uint64_t)i * 0x9e3779b97f4a7c15u)
            check(0, "own address", i, a[i]);
    for (int i = 0; i < words; i++)
        a[i] = next(&state);
    for (int offset = 0; offset < 64; offset += 7) {
        memcpy((char *)b + offset, a, words * 8);
        check(memcmp((char *)b + offset, a, words * 8) == 0, "memcpy", offset, 0);
        memmove((char *)b + 64 - offset, (char *)b + offset, words * 8);
        digest = mix(digest, b[(offset * 131) % words + 8]);
        memset((char *)b + offset, offset, 1000 + offset);
        digest = mix_bytes(digest, (char *)b + offset, 1100);
    }
    size_t count = words * 8;
    void *from = a, *to = b;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    check(memcmp(a, b, words * 8) == 0, "rep movsb", 0, 0);
    free(a);
    free(b);
    return digest;
}

static uint64_t integers(void)
{
    uint64_t digest = 2, state = 0x123456789abcdefu;
    for (int i = 0; i < 20000; i++) {
        uint64_t a = next(&state), b = next(&state) | 1, s = next(&state) & 63;
        unsigned __int128 wide = (unsigned __int128)a * b;
        digest = mix(digest, (uint64_t)(wide >> 64) ^ (uint64_t)wide);
        check(wide / b == a && wide % b == 0, "128-bit division", a, b);
        digest = mix(digest, (uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64));
        digest = mix(digest, a / b + a % b + (uint64_t)((int64_t)a / ((int64_t)b | 1)));
        digest = mix(digest, (uint32_t)a / ((uint32_t)b | 1) + (uint16_t)a % ((uint16_t)b | 1) + (uint8_t)a / ((uint8_t)b | 1));
        digest = mix(digest, (a << s | a >> ((64 - s) & 63)) + ((int64_t)b >> s) + ((uint16_t)a << (s & 15)) + (int8_t)a);
        digest = mix(digest, (uint64_t)__builtin_clzll(b) * 3 + (uint64_t)__builtin_ctzll(b | 1ull << 63) + __builtin_bswap64(a));
        uint64_t carry;
        digest = mix(digest, __builtin_add_overflow(a, b, &carry) + carry + __builtin_sub_overflow((int32_t)a, (int32_t)b, (int32_t *)&carry));
        int less = (int64_t)a < (int64_t)b, below = a < b;
        digest = mix(digest, less * 2 + below);
    }
    return digest;
}

/* Doubles and floats in SSE registers: every operation here is exactly rounded by IEEE 754. */
static uint64_t floating_point(void)
{
    enum { n = 24 };
    static const double start[4] = {1.0 / 3, 2.0 / 7, -5.0 / 11, 1e-310};
    double a[n][n], b[n][n], c[n][n];
    float f[64];
    uint64_t digest = 3, state = 42;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i][j] = start[(i + j) & 3] * (double)(int64_t)next(&state);
            b[i][j] = (double)(next(&state) >> 11) / 9007199254740992.0;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double v = c[i][j], root = __builtin_sqrt(v < 0 ? -v : v);
            check(root * root - (v < 0 ? -v : v) <= root * root * 1e-14, "square root", (uint64_t)v, (uint64_t)root);
            v = v / (root + 1.0) - (double)(int32_t)(j * 3.7) + (double)(float)root;
            digest = mix_bytes(digest, &v, 8);
            f[(i * n + j) & 63] = (float)v * 1.25f - (float)i / (float)(j + 3);
        }
    return mix_bytes(digest, f, sizeof f);
}

/* 80-bit arithmetic on the x87 stack. */
static uint64_t long_doubles(void)
{
    uint64_t digest = 4, state = 7;
    long double sum = 0, product = 1;
    for (int i = 0; i < 3000; i++) {
        long double x = (long double)(int64_t)next(&state) / 3.0L, y = (long double)(uint32_t)next(&state) + 0.5L;
        sum = sum / 2 + x * y - x / y;
        product = __builtin_sqrtl(product + (y < 0 ? -y : y));
        long double z = sum + product;
        int64_t whole = (int64_t)(z / 1e25L);
        unsigned char raw[16] = {0};
        memcpy(raw, &z, 10);
        digest = mix(mix_bytes(digest, raw, 10), (uint64_t)whole + (z > x) + 2 * (z == x));
    }
    return digest;
}

typedef int16_t v8hi __attribute__((vector_size(16)));
typedef uint32_t v4si __attribute__((vector_size(16)));
typedef float v4sf __attribute__((vector_size(16)));
typedef uint8_t v16qi __attribute__((vector_size(16)));

static uint64_t vectors(void)
{
    uint64_t digest = 5, state = 99, data[8];
    for (int i = 0; i < 5000; i++) {
        for (int j = 0; j < 8; j++)
            data[j] = next(&state);
        v8hi a, b;
        v4si x, y;
        v16qi p, q;
        memcpy(&a, data, 16), memcpy(&b, data + 2, 16), memcpy(&x, data + 4, 16), memcpy(&y, data + 6, 16);
        memcpy(&p, data + 1, 16), memcpy(&q, data + 3, 16);
        a = a * b + (a >> 3) - (v8hi)(b > a);
        x = (x << 5 | x >> 27) ^ (y + x * y);
        p = (p & q) + (q ^ (p > q)) - (v16qi)__builtin_shuffle(p, (v16qi){15, 0, 14, 1, 13, 2, 12, 3, 11, 4, 10, 5, 9, 6, 8, 7});
        v4sf r = __builtin_convertvector(x >> 8, v4sf) * 0.5f + __builtin_convertvector(y >> 9, v4sf);
        digest = mix_bytes(digest, &a, 16), digest = mix_bytes(digest, &x, 16);
        digest = mix_bytes(digest, &p, 16), digest = mix_bytes(digest, &r, 16);
    }
    return digest;
}

static uint32_t rotate(uint32_t v, int n) { return v >> n | v << (32 - n); }

/* SHA-256 (FIPS 180-4) of 64 KiB; constants are computed: the fractions of cube and square roots of primes. */
static uint64_t sha256(void)
{
    uint32_t k[64], h[8];
    uint32_t state[8], w[64];
    unsigned char block[64];
    uint64_t random = 1;
    for (int i = 0, p = 2; i < 64; p++) {
        int prime = 1;
        for (int d = 2; d * d <= p; d++)
            prime &= p % d != 0;
        if (!prime)
            continue;
        unsigned __int128 low = 0, high = (unsigned __int128)1 << 36;
        while (high - low > 1) {
            unsigned __int128 middle = (low + high) / 2;
            if (middle * middle * middle <= (unsigned __int128)p << 96) low = middle; else high = middle;
        }
        k[i] = (uint32_t)low;
        if (i < 8) {
            for (low = 0, high = (unsigned __int128)1 << 36; high - low > 1;) {
                unsigned __int128 middle = (low + high) / 2;
                if (middle * middle <= (unsigned __int128)p << 64) low = middle; else high = middle;
            }
            h[i] = (uint32_t)low;
        }
        i++;
    }
    memcpy(state, h, sizeof state);
    for (int n = 0; n < 1024; n++) {
        for (int i = 0; i < 64; i++)
            block[i] = (unsigned char)next(&random);
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3)
                + (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
        uint32_t v[8];
        memcpy(v, state, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
            uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 28);
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
    check(k[0] == 0x428a2f98 && h[7] == 0x5be0cd19, "constants of SHA-256", k[0], h[7]);
    return mix_bytes(6, state, sizeof state);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static uint64_t strings(void)
{
    enum { count = 600 };
    char *list[count], text[64];
    uint64_t digest = 7, state = 5;
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%" PRIx64 "-%d-%.*s", next(&state), i, (int)(next(&state) % 9), "abcdefghi");
        list[i] = strdup(text);
    }
    qsort(list, count, sizeof *list, compare);
    for (int i = 0; i < count; i++) {
        check(i == 0 || strcmp(list[i - 1], list[i]) <= 0, "order", i, 0);
        digest = mix_bytes(digest, list[i], strlen(list[i]));
        char *dash = strchr(list[i], '-');
        digest = mix(digest, (uint64_t)(dash - list[i]) + (strstr(list[i], "abc") != NULL) + strtoull(list[i], NULL, 16));
    }
    for (int i = 0; i < count; i++)
        free(list[i]);
    return digest;
}

/* Code that is written, run, and written over: mov eax, N; ret. */
static uint64_t written_code(void)
{
    unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t digest = 8;
    if (page == MAP_FAILED)
        abort();
    for (uint32_t i = 0; i < 300; i++) {
        /* Also across the border of two pages. */
        unsigned char *code = page + 4090 + i % 8;
        code[0] = 0xb8;
        memcpy(code + 1, &i, 4);
        code[5] = 0xc3;
        uint32_t got = ((uint32_t (*)(void))(uintptr_t)code)();
        check(got == i, "written code", got, i);
        digest = mix(digest, got);
    }
    munmap(page, 8192);
    return digest;
}

static const struct { const char *name; uint64_t (*run)(void); } computations[] = {
    {"memory", memory_patterns}, {"integers", integers}, {"doubles", floating_point}, {"x87", long_doubles},
    {"vectors", vectors}, {"sha256", sha256}, {"strings", strings}, {"code", written_code},
};
enum { computation_count = sizeof computations / sizeof *computations };
static uint64_t expected[computation_count];

/* What several threads do to the same memory. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static _Atomic uint64_t counter, mailbox_data, mailbox_flag;
static uint64_t guarded;
static _Atomic int left_flag, right_flag, left_seen, right_seen;
static int thread_count;
static double deadline;
static _Atomic int stop;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void together(int self)
{
    enum { times = 2000 };
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        counter = guarded = mailbox_data = mailbox_flag = 0;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < times; i++) {
        atomic_fetch_add(&counter, 1);
        uint64_t old = atomic_load(&counter);
        while (!atomic_compare_exchange_weak(&counter, &old, old + 1))
            continue;
        pthread_mutex_lock(&mutex);
        guarded++;
        pthread_mutex_unlock(&mutex);
        /* Data is written before the flag, so who sees the flag sees the data: no fence is needed for that on x86. */
        if (self == 0) {
            atomic_store_explicit(&mailbox_data, (uint64_t)i, memory_order_relaxed);
            atomic_store_explicit(&mailbox_flag, (uint64_t)i, memory_order_release);
        } else {
            uint64_t flag = atomic_load_explicit(&mailbox_flag, memory_order_acquire);
            uint64_t data = atomic_load_explicit(&mailbox_data, memory_order_relaxed);
            if (data < flag)
                check(0, "data behind its flag", data, flag);
        }
    }
    pthread_barrier_wait(&barrier);
    if (self == 0) {
        check(counter == 2ull * times * (uint64_t)thread_count, "atomic count", counter, 0);
        check(guarded == (uint64_t)times * (uint64_t)thread_count, "guarded count", guarded, 0);
    }
    /* Dekker: with a fence between its store and its load, one of two must see the other. */
    for (int i = 0; i < 50 && thread_count > 1; i++) {
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            left_flag = right_flag = left_seen = right_seen = 0;
        pthread_barrier_wait(&barrier);
        if (self == 0) {
            atomic_store_explicit(&left_flag, 1, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst);
            left_seen = atomic_load_explicit(&right_flag, memory_order_relaxed);
        } else if (self == 1) {
            atomic_store_explicit(&right_flag, 1, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst);
            right_seen = atomic_load_explicit(&left_flag, memory_order_relaxed);
        }
        pthread_barrier_wait(&barrier);
        if (self == 0)
            check(left_seen || right_seen, "store, fence, load", 0, 0);
    }
}

static __thread sigjmp_buf fault_return;
static __thread volatile int faults;

static void on_fault(int number)
{
    sink = number;
    faults++;
    siglongjmp(fault_return, 1);
}

/* Faults, copies on write, processes, pipes, and a clock that never goes back. */
static void system_checks(void)
{
    size_t size = 64 * 4096;
    unsigned char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        abort();
    for (size_t i = 0; i < size; i += 512)
        area[i] = (unsigned char)(i / 512);
    int before = faults;
    mprotect(area + 4096, 4096, PROT_NONE);
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile unsigned char *)(area + 4096 + 7) = 1;
        check(0, "no fault", 0, 0);
    }
    check(faults == before + 1, "faults", (uint64_t)faults, (uint64_t)before);
    mprotect(area + 4096, 4096, PROT_READ | PROT_WRITE);

    int ends[2];
    if (pipe(ends) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        uint64_t sum = 0;
        for (size_t i = 0; i < size; i += 512) {
            sum += area[i] == (unsigned char)(i / 512);
            area[i] = 0xff;
        }
        _exit(write(ends[1], &sum, 8) == 8 ? 7 : 8);
    }
    close(ends[1]);
    uint64_t sum = 0;
    int status = 0;
    ssize_t got;
    do
        got = read(ends[0], &sum, 8);
    while (got < 0 && errno == EINTR);
    close(ends[0]);
    check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, "child", (uint64_t)status, 0);
    check(got == 8 && sum == size / 512, "what the child saw", sum, size / 512);
    for (size_t i = 0; i < size; i += 512)
        if (area[i] != (unsigned char)(i / 512))
            check(0, "copy on write", i, area[i]);
    munmap(area, size);

    double last = now();
    for (int i = 0; i < 300; i++) {
        double later = now();
        if (later < last)
            check(0, "clock goes back, ns", (uint64_t)((last - later) * 1e9), 0);
        last = later;
        if (i % 100 == 0)
            sched_yield();
    }
    check(1, "clock", 0, 0);
}

static _Atomic uint64_t rounds;

static void *work(void *argument)
{
    int self = (int)(intptr_t)argument;
    for (;;) {
        /* All decide at one place, or some would wait at the barrier for ever. */
        pthread_barrier_wait(&barrier);
        if (self == 0)
            stop = now() >= deadline;
        pthread_barrier_wait(&barrier);
        if (stop)
            return NULL;
        for (int i = 0; i < computation_count; i++) {
            int n = (i + self) % computation_count;
            uint64_t digest = computations[n].run();
            check(digest == expected[n], computations[n].name, digest, expected[n]);
        }
        system_checks();
        together(self);
        if (self == 0)
            rounds++;
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < computation_count; i++)
        expected[i] = computations[i].run();
    if (argc == 2 && strcmp(argv[1], "digests") == 0) {
        for (int i = 0; i < computation_count; i++)
            printf("%s %016" PRIx64 "\n", computations[i].name, expected[i]);
        return errors != 0;
    }
    if (argc != 4 || strcmp(argv[1], "run") != 0 || (thread_count = atoi(argv[3])) < 1 || thread_count > 64)
        return 2;
    deadline = now() + atof(argv[2]);
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &action, NULL);
    pthread_barrier_init(&barrier, NULL, (unsigned)thread_count);
    pthread_t threads[64];
    for (int i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) != 0)
            abort();
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    printf("selfcheck: checks=%" PRIu64 " errors=%" PRIu64 " rounds=%" PRIu64 "\n", checks, errors, rounds);
    return errors != 0;
}
