using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Begins the sandbox, of which an agent has one. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record CreateSandboxRequest
{
    /// <summary>The guest's name.</summary>
    [ProtoMember(1)]
    public string Hostname { get; init; } = "";

    /// <summary>Lines of the guest's resolv.conf.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> Dns { get; init; } = [];

    /// <summary>What to mount for all containers.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<Storage> Storages { get; init; } = [];

    /// <summary>Whether containers share a PID namespace.</summary>
    [ProtoMember(4)]
    public bool SandboxPidns { get; init; }

    /// <summary>The sandbox's name.</summary>
    [ProtoMember(5)]
    public string SandboxId { get; init; } = "";

    /// <summary>A folder in the guest with programs to run as hooks; empty for none.</summary>
    [ProtoMember(6)]
    public string GuestHookPath { get; init; } = "";

    /// <summary>Modules to load.</summary>
    [ProtoMember(7)]
    public IReadOnlyList<KernelModule> KernelModules { get; init; } = [];
}
