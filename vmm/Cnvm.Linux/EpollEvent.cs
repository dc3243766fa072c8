using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>struct epoll_event (sys/epoll.h); packed on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EpollEvent
{
    public const uint In = 0x001;
    public const uint Out = 0x004;
    public const uint Error = 0x008;
    public const uint HangUp = 0x010;

    /// <summary>Ready or wanted events; <see cref="Error"/> and <see cref="HangUp"/> are always reported.</summary>
    public uint Events;

    /// <summary>The caller's own mark, given back with every event.</summary>
    public ulong Token;
}
