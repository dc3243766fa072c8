using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>The guest's kernel has ended something of a container for lack of memory.</summary>
[ProtoMessage]
internal sealed partial record TaskOom
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";
}
