using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Asks what a container uses.</summary>
[ProtoMessage]
internal sealed partial record StatsRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";
}
