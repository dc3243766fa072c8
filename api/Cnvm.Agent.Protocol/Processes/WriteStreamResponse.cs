using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>How much was taken.</summary>
[ProtoMessage]
public sealed partial record WriteStreamResponse
{
    /// <summary>Bytes.</summary>
    [ProtoMember(1)]
    public uint Len { get; init; }
}
