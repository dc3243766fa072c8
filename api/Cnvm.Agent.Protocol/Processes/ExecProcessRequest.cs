using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Runs a further process in a container. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record ExecProcessRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The process's name, unique in the container.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>Users by name instead of the numbers in the process; null for the numbers.</summary>
    [ProtoMember(3)]
    public StringUser? StringUser { get; init; }

    /// <summary>What to run.</summary>
    [ProtoMember(4)]
    public Process? Process { get; init; }

    /// <summary>Port of a vsock stream for its standard input; 0 for <c>WriteStdin</c>.</summary>
    [ProtoMember(5)]
    public uint StdinPort { get; init; }

    /// <summary>Port of a vsock stream for its standard output; 0 for <c>ReadStdout</c>.</summary>
    [ProtoMember(6)]
    public uint StdoutPort { get; init; }

    /// <summary>Port of a vsock stream for its standard error; 0 for <c>ReadStderr</c>.</summary>
    [ProtoMember(7)]
    public uint StderrPort { get; init; }
}
