using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Makes a container and its first process, which waits for <c>StartContainer</c>. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record CreateContainerRequest
{
    /// <summary>The container's name, unique in the sandbox.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";

    /// <summary>The name of its first process, usually the container's.</summary>
    [ProtoMember(2)]
    public string ExecId { get; init; } = "";

    /// <summary>Users by name instead of the numbers in the specification; null for the numbers.</summary>
    [ProtoMember(3)]
    public StringUser? StringUser { get; init; }

    /// <summary>Devices to wait for before the container is made.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<Device> Devices { get; init; } = [];

    /// <summary>What to mount in the guest first.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<Storage> Storages { get; init; } = [];

    /// <summary>What to run and how; <c>Root.Path</c> is a path in the guest.</summary>
    [ProtoMember(6)]
    public Spec? Oci { get; init; }

    /// <summary>Whether it joins the sandbox's PID namespace instead of having one of its own.</summary>
    [ProtoMember(7)]
    public bool SandboxPidns { get; init; }

    /// <summary>Mounts that containers share.</summary>
    [ProtoMember(8)]
    public IReadOnlyList<SharedMount> SharedMounts { get; init; } = [];

    /// <summary>Port of a vsock stream for its standard input; 0 for <c>WriteStdin</c>.</summary>
    [ProtoMember(9)]
    public uint StdinPort { get; init; }

    /// <summary>Port of a vsock stream for its standard output; 0 for <c>ReadStdout</c>.</summary>
    [ProtoMember(10)]
    public uint StdoutPort { get; init; }

    /// <summary>Port of a vsock stream for its standard error; 0 for <c>ReadStderr</c>.</summary>
    [ProtoMember(11)]
    public uint StderrPort { get; init; }
}
