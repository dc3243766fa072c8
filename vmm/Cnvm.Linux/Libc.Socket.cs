using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// sys/socket.h, sys/un.h
[Abi("sys/socket.h sys/un.h")]
public static unsafe partial class Libc
{
    internal const int AF_UNIX = 1;
    internal const int SOCK_STREAM = 1;
    internal const int SOCK_NONBLOCK = 0x800;
    internal const int SOCK_CLOEXEC = 0x80000;
    internal const int SOL_SOCKET = 1;
    internal const int SO_RCVTIMEO = 20;
    internal const int SCM_RIGHTS = 1;
    internal const int SHUT_RD = 0;
    internal const int SHUT_WR = 1;
    internal const int MSG_PEEK = 0x2;
    internal const int MSG_CTRUNC = 0x8;
    internal const int MSG_NOSIGNAL = 0x4000;
    internal const int MSG_CMSG_CLOEXEC = 0x40000000;

    /// <summary>Most descriptors that one message carries (SCM_MAX_FD of the kernel).</summary>
    [AbiNewer("include/net/scm.h of the kernel, not installed")]
    internal const int SCM_MAX_FD = 253;

    internal const int UnixPathCapacity = 108;

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int socket(int domain, int type, int protocol);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int socketpair(int domain, int type, int protocol, int* fds);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int bind(int fd, sockaddr_un* address, uint length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int listen(int fd, int backlog);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int connect(int fd, sockaddr_un* address, uint length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int accept4(int fd, void* address, void* length, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int shutdown(int fd, int how);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint recvmsg(int fd, msghdr* message, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint sendmsg(int fd, msghdr* message, int flags);

    /// <summary>struct sockaddr_un.</summary>
    [Abi("sys/un.h", "struct sockaddr_un")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct sockaddr_un
    {
        public ushort sun_family;
        public fixed byte sun_path[UnixPathCapacity];
    }

    /// <summary>struct iovec of a message.</summary>
    [Abi("sys/uio.h", "struct iovec")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct msg_iovec
    {
        public void* iov_base;
        public nuint iov_len;
    }

    /// <summary>struct msghdr.</summary>
    [Abi("sys/socket.h", "struct msghdr")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct msghdr
    {
        public void* msg_name;
        public uint msg_namelen;
        public msg_iovec* msg_iov;
        public nuint msg_iovlen;
        public void* msg_control;
        public nuint msg_controllen;
        public int msg_flags;
    }

    /// <summary>struct cmsghdr; its data follows, and the next header at a multiple of eight bytes.</summary>
    [Abi("sys/socket.h", "struct cmsghdr", Prefix = true)]
    [StructLayout(LayoutKind.Sequential)]
    internal struct cmsghdr
    {
        public nuint cmsg_len;
        public int cmsg_level;
        public int cmsg_type;
    }
}
