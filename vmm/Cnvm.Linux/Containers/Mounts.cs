using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>mount(2) and what goes with it, in the calling thread's mount namespace.</summary>
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
    private const long PivotRoot = 155;

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

    /// <summary>Makes an open folder, which must be a mount, the root of the calling thread's mount namespace; the former root is gone.</summary>
    /// <exception cref="LinuxException">It is no mount, or the root is the kernel's first one.</exception>
    public static void MoveRootTo(int directory)
    {
        LinuxError.Check(fchdir(directory), "enter the new root folder");
        // The old root ends up on top of the new one, from where it is detached: no folder has to be made for it (pivot_root(2)).
        LinuxError.Check(pivot(PivotRoot, ".", "."), "pivot_root");
        LinuxError.Check(umount2(".", MNT_DETACH), "detach the former root");
        LinuxError.Check(chdir("/"), "enter the new root");
    }

    /// <summary>Moves the mount at a folder onto the kernel's first root, and makes it the calling process's root (as switch_root(8) does).</summary>
    /// <exception cref="LinuxException">Nothing is mounted there.</exception>
    public static void SwitchRoot(string folder)
    {
        LinuxError.Check(chdir(folder), $"enter {folder}");
        Mount(".", "/", null, MS_MOVE, null);
        LinuxError.Check(chroot("."), "chroot");
        LinuxError.Check(chdir("/"), "enter the new root");
    }

    /// <summary>Sets the calling thread's working directory.</summary>
    /// <returns>0, or the error number.</returns>
    public static int ChangeDirectory(string path) => chdir(path) == 0 ? 0 : LinuxError.Last;

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
