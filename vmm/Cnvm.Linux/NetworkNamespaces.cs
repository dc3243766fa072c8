using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Network namespaces that processes are started in (setns(2)).</summary>
[Abi("sched.h")]
public static partial class NetworkNamespaces
{
    /// <summary>The calling thread's own.</summary>
    public const string Own = "/proc/thread-self/ns/net";
    private const int CLONE_NEWNET = 0x40000000;

    /// <summary>
    /// Carries something out on a thread of its own that is in the namespace, and ends with it: programs that are started there are in the
    /// namespace, and this process stays where it is.
    /// </summary>
    /// <param name="path">Of the namespace, as /run/netns/NAME or /proc/PID/ns/net.</param>
    /// <exception cref="LinuxException">There is no such namespace, or this process may not enter it (CAP_SYS_ADMIN).</exception>
    public static T Within<T>(string path, Func<T> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        T? result = default;
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var space = new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0), $"open network namespace {path}"));
                LinuxError.Check(setns(space.Value, CLONE_NEWNET), $"enter network namespace {path}");
                result = action();
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    /// <summary>What tells a namespace from all others that live: device and number of its file.</summary>
    /// <param name="path">Of the namespace.</param>
    /// <returns>Null if there is no such file.</returns>
    /// <exception cref="LinuxException">It cannot be looked at.</exception>
    public static string? IdentityOf(string path)
    {
        int fd = Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
        if (fd < 0 && LinuxError.Last == Errno.ENOENT)
        {
            return null;
        }

        using var space = new FileDescriptor(LinuxError.Check(fd, $"open network namespace {path}"));
        FileStatus status = FileStatus.Of(space.Value, path);
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{status.DeviceMajor}:{status.DeviceMinor}:{status.Inode}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int fd, int type);
}
