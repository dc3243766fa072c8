using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A container's state was saved.</summary>
[ProtoMessage]
internal sealed partial record TaskCheckpointed
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public string Checkpoint { get; init; } = "";
}
