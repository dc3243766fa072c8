using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Sends a signal. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record SignalProcessRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process; empty for all of the container.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>Its number on Linux.</summary>
    [ProtoMember(3)]
    public uint Signal { get; init; }
}
