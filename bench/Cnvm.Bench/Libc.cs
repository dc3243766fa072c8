using System.Runtime.InteropServices;

namespace Cnvm.Bench;

/// <summary>What the harness asks the kernel about processes that are not its own.</summary>
internal static partial class Libc
{
    /// <summary>Processor time of all threads, ended ones included, that a process has used, in nanoseconds.</summary>
    public static long ProcessorTime(int processId)
    {
        // The clock of a process is its number inverted, with CPUCLOCK_SCHED below (clock_getcpuclockid(3), linux/posix-timers.h).
        const int Sched = 2;
        return clock_gettime((~processId << 3) | Sched, out Timespec time) == 0
            ? (time.Seconds * 1_000_000_000) + time.Nanoseconds
            : throw new MeasurementException($"process {processId} has no processor clock (errno {Marshal.GetLastPInvokeError()})");
    }

    /// <summary>Steps back for less than a timer of .NET can.</summary>
    public static void Pause(uint microseconds) => _ = usleep(microseconds);

    /// <summary>Removes a folder that is empty for the kernel: a control group seems to have files. Does nothing if it is still in use.</summary>
    public static void RemoveFolder(string path) => _ = rmdir(path);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int clock_gettime(int clock, out Timespec time);

    [LibraryImport("libc")]
    private static partial int usleep(uint microseconds);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rmdir(string path);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
