using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A process was forgotten.</summary>
[ProtoMessage]
internal sealed partial record TaskDelete
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public uint Pid { get; init; }

    [ProtoMember(3)] public uint ExitStatus { get; init; }

    [ProtoMember(4)] public ProtoTimestamp? ExitedAt { get; init; }

    [ProtoMember(5)] public string Id { get; init; } = "";
}
