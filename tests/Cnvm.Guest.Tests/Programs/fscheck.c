/*
 * fscheck all DIRECTORY                every kind of file operation there, each checked
 * fscheck ops DIRECTORY SEED COUNT     random reads, writes, mappings and truncations of a file, compared with a copy in memory
 * fscheck hold FILE STOP               writes and reads an open file until the file STOP is there
 * fscheck lock KIND FILE STOP          waits for a lock on a file (KIND: posix or flock), says "locked", and has it until the file STOP is there
 * fscheck try KIND FILE                says "free" or "held"
 * Others end with "fscheck: checks=N errors=N", and says of every error what was wrong.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ENTRIES 2000
#define FILE_MAX (256 * 1024)

static int checks, errors;

static int check(int good, const char *what)
{
    checks++;
    if (!good && errors++ < 20)
        printf("fscheck: ERROR %s: %s\n", what, strerror(errno));
    return good;
}

#define CHECK(condition) check((condition), #condition)
#define FAILS(call, error) check((errno = 0, (call) == -1 && errno == (error)), #call " fails with " #error)

static int exists(const char *name)
{
    struct stat s;

    return lstat(name, &s) == 0;
}

static void write_file(const char *name, const char *text)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static int has(const char *name, const char *text)
{
    char buffer[200] = "";
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, buffer, sizeof buffer - 1);

    close(fd);
    return n == (ssize_t)strlen(text) && strcmp(buffer, text) == 0;
}

static void names(void)
{
    struct stat a, b;
    char target[100];
    ssize_t n;
    int fd;

    write_file("a", "one");
    CHECK(has("a", "one"));
    FAILS(open("a", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    FAILS(open("none", O_RDONLY), ENOENT);
    FAILS(mkdir("a", 0700), EEXIST);
    CHECK(rename("a", "b") == 0 && !exists("a") && has("b", "one"));
    CHECK(link("b", "c") == 0 && stat("b", &a) == 0 && stat("c", &b) == 0 && a.st_ino == b.st_ino && b.st_nlink == 2);
    CHECK(unlink("b") == 0 && stat("c", &b) == 0 && b.st_nlink == 1);
    CHECK(symlink("c", "l") == 0 && (n = readlink("l", target, sizeof target)) == 1 && target[0] == 'c' && has("l", "one"));
    CHECK(symlink("/none/at/all", "dangling") == 0);
    FAILS(open("dangling", O_RDONLY), ENOENT);
    FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0700) == 0);
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(rmdir("c"), ENOTDIR);
    FAILS(unlink("d/none"), ENOENT);
    CHECK(rename("c", "d/c") == 0 && rename("d/e", "e") == 0 && rmdir("e") == 0);
    FAILS(rename("d", "d/inside"), EINVAL);
    write_file("x", "x");
    write_file("y", "y");
    FAILS(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 1), EEXIST);
    CHECK(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 2) == 0 && has("x", "y") && has("y", "x"));
    CHECK(mkfifo("fifo", 0600) == 0 && stat("fifo", &a) == 0 && S_ISFIFO(a.st_mode));
    if (fork() == 0) {
        fd = open("fifo", O_WRONLY);
        _exit(write(fd, "through", 7) != 7);
    }
    CHECK(has("fifo", "through") && wait(NULL) > 0);

    /* An open file lives on without its name, and takes its name's new file for another. */
    fd = open("x", O_RDWR);
    CHECK(unlink("x") == 0 && pwrite(fd, "still", 5, 1) == 5 && pread(fd, target, 100, 0) == 6 && memcmp(target, "ystill", 6) == 0);
    write_file("x", "new");
    CHECK(fstat(fd, &a) == 0 && stat("x", &b) == 0 && a.st_ino != b.st_ino && a.st_nlink == 0 && a.st_size == 6);
    CHECK(ftruncate(fd, 2) == 0 && fstat(fd, &a) == 0 && a.st_size == 2 && fchmod(fd, 0600) == 0 && close(fd) == 0);
}

static void attributes(void)
{
    struct timespec times[2] = {{1000, 1}, {2000, 2}};
    const char *attribute = "trusted.check";
    struct statvfs v;
    struct stat s;
    char value[100];
    int fd;

    write_file("m", "");
    CHECK(chmod("m", 04751) == 0 && stat("m", &s) == 0 && (s.st_mode & 07777) == 04751);
    CHECK(chown("m", 12, 34) == 0 && stat("m", &s) == 0 && s.st_uid == 12 && s.st_gid == 34 && !(s.st_mode & 04000));
    CHECK(utimensat(AT_FDCWD, "m", times, 0) == 0 && stat("m", &s) == 0 && s.st_atim.tv_nsec == 1 && s.st_mtim.tv_sec == 2000);
    umask(027);
    CHECK(mkdir("masked", 0777) == 0 && stat("masked", &s) == 0 && (s.st_mode & 0777) == 0750);
    CHECK((fd = open("masked/f", O_CREAT | O_RDWR, 0666)) >= 0 && fstat(fd, &s) == 0 && (s.st_mode & 0777) == 0640 && close(fd) == 0);
    umask(0);
    CHECK((fd = open("all", O_CREAT | O_RDWR, 0666)) >= 0 && fstat(fd, &s) == 0 && (s.st_mode & 0777) == 0666 && close(fd) == 0);

    /* As another user: what it makes is its own, and what is not its own is closed to it. */
    CHECK(mkdir("open", 0777) == 0 && chmod("open", 0777) == 0 && chmod("m", 0600) == 0);
    if (fork() == 0) {
        if (setgid(50) || setuid(40))
            _exit(3);
        fd = open("open/theirs", O_CREAT | O_RDWR, 0600);
        _exit(fd < 0 || write(fd, "x", 1) != 1 ? 1 : open("m", O_RDONLY) >= 0 || mkdir("not-here", 0700) == 0 ? 2 : 0);
    }
    int status = -1;
    CHECK(wait(&status) > 0 && status == 0);
    CHECK(stat("open/theirs", &s) == 0 && s.st_uid == 40 && s.st_gid == 50);

    CHECK(setxattr("m", attribute, "value", 5, 0) == 0 && getxattr("m", attribute, value, 100) == 5 && memcmp(value, "value", 5) == 0);
    FAILS(setxattr("m", attribute, "v", 1, XATTR_CREATE), EEXIST);
    FAILS(getxattr("m", attribute, value, 2), ERANGE);
    CHECK(listxattr("m", value, 100) > 0 && removexattr("m", attribute) == 0);
    FAILS(getxattr("m", attribute, value, 100), ENODATA);
    CHECK(statvfs(".", &v) == 0 && v.f_blocks > 0 && v.f_namemax == 255);
}

static void contents(void)
{
    struct stat s;
    char buffer[16];
    char *map;
    loff_t from = 0, to = 3;
    int fd, other;

    CHECK((fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0600)) >= 0);
    CHECK(pwrite(fd, "end", 3, 1 << 20) == 3 && pread(fd, buffer, 4, 4096) == 4 && memcmp(buffer, "\0\0\0\0", 4) == 0);
    CHECK(fsync(fd) == 0 && lseek(fd, 0, SEEK_DATA) > 4096 && lseek(fd, 0, SEEK_HOLE) == 0);
    CHECK(fallocate(fd, 0, 0, 2 << 20) == 0 && fstat(fd, &s) == 0 && s.st_size == 2 << 20);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 4096) == 0 && pread(fd, buffer, 3, 1 << 20) == 3 && buffer[0] == 0);
    map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (CHECK(map != MAP_FAILED)) {
        memcpy(map + 4090, "mapped", 6);
        CHECK(msync(map, 8192, MS_SYNC) == 0 && pread(fd, buffer, 6, 4090) == 6 && memcmp(buffer, "mapped", 6) == 0);
        CHECK(pwrite(fd, "written", 7, 100) == 7 && memcmp(map + 100, "written", 7) == 0 && munmap(map, 8192) == 0);
    }
    CHECK((other = open("g", O_CREAT | O_RDWR | O_TRUNC, 0600)) >= 0);
    from = 4090;
    CHECK(copy_file_range(fd, &from, other, &to, 6, 0) == 6 && pread(other, buffer, 16, 0) == 9 && memcmp(buffer, "\0\0\0mapped", 9) == 0);
    CHECK(close(other) == 0 && (other = open("g", O_WRONLY | O_APPEND)) >= 0 && write(other, "12", 2) == 2 && write(other, "3", 1) == 1);
    CHECK(fstat(other, &s) == 0 && s.st_size == 12 && ftruncate(other, 5) == 0 && write(other, "!", 1) == 1 && close(other) == 0);
    CHECK(stat("g", &s) == 0 && s.st_size == 6 && truncate("g", 100) == 0 && stat("g", &s) == 0 && s.st_size == 100);
    CHECK(flock(fd, LOCK_EX) == 0 && (other = open("f", O_RDWR)) >= 0);
    FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK(close(other) == 0 && close(fd) == 0);

    /* Executable files run. */
    CHECK(system("cp /bin/busybox busybox && chmod 755 busybox && [ \"$(./busybox echo ran)\" = ran ]") == 0);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0 || errno != EOPNOTSUPP)
        CHECK(fd >= 0 && write(fd, "nameless", 8) == 8 && close(fd) == 0);
}

static void entries(void)
{
    static char seen[ENTRIES];
    char name[100];
    struct dirent *e;
    int i, found = 0, round;
    DIR *d;

    CHECK(mkdir("many", 0700) == 0 && chdir("many") == 0);
    for (i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof name, "entry-%d%s", i, i % 3 ? "" : "-with-a-name-that-is-longer-than-those-of-the-others");
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    for (round = 0; round < 2; round++) {
        d = opendir(".");
        for (found = 0, memset(seen, 0, sizeof seen); (e = readdir(d)) != NULL;)
            if (sscanf(e->d_name, "entry-%d", &i) == 1 && i >= 0 && i < ENTRIES && !seen[i]++)
                found++;
        CHECK(found == ENTRIES);
        closedir(d);
    }

    /* All removed while the directory is read, as rm -r does. */
    d = opendir(".");
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] == 'e')
            CHECK(unlink(e->d_name) == 0);
    closedir(d);
    CHECK(chdir("..") == 0 && rmdir("many") == 0);
}

static uint64_t state;

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % below;
}

static void operations(int count)
{
    static unsigned char model[FILE_MAX], buffer[FILE_MAX];
    size_t size = 0, at, length, i;
    char *map;
    int fd = open("random", O_CREAT | O_RDWR | O_TRUNC, 0600);

    while (count-- > 0 && errors < 5) {
        at = next(FILE_MAX);
        length = 1 + next(next(4) ? 5000 : FILE_MAX);
        if (at + length > FILE_MAX)
            length = FILE_MAX - at;
        switch (next(9)) {
        case 0: case 1: case 2:
            for (i = 0; i < length; i++)
                model[at + i] = buffer[i] = (unsigned char)next(256);
            CHECK(pwrite(fd, buffer, length, at) == (ssize_t)length);
            size = at + length > size ? at + length : size;
            break;
        case 3: case 4: case 5:
            length = at >= size ? 0 : at + length > size ? size - at : length;
            CHECK(pread(fd, buffer, at >= size ? 10 : length, at) == (ssize_t)length && memcmp(buffer, model + at, length) == 0);
            break;
        case 6:
            CHECK(ftruncate(fd, at) == 0);
            if (at < size)
                memset(model + at, 0, size - at);
            size = at;
            break;
        case 7:
            if (at + length > size)
                break;
            map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (!CHECK(map != MAP_FAILED))
                break;
            CHECK(memcmp(map, model, size) == 0);
            for (i = 0; i < length; i++)
                model[at + i] = (unsigned char)(map[at + i] = (char)next(256));
            CHECK(munmap(map, size) == 0);
            break;
        default:
            if (next(3) == 0)
                CHECK(fsync(fd) == 0);
            else if (next(2))
                CHECK(close(fd) == 0 && (fd = open("random", O_RDWR)) >= 0);
            else
                CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length) == 0 && memset(model + at, 0, length));
        }
    }
    CHECK(lseek(fd, 0, SEEK_END) == (off_t)size && pread(fd, buffer, FILE_MAX, 0) == (ssize_t)size && memcmp(buffer, model, size) == 0);
    CHECK(close(fd) == 0);
}

static void hold(const char *file, const char *stop)
{
    uint64_t round = 0, got;
    int fd = open(file, O_CREAT | O_RDWR, 0600);

    CHECK(fd >= 0);
    printf("fscheck: held\n");
    fflush(stdout);
    while (!exists(stop) && errors == 0) {
        round++;
        CHECK(pwrite(fd, &round, 8, (round % 1000) * 8) == 8 && (round % 50 || fdatasync(fd) == 0));
        CHECK(pread(fd, &got, 8, (round % 1000) * 8) == 8 && got == round);
        usleep(2000);
    }
    CHECK(round > 10 && close(fd) == 0);
}

/* Of the whole file: 0, or -1 if somebody else has it. */
static int lock_file(int fd, int posix, int waits)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return posix ? fcntl(fd, waits ? F_SETLKW : F_SETLK, &range) : flock(fd, LOCK_EX | (waits ? 0 : LOCK_NB));
}

static int locks(int waits, const char *kind, const char *file, const char *stop)
{
    int fd = open(file, O_CREAT | O_RDWR, 0600);
    int held = fd >= 0 && lock_file(fd, strcmp(kind, "posix") == 0, waits) == 0;

    puts(held ? waits ? "locked" : "free" : errno == EAGAIN ? "held" : strerror(errno));
    fflush(stdout);
    while (waits && held && !exists(stop))
        usleep(20000);
    return 0;
}

int main(int argc, char **argv)
{
    umask(022);
    if (argc == 5 && strcmp(argv[1], "lock") == 0)
        return locks(1, argv[2], argv[3], argv[4]);
    if (argc == 4 && strcmp(argv[1], "try") == 0)
        return locks(0, argv[2], argv[3], "");
    if (argc == 4 && strcmp(argv[1], "hold") == 0) {
        hold(argv[2], argv[3]);
    } else if (argc >= 3 && CHECK(chdir(argv[2]) == 0)) {
        if (argc == 5 && strcmp(argv[1], "ops") == 0) {
            state = strtoull(argv[3], NULL, 0);
            operations(atoi(argv[4]));
        } else if (CHECK(mkdir("check", 0755) == 0 && chdir("check") == 0)) {
            names();
            attributes();
            contents();
            entries();
            CHECK(chdir("..") == 0 && system("rm -r check") == 0);
        }
    }
    printf("fscheck: checks=%d errors=%d\n", checks, errors);
    return errors != 0 || checks == 0;
}
