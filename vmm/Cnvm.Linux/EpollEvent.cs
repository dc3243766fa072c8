using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct epoll_event (sys/epoll.h); packed on x86-64.</summary>
[Abi("sys/epoll.h", "struct epoll_event")]
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EpollEvent
{
    public const uint In = 0x001;
    public const uint Out = 0x004;
    public const uint Error = 0x008;
    public const uint HangUp = 0x010;

    /// <summary>Ready or wanted events; <see cref="Error"/> and <see cref="HangUp"/> are always reported.</summary>
    [AbiField("events")] public uint Events;

    /// <summary>The caller's own mark, given back with every event.</summary>
    [AbiField("data")] public ulong Token;
}
