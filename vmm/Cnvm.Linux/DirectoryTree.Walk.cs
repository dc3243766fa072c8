using System.Text;

namespace Cnvm.Linux;

// How names become descriptors, and what is removed.
public sealed unsafe partial class DirectoryTree
{
    private const int DirectoryBuffer = 32 << 10;

    private static byte[] Bytes(string name) => [.. Encoding.Latin1.GetBytes(name), 0];

    /// <summary>The folder of a name and the last part of it; false for the tree's root itself.</summary>
    private static bool TrySplit(string name, out string parent, out string last)
    {
        ArgumentNullException.ThrowIfNull(name);
        string trimmed = name.Trim('/');
        int slash = trimmed.LastIndexOf('/');
        parent = slash < 0 ? "" : trimmed[..slash];
        last = trimmed[(slash + 1)..];
        return last is ".." ? throw new LinuxException($"name '{name}' ends in ..", Errno.EINVAL)
            : last.Contains('\0', StringComparison.Ordinal) ? throw new LinuxException("a name has a null byte", Errno.EINVAL)
            : last.Length > 0 && last is not ".";
    }

    /// <summary>The folder that a new entry goes into, and its name there, which nothing has any more.</summary>
    private int Place(string name, out byte[] last)
    {
        if (!TrySplit(name, out string parent, out string text))
        {
            throw new LinuxException($"'{name}' is the root of the tree", Errno.EISDIR);
        }

        int directory = Parent(parent);
        last = Bytes(text);
        fixed (byte* n = last)
        {
            stat there;
            if (FileCalls.StatAt(directory, n, &there) < 0)
            {
                return directory;
            }

            if ((there.st_mode & FileCalls.S_IFMT) == FileCalls.S_IFDIR)
            {
                // Folders that are remembered may go with it.
                Forget();
                directory = Parent(parent);
            }

            RemoveAt(directory, n);
        }

        return directory;
    }

    /// <summary>A folder of the tree; it is made if it is missing. Stays this object's.</summary>
    private int Parent(string name)
    {
        if (_parent is not null && _parentPath == name)
        {
            return _parent.Value;
        }

        FileDescriptor? opened = TryOpenBelow(name, FileCalls.O_PATH | FileCalls.O_DIRECTORY, name);
        if (opened is null)
        {
            _ = TrySplit(name, out string above, out string last);
            int directory = Parent(above);
            fixed (byte* n = Bytes(last))
            {
                // A link that leads nowhere stands in the way of the folder.
                if (FileCalls.MakeDirectoryAt(directory, n, MissingParentMode) is < 0 and var error)
                {
                    throw new LinuxException($"make directory {name} below {_path}", -error);
                }
            }

            opened = OpenBelow(name, FileCalls.O_PATH | FileCalls.O_DIRECTORY, name);
        }

        Forget();
        (_parent, _parentPath) = (opened, name);
        return opened.Value;
    }

    private void Forget()
    {
        _parent?.Dispose();
        (_parent, _parentPath) = (null, null);
    }

    private FileDescriptor OpenBelow(string name, int flags, string about) =>
        TryOpenBelow(name, flags, about) ?? throw new LinuxException($"open {about} below {_path}", Errno.ENOENT);

    /// <summary>Null if it is not there.</summary>
    /// <param name="otherwise">Another error that means so.</param>
    private FileDescriptor? TryOpenBelow(string name, int flags, string about, int otherwise = Errno.ENOENT)
    {
        int result = RootedOpen.Open(_root, Bytes(name.Length == 0 ? "." : name), flags, 0);
        return result >= 0 ? new FileDescriptor(result)
            : result == -Errno.ENOENT || result == -otherwise ? null
            : throw RootedOpen.Failure($"open {about} below {_path}", -result);
    }

    private void SetAttributes(int file, int? directory, string last, (uint User, uint Group)? owner, uint mode, DateTimeOffset modified)
    {
        stat now;
        Check(FileCalls.Stat(file, &now), last);
        if (owner is { } o)
        {
            Check(FileCalls.ChangeOwner(file, o.User, o.Group), last);
        }

        if ((now.st_mode & FileCalls.S_IFMT) != FileCalls.S_IFLNK)
        {
            fixed (byte* n = Bytes(directory is null ? $"/proc/self/fd/{file}" : last))
            {
                Check(FileCalls.ChangeModeAt(directory ?? FileCalls.AT_FDCWD, n, mode & PermissionBits), last);
            }
        }

        timespec* times = stackalloc timespec[2];
        long ticks = modified.UtcTicks - DateTimeOffset.UnixEpoch.Ticks;
        long seconds = Math.DivRem(ticks, TimeSpan.TicksPerSecond, out long rest);
        if (rest < 0)
        {
            (seconds, rest) = (seconds - 1, rest + TimeSpan.TicksPerSecond);
        }

        times[0] = new timespec { tv_nsec = FileCalls.UTIME_OMIT };
        times[1] = new timespec { tv_sec = seconds, tv_nsec = rest * TimeSpan.NanosecondsPerTick };
        Check(FileCalls.ChangeTimes(file, times), last);
    }

    private static bool IsDirectory(int directory, byte* name)
    {
        stat now;
        return FileCalls.StatAt(directory, name, &now) >= 0 && (now.st_mode & FileCalls.S_IFMT) == FileCalls.S_IFDIR;
    }

    private static bool IsSame(int directory, string name, stat other)
    {
        fixed (byte* n = Bytes(name))
        {
            stat now;
            return FileCalls.StatAt(directory, n, &now) >= 0 && now.st_dev == other.st_dev && now.st_ino == other.st_ino;
        }
    }

    private void RemoveAt(int directory, byte* name)
    {
        int result = FileCalls.UnlinkAt(directory, name, 0);
        if (result is -Errno.EISDIR or -Errno.EPERM && IsDirectory(directory, name))
        {
            using (var below = new FileDescriptor(Check(
                FileCalls.OpenAt(directory, name, Libc.O_RDONLY | FileCalls.O_DIRECTORY | FileCalls.O_NOFOLLOW | Libc.O_CLOEXEC, 0), "directory")))
            {
                RemoveEntries(below.Value, static _ => false);
            }

            result = FileCalls.UnlinkAt(directory, name, FileCalls.AT_REMOVEDIR);
        }

        if (result != -Errno.ENOENT)
        {
            Check(result, "remove");
        }
    }

    private void RemoveEntries(int directory, Func<string, bool> isKept)
    {
        const int NameOffset = 19;
        const int LengthOffset = 16;
        byte[] buffer = new byte[DirectoryBuffer];
        var names = new List<string>();
        fixed (byte* b = buffer)
        {
            int count;
            while ((count = Check(FileCalls.ReadDirectory(directory, b, buffer.Length), "read a directory")) > 0)
            {
                for (int at = 0; at < count; at += BitConverter.ToUInt16(buffer, at + LengthOffset))
                {
                    ReadOnlySpan<byte> rest = buffer.AsSpan(at + NameOffset, count - at - NameOffset);
                    string entry = Encoding.Latin1.GetString(rest[..rest.IndexOf((byte)0)]);
                    if (entry is not ("." or ".."))
                    {
                        names.Add(entry);
                    }
                }
            }
        }

        foreach (string entry in names)
        {
            if (!isKept(entry))
            {
                fixed (byte* n = Bytes(entry))
                {
                    RemoveAt(directory, n);
                }
            }
        }
    }

    private int Check(int result, string name) =>
        result >= 0 ? result : throw new LinuxException($"{name} below {_path}", -result);
}
