using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Output of a process.</summary>
[ProtoMessage]
public sealed partial record ReadStreamResponse
{
    /// <summary>At least a byte, unless the output has ended.</summary>
    [ProtoMember(1)]
    public ReadOnlyMemory<byte> Data { get; init; }
}
