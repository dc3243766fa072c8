using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct pollfd: one descriptor to wait for.</summary>
[Abi("poll.h", "struct pollfd")]
[StructLayout(LayoutKind.Sequential)]
public struct PollEntry
{
    /// <summary>Data can be read, or the other end closed.</summary>
    public const short In = 0x001;

    /// <summary>Writing would not block.</summary>
    public const short Out = 0x004;

    public const short Error = 0x008;
    public const short HangUp = 0x010;

    /// <summary>The descriptor; a negative one is passed over.</summary>
    [AbiField("fd")] public int Fd;

    /// <summary>What to wait for.</summary>
    [AbiField("events")] public short Events;

    /// <summary>What came; <see cref="Error"/> and <see cref="HangUp"/> come unasked.</summary>
    [AbiField("revents")] public short Returned;
}
