namespace Cnvm.Linux;

/// <summary>The calling thread as the kernel sees it.</summary>
public static unsafe class NativeThread
{
    /// <summary>Highest host CPU number plus one that <see cref="SetAffinity"/> takes.</summary>
    public const int MaxCpus = 8192;

    /// <summary>The kernel's id of the calling thread.</summary>
    public static int CurrentId => Libc.gettid();

    /// <summary>This process.</summary>
    public static int ProcessId => Libc.getpid();

    /// <summary>
    /// Makes the kernel and its tools (ps, top, <c>/proc/PID/task/TID/comm</c>) show the calling thread under its
    /// <see cref="Thread.Name"/>, of which the first 15 bytes count. NativeAOT does not do that by itself.
    /// </summary>
    public static void ShowName()
    {
        if (Thread.CurrentThread.Name is { } name)
        {
            LinuxError.Check(Libc.prctl(Libc.PR_SET_NAME, name, 0, 0, 0), "prctl(PR_SET_NAME)");
        }
    }

    /// <summary>Lets the calling thread run on these host CPUs only.</summary>
    /// <exception cref="LinuxException">None of the CPUs exists or is allowed.</exception>
    public static void SetAffinity(ReadOnlySpan<int> cpus)
    {
        ulong* mask = stackalloc ulong[MaxCpus / 64];
        new Span<ulong>(mask, MaxCpus / 64).Clear();
        foreach (int cpu in cpus)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(cpu);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(cpu, MaxCpus);
            // SAFETY: the index was just checked against the mask's size.
            mask[cpu / 64] |= 1UL << (cpu % 64);
        }

        // SAFETY: the kernel reads the mask's bytes.
        LinuxError.Check(Libc.sched_setaffinity(0, MaxCpus / 8, mask), "sched_setaffinity");
    }

    /// <summary>Host CPUs that the calling thread may run on.</summary>
    public static int[] GetAffinity()
    {
        ulong* mask = stackalloc ulong[MaxCpus / 64];
        var words = new Span<ulong>(mask, MaxCpus / 64);
        words.Clear();
        // SAFETY: the kernel writes at most the mask's bytes.
        LinuxError.Check(Libc.sched_getaffinity(0, MaxCpus / 8, mask), "sched_getaffinity");
        var cpus = new List<int>();
        for (int cpu = 0; cpu < MaxCpus; cpu++)
        {
            if ((words[cpu / 64] & (1UL << (cpu % 64))) != 0)
            {
                cpus.Add(cpu);
            }
        }

        return [.. cpus];
    }
}
