using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A listening Unix stream socket. One thread at a time.</summary>
[Abi("fcntl.h errno.h")]
public sealed unsafe partial class UnixListener : IDisposable
{
    private const int F_GETFL = 3;
    private const int F_SETFL = 4;
    private readonly FileDescriptor _fd;
    private readonly SocketLock? _lock;
    private readonly string? _path;

    private UnixListener(FileDescriptor fd, SocketLock? socketLock, string? path)
    {
        _fd = fd;
        _lock = socketLock;
        _path = path;
    }

    /// <summary>The raw descriptor, to poll for <see cref="PollEntry.In"/>; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>
    /// Creates the socket at <paramref name="path"/>. A socket file that a dead process left behind is replaced; whether one is alive
    /// says an open-file-description lock on <c>path.lock</c>, which this object holds. Both files go when it is disposed.
    /// </summary>
    /// <exception cref="LinuxException">Somebody serves the path, or the host refuses it.</exception>
    /// <exception cref="IOException">Something else than a socket is there.</exception>
    public static UnixListener Bind(string path, int backlog)
    {
        Libc.sockaddr_un address = UnixStream.Address(path, out uint length);
        SocketLock socketLock = SocketLock.Acquire(path + ".lock", path);
        FileDescriptor? fd = null;
        try
        {
            ThrowUnlessReplaceable(path);
            if (Path.Exists(path) && unlink(path) < 0 && LinuxError.Last != Errno.ENOENT)
            {
                LinuxError.Throw($"remove stale socket {path}");
            }

            fd = new FileDescriptor(LinuxError.Check(
                Libc.socket(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0), "socket"));
            // SAFETY: bind(2) reads an address of the given length, which is a local.
            LinuxError.Check(Libc.bind(fd.Value, &address, length), $"bind {path}");
            LinuxError.Check(Libc.listen(fd.Value, backlog), $"listen on {path}");
            return new UnixListener(fd, socketLock, path);
        }
        catch
        {
            fd?.Dispose();
            socketLock.Dispose();
            throw;
        }
    }

    /// <summary>Why <see cref="Bind"/> would fail now; null if nothing is seen that is in the way. Nothing is made or locked.</summary>
    public static string? Obstacle(string path)
    {
        try
        {
            _ = UnixStream.Address(path, out _);
            SocketLock.ThrowIfHeld(path + ".lock", path);
            ThrowUnlessReplaceable(path);
        }
        catch (IOException e)
        {
            return e.Message;
        }

        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        return Directory.Exists(folder) ? null : $"there is no folder {folder} for the socket {path}: make it, or name another path";
    }

    // A path that was mistaken for another one, of a disk's image perhaps, must not cost that file.
    private static void ThrowUnlessReplaceable(string path)
    {
        int opened = Libc.open(path, FileCalls.O_PATH | Libc.O_CLOEXEC, 0);
        if (opened < 0)
        {
            if (LinuxError.Last == Errno.ENOENT)
            {
                return;
            }

            LinuxError.Throw($"open {path}");
        }

        using var file = new FileDescriptor(opened);
        if (!FileStatus.Of(opened, path).IsSocket)
        {
            throw new IOException($"{path} is there already and is no socket: name another path for it, or remove that file");
        }
    }

    /// <summary>Takes over a socket that is bound and listening already; its file, if it has one, stays.</summary>
    /// <exception cref="LinuxException">It is no open descriptor or no listening socket.</exception>
    public static UnixListener FromFd(int fd)
    {
        int flags = LinuxError.Check(fcntl(fd, F_GETFL, 0), $"descriptor {fd}");
        LinuxError.Check(fcntl(fd, F_SETFL, flags | Libc.SOCK_NONBLOCK), $"descriptor {fd}");
        // Tells a socket from anything else; listening again with the same backlog is harmless.
        LinuxError.Check(Libc.listen(fd, 16), $"listen on descriptor {fd}");
        return new UnixListener(new FileDescriptor(fd), null, null);
    }

    /// <summary>Takes the next connection, which does not block; null if there is none.</summary>
    /// <exception cref="LinuxException">No descriptor is left, or the host refuses for another reason.</exception>
    public UnixStream? Accept()
    {
        // SAFETY: the peer's address is not asked for.
        int fd = Libc.accept4(_fd.Value, null, null, Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK);
        if (fd >= 0)
        {
            return new UnixStream(new FileDescriptor(fd));
        }

        if (LinuxError.Last is not (Errno.EAGAIN or Errno.EINTR or Errno.ECONNABORTED))
        {
            LinuxError.Throw("accept");
        }

        return null;
    }

    public void Dispose()
    {
        if (_fd.IsClosed)
        {
            return;
        }

        if (_path is not null)
        {
            // If the file is gone already there is nothing to remove.
            _ = unlink(_path);
        }

        _fd.Dispose();
        _lock?.Dispose();
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int unlink(string path);

    // fcntl is variadic in C; on x86-64 a variadic call passes integers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);
}
