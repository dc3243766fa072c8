using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

// netdb.h, netinet/in.h, netinet/tcp.h
[Abi("sys/socket.h netdb.h netinet/in.h netinet/tcp.h")]
public static unsafe partial class Libc
{
    internal const int AI_PASSIVE = 1;
    internal const int SO_REUSEADDR = 2;
    internal const int SO_ERROR = 4;
    internal const int SO_KEEPALIVE = 9;
    internal const int IPPROTO_TCP = 6;
    internal const int TCP_NODELAY = 1;
    internal const int TCP_KEEPIDLE = 4;
    internal const int TCP_KEEPINTVL = 5;
    internal const int TCP_KEEPCNT = 6;
    internal const int TCP_USER_TIMEOUT = 18;
    internal const int SHUT_RDWR = 2;

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int getaddrinfo(string node, string service, addrinfo* hints, addrinfo** result);

    [LibraryImport(Library)]
    internal static partial void freeaddrinfo(addrinfo* list);

    [LibraryImport(Library)]
    internal static partial byte* gai_strerror(int error);

    [LibraryImport(Library, EntryPoint = "connect", SetLastError = true)]
    internal static partial int connect_any(int fd, void* address, uint length);

    [LibraryImport(Library, EntryPoint = "bind", SetLastError = true)]
    internal static partial int bind_any(int fd, void* address, uint length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int setsockopt(int fd, int level, int name, void* value, uint length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int getsockopt(int fd, int level, int name, void* value, uint* length);

    /// <summary>struct addrinfo.</summary>
    [Abi("netdb.h", "struct addrinfo")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct addrinfo
    {
        public int ai_flags;
        public int ai_family;
        public int ai_socktype;
        public int ai_protocol;
        public uint ai_addrlen;
        public void* ai_addr;
        public byte* ai_canonname;
        public addrinfo* ai_next;
    }
}
