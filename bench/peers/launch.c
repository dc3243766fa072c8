/*
 * launch PROGRAM [ARGUMENT...]
 *
 * Says when the program is executed, so that a figure holds nothing of the harness: writes the monotonic clock and the processor
 * time used so far, in nanoseconds, as one line to standard output, and becomes the program. The program dies with the harness.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        err(127, "clock_gettime");
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        errx(127, "usage: launch PROGRAM [ARGUMENT...]");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        err(127, "prctl");
    dprintf(STDOUT_FILENO, "%lld %lld\n", nanoseconds(CLOCK_MONOTONIC), nanoseconds(CLOCK_PROCESS_CPUTIME_ID));
    execvp(argv[1], argv + 1);
    err(127, "%s", argv[1]);
}
