using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>How a process is.</summary>
[ProtoMessage]
internal sealed partial record StateResponse
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string Bundle { get; init; } = "";

    [ProtoMember(3)] public uint Pid { get; init; }

    [ProtoMember(4)] public ProcessStatus Status { get; init; }

    [ProtoMember(5)] public string Stdin { get; init; } = "";

    [ProtoMember(6)] public string Stdout { get; init; } = "";

    [ProtoMember(7)] public string Stderr { get; init; } = "";

    [ProtoMember(8)] public bool Terminal { get; init; }

    [ProtoMember(9)] public uint ExitStatus { get; init; }

    [ProtoMember(10)] public ProtoTimestamp? ExitedAt { get; init; }

    [ProtoMember(11)] public string ExecId { get; init; } = "";
}
