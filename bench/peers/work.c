/*
 * What the device figures let a guest do, and the host's end of it.
 *
 *   work block DEVICE read|write random|sequential BYTES DEPTH MS   requests past the page cache, so many in flight
 *   work names FOLDER MS                                            makes empty files for so long, then looks all up, then removes them
 *   work file read|write FILE MIB MS                                a file from end to end and again, in pieces of 128 KiB
 *   work stream send|receive ADDRESS MS                             bytes through one connection
 *   work packets send|receive HOST:PORT MS                          UDP with 32 bytes in each; what arrived counts
 *   work serve ADDRESS                                              the other end of both; udp:HOST:PORT serves packets
 *
 * ADDRESS is tcp:HOST:PORT, vsock:CID:PORT (2 is the host, 4294967295 any) or unix:PATH. Prints "work: end" and NAME=VALUE: how many
 * of what, and nanoseconds of this machine's monotonic clock.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_DEPTH = 256,
    FILE_BLOCK = 128 << 10,
    STREAM_BLOCK = 64 << 10,
    PACKET_BYTES = 32,
    PACKETS_BETWEEN_LOOKS = 16,
    MAX_FILES = 50000,
    RECEIVE_BUFFER = 8 << 20,
    ASK_TIMES = 50,
    ASK_WAIT_MS = 100,
};

static long long now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
        err(1, "clock_gettime");
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long number(const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text || value <= 0)
        errx(2, "%s is not a number above 0", text);
    return value;
}

/* ---- block devices: Linux AIO, which needs no library */

static long aio_submit(aio_context_t context, long count, struct iocb **blocks)
{
    return syscall(SYS_io_submit, context, count, blocks);
}

static int work_block(char **a)
{
    int writes = strcmp(a[1], "write") == 0, random = strcmp(a[2], "random") == 0;
    long long size = number(a[3]), depth = number(a[4]), limit = number(a[5]) * 1000000;
    uint64_t bytes, seed = 88172645463325252ULL, next = 0;
    if (depth > MAX_DEPTH)
        errx(2, "at most %d in flight", MAX_DEPTH);
    int fd = open(a[0], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0 || bytes < (uint64_t)size)
        err(1, "%s", a[0]);
    uint64_t blocks = bytes / size;

    aio_context_t context = 0;
    if (syscall(SYS_io_setup, depth, &context) < 0)
        err(1, "io_setup");
    static struct iocb controls[MAX_DEPTH];
    static struct io_event events[MAX_DEPTH];
    static struct iocb *again[MAX_DEPTH];
    for (int i = 0; i < depth; i++) {
        void *buffer;
        if (posix_memalign(&buffer, 4096, size))
            errx(1, "no memory");
        memset(buffer, i + 1, size);
        controls[i] = (struct iocb){
            .aio_data = i, .aio_fildes = fd, .aio_nbytes = size, .aio_buf = (uintptr_t)buffer,
            .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
        };
    }

    long long start = now(), done = 0, flying = 0, end = start;
    long ready = depth;
    for (int i = 0; i < depth; i++)
        again[i] = &controls[i];
    while (ready > 0 || flying > 0) {
        for (long i = 0; i < ready; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            again[i]->aio_offset = (random ? seed % blocks : next++ % blocks) * size;
        }
        for (long from = 0; from < ready;) {
            long taken = aio_submit(context, ready - from, again + from);
            if (taken < 0)
                err(1, "io_submit");
            from += taken;
        }
        flying += ready;
        long count = syscall(SYS_io_getevents, context, 1L, (long)depth, events, NULL);
        if (count < 0)
            err(1, "io_getevents");
        end = now();
        ready = 0;
        for (long i = 0; i < count; i++) {
            if ((long long)events[i].res != size)
                errx(1, "a request came back with %lld", (long long)events[i].res);
            again[ready++] = &controls[events[i].data];
        }
        done += count;
        flying -= count;
        if (end - start >= limit)
            ready = 0;
    }
    printf("work: end operations=%lld bytes=%lld nanoseconds=%lld\n", done, done * size, end - start);
    return 0;
}

/* ---- files */

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (fd < 0 || write(fd, "3", 1) != 1)
        err(1, "drop_caches");
    close(fd);
}

static int work_names(char **a)
{
    char name[32];
    struct stat status;
    long long limit = number(a[1]) * 1000000;
    if (chdir(a[0]) < 0)
        err(1, "%s", a[0]);
    long long start = now();
    int count = 0;
    for (; count < MAX_FILES && now() - start < limit; count++) {
        snprintf(name, sizeof name, "f%d", count);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0 || close(fd) < 0)
            err(1, "%s", name);
    }
    long long created = now();

    /* Or this kernel knows all the answers. */
    drop_caches();
    long long dropped = now();
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "f%d", i);
        if (stat(name, &status) < 0)
            err(1, "%s", name);
    }
    long long seen = now();
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "f%d", i);
        if (unlink(name) < 0)
            err(1, "%s", name);
    }
    long long end = now();
    printf("work: end operations=%d create=%lld stat=%lld unlink=%lld nanoseconds=%lld\n", count, created - start, seen - dropped, end - seen, end - start);
    return 0;
}

static int work_file(char **a)
{
    static char block[FILE_BLOCK];
    int writes = strcmp(a[0], "write") == 0;
    long long bytes = number(a[2]) << 20, limit = number(a[3]) * 1000000, done = 0;
    int fd = open(a[1], writes ? O_CREAT | O_RDWR : O_RDONLY, 0644);
    if (fd < 0)
        err(1, "%s", a[1]);
    memset(block, 'w', sizeof block);
    long long start = now(), end = start;
    while (end - start < limit) {
        int advice = writes ? 0 : posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        if (advice)
            errx(1, "posix_fadvise: %s", strerror(advice));
        for (long long at = 0; at < bytes && end - start < limit; at += sizeof block) {
            ssize_t count = writes ? pwrite(fd, block, sizeof block, at) : pread(fd, block, sizeof block, at);
            if (count != (ssize_t)sizeof block)
                err(1, "%s: %zd bytes at %lld", a[1], count, at);
            done += count;
            end = now();
        }
    }
    printf("work: end bytes=%lld nanoseconds=%lld\n", done, end - start);
    return 0;
}

/* ---- connections */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
    struct sockaddr_vm vm;
};

static union address host_and_port(char *text, socklen_t *size)
{
    union address a = { .in = { .sin_family = AF_INET } };
    char *colon = strrchr(text, ':');
    if (!colon)
        errx(2, "%s is not HOST:PORT", text);
    *colon = 0;
    if (inet_pton(AF_INET, text, &a.in.sin_addr) != 1)
        errx(2, "%s is no address", text);
    a.in.sin_port = htons(number(colon + 1));
    *size = sizeof a.in;
    return a;
}

static union address parse(char *text, socklen_t *size)
{
    union address a = { 0 };
    if (strncmp(text, "tcp:", 4) == 0 || strncmp(text, "udp:", 4) == 0)
        return host_and_port(text + 4, size);
    if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof a.un.sun_path) {
        a.un.sun_family = AF_UNIX;
        strcpy(a.un.sun_path, text + 5);
        *size = sizeof a.un;
        return a;
    }
    if (strncmp(text, "vsock:", 6) == 0 && strchr(text + 6, ':')) {
        a.vm.svm_family = AF_VSOCK;
        a.vm.svm_cid = strtoul(text + 6, NULL, 10);
        a.vm.svm_port = number(strchr(text + 6, ':') + 1);
        *size = sizeof a.vm;
        return a;
    }
    errx(2, "%s is no address", text);
}

static void write_all(int fd, const void *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t n = write(fd, (const char *)bytes + at, count - at);
        if (n <= 0)
            err(1, "write");
        at += n;
    }
}

static int work_stream(char **a)
{
    static char block[STREAM_BLOCK];
    int sends = strcmp(a[0], "send") == 0;
    long long limit = number(a[2]) * 1000000, done = 0;
    socklen_t size;
    union address address = parse(a[1], &size);
    int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, &address.any, size) < 0)
        err(1, "connect");
    write_all(fd, sends ? "r" : "s", 1);
    long long start = now(), end = start;
    while (end - start < limit) {
        ssize_t count = sends ? write(fd, block, sizeof block) : read(fd, block, sizeof block);
        if (count <= 0)
            err(1, "after %lld bytes", done);
        done += count;
        end = now();
    }
    if (sends) {
        /* What was sent counts when it has come. */
        uint64_t arrived = 0;
        if (shutdown(fd, SHUT_WR) < 0 || recv(fd, &arrived, sizeof arrived, MSG_WAITALL) != sizeof arrived || (long long)arrived != done)
            errx(1, "%lld bytes were sent, %llu came", done, (unsigned long long)arrived);
        end = now();
    }
    close(fd);
    printf("work: end bytes=%lld nanoseconds=%lld\n", done, end - start);
    return 0;
}

static void serve_connection(int fd)
{
    static char block[STREAM_BLOCK];
    char what;
    if (read(fd, &what, 1) != 1)
        return;
    if (what == 's') {
        while (write(fd, block, sizeof block) > 0)
            ;
        return;
    }
    uint64_t done = 0;
    ssize_t count;
    while ((count = read(fd, block, sizeof block)) > 0)
        done += count;
    if (write(fd, &done, sizeof done) != sizeof done)
        warn("the count");
}

/* ---- packets: d is one that counts, z begins to count, q asks how many came, s asks for packets, e says that they were all */

struct packet {
    char kind;
    char pad[7];
    uint64_t value;
    char rest[PACKET_BYTES - 16];
};

static struct packet ask(int fd, struct packet question)
{
    struct packet answer;
    for (int i = 0; i < ASK_TIMES; i++) {
        if (send(fd, &question, sizeof question, 0) < 0)
            err(1, "send");
        while (recv(fd, &answer, sizeof answer, 0) == sizeof answer)
            if (answer.kind == question.kind)
                return answer;
    }
    errx(1, "no answer to %c", question.kind);
}

static int packet_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = RECEIVE_BUFFER;
    if (fd < 0)
        err(1, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0)
        err(1, "SO_RCVBUFFORCE");
    return fd;
}

static int work_packets(char **a)
{
    int sends = strcmp(a[0], "send") == 0, fd = packet_socket();
    long long milliseconds = number(a[2]), limit = milliseconds * 1000000, done = 0, first = 0, end = 0;
    struct packet packet = { .kind = 'z' };
    struct timeval wait = { .tv_usec = ASK_WAIT_MS * 1000 };
    socklen_t size;
    union address address = host_and_port(a[1], &size);
    if (connect(fd, &address.any, size) < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0)
        err(1, "%s", a[1]);
    ask(fd, packet);
    long long start = now();
    if (sends) {
        packet.kind = 'd';
        for (end = start; end - start < limit; end = now())
            for (int i = 0; i < PACKETS_BETWEEN_LOOKS; i++)
                if (send(fd, &packet, sizeof packet, 0) < 0 && errno != ENOBUFS)
                    err(1, "send");
        done = ask(fd, (struct packet){ .kind = 'q' }).value;
        first = start;
    } else {
        packet = (struct packet){ .kind = 's', .value = milliseconds };
        if (send(fd, &packet, sizeof packet, 0) < 0)
            err(1, "send");
        for (;;) {
            ssize_t count = recv(fd, &packet, sizeof packet, 0);
            if (count < 0 && done == 0)
                errx(1, "no packet came");
            if (count < 0 || packet.kind == 'e')
                break;
            if (packet.kind != 'd')
                continue;
            if (done++ == 0)
                first = now();
            if (done % PACKETS_BETWEEN_LOOKS == 0)
                end = now();
        }
    }
    if (done < PACKETS_BETWEEN_LOOKS)
        errx(1, "only %lld packets came", done);
    printf("work: end operations=%lld nanoseconds=%lld\n", done, end - first);
    return 0;
}

static void flood(int fd, const union address *to, socklen_t size, long long milliseconds)
{
    struct packet packet = { .kind = 'd' };
    for (long long end = now() + milliseconds * 1000000; now() < end;)
        for (int i = 0; i < PACKETS_BETWEEN_LOOKS; i++)
            if (sendto(fd, &packet, sizeof packet, 0, &to->any, size) < 0 && errno != ENOBUFS)
                err(1, "sendto");
    packet.kind = 'e';
    for (int i = 0; i < ASK_TIMES; i++) {
        usleep(2000);
        sendto(fd, &packet, sizeof packet, 0, &to->any, size);
    }
}

static void serve_packets(int fd)
{
    struct packet packet;
    uint64_t count = 0;
    for (;;) {
        union address from;
        socklen_t size = sizeof from;
        if (recvfrom(fd, &packet, sizeof packet, 0, &from.any, &size) != sizeof packet)
            continue;
        if (packet.kind == 'd') {
            count++;
            continue;
        }
        if (packet.kind == 's') {
            flood(fd, &from, size, packet.value);
            continue;
        }
        if (packet.kind == 'z')
            count = 0;
        packet.value = count;
        sendto(fd, &packet, sizeof packet, 0, &from.any, size);
    }
}

static int serve(char **a)
{
    int is_udp = strncmp(a[0], "udp:", 4) == 0, one = 1;
    socklen_t size;
    union address address = parse(a[0], &size);
    int fd = is_udp ? packet_socket() : socket(address.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        err(1, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &address.any, size) < 0 || (!is_udp && listen(fd, 8) < 0))
        err(1, "bind");
    printf("work: serving\n");
    fflush(stdout);
    if (is_udp)
        serve_packets(fd);
    for (;;) {
        int connection = accept(fd, NULL, NULL);
        if (connection < 0)
            err(1, "accept");
        serve_connection(connection);
        close(connection);
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int arguments; int (*run)(char **); } kinds[] = {
        { "block", 6, work_block }, { "names", 2, work_names }, { "file", 4, work_file },
        { "stream", 3, work_stream }, { "packets", 3, work_packets }, { "serve", 1, serve },
    };
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i].name) == 0 && argc == kinds[i].arguments + 2)
            return kinds[i].run(argv + 2);
    errx(2, "usage: work block|names|file|stream|packets|serve ARGUMENT...");
}
