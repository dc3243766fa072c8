using System.Globalization;
using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>mount(2) and what goes with it, in the calling thread's mount namespace. It needs CAP_SYS_ADMIN.</summary>
[Abi("sys/mount.h fcntl.h")]
public static partial class Mounts
{
    public const ulong MS_RDONLY = 1;
    public const ulong MS_NOSUID = 2;
    public const ulong MS_NODEV = 4;
    public const ulong MS_NOEXEC = 8;
    public const ulong MS_SYNCHRONOUS = 16;
    public const ulong MS_REMOUNT = 32;
    public const ulong MS_MANDLOCK = 64;
    public const ulong MS_DIRSYNC = 128;
    public const ulong MS_NOSYMFOLLOW = 256;
    public const ulong MS_NOATIME = 1024;
    public const ulong MS_NODIRATIME = 2048;
    public const ulong MS_BIND = 4096;
    public const ulong MS_MOVE = 8192;
    public const ulong MS_REC = 16384;
    public const ulong MS_SILENT = 32768;
    public const ulong MS_UNBINDABLE = 1 << 17;
    public const ulong MS_PRIVATE = 1 << 18;
    public const ulong MS_SLAVE = 1 << 19;
    public const ulong MS_SHARED = 1 << 20;
    public const ulong MS_RELATIME = 1 << 21;
    public const ulong MS_STRICTATIME = 1 << 24;
    public const ulong MS_LAZYTIME = 1 << 25;
    private const int MNT_DETACH = 2;
    private const int UMOUNT_NOFOLLOW = 8;
    private const long PivotRoot = 155;

    /// <summary>Mounts on top of each other that are taken away at one place.</summary>
    private const int MostLayers = 64;

    /// <param name="source">What is mounted; null for changes of a mount that is there.</param>
    /// <param name="type">File system; null for binds and changes.</param>
    /// <param name="flags">MS_ flags.</param>
    /// <param name="data">Options of the file system.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Mount(string? source, string target, string? type, ulong flags, string? data) =>
        LinuxError.Check(mount(source, target, type, (nuint)flags, data), $"mount {type ?? "(bind)"} {source} on {target}");

    /// <summary>Takes a mount away from its place at once; it ends when nobody uses it any more.</summary>
    /// <exception cref="LinuxException">Nothing is mounted there.</exception>
    public static void Detach(string target) => LinuxError.Check(umount2(target, MNT_DETACH), $"unmount {target}");

    /// <summary>As <see cref="Mount(string?, string, string?, ulong, string?)"/>; relative paths in the data are seen from a folder.</summary>
    public static void Mount(string? source, string target, string? type, ulong flags, string? data, string directory)
    {
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        // A working directory belongs to all threads that share it, so that this needs a thread that does not.
        var thread = new Thread(() =>
        {
            try
            {
                if (!FileCreationMask.TrySetForThread(0))
                {
                    throw new LinuxException("give a thread a working directory of its own", Errno.EPERM);
                }

                LinuxError.Check(chdir(directory), $"enter {directory}");
                Mount(source, target, type, flags, data);
            }
            catch (LinuxException e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    /// <summary>Takes away whatever is mounted at a place, whoever still uses it, and follows no link there. Does nothing if that is nothing.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void UnmountAll(string target)
    {
        for (int i = 0; i < MostLayers && TryDetach(target, UMOUNT_NOFOLLOW); i++)
        {
        }
    }

    /// <summary>Takes one mount away at once, whoever still uses it, and follows no link there; does nothing if there is none.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void Unmount(string target) => TryDetach(target, UMOUNT_NOFOLLOW);

    /// <summary>As <see cref="Unmount(string)"/>, of what is mounted at an open file or folder, which is the mount's own.</summary>
    /// <param name="mounted">Stays the caller's.</param>
    public static void Unmount(int mounted) => TryDetach(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{mounted}"), 0);

    /// <returns>False if nothing is mounted there.</returns>
    private static bool TryDetach(string target, int flags)
    {
        if (umount2(target, MNT_DETACH | flags) >= 0)
        {
            return true;
        }

        return LinuxError.Last is Errno.EINVAL or Errno.ENOENT or Errno.ENOTDIR ? false : throw new LinuxException($"unmount {target}", LinuxError.Last);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string? source, string target, string? type, nuint flags, string? data);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);

    // syscall is variadic in C; on x86-64 a variadic call passes pointers as an ordinary one does.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int pivot(long number, string newRoot, string oldRoot);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chroot(string path);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chdir(string path);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchdir(int fd);
}
