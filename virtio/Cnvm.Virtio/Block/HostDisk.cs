using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>Opens files and block devices of the host as disks, and locks them against other users.</summary>
internal static class HostDisk
{
    /// <summary>Opens and locks a disk. The caller disposes it.</summary>
    /// <exception cref="BlockImageException">It cannot be opened, is not a disk, or is in use.</exception>
    public static DiskFile Open(RawImageOptions options, bool isDirect)
    {
        DiskFile file = OpenUnlocked(options.Path, options.IsReadOnly, isDirect);
        try
        {
            if (!options.IsUnlocked)
            {
                Lock(file, options.IsReadOnly, options.LockWholeFile);
            }

            return file;
        }
        catch (Exception e)
        {
            file.Dispose();
            if (e is LinuxException)
            {
                throw new BlockImageException($"disk {options.Path} cannot be used: {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>Opens a disk that somebody else may use as well.</summary>
    /// <exception cref="BlockImageException">It cannot be opened, or is not a disk.</exception>
    public static DiskFile OpenUnlocked(string path, bool isReadOnly, bool isDirect)
    {
        DiskFile file;
        try
        {
            file = new DiskFile(path, isReadOnly, isDirect);
        }
        catch (LinuxException e)
        {
            throw new BlockImageException($"disk {path} cannot be opened{Hint(e)}: {e.Message}", e);
        }

        if (!file.IsRegularFile && !file.IsBlockDevice)
        {
            file.Dispose();
            throw new BlockImageException($"disk {path} is neither a regular file nor a block device");
        }

        return file;
    }

    /// <summary>Takes the lock: readers share it, a writer is alone.</summary>
    /// <exception cref="BlockImageException">Somebody else has it.</exception>
    public static void Lock(DiskFile file, bool isReadOnly, bool wholeFile)
    {
        if (!file.TryLock(exclusive: !isReadOnly, LockedBytes(file, wholeFile)))
        {
            throw InUse(file, isReadOnly);
        }
    }

    /// <summary>Throws if <see cref="Lock"/> would now; nothing is locked.</summary>
    /// <exception cref="BlockImageException">Somebody else has it.</exception>
    public static void ThrowIfLocked(DiskFile file, bool isReadOnly, bool wholeFile)
    {
        if (!file.CanLock(exclusive: !isReadOnly, LockedBytes(file, wholeFile)))
        {
            throw InUse(file, isReadOnly);
        }
    }

    /// <inheritdoc cref="IBlockImage.CopyTo"/>
    public static void Copy(DiskFile disk, SafeFileHandle copy)
    {
        if (!disk.IsRegularFile)
        {
            throw new BlockImageException($"disk {disk.Path} is a block device: only disks in files can be copied");
        }

        try
        {
            disk.CopyTo(copy);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlockImageException($"disk {disk.Path} cannot be copied: {e.Message}", e);
        }
    }

    private static ulong LockedBytes(DiskFile file, bool wholeFile) => wholeFile || file.IsBlockDevice ? 0 : file.Size;

    private static BlockImageException InUse(DiskFile file, bool isReadOnly)
    {
        int holder = file.FindLockHolder();
        string who = holder > 0 ? $" (process {holder}{CommandOf(holder)})" : "";
        string advice = isReadOnly
            ? "stop it, or have it open the disk read-only too"
            : "stop it, or open the disk read-only in both";
        return new BlockImageException($"disk {file.Path} is in use by another disk or process{who}: {advice}");
    }

    private static string CommandOf(int pid)
    {
        try
        {
            return $", {File.ReadAllText($"/proc/{pid}/comm").Trim()}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended, or may not be looked at: the number alone must do.
            return "";
        }
    }

    private static string Hint(LinuxException e) => e.Errno switch
    {
        Errno.ENOENT => " (no such file)",
        Errno.EACCES or Errno.EPERM => " (no permission)",
        Errno.EINVAL => " (the file system may not support direct I/O)",
        _ => "",
    };
}
