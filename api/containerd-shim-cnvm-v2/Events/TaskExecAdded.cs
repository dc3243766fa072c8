using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A further process was made.</summary>
[ProtoMessage]
internal sealed partial record TaskExecAdded
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";
}
