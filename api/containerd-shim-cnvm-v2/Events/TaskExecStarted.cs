using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A further process runs.</summary>
[ProtoMessage]
internal sealed partial record TaskExecStarted
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";

    [ProtoMember(3)] public uint Pid { get; init; }
}
