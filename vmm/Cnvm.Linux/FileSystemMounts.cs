using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Mounts with all flags of mount(2), in this process's mount namespace. They need CAP_SYS_ADMIN.</summary>
[Abi("sys/mount.h errno.h")]
public static partial class FileSystemMounts
{
    public const ulong MS_RDONLY = 1;
    public const ulong MS_NOSUID = 2;
    public const ulong MS_NODEV = 4;
    public const ulong MS_NOEXEC = 8;
    public const ulong MS_SYNCHRONOUS = 16;
    public const ulong MS_REMOUNT = 32;
    public const ulong MS_MANDLOCK = 64;
    public const ulong MS_DIRSYNC = 128;
    public const ulong MS_NOATIME = 1024;
    public const ulong MS_NODIRATIME = 2048;
    public const ulong MS_BIND = 4096;
    public const ulong MS_REC = 16384;
    public const ulong MS_RELATIME = 1 << 21;
    public const ulong MS_STRICTATIME = 1 << 24;
    private const int MNT_DETACH = 2;
    private const int UMOUNT_NOFOLLOW = 8;

    /// <summary>Mounts on top of each other that are taken away at one place.</summary>
    private const int MostLayers = 64;

    /// <summary>Mounts a file system, or shows a folder at another place.</summary>
    /// <param name="type">As in /proc/filesystems; not looked at with <see cref="MS_BIND"/>.</param>
    /// <param name="flags">Flags of this class.</param>
    /// <param name="data">What the file system itself takes, separated by commas; shorter than a page.</param>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void Mount(string type, string source, string target, ulong flags, string data) => LinuxError.Check(
        mount(source, target, type, (nuint)flags, data), $"mount {type} {source} at {target} with '{data}'");

    /// <summary>As <see cref="Mount(string, string, string, ulong, string)"/>; relative paths in the data are seen from a folder.</summary>
    public static void Mount(string type, string source, string target, ulong flags, string data, string directory)
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

                Directory.SetCurrentDirectory(directory);
                Mount(type, source, target, flags, data);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    /// <summary>Takes away whatever is mounted at a place, whoever still uses it. Does nothing if that is nothing.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void UnmountAll(string target)
    {
        for (int i = 0; i < MostLayers; i++)
        {
            if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            {
                if (LinuxError.Last is Errno.EINVAL or Errno.ENOENT or Errno.ENOTDIR)
                {
                    return;
                }

                LinuxError.Throw($"unmount {target}");
            }
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string source, string target, string type, nuint flags, string data);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);
}
