using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A container runs again.</summary>
[ProtoMessage]
internal sealed partial record TaskResumed
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";
}
