using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Asks who serves a container.</summary>
[ProtoMessage]
internal sealed partial record ConnectRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";
}
