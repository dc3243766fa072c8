using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A process has ended.</summary>
[ProtoMessage]
internal sealed partial record TaskExit
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public string Id { get; init; } = "";

    [ProtoMember(3)] public uint Pid { get; init; }

    [ProtoMember(4)] public uint ExitStatus { get; init; }

    [ProtoMember(5)] public ProtoTimestamp? ExitedAt { get; init; }
}
