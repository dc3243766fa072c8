using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// Files and folders of the host at places that somebody hostile may rename and link meanwhile: by descriptor, so that it is always the place that was
/// opened (open_tree(2), mount_setattr(2), move_mount(2), Linux 5.12). They need CAP_SYS_ADMIN.
/// </summary>
[Abi("sys/mount.h fcntl.h")]
public static unsafe partial class HostMounts
{
    private const uint OPEN_TREE_CLONE = 1;
    private const uint OPEN_TREE_CLOEXEC = 0x80000;
    private const uint AT_RECURSIVE = 0x8000;
    private const uint AT_EMPTY_PATH = 0x1000;
    private const int AT_FDCWD = -100;
    private const uint MOVE_MOUNT_F_EMPTY_PATH = 4;
    private const uint MOVE_MOUNT_T_EMPTY_PATH = 0x40;
    private const ulong MOUNT_ATTR_RDONLY = 1;
    private const ulong MOUNT_ATTR_NOSUID = 2;
    private const ulong MOUNT_ATTR_NODEV = 4;

    /// <summary>Shows a file or folder, with what is mounted below it, at another place. Its set-user-id files and devices count for nothing there.</summary>
    /// <param name="target">The open place, a file for a file and a folder for a folder; stays the caller's.</param>
    /// <param name="readOnly">Nothing can be changed through it, from the moment it is there.</param>
    /// <exception cref="LinuxException">The source is not there, or the host refuses.</exception>
    public static void Bind(string source, int target, bool readOnly)
    {
        using var tree = new FileDescriptor(LinuxError.Check(
            open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), $"bind mount of {source}"));
        mount_attr attributes = new()
        {
            attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (readOnly ? MOUNT_ATTR_RDONLY : 0),
            propagation = Mounts.MS_PRIVATE,
        };
        // SAFETY: the kernel reads a local of the size that it is told.
        LinuxError.Check(
            mount_setattr(tree.Value, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, (nuint)sizeof(mount_attr)), $"set the flags of a mount of {source}");
        LinuxError.Check(
            move_mount(tree.Value, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH), $"put a mount of {source} in its place");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open_tree(int directory, string path, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount_setattr(int directory, string path, uint flags, mount_attr* attributes, nuint size);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int move_mount(int fromDirectory, string from, int toDirectory, string to, uint flags);

    /// <summary>struct mount_attr.</summary>
    [Abi("sys/mount.h", "struct mount_attr")]
    [StructLayout(LayoutKind.Sequential)]
    private struct mount_attr
    {
        public ulong attr_set;
        public ulong attr_clr;
        public ulong propagation;
        public ulong userns_fd;
    }
}
