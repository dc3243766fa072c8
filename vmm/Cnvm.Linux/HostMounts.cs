using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Mounts in this process's mount namespace (mount(2), umount2(2)). They need CAP_SYS_ADMIN.</summary>
[Abi("sys/mount.h")]
public static partial class HostMounts
{
    private const nuint MS_RDONLY = 1;
    private const nuint MS_NOSUID = 2;
    private const nuint MS_NODEV = 4;
    private const nuint MS_REMOUNT = 32;
    private const nuint MS_BIND = 4096;
    private const nuint MS_REC = 16384;
    private const nuint MS_PRIVATE = 1 << 18;
    private const int MNT_DETACH = 2;
    private const int UMOUNT_NOFOLLOW = 8;

    /// <summary>Shows a file or folder, with what is mounted below it, at another place. Its set-user-id files and devices count for nothing there.</summary>
    /// <exception cref="LinuxException">One of the two is not there, or the host refuses.</exception>
    public static void Bind(string source, string target, bool readOnly)
    {
        LinuxError.Check(mount(source, target, null, MS_BIND | MS_REC, null), $"bind mount of {source} at {target}");
        try
        {
            LinuxError.Check(mount(null, target, null, MS_PRIVATE, null), $"make {target} private");
            nuint flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | (readOnly ? MS_RDONLY : 0);
            LinuxError.Check(mount(null, target, null, flags, null), $"remount {target}");
        }
        catch
        {
            Unmount(target);
            throw;
        }
    }

    /// <summary>Mounts a file system.</summary>
    /// <param name="options">As mount(8) has them in its data argument.</param>
    /// <param name="readOnly">Nothing can be changed through it.</param>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void Mount(string type, string source, string target, string options, bool readOnly) => LinuxError.Check(
        mount(source, target, type, MS_NOSUID | MS_NODEV | (readOnly ? MS_RDONLY : 0), options), $"mount {type} {source} at {target}");

    /// <summary>Takes a mount away at once, whoever still uses it; does nothing if there is none.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static void Unmount(string target)
    {
        if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && LinuxError.Last is not (Errno.EINVAL or Errno.ENOENT))
        {
            LinuxError.Throw($"unmount {target}");
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string? source, string target, string? type, nuint flags, string? data);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);
}
