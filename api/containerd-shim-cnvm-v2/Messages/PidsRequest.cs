using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Asks for the processes of a container.</summary>
[ProtoMessage]
internal sealed partial record PidsRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";
}
