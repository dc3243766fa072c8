using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Adds neighbours. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record AddARPNeighborsRequest
{
    /// <summary>The neighbours.</summary>
    [ProtoMember(1)]
    public ARPNeighbors? Neighbors { get; init; }
}
