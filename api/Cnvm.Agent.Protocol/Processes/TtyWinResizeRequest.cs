using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Says the size of a process's terminal. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record TtyWinResizeRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>Lines.</summary>
    [ProtoMember(3)]
    public uint Row { get; init; }

    /// <summary>Characters a line.</summary>
    [ProtoMember(4)]
    public uint Column { get; init; }
}
