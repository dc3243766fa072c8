using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Gives the guest's kernel randomness. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record ReseedRandomDevRequest
{
    /// <summary>Random bytes.</summary>
    [ProtoMember(2)]
    public ReadOnlyMemory<byte> Data { get; init; }
}
