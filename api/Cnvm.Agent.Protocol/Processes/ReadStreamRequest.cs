using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Waits for output of a process, answered by <see cref="ReadStreamResponse"/>.</summary>
[ProtoMessage]
public sealed partial record ReadStreamRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>Bytes that the caller takes at most.</summary>
    [ProtoMember(3)]
    public uint Len { get; init; }
}
