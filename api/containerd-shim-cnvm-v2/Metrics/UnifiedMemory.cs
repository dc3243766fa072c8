using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Memory in bytes, as memory.stat has it, and what is counted of pages; a limit that is not there is the largest number.</summary>
[ProtoMessage]
internal sealed partial record UnifiedMemory
{
    [ProtoMember(1)] public ulong Anon { get; init; }

    [ProtoMember(2)] public ulong File { get; init; }

    [ProtoMember(3)] public ulong KernelStack { get; init; }

    [ProtoMember(4)] public ulong Slab { get; init; }

    [ProtoMember(5)] public ulong Sock { get; init; }

    [ProtoMember(6)] public ulong Shmem { get; init; }

    [ProtoMember(7)] public ulong FileMapped { get; init; }

    [ProtoMember(8)] public ulong FileDirty { get; init; }

    [ProtoMember(9)] public ulong FileWriteback { get; init; }

    [ProtoMember(10)] public ulong AnonThp { get; init; }

    [ProtoMember(11)] public ulong InactiveAnon { get; init; }

    [ProtoMember(12)] public ulong ActiveAnon { get; init; }

    [ProtoMember(13)] public ulong InactiveFile { get; init; }

    [ProtoMember(14)] public ulong ActiveFile { get; init; }

    [ProtoMember(15)] public ulong Unevictable { get; init; }

    [ProtoMember(16)] public ulong SlabReclaimable { get; init; }

    [ProtoMember(17)] public ulong SlabUnreclaimable { get; init; }

    [ProtoMember(18)] public ulong PageFaults { get; init; }

    [ProtoMember(19)] public ulong MajorPageFaults { get; init; }

    [ProtoMember(20)] public ulong WorkingsetRefault { get; init; }

    [ProtoMember(21)] public ulong WorkingsetActivate { get; init; }

    [ProtoMember(22)] public ulong WorkingsetNodeReclaim { get; init; }

    [ProtoMember(23)] public ulong PageRefill { get; init; }

    [ProtoMember(24)] public ulong PageScan { get; init; }

    [ProtoMember(25)] public ulong PageSteal { get; init; }

    [ProtoMember(26)] public ulong PageActivate { get; init; }

    [ProtoMember(27)] public ulong PageDeactivate { get; init; }

    [ProtoMember(28)] public ulong PageLazyFree { get; init; }

    [ProtoMember(29)] public ulong PageLazyFreed { get; init; }

    [ProtoMember(30)] public ulong ThpFaultAlloc { get; init; }

    [ProtoMember(31)] public ulong ThpCollapseAlloc { get; init; }

    [ProtoMember(32)] public ulong Usage { get; init; }

    [ProtoMember(33)] public ulong UsageLimit { get; init; }

    [ProtoMember(34)] public ulong SwapUsage { get; init; }

    [ProtoMember(35)] public ulong SwapLimit { get; init; }

    [ProtoMember(36)] public ulong MaxUsage { get; init; }
}
