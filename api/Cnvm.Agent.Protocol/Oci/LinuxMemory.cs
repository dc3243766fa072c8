using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Limits of memory, in bytes; 0 for not set, -1 for none.</summary>
[ProtoMessage]
public sealed partial record LinuxMemory
{
    /// <summary>Memory.</summary>
    [ProtoMember(1)]
    public long Limit { get; init; }

    /// <summary>Memory that it keeps when others want it.</summary>
    [ProtoMember(2)]
    public long Reservation { get; init; }

    /// <summary>Memory and swap.</summary>
    [ProtoMember(3)]
    public long Swap { get; init; }

    /// <summary>The kernel's for it.</summary>
    [ProtoMember(4)]
    public long Kernel { get; init; }

    /// <summary>The kernel's for its TCP buffers.</summary>
    [ProtoMember(5)]
    public long KernelTcp { get; init; }

    /// <summary>How readily it is swapped, 0 to 100.</summary>
    [ProtoMember(6)]
    public ulong Swappiness { get; init; }

    /// <summary>Whether it waits for memory instead of being killed.</summary>
    [ProtoMember(7)]
    public bool DisableOomKiller { get; init; }
}
