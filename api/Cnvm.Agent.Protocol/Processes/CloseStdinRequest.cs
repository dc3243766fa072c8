using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Ends a process's standard input. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record CloseStdinRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";
}
