using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Writes to a process's standard input, answered by <see cref="WriteStreamResponse"/>.</summary>
[ProtoMessage]
public sealed partial record WriteStreamRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>What it is to read.</summary>
    [ProtoMember(3)]
    public ReadOnlyMemory<byte> Data { get; init; }
}
