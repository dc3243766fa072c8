/*
 * vsockcheck serve ADDRESS              echoes; when a client has stopped sending, the sum of its bytes follows the echo; for ever
 * vsockcheck client ADDRESS N BYTES     N connections at a time, BYTES through each; ends with
 *                                       "vsockcheck: connections=N bytes=TOTAL errors=N milliseconds=N"
 * vsockcheck hold ADDRESS               sends a byte, says "vsockcheck: held" when it is back, and "vsockcheck: ended errno=N" at the end
 * vsockcheck deaf ADDRESS               accepts connections and never reads
 *
 * ADDRESS: vsock:CID:PORT (serve: CID is ignored), unix:PATH, or hybrid:PATH:PORT for a guest port behind a VMM's socket.
 * The same program runs on both sides, so that each checks the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 2000
#define CHUNK 16384

static void fail(const char *what)
{
    printf("vsockcheck: ERROR %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t mix(uint64_t sum, const unsigned char *p, size_t size)
{
    while (size--)
        sum = (sum ^ *p++) * 0x100000001b3u;
    return sum;
}

/* Each connection has bytes of its own, so that mixed up ones are seen. */
static unsigned char byte_at(uint64_t connection, uint64_t i)
{
    return (unsigned char)((i * 2654435761u + connection * 40503u) >> 11);
}

static int unix_socket(const char *path, int server)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof a.sun_path)
        fail(path);
    strcpy(a.sun_path, path);
    if (server ? bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096) : connect(fd, (struct sockaddr *)&a, sizeof a))
        fail(path);
    return fd;
}

static int vsock_socket(unsigned cid, unsigned port, int server)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = server ? VMADDR_CID_ANY : cid, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("AF_VSOCK");
    if (server ? bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096) : connect(fd, (struct sockaddr *)&a, sizeof a))
        fail("vsock");
    return fd;
}

static int open_address(const char *address, int server)
{
    char path[200], line[64];
    unsigned cid, port;
    if (sscanf(address, "vsock:%u:%u", &cid, &port) == 2)
        return vsock_socket(cid, port, server);
    if (sscanf(address, "unix:%199s", path) == 1)
        return unix_socket(path, server);
    if (!server && sscanf(address, "hybrid:%199[^:]:%u", path, &port) == 2) {
        int fd = unix_socket(path, 0), n = snprintf(line, sizeof line, "CONNECT %u\n", port), got = 0;
        if (write(fd, line, n) != n)
            fail("CONNECT");
        while (got < (int)sizeof line - 1 && read(fd, line + got, 1) == 1 && line[got++] != '\n')
            ;
        line[got] = 0;
        if (sscanf(line, "OK %u\n", &port) != 1) {
            errno = EPROTO;
            fail("no OK");
        }
        return fd;
    }
    errno = EINVAL;
    fail(address);
    return -1;
}

static void no_waiting(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl");
}

static struct connection {
    uint64_t received, sent, sum;
    unsigned char buffer[CHUNK];
    unsigned start, end;
    int at_end;
} connections[MAX_CONNECTIONS];
static struct pollfd polled[MAX_CONNECTIONS + 1];

/* Returns 0 when the connection is over. */
static int echo(struct connection *c, int fd)
{
    if (c->start < c->end) {
        ssize_t n = write(fd, c->buffer + c->start, c->end - c->start);
        if (n < 0)
            return errno == EAGAIN;
        c->start += n;
    }
    if (c->start == c->end && c->at_end)
        return 0;
    if (c->start == c->end) {
        ssize_t n = read(fd, c->buffer, CHUNK);
        if (n < 0)
            return errno == EAGAIN;
        c->start = 0;
        c->end = n;
        c->sum = mix(c->sum, c->buffer, n);
        if (n == 0) {
            memcpy(c->buffer, &c->sum, sizeof c->sum);
            c->end = sizeof c->sum;
            c->at_end = 1;
        }
    }
    return 1;
}

static void serve(const char *address, int deaf)
{
    int count = 0, listener = open_address(address, 1);
    printf("vsockcheck: serving\n");
    fflush(stdout);
    for (;;) {
        for (int i = 0; i < count; i++)
            polled[i].events = connections[i].start < connections[i].end ? POLLOUT : POLLIN;
        polled[count] = (struct pollfd){ .fd = listener, .events = count < MAX_CONNECTIONS ? POLLIN : 0 };
        if (poll(deaf ? polled + count : polled, deaf ? 1 : count + 1, -1) < 0)
            fail("poll");
        int was = count;
        if (polled[count].revents) {
            int fd = accept(listener, NULL, NULL);
            if (fd < 0)
                fail("accept");
            no_waiting(fd);
            connections[was].received = 0;
            connections[was].sum = 0xcbf29ce484222325u;
            connections[was].start = connections[was].end = 0;
            connections[was].at_end = 0;
            polled[was] = (struct pollfd){ .fd = fd };
            count++;
        }
        for (int i = was - 1; !deaf && i >= 0; i--) {
            if (polled[i].revents && !echo(&connections[i], polled[i].fd)) {
                close(polled[i].fd);
                count--;
                connections[i] = connections[count];
                polled[i] = polled[count];
            }
        }
    }
}

static int errors;

static void wrong(const char *what, int connection, uint64_t at)
{
    if (errors++ < 5)
        printf("vsockcheck: ERROR %s in connection %d at %" PRIu64 ": %s\n", what, connection, at, strerror(errno));
}

static void send_some(struct connection *c, int i, int fd, uint64_t bytes)
{
    unsigned char data[CHUNK];
    size_t part = bytes - c->sent < CHUNK ? bytes - c->sent : CHUNK;
    for (size_t k = 0; k < part; k++)
        data[k] = byte_at(i, c->sent + k);
    ssize_t n = write(fd, data, part);
    if (n < 0 && errno != EAGAIN) {
        wrong("write", i, c->sent);
        c->sent = bytes;
    } else if (n > 0) {
        c->sum = mix(c->sum, data, n);
        c->sent += n;
    }
    if (c->sent == bytes && shutdown(fd, SHUT_WR) < 0)
        wrong("shutdown", i, c->sent);
}

/* Returns 0 when the connection is over. */
static int receive_some(struct connection *c, int i, int fd, uint64_t bytes)
{
    unsigned char data[CHUNK];
    ssize_t n = read(fd, data, sizeof data);
    if (n < 0) {
        if (errno == EAGAIN)
            return 1;
        wrong("read", i, c->received);
        return 0;
    }
    if (n == 0) {
        uint64_t sum;
        memcpy(&sum, c->buffer, sizeof sum);
        if (c->received != bytes + sizeof sum)
            wrong("early end", i, c->received);
        else if (sum != c->sum)
            wrong("sum", i, c->received);
        return 0;
    }
    for (ssize_t k = 0; k < n; k++) {
        uint64_t at = c->received + k;
        if (at >= bytes + sizeof c->sum)
            wrong("too much", i, at);
        else if (at >= bytes)
            c->buffer[at - bytes] = data[k];
        else if (data[k] != byte_at(i, at))
            wrong("byte", i, at);
    }
    c->received += n;
    return 1;
}

static void client(const char *address, int count, uint64_t bytes)
{
    struct timespec from, to;
    int left = count;
    if (count < 1 || count > MAX_CONNECTIONS)
        fail("count");
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < count; i++) {
        polled[i].fd = open_address(address, 0);
        no_waiting(polled[i].fd);
        connections[i].sum = 0xcbf29ce484222325u;
    }
    while (left > 0) {
        for (int i = 0; i < count; i++)
            polled[i].events = POLLIN | (connections[i].sent < bytes ? POLLOUT : 0);
        if (poll(polled, count, -1) < 0)
            fail("poll");
        for (int i = 0; i < count; i++) {
            struct connection *c = &connections[i];
            if (polled[i].revents & POLLOUT && c->sent < bytes)
                send_some(c, i, polled[i].fd, bytes);
            if (polled[i].revents & (POLLIN | POLLHUP | POLLERR) && !receive_some(c, i, polled[i].fd, bytes)) {
                close(polled[i].fd);
                polled[i].fd = -1;
                left--;
            }
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("vsockcheck: connections=%d bytes=%" PRIu64 " errors=%d milliseconds=%ld\n", count, bytes * count, errors,
        (long)((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000));
    exit(errors != 0);
}

static void hold(const char *address)
{
    char byte = 'h';
    int fd = open_address(address, 0);
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
        fail("echo");
    printf("vsockcheck: held\n");
    fflush(stdout);
    ssize_t n = read(fd, &byte, 1);
    printf("vsockcheck: ended errno=%d\n", n < 0 ? errno : 0);
    exit(0);
}

int main(int count, char **words)
{
    struct rlimit files;
    /* A peer that is gone is an error number here, and no end. */
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (count == 3 && strcmp(words[1], "serve") == 0)
        serve(words[2], 0);
    else if (count == 3 && strcmp(words[1], "deaf") == 0)
        serve(words[2], 1);
    else if (count == 5 && strcmp(words[1], "client") == 0)
        client(words[2], atoi(words[3]), strtoull(words[4], NULL, 10));
    else if (count == 3 && strcmp(words[1], "hold") == 0)
        hold(words[2]);
    fprintf(stderr, "usage: the first lines of vsockcheck.c\n");
    return 2;
}
