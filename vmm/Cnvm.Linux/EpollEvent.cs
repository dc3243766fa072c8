using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>What epoll reports: readiness and the number that the descriptor was registered with.</summary>
[Abi("sys/epoll.h", "struct epoll_event")]
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EpollEvent
{
    /// <summary>EPOLL flags.</summary>
    [AbiField("events")] public uint Events;

    /// <summary>The caller's number.</summary>
    [AbiField("data")] public ulong Token;
}
