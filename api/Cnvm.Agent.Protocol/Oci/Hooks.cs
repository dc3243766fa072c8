using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Programs to run at events of a container, in order.</summary>
[ProtoMessage]
public sealed partial record Hooks
{
    /// <summary>Before the process runs.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<Hook> Prestart { get; init; } = [];

    /// <summary>After the process has been started.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<Hook> Poststart { get; init; } = [];

    /// <summary>After the container was removed.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<Hook> Poststop { get; init; } = [];

    /// <summary>While it is made, before its root is.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<Hook> CreateRuntime { get; init; } = [];

    /// <summary>While it is made, in its namespaces.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<Hook> CreateContainer { get; init; } = [];

    /// <summary>Before the process runs, in the container.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<Hook> StartContainer { get; init; } = [];
}
