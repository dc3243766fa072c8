using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Waits for the end of a process, answered by <see cref="WaitProcessResponse"/>.</summary>
[ProtoMessage]
public sealed partial record WaitProcessRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";
}
