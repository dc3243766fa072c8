using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A netlink(7) socket: messages go and come whole. One thread.</summary>
[Abi("sys/socket.h linux/netlink.h")]
public sealed unsafe partial class NetlinkSocket : IDisposable
{
    public const int NETLINK_ROUTE = 0;
    public const int NETLINK_KOBJECT_UEVENT = 15;
    private const int AF_NETLINK = 16;
    private const int SOCK_RAW = 3;
    private readonly FileDescriptor _fd;

    /// <param name="groups">Multicast groups to hear, as bits.</param>
    /// <exception cref="LinuxException">The kernel lacks the protocol.</exception>
    public NetlinkSocket(int protocol, uint groups)
    {
        _fd = new FileDescriptor(LinuxError.Check(Libc.socket(AF_NETLINK, SOCK_RAW | Libc.SOCK_CLOEXEC, protocol), $"netlink socket of protocol {protocol}"));
        try
        {
            var address = new sockaddr_nl { nl_family = AF_NETLINK, nl_groups = groups };
            // SAFETY: bind(2) reads a local of the length that is given.
            LinuxError.Check(Libc.bind_any(_fd.Value, &address, (uint)sizeof(sockaddr_nl)), "bind a netlink socket");
        }
        catch
        {
            _fd.Dispose();
            throw;
        }
    }

    /// <summary>The raw descriptor, to poll; valid until disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Sends one message, or several behind one another, to the kernel.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Send(ReadOnlySpan<byte> message)
    {
        int written = FileIo.Write(_fd.Value, message);
        if (written != message.Length)
        {
            throw new LinuxException("send a netlink message", written < 0 ? -written : Errno.EMSGSIZE);
        }
    }

    /// <summary>Waits for a datagram.</summary>
    /// <returns>Its bytes, as far as the buffer goes.</returns>
    /// <exception cref="LinuxException">The kernel has dropped some (ENOBUFS), or refuses.</exception>
    public int Receive(Span<byte> buffer)
    {
        int read = FileIo.Read(_fd.Value, buffer);
        return read >= 0 ? read : throw new LinuxException("receive a netlink message", -read);
    }

    public void Dispose() => _fd.Dispose();

    /// <summary>struct sockaddr_nl.</summary>
    [Abi("linux/netlink.h", "struct sockaddr_nl")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct sockaddr_nl
    {
        public ushort nl_family;
        public ushort nl_pad;
        public uint nl_pid;
        public uint nl_groups;
    }
}
