using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A route of the guest.</summary>
[ProtoMessage]
public sealed partial record Route
{
    /// <summary>The destination as address and prefix; empty for all.</summary>
    [ProtoMember(1)]
    public string Dest { get; init; } = "";

    /// <summary>The next host; empty for none.</summary>
    [ProtoMember(2)]
    public string Gateway { get; init; } = "";

    /// <summary>The interface's name.</summary>
    [ProtoMember(3)]
    public string Device { get; init; } = "";

    /// <summary>The address that packets get; empty for the kernel's choice.</summary>
    [ProtoMember(4)]
    public string Source { get; init; } = "";

    /// <summary>The kernel's scope (RT_SCOPE_*).</summary>
    [ProtoMember(5)]
    public uint Scope { get; init; }

    /// <summary>Its family.</summary>
    [ProtoMember(6)]
    public IPFamily Family { get; init; }

    /// <summary>The kernel's flags (RTNH_F_*).</summary>
    [ProtoMember(7)]
    public uint Flags { get; init; }

    /// <summary>Of several routes to a destination the one with the smallest is taken; 0 for the kernel's choice. cnvm's own: Kata's agent passes it over.</summary>
    [ProtoMember(100)]
    public uint Metric { get; init; }
}
