using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Listens on a port of the machine's vsock, or at a Unix socket, and gives connections as plain descriptors that do not block.</summary>
[Abi("sys/socket.h linux/vm_sockets.h")]
public sealed unsafe partial class SocketListener : IDisposable
{
    private const int AF_VSOCK = 40;
    private const uint VMADDR_CID_ANY = uint.MaxValue;
    private const int Backlog = 16;
    private readonly FileDescriptor? _vsock;
    private readonly UnixListener? _unix;

    private SocketListener(FileDescriptor? vsock, UnixListener? unix)
    {
        _vsock = vsock;
        _unix = unix;
    }

    /// <summary>The raw descriptor, to wait until it can be read; valid until this object is disposed.</summary>
    public int Fd => _vsock?.Value ?? _unix!.Fd;

    /// <summary>Listens on a vsock port, for whatever CID the machine has.</summary>
    /// <exception cref="LinuxException">The kernel has no vsock, or the port is taken.</exception>
    public static SocketListener AtVsockPort(uint port)
    {
        var fd = new FileDescriptor(LinuxError.Check(
            Libc.socket(AF_VSOCK, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0), "vsock socket"));
        try
        {
            var address = new sockaddr_vm { svm_family = AF_VSOCK, svm_port = port, svm_cid = VMADDR_CID_ANY };
            // SAFETY: bind(2) reads a local of the length that is given.
            LinuxError.Check(Libc.bind_any(fd.Value, &address, (uint)sizeof(sockaddr_vm)), $"bind vsock port {port}");
            LinuxError.Check(Libc.listen(fd.Value, Backlog), $"listen on vsock port {port}");
            return new SocketListener(fd, null);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Listens at a Unix socket (<see cref="UnixListener.Bind"/>).</summary>
    /// <exception cref="IOException">The path is taken, or the host refuses it.</exception>
    public static SocketListener AtPath(string path) => new(null, UnixListener.Bind(path, Backlog));

    /// <summary>Takes the next connection, which does not block; null if there is none.</summary>
    /// <exception cref="LinuxException">No descriptor is left, or the host refuses for another reason.</exception>
    public FileDescriptor? Accept()
    {
        // SAFETY: the peer's address is not asked for.
        int fd = Libc.accept4(Fd, null, null, Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK);
        if (fd >= 0)
        {
            return new FileDescriptor(fd);
        }

        if (LinuxError.Last is not (Errno.EAGAIN or Errno.EINTR or Errno.ECONNABORTED))
        {
            LinuxError.Throw("accept");
        }

        return null;
    }

    public void Dispose()
    {
        _vsock?.Dispose();
        _unix?.Dispose();
    }

    /// <summary>struct sockaddr_vm.</summary>
    [Abi("sys/socket.h linux/vm_sockets.h", "struct sockaddr_vm")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct sockaddr_vm
    {
        public ushort svm_family;
        public ushort svm_reserved1;
        public uint svm_port;
        public uint svm_cid;
        public byte svm_flags;
        [AbiField("")] public fixed byte zero[3];
    }
}
