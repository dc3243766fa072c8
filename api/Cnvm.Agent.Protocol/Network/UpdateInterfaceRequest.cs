using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Sets up an interface, answered by the <see cref="Cnvm.Agent.Protocol.Interface"/> as it is then.</summary>
[ProtoMessage]
public sealed partial record UpdateInterfaceRequest
{
    /// <summary>What it is to be.</summary>
    [ProtoMember(1)]
    public Interface? Interface { get; init; }
}
