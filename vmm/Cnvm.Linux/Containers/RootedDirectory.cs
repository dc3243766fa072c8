using System.Runtime.InteropServices;
using System.Text;

namespace Cnvm.Linux;

/// <summary>
/// A folder whose contents are somebody else's: paths are walked as if it were the root, so that neither <c>..</c> nor symbolic links lead
/// out of it (openat2(2) with RESOLVE_IN_ROOT).
/// </summary>
public sealed unsafe partial class RootedDirectory : IDisposable
{
    private readonly FileDescriptor _root;
    private readonly string _path;

    /// <exception cref="LinuxException">It is no folder.</exception>
    public RootedDirectory(string path)
    {
        _path = path;
        _root = new FileDescriptor(LinuxError.Check(
            Libc.open(path, FileCalls.O_PATH | FileCalls.O_DIRECTORY | Libc.O_CLOEXEC, 0), $"open the folder {path}"));
    }

    /// <summary>The folder itself; valid until disposed.</summary>
    public int Fd => _root.Value;

    /// <summary>How a file that is open is named to calls that take paths.</summary>
    public static string NameOf(FileDescriptor file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return $"/proc/self/fd/{file.Value}";
    }

    /// <summary>Opens what is there.</summary>
    /// <exception cref="LinuxException">It is not there, or the kernel refuses.</exception>
    public FileDescriptor Open(string path, int flags, uint mode = 0) =>
        TryOpen(path, flags, mode, out int error) ?? throw RootedOpen.Failure($"open {path} in {_path}", error);

    /// <returns>Null, and the error number, if it cannot be opened.</returns>
    public FileDescriptor? TryOpen(string path, int flags, uint mode, out int error)
    {
        int result = RootedOpen.Open(_root, Bytes(path), flags, mode);
        error = result < 0 ? -result : 0;
        return result < 0 ? null : new FileDescriptor(result);
    }

    /// <summary>Opens a folder with O_PATH, making it and those above it where they are missing.</summary>
    /// <exception cref="LinuxException">Something else is there, or the kernel refuses.</exception>
    public FileDescriptor OpenOrMakeDirectory(string path, uint mode)
    {
        const int Flags = FileCalls.O_PATH | FileCalls.O_DIRECTORY;
        path = path.Trim('/');
        if (TryOpen(path.Length == 0 ? "." : path, Flags, 0, out int error) is { } there)
        {
            return there;
        }

        if (error != Errno.ENOENT)
        {
            throw RootedOpen.Failure($"open the folder {path} in {_path}", error);
        }

        (string above, string name) = Split(path);
        using (FileDescriptor parent = OpenOrMakeDirectory(above, mode))
        {
            Check(Named(name, p => FileCalls.MakeDirectoryAt(parent.Value, (byte*)p, mode)), $"make the folder {path} in {_path}", Errno.EEXIST);
        }

        return Open(path, Flags);
    }

    /// <summary>Opens a file with O_PATH, making an empty one, and the folders above it, if nothing is there.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public FileDescriptor OpenOrMakeFile(string path, uint mode, uint directoryMode)
    {
        if (TryOpen(path, FileCalls.O_PATH, 0, out int error) is { } there)
        {
            return there;
        }

        if (error != Errno.ENOENT)
        {
            throw RootedOpen.Failure($"open {path} in {_path}", error);
        }

        OpenOrMakeDirectory(Split(path).Above, directoryMode).Dispose();
        using (FileDescriptor made = Open(path, Libc.O_CREAT | Libc.O_WRONLY | FileCalls.O_NOFOLLOW, mode))
        {
            return Open(path, FileCalls.O_PATH);
        }
    }

    /// <summary>Makes a device node or another special file; whatever has the name already, unless it is a folder, is replaced.</summary>
    /// <returns>0, or the error number.</returns>
    public int MakeNode(string path, uint mode, uint major, uint minor, uint user, uint group)
    {
        (string above, string name) = Split(path);
        using FileDescriptor parent = OpenOrMakeDirectory(above, 0x1ed);
        ulong device = FileCalls.DeviceNumber(major, minor);
        _ = Named(name, p => FileCalls.UnlinkAt(parent.Value, (byte*)p, 0));
        int error = Named(name, p => FileCalls.MakeNodeAt(parent.Value, (byte*)p, mode, device));
        if (error == 0)
        {
            // The creation mask took bits away.
            error = Named(name, p => FileCalls.ChangeModeAt(parent.Value, (byte*)p, mode & 0xfff));
        }

        if (error == 0 && (user != 0 || group != 0))
        {
            using FileDescriptor node = Open(path, FileCalls.O_PATH | FileCalls.O_NOFOLLOW);
            error = FileCalls.ChangeOwner(node.Value, user, group);
        }

        return -error;
    }

    /// <summary>Makes a symbolic link unless something has the name already.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void MakeLink(string path, string target)
    {
        (string above, string name) = Split(path);
        using FileDescriptor parent = OpenOrMakeDirectory(above, 0x1ed);
        byte[] text = Bytes(target);
        fixed (byte* t = text)
        {
            nint to = (nint)t;
            Check(Named(name, p => FileCalls.MakeSymbolicLinkAt((byte*)to, parent.Value, (byte*)p)), $"link {path} in {_path}", Errno.EEXIST);
        }
    }

    /// <summary>Gives a file, or whatever else is no folder, another name in the same root; what had it is replaced.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Rename(string from, string to)
    {
        (string fromAbove, string fromName) = Split(from);
        (string toAbove, string toName) = Split(to);
        using FileDescriptor source = Open(fromAbove.Length == 0 ? "." : fromAbove, FileCalls.O_PATH | FileCalls.O_DIRECTORY);
        using FileDescriptor target = Open(toAbove.Length == 0 ? "." : toAbove, FileCalls.O_PATH | FileCalls.O_DIRECTORY);
        byte[] name = Bytes(toName);
        fixed (byte* t = name)
        {
            nint there = (nint)t;
            Check(Named(fromName, p => FileCalls.RenameAt(source.Value, (byte*)p, target.Value, (byte*)there, 0)), $"rename {from} to {to} in {_path}", 0);
        }
    }

    /// <summary>Removes a file; a missing one is fine.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Remove(string path)
    {
        (string above, string name) = Split(path);
        using FileDescriptor? parent = TryOpen(above.Length == 0 ? "." : above, FileCalls.O_PATH | FileCalls.O_DIRECTORY, 0, out _);
        if (parent is not null)
        {
            Check(Named(name, p => FileCalls.UnlinkAt(parent.Value, (byte*)p, 0)), $"remove {path} in {_path}", Errno.ENOENT);
        }
    }

    /// <summary>Whether an open file is a folder.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static bool IsDirectory(FileDescriptor file)
    {
        ArgumentNullException.ThrowIfNull(file);
        stat status;
        // SAFETY: the kernel fills one local.
        int error = FileCalls.Stat(file.Value, &status);
        return error < 0 ? throw new LinuxException("stat of an open file", -error) : (status.st_mode & FileCalls.S_IFMT) == FileCalls.S_IFDIR;
    }

    /// <summary>Sets owner and permissions of an open file, which must not be one with O_PATH.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void SetOwnerAndMode(FileDescriptor file, uint user, uint group, uint mode)
    {
        ArgumentNullException.ThrowIfNull(file);
        Check(FileCalls.ChangeOwner(file.Value, user, group), "change the owner of a file", 0);
        LinuxError.Check(fchmod(file.Value, mode), "change the mode of a file");
    }

    public void Dispose() => _root.Dispose();

    private static (string Above, string Name) Split(string path)
    {
        path = path.TrimEnd('/');
        int slash = path.LastIndexOf('/');
        return slash < 0 ? ("", path) : (path[..slash], path[(slash + 1)..]);
    }

    private static void Check(int result, string operation, int tolerated)
    {
        if (result < 0 && -result != tolerated)
        {
            throw new LinuxException(operation, -result);
        }
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text + '\0');

    private static int Named(string name, Func<nint, int> call)
    {
        fixed (byte* p = Bytes(name))
        {
            return call((nint)p);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(int fd, uint mode);
}
