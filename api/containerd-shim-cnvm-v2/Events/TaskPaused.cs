using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A container was frozen.</summary>
[ProtoMessage]
internal sealed partial record TaskPaused
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";
}
