using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Sets the routes, answered by the <see cref="Cnvm.Agent.Protocol.Routes"/> as they are then.</summary>
[ProtoMessage]
public sealed partial record UpdateRoutesRequest
{
    /// <summary>What they are to be.</summary>
    [ProtoMember(1)]
    public Routes? Routes { get; init; }
}
