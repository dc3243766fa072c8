using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>
/// A folder whose contents are written by names that somebody else chose. Names are walked as if the folder were the root directory
/// (openat2(2), RESOLVE_IN_ROOT): neither <c>..</c> nor any link leads out of it. Names are bytes, one to each character (Latin-1), so that
/// none is refused or changed. One thread. Who changes the folder meanwhile can make calls fail or land elsewhere in it, and not outside of it.
/// </summary>
public sealed unsafe partial class DirectoryTree : IDisposable
{
    private const uint PrivateMode = 0x1c0;
    private const uint MissingParentMode = 0x1ed;
    private const int PermissionBits = 0xfff;
    private readonly FileDescriptor _root;
    private readonly string _path;
    private string? _parentPath;
    private FileDescriptor? _parent;

    private DirectoryTree(FileDescriptor root, string path)
    {
        _root = root;
        _path = path;
    }

    /// <summary>Opens a folder that exists.</summary>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    public static DirectoryTree Open(string path) => new(
        new FileDescriptor(LinuxError.Check(Libc.open(path, FileCalls.O_PATH | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open {path}")), path);

    /// <summary>Where the folder is, without links on the way.</summary>
    public string RealPath => File.ResolveLinkTarget($"/proc/self/fd/{_root.Value}", returnFinalTarget: false)!.FullName;

    /// <summary>Makes a directory, and those above it that are missing; whatever else has its name is replaced. One that is there stays as it is.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public void MakeDirectory(string name)
    {
        if (!TrySplit(name, out string parent, out string last))
        {
            return;
        }

        int directory = Parent(parent);
        fixed (byte* n = Bytes(last))
        {
            int result = FileCalls.MakeDirectoryAt(directory, n, PrivateMode);
            if (result == -Errno.EEXIST && !IsDirectory(directory, n))
            {
                RemoveAt(directory, n);
                result = FileCalls.MakeDirectoryAt(directory, n, PrivateMode);
            }

            if (result != -Errno.EEXIST)
            {
                Check(result, name);
            }
        }
    }

    /// <summary>Makes a regular file for writing, in place of whatever has its name.</summary>
    /// <returns>The caller's.</returns>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public SafeFileHandle MakeFile(string name)
    {
        const uint OwnerReadWrite = 0x180;
        int directory = Place(name, out byte[] last);
        fixed (byte* n = last)
        {
            int fd = FileCalls.OpenAt(
                directory, n, Libc.O_WRONLY | Libc.O_CREAT | Libc.O_EXCL | Libc.O_CLOEXEC | FileCalls.O_NOFOLLOW, OwnerReadWrite);
            return new SafeFileHandle(Check(fd, name), ownsHandle: true);
        }
    }

    /// <summary>Opens a regular file for reading; links on the way stay in the tree.</summary>
    /// <returns>Null if there is no such file; the caller's.</returns>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public SafeFileHandle? TryOpenFile(string name)
    {
        // Without waiting: it may be a FIFO that nobody writes to.
        FileDescriptor? found = TryOpenBelow(name.Trim('/'), Libc.O_RDONLY | Libc.O_NONBLOCK, name);
        if (found is null)
        {
            return null;
        }

        using (found)
        {
            stat status;
            Check(FileCalls.Stat(found.Value, &status), name);
            return (status.st_mode & FileCalls.S_IFMT) == FileCalls.S_IFREG
                ? new SafeFileHandle(FileDescriptor.Duplicate(found.Value), ownsHandle: true)
                : null;
        }
    }

    /// <summary>What has the name, to be passed on by its descriptor; links on the way stay in the tree, and a link itself is opened as such.</summary>
    /// <returns>Null if there is none; the caller's.</returns>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public FileDescriptor? TryOpenPlace(string name) =>
        TryOpenBelow(name.Trim('/'), FileCalls.O_PATH | FileCalls.O_NOFOLLOW, name, Errno.ENOTDIR);

    /// <summary>Makes a symbolic link in place of whatever has its name; the target is never looked at.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public void MakeSymbolicLink(string name, string target)
    {
        int directory = Place(name, out byte[] last);
        fixed (byte* t = Bytes(target))
        fixed (byte* n = last)
        {
            Check(FileCalls.MakeSymbolicLinkAt(t, directory, n), name);
        }
    }

    /// <summary>Gives a file of the tree another name, in place of whatever has it. A symbolic link is linked itself.</summary>
    /// <exception cref="LinuxException">There is no such file, or the host refuses.</exception>
    public void MakeHardLink(string name, string existing)
    {
        if (!TrySplit(existing, out string parent, out string from))
        {
            throw new LinuxException($"link {name} to {existing}", Errno.EPERM);
        }

        using FileDescriptor source = OpenBelow(parent, FileCalls.O_PATH | FileCalls.O_DIRECTORY, existing);
        fixed (byte* f = Bytes(from))
        {
            // A link to itself would remove the only one.
            stat now;
            Check(FileCalls.StatAt(source.Value, f, &now), existing);
            if (TrySplit(name, out string toParent, out string last) && IsSame(Parent(toParent), last, now))
            {
                return;
            }

            int directory = Place(name, out byte[] to);
            fixed (byte* t = to)
            {
                // SAFETY: two descriptors and two null-terminated names.
                Check(linkat(source.Value, f, directory, t, 0) < 0 ? -LinuxError.Last : 0, name);
            }
        }
    }

    /// <summary>Makes a FIFO or a device, in place of whatever has its name.</summary>
    /// <param name="type">One of <see cref="FileCalls.S_IFIFO"/>, <see cref="FileCalls.S_IFCHR"/> and <see cref="FileCalls.S_IFBLK"/>.</param>
    /// <returns>False if this process may not.</returns>
    /// <exception cref="LinuxException">The host refuses for another reason.</exception>
    public bool TryMakeNode(string name, uint type, uint major, uint minor)
    {
        const uint OwnerReadWrite = 0x180;
        int directory = Place(name, out byte[] last);
        fixed (byte* n = last)
        {
            int result = FileCalls.MakeNodeAt(directory, n, type | OwnerReadWrite, FileCalls.DeviceNumber(major, minor));
            if (result == -Errno.EPERM)
            {
                return false;
            }

            Check(result, name);
            return true;
        }
    }

    /// <summary>Sets owner, mode and time of modification of what has the name; a symbolic link has no mode.</summary>
    /// <param name="owner">Null leaves them as they are.</param>
    /// <param name="mode">The twelve bits of chmod(1).</param>
    /// <exception cref="LinuxException">It is not there, or the host refuses.</exception>
    public void SetAttributes(string name, (uint User, uint Group)? owner, uint mode, DateTimeOffset modified)
    {
        if (!TrySplit(name, out string parent, out string last))
        {
            SetAttributes(_root.Value, null, ".", owner, mode, modified);
            return;
        }

        int directory = Parent(parent);
        fixed (byte* n = Bytes(last))
        {
            using var file = new FileDescriptor(Check(
                FileCalls.OpenAt(directory, n, FileCalls.O_PATH | FileCalls.O_NOFOLLOW | Libc.O_CLOEXEC, 0), name));
            SetAttributes(file.Value, directory, last, owner, mode, modified);
        }
    }

    /// <summary>Sets an extended attribute of a file or directory, where the host lets this process.</summary>
    /// <returns>False if it does not.</returns>
    /// <exception cref="LinuxException">There is no such file.</exception>
    public bool TrySetExtendedAttribute(string name, string attribute, ReadOnlySpan<byte> value)
    {
        using FileDescriptor file = OpenBelow(name, FileCalls.O_PATH | FileCalls.O_NOFOLLOW, name);
        fixed (byte* p = Bytes($"/proc/self/fd/{file.Value}"))
        fixed (byte* a = Bytes(attribute))
        fixed (byte* v = value)
        {
            return FileCalls.SetAttribute(p, a, v, value.Length, 0) >= 0;
        }
    }

    /// <summary>Removes what has the name, with everything below it; does nothing if it is not there.</summary>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public void Remove(string name)
    {
        if (!TrySplit(name, out string parent, out string last))
        {
            return;
        }

        Forget();
        using FileDescriptor? directory = TryOpenBelow(parent, FileCalls.O_PATH | FileCalls.O_DIRECTORY, name);
        if (directory is not null)
        {
            fixed (byte* n = Bytes(last))
            {
                RemoveAt(directory.Value, n);
            }
        }
    }

    /// <summary>Removes everything below a directory but what somebody wants to keep; does nothing if it is none.</summary>
    /// <param name="isKept">Is given names from the tree's root on; of a directory that is kept, everything below is looked at.</param>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public void RemoveBelow(string name, Func<string, bool> isKept)
    {
        ArgumentNullException.ThrowIfNull(isKept);
        Forget();
        using FileDescriptor? directory = TryOpenBelow(name, Libc.O_RDONLY | FileCalls.O_DIRECTORY | FileCalls.O_NOFOLLOW, name, Errno.ENOTDIR);
        if (directory is not null)
        {
            RemoveEntries(directory.Value, entry =>
            {
                string full = name.Length == 0 ? entry : $"{name}/{entry}";
                bool kept = isKept(full);
                if (kept)
                {
                    RemoveBelow(full, isKept);
                }

                return kept;
            });
        }
    }

    public void Dispose()
    {
        Forget();
        _root.Dispose();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int linkat(int fromDirectory, byte* from, int toDirectory, byte* to, int flags);
}
