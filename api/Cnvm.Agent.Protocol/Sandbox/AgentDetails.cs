using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>What an agent can do.</summary>
[ProtoMessage]
public sealed partial record AgentDetails
{
    /// <summary>Its version.</summary>
    [ProtoMember(1)]
    public string Version { get; init; } = "";

    /// <summary>Whether it is the guest's PID 1.</summary>
    [ProtoMember(2)]
    public bool InitDaemon { get; init; }

    /// <summary>Types of <see cref="Device"/> that it knows.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<string> DeviceHandlers { get; init; } = [];

    /// <summary>Drivers of <see cref="Storage"/> that it knows.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<string> StorageHandlers { get; init; } = [];

    /// <summary>Whether it filters system calls.</summary>
    [ProtoMember(5)]
    public bool SupportsSeccomp { get; init; }

    /// <summary>What else it was built with.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<string> ExtraFeatures { get; init; } = [];
}
