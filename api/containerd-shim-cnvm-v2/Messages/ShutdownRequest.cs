using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Ends the shim, if no container is left.</summary>
[ProtoMessage]
internal sealed partial record ShutdownRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public bool Now { get; init; }
}
