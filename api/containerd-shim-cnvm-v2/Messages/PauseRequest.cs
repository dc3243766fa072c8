using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Freezes a container.</summary>
[ProtoMessage]
internal sealed partial record PauseRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";
}
